//! The stack machine of Python's pickles, protocols 0 to 5, without what could run code.
//!
//! Source: the opcodes of `pickletools.py`. Every length is checked against the file before anything is allocated,
//! and the number of values is bounded, so that time and memory stay in proportion to the file.

use rustc_hash::FxHashMap;

use super::{
    globals::Global,
    value::{Arena, Id, Node},
};
use crate::{error::WeightsError, tensor::DType};

/// Most entries of the stack and of the memo.
const MAX_STACK: usize = 4_000_000;
/// Most work of calls for each byte of the file.
const MAX_SPENT_A_BYTE: usize = 8;
/// Most bytes of a number.
const MAX_LONG: usize = 64;

/// A storage that tensors of the pickle lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageRef {
    /// Elements.
    pub dtype: DType,
    /// Name in the container.
    pub key: String,
    /// Number of elements.
    pub elements: usize,
}

/// What a pickle was read to.
#[derive(Debug)]
pub struct Pickle {
    /// All values.
    pub arena: Arena,
    /// The outermost one.
    pub root: Id,
    /// Storages in the order of their first use.
    pub storages: Vec<StorageRef>,
    /// The byte after the pickle.
    pub end: usize,
}

/// The machine at work.
pub(super) struct Machine<'a> {
    pub(super) file: &'a [u8],
    pub(super) at: usize,
    pub(super) arena: Arena,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: FxHashMap<u32, Id>,
    pub(super) storages: Vec<StorageRef>,
    storage_of_key: FxHashMap<String, usize>,
    /// Bytes and entries that calls have read or copied: a short pickle must not copy a long value a million times.
    spent: usize,
}

/// Reads the pickle that starts at byte `start` of `file`.
///
/// # Errors
/// If it is cut short or damaged, or asks for anything but tensors and plain containers.
pub fn read(file: &[u8], start: usize) -> Result<Pickle, WeightsError> {
    let mut machine = Machine {
        file,
        at: start,
        arena: Arena::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: FxHashMap::default(),
        storages: Vec::new(),
        storage_of_key: FxHashMap::default(),
        spent: 0,
    };
    loop {
        let at = machine.at;
        let [opcode] = machine.take()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            let Machine { arena, storages, at, .. } = machine;
            return Ok(Pickle { arena, root, storages, end: at });
        }
        machine.step(opcode, at)?;
    }
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8, at: usize) -> Result<(), WeightsError> {
        match opcode {
            // PROTO, FRAME
            0x80 => {
                let [version] = self.take()?;
                if version > 5 {
                    return Err(self.error(format!("has protocol {version}; 0 to 5 are known")));
                }
                Ok(())
            }
            0x95 => self.take::<8>().map(|_| ()),
            // MARK, POP, POP_MARK, DUP
            b'(' => {
                self.check_room(self.marks.len())?;
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                    return Ok(());
                }
                self.pop().map(|_| ())
            }
            b'1' => self.pop_to_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.push_id(top)
            }
            // NONE, NEWTRUE, NEWFALSE
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            // Numbers: INT, BININT, BININT1, BININT2, LONG, LONG1, LONG4, FLOAT, BINFLOAT
            b'I' => {
                let node = match self.line()? {
                    "00" => Node::Bool(false),
                    "01" => Node::Bool(true),
                    text => Node::Int(self.parse(text)?),
                };
                self.push(node)
            }
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Node::Int(i64::from(value)))
            }
            b'K' => {
                let [value] = self.take()?;
                self.push(Node::Int(i64::from(value)))
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Node::Int(i64::from(value)))
            }
            b'L' => {
                let text = self.line()?;
                let value = self.parse(text.strip_suffix('L').unwrap_or(text))?;
                self.push(Node::Int(value))
            }
            0x8a => {
                let [length] = self.take()?;
                self.push_long(length.into())
            }
            0x8b => {
                let length = self.length4()?;
                self.push_long(length)
            }
            b'F' => {
                let text = self.line()?;
                let value = self.parse(text)?;
                self.push(Node::Float(value))
            }
            b'G' => {
                let value = f64::from_be_bytes(self.take()?);
                self.push(Node::Float(value))
            }
            // Strings: STRING, BINSTRING, SHORT_BINSTRING, UNICODE, BINUNICODE, SHORT_BINUNICODE, BINUNICODE8
            b'S' => {
                let node = self.quoted()?;
                self.push(node)
            }
            b'T' | b'B' => {
                let length = self.length4()?;
                self.push_bytes(length)
            }
            b'U' | b'C' => {
                let [length] = self.take()?;
                self.push_bytes(length.into())
            }
            b'V' => {
                let text = self.line()?.into();
                self.push(Node::Text(text))
            }
            b'X' => {
                let length = self.length4()?;
                self.push_text(length)
            }
            0x8c => {
                let [length] = self.take()?;
                self.push_text(length.into())
            }
            0x8d => {
                let length = self.length8()?;
                self.push_text(length)
            }
            // BINBYTES8, BYTEARRAY8
            0x8e | 0x96 => {
                let length = self.length8()?;
                self.push_bytes(length)
            }
            // Containers
            b']' => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::Set(Vec::new())),
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Node::List(items))
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Node::Tuple(items))
            }
            0x91 => {
                let items = self.pop_to_mark()?;
                self.push(Node::Set(items))
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.push(Node::Dict(pairs))
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let mut items = Vec::with_capacity(count);
                for _ in 0..count {
                    items.push(self.pop()?);
                }
                items.reverse();
                self.push(Node::Tuple(items))
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            b'e' | 0x90 => {
                let items = self.pop_to_mark()?;
                self.extend(&items)
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[(key, value)])
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                let pairs = self.pairs(&items)?;
                self.set_items(&pairs)
            }
            // Memo: PUT, BINPUT, LONG_BINPUT, MEMOIZE, GET, BINGET, LONG_BINGET
            b'p' => {
                let text = self.line()?;
                let place = self.parse(text)?;
                self.remember(place)
            }
            b'q' => {
                let [place] = self.take()?;
                self.remember(place.into())
            }
            b'r' => {
                let place = u32::from_le_bytes(self.take()?);
                self.remember(place)
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'g' => {
                let text = self.line()?;
                let place = self.parse(text)?;
                self.recall(place)
            }
            b'h' => {
                let [place] = self.take()?;
                self.recall(place.into())
            }
            b'j' => {
                let place = u32::from_le_bytes(self.take()?);
                self.recall(place)
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let node = global(module, name, at)?;
                self.push(node)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.spend(self.arena.length(module) + self.arena.length(name))?;
                let text = |id| self.arena.text(id, self.file);
                let (Some(module), Some(name)) = (text(module), text(name)) else {
                    return Err(self.error("names a global by something that is no string"));
                };
                let node = global(module, name, at)?;
                self.push(node)
            }
            // REDUCE, BUILD, BINPERSID
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let id = self.call(function, arguments)?;
                self.push_id(id)
            }
            b'b' => {
                let state = self.pop()?;
                let target = self.top()?;
                self.build(target, state)
            }
            b'Q' => {
                let id = self.pop()?;
                let node = self.persistent(id)?;
                self.push(node)
            }
            other => {
                let shown = char::from(other).escape_default();
                Err(WeightsError::Pickle {
                    at,
                    reason: format!("has opcode {other:#04x} (`{shown}`), which no file of weights needs"),
                })
            }
        }
    }

    /// A storage named by a persistent id: `('storage', type, key, place, elements[, view])`.
    fn persistent(&mut self, id: Id) -> Result<Node, WeightsError> {
        let bad =
            |machine: &Self| machine.error("refers to something outside it that is no storage of torch");
        let items = self.arena.items(id).ok_or_else(|| bad(self))?;
        let (&[kind, class, key, _, elements], rest) = items.split_first_chunk().ok_or_else(|| bad(self))?;
        let view = rest.first().copied().filter(|&view| !matches!(self.arena.get(view), Node::None));
        let (kind_length, key_length) = (self.arena.length(kind), self.arena.length(key));
        self.spend(kind_length + key_length)?;
        let text = |id| self.arena.text(id, self.file);
        let (Some("storage"), Node::Global(Global::Storage(dtype)), Some(key), Some(elements)) =
            (text(kind), self.arena.get(class), text(key), self.arena.size(elements))
        else {
            return Err(bad(self));
        };
        let storage = StorageRef { dtype: *dtype, key: key.to_owned(), elements };
        // Old files name a part of a storage: its key, first element and length.
        let offset = match view.map(|view| self.arena.items(view)) {
            None => 0,
            Some(Some(&[_, offset, _])) => self.arena.size(offset).ok_or_else(|| bad(self))?,
            Some(_) => return Err(bad(self)),
        };
        let place = match self.storage_of_key.get(key) {
            Some(&place) if self.storages[place] == storage => place,
            Some(_) => return Err(self.error(format!("describes storage `{key}` in two ways"))),
            None => {
                self.storage_of_key.insert(key.to_owned(), self.storages.len());
                self.storages.push(storage);
                self.storages.len() - 1
            }
        };
        Ok(Node::Storage(place, offset))
    }

    pub(super) fn error(&self, reason: impl Into<String>) -> WeightsError {
        WeightsError::Pickle { at: self.at, reason: reason.into() }
    }

    pub(super) fn add(&mut self, node: Node) -> Result<Id, WeightsError> {
        self.arena.add(node, self.at)
    }

    /// Counts work that no opcode of the file pays for.
    pub(super) fn spend(&mut self, amount: usize) -> Result<(), WeightsError> {
        self.spent = self.spent.saturating_add(amount);
        if self.spent > MAX_SPENT_A_BYTE * self.file.len() + MAX_STACK {
            return Err(self.error("repeats long values over and over"));
        }
        Ok(())
    }

    /// A string.
    pub(super) fn text(&mut self, id: Id) -> Result<Option<&str>, WeightsError> {
        self.spend(self.arena.length(id))?;
        Ok(self.arena.text(id, self.file))
    }

    fn check_room(&self, used: usize) -> Result<(), WeightsError> {
        if used >= MAX_STACK {
            return Err(self.error(format!("keeps more than {MAX_STACK} values open")));
        }
        Ok(())
    }

    fn push(&mut self, node: Node) -> Result<(), WeightsError> {
        let id = self.add(node)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), WeightsError> {
        self.check_room(self.stack.len())?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, WeightsError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.error("takes a value from an empty stack"));
        }
        Ok(self.stack.swap_remove(self.stack.len() - 1))
    }

    fn top(&self) -> Result<Id, WeightsError> {
        self.stack.last().copied().ok_or_else(|| self.error("takes a value from an empty stack"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, WeightsError> {
        let mark = self.marks.pop().ok_or_else(|| self.error("closes a container that was never opened"))?;
        Ok(self.stack.split_off(mark))
    }

    fn pairs(&self, items: &[Id]) -> Result<Vec<(Id, Id)>, WeightsError> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.error("has a key without a value"));
        }
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }

    fn extend(&mut self, items: &[Id]) -> Result<(), WeightsError> {
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Node::List(list) | Node::Set(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.error("appends to something that is no list")),
        }
    }

    fn set_items(&mut self, pairs: &[(Id, Id)]) -> Result<(), WeightsError> {
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Node::Dict(dict) => {
                dict.extend(pairs);
                Ok(())
            }
            _ => Err(self.error("sets an entry of something that is no dictionary")),
        }
    }

    fn remember(&mut self, place: u32) -> Result<(), WeightsError> {
        self.check_room(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), WeightsError> {
        let id = self.memo.get(&place).copied();
        let id = id.ok_or_else(|| self.error(format!("recalls value {place}, which was never kept")))?;
        self.push_id(id)
    }

    fn push_long(&mut self, length: usize) -> Result<(), WeightsError> {
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

    fn push_bytes(&mut self, length: usize) -> Result<(), WeightsError> {
        self.bytes(length)?;
        self.push(Node::Bytes(self.at - length..self.at))
    }

    fn push_text(&mut self, length: usize) -> Result<(), WeightsError> {
        let bytes = self.bytes(length)?;
        // Lone surrogates are the only way in which a pickled string is not UTF-8; no name of a tensor has them.
        let text = String::from_utf8_lossy(bytes).into();
        self.push(Node::Text(text))
    }

    /// A string of protocol 0 in Python's quotes.
    fn quoted(&mut self) -> Result<Node, WeightsError> {
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

    fn bytes(&mut self, length: usize) -> Result<&[u8], WeightsError> {
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

    fn take<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let bytes = self.bytes(N)?;
        Ok(std::array::from_fn(|i| bytes[i]))
    }

    fn length4(&mut self) -> Result<usize, WeightsError> {
        Ok(u32::from_le_bytes(self.take()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, WeightsError> {
        let length = u64::from_le_bytes(self.take()?);
        usize::try_from(length).map_err(|_| self.error(format!("wants {length} bytes")))
    }
}

impl<'a> Machine<'a> {
    /// The text up to the end of the line.
    fn line(&mut self) -> Result<&'a str, WeightsError> {
        let rest = &self.file[self.at..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.error("has a line without an end: it is cut short"))?;
        let text = std::str::from_utf8(&rest[..length]);
        let text = text.map_err(|_| self.error("has a line that is no text"))?;
        self.at += length + 1;
        Ok(text)
    }

    fn parse<T: std::str::FromStr>(&self, text: &str) -> Result<T, WeightsError> {
        text.trim().parse().map_err(|_| self.error("has a line that is no number"))
    }
}

fn global(module: &str, name: &str, at: usize) -> Result<Node, WeightsError> {
    Global::find(module, name)
        .map(Node::Global)
        .ok_or_else(|| WeightsError::Refused { global: format!("{module}.{name}"), at })
}
