//! Text files as people have them: byte order marks, Windows line ends, and numbers that are none.

use std::{fs, path::Path};

use crate::error::FormatError;

/// Reads a text file; a UTF-8 byte order mark is dropped.
pub fn read_text(path: &Path) -> Result<String, FormatError> {
    let bytes = fs::read(path).map_err(FormatError::io("read", path))?;
    decode(bytes).map_err(|reason| FormatError::malformed(path, None, reason))
}

/// Reads an XML file in the encoding that its byte order mark or its declaration says.
pub(crate) fn read_xml(path: &Path) -> Result<String, FormatError> {
    let bytes = fs::read(path).map_err(FormatError::io("read", path))?;
    decode_xml(bytes).map_err(|reason| FormatError::malformed(path, None, reason))
}

fn decode_xml(bytes: Vec<u8>) -> Result<String, String> {
    let utf16 = |bytes: &[u8], from: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().copied().map(from).collect();
        match (String::from_utf16(&units), rest) {
            (Ok(text), []) => Ok(text),
            _ => Err("it says that it is UTF-16, and is cut short or damaged".to_owned()),
        }
    };
    match bytes.as_slice() {
        [0xFF, 0xFE, rest @ ..] => return utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => return utf16(rest, u16::from_be_bytes),
        [b'<', 0, ..] => return utf16(&bytes, u16::from_le_bytes),
        [0, b'<', ..] => return utf16(&bytes, u16::from_be_bytes),
        _ => {}
    }
    match declared(&bytes).as_deref() {
        Some("iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" | "l1") => {
            Ok(bytes.iter().copied().map(char::from).collect())
        }
        Some("windows-1252" | "cp1252" | "iso-8859-15") if std::str::from_utf8(&bytes).is_err() => {
            Ok(bytes.iter().copied().map(windows_1252).collect())
        }
        Some(other) if std::str::from_utf8(&bytes).is_err() && !other.starts_with("utf") => {
            Err(format!("its declaration says {other}, which is not read; save it as UTF-8"))
        }
        _ => decode(bytes),
    }
}

/// The encoding of an XML declaration, in small letters.
fn declared(bytes: &[u8]) -> Option<String> {
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let head = String::from_utf8_lossy(&text[..text.len().min(200)]);
    let declaration = head.strip_prefix("<?xml")?.split_once("?>")?.0;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    Some(value[1..].split_once(quote)?.0.trim().to_ascii_lowercase())
}

/// A byte of Windows' Latin alphabet, which has letters where ISO 8859-1 has controls.
fn windows_1252(byte: u8) -> char {
    const UPPER: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => UPPER[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
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
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

/// An integer.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    text.trim().parse().map_err(|_| format!("`{}` is not an integer", text.trim()))
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
    fn xml_is_read_as_it_declares() {
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>M\xF6we</a>".to_vec();
        assert!(decode_xml(latin).unwrap().ends_with("<a>M\u{f6}we</a>"));
        let windows = b"<?xml version=\"1.0\" encoding=\"windows-1252\"?><a>\x80</a>".to_vec();
        assert!(decode_xml(windows).unwrap().ends_with("<a>\u{20ac}</a>"));
        let units =
            |bytes: fn(u16) -> [u8; 2]| "\u{feff}<a>\u{f6}</a>".encode_utf16().flat_map(bytes).collect();
        assert_eq!(decode_xml(units(u16::to_le_bytes)).unwrap(), "<a>\u{f6}</a>");
        assert_eq!(decode_xml(units(u16::to_be_bytes)).unwrap(), "<a>\u{f6}</a>");
        let chinese = b"<?xml version=\"1.0\" encoding=\"gb2312\"?><a>\xBA\xA3</a>".to_vec();
        assert!(
            decode_xml(chinese).unwrap_err().contains("says gb2312, which is not read; save it as UTF-8")
        );
        let odd = b"\xFF\xFE<\0a".to_vec();
        assert!(decode_xml(odd).unwrap_err().contains("UTF-16"));
    }

    #[test]
    fn only_finite_numbers_with_a_point_are_numbers() {
        assert_eq!(number(" 0.5 "), Ok(0.5));
        for (text, part) in [
            ("0,5", "decimal comma"),
            ("nan", "finite"),
            ("inf", "finite"),
            ("x", "not a number"),
            ("", "missing"),
        ] {
            assert!(number(text).unwrap_err().contains(part), "{text}");
        }
    }
}
