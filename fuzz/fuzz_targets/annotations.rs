//! Annotation files: never a panic, neither in reading nor in checking nor in scoring nothing against them.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_data::AnnotationSet;
use longtail_eval::{Protocol, evaluate};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(set) = AnnotationSet::read(file.path()) {
        let _ = longtail_data::check(&set, None, &|| ());
        for protocol in Protocol::ALL {
            let _ = evaluate(protocol, &set, &[]);
        }
    }
});
