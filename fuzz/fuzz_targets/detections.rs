//! Files of detections: never a panic, and what is read is what `serde_json` reads.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_eval::{Detection, read_detections};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let found = read_detections(file.path());
    let starts_list = bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
    if starts_list {
        let expected = serde_json::from_slice::<Vec<Detection>>(bytes);
        assert_eq!(found.is_ok(), expected.is_ok());
        if let (Ok(found), Ok(expected)) = (found, expected) {
            let bits =
                |d: &Detection| (d.image_id, d.category_id, d.bbox.map(f64::to_bits), d.score.to_bits());
            assert!(found.iter().map(bits).eq(expected.iter().map(bits)));
        }
    }
});
