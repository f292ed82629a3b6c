//! Writes annotation sets as COCO or LVIS JSON, as their layout says.

use std::{fs, io::Write, path::Path};

use serde_json::{Map, Value, json};

use crate::{
    annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout},
    error::DataError,
    frequency::ClassCounts,
    label_map::LabelMap,
};

impl AnnotationSet {
    /// The set as JSON text; a set in LVIS layout has every field that PyPI `lvis` reads.
    pub fn to_json(&self) -> String {
        let labels = LabelMap::new(&self.categories);
        let counts = ClassCounts::of(self, &labels);
        let file = json!({
            "images": self.images.iter().map(|image| self.image_json(image)).collect::<Vec<_>>(),
            "annotations": self.annotations.iter().map(|a| self.annotation_json(a)).collect::<Vec<_>>(),
            "categories": self.categories.iter().map(|c| self.category_json(c, &labels, &counts)).collect::<Vec<_>>(),
        });
        file.to_string()
    }

    /// Writes the set to a file: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        let partial = path.with_extension("json.partial");
        let written = fs::File::create(&partial)
            .and_then(|mut file| {
                file.write_all(self.to_json().as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&partial, path));
        written.map_err(|source| {
            // The message is about the write that failed; a leftover that cannot be removed changes nothing.
            let _ = fs::remove_file(&partial);
            DataError::Io { action: "write", path: path.to_owned(), source }
        })
    }

    fn image_json(&self, image: &ImageRecord) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), image.id.into());
        object.insert("file_name".into(), image.file_name.clone().into());
        object.insert("width".into(), image.width.into());
        object.insert("height".into(), image.height.into());
        if self.layout == Layout::Lvis {
            let ids = |ids: &Option<Vec<i64>>| ids.clone().unwrap_or_default().into();
            object.insert("neg_category_ids".into(), ids(&image.neg_category_ids));
            object.insert("not_exhaustive_category_ids".into(), ids(&image.not_exhaustive_category_ids));
        }
        object.into()
    }

    fn annotation_json(&self, annotation: &Annotation) -> Value {
        let [x, y, w, h] = annotation.bbox;
        let mut object = Map::new();
        object.insert("id".into(), annotation.id.into());
        object.insert("image_id".into(), annotation.image_id.into());
        object.insert("category_id".into(), annotation.category_id.into());
        object.insert("bbox".into(), vec![x, y, w, h].into());
        object.insert("area".into(), annotation.area.unwrap_or(w * h).into());
        // PyPI `lvis` and `pycocotools` read the key even where boxes alone are scored.
        object.insert("segmentation".into(), json!([[x, y, x + w, y, x + w, y + h, x, y + h]]));
        if self.layout == Layout::Coco {
            object.insert("iscrowd".into(), u8::from(annotation.iscrowd).into());
        }
        if annotation.ignore {
            object.insert("ignore".into(), 1.into());
        }
        object.into()
    }

    fn category_json(&self, category: &Category, labels: &LabelMap, counts: &ClassCounts) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), category.id.into());
        object.insert("name".into(), category.name.clone().into());
        if self.layout == Layout::Lvis {
            let label = labels.label(category.id).map(|label| label as usize);
            let count = |counts: &[u64]| label.map_or(0, |label| counts[label]);
            if let Some(frequency) = category.frequency {
                object.insert("frequency".into(), frequency.letter().into());
            }
            object.insert("image_count".into(), count(&counts.images).into());
            object.insert("instance_count".into(), count(&counts.instances).into());
        }
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FrequencyGroup;

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
            set.write(&path).unwrap();
            assert_eq!(AnnotationSet::read(&path).unwrap(), set);
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
        let error = set.write(Path::new("/nonexistent/set.json")).unwrap_err().to_string();
        assert!(error.contains("cannot write /nonexistent/set.json"), "{error}");
    }
}
