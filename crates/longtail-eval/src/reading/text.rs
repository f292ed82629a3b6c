//! Text as other tools write it: with byte order marks, in UTF-16, with numbers that JSON does not have.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};

/// The text in UTF-8 without its byte order mark.
///
/// # Errors
/// If it begins with the mark of UTF-16 and is not.
pub(super) fn decoded(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = String::from_utf16(&pairs.iter().copied().map(unit).collect::<Vec<_>>());
        text.ok().filter(|_| rest.is_empty()).ok_or("it begins as UTF-16, but is not; is the file whole?")
    };
    Ok(match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(rest),
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(wide(rest, u16::from_le_bytes)?.into_bytes()),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(wide(rest, u16::from_be_bytes)?.into_bytes()),
        _ => Cow::Borrowed(bytes),
    })
}

/// The text with `NaN` and `Infinity` in quotes, so that they are errors where a number is read and pass
/// where nothing is; `None` if it was not one of them that the parser stopped at.
pub(super) fn with_quoted_numbers(bytes: &[u8], error: &serde_json::Error) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let name_at = |at: usize| NAMES.into_iter().find(|name| bytes[at..].starts_with(name));
    let line = bytes.split(|b| *b == b'\n').take(error.line().checked_sub(1)?).map(|line| line.len() + 1);
    let stopped = line.sum::<usize>() + error.column();
    // The parser stops within the word, or in front of it.
    let near = stopped.saturating_sub(4)..(stopped + 1).min(bytes.len());
    if !error.is_syntax() || !near.into_iter().any(|at| name_at(at).is_some()) {
        return None;
    }
    let (mut text, mut in_string, mut at) = (Vec::with_capacity(bytes.len() + 64), false, 0);
    while at < bytes.len() {
        let name = if in_string { None } else { name_at(at) };
        if let Some(name) = name {
            text.push(b'"');
            text.extend_from_slice(name);
            text.push(b'"');
            at += name.len();
            continue;
        }
        let byte = bytes[at];
        // What a backslash protects belongs to it.
        let width = if in_string && byte == b'\\' { 2 } else { 1 };
        text.extend_from_slice(&bytes[at..(at + width).min(bytes.len())]);
        in_string ^= byte == b'"';
        at += width;
    }
    Some(text)
}

/// Reads an id: an integer, also one that is written as 1.0.
///
/// # Errors
/// If it is something else, or does not fit into 64 bits with a sign.
pub(crate) fn id<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    struct Id;

    impl de::Visitor<'_> for Id {
        type Value = i64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an integer from -2^63 to 2^63 - 1")
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<i64, E> {
            Ok(value)
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<i64, E> {
            i64::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<i64, E> {
            whole(value).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
        }
    }

    from.deserialize_any(Id)
}

/// A whole number of which every smaller one has an f64 too.
pub(super) fn whole(value: f64) -> Option<i64> {
    const MOST: f64 = (1u64 << f64::MANTISSA_DIGITS) as f64;
    (value.fract() == 0.0 && value.abs() <= MOST).then_some(value as i64)
}

/// An id in a list or an optional field.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Id(#[serde(deserialize_with = "id")] pub i64);

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn quoted(text: &str) -> Option<String> {
        let error = serde_json::from_str::<Value>(text).unwrap_err();
        with_quoted_numbers(text.as_bytes(), &error).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn numbers_that_json_does_not_have_are_quoted_outside_of_strings() {
        let found =
            quoted("[\n{\"NaN\": NaN, \"a \\\" NaN\": [-Infinity,Infinity], \"b\\\\\": NaN}]").unwrap();
        assert_eq!(
            found,
            "[\n{\"NaN\": \"NaN\", \"a \\\" NaN\": [\"-Infinity\",\"Infinity\"], \"b\\\\\": \"NaN\"}]"
        );
        assert!(serde_json::from_str::<Value>(&found).is_ok());
        for text in ["[1,]", "{\"NaN\": 1", "[Nothing]", ""] {
            assert_eq!(quoted(text), None, "{text}");
        }
    }

    #[test]
    fn marks_and_wide_letters_are_understood() {
        let text = "[\"ä\"]";
        let wide: Vec<u16> = std::iter::once(0xFEFF).chain(text.encode_utf16()).collect();
        let little: Vec<u8> = wide.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = wide.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for bytes in [format!("\u{feff}{text}").as_bytes(), &little, &big, text.as_bytes()] {
            assert_eq!(*decoded(bytes).unwrap(), *text.as_bytes());
        }
        assert!(decoded(&little[..little.len() - 1]).is_err());
    }

    #[test]
    fn ids_are_whole_numbers() {
        for (text, expected) in
            [("7", 7), ("-7", -7), ("7.0", 7), ("7e2", 700), ("9223372036854775807", i64::MAX)]
        {
            assert_eq!(serde_json::from_str::<Id>(text).unwrap().0, expected, "{text}");
        }
        for text in ["7.5", "1e300", "9223372036854775808", "\"7\"", "null", "true"] {
            assert!(serde_json::from_str::<Id>(text).is_err(), "{text}");
        }
    }
}
