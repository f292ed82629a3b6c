//! Annotation files: never a panic, neither in reading nor in checking nor in scoring nothing against them;
//! and blocks that are parsed side by side give what `serde_json` gives of the whole.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_curate::CheckOptions;
use longtail_eval::{Protocol, evaluate, reading::ground_truth::open_ground_truth};
use longtail_formats::ReadOptions;

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how long the runs are.
    if let Some((run, bytes)) = bytes.split_first() {
        longtail_formats::formats::blocks_agree_with_one_by_one(bytes, usize::from(*run) + 1);
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(set) = longtail_formats::read_annotations(file.path()) {
        let _ = longtail_curate::check(&set, &CheckOptions::default(), &|| ());
        let _ = longtail_curate::Statistics::of(&set);
        for protocol in Protocol::ALL {
            let _ = evaluate(protocol, &set, &[]);
        }
    }
    if let Ok(set) = open_ground_truth(file.path(), &ReadOptions::default()) {
        let _ = evaluate(Protocol::Coco, &set, &[]);
    }
});
