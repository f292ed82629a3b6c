//! YOLO data sets: never a panic in `data.yaml`, label files or lists, and what is read is written and read
//! alike.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_formats::{DataFormat, Document, ReadOptions, WriteOptions};

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x60, 0, 0, 0,
    2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

fuzz_target!(|data: (u8, &[u8])| {
    let (which, bytes) = data;
    let folder = tempfile::tempdir().unwrap();
    for name in ["images/train", "labels/train"] {
        fs::create_dir_all(folder.path().join(name)).unwrap();
    }
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("images/train/a.png", PIXEL);
    write("data.yaml", b"train: images/train\nval: val.txt\nnames: [cow, dog]\n");
    let part = match which % 3 {
        0 => {
            write("data.yaml", bytes);
            "all"
        }
        1 => {
            write("val.txt", bytes);
            "val"
        }
        _ => {
            write("labels/train/a.txt", bytes);
            "train"
        }
    };
    let options =
        ReadOptions { format: Some(DataFormat::Yolo), part: Some(part.into()), ..Default::default() };
    let Ok(document) = Document::open(folder.path(), &options) else { return };
    let out = folder.path().join("out");
    document.write(&out, DataFormat::Yolo, &WriteOptions::default()).unwrap();
    fs::create_dir_all(out.join("images/train")).unwrap();
    write("out/images/train/a.png", PIXEL);
    let again = Document::open(&out, &ReadOptions::default()).unwrap();
    assert_eq!(again.set.categories.len(), document.set.categories.len());
    assert!(again.set.annotations.len() <= document.set.annotations.len());
});
