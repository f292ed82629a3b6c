//! Files of weights: never a panic, and every tensor that is accepted can be decoded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use longtail_weights::WeightFile;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = WeightFile::parse(bytes.to_vec()) {
        for named in &file.tensors {
            assert_eq!(named.tensor.to_f32().len(), named.tensor.elements());
        }
        let _ = file.weights();
    }
});
