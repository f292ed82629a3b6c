//! Open Images' predictions: never a panic, and the fast and the thorough way of reading give the same.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_formats::open_images::{Prediction, read_predictions};

/// A row with its own texts.
type Row = (String, String, [u64; 5]);

fn read(bytes: &[u8]) -> Result<(Vec<Row>, u64), String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let row = |p: &Prediction<'_>| {
        let bits = [p.score, p.x_min, p.x_max, p.y_min, p.y_max].map(f64::to_bits);
        Ok(Some((p.image_id.to_owned(), p.label.to_owned(), bits)))
    };
    read_predictions(file.path(), row)
        .map_err(|error| error.to_string().replace(&file.path().display().to_string(), ""))
}

fuzz_target!(|bytes: &[u8]| {
    let header = b"ImageID,LabelName,Score,XMin,XMax,YMin,YMax";
    let fast = read(&[header.as_slice(), b"\n", bytes].concat());
    // Quotes in the first line lead to the thorough reader.
    let thorough = read(&[b"\"ImageID\"".as_slice(), &header[7..], b"\n", bytes].concat());
    assert_eq!(fast, thorough);
});
