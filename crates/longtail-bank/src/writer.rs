//! A bank in the making. Shards are renamed into place whole; a line in `shards.jsonl` then says that they are done, with
//! their checksum. Whoever comes after a kill finds which are whole and makes the others.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use longtail_files::{remove_leftovers, write_bytes};
use rayon::prelude::*;

use crate::{
    error::BankError,
    header::{Header, ShardRecord},
    rows::ImageRows,
    shard::{self, file_name, sha256},
};

/// Name of the header.
pub(crate) const HEADER: &str = "bank.json";
/// Name of the list of finished shards.
const JOURNAL: &str = "shards.jsonl";

/// Writes a bank shard by shard, in any order.
#[derive(Debug)]
pub struct BankWriter {
    folder: PathBuf,
    header: Header,
    done: Vec<Option<ShardRecord>>,
    _lock: File,
}

impl BankWriter {
    /// Creates the folder, or goes on with one that was begun with the same header: shards that are whole are kept, and
    /// what a kill left of half-written files is removed.
    ///
    /// # Errors
    /// If the folder holds a finished bank or one of other settings, another process writes it, or it cannot be written.
    pub fn open(folder: &Path, mut header: Header) -> Result<Self, BankError> {
        (header.complete, header.shards, header.counts) = (false, Vec::new(), Default::default());
        let path = folder.join(HEADER);
        header.check().map_err(|reason| BankError::Header { path: path.clone(), reason })?;
        fs::create_dir_all(folder).map_err(BankError::io("create bank folder", folder))?;
        let lock_path = folder.join(".lock");
        let lock = File::create(&lock_path).map_err(BankError::io("write to bank folder", folder))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BankError::Locked { path: folder.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(BankError::io("lock", lock_path)(source)),
        }
        let mut done = vec![None; header.shard_count()];
        if path.exists() {
            let begun = read_header(&path)?;
            let mut differences = begun.differences(&header);
            differences.extend(header.differences(&begun));
            differences.sort();
            differences.dedup();
            if !differences.is_empty() {
                return Err(BankError::OtherSettings { path: folder.to_owned(), differences });
            }
            if begun.complete {
                // A kill right after the header was written leaves the list.
                remove_journal(folder)?;
                return Err(BankError::Exists { path: folder.to_owned() });
            }
            remove_leftovers(folder, is_ours)?;
            done = finished(folder, done.len())?;
        } else {
            remove_leftovers(folder, is_ours)?;
            // A list without its header speaks of shards of who knows which settings.
            remove_journal(folder)?;
            write_json(&path, &header)?;
        }
        Ok(Self { folder: folder.to_owned(), header, done, _lock: lock })
    }

    /// The header as it was given.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Shards that are still to be written.
    pub fn missing(&self) -> Vec<usize> {
        (0..self.done.len()).filter(|&index| self.done[index].is_none()).collect()
    }

    /// Writes a shard.
    ///
    /// # Errors
    /// If rows cannot be kept (see [`ImageRows::check`]) or the file cannot be written; nothing of the shard is left then.
    ///
    /// # Panics
    /// If the bank has no shard of this index.
    pub fn write(&mut self, index: usize, images: &[ImageRows]) -> Result<(), BankError> {
        images.par_iter().map(|image| image.check(&self.header)).collect::<Result<Vec<()>, _>>()?;
        let record = shard::write(&self.folder, &self.header, index, images)?;
        let journal = self.folder.join(JOURNAL);
        let line = to_line(&record)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&journal)
            .and_then(|mut file| {
                file.write_all(line.as_bytes())?;
                file.sync_all()
            })
            .map_err(BankError::io("write", &journal))?;
        self.done[index] = Some(record);
        Ok(())
    }

    /// Writes the final header, which makes the folder a bank.
    ///
    /// # Errors
    /// If shards are missing or the header cannot be written.
    pub fn finish(self) -> Result<Header, BankError> {
        let shards = self.done.len();
        let records: Vec<ShardRecord> = self.done.into_iter().flatten().collect();
        if records.len() < shards {
            return Err(BankError::Unfinished { path: self.folder, done: records.len(), shards });
        }
        let mut header = Header { complete: true, shards: records, ..self.header };
        for record in &header.shards {
            header.counts += record.counts;
        }
        write_json(&self.folder.join(HEADER), &header)?;
        // The header lists the shards now; a journal that cannot be removed does no harm.
        let _ = fs::remove_file(self.folder.join(JOURNAL));
        Ok(header)
    }
}

/// Whether a file of this name is one that the writer makes.
fn is_ours(name: &str) -> bool {
    let index = name.strip_prefix("shard-").and_then(|rest| rest.strip_suffix(".safetensors"));
    let shard = index.and_then(|index| index.parse().ok()).is_some_and(|index| file_name(index) == name);
    shard || name == HEADER || name == JOURNAL
}

fn write_json(path: &Path, header: &Header) -> Result<(), BankError> {
    let unwritable = |e: serde_json::Error| BankError::Header {
        path: path.to_owned(),
        reason: format!("cannot be written: {e}"),
    };
    let mut json = serde_json::to_vec_pretty(header).map_err(unwritable)?;
    json.push(b'\n');
    Ok(write_bytes(path, &json)?)
}

/// A shard's line of the journal.
fn to_line(record: &ShardRecord) -> Result<String, BankError> {
    let json = serde_json::to_string(record);
    json.map(|json| json + "\n").map_err(|e| BankError::shard(&record.file, format!("cannot be listed: {e}")))
}

/// Reads and checks a header.
pub(crate) fn read_header(path: &Path) -> Result<Header, BankError> {
    let text = fs::read(path).map_err(BankError::io("read", path))?;
    let refused = |reason: String| BankError::Header { path: path.to_owned(), reason };
    let header: Header = serde_json::from_slice(&text)
        .map_err(|e| refused(format!("is not the header of a feature bank: {e}")))?;
    header.check().map_err(refused)?;
    Ok(header)
}

fn remove_journal(folder: &Path) -> Result<(), BankError> {
    let journal = folder.join(JOURNAL);
    match fs::remove_file(&journal) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BankError::io("remove", &journal)(error))
        }
        _ => Ok(()),
    }
}

/// How many shards a bank that was begun has whole.
pub(crate) fn count_finished(folder: &Path, shards: usize) -> usize {
    finished(folder, shards).map_or(0, |done| done.iter().flatten().count())
}

/// Shards of the journal whose file is there with the checksum it had. A last line cut short by a kill is left out.
fn finished(folder: &Path, shards: usize) -> Result<Vec<Option<ShardRecord>>, BankError> {
    let mut done = vec![None; shards];
    let path = folder.join(JOURNAL);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(done),
        Err(error) => return Err(BankError::io("read", &path)(error)),
    };
    let records: Vec<ShardRecord> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let whole: Vec<bool> = records
        .par_iter()
        .map(|record| {
            record.index < shards
                && record.file == file_name(record.index)
                && fs::read(folder.join(&record.file)).is_ok_and(|bytes| sha256(&bytes) == record.sha256)
        })
        .collect();
    for (record, _) in records.into_iter().zip(whole).filter(|(_, whole)| *whole) {
        let index = record.index;
        done[index] = Some(record);
    }
    if !text.is_empty() && !text.ends_with('\n') {
        // So that the next line begins a line.
        let whole: String = done.iter().flatten().map(to_line).collect::<Result<_, _>>()?;
        write_bytes(&path, whole.as_bytes())?;
    }
    Ok(done)
}
