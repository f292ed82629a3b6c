//! Annotation files: never a panic, neither in reading nor in checking nor in scoring nothing against them;
//! and blocks that are parsed side by side give what `serde_json` gives of the whole.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_data::{AnnotationSet, CheckOptions};
use longtail_eval::{Protocol, evaluate};

fuzz_target!(|bytes: &[u8]| {
    // The first byte says how long the runs are.
    if let Some((run, bytes)) = bytes.split_first() {
        longtail_data::formats::blocks_agree_with_serde(bytes, usize::from(*run) + 1);
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(set) = AnnotationSet::read(file.path()) {
        let _ = longtail_data::check(&set, &CheckOptions::default(), &|| ());
        let _ = longtail_data::Statistics::of(&set);
        for protocol in Protocol::ALL {
            let _ = evaluate(protocol, &set, &[]);
        }
    }
});
