//! Open Images' boxes, image-level labels and classes: never a panic, and what is written reads back the
//! same.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_formats::open_images::{
    read_boxes, read_classes, read_image_labels, write_boxes, write_class_descriptions, write_image_labels,
    write_labelmap,
};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let [csv, map, copy, copied_map] =
        ["in.csv", "in.pbtxt", "copy.csv", "copy.pbtxt"].map(|name| folder.path().join(name));
    for path in [&csv, &map] {
        std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }
    if let Ok(boxes) = read_boxes(&csv) {
        write_boxes(&copy, &boxes).unwrap();
        // Where some boxes have a confidence, all are written with one.
        let again = read_boxes(&copy).unwrap();
        assert!(boxes.iter().map(|b| b.x_min.to_bits()).eq(again.iter().map(|b| b.x_min.to_bits())));
        assert_eq!(boxes, again);
    }
    if let Ok(labels) = read_image_labels(&csv) {
        write_image_labels(&copy, &labels).unwrap();
        assert_eq!(read_image_labels(&copy).unwrap(), labels);
    }
    for path in [&csv, &map] {
        if let Ok(classes) = read_classes(path) {
            write_labelmap(&copied_map, &classes).unwrap();
            assert_eq!(read_classes(&copied_map).unwrap(), classes);
            write_class_descriptions(&copy, &classes).unwrap();
            let _ = read_classes(&copy);
        }
    }
});
