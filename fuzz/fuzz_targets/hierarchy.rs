//! Open Images' tree of classes: never a panic; ancestors and descendants are the two sides of one relation.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use longtail_formats::open_images::Hierarchy;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let Ok(tree) = Hierarchy::read(file.path()) else { return };
    for label in tree.labels() {
        for above in tree.ancestors(label).unwrap() {
            assert!(**above != *label);
            assert!(tree.descendants(above).unwrap().iter().any(|below| **below == *label));
        }
    }
});
