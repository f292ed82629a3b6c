//! The thorough reader: slower, exact about JSON, and it says what is wrong.

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde::{
    Deserialize,
    de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{
    open::{is_parquet, open},
    parquet,
    text::{decoded, whole as whole_number, with_quoted_numbers},
};
use crate::{detection::Detection, error::EvalError};

/// Reads every detection, or explains why not.
pub(crate) fn thorough(path: &Path) -> Result<Vec<Detection>, EvalError> {
    if is_parquet(path)? {
        let mut all = Vec::new();
        // It takes every row, so that nothing is unusual.
        let add = |found: &[Detection]| {
            all.extend_from_slice(found);
            Ok(())
        };
        let _ = parquet::stream(path, |detection| Some(*detection), add)?;
        return Ok(all);
    }
    list(path)
}

/// What lists of detections hold.
pub(super) trait Listed: DeserializeOwned {
    /// Why an entry is not one; `None` if it is.
    fn what_is_wrong(entry: &Value) -> Option<String>;
}

impl Listed for Detection {
    fn what_is_wrong(entry: &Value) -> Option<String> {
        let is_box = |v: &Value| v.as_array().is_some_and(|b| b.len() == 4 && b.iter().all(Value::is_number));
        let has = |name: &str| entry.as_object().is_some_and(|fields| fields.contains_key(name));
        if has("segmentation") && !has("bbox") {
            return Some("it has a mask and no `bbox`; score masks with --iou-type segm".into());
        }
        let bbox: Test<'_> = ("bbox", &is_box, "four numbers: x, y, width, height");
        wrong_field(entry, Some(bbox))
    }
}

/// Reads every entry of JSON or JSON Lines, or explains why not.
pub(super) fn list<T: Listed>(path: &Path) -> Result<Vec<T>, EvalError> {
    let parse = |reason: String| EvalError::Parse { path: path.to_owned(), reason };
    let mut reader = BufReader::with_capacity(1 << 20, open(path)?);
    let first = loop {
        let bytes = reader.fill_buf().map_err(|error| parse(unreadable(&error)))?;
        let Some(&byte) = bytes.first() else {
            return Err(parse("the file is empty".into()));
        };
        if !byte.is_ascii_whitespace() {
            break byte;
        }
        reader.consume(1);
    };
    // Of an object over several lines the first is not an entry; it may hold the list.
    let refused = match first {
        b'{' => match lines::<T>(reader, parse) {
            Ok(found) => return Ok(found),
            Err(error) => Some(error),
        },
        _ => None,
    };
    let io = |source| EvalError::io("read", path, source);
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
    let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    let mut unpacked = Vec::new();
    let bytes: &[u8] = if mapped.starts_with(&[0x1f, 0x8b]) || mapped.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        open(path)?.read_to_end(&mut unpacked).map_err(|error| parse(unreadable(&error)))?;
        &unpacked
    } else {
        &mapped
    };
    let text = decoded(bytes).map_err(parse)?;
    let error = match whole::<T>(&text) {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    if let Some(quoted) = with_quoted_numbers(&text, &error) {
        let explained = |error| refused.unwrap_or_else(|| parse(explain::<T>(&quoted, &error)));
        return whole::<T>(&quoted).map_err(explained);
    }
    Err(refused.unwrap_or_else(|| parse(explain::<T>(&text, &error))))
}

/// A list of detections, or an object that holds it.
fn whole<T: Listed>(text: &[u8]) -> Result<Vec<T>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(bound = "T: DeserializeOwned")]
    struct Wrapped<T> {
        #[serde(alias = "annotations", alias = "predictions", alias = "results")]
        detections: Vec<T>,
    }
    if text.trim_ascii_start().starts_with(b"{") {
        return serde_json::from_slice::<Wrapped<T>>(text).map(|wrapped| wrapped.detections);
    }
    serde_json::from_slice(text)
}

fn unreadable(error: &std::io::Error) -> String {
    format!("it cannot be unpacked ({error}); is the compressed file whole?")
}

/// JSON Lines.
fn lines<T: Listed>(reader: impl BufRead, parse: impl Fn(String) -> EvalError) -> Result<Vec<T>, EvalError> {
    let mut found = Vec::new();
    for (line, number) in reader.lines().zip(1..) {
        let line = line.map_err(|error| parse(format!("line {number}: {}", unreadable(&error))))?;
        if line.trim().is_empty() {
            continue;
        }
        let value = serde_json::from_str::<T>(&line);
        found.push(value.map_err(|error| {
            let wrong = serde_json::from_str(&line).ok().and_then(|value| T::what_is_wrong(&value));
            let reason = wrong.unwrap_or_else(|| match serde_json::from_str::<Value>(&line) {
                Err(_) if number == 1 => {
                    format!("{error}; a list starts with `[`, JSON Lines have an entry a line")
                }
                _ => error.to_string(),
            });
            parse(format!("line {number}: {reason}"))
        })?);
    }
    Ok(found)
}

/// What is wrong with a list that did not parse. Reads it again, one entry at a time: the file can be too
/// large to hold as a tree of JSON values.
fn explain<T: Listed>(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return format!("{error}; the file is cut short");
    }
    let mut first_bad = None;
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    // Its result says nothing new: either a bad entry was found, or the file fails as it did before.
    let _ = FindBadEntry { found: &mut first_bad, what_is_wrong: T::what_is_wrong }.deserialize(&mut reader);
    match first_bad {
        Some((index, reason)) => format!("entry {index} (counted from 0): {reason}"),
        None if error.is_syntax() => format!("{error}; note that JSON has no NaN or Infinity"),
        None => error.to_string(),
    }
}

/// Finds the first entry of a list that is not a detection, and says why.
struct FindBadEntry<'a> {
    found: &'a mut Option<(usize, String)>,
    what_is_wrong: fn(&Value) -> Option<String>,
}

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
            if let Some(reason) = (self.what_is_wrong)(&entry) {
                *self.found = Some((index, reason));
                break;
            }
            index += 1;
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// A field, whether a value of it is right, and what is expected.
pub(super) type Test<'a> = (&'a str, &'a dyn Fn(&Value) -> bool, &'a str);

/// The first field that an entry lacks or that is wrong, of those that all detections have and another.
pub(super) fn wrong_field(entry: &Value, other: Option<Test<'_>>) -> Option<String> {
    let Some(fields) = entry.as_object() else {
        return Some(format!("{entry} is not an object"));
    };
    if fields.contains_key("annotations") && fields.contains_key("images") {
        return Some("this is ground truth (it has `images` and `annotations`), not detections".into());
    }
    let is_id = |v: &Value| v.is_i64() || v.as_f64().is_some_and(|v| whole_number(v).is_some());
    let ids: [Test<'_>; 2] = [("image_id", &is_id, "an integer"), ("category_id", &is_id, "an integer")];
    let score: Test<'_> = ("score", &Value::is_number, "a number");
    ids.into_iter().chain(other).chain([score]).find_map(|(name, is_right, expected)| {
        match fields.get(name) {
            None => Some(format!("field `{name}` is missing")),
            Some(value) if !is_right(value) => {
                Some(format!("field `{name}` is {value}, expected {expected}"))
            }
            Some(_) => None,
        }
    })
}
