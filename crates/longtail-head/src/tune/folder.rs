//! What a tuning leaves behind: its plan, a record of each candidate and fold, the chosen heads. Every file
//! is written whole, so that a tuning that was killed goes on with what is finished.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use longtail_eval::StreamingEvaluation;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{error::HeadError, tune::record::TuneConfig};

/// Version of the files of a tuning.
const VERSION: u32 = 1;
const PLAN: &str = "plan.json";

/// What decides a tuning: another plan needs another folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Plan {
    version: u32,
    /// Checksums of the shards of training RoIs and of proposals.
    banks: Vec<String>,
    config: TuneConfig,
}

/// The folder of a tuning, locked. The lock goes when the value is dropped or the process ends.
#[derive(Debug)]
pub struct TuneFolder {
    path: PathBuf,
    _lock: File,
}

impl TuneFolder {
    /// Creates or opens a folder for a tuning of banks with these checksums.
    ///
    /// # Errors
    /// If it cannot be written, another process tunes there, or it holds a tuning of another plan.
    pub fn open(path: &Path, banks: Vec<String>, config: &TuneConfig) -> Result<Self, HeadError> {
        std::fs::create_dir_all(path).map_err(HeadError::io("create", path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(HeadError::io("write", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HeadError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(HeadError::io("lock", lock_path)(source)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        let plan = Plan { version: VERSION, banks, config: config.clone() };
        match folder.read::<Plan>(PLAN)? {
            Some(begun) if begun == plan => {}
            Some(begun) => {
                let what = match (begun.version == VERSION, begun.banks == plan.banks) {
                    (false, _) => "was made by another version of this program",
                    (true, false) => "is of a tuning on another bank",
                    (true, true) => "is of a tuning with other settings",
                };
                let reason =
                    format!("{what}; choose another --out, or give the command that it was begun with");
                return Err(HeadError::Head { path: folder.path.join(PLAN), reason });
            }
            None => folder.write(PLAN, &plan)?,
        }
        Ok(folder)
    }

    /// A path in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A file of JSON; none if it is not there.
    ///
    /// # Errors
    /// If it cannot be read or is not what it should be.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, HeadError> {
        let path = self.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(HeadError::io("read", &path))?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| {
            let reason = format!("cannot be read: {e}; remove it, and what it held is made again");
            HeadError::Head { path, reason }
        })
    }

    /// Writes a file of JSON by rename.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), HeadError> {
        let path = self.join(name);
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|e| HeadError::Head { path: path.clone(), reason: format!("cannot be written: {e}") })?;
        bytes.push(b'\n');
        self.make_parent(&path)?;
        Ok(longtail_files::write_bytes(&path, &bytes)?)
    }

    /// Writes matched detections by rename.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn write_matches(&self, name: &str, found: &StreamingEvaluation) -> Result<(), HeadError> {
        let path = self.join(name);
        self.make_parent(&path)?;
        let bytes = found.to_bytes().map_err(|error| HeadError::Score(Box::new(error)))?;
        Ok(longtail_files::write_bytes(&path, &bytes)?)
    }

    fn make_parent(&self, path: &Path) -> Result<(), HeadError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        std::fs::create_dir_all(parent).map_err(HeadError::io("create", parent))
    }
}

/// Matched detections of a file.
///
/// # Errors
/// If it is missing or damaged.
pub fn read_matches(path: &Path) -> Result<StreamingEvaluation, HeadError> {
    let bytes = std::fs::read(path).map_err(HeadError::io("read", path))?;
    StreamingEvaluation::from_bytes(&bytes).map_err(|error| HeadError::Head {
        path: path.to_owned(),
        reason: format!("is damaged: {error}; remove it and its .json, and the command makes them again"),
    })
}
