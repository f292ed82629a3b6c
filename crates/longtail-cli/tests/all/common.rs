//! The binary, called as a user calls it, and a recipe for it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// A detector as small as they get.
pub const DETECTOR: &str = include_str!("../../../longtail-train/tests/all/detector.toml");

/// The recipe of the training crate's tests.
pub const TINY: &str = concat!(
    include_str!("../../../longtail-train/tests/all/tiny.toml"),
    include_str!("../../../longtail-train/tests/all/detector.toml")
);

/// A folder with a run of [`TINY`] and its bank.
pub struct Made {
    folder: TempDir,
}

impl Made {
    /// `extraction`: further arguments of `features extract`.
    pub fn new(extraction: &[&str]) -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        let (recipe, run, bank) = (made.path("tiny.toml"), made.path("run"), made.path("bank"));
        fs::write(&recipe, TINY).unwrap();
        succeed(&["train", &recipe, "--out", &run]);
        succeed(&[&["features", "extract", &run, "--out", &bank][..], extraction].concat());
        made
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

pub fn longtail(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longtail"));
    command.args(arguments);
    command
}

pub fn output(arguments: &[&str]) -> Output {
    longtail(arguments).output().unwrap()
}

/// Called in a folder.
pub fn output_in(folder: &Path, arguments: &[&str]) -> Output {
    longtail(arguments).current_dir(folder).output().unwrap()
}

/// Standard output.
pub fn succeed(arguments: &[&str]) -> String {
    succeeded(arguments, output(arguments))
}

pub fn succeed_in(folder: &Path, arguments: &[&str]) -> String {
    succeeded(arguments, output_in(folder, arguments))
}

fn succeeded(arguments: &[&str], output: Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Standard output on a terminal of so many columns.
pub fn succeed_at(columns: usize, arguments: &[&str]) -> String {
    succeeded(arguments, longtail(arguments).env("COLUMNS", columns.to_string()).output().unwrap())
}

/// Exit code 2, and standard error has every part and is no panic.
pub fn refuses(arguments: &[&str], parts: &[&str]) {
    refused(arguments, &output(arguments), parts);
}

pub fn refuses_in(folder: &Path, arguments: &[&str], parts: &[&str]) {
    refused(arguments, &output_in(folder, arguments), parts);
}

fn refused(arguments: &[&str], output: &Output, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert_says(output, parts);
}

/// Standard error has every part, and is no panic.
pub fn assert_says(output: &Output, parts: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in `{text}`");
    }
}

/// An array as a NumPy file.
pub fn write_npy(path: &Path, descr: &str, shape: &str, data: Vec<u8>) {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    while !(10 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    fs::write(path, bytes).unwrap();
}
