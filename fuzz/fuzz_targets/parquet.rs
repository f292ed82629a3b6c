//! Parquet tables of detections: the library panics on some damaged tables, which is an error here; never a
//! panic of ours, and none that comes out.

#![no_main]

use std::{io::Write, panic};

use libfuzzer_sys::fuzz_target;
use longtail_eval::read_detections;

/// The fuzzer's own hook ends at every panic, before it could be caught.
fn end_at_panics_of_ours() {
    let end = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let ours = |file: &str| file.contains("longtail") || file.contains("fuzz_targets");
        if panic.location().is_none_or(|place| ours(place.file())) {
            end(panic);
        }
    }));
}

fuzz_target!(init: end_at_panics_of_ours(), |bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"PAR1").unwrap();
    file.write_all(bytes.strip_prefix(b"PAR1").unwrap_or(bytes)).unwrap();
    let _ = read_detections(file.path());
});
