//! The folder of a run: created and locked before the work starts, every file written by rename.

use std::{
    fs::{File, TryLockError},
    io::Write,
    path::{Path, PathBuf},
};

use crate::error::TrainError;

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
    pub fn open(path: &Path, resume: bool) -> Result<Self, TrainError> {
        for part in ["checkpoints", "detections"] {
            std::fs::create_dir_all(path.join(part)).map_err(TrainError::io("create run folder", path))?;
        }
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(TrainError::io("write to run folder", path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TrainError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(TrainError::io("lock", lock_path)(source)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock };
        // A run that failed before its first checkpoint is nothing that could be lost.
        match (folder.last_checkpoint().exists(), resume) {
            (true, false) => Err(TrainError::RunExists { path: path.to_owned() }),
            (false, true) => Err(TrainError::NothingToResume { path: path.to_owned() }),
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

    /// Writes a file of the run by write-and-rename.
    ///
    /// # Errors
    /// If the file cannot be written; an older one is then still whole.
    pub fn write(&self, name: &str, contents: &[u8]) -> Result<PathBuf, TrainError> {
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

/// Writes `path` through a temporary file in the same folder, synced and renamed, so that a reader sees the old
/// file or the new one and never half of it.
///
/// # Errors
/// If writing, syncing or renaming fails; the temporary file is removed.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), TrainError> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(TrainError::io("create folder", parent))?;
    }
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let result = File::create(&temporary)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()
        })
        .and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        // The write failed already; a leftover temporary file is the lesser problem.
        let _ = std::fs::remove_file(&temporary);
    }
    result.map_err(TrainError::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_temporary() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.safetensors");
        write_atomically(&path, |file| file.write_all(b"old")).unwrap();
        let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = write_atomically(&path, |file| {
            file.write_all(b"ne")?;
            Err(full())
        })
        .unwrap_err();
        assert!(error.to_string().contains("last.safetensors"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
