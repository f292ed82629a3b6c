//! The name that a file or folder has while it is written.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process,
};

use crate::error::FileError;

/// What a temporary name ends with.
const ENDING: &str = ".partial";

/// Where a file or folder is made before it is complete: beside its place, since a rename cannot cross file
/// systems, and under a name that neither another file of the folder nor another process writes to.
pub fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}{ENDING}", process::id()));
    path.with_file_name(name)
}

/// The final name of a temporary one; `None` for every other name.
pub fn final_name(name: &str) -> Option<&str> {
    let (name, process) = name.strip_suffix(ENDING)?.rsplit_once('.')?;
    let is_number = !process.is_empty() && process.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !name.is_empty()).then_some(name)
}

/// Removes what killed processes left of files and folders that were being written into `folder`. `ours`
/// tells by the final name; nobody else may be writing them.
///
/// # Errors
/// If the folder cannot be read or a leftover cannot be removed.
pub fn remove_leftovers(folder: &Path, ours: impl Fn(&str) -> bool) -> Result<(), FileError> {
    for entry in fs::read_dir(folder).map_err(FileError::at("read", folder))? {
        let path = entry.map_err(FileError::at("read", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(final_name);
        if name.is_some_and(&ours) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(FileError::at("remove", &path))?;
        }
    }
    Ok(())
}

/// Moves what is complete to its place and writes the folder that holds it, so that the new name outlasts a
/// loss of power.
pub(crate) fn publish(temporary: &Path, path: &Path) -> io::Result<()> {
    fs::rename(temporary, path)?;
    sync_folder(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Writes the names in a folder to the disk.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    match fs::File::open(folder).and_then(|folder| folder.sync_all()) {
        // Some file systems cannot sync a folder, and a folder may be writable but not readable. The file is
        // whole.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Other systems open no folders.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
