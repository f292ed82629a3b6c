//! Values of a pickle, in an arena: containers hold indices, so that a list that contains itself, or one shared a
//! million times, costs what its bytes cost.

use std::{ops::Range, sync::Arc};

use super::globals::Global;
use crate::{error::WeightsError, tensor::DType};

/// Most values of a pickle. The largest detectors have some ten thousand.
const MAX_NODES: usize = 4_000_000;

/// Most sides of a tensor.
const MAX_RANK: usize = 32;

/// Index of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// A value.
#[derive(Debug)]
pub(crate) enum Node {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// A number of at most 64 bits.
    Int(i64),
    /// A longer one, little-endian.
    LongInt(Box<[u8]>),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// Bytes, or a string of Python 2, as a range of the file.
    Bytes(Range<usize>),
    /// Bytes that are not in the file as they are.
    OwnedBytes(Arc<[u8]>),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary in order of insertion.
    Dict(Vec<(Id, Id)>),
    /// A set.
    Set(Vec<Id>),
    /// One of the functions and types that files of weights name.
    Global(Global),
    /// Any other function or type, by its index in the list of names.
    Foreign(u32),
    /// What such a function or type would have made.
    Object(Box<Object>),
    /// A storage of the file, by its index in the list of storages, and the first element.
    Storage(usize, usize),
    /// A tensor in a storage.
    Tensor(Box<TensorView>),
    /// Type of a numpy array; big-endian or not.
    NumpyType(NumpyType),
    /// A numpy array.
    Array(Option<Box<Array>>),
}

/// An object of Python code: not made, only what it would have been made of.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Its class, or the function that would have made it, as an index in the list of names.
    pub(crate) class: u32,
    /// Arguments, state and entries.
    pub(crate) parts: Vec<Id>,
}

/// A tensor of torch before its storage is found.
#[derive(Debug, Clone)]
pub(crate) struct TensorView {
    /// Elements, where the storage does not tell.
    pub(crate) dtype: Option<DType>,
    /// Index in the list of storages.
    pub(crate) storage: usize,
    /// First element.
    pub(crate) offset: usize,
    /// Sides.
    pub(crate) shape: Vec<usize>,
    /// Strides in elements.
    pub(crate) strides: Vec<usize>,
}

/// Type of a numpy array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumpyType {
    /// Elements.
    pub(crate) dtype: DType,
    /// Whether the most significant byte comes first.
    pub(crate) big_endian: bool,
}

/// A numpy array.
#[derive(Debug, Clone)]
pub(crate) struct Array {
    /// Elements.
    pub(crate) dtype: DType,
    /// Sides.
    pub(crate) shape: Vec<usize>,
    /// Whether columns come first.
    pub(crate) fortran: bool,
    /// The elements' bytes.
    pub(crate) data: Data,
}

/// Bytes of an array: a range of the file, or a decoded string.
#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// In the file.
    File(Range<usize>),
    /// Decoded.
    Owned(Arc<[u8]>),
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub(crate) struct Arena {
    nodes: Vec<Node>,
}

impl Id {
    /// As a number below [`Arena::len`].
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

impl Arena {
    /// Adds a value.
    pub(crate) fn add(&mut self, node: Node, at: usize) -> Result<Id, WeightsError> {
        if self.nodes.len() == MAX_NODES {
            let reason = format!("holds more than {MAX_NODES} values");
            return Err(WeightsError::Pickle { at, reason });
        }
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    /// The value.
    pub(crate) fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The value, to be filled.
    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// Number of values.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A number that cannot be negative: a side, a stride, an offset.
    pub(crate) fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// Items of a tuple or list.
    pub(crate) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The sides or strides of a tensor.
    pub(crate) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.items(id).filter(|items| items.len() <= MAX_RANK)?;
        items.iter().map(|&item| self.size(item)).collect()
    }

    /// Bytes of a string.
    pub(crate) fn length(&self, id: Id) -> usize {
        match self.get(id) {
            Node::Text(text) => text.len(),
            Node::Bytes(range) => range.len(),
            Node::OwnedBytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// A string; those of Python 2 are bytes.
    pub(crate) fn text<'a>(&'a self, id: Id, file: &'a [u8]) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            Node::Bytes(range) => std::str::from_utf8(&file[range.clone()]).ok(),
            Node::OwnedBytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}
