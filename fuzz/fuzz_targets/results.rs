//! Detections of other tools: never a panic, and what is read is written and read back.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use longtail_annotations::{AnnotationSet, Category, ImageRecord, Layout};
use longtail_eval::{ResultsFormat, read_results, write_results};
use longtail_formats::Document;

fuzz_target!(|data: (bool, &[u8])| {
    let (csv, bytes) = data;
    let folder = tempfile::tempdir().unwrap();
    let image = |id, file_name: &str| ImageRecord {
        id,
        file_name: file_name.into(),
        width: 3,
        height: 2,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    };
    let category = |id, name: &str| Category { id, name: name.into(), frequency: None };
    let truth = Document::new(AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: vec![image(1, "a.jpg"), image(2, "b/c.jpg")],
        annotations: Vec::new(),
        categories: vec![category(1, "x"), category(7, "y")],
    });
    let format = if csv { ResultsFormat::OpenImages } else { ResultsFormat::Yolo };
    let input = folder.path().join("in");
    if csv {
        fs::write(&input, bytes).unwrap();
    } else {
        fs::create_dir(&input).unwrap();
        fs::write(input.join("a.txt"), bytes).unwrap();
    }
    let Ok(found) = read_results(&input, format, &truth) else { return };
    let out = folder.path().join("out");
    // Scaling to pixels can overflow, which writing refuses.
    if write_results(&out, format, &truth, &found).is_ok() && !found.is_empty() {
        let _ = read_results(&out, format, &truth);
    }
});
