//! What calls of the allowed globals build.

use std::sync::Arc;

use super::{
    globals::{Global, numpy_type},
    machine::Machine,
    value::{Array, Data, Id, Node, NumpyType, Object, TensorView},
};
use crate::{error::WeightsError, tensor::DType};

/// Most entries of a call's arguments that are looked at.
const MAX_ARGUMENTS: usize = 10;
/// Functions that make an object of the class that is their first argument.
const MAKERS: [&str; 6] = [
    "copyreg._reconstructor",
    "copyreg.__newobj__",
    "copyreg.__newobj_ex__",
    "copy_reg._reconstructor",
    "copy_reg.__newobj__",
    "builtins.getattr",
];

impl Machine<'_> {
    /// What `function(*arguments)` stands for. Nothing is called: an unknown function gives an object with its arguments.
    pub(super) fn call(&mut self, function: Id, arguments: Id) -> Result<Id, WeightsError> {
        let function = match self.arena.get(function) {
            Node::Global(function) => *function,
            &Node::Foreign(class) => return self.object(class, arguments),
            Node::Object(object) => {
                let class = object.class;
                return self.object(class, arguments);
            }
            _ => return Err(self.error("calls something that is not a function")),
        };
        let Node::Tuple(arguments) = self.arena.get(arguments) else {
            return Err(self.error("calls a function with something that is not a tuple"));
        };
        let arguments: Vec<Id> = arguments.iter().copied().take(MAX_ARGUMENTS).collect();
        let at = self.at;
        let bad = || WeightsError::Pickle {
            at,
            reason: format!("calls {function:?} with arguments that it does not have"),
        };
        match (function, arguments.as_slice()) {
            (Global::OrderedDict, []) => self.add(Node::Dict(Vec::new())),
            (Global::OrderedDict, &[items, ..]) => {
                self.spend(self.arena.items(items).map_or(0, <[Id]>::len))?;
                let pair = |item: &Id| self.arena.items(*item).and_then(|pair| pair.try_into().ok());
                let pairs: Option<Vec<[Id; 2]>> =
                    self.arena.items(items).and_then(|items| items.iter().map(pair).collect());
                let pairs = pairs.ok_or_else(bad)?.into_iter().map(|[key, value]| (key, value)).collect();
                self.add(Node::Dict(pairs))
            }
            (Global::Counter | Global::DefaultDict, []) => self.add(Node::Dict(Vec::new())),
            (Global::Counter, &[counts, ..]) => {
                let Node::Dict(pairs) = self.arena.get(counts) else { return Err(bad()) };
                let pairs = pairs.clone();
                self.spend(pairs.len())?;
                self.add(Node::Dict(pairs))
            }
            // The first argument makes missing entries.
            (Global::DefaultDict, _) => self.add(Node::Dict(Vec::new())),
            (Global::Set, []) => self.add(Node::Set(Vec::new())),
            (Global::Set, &[items, ..]) => {
                self.arena.items(items).ok_or_else(bad)?;
                Ok(items)
            }
            (Global::Bytes, []) => self.add(Node::OwnedBytes(Arc::from([]))),
            (Global::Size, &[sizes]) => {
                self.arena.items(sizes).ok_or_else(bad)?;
                Ok(sizes)
            }
            (Global::Encode, &[text, encoding]) => {
                self.spend(self.arena.length(text))?;
                if !matches!(self.text(encoding)?, Some("latin1" | "latin-1")) {
                    return Err(bad());
                }
                let Node::Text(text) = self.arena.get(text) else { return Err(bad()) };
                let bytes: Option<Arc<[u8]>> = text.chars().map(|c| u8::try_from(c).ok()).collect();
                let bytes = bytes.ok_or_else(bad)?;
                self.add(Node::OwnedBytes(bytes))
            }
            (Global::RebuildTensorV3, &[storage, offset, shape, strides, _, _, dtype, ..]) => {
                let Node::Global(Global::DType(dtype)) = *self.arena.get(dtype) else {
                    return self.object_of("torch tensor of an unknown type", vec![storage]);
                };
                self.tensor(function, Some(dtype), [storage, offset, shape, strides])
            }
            (
                Global::RebuildTensor | Global::RebuildTensorV2 | Global::RebuildQuantised,
                &[storage, offset, shape, strides, ..],
            ) => self.tensor(function, None, [storage, offset, shape, strides]),
            (Global::RebuildParameter, &[tensor, ..]) => match self.arena.get(tensor) {
                Node::Tensor(_) | Node::Array(_) | Node::Object(_) => Ok(tensor),
                _ => Err(bad()),
            },
            (Global::RebuildFromType, &[function, _, arguments, ..]) => match self.arena.get(function) {
                Node::Global(Global::RebuildFromType) => Err(bad()),
                _ => self.call(function, arguments),
            },
            (Global::Reconstruct, &[class, ..]) => match self.arena.get(class) {
                Node::Global(Global::Ndarray) => self.add(Node::Array(None)),
                _ => Err(bad()),
            },
            (Global::NumpyDtype, &[name, ..]) => {
                let name = self.text(name)?.ok_or_else(bad)?;
                match numpy_type(name.trim_start_matches(['<', '|', '='])) {
                    Some(dtype) => self.add(Node::NumpyType(NumpyType { dtype, big_endian: false })),
                    // Strings, dates, objects: an array of them is skipped.
                    None => {
                        let class = format!("numpy array of type {name:.40}");
                        self.object_of(&class, Vec::new())
                    }
                }
            }
            (Global::Scalar | Global::FromBuffer, &[first, second, ..])
                if let Some(&odd) = [first, second].iter().find(|&&id| self.is_object(id)) =>
            {
                Ok(odd)
            }
            (Global::Scalar, &[dtype, bytes]) => {
                let Node::NumpyType(dtype) = *self.arena.get(dtype) else { return Err(bad()) };
                let value = self.data(bytes).and_then(|data| self.scalar(dtype, &data)).ok_or_else(bad)?;
                self.add(value)
            }
            (Global::FromBuffer, &[bytes, dtype, shape, order]) => {
                let Node::NumpyType(dtype) = *self.arena.get(dtype) else { return Err(bad()) };
                let fortran = self.text(order)? == Some("F");
                let (Some(shape), Some(data)) = (self.arena.sizes(shape), self.data(bytes)) else {
                    return Err(bad());
                };
                let array = self.array(dtype, shape, fortran, data)?;
                self.add(Node::Array(Some(Box::new(array))))
            }
            _ => Err(bad()),
        }
    }

    /// What `class(*arguments)`, without a call of its `__init__`, stands for.
    pub(super) fn new_object(&mut self, class: Id, arguments: Id) -> Result<Id, WeightsError> {
        match self.arena.get(class) {
            Node::Global(_) | Node::Foreign(_) => self.call(class, arguments),
            _ => Err(self.error("makes an object of something that is not a class")),
        }
    }

    fn object(&mut self, class: u32, arguments: Id) -> Result<Id, WeightsError> {
        let first = self.arena.items(arguments).and_then(|items| items.first().copied());
        let class = match first.map(|first| self.arena.get(first)) {
            Some(&Node::Foreign(of)) if MAKERS.contains(&self.names[class as usize].as_str()) => of,
            _ => class,
        };
        self.add(Node::Object(Box::new(Object { class, parts: vec![arguments] })))
    }

    fn object_of(&mut self, class: &str, parts: Vec<Id>) -> Result<Id, WeightsError> {
        let class = self.name(class.to_owned());
        self.add(Node::Object(Box::new(Object { class, parts })))
    }

    fn is_object(&self, id: Id) -> bool {
        matches!(self.arena.get(id), Node::Object(_))
    }

    fn tensor(
        &mut self,
        function: Global,
        dtype: Option<DType>,
        [storage, offset, shape, strides]: [Id; 4],
    ) -> Result<Id, WeightsError> {
        let at = self.at;
        let bad = || WeightsError::Pickle {
            at,
            reason: format!("calls {function:?} with arguments that it does not have"),
        };
        let (storage, first) = match self.arena.get(storage) {
            &Node::Storage(storage, first) => (storage, first),
            Node::Object(object) if self.names[object.class as usize] == "torch.storage._load_from_bytes" => {
                return Err(self.error(
                    "has tensors as Python's pickle writes them by itself; save them with torch.save(...)",
                ));
            }
            _ => return Err(bad()),
        };
        let offset = self.arena.size(offset).and_then(|offset| offset.checked_add(first));
        let (Some(offset), Some(shape), Some(strides)) =
            (offset, self.arena.sizes(shape), self.arena.sizes(strides))
        else {
            return Err(bad());
        };
        self.add(Node::Tensor(Box::new(TensorView { dtype, storage, offset, shape, strides })))
    }

    /// Gives `target` its state, as `__setstate__` would.
    pub(super) fn build(&mut self, target: Id, state: Id) -> Result<(), WeightsError> {
        let at = self.at;
        let bad = || WeightsError::Pickle { at, reason: "gives a state to something that has none".into() };
        match self.arena.get(target) {
            // Attributes of an ordered dictionary or a tensor: `_metadata` of state dicts. Plain data, not needed.
            Node::Dict(_) | Node::Tensor(_) => Ok(()),
            Node::Object(_) => self.fill(target, &[state]),
            // (version, byte order, ...)
            &Node::NumpyType(numpy) => {
                let order = self.arena.items(state).and_then(|items| items.get(1).copied());
                let big_endian = self.text(order.ok_or_else(bad)?)? == Some(">");
                *self.arena.get_mut(target) = Node::NumpyType(NumpyType { big_endian, ..numpy });
                Ok(())
            }
            // (version, shape, type, fortran, bytes)
            Node::Array(None) => {
                let items: Option<&[Id; 5]> = self.arena.items(state).and_then(|items| items.try_into().ok());
                let &[_, shape, dtype, fortran, bytes] = items.ok_or_else(bad)?;
                if let Node::Object(object) = self.arena.get(dtype) {
                    let class = object.class;
                    *self.arena.get_mut(target) = Node::Object(Box::new(Object { class, parts: Vec::new() }));
                    return Ok(());
                }
                let Node::NumpyType(dtype) = *self.arena.get(dtype) else { return Err(bad()) };
                let fortran = matches!(self.arena.get(fortran), Node::Bool(true) | Node::Int(1));
                let (Some(shape), Some(data)) = (self.arena.sizes(shape), self.data(bytes)) else {
                    return Err(bad());
                };
                let array = self.array(dtype, shape, fortran, data)?;
                *self.arena.get_mut(target) = Node::Array(Some(Box::new(array)));
                Ok(())
            }
            _ => Err(bad()),
        }
    }

    /// Adds to what an object would have been made of.
    pub(super) fn fill(&mut self, target: Id, more: &[Id]) -> Result<(), WeightsError> {
        if let Node::Object(object) = self.arena.get_mut(target) {
            object.parts.extend(more);
        }
        Ok(())
    }

    fn data(&self, id: Id) -> Option<Data> {
        match self.arena.get(id) {
            Node::Bytes(range) => Some(Data::File(range.clone())),
            Node::OwnedBytes(bytes) => Some(Data::Owned(bytes.clone())),
            _ => None,
        }
    }

    fn array(
        &self,
        dtype: NumpyType,
        shape: Vec<usize>,
        fortran: bool,
        data: Data,
    ) -> Result<Array, WeightsError> {
        if dtype.big_endian && dtype.dtype.size() > 1 {
            return Err(self.error("has a big-endian array; save it as little-endian"));
        }
        Ok(Array { dtype: dtype.dtype, shape, fortran, data })
    }

    fn scalar(&self, dtype: NumpyType, data: &Data) -> Option<Node> {
        let bytes = match data {
            Data::File(range) => &self.file[range.clone()],
            Data::Owned(bytes) => bytes,
        };
        if bytes.len() != dtype.dtype.size() || dtype.big_endian {
            return None;
        }
        if bytes.len() > 8 {
            return Some(Node::None);
        }
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        let unused = 64 - 8 * bytes.len() as u32;
        Some(match dtype.dtype {
            DType::F64 => Node::Float(f64::from_le_bytes(padded)),
            DType::F32 => Node::Float(f32::from_bits(u64::from_le_bytes(padded) as u32).into()),
            DType::F16 => Node::Float(half::f16::from_bits(u64::from_le_bytes(padded) as u16).into()),
            DType::Bf16 => Node::Float(half::bf16::from_bits(u64::from_le_bytes(padded) as u16).into()),
            DType::I64 | DType::I32 | DType::I16 | DType::I8 => {
                Node::Int(i64::from_le_bytes(padded) << unused >> unused)
            }
            DType::U8 | DType::U16 | DType::U32 => Node::Int(i64::from_le_bytes(padded)),
            DType::Bool => Node::Bool(padded[0] != 0),
            // Too large, or not a number: no metadata of a file of weights.
            _ => Node::None,
        })
    }
}
