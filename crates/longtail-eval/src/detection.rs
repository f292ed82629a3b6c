//! Detections and their files.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process,
};

use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::Value;

use crate::{error::EvalError, input::check_numbers};

/// A detection, as in COCO's results format.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// The ground truth's image id.
    pub image_id: i64,
    /// The ground truth's category id.
    pub category_id: i64,
    /// x, y, width, height in pixels of the original image.
    pub bbox: [f64; 4],
    /// Higher is more certain.
    pub score: f64,
}

/// Reads a JSON list of detections; fields besides those of [`Detection`] are ignored.
///
/// # Errors
/// If the file cannot be read or is no such list; the message names the entry and field, or has line and column.
pub fn read_detections(path: &Path) -> Result<Vec<Detection>, EvalError> {
    let io = |source| EvalError::Io { action: "read", path: path.to_owned(), source };
    let parse = |reason: String| EvalError::Parse { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(parse("the file is empty".into()));
    }
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    serde_json::from_slice(&bytes).map_err(|error| parse(explain(&bytes, &error)))
}

/// Writes detections as a JSON list: whole, or not at all.
///
/// # Errors
/// If the file cannot be written, or a detection has no place in JSON (NaN, infinity) or a negative size.
pub fn write_detections(path: &Path, detections: &[Detection]) -> Result<(), EvalError> {
    // serde_json writes NaN as null, which no evaluator reads back.
    for (index, detection) in detections.iter().enumerate() {
        check_numbers(index, detection)?;
    }
    let partial = partial_path(path);
    let written = File::create(&partial)
        .and_then(|file| {
            let mut writer = BufWriter::new(file);
            serde_json::to_writer(&mut writer, detections)?;
            writer.flush()?;
            writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
        })
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // The message is about the write that failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_file(&partial);
        EvalError::Io { action: "write", path: path.to_owned(), source }
    })
}

/// Where a file is written before it is complete: beside it, since a rename cannot cross file systems, and under a
/// name that neither another file of the folder nor another process writes to.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{}.partial", process::id()));
    path.with_file_name(name)
}

/// What is wrong with a file that did not parse. Reads it again, one entry at a time: the file can be too large to
/// hold as a tree of JSON values.
fn explain(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("{error}; the file is cut short");
    }
    let mut first_bad = None;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // Its result says nothing new: either a bad entry was found, or the file fails as it did before.
    let _ = FindBadEntry(&mut first_bad).deserialize(&mut reader);
    match first_bad {
        Some((index, reason)) => format!("entry {index} (counted from 0): {reason}"),
        None if error.is_syntax() => format!("{error}; note that JSON has no NaN or Infinity"),
        None => error.to_string(),
    }
}

/// Finds the first entry of a list that is no detection, and says why.
struct FindBadEntry<'a>(&'a mut Option<(usize, String)>);

impl<'de> DeserializeSeed<'de> for FindBadEntry<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for FindBadEntry<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of detections")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(entry) = entries.next_element::<Value>()? {
            if let Some(reason) = what_is_wrong(&entry) {
                *self.0 = Some((index, reason));
                break;
            }
            index += 1;
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Why an entry is no detection; `None` if it is one.
fn what_is_wrong(entry: &Value) -> Option<String> {
    let Some(fields) = entry.as_object() else {
        return Some(format!("{entry} is no object"));
    };
    let is_box = |v: &Value| v.as_array().is_some_and(|b| b.len() == 4 && b.iter().all(Value::is_number));
    type Test<'a> = (&'a str, &'a dyn Fn(&Value) -> bool, &'a str);
    let tests: [Test<'_>; 4] = [
        ("image_id", &Value::is_i64, "an integer"),
        ("category_id", &Value::is_i64, "an integer"),
        ("bbox", &is_box, "four numbers: x, y, width, height"),
        ("score", &Value::is_number, "a number"),
    ];
    tests.into_iter().find_map(|(name, is_right, expected)| match fields.get(name) {
        None => Some(format!("field `{name}` is missing")),
        Some(value) if !is_right(value) => Some(format!("field `{name}` is {value}, expected {expected}")),
        Some(_) => None,
    })
}
