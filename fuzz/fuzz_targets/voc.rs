//! Pascal VOC files: never a panic, and what is written from them is read alike.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_formats::{DataFormat, Document, ReadOptions, WriteOptions};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("Annotations")).unwrap();
    fs::write(folder.path().join("Annotations/a.xml"), bytes).unwrap();
    let Ok(document) = Document::open(folder.path(), &ReadOptions::default()) else { return };
    let out = folder.path().join("out");
    if document.write(&out, DataFormat::Voc, &WriteOptions::default()).is_ok() {
        let again = Document::open(&out, &ReadOptions::default()).unwrap();
        assert_eq!(again.set.annotations.len(), document.set.annotations.len());
        assert_eq!(again.set.images[0].width, document.set.images[0].width);
    }
});
