//! Parts of evaluations and streamed ones: never a panic.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_eval::{Partial, StreamingEvaluation};

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    if let Ok(part) = Partial::read(file.path()) {
        let _ = Partial::merge(vec![part]).map(|whole| whole.report(None));
    }
    if let Ok(evaluation) = StreamingEvaluation::from_bytes(bytes) {
        let _ = evaluation.finish().map(|whole| whole.report(None));
    }
});
