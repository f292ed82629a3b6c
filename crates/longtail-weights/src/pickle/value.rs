//! Values of a pickle, in an arena: containers hold places, so that a list that contains itself, or one shared a
//! million times, costs what its bytes cost.

use std::{ops::Range, sync::Arc};

use super::globals::Global;
use crate::{error::WeightsError, tensor::DType};

/// Most values of a pickle. The largest detectors have some ten thousand.
const MAX_NODES: usize = 4_000_000;

/// Most sides of a tensor.
const MAX_RANK: usize = 32;

/// Place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id(u32);

/// A value.
#[derive(Debug)]
pub enum Node {
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
    /// A storage of the file, by its place in the list of storages.
    Storage(usize, usize),
    /// A tensor in a storage.
    Tensor(Box<TensorView>),
    /// Type of a numpy array; big-endian or not.
    NumpyType(NumpyType),
    /// A numpy array.
    Array(Option<Box<Array>>),
}

/// A tensor of torch before its storage is found.
#[derive(Debug, Clone)]
pub struct TensorView {
    /// Place in the list of storages.
    pub storage: usize,
    /// First element.
    pub offset: usize,
    /// Sides.
    pub shape: Vec<usize>,
    /// Strides in elements.
    pub strides: Vec<usize>,
}

/// Type of a numpy array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumpyType {
    /// Elements.
    pub dtype: DType,
    /// Whether the most significant byte comes first.
    pub big_endian: bool,
}

/// A numpy array.
#[derive(Debug, Clone)]
pub struct Array {
    /// Elements.
    pub dtype: DType,
    /// Sides.
    pub shape: Vec<usize>,
    /// Whether columns come first.
    pub fortran: bool,
    /// The elements' bytes.
    pub data: Data,
}

/// Bytes of an array: a range of the file, or a decoded string.
#[derive(Debug, Clone)]
pub enum Data {
    /// In the file.
    File(Range<usize>),
    /// Decoded.
    Owned(Arc<[u8]>),
}

/// All values of a pickle.
#[derive(Debug, Default)]
pub struct Arena {
    nodes: Vec<Node>,
}

impl Arena {
    /// Adds a value.
    pub fn add(&mut self, node: Node, at: usize) -> Result<Id, WeightsError> {
        if self.nodes.len() == MAX_NODES {
            let reason = format!("holds more than {MAX_NODES} values");
            return Err(WeightsError::Pickle { at, reason });
        }
        self.nodes.push(node);
        Ok(Id((self.nodes.len() - 1) as u32))
    }

    /// The value.
    pub fn get(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The value, to be filled.
    pub fn get_mut(&mut self, id: Id) -> &mut Node {
        &mut self.nodes[id.0 as usize]
    }

    /// A number that cannot be negative: a side, a stride, an offset.
    pub fn size(&self, id: Id) -> Option<usize> {
        match self.get(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    /// Items of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The sides or strides of a tensor.
    pub fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let items = self.items(id).filter(|items| items.len() <= MAX_RANK)?;
        items.iter().map(|&item| self.size(item)).collect()
    }

    /// Bytes of a string.
    pub fn length(&self, id: Id) -> usize {
        match self.get(id) {
            Node::Text(text) => text.len(),
            Node::Bytes(range) => range.len(),
            Node::OwnedBytes(bytes) => bytes.len(),
            _ => 0,
        }
    }

    /// A string; those of Python 2 are bytes.
    pub fn text<'a>(&'a self, id: Id, file: &'a [u8]) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            Node::Bytes(range) => std::str::from_utf8(&file[range.clone()]).ok(),
            Node::OwnedBytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}
