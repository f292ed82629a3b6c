//! Open Images as an annotation set: never a panic, whatever the boxes, labels, classes or tree.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_formats::{DataFormat, Document, OpenImagesLabels, ReadOptions, WriteOptions};

/// A PNG of one pixel.
const PIXEL: &[u8] = &[
    0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0, 1, 8,
    0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63, 0x60, 0, 0, 0,
    2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82,
];

fuzz_target!(|data: (u8, &[u8])| {
    let (which, bytes) = data;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let mut files: [(&str, &[u8]); 4] = [
        (
            "train-annotations-bbox.csv",
            b"ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\na,/m/cat,0,1,0,1,0\na,/m/pet,0,1,0,1,1\n",
        ),
        ("train-imagelabels.csv", b"ImageID,LabelName,Confidence\na,/m/dog,0\na,/m/cat,1\n"),
        ("class-descriptions-boxable.csv", b"/m/cat,Cat\n/m/dog,Dog\n/m/pet,Pet\n"),
        (
            "hierarchy.json",
            br#"{"LabelName": "/m/0", "Subcategory": [{"LabelName": "/m/pet", "Subcategory": [{"LabelName": "/m/cat"},
                {"LabelName": "/m/dog"}]}]}"#,
        ),
    ];
    files[usize::from(which % 4)].1 = bytes;
    for (name, bytes) in files {
        write(name, bytes);
    }
    write("a.png", PIXEL);
    for labels in [OpenImagesLabels::Plain, OpenImagesLabels::Expanded, OpenImagesLabels::Leaf] {
        let options = ReadOptions { format: Some(DataFormat::OpenImages), labels, ..Default::default() };
        if let Ok(document) = Document::open(&folder.path().join(files[0].0), &options) {
            let out = folder.path().join(format!("{labels:?}"));
            let _ = document.write(&out, DataFormat::OpenImages, &WriteOptions::default());
        }
    }
});
