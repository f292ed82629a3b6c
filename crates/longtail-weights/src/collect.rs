//! From the values of a pickle to tensors by name.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    error::WeightsError,
    file::{Format, Named, Skipped, WeightFile},
    pickle::{Arena, Array, Data, Id, Node, Pickle},
    tensor::{Bytes, Tensor},
};

/// Deepest nesting of containers.
const MAX_DEPTH: usize = 32;
/// Most entries that are looked at: a container can hold another many times.
const MAX_VISITS: usize = 4_000_000;
/// Longest path of keys.
const MAX_PATH: usize = 1024;
/// Longest string and most entries of the metadata.
const MAX_METADATA: usize = 200;

/// The tensors of a pickle, whose storages lie at `storages`.
pub(crate) fn collect(
    pickle: &Pickle,
    file: &Arc<Vec<u8>>,
    storages: &[Bytes],
    format: Format,
) -> Result<WeightFile, WeightsError> {
    let mut collector = Collector {
        pickle,
        file,
        storages,
        visits: 0,
        tensors: Vec::new(),
        metadata: BTreeMap::new(),
        classes: None,
        skipped: BTreeMap::new(),
        seen: vec![false; pickle.arena.len()],
    };
    collector.visit("", "", pickle.root, 0)?;
    let Collector { tensors, metadata, classes, skipped, .. } = collector;
    let skipped: Vec<Skipped> = skipped.into_values().collect();
    let file = WeightFile { format, group: String::new(), tensors, metadata, classes, skipped };
    file.check_reachable()?;
    Ok(file)
}

struct Collector<'a> {
    pickle: &'a Pickle,
    file: &'a Arc<Vec<u8>>,
    storages: &'a [Bytes],
    visits: usize,
    tensors: Vec<Named>,
    metadata: BTreeMap<String, String>,
    classes: Option<Vec<String>>,
    /// By class.
    skipped: BTreeMap<u32, Skipped>,
    /// Values that lie inside of an object that was skipped.
    seen: Vec<bool>,
}

impl Collector<'_> {
    fn visit(&mut self, group: &str, name: &str, id: Id, depth: usize) -> Result<(), WeightsError> {
        self.visits += 1;
        if self.visits > MAX_VISITS || depth > MAX_DEPTH || group.len() + name.len() > MAX_PATH {
            return Err(WeightsError::damaged(format!("`{group:.80}` is nested too deep or holds itself")));
        }
        let refused = |reason: String| {
            let name = if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") };
            WeightsError::Tensor { name, reason }
        };
        let arena = &self.pickle.arena;
        let tensor = match arena.get(id) {
            Node::Dict(pairs) => {
                let inner = join(group, name);
                for &(key, value) in pairs {
                    if let Some(key) = self.key(key) {
                        self.visit(&inner, &key, value, depth + 1)?;
                    }
                }
                return Ok(());
            }
            Node::List(items) | Node::Tuple(items) => {
                if name.eq_ignore_ascii_case("classes") && self.classes.is_none() {
                    self.classes = self.texts(arena, items);
                }
                let inner = join(group, name);
                for (index, &item) in items.iter().enumerate() {
                    // Strings and numbers of lists are counted, not kept.
                    if matches!(
                        arena.get(item),
                        Node::Dict(_)
                            | Node::List(_)
                            | Node::Tuple(_)
                            | Node::Tensor(_)
                            | Node::Array(_)
                            | Node::Object(_)
                    ) {
                        self.visit(&inner, &index.to_string(), item, depth + 1)?;
                    }
                }
                return Ok(());
            }
            &Node::Foreign(class) => {
                self.skip(class, group, name, 0);
                return Ok(());
            }
            Node::Object(object) => {
                let tensors = self.tensors_inside(id);
                self.skip(object.class, group, name, tensors);
                return Ok(());
            }
            Node::Tensor(view) => {
                let reference = &self.pickle.storages[view.storage];
                let storage = self.storages[view.storage].clone();
                let (shape, strides) = (view.shape.clone(), view.strides.clone());
                Tensor::new(view.dtype.unwrap_or(reference.dtype), shape, strides, view.offset, storage)
            }
            Node::Array(Some(array)) => self.array(array),
            Node::Array(None) => Err("is an array without contents".into()),
            Node::Bool(value) => return self.note(group, name, value),
            Node::Int(value) => return self.note(group, name, value),
            Node::Float(value) => return self.note(group, name, value),
            Node::Text(text) if text.len() <= MAX_METADATA => {
                return self.note(group, name, &text.to_string());
            }
            _ => return Ok(()),
        };
        let tensor = tensor.map_err(refused)?;
        self.tensors.push(Named { group: group.to_owned(), name: name.to_owned(), tensor });
        Ok(())
    }

    fn skip(&mut self, class: u32, group: &str, name: &str, tensors: usize) {
        let entry = self.skipped.entry(class).or_insert_with(|| Skipped {
            class: self.pickle.names[class as usize].chars().take(MAX_METADATA).collect(),
            path: join(group, name),
            count: 0,
            tensors: 0,
        });
        entry.count += 1;
        entry.tensors += tensors;
    }

    /// Tensors of torch that only the object would give. Every value is counted once, however often it is referred to.
    fn tensors_inside(&mut self, object: Id) -> usize {
        let arena = &self.pickle.arena;
        let (mut open, mut count) = (vec![object], 0);
        while let Some(id) = open.pop() {
            if std::mem::replace(&mut self.seen[id.index()], true) {
                continue;
            }
            match arena.get(id) {
                Node::Tensor(_) => count += 1,
                Node::Object(object) => open.extend(&object.parts),
                Node::List(items) | Node::Tuple(items) | Node::Set(items) => open.extend(items),
                Node::Dict(pairs) => open.extend(pairs.iter().map(|&(_, value)| value)),
                _ => {}
            }
        }
        count
    }

    fn note(&mut self, group: &str, name: &str, value: &impl ToString) -> Result<(), WeightsError> {
        if self.metadata.len() < MAX_METADATA {
            self.metadata.insert(join(group, name), value.to_string());
        }
        Ok(())
    }

    fn key(&self, id: Id) -> Option<String> {
        match self.pickle.arena.get(id) {
            Node::Int(number) => Some(number.to_string()),
            _ if self.pickle.arena.length(id) > MAX_PATH => None,
            _ => self.pickle.arena.text(id, self.file).map(str::to_owned),
        }
    }

    fn texts(&self, arena: &Arena, items: &[Id]) -> Option<Vec<String>> {
        let text = |&item: &Id| {
            let short = arena.length(item) <= MAX_METADATA;
            arena.text(item, self.file).filter(|_| short).map(str::to_owned)
        };
        if items.is_empty() { None } else { items.iter().map(text).collect() }
    }

    fn array(&self, array: &Array) -> Result<Tensor, String> {
        let storage = match &array.data {
            Data::File(range) => Bytes::new(self.file, range.clone()),
            Data::Owned(bytes) => Bytes::new(&Arc::new(bytes.to_vec()), 0..bytes.len()),
        };
        let storage = storage.ok_or("lies outside the file")?;
        if !array.fortran {
            return Tensor::contiguous(array.dtype, array.shape.clone(), storage);
        }
        let mut stride = 1_usize;
        let strides = array.shape.iter().map(|&side| {
            let this = stride;
            stride = stride.saturating_mul(side.max(1));
            this
        });
        let strides = strides.collect();
        Tensor::new(array.dtype, array.shape.clone(), strides, 0, storage)
    }
}

fn join(group: &str, name: &str) -> String {
    match (group, name) {
        ("", name) => name.to_owned(),
        (group, "") => group.to_owned(),
        (group, name) => format!("{group}.{name}"),
    }
}
