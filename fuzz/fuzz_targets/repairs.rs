//! Repairs of annotation files: never a panic, and a repaired file has nothing left to repair.

#![no_main]

use std::{collections::BTreeMap, io::Write};

use libfuzzer_sys::fuzz_target;
use longtail_curate::{CurateError, fix};

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let [source, once, twice] = ["a.json", "b.json", "c.json"].map(|name| folder.path().join(name));
    std::fs::File::create(&source).unwrap().write_all(bytes).unwrap();
    match fix(&source, &BTreeMap::new(), &once) {
        Ok(changes) if !changes.is_empty() => {
            assert_eq!(fix(&once, &BTreeMap::new(), &twice).unwrap(), []);
        }
        Err(CurateError::Fix { reason, .. }) => assert!(!reason.contains("please report"), "{reason}"),
        _ => {}
    }
});
