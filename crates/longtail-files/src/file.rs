//! Files that are written whole, or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::{
    error::FileError,
    temporary::{publish, temporary_path},
};

/// Bytes that are collected before they go to the system.
const BUFFER: usize = 1 << 18;

/// Writes a file from bytes.
///
/// # Errors
/// If it cannot be written; what there was before is then as it was.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_file(path, |out| out.write_all(bytes))
}

/// Writes a file piece by piece.
///
/// # Errors
/// If it cannot be written, or `write` fails; what there was before is then as it was.
pub fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let failed = |source| FileError { action: "write", path: path.to_owned(), source };
    write_file_with(path, |out| write(out).map_err(failed), failed)
}

/// Writes a file piece by piece, with errors of the caller's type: `failed` makes one of an input or output
/// error.
///
/// ```
/// # let home = tempfile::tempdir()?;
/// # let path = home.path().join("table.csv");
/// let written = longtail_files::write_file_with(&path, |_| Err("row 3 has no box".to_owned()), |e| e.to_string());
/// assert_eq!(written, Err("row 3 has no box".to_owned()));
/// assert!(!path.exists());
/// # let _: Result<(), String> = written;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If it cannot be written, or `write` fails; what there was before is then as it was.
pub fn write_file_with<T, E>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, E>,
    failed: impl Fn(io::Error) -> E,
) -> Result<T, E> {
    let temporary = temporary_path(path);
    let written = File::create(&temporary).map_err(&failed).and_then(|file| {
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let result = write(&mut out)?;
        out.into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| publish(&temporary, path))
            .map_err(&failed)?;
        Ok(result)
    });
    if written.is_err() {
        // The message is about the write that failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_file(&temporary);
    }
    written
}
