//! Reading the bytes of a pickle: numbers, strings, lines. Every length is checked before anything is allocated.

use super::{machine::Machine, value::Node};
use crate::error::WeightsError;

/// Most bytes of a number.
const MAX_LONG: usize = 64;

impl Machine<'_> {
    pub(super) fn push_long(&mut self, length: usize) -> Result<(), WeightsError> {
        if length > MAX_LONG {
            return Err(self.error(format!("has a number of {length} bytes")));
        }
        let bytes = self.bytes(length)?;
        let node = if length <= 8 {
            let sign = bytes.last().is_some_and(|top| top & 0x80 != 0);
            let mut padded = [if sign { 0xff } else { 0 }; 8];
            padded[..length].copy_from_slice(bytes);
            Node::Int(i64::from_le_bytes(padded))
        } else {
            Node::LongInt(bytes.into())
        };
        self.push(node)
    }

    pub(super) fn push_bytes(&mut self, length: usize) -> Result<(), WeightsError> {
        self.bytes(length)?;
        self.push(Node::Bytes(self.at - length..self.at))
    }

    pub(super) fn push_text(&mut self, length: usize) -> Result<(), WeightsError> {
        let bytes = self.bytes(length)?;
        // Lone surrogates are the only way in which a pickled string is not UTF-8; no name of a tensor has them.
        let text = String::from_utf8_lossy(bytes).into();
        self.push(Node::Text(text))
    }

    /// A string of protocol 0 in Python's quotes.
    pub(super) fn quoted(&mut self) -> Result<Node, WeightsError> {
        let start = self.at;
        let line = self.line()?;
        let quote = line.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let inside = quote.and_then(|quote| line[1..].strip_suffix(quote));
        let inside = inside.ok_or_else(|| self.error("has a string without quotes"))?;
        if !inside.contains('\\') {
            return Ok(Node::Bytes(start + 1..start + 1 + inside.len()));
        }
        let mut decoded = Vec::with_capacity(inside.len());
        let mut rest = inside.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                decoded.push(byte);
                continue;
            }
            let escaped = match rest.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'x') => {
                    let digits = [rest.next(), rest.next()];
                    let hex = digits.map(|d| d.and_then(|d| char::from(d).to_digit(16)));
                    match hex {
                        [Some(high), Some(low)] => (high * 16 + low) as u8,
                        _ => return Err(self.error("has a string with a damaged escape")),
                    }
                }
                Some(other @ (b'\\' | b'\'' | b'"')) => other,
                _ => return Err(self.error("has a string with an unknown escape")),
            };
            decoded.push(escaped);
        }
        Ok(Node::OwnedBytes(decoded.into()))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&[u8], WeightsError> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.file.len());
        let Some(end) = end else {
            let left = self.file.len() - self.at;
            return Err(
                self.error(format!("wants {length} more bytes where {left} are left: it is cut short"))
            );
        };
        let bytes = &self.file[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let bytes = self.bytes(N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    pub(super) fn length4(&mut self) -> Result<usize, WeightsError> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    pub(super) fn length8(&mut self) -> Result<usize, WeightsError> {
        let length = u64::from_le_bytes(self.take()?);
        usize::try_from(length).map_err(|_| self.error(format!("wants {length} bytes")))
    }
}

impl<'a> Machine<'a> {
    /// The text up to the end of the line.
    pub(super) fn line(&mut self) -> Result<&'a str, WeightsError> {
        let rest = &self.file[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.error("has a line without an end: it is cut short"))?;
        let text = std::str::from_utf8(&rest[..length]);
        let text = text.map_err(|_| self.error("has a line that is not text"))?;
        self.at += length + 1;
        Ok(text)
    }

    pub(super) fn parse<T: std::str::FromStr>(&self, text: &str) -> Result<T, WeightsError> {
        text.trim().parse().map_err(|_| self.error("has a line that is not a number"))
    }
}
