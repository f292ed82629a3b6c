//! Parts of evaluations: never a panic.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_eval::Partial;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(part) = Partial::read(file.path()) {
        let _ = Partial::merge(vec![part]).map(|whole| whole.report(None));
    }
});
