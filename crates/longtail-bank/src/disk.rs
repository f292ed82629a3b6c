//! Files written by rename, and the space that is left.

use std::{
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

use crate::error::BankError;

/// What the temporary name of a file ends with.
const TEMPORARY: &str = ".tmp";

/// Writes `path` through a temporary file beside it, synced and renamed: a reader sees the old file or the new one, and a
/// kill leaves no half of it.
///
/// # Errors
/// If the file cannot be written, for instance because the disk is full.
pub fn write_by_rename(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<(), BankError> {
    let temporary = temporary(path);
    let written = File::create(&temporary).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // The write failed already; a leftover temporary file is the lesser problem.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(BankError::io("write", path))
}

/// The name that a file has while it is written.
fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(TEMPORARY);
    path.with_file_name(name)
}

/// Removes what a kill left of files that were being written into `folder`; `ours` tells by the final name.
///
/// # Errors
/// If the folder cannot be read or a file not removed.
pub(crate) fn remove_temporary(folder: &Path, ours: impl Fn(&str) -> bool) -> Result<(), BankError> {
    for entry in fs::read_dir(folder).map_err(BankError::io("read", folder))? {
        let path = entry.map_err(BankError::io("read", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_file() && name.strip_suffix(TEMPORARY).is_some_and(&ours) {
            fs::remove_file(&path).map_err(BankError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Refuses to begin what the disk cannot hold. A system that does not tell is trusted.
///
/// # Errors
/// If fewer bytes than `needed` are free.
pub fn check_space(path: &Path, needed: u64) -> Result<(), BankError> {
    match fs4::available_space(path) {
        Ok(free) if free < needed => Err(BankError::DiskFull { path: path.to_owned(), needed, free }),
        _ => Ok(()),
    }
}

/// Bytes for people: `1.5 GiB`.
pub fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1536 * 1024 * 1024), "1.5 GiB");
    }

    #[test]
    fn more_than_the_disk_has_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check_space(folder.path(), 1).unwrap();
        let error = check_space(folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("free") && error.contains("--precision"), "{error}");
    }
}
