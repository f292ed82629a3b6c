//! JSON as people have it: every value that Python reads, NaN and Infinity among them, and where each lies.
//!
//! The fast reader of large files takes JSON of the expected types alone. What it refuses comes here, is read by
//! meaning, and is named by its entry where it has none.

use std::{borrow::Cow, fmt};

/// Most levels of nesting.
const MAX_DEPTH: usize = 200;
/// Most characters of a value that a message repeats.
const MAX_SHOWN: usize = 60;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// As written, so that integers keep all their digits; `NaN`, `Infinity`, `-Infinity` too.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// A number: one, or a text that is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number("NaN") => Some(f64::NAN),
            Self::Number("Infinity") => Some(f64::INFINITY),
            Self::Number("-Infinity") => Some(f64::NEG_INFINITY),
            Self::Number(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// An integer: `7`, `7.0`, `"7"`.
    pub(crate) fn integer(&self) -> Option<i64> {
        let text = match self {
            Self::Number(text) => *text,
            Self::Text(text) => text.trim(),
            _ => return None,
        };
        // Beyond this a float does not tell neighbouring integers apart.
        let whole = |value: f64| (value.fract() == 0.0 && value.abs() < 9e15).then_some(value as i64);
        text.parse::<i64>().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
    }

    /// A truth value: `true`, `1`, `"1"`, `"yes"` and their opposites; nothing is false.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Self::Null => Some(false),
            Self::Bool(value) => Some(*value),
            Self::Number(_) => self.number().filter(|value| value.is_finite()).map(|value| value != 0.0),
            Self::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                "" | "0" | "false" | "no" | "none" => Some(false),
                "1" | "true" | "yes" => Some(true),
                text => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(|value| value != 0.0),
            },
            _ => None,
        }
    }

    /// A text, or a number as its text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(text) => Some(text),
            _ => None,
        }
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The entries of a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(entries) => Some(entries),
            _ => None,
        }
    }
}

impl fmt::Display for Json<'_> {
    /// The value as JSON, cut where it is long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn write(value: &Json<'_>, text: &mut String) {
            if text.len() > MAX_SHOWN {
                return;
            }
            match value {
                Json::Null => text.push_str("null"),
                Json::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
                Json::Number(number) => text.push_str(number),
                Json::Text(inner) => text.push_str(&serde_json::Value::from(&**inner).to_string()),
                Json::List(entries) => {
                    text.push('[');
                    for (index, entry) in entries.iter().enumerate() {
                        text.push_str(if index > 0 { ", " } else { "" });
                        write(entry, text);
                    }
                    text.push(']');
                }
                Json::Object(members) => {
                    text.push('{');
                    for (index, (name, entry)) in members.iter().enumerate() {
                        text.push_str(if index > 0 { ", " } else { "" });
                        text.push_str(&format!("{name:?}: "));
                        write(entry, text);
                    }
                    text.push('}');
                }
            }
        }
        let mut text = String::new();
        write(self, &mut text);
        if text.chars().count() > MAX_SHOWN {
            text = text.chars().take(MAX_SHOWN).chain(['…']).collect();
        }
        f.write_str(&text)
    }
}

/// What keeps a text from being JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Byte of the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) reason: String,
    /// The entry it is in, innermost list first.
    pub(crate) within: Vec<String>,
}

impl Broken {
    /// The reason with where it is: the entry, and the line where the file has lines.
    pub(crate) fn describe(&self, text: &str) -> String {
        let before = &text.as_bytes()[..self.at.min(text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let mut places: Vec<String> = self.within.first().cloned().into_iter().collect();
        if text.trim_end().contains('\n') {
            places.push(format!("line {line}"));
        }
        match places.as_slice() {
            [] => format!("{} (byte {})", self.reason, self.at),
            places => format!("{} ({})", self.reason, places.join(", ")),
        }
    }
}

/// A walk over a text that should be JSON.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The byte that comes next, after space.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Where the walk is.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    fn broken<T>(&self, reason: impl Into<String>) -> Result<T, Broken> {
        Err(Broken { at: self.at, reason: reason.into(), within: Vec::new() })
    }

    fn unexpected<T>(&mut self, expected: &str) -> Result<T, Broken> {
        match self.peek() {
            None => self.broken("the file is cut short"),
            Some(_) => {
                let found: String = self.text[self.at..].chars().take(12).collect();
                let found = found.split(['\n', '\r']).next().unwrap_or_default();
                self.broken(format!("found `{found}` where {expected} was expected"))
            }
        }
    }

    fn take(&mut self, byte: u8, expected: &str) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        self.unexpected(expected)
    }

    fn enter(&mut self) -> Result<(), Broken> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.broken(format!("it nests more than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    /// Calls `member` at the value of every member of an object.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&str, &mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.take(b'{', "`{`")?;
        self.enter()?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.take(b':', "`:`")?;
            member(&name, self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    self.depth -= 1;
                    return Ok(());
                }
                _ => return self.unexpected("`,` or `}`"),
            }
        }
    }

    /// Calls `entry` at every entry of a list, with its index; `name` says in messages which list it is.
    pub(crate) fn list(
        &mut self,
        name: &str,
        mut entry: impl FnMut(usize, &mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.take(b'[', "`[`")?;
        self.enter()?;
        if self.peek() == Some(b']') {
            self.at += 1;
            self.depth -= 1;
            return Ok(());
        }
        for index in 0.. {
            let read = entry(index, self).and_then(|()| match self.peek() {
                Some(b',' | b']') => Ok(()),
                _ => self.unexpected("`,` or `]`"),
            });
            read.map_err(|mut broken| {
                if !name.is_empty() {
                    broken.within.push(format!("entry {index} of `{name}`, counted from 0"));
                }
                broken
            })?;
            self.at += 1;
            if self.text.as_bytes()[self.at - 1] == b']' {
                self.depth -= 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Any value.
    pub(crate) fn value(&mut self) -> Result<Json<'a>, Broken> {
        match self.peek() {
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b'{') => {
                let mut members = Vec::new();
                self.object(|name, cursor| {
                    let value = cursor.value()?;
                    members.push((Cow::Owned(name.to_owned()), value));
                    Ok(())
                })?;
                Ok(Json::Object(members))
            }
            Some(b'[') => {
                let mut entries = Vec::new();
                self.list("", |_, cursor| {
                    entries.push(cursor.value()?);
                    Ok(())
                })?;
                Ok(Json::List(entries))
            }
            _ => self.word(),
        }
    }

    /// Any value, which is not kept; its text.
    pub(crate) fn skip(&mut self) -> Result<&'a str, Broken> {
        self.peek();
        let start = self.at;
        match self.peek() {
            Some(b'"') => drop(self.string()?),
            Some(b'{') => self.object(|_, cursor| cursor.skip().map(drop))?,
            Some(b'[') => self.list("", |_, cursor| cursor.skip().map(drop))?,
            _ => drop(self.word()?),
        }
        Ok(&self.text[start..self.at])
    }

    /// A number, a truth value, or nothing.
    fn word(&mut self) -> Result<Json<'a>, Broken> {
        self.peek();
        let rest = &self.text[self.at..];
        let ends = |c: char| matches!(c, ',' | ']' | '}' | ':' | '[' | '{' | '"') || c.is_ascii_whitespace();
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        let value = match word {
            "null" => Json::Null,
            "true" => Json::Bool(true),
            "false" => Json::Bool(false),
            "NaN" | "Infinity" | "-Infinity" => Json::Number(word),
            _ if is_number(word) => Json::Number(word),
            _ => return self.unexpected("a value"),
        };
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.peek();
        let (start, bytes) = (self.at, self.text.as_bytes());
        if bytes.get(start) != Some(&b'"') {
            return self.unexpected("`\"`");
        }
        let mut escaped = false;
        let mut at = start + 1;
        loop {
            match bytes.get(at) {
                None => {
                    self.at = bytes.len();
                    return self.broken("the file is cut short");
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => at += 1,
            }
        }
        let quoted = &self.text[start..=at];
        if escaped {
            let Ok(text) = serde_json::from_str::<String>(quoted) else {
                return self.broken("a text has an escape that is not one of JSON");
            };
            self.at = at + 1;
            return Ok(Cow::Owned(text));
        }
        self.at = at + 1;
        Ok(Cow::Borrowed(&self.text[start + 1..at]))
    }
}

/// Whether a word is a number of JSON.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('-').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        && word.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Json<'_>, Broken> {
        let mut cursor = Cursor::new(text);
        let value = cursor.value()?;
        match cursor.peek() {
            None => Ok(value),
            Some(_) => cursor.unexpected("the end"),
        }
    }

    #[test]
    fn values_are_read_by_meaning() {
        let value = read(r#"{"a": [1, 2.0, "3", "x", -1e0, NaN, -Infinity, 18446744073709551615]}"#).unwrap();
        let list = value.get("a").and_then(Json::list).unwrap();
        let integers: Vec<Option<i64>> = list.iter().map(Json::integer).collect();
        assert_eq!(integers, [Some(1), Some(2), Some(3), None, Some(-1), None, None, None]);
        assert!(list[5].number().unwrap().is_nan() && list[6].number() == Some(f64::NEG_INFINITY));
        for (text, flag) in [
            ("true", Some(true)),
            ("0", Some(false)),
            ("1.0", Some(true)),
            ("\"1\"", Some(true)),
            ("\"0\"", Some(false)),
            ("\"False\"", Some(false)),
            ("null", Some(false)),
            ("\"maybe\"", None),
            ("NaN", None),
            ("[1]", None),
        ] {
            assert_eq!(read(text).unwrap().flag(), flag, "{text}");
        }
    }

    #[test]
    fn what_is_broken_is_told_with_its_entry() {
        let lists = |text: &str| -> String {
            let mut cursor = Cursor::new(text);
            let broken = cursor.object(|name, cursor| {
                let name = name.to_owned();
                cursor.list(&name, |_, cursor| cursor.value().map(drop))
            });
            broken.unwrap_err().describe(text)
        };
        for (text, said) in [
            (
                r#"{"images": [{"id": 1}, {"id": 2"#,
                "the file is cut short (entry 1 of `images`, counted from 0)",
            ),
            (r#"{"images": [{"id": 1}, {"id": x}]}"#, "found `x}]}` where a value was expected (entry 1 of"),
            ("{\"images\": [{\"id\": 1},\n{\"id\" 2}]}", "counted from 0, line 2)"),
            (r#"{"images": [1 2]}"#, "where `,` or `]` was expected (entry 0"),
            (r#"{"images": ["a\q"]}"#, "escape"),
            ("{\"images\" 1}", "where `:` was expected (byte 10)"),
        ] {
            assert!(lists(text).contains(said), "{text}: {}", lists(text));
        }
        let deep = "[".repeat(1000);
        assert!(read(&deep).unwrap_err().reason.contains("nests"));
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let text = format!("[{}]", vec!["1.5"; 50].join(","));
        let shown = read(&text).unwrap().to_string();
        assert!(shown.chars().count() == MAX_SHOWN + 1 && shown.ends_with('…'), "{shown}");
    }

    proptest! {
        /// What serde takes is taken, with the same numbers and texts; nothing makes it panic.
        #[test]
        fn what_serde_reads_is_read(text in "[\\[\\]{}\",:0-9a-eE\\\\ .+n-]{0,40}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let ours = read(&text);
            if let Ok(value) = theirs {
                prop_assert!(ours.is_ok(), "{value}");
            }
        }
    }
}
