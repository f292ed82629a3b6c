//! A data set with everything its file says: what is trained on, and what is only carried along.
//!
//! Training reads an [`AnnotationSet`] and pays for nothing else. Conversion reads a [`Document`]: the same set, and
//! beside it by place the members that no typed field holds, as the bytes of their JSON. Polygons and RLE, licences
//! and whatever else a file has pass from file to file untouched.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::IgnoredAny;

use longtail_annotations::{Annotation, AnnotationSet};

/// A JSON value as its bytes in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// JSON text, kept byte for byte.
    ///
    /// # Errors
    /// If the text is no JSON value; with line and column.
    pub fn new(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<IgnoredAny>(text)?;
        Ok(Self(text.trim().into()))
    }

    /// Bytes of a document that was parsed before.
    pub(crate) fn trusted(text: &str) -> Self {
        Self(text.into())
    }

    /// A value as JSON; numbers that JSON lacks (NaN, infinity) become null.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        Self(serde_json::to_string(value).unwrap_or_else(|_| "null".into()).into())
    }

    /// The bytes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `true` or a number other than 0; `None` for what is neither truth value nor number.
    pub fn flag(&self) -> Option<bool> {
        match &*self.0 {
            "true" => Some(true),
            "false" => Some(false),
            text => text.parse::<f64>().ok().map(|value| value != 0.0),
        }
    }

    /// The text of a JSON string.
    pub fn text(&self) -> Option<String> {
        serde_json::from_str(&self.0).ok()
    }
}

/// Named JSON values in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Members(Vec<(Box<str>, RawJson)>);

impl Members {
    /// Adds a member at the end.
    pub fn push(&mut self, name: &str, value: RawJson) {
        self.0.push((name.into(), value));
    }

    /// The first member of a name.
    pub fn get(&self, name: &str) -> Option<&RawJson> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, value)| value)
    }

    /// Whether a member is `true` or a number other than 0.
    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).and_then(RawJson::flag).unwrap_or(false)
    }

    /// Removes the members of a name.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| &**n != name);
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a file says beside the typed fields, by place in the set's lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// Of the file: `info`, `licenses`, …
    pub header: Members,
    /// Of each image.
    pub images: Vec<Members>,
    /// Of each annotation: `segmentation`, `occluded`, `truncated`, `difficult`, `group_of`, …
    pub annotations: Vec<Members>,
    /// Of each category: `supercategory`, `synset`, …
    pub categories: Vec<Members>,
}

/// An annotation set with what its file says beside it. The lists of [`Extras`] are as long as the set's.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What is trained on.
    pub set: AnnotationSet,
    /// What is carried.
    pub extras: Extras,
}

impl Document {
    /// A set with nothing beside it.
    pub fn new(set: AnnotationSet) -> Self {
        let extras = Extras {
            header: Members::default(),
            images: vec![Members::default(); set.images.len()],
            annotations: vec![Members::default(); set.annotations.len()],
            categories: vec![Members::default(); set.categories.len()],
        };
        Self { set, extras }
    }

    /// Places of the annotations of each image, by the image's place, in file order. Annotations of unknown images
    /// are in none.
    pub fn annotations_by_image(&self) -> Vec<Vec<usize>> {
        let place: FxHashMap<i64, usize> =
            self.set.images.iter().enumerate().map(|(place, image)| (image.id, place)).collect();
        let mut of_image = vec![Vec::new(); self.set.images.len()];
        for (index, annotation) in self.set.annotations.iter().enumerate() {
            if let Some(&place) = place.get(&annotation.image_id) {
                of_image[place].push(index);
            }
        }
        of_image
    }

    /// Keeps the annotations for which `keep` says so, with their members.
    pub fn retain_annotations(&mut self, mut keep: impl FnMut(&Annotation, &Members) -> bool) {
        let extras = &self.extras.annotations;
        let kept: Vec<bool> = self.set.annotations.iter().zip(extras).map(|(a, m)| keep(a, m)).collect();
        retain_places(&mut self.set.annotations, &kept);
        retain_places(&mut self.extras.annotations, &kept);
    }

    /// Keeps the images whose place is set, and their annotations.
    ///
    /// # Panics
    /// If `kept` is not as long as the list of images.
    pub fn retain_images(&mut self, kept: &[bool]) {
        assert_eq!(kept.len(), self.set.images.len());
        let gone: rustc_hash::FxHashSet<i64> =
            self.set.images.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(image, _)| image.id).collect();
        retain_places(&mut self.set.images, kept);
        retain_places(&mut self.extras.images, kept);
        if !gone.is_empty() {
            self.retain_annotations(|annotation, _| !gone.contains(&annotation.image_id));
        }
    }

    /// Keeps the categories whose place is set. Annotations are left as they are.
    ///
    /// # Panics
    /// If `kept` is not as long as the list of categories.
    pub fn retain_categories(&mut self, kept: &[bool]) {
        assert_eq!(kept.len(), self.set.categories.len());
        retain_places(&mut self.set.categories, kept);
        retain_places(&mut self.extras.categories, kept);
    }
}

/// Keeps the entries whose place is set.
fn retain_places<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut place = kept.iter();
    list.retain(|_| *place.next().unwrap_or(&false));
}

/// What a target could not hold: how often each kind of thing was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Losses(BTreeMap<String, u64>);

impl Losses {
    /// Counts one more.
    pub fn add(&mut self, what: &str) {
        self.add_many(what, 1);
    }

    /// Counts several; nothing for 0.
    pub fn add_many(&mut self, what: &str, count: u64) {
        if count > 0 {
            match self.0.get_mut(what) {
                Some(sum) => *sum += count,
                None => {
                    self.0.insert(what.to_owned(), count);
                }
            }
        }
    }

    /// Kinds with their counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// Count of a kind.
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Takes back the counts of a kind.
    pub fn remove(&mut self, what: &str) {
        self.0.remove(what);
    }

    /// Whether the target holds everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds the counts of another target.
    pub fn extend(&mut self, other: &Self) {
        for (what, count) in other.iter() {
            self.add_many(what, count);
        }
    }
}
