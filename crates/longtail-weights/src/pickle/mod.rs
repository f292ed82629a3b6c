//! Pickles of plain containers and tensors, read without Python.

mod calls;
mod globals;
mod input;
mod machine;
mod value;

pub(crate) use machine::{Pickle, read};
pub(crate) use value::{Arena, Array, Data, Id, Node};
