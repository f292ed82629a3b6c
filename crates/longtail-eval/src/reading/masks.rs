//! Masks of detections, out of JSON.

use std::{borrow::Cow, path::Path};

use longtail_mask::{Counts, Runs, Segmentation};
use serde_json::Value;

use super::{
    entry::polygons,
    explain::{Listed, Test, list, wrong_field},
};
use crate::{detection::MaskDetection, error::EvalError};

/// Reads every detection with its mask, or explains why not.
pub(crate) fn thorough_masks(path: &Path) -> Result<Vec<MaskDetection>, EvalError> {
    list(path)
}

impl Listed for MaskDetection {
    fn what_is_wrong(entry: &Value) -> Option<String> {
        let bbox = entry.get("bbox").filter(|value| !value.is_null());
        let is_box = |v: &Value| {
            v.as_array().is_some_and(|b| matches!(b.len(), 0 | 4) && b.iter().all(Value::is_number))
        };
        let test: Test<'_> = ("bbox", &is_box, "four numbers: x, y, width, height");
        wrong_field(entry, bbox.map(|_| test)).or_else(|| {
            let segmentation = entry.get("segmentation").filter(|value| !value.is_null())?;
            let error = serde_json::from_value::<Segmentation>(segmentation.clone()).err()?;
            Some(format!("field `segmentation` is not a mask: {error}"))
        })
    }
}

/// The mask of an entry; `None` if it is none, which the thorough reader explains.
pub(crate) fn segmentation(json: &[u8]) -> Option<Segmentation> {
    let usual =
        compressed(json).map(Segmentation::Runs).or_else(|| polygons(json).map(Segmentation::Polygons));
    usual.or_else(|| serde_json::from_slice(json).ok())
}

/// Compressed text as nearly all files have it: an object of `size` and `counts`, in either order.
fn compressed(json: &[u8]) -> Option<Runs> {
    let (mut size, mut counts) = (None, None);
    let mut rest = json.strip_prefix(b"{")?;
    loop {
        rest = rest.trim_ascii_start();
        if let Some(after) = rest.strip_prefix(b"\"size\"") {
            let after = value(after)?.strip_prefix(b"[")?;
            let end = after.iter().position(|&byte| byte == b']')?;
            let (height, width) = std::str::from_utf8(&after[..end]).ok()?.split_once(',')?;
            size = Some([height.trim().parse().ok()?, width.trim().parse().ok()?]);
            rest = &after[end + 1..];
        } else {
            let after = value(rest.strip_prefix(b"\"counts\"")?)?;
            let (text, after) = string(after.strip_prefix(b"\"")?)?;
            counts = Some(String::from_utf8(text.into_owned()).ok()?);
            rest = after;
        }
        rest = rest.trim_ascii_start();
        match (rest, size, &mut counts) {
            (b"}", Some(size), Some(text)) => {
                return Some(Runs { size, counts: Counts::Text(std::mem::take(text)) });
            }
            _ => rest = rest.strip_prefix(b",")?,
        }
    }
}

/// What follows a member's name and colon.
fn value(after_name: &[u8]) -> Option<&[u8]> {
    Some(after_name.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// The text up to the closing quotation mark, and what follows. Of escapes only `\\` is taken, as it is the
/// only one that compressed text needs.
fn string(after_quote: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let special = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'"' || byte == b'\\');
    let first = special(after_quote)?;
    if after_quote[first] == b'"' {
        return Some((Cow::Borrowed(&after_quote[..first]), &after_quote[first + 1..]));
    }
    let mut text = Vec::with_capacity(after_quote.len());
    let mut rest = after_quote;
    loop {
        let end = special(rest)?;
        text.extend_from_slice(&rest[..end]);
        match &rest[end..] {
            [b'"', after @ ..] => return Some((Cow::Owned(text), after)),
            [b'\\', b'\\', after @ ..] => {
                text.push(b'\\');
                rest = after;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_form_is_read_as_serde_reads_it() {
        for json in [
            r#"{"size": [10, 12], "counts": "ab\\\\c0"}"#,
            r#"{"counts":"X9\\","size":[3,4]}"#,
            r#"{ "size" : [ 1 , 2 ] , "counts" : "" }"#,
        ] {
            let expected: Segmentation = serde_json::from_str(json).unwrap();
            assert_eq!(compressed(json.as_bytes()).map(Segmentation::Runs), Some(expected), "{json}");
        }
    }

    #[test]
    fn polygons_are_read_as_serde_reads_them() {
        for json in [
            "[]",
            "[[]]",
            "[[1, 2.5,-3e2 , 0.1,1e-5,6]]",
            "[ [239.97,260.24] , [ 222.04 , 270.49 , 1.7976931348623157e308 ] ]",
        ] {
            let expected: Segmentation = serde_json::from_str(json).unwrap();
            assert_eq!(polygons(json.as_bytes()).map(Segmentation::Polygons), Some(expected), "{json}");
        }
        for json in ["[[1, 2", "[[1, 2]", "[[1,]]", "[[1] ,]", "[,[1]]", "[[1]] ", "[[01]]", "[1]", "[[NaN]]"]
        {
            assert_eq!(polygons(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn any_other_form_is_left_to_serde() {
        for json in [
            r#"{"size": [10, 12], "counts": "a\u0062"}"#,
            r#"{"size": [10, 12], "counts": [120]}"#,
            r#"{"size": [10, 12], "counts": "a", "more": 1}"#,
            r#"{"size": [10.0, 12], "counts": "a"}"#,
            r#"{"size": [10, 12], "counts": "a"} "#,
            r#"{"size": [10, 12]}"#,
            r#"[[1, 2, 3, 4, 5, 6]]"#,
            "{",
        ] {
            assert_eq!(compressed(json.as_bytes()), None, "{json}");
        }
    }
}
