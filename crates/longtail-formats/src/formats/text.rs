//! Text files as people have them: byte order marks, Windows line ends, and numbers that are none.

use std::{fs, path::Path};

use crate::error::FormatError;

/// Reads a text file; a UTF-8 byte order mark is dropped.
pub fn read_text(path: &Path) -> Result<String, FormatError> {
    let bytes = fs::read(path).map_err(FormatError::io("read", path))?;
    decode(bytes).map_err(|reason| FormatError::malformed(path, None, reason))
}

fn decode(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err("it is UTF-16; save it as UTF-8".into());
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..place].iter().filter(|b| **b == b'\n').count() + 1;
        format!("line {line} is not UTF-8 (byte {place}); save it as UTF-8")
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Lines from 1 without their ends and the spaces around, but for the empty ones.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    // A lone carriage return ended lines on old Macs; `lines` leaves none of `\r\n`.
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// A finite number with a decimal point.
pub(crate) fn number(text: &str) -> Result<f64, String> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("`{text}` is not finite")),
        Err(_) if text.is_empty() => Err("a number is missing".into()),
        Err(_) if text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() => {
            Err(format!("`{text}` has a decimal comma; write a decimal point"))
        }
        Err(_) => Err(format!("`{text}` is no number")),
    }
}

/// An integer.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("`{}` is no integer", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_line_ends_are_dropped_and_other_encodings_named() {
        let text = decode(b"\xEF\xBB\xBFa \r\n\r\n b\r\n".to_vec()).unwrap();
        assert_eq!(lines(&text).collect::<Vec<_>>(), [(1, "a"), (3, "b")]);
        assert!(decode(b"\xFF\xFEa\0".to_vec()).unwrap_err().contains("UTF-16"));
        assert!(decode(b"a\nb\xE9".to_vec()).unwrap_err().contains("line 2 is not UTF-8"));
    }

    #[test]
    fn only_finite_numbers_with_a_point_are_numbers() {
        assert_eq!(number(" 0.5 "), Ok(0.5));
        for (text, part) in [
            ("0,5", "decimal comma"),
            ("nan", "finite"),
            ("inf", "finite"),
            ("x", "no number"),
            ("", "missing"),
        ] {
            assert!(number(text).unwrap_err().contains(part), "{text}");
        }
    }
}
