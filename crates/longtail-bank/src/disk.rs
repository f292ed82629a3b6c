//! The space that is left on a disk, and sizes for people.

use std::path::Path;

use crate::error::BankError;

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
