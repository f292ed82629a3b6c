//! Parquet tables of detections: never a panic.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_eval::read_detections;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"PAR1").unwrap();
    file.write_all(bytes.strip_prefix(b"PAR1").unwrap_or(bytes)).unwrap();
    let _ = read_detections(file.path());
});
