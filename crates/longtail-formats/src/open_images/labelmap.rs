//! `labelmap.pbtxt`: `StringIntLabelMap` of the TensorFlow object detection API in protobuf's text format.

use std::fmt::Write;

use rustc_hash::FxHashSet;

use super::classes::OpenImagesClass;

/// What is wrong, and in which line.
type Problem = (u64, String);

/// Classes in file order. An item's readable name is its `display_name`, else its `name`.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<OpenImagesClass>, Problem> {
    let mut reader = Reader { bytes: bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), at: 0, line: 1 };
    let (mut classes, mut ids, mut labels) = (Vec::new(), FxHashSet::default(), FxHashSet::default());
    while let Some(token) = reader.next()? {
        if token != Token::Word("item") {
            return reader.fail("expected `item { name: … id: … }`");
        }
        let line = reader.line;
        let class = reader.item()?;
        if class.id < 1 {
            return Err((line, format!("id {} of `{}`: ids count from 1", class.id, class.label)));
        }
        if !ids.insert(class.id) {
            return Err((line, format!("id {} is repeated; give every class its own", class.id)));
        }
        if !labels.insert(class.label.clone()) {
            return Err((line, format!("name `{}` is repeated; give every class its own", class.label)));
        }
        classes.push(class);
    }
    if classes.is_empty() {
        return reader.fail("no class; expected `item { name: … id: … }`");
    }
    Ok(classes)
}

/// Classes as text.
pub(super) fn format(classes: &[OpenImagesClass]) -> String {
    let mut text = String::new();
    for class in classes {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let (label, name) = (quoted(&class.label), quoted(&class.name));
        let id = class.id;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "item {{\n  name: \"{label}\"\n  id: {id}\n  display_name: \"{name}\"\n}}");
    }
    text
}

#[derive(Debug, PartialEq)]
enum Token<'a> {
    /// A name or a number.
    Word(&'a str),
    Text(String),
    Sign(u8),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Reader<'a> {
    fn fail<T>(&self, reason: &str) -> Result<T, Problem> {
        Err((self.line, reason.to_owned()))
    }

    /// The next token; spaces, comments and the separators `,` and `;` are skipped.
    fn next(&mut self) -> Result<Option<Token<'a>>, Problem> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'\n' => self.line += 1,
                b'#' => {
                    let end = self.bytes[self.at..].iter().position(|&b| b == b'\n');
                    self.at = end.map_or(self.bytes.len(), |length| self.at + length);
                    continue;
                }
                b' ' | b'\t' | b'\r' | b',' | b';' => {}
                _ => break,
            }
            self.at += 1;
        }
        let Some(&byte) = self.bytes.get(self.at) else { return Ok(None) };
        match byte {
            b'"' | b'\'' => self.text(byte).map(|text| Some(Token::Text(text))),
            b'{' | b'}' | b'<' | b'>' | b':' => {
                self.at += 1;
                Ok(Some(Token::Sign(byte)))
            }
            _ => {
                let of_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.');
                let length = self.bytes[self.at..].iter().take_while(|b| of_word(b)).count();
                let word = std::str::from_utf8(&self.bytes[self.at..self.at + length]).unwrap_or_default();
                if word.is_empty() {
                    return self.fail("a character that no label map has");
                }
                self.at += length;
                Ok(Some(Token::Word(word)))
            }
        }
    }

    /// Text in quotes, with the escapes that label maps have.
    fn text(&mut self, quote: u8) -> Result<String, Problem> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.fail("the file ends inside a text; it is cut short");
            };
            self.at += 1;
            match byte {
                b'\n' => return self.fail("a text without its closing quote"),
                b'\\' => {
                    let escaped = self.bytes.get(self.at).copied();
                    self.at += 1;
                    text.push(match escaped {
                        Some(b'n') => b'\n',
                        Some(b't') => b'\t',
                        Some(other @ (b'\\' | b'\'' | b'"')) => other,
                        _ => return self.fail("an escape other than \\\\, \\', \\\", \\n and \\t"),
                    });
                }
                _ if byte == quote => break,
                _ => text.push(byte),
            }
        }
        String::from_utf8(text).or_else(|_| self.fail("a text that is not UTF-8"))
    }

    fn item(&mut self) -> Result<OpenImagesClass, Problem> {
        let mut token = self.next()?;
        if token == Some(Token::Sign(b':')) {
            token = self.next()?;
        }
        let close = match token {
            Some(Token::Sign(b'{')) => b'}',
            Some(Token::Sign(b'<')) => b'>',
            _ => return self.fail("expected `{` after `item`"),
        };
        let (mut label, mut id, mut name) = (None, None, None);
        loop {
            let field = match self.next()? {
                Some(Token::Sign(sign)) if sign == close => break,
                Some(Token::Word(field)) => field,
                None => return self.fail("the file ends inside an item; it is cut short"),
                _ => return self.fail("expected a field's name"),
            };
            if self.next()? != Some(Token::Sign(b':')) {
                return self.fail(&format!("expected `:` after `{field}`"));
            }
            let value = self.next()?;
            match (field, value) {
                ("name", Some(Token::Text(value))) => label = Some(value),
                ("display_name", Some(Token::Text(value))) => name = Some(value),
                ("id", Some(Token::Word(value))) => match value.parse::<i64>() {
                    Ok(value) => id = Some(value),
                    Err(_) => return self.fail(&format!("`id` is {value}, expected an integer")),
                },
                ("name" | "display_name" | "id", _) => {
                    return self.fail(&format!("`{field}` has a value of another kind"));
                }
                (_, Some(Token::Text(_) | Token::Word(_))) => {}
                _ => return self.fail(&format!("`{field}` has no value")),
            }
        }
        let (Some(label), Some(id)) = (label, id) else {
            return self.fail("an item without `name` or `id`");
        };
        Ok(OpenImagesClass { id, name: name.unwrap_or_else(|| label.clone()), label })
    }
}
