//! The folder of a run: created and locked before the work starts, every file written by rename.

use std::{
    fs::{File, TryLockError},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::error::RunError;

/// A locked run folder. The lock goes when the value is dropped or the process ends.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
}

impl RunFolder {
    /// Creates (or opens) `path` and locks it.
    ///
    /// # Errors
    /// If the folder cannot be created or written, another process holds it, or it holds a run while `resume`
    /// is false, or holds none while `resume` is true.
    pub fn open(path: &Path, resume: bool) -> Result<Self, RunError> {
        for part in ["checkpoints", "detections"] {
            std::fs::create_dir_all(path.join(part)).map_err(RunError::io("create run folder", path))?;
        }
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(RunError::io("write to run folder", path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RunError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(RunError::io("lock", lock_path)(source)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        // A run that failed before its first checkpoint is nothing that could be lost.
        match (folder.last_checkpoint().exists(), resume) {
            (true, false) => Err(RunError::RunExists { path: path.to_owned() }),
            (false, true) => Err(RunError::NothingToResume { path: path.to_owned() }),
            _ => Ok(folder),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// The checkpoint that `--resume` continues from.
    pub fn last_checkpoint(&self) -> PathBuf {
        self.join("checkpoints/last.safetensors")
    }

    /// The checkpoint at the end of a stage.
    pub fn stage_checkpoint(&self, stage: &str) -> PathBuf {
        self.join(format!("checkpoints/{stage}.safetensors"))
    }

    /// Writes a value as a JSON file of the run, by write-and-rename.
    ///
    /// # Errors
    /// If the value has no form in JSON or the file cannot be written; an older one is then still whole.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<PathBuf, RunError> {
        let unwritable =
            |e: serde_json::Error| RunError::Unwritable { path: self.join(name), reason: e.to_string() };
        let mut bytes = serde_json::to_vec_pretty(value).map_err(unwritable)?;
        bytes.push(b'\n');
        self.write(name, &bytes)
    }

    /// Writes a file of the run by write-and-rename.
    ///
    /// # Errors
    /// If the file cannot be written; an older one is then still whole.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<PathBuf, RunError> {
        let path = self.join(name);
        write_atomically(&path, |file| file.write_all(contents))?;
        Ok(path)
    }
}

/// The first unused `parent/<n>`, from 1.
pub fn next_run_path(parent: &Path) -> PathBuf {
    (1..)
        .map(|n: u32| parent.join(n.to_string()))
        .find(|path| !path.exists())
        .unwrap_or_else(|| parent.into())
}

/// Writes `path` whole or not at all, in a folder that is made if it is missing.
///
/// # Errors
/// If it cannot be written; what there was before is then as it was.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), RunError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(RunError::io("create folder", parent))?;
    }
    Ok(longtail_files::write_file(path, write)?)
}
