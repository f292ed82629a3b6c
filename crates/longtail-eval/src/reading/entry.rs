//! Parses runs of detections as nearly all files have them: objects of the four fields, in any order, with
//! anything else skipped. Whatever is unusual is refused, and left to the thorough reader.

use serde::de::IgnoredAny;

use crate::detection::Detection;

/// The run is not of the usual form, or not right; the thorough reader can tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusual;

/// An entry as the fast parser finds it.
pub(crate) struct Entry<'a> {
    /// What is missing is 0.
    fields: Detection,
    seen: u8,
    /// JSON of `segmentation`; empty where there is none.
    segmentation: &'a [u8],
}

impl Entry<'_> {
    /// A detection with a box; `None` if a field is missing.
    #[inline]
    pub(crate) fn boxed(&self) -> Option<&Detection> {
        (self.seen & BOXED == BOXED).then_some(&self.fields)
    }

    /// A detection with a mask: its fields, whether it has a box too, and the JSON of its mask; `None` if a
    /// field is missing.
    pub(crate) fn masked(&self) -> Option<(&Detection, bool, &[u8])> {
        let complete = self.seen & MASKED == MASKED;
        complete.then_some((&self.fields, self.seen & BOX != 0, self.segmentation))
    }
}

/// What separates the entries of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Separator {
    /// A JSON list.
    Comma,
    /// JSON Lines.
    Newline,
}

/// A run of entries that starts at one, and either ends after a separator or, with `last`, ends the file;
/// they are appended to `found`.
pub(super) fn parse_run<T>(
    bytes: &[u8],
    separator: Separator,
    last: bool,
    convert: impl Fn(&Entry<'_>) -> Option<T>,
    found: &mut Vec<T>,
) -> Result<(), Unusual> {
    let mut cursor = Cursor { bytes, at: 0 };
    loop {
        found.push(convert(&cursor.entry()?).ok_or(Unusual)?);
        cursor.skip_space();
        match (separator, cursor.peek()) {
            (Separator::Comma, Some(b',')) => {
                cursor.at += 1;
                cursor.skip_space();
                if cursor.peek().is_none() && !last {
                    return Ok(());
                }
            }
            (Separator::Comma, Some(b']')) if last => {
                cursor.at += 1;
                cursor.skip_space();
                return if cursor.peek().is_none() { Ok(()) } else { Err(Unusual) };
            }
            (Separator::Newline, Some(b'{')) => {}
            (Separator::Newline, None) => return Ok(()),
            _ => return Err(Unusual),
        }
    }
}

/// Polygons of plain numbers; `None` where anything is unusual.
pub(super) fn polygons(json: &[u8]) -> Option<Vec<Vec<f64>>> {
    let mut cursor = Cursor { bytes: json, at: 0 };
    let all = cursor.list(|cursor| cursor.list(Cursor::number)).ok()?;
    (cursor.at == json.len()).then_some(all)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Skips space, then takes the byte.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Unusual> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Unusual)
    }

    fn entry(&mut self) -> Result<Entry<'a>, Unusual> {
        let mut entry = Detection { image_id: 0, category_id: 0, bbox: [0.0; 4], score: 0.0 };
        let (mut seen, mut segmentation) = (0u8, &[][..]);
        self.expect(b'{')?;
        loop {
            self.skip_space();
            let field = self.key()?;
            self.expect(b':')?;
            self.skip_space();
            // A repeated field is an error; serde says so.
            if seen & field != 0 {
                return Err(Unusual);
            }
            match field {
                IMAGE => entry.image_id = self.integer()?,
                CATEGORY => entry.category_id = self.integer()?,
                SCORE => entry.score = self.number()?,
                BOX => {
                    self.expect(b'[')?;
                    for (place, value) in entry.bbox.iter_mut().enumerate() {
                        if place > 0 {
                            self.expect(b',')?;
                        }
                        self.skip_space();
                        *value = self.number()?;
                    }
                    self.expect(b']')?;
                }
                _ => {
                    let start = self.at;
                    self.skip_value()?;
                    if field == MASK {
                        segmentation = &self.bytes[start..self.at];
                    }
                }
            }
            seen |= field;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Entry { fields: entry, seen, segmentation });
                }
                _ => return Err(Unusual),
            }
        }
    }

    /// A list of what `entry` reads.
    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T, Unusual>) -> Result<Vec<T>, Unusual> {
        let mut found = Vec::new();
        self.expect(b'[')?;
        loop {
            self.skip_space();
            if found.is_empty() && self.peek() == Some(b']') {
                break;
            }
            found.push(entry(self)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(Unusual),
            }
        }
        self.at += 1;
        Ok(found)
    }

    /// A field's name as its bit; 0 for others.
    #[inline]
    fn key(&mut self) -> Result<u8, Unusual> {
        let rest = &self.bytes[self.at..];
        for (name, bit) in NAMES {
            if rest.starts_with(name) {
                self.at += name.len();
                return Ok(bit);
            }
        }
        self.skip_string()?;
        Ok(0)
    }

    /// Any string, which may not be one of the names written with escapes.
    fn skip_string(&mut self) -> Result<(), Unusual> {
        let rest = &self.bytes[self.at..];
        if rest.first() != Some(&b'"') {
            return Err(Unusual);
        }
        let length = rest[1..].iter().position(|&b| b == b'"' || b == b'\\' || b < b' ').ok_or(Unusual)?;
        let text = &rest[1..1 + length];
        if rest[1 + length] != b'"' || std::str::from_utf8(text).is_err() {
            return Err(Unusual);
        }
        self.at += length + 2;
        Ok(())
    }

    fn skip_value(&mut self) -> Result<(), Unusual> {
        let mut values =
            serde_json::Deserializer::from_slice(&self.bytes[self.at..]).into_iter::<IgnoredAny>();
        match values.next() {
            Some(Ok(_)) => {
                self.at += values.byte_offset();
                Ok(())
            }
            _ => Err(Unusual),
        }
    }

    #[inline]
    fn integer(&mut self) -> Result<i64, Unusual> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let (digits, value) = self.digits(0);
        let first = self.bytes.get(self.at - digits).copied();
        // Longer ones may overflow; 1.0 and 1e3 are no integers.
        if digits == 0
            || digits > 18
            || (digits > 1 && first == Some(b'0'))
            || matches!(self.peek(), Some(b'.' | b'e' | b'E'))
        {
            return Err(Unusual);
        }
        Ok(if negative { -(value as i64) } else { value as i64 })
    }

    /// Digits appended to a value, which wraps when there are too many.
    #[inline]
    fn digits(&mut self, mut value: u64) -> (usize, u64) {
        let start = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        (self.at - start, value)
    }

    /// A JSON number, correctly rounded.
    #[inline]
    fn number(&mut self) -> Result<f64, Unusual> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.peek();
        let (whole, value) = self.digits(0);
        if whole == 0 || (whole > 1 && first == Some(b'0')) {
            return Err(Unusual);
        }
        let (mut decimals, mut mantissa) = (0, value);
        if self.peek() == Some(b'.') {
            self.at += 1;
            (decimals, mantissa) = self.digits(value);
            if decimals == 0 {
                return Err(Unusual);
            }
        }
        if !matches!(self.peek(), Some(b'e' | b'E')) && whole + decimals <= 19 && decimals < POWERS.len() {
            // Both are exact, so the quotient is rounded once (Clinger, PLDI 1990).
            if mantissa <= 1 << f64::MANTISSA_DIGITS {
                let value = mantissa as f64 / POWERS[decimals];
                return Ok(if negative { -value } else { value });
            }
        } else if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            if self.digits(0).0 == 0 {
                return Err(Unusual);
            }
        }
        let text = std::str::from_utf8(&self.bytes[start..self.at]).map_err(|_| Unusual)?;
        text.parse().map_err(|_| Unusual)
    }
}

const IMAGE: u8 = 1;
const CATEGORY: u8 = 2;
const BOX: u8 = 4;
const SCORE: u8 = 8;
const MASK: u8 = 16;
const BOXED: u8 = IMAGE | CATEGORY | BOX | SCORE;
const MASKED: u8 = IMAGE | CATEGORY | MASK | SCORE;
const NAMES: [(&[u8], u8); 5] = [
    (b"\"image_id\"", IMAGE),
    (b"\"category_id\"", CATEGORY),
    (b"\"bbox\"", BOX),
    (b"\"score\"", SCORE),
    (b"\"segmentation\"", MASK),
];

/// Powers of ten that an f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Vec<Detection>, Unusual> {
        let mut found = Vec::new();
        parse_run(text.as_bytes(), Separator::Comma, true, |d| d.boxed().copied(), &mut found).map(|()| found)
    }

    fn with_score(score: &str) -> Result<f64, Unusual> {
        let text = format!(r#"{{"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":{score}}}]"#);
        parse(&text).map(|found| found[0].score)
    }

    #[test]
    fn usual_entries_are_read() {
        let text = r#"{"bbox" : [1, -2.5 ,3e1,4], "extra": {"a": [1, "}"]}, "score":0.1, "category_id": -7,
            "image_id": 12, "area": 3} , {"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1} ] "#;
        let found = parse(text).unwrap();
        let first = Detection { image_id: 12, category_id: -7, bbox: [1.0, -2.5, 30.0, 4.0], score: 0.1 };
        assert_eq!((found.len(), found[0]), (2, first));
    }

    #[test]
    fn what_json_refuses_is_refused() {
        for score in ["01", "1.", ".5", "+1", "1e", "NaN", "inf", "-", "\"1\"", "null", "1 2", "0x1"] {
            assert_eq!(with_score(score), Err(Unusual), "{score}");
        }
        for text in [
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1],"score":1}]"#,
            r#"{"image_id":1.0,"category_id":2,"bbox":[0,0,1,1],"score":1}]"#,
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1,1]}]"#,
            r#"{"image_id":1,"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1}]"#,
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1}"#,
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1},]"#,
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1}] x"#,
            r#"{"image_id":1,"category_id":2,"bbox":[0,0,1,1],"score":1,}]"#,
        ] {
            assert_eq!(parse(text), Err(Unusual), "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_have_the_bits_of_serde(value in any::<f64>(), decimals in 0_usize..25, exponent in -30..30_i32) {
            for text in [
                format!("{:.decimals$}", value % 1e9), format!("{value:e}"),
                format!("{:.decimals$}e{exponent}", value % 1e3),
            ] {
                if let Ok(expected) = serde_json::from_str::<f64>(&text) {
                    prop_assert_eq!(with_score(&text).unwrap().to_bits(), expected.to_bits(), "{}", text);
                }
            }
        }
    }
}
