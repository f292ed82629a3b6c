//! The stack machine of Python's pickles, protocols 0 to 5, without what could run code.
//!
//! Source: the opcodes of `pickletools.py`. Every length is checked against the file before anything is allocated,
//! and the number of values is bounded, so that time and memory stay in proportion to the file.

use rustc_hash::FxHashMap;

use super::{
    globals::{Global, reaches_outside},
    value::{Arena, Id, Node},
};
use crate::{error::WeightsError, tensor::DType};

/// Most entries of the stack and of the memo.
const MAX_STACK: usize = 4_000_000;
/// Most work of calls for each byte of the file.
const MAX_SPENT_A_BYTE: usize = 8;

/// A storage that tensors of the pickle lie in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StorageRef {
    /// Elements.
    pub(crate) dtype: DType,
    /// Name in the container.
    pub(crate) key: String,
    /// Number of elements.
    pub(crate) elements: usize,
}

/// What a pickle was read to.
#[derive(Debug)]
pub(crate) struct Pickle {
    /// All values.
    pub(crate) arena: Arena,
    /// The outermost one.
    pub(crate) root: Id,
    /// Storages in the order of their first use.
    pub(crate) storages: Vec<StorageRef>,
    /// Classes and functions that are not known here.
    pub(crate) names: Vec<String>,
    /// The byte after the pickle.
    pub(crate) end: usize,
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
    pub(super) names: Vec<String>,
    index_of_name: FxHashMap<String, u32>,
    /// Bytes and entries that calls have read or copied: a short pickle must not copy a long value a million times.
    spent: usize,
}

/// Reads the pickle that starts at byte `start` of `file`.
///
/// # Errors
/// If it is cut short or damaged, or asks for anything but tensors and plain containers.
pub(crate) fn read(file: &[u8], start: usize) -> Result<Pickle, WeightsError> {
    let mut machine = Machine {
        file,
        at: start,
        arena: Arena::default(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: FxHashMap::default(),
        storages: Vec::new(),
        storage_of_key: FxHashMap::default(),
        names: Vec::new(),
        index_of_name: FxHashMap::default(),
        spent: 0,
    };
    loop {
        let at = machine.at;
        let [opcode] = machine.take()?;
        if opcode == b'.' {
            let root = machine.pop()?;
            let Machine { arena, storages, names, at, .. } = machine;
            return Ok(Pickle { arena, root, storages, names, end: at });
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
                let index = self.parse(text)?;
                self.remember(index)
            }
            b'q' => {
                let [index] = self.take()?;
                self.remember(index.into())
            }
            b'r' => {
                let index = u32::from_le_bytes(self.take()?);
                self.remember(index)
            }
            0x94 => self.remember(self.memo.len() as u32),
            b'g' => {
                let text = self.line()?;
                let index = self.parse(text)?;
                self.recall(index)
            }
            b'h' => {
                let [index] = self.take()?;
                self.recall(index.into())
            }
            b'j' => {
                let index = u32::from_le_bytes(self.take()?);
                self.recall(index)
            }
            // GLOBAL, STACK_GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                let (module, name) = (module.to_owned(), name.to_owned());
                let node = self.global(&module, &name, at)?;
                self.push(node)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.spend(self.arena.length(module) + self.arena.length(name))?;
                let text = |id| self.arena.text(id, self.file);
                let (Some(module), Some(name)) = (text(module), text(name)) else {
                    return Err(self.error("names a global by something that is not a string"));
                };
                let (module, name) = (module.to_owned(), name.to_owned());
                let node = self.global(&module, &name, at)?;
                self.push(node)
            }
            // INST, OBJ, NEWOBJ, NEWOBJ_EX
            b'i' => {
                let (module, name) = (self.line()?.to_owned(), self.line()?.to_owned());
                let class = self.global(&module, &name, at)?;
                let (class, arguments) = (self.add(class)?, self.pop_to_mark()?);
                let arguments = self.add(Node::Tuple(arguments))?;
                let id = self.new_object(class, arguments)?;
                self.push_id(id)
            }
            b'o' => {
                let mut arguments = self.pop_to_mark()?.into_iter();
                let class = arguments.next().ok_or_else(|| self.error("makes an object without a class"))?;
                let arguments = self.add(Node::Tuple(arguments.collect()))?;
                let id = self.new_object(class, arguments)?;
                self.push_id(id)
            }
            0x81 => {
                let (arguments, class) = (self.pop()?, self.pop()?);
                let id = self.new_object(class, arguments)?;
                self.push_id(id)
            }
            0x92 => {
                let (keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                let id = self.new_object(class, arguments)?;
                self.fill(id, &[keywords])?;
                self.push_id(id)
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

    /// A storage named by a persistent id: `('storage', type, key, device, elements[, view])`.
    fn persistent(&mut self, id: Id) -> Result<Node, WeightsError> {
        let bad =
            |machine: &Self| machine.error("refers to something outside it that is not a storage of torch");
        let items = self.arena.items(id).ok_or_else(|| bad(self))?;
        let (&[kind, class, key, _, elements], rest) = items.split_first_chunk().ok_or_else(|| bad(self))?;
        let view = rest.first().copied().filter(|&view| !matches!(self.arena.get(view), Node::None));
        let (kind_length, key_length) = (self.arena.length(kind), self.arena.length(key));
        self.spend(kind_length + key_length)?;
        let text = |id| self.arena.text(id, self.file);
        let (Some("storage"), Node::Global(class), Some(key), Some(elements)) =
            (text(kind), self.arena.get(class), text(key), self.arena.size(elements))
        else {
            return Err(bad(self));
        };
        let dtype = match *class {
            Global::Storage(dtype) => dtype,
            // Its length is in bytes.
            Global::UntypedStorage => DType::U8,
            _ => return Err(bad(self)),
        };
        let storage = StorageRef { dtype, key: key.to_owned(), elements };
        // Old files name a part of a storage: its key, first element and length.
        let offset = match view.map(|view| self.arena.items(view)) {
            None => 0,
            Some(Some(&[_, offset, _])) => self.arena.size(offset).ok_or_else(|| bad(self))?,
            Some(_) => return Err(bad(self)),
        };
        let index = match self.storage_of_key.get(key) {
            Some(&index) if self.storages[index] == storage => index,
            Some(_) => return Err(self.error(format!("describes storage `{key}` in two ways"))),
            None => {
                self.storage_of_key.insert(key.to_owned(), self.storages.len());
                self.storages.push(storage);
                self.storages.len() - 1
            }
        };
        Ok(Node::Storage(index, offset))
    }

    /// What a global stands for: nothing is looked up or imported.
    fn global(&mut self, module: &str, name: &str, at: usize) -> Result<Node, WeightsError> {
        if let Some(known) = Global::find(module, name) {
            return Ok(Node::Global(known));
        }
        let full = format!("{module}.{name}");
        if reaches_outside(module, name) {
            return Err(WeightsError::Refused { global: full, at });
        }
        Ok(Node::Foreign(self.name(full)))
    }

    /// Index of a name in the list of those that are not known here.
    pub(super) fn name(&mut self, name: String) -> u32 {
        let next = self.names.len() as u32;
        let names = &mut self.names;
        *self.index_of_name.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            next
        })
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

    pub(super) fn push(&mut self, node: Node) -> Result<(), WeightsError> {
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
            Node::Object(_) => self.fill(target, items),
            _ => Err(self.error("appends to something that is not a list")),
        }
    }

    fn set_items(&mut self, pairs: &[(Id, Id)]) -> Result<(), WeightsError> {
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Node::Dict(dict) => {
                dict.extend(pairs);
                Ok(())
            }
            Node::Object(_) => {
                let parts: Vec<Id> = pairs.iter().flat_map(|&(key, value)| [key, value]).collect();
                self.fill(target, &parts)
            }
            _ => Err(self.error("sets an entry of something that is not a dictionary")),
        }
    }

    fn remember(&mut self, index: u32) -> Result<(), WeightsError> {
        self.check_room(self.memo.len())?;
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Result<(), WeightsError> {
        let id = self.memo.get(&index).copied();
        let id = id.ok_or_else(|| self.error(format!("recalls value {index}, which was never kept")))?;
        self.push_id(id)
    }
}
