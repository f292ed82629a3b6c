//! Detections block by block.
//!
//! A file is read in blocks that are cut between entries and parsed in parallel, so that its text is never
//! held whole. What the fast parser refuses is read again by `serde_json`, which has the last word and says
//! what is wrong.

use std::{io::Read, path::Path};

use rayon::prelude::*;

use super::{
    entry::{Entry, Separator, Unusual, parse_run},
    explain::thorough,
    open::{is_parquet, open, whole_file},
    parquet,
};
use crate::{detection::Detection, error::EvalError};

/// Bytes that one task parses.
const RUN: usize = 2 << 20;

/// Reads a list of detections; fields besides those of [`Detection`] are ignored.
///
/// # Errors
/// If the file cannot be read or is no such list; the message names the entry and field, or has line and
/// column.
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

/// Parses a file block by block and hands on what is found in order, until something is unusual, to `found`
/// too.
pub(crate) fn stream<T: Send>(
    path: &Path,
    convert: impl Fn(&Detection) -> Option<T> + Sync,
    mut found: impl FnMut(&[T]) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    whole_file(path)?;
    if is_parquet(path)? {
        return parquet::stream(path, convert, found);
    }
    blocks(path, |entry| convert(entry.boxed()?), |rows| found(rows))
}

/// As [`stream`], for entries with masks, which no table has. What is found may be taken.
///
/// # Errors
/// As [`stream`], and if the file is a table.
pub(crate) fn stream_masks<T: Send>(
    path: &Path,
    convert: impl Fn(&Entry<'_>) -> Option<T> + Sync,
    found: impl FnMut(&mut Vec<T>) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    whole_file(path)?;
    if is_parquet(path)? {
        let reason = "it has boxes alone, and masks are asked for; give masks as JSON".into();
        return Err(EvalError::Table { path: path.to_owned(), reason });
    }
    blocks(path, convert, found)
}

fn blocks<T: Send>(
    path: &Path,
    convert: impl Fn(&Entry<'_>) -> Option<T> + Sync,
    mut found: impl FnMut(&mut Vec<T>) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    let io = |source| EvalError::io("read", path, source);
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
        for (run, rows) in runs.iter().zip(&mut found_by_run) {
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

/// Start of the last entry before `end` that follows another; the guess is checked by the parser, which
/// refuses a run that does not end with a whole entry.
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
