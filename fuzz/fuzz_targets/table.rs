//! Plain tables: never a panic, and what is read is written and read back the same.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_formats::{DataFormat, Document, ReadOptions, WriteOptions};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, bytes).unwrap();
    let options = ReadOptions { format: Some(DataFormat::Csv), ..Default::default() };
    let Ok(document) = Document::open(&path, &options) else { return };
    if document.write(&path, DataFormat::Csv, &WriteOptions::default()).is_ok() {
        let again = Document::open(&path, &options).unwrap();
        assert_eq!(again.set.images, document.set.images);
        assert_eq!(again.set.categories, document.set.categories);
        assert_eq!(again.set.annotations.len(), document.set.annotations.len());
    }
});
