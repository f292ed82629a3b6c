//! Files that are written whole, or not at all.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process,
};

use crate::error::DataError;

/// Writes a file beside its place and moves it there when it is complete.
///
/// # Errors
/// If it cannot be written; what there was before is then as it was.
pub(crate) fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DataError> {
    let partial = partial_path(path);
    let written = File::create(&partial)
        .and_then(|file| {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            write(&mut out)?;
            out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The message is about the write that failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        DataError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// Where a file or folder is made before it is complete: beside its place, since a rename cannot cross file systems,
/// under a name that neither another file of the folder nor another process writes to.
pub(crate) fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}.partial", process::id()));
    path.with_file_name(name)
}
