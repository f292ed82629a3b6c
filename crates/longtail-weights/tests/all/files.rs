//! Files of every format against what torch and numpy find in them (`scripts/golden/weight_files.py`); files that ask
//! for code; damaged files.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use longtail_weights::{Format, WeightFile, WeightsError};
use proptest::prelude::*;
use serde::Deserialize;

use crate::{bytes, path};

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    values: Vec<f64>,
}

fn assert_holds_everything(file: &WeightFile) {
    let text = String::from_utf8(bytes("expected.json")).unwrap();
    let expected: BTreeMap<String, Expected> = serde_json::from_str(&text).unwrap();
    let weights = file.weights().unwrap();
    for (name, expected) in &expected {
        let found = weights.get(name.as_str()).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(found.shape(), expected.shape, "{name}");
        let values: Vec<f32> = expected.values.iter().map(|&v| v as f32).collect();
        assert_eq!(found.to_f32(), values, "{name}");
    }
    assert!(expected.len() == 13 && weights.len() >= 13);
}

#[test]
fn every_format_gives_the_values_of_torch() {
    for (name, format) in [
        ("zip.pth", Format::TorchZip),
        ("legacy.pth", Format::TorchLegacy),
        ("plain.safetensors", Format::Safetensors),
        ("checkpoint.pth", Format::TorchZip),
        ("numpy2.pkl", Format::NumpyPickle),
        ("numpy4.pkl", Format::NumpyPickle),
    ] {
        let file = WeightFile::read(&path(name)).unwrap();
        assert_eq!(file.format, format, "{name}");
        assert_holds_everything(&file);
    }
}

#[test]
fn an_archive_around_one_file_is_opened() {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("package/__init__.py", options).unwrap();
    archive.start_file("package/models/weights-1234.pth", options).unwrap();
    std::io::Write::write_all(&mut archive, &bytes("legacy.pth")).unwrap();
    let inside = archive.finish().unwrap().into_inner();
    assert_holds_everything(&WeightFile::parse(inside.clone()).unwrap());
    // Once only.
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.start_file("a.pth", options).unwrap();
    std::io::Write::write_all(&mut archive, &inside).unwrap();
    let error = WeightFile::parse(archive.finish().unwrap().into_inner()).unwrap_err();
    assert!(matches!(error, WeightsError::UnknownFormat { .. }), "{error}");
}

#[test]
fn a_checkpoint_tells_its_classes_and_keeps_the_optimizer_apart() {
    let file = WeightFile::read(&path("checkpoint.pth")).unwrap();
    assert_eq!(file.group, "state_dict");
    assert_eq!(file.classes.as_deref(), Some(&["cat".to_owned(), "dog".to_owned()][..]));
    assert_eq!(file.metadata["meta.epoch"], "12");
    let other: Vec<_> = file.tensors.iter().filter(|t| t.group != file.group).collect();
    assert_eq!((other.len(), other[0].group.as_str()), (1, "optimizer.state.0"));
    let file = WeightFile::read(&path("numpy2.pkl")).unwrap();
    assert_eq!((file.group.as_str(), file.metadata["scale"].as_str()), ("model", "0.5"));
    assert_eq!(file.weights().unwrap()["fortran"].to_f32(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

#[test]
fn what_asks_for_code_is_refused_by_name() {
    for (name, asked) in [
        ("malicious.pth", "posix.system"),
        ("malicious_legacy.pth", "posix.system"),
        ("malicious.pkl", "posix.system"),
    ] {
        let error = WeightFile::read(&path(name)).unwrap_err().to_string();
        assert!(error.contains(asked) && error.contains(name) && error.contains("executed"), "{error}");
    }
    assert!(!PathBuf::from("executed").exists());
    // By hand: every way in which a pickle can name a function or make an object.
    for (pickle, asked) in [
        (&b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R."[..], "os.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "builtins.eval"),
        (b"\x80\x02(ios\nsystem\n.", "os.system"),
        (b"\x80\x02(cbuiltins\nexec\no.", "builtins.exec"),
        (b"\x80\x02\x82\x01.", "opcode 0x82"),
        (b"\x80\x02]N\x81.", "not a class"),
        (b"\x80\x02N}b.", "gives a state"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "arguments"),
        (b"\x80\x02Pnobody\n.", "opcode 0x50"),
    ] {
        let error = WeightFile::parse(pickle.to_vec()).unwrap_err().to_string();
        assert!(error.contains(asked), "{error}");
    }
}

#[test]
fn other_files_are_told_apart() {
    let tar = {
        let mut block = vec![0; 512];
        block[257..262].copy_from_slice(b"ustar");
        block
    };
    for (contents, said) in [
        (&b""[..], "empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (&tar, "tar archive"),
        (b"\x07\x01\x02\x03", "no known format"),
        (b"something else", "text that begins with \"something else\""),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "without data.pkl"),
    ] {
        let error = WeightFile::parse(contents.to_vec()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_file_cut_short_is_an_error() {
    for name in ["zip.pth", "legacy.pth", "plain.safetensors", "numpy2.pkl", "numpy4.pkl"] {
        let whole = bytes(name);
        for length in (0..whole.len()).step_by(whole.len() / 97) {
            assert!(WeightFile::parse(whole[..length].to_vec()).is_err(), "{name} cut at {length}");
        }
    }
}

#[test]
fn a_flipped_bit_of_a_zip_file_is_noticed_or_changes_nothing() {
    let whole = bytes("zip.pth");
    let first = WeightFile::parse(whole.clone()).unwrap();
    let values = |file: &WeightFile| -> Vec<(String, Vec<u32>)> {
        let bits = |t: &longtail_weights::Tensor| t.to_f32().into_iter().map(f32::to_bits).collect();
        file.tensors.iter().map(|named| (named.name.clone(), bits(&named.tensor))).collect()
    };
    let expected = values(&first);
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        match WeightFile::parse(flipped) {
            Ok(file) => assert_eq!(values(&file), expected, "bit of byte {at}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > whole.len() / 4, "{refused}");
}

#[test]
fn hostile_pickles_cost_no_more_than_their_bytes() {
    let began = Instant::now();
    // A list in itself, a list of lists of the same list, nesting, and one long string encoded over and over.
    let own = b"\x80\x02]q\0h\0a.".to_vec();
    assert!(WeightFile::parse(own).is_err());
    let mut billion = b"\x80\x02]q\0".to_vec();
    for level in 0..30_u8 {
        billion.extend(b"](");
        billion.extend((0..10).flat_map(|_| [b'h', level]));
        billion.extend([b'e', b'q', level + 1]);
    }
    billion.push(b'.');
    assert!(WeightFile::parse(billion).is_err());
    let mut deep = b"\x80\x02]".to_vec();
    deep.extend(std::iter::repeat_n(0x85, 1_000_000));
    deep.push(b'.');
    assert!(WeightFile::parse(deep).is_err());
    let mut copies = b"\x80\x02c_codecs\nencode\nq\0X".to_vec();
    copies.extend(1_000_000_u32.to_le_bytes());
    copies.extend(std::iter::repeat_n(b'a', 1_000_000));
    copies.extend(b"q\x010X\x06\0\0\0latin1q\x020");
    for _ in 0..200_000 {
        copies.extend(b"h\0h\x01h\x02\x86R0");
    }
    copies.extend(b"N.");
    assert!(WeightFile::parse(copies).unwrap_err().to_string().contains("over and over"));
    let mut marks = b"\x80\x02".to_vec();
    marks.extend(std::iter::repeat_n(b'(', 5_000_000));
    assert!(WeightFile::parse(marks).is_err());
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn damaged_files_never_panic(
        which in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let name = ["zip.pth", "legacy.pth", "plain.safetensors", "numpy2.pkl", "checkpoint.pth"][which];
        let mut damaged = bytes(name);
        for (index, value) in changes {
            let length = damaged.len();
            damaged[index.index(length)] = value;
        }
        if let Ok(file) = WeightFile::parse(damaged) {
            for named in &file.tensors {
                prop_assert_eq!(named.tensor.to_f32().len(), named.tensor.elements());
            }
        }
    }
}
