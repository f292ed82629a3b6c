//! COCO and LVIS files with everything they say: never a panic, the same set as without, and the same
//! document again once it is written.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_annotations::Layout;
use longtail_formats::{DataFormat, Document, ReadOptions, WriteOptions};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, bytes).unwrap();
    let set = longtail_formats::read_annotations(&path);
    let Ok(mut document) = Document::open(&path, &ReadOptions::default()) else { return };
    assert_eq!(document.set, set.unwrap());
    let format = if document.set.layout == Layout::Lvis { DataFormat::Lvis } else { DataFormat::Coco };
    document.write(&path, format, &WriteOptions::default()).unwrap();
    let again = Document::open(&path, &ReadOptions::default()).unwrap();
    for annotation in &mut document.set.annotations {
        annotation.area.get_or_insert(annotation.bbox[2] * annotation.bbox[3]);
    }
    assert_eq!(again.set.annotations.len(), document.set.annotations.len());
    assert_eq!(again.extras.annotations, document.extras.annotations);
});
