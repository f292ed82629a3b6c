//! Pickles of plain containers and tensors, read without Python.

mod calls;
mod globals;
mod machine;
mod value;

pub use machine::{Pickle, read};
pub use value::{Arena, Array, Data, Id, Node};
