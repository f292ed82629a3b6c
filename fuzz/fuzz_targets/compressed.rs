//! Compressed detections: never a panic, and what was packed is what is read; damaged files are refused or
//! read as they unpack.

#![no_main]

use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use longtail_eval::read_detections;

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fuzz_target!(|input: (bool, Option<(u16, u8)>, Vec<u8>)| {
    let (zstd, damage, bytes) = input;
    let mut packed = if zstd {
        zstd::encode_all(&bytes[..], 1).unwrap()
    } else {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&bytes).unwrap();
        gzip.finish().unwrap()
    };
    let Some((place, flip)) = damage else {
        let (found, plain) = (read_detections(file(&packed).path()), read_detections(file(&bytes).path()));
        // Packed once, a packed or Parquet file is none that is read.
        if let Ok(found) = found {
            assert_eq!(found, plain.unwrap());
        }
        return;
    };
    let place = usize::from(place) % packed.len();
    if flip == 0 {
        packed.truncate(place);
    } else {
        packed[place] ^= flip;
    }
    let _ = read_detections(file(&packed).path());
});
