//! Writes annotation sets as COCO or LVIS JSON, as their layout says, entry by entry.

use std::{
    io::{self, Write},
    path::Path,
};

use longtail_files::write_file;
use serde::Serialize;

use crate::{
    document::{Document, Extras, Members},
    error::FormatError,
};
use longtail_annotations::{Annotation, AnnotationSet, Category, ClassCounts, ImageRecord, LabelMap, Layout};

/// A set as JSON text; in LVIS layout it has every field that PyPI `lvis` reads.
pub fn annotations_to_json(set: &AnnotationSet) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_json(set, None, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes a set as a COCO or LVIS file: whole, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub fn write_annotations(set: &AnnotationSet, path: &Path) -> Result<(), FormatError> {
    Ok(write_file(path, |out| write_json(set, None, out))?)
}

/// Writes a document with everything it carries: whole, or not at all.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_document(document: &Document, path: &Path) -> Result<(), FormatError> {
    Ok(write_file(path, |out| write_json(&document.set, Some(&document.extras), out))?)
}

fn write_json(set: &AnnotationSet, extras: Option<&Extras>, out: &mut dyn Write) -> io::Result<()> {
    let labels = LabelMap::new(&set.categories);
    let counts = ClassCounts::of(set, &labels);
    let layout = set.layout;
    out.write_all(b"{")?;
    if let Some(extras) = extras {
        for (name, value) in extras.header.iter() {
            serde_json::to_writer(&mut *out, name)?;
            write!(out, ":{},", value.as_str())?;
        }
    }
    write!(out, "\"images\":")?;
    list(out, &set.images, extras.map(|e| &*e.images), |entry, image| write_image(entry, image, layout))?;
    write!(out, ",\"annotations\":")?;
    let boxes_only = extras.is_none();
    list(out, &set.annotations, extras.map(|e| &*e.annotations), |entry, annotation| {
        write_annotation(entry, annotation, layout, boxes_only)
    })?;
    write!(out, ",\"categories\":")?;
    list(out, &set.categories, extras.map(|e| &*e.categories), |entry, category| {
        write_category(entry, category, layout, &labels, &counts)
    })?;
    out.write_all(b"}")
}

/// A JSON object that is being written.
struct Entry<'a> {
    out: &'a mut dyn Write,
    extras: Option<&'a Members>,
    empty: bool,
}

impl Entry<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> io::Result<()> {
        self.out.write_all(if self.empty { b"{" } else { b"," })?;
        self.empty = false;
        serde_json::to_writer(&mut *self.out, name)?;
        self.out.write_all(b":")?;
        Ok(serde_json::to_writer(&mut *self.out, value)?)
    }

    fn carries(&self, name: &str) -> bool {
        self.extras.is_some_and(|members| members.get(name).is_some())
    }
}

/// Writes a list of objects, each with what it carries.
fn list<T>(
    out: &mut dyn Write,
    entries: &[T],
    extras: Option<&[Members]>,
    mut fields: impl FnMut(&mut Entry<'_>, &T) -> io::Result<()>,
) -> io::Result<()> {
    out.write_all(b"[")?;
    for (place, value) in entries.iter().enumerate() {
        out.write_all(if place > 0 { b",\n" } else { b"" })?;
        let members = extras.and_then(|list| list.get(place));
        let mut entry = Entry { out: &mut *out, extras: members, empty: true };
        fields(&mut entry, value)?;
        for (name, value) in members.into_iter().flat_map(Members::iter) {
            out.write_all(b",")?;
            serde_json::to_writer(&mut *out, name)?;
            write!(out, ":{}", value.as_str())?;
        }
        out.write_all(b"}")?;
    }
    out.write_all(b"]")
}

fn write_image(entry: &mut Entry<'_>, image: &ImageRecord, layout: Layout) -> io::Result<()> {
    entry.field("id", &image.id)?;
    entry.field("file_name", &image.file_name)?;
    entry.field("width", &image.width)?;
    entry.field("height", &image.height)?;
    if layout == Layout::Lvis {
        entry.field("neg_category_ids", image.neg_category_ids.as_deref().unwrap_or_default())?;
        let open = image.not_exhaustive_category_ids.as_deref().unwrap_or_default();
        entry.field("not_exhaustive_category_ids", open)?;
    }
    Ok(())
}

fn write_annotation(
    entry: &mut Entry<'_>,
    annotation: &Annotation,
    layout: Layout,
    boxes_only: bool,
) -> io::Result<()> {
    let [x, y, w, h] = annotation.bbox;
    entry.field("id", &annotation.id)?;
    entry.field("image_id", &annotation.image_id)?;
    entry.field("category_id", &annotation.category_id)?;
    entry.field("bbox", &annotation.bbox)?;
    entry.field("area", &annotation.area.unwrap_or(w * h))?;
    if boxes_only {
        // PyPI `lvis` and `pycocotools` read the key even where boxes alone are scored.
        entry.field("segmentation", &[[x, y, x + w, y, x + w, y + h, x, y + h]])?;
    }
    // LVIS has no crowds; a set of other origin may.
    if layout == Layout::Coco || annotation.iscrowd {
        entry.field("iscrowd", &u8::from(annotation.iscrowd))?;
    }
    if annotation.ignore {
        entry.field("ignore", &1)?;
    }
    Ok(())
}

fn write_category(
    entry: &mut Entry<'_>,
    category: &Category,
    layout: Layout,
    labels: &LabelMap,
    counts: &ClassCounts,
) -> io::Result<()> {
    entry.field("id", &category.id)?;
    entry.field("name", &category.name)?;
    if layout == Layout::Lvis {
        let label = labels.label(category.id).map(|label| label as usize);
        let count = |counts: &[u64]| label.map_or(0, |label| counts[label]);
        if let Some(frequency) = category.frequency {
            entry.field("frequency", frequency.letter())?;
        }
        // A validation file may carry the counts of its training file.
        for (name, counts) in [("image_count", &counts.images), ("instance_count", &counts.instances)] {
            if !entry.carries(name) {
                entry.field(name, &count(counts))?;
            }
        }
    }
    Ok(())
}
#[cfg(test)]
mod tests {
    use super::{super::reader::read_annotations, *};
    use longtail_annotations::FrequencyGroup;

    #[test]
    fn a_written_set_reads_back_the_same() {
        for layout in [Layout::Coco, Layout::Lvis] {
            let lvis = layout == Layout::Lvis;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("set.json");
            let set = AnnotationSet {
                path: Some(path.clone()),
                layout,
                images: vec![ImageRecord {
                    id: 3,
                    file_name: "a \"b\".png".into(),
                    width: 30,
                    height: 20,
                    neg_category_ids: lvis.then(|| vec![4]),
                    not_exhaustive_category_ids: lvis.then(Vec::new),
                }],
                annotations: vec![Annotation {
                    id: 11,
                    image_id: 3,
                    category_id: 9,
                    bbox: [1.1, 2.0, 3.3, 4.7],
                    area: Some(7.125),
                    iscrowd: !lvis,
                    ignore: false,
                }],
                categories: vec![
                    Category { id: 9, name: "ü".into(), frequency: lvis.then_some(FrequencyGroup::Rare) },
                    Category { id: 4, name: "b".into(), frequency: lvis.then_some(FrequencyGroup::Common) },
                ],
            };
            write_annotations(&set, &path).unwrap();
            assert_eq!(read_annotations(&path).unwrap(), set);
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        let set = AnnotationSet {
            path: None,
            layout: Layout::Coco,
            images: vec![],
            annotations: vec![],
            categories: vec![],
        };
        let error = write_annotations(&set, Path::new("/nonexistent/set.json")).unwrap_err().to_string();
        assert!(error.contains("cannot write /nonexistent/set.json"), "{error}");
    }
}
