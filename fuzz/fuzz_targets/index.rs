//! Indexes of annotation files: never a panic, never more memory than the bytes allow, and what is read can
//! be written and read again. Without the checksum, which no fuzzer would get past.

#![no_main]

use libfuzzer_sys::fuzz_target;
use longtail_formats::index::{decode_unchecked, encode_unchecked};

fuzz_target!(|bytes: &[u8]| {
    if let Some(set) = decode_unchecked(bytes) {
        // Bytes, since NaN is not equal to itself. Unused flag bits and lengths have one form each, so
        // compare what is read of what is written.
        let written = encode_unchecked(&set);
        let again = decode_unchecked(&written).expect("what was written is read");
        assert_eq!(encode_unchecked(&again), written);
    }
});
