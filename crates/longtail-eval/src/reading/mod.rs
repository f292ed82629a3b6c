//! Files of detections: COCO's JSON list or JSON Lines, as they are or compressed by gzip or Zstandard, and Parquet tables.
//!
//! A file is read in blocks that are cut between entries and parsed in parallel, so that its text is never held
//! whole. What the fast parser refuses is read again by `serde_json`, which has the last word and says what is wrong.

mod entry;
mod explain;
mod parquet;

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
};

use rayon::prelude::*;

pub(crate) use self::entry::Unusual;
use self::{
    entry::{Separator, parse_run},
    explain::thorough,
};
use crate::{
    detection::{Detection, Detections, row},
    error::EvalError,
};

/// Bytes that one task parses.
const RUN: usize = 2 << 20;
/// Least bytes of an entry; a bound for the memory to ask for.
const LEAST_ENTRY: u64 = 56;

impl Detections<'_> {
    /// Adds the detections of a file; fields besides those of [`Detection`] are ignored.
    ///
    /// # Errors
    /// If the file cannot be read or is no such list, the message names entry and field, or has line and column; if a
    /// detection is of an unknown image, is not finite or has a negative size; if memory runs out. Nothing is added
    /// then.
    pub fn read(&mut self, path: &Path) -> Result<(), EvalError> {
        let (rows, seen) = (self.rows.len(), self.seen);
        if self.images.len() == self.truth.images() {
            let bytes = path.metadata().map_or(0, |m| m.len());
            // Pages that are never touched cost nothing.
            self.rows.try_reserve((bytes / LEAST_ENTRY) as usize).map_err(|_| EvalError::TooLarge {
                path: path.to_owned(),
                bytes: bytes / LEAST_ENTRY * 48,
            })?;
        }
        let truth = self.truth;
        let fast = stream(
            path,
            |detection| row(truth, detection).ok(),
            |rows| {
                self.push(rows);
                Ok(())
            },
        );
        if !matches!(fast, Ok(Ok(()))) {
            self.rows.truncate(rows);
            self.seen = seen;
        }
        if fast?.is_err() {
            let batch = thorough(path)?;
            self.extend(&batch)?;
        }
        Ok(())
    }
}

/// Reads a list of detections; fields besides those of [`Detection`] are ignored.
///
/// # Errors
/// If the file cannot be read or is no such list; the message names the entry and field, or has line and column.
pub fn read_detections(path: &Path) -> Result<Vec<Detection>, EvalError> {
    let mut all = Vec::new();
    let add = |found: &[Detection]| {
        all.extend_from_slice(found);
        Ok(())
    };
    match stream(path, |detection| Some(*detection), add)? {
        Ok(()) => Ok(all),
        Err(Unusual) => thorough(path),
    }
}

/// Refuses pipes and devices: what is unusual in a file is found by reading it again.
fn whole_file(path: &Path) -> Result<(), EvalError> {
    // What does not exist, and folders, are for the system to name.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let source = std::io::Error::other("it is a pipe or a device; write it to a file first");
        return Err(EvalError::Io { action: "read", path: path.to_owned(), source });
    }
    Ok(())
}

/// Whether a file is a Parquet table.
fn is_parquet(path: &Path) -> Result<bool, EvalError> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(parquet::MAGIC.len() as u64).read_to_end(&mut magic))
        .map_err(|source| EvalError::Io { action: "read", path: path.to_owned(), source })?;
    Ok(magic == parquet::MAGIC)
}

/// Opens a file and unpacks what its first bytes say is compressed.
fn open(path: &Path) -> Result<Box<dyn Read + Send>, EvalError> {
    let io = |source| EvalError::Io { action: "read", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(io)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(io)?;
    file.rewind().map_err(io)?;
    Ok(match magic.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(file).map_err(io)?),
        _ => Box::new(file),
    })
}

/// Parses a file block by block and hands on what is found in order, until something is unusual, to `found` too.
pub(crate) fn stream<T: Send>(
    path: &Path,
    convert: impl Fn(&Detection) -> Option<T> + Sync,
    mut found: impl FnMut(&[T]) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    whole_file(path)?;
    if is_parquet(path)? {
        return parquet::stream(path, convert, found);
    }
    let io = |source| EvalError::Io { action: "read", path: path.to_owned(), source };
    let mut reader = open(path)?;
    let block = RUN * rayon::current_num_threads();
    let mut buffer: Vec<u8> = Vec::with_capacity(block + RUN);
    let mut separator = None;
    // Fresh memory costs more than parsing into it: what the runs find goes to the same places every time.
    let mut found_by_run: Vec<Vec<T>> = Vec::new();
    loop {
        let rest = buffer.len();
        // Compressed data that is cut short is for the thorough reader to explain.
        let read = match reader.by_ref().take(block as u64).read_to_end(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(Err(Unusual)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => return Ok(Err(Unusual)),
            Err(error) => return Err(io(error)),
        };
        let last = read < block;
        let separator = match separator {
            Some(separator) => separator,
            None => {
                let Some(start) = buffer.iter().position(|b| !b.is_ascii_whitespace()) else {
                    return Ok(Err(Unusual));
                };
                let found = match buffer[start] {
                    b'[' => Separator::Comma,
                    b'{' => Separator::Newline,
                    _ => return Ok(Err(Unusual)),
                };
                // The run starts at its first entry.
                let head = start + usize::from(found == Separator::Comma);
                let space = buffer[head..].iter().take_while(|b| b.is_ascii_whitespace()).count();
                buffer.drain(..head + space);
                separator = Some(found);
                found
            }
        };
        let end = match (last, cut(&buffer, buffer.len(), separator)) {
            (true, _) => buffer.len(),
            (false, Some(end)) => end,
            // Not one whole entry in a block, after two tries.
            (false, None) if rest > block => return Ok(Err(Unusual)),
            (false, None) => continue,
        };
        let mut bounds = vec![0];
        let mut next = RUN;
        while next < end {
            let bound = cut(&buffer[..end], next, separator).unwrap_or(0);
            if bound > bounds[bounds.len() - 1] {
                bounds.push(bound);
            }
            next += RUN;
        }
        bounds.push(end);
        found_by_run.resize_with(found_by_run.len().max(bounds.len() - 1), Vec::new);
        let runs: Vec<Result<(), Unusual>> = bounds
            .par_windows(2)
            .zip(&mut found_by_run)
            .map(|(run, rows)| {
                rows.clear();
                let last = last && run[1] == end;
                parse_run(&buffer[run[0]..run[1]], separator, last, &convert, rows)
            })
            .collect();
        for (run, rows) in runs.iter().zip(&found_by_run) {
            if run.is_err() || found(rows).is_err() {
                return Ok(Err(Unusual));
            }
        }
        if last {
            return Ok(Ok(()));
        }
        buffer.drain(..end);
    }
}

/// Start of the last entry before `end` that follows another; the guess is checked by the parser, which refuses a run
/// that does not end with a whole entry.
fn cut(bytes: &[u8], end: usize, separator: Separator) -> Option<usize> {
    (1..end.min(bytes.len())).rev().find(|&place| {
        if bytes[place] != b'{' {
            return false;
        }
        let mut before = bytes[..place].iter().rev().filter(|b| !b.is_ascii_whitespace());
        match separator {
            Separator::Comma => before.next() == Some(&b',') && before.next() == Some(&b'}'),
            Separator::Newline => before.next() == Some(&b'}'),
        }
    })
}
