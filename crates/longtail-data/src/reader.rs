//! COCO and LVIS annotation files. The file is memory-mapped and parsed in one pass; masks, captions and whatever
//! else is not needed is skipped without being stored, so the 1.2 GB of LVIS v1 do not need gigabytes of memory.

use std::{fs::File, path::Path};

use serde::Deserialize;

use crate::{
    annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout},
    error::DataError,
    frequency::FrequencyGroup,
};

#[derive(Deserialize)]
struct FileSet {
    images: Vec<FileImage>,
    #[serde(default)]
    annotations: Vec<FileAnnotation>,
    categories: Vec<FileCategory>,
}

#[derive(Deserialize)]
struct FileImage {
    id: i64,
    #[serde(default)]
    file_name: Option<String>,
    #[serde(default)]
    coco_url: Option<String>,
    width: u32,
    height: u32,
    #[serde(default)]
    neg_category_ids: Option<Vec<i64>>,
    #[serde(default)]
    not_exhaustive_category_ids: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct FileAnnotation {
    id: i64,
    image_id: i64,
    category_id: i64,
    bbox: [f64; 4],
    #[serde(default)]
    area: Option<f64>,
    #[serde(default)]
    iscrowd: Flag,
    #[serde(default)]
    ignore: Flag,
}

#[derive(Deserialize)]
struct FileCategory {
    id: i64,
    name: String,
    #[serde(default)]
    frequency: Option<FrequencyGroup>,
}

/// `true`, `1` and their opposites: files disagree.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Flag {
    Bool(bool),
    Number(f64),
    #[default]
    Absent,
}

impl Flag {
    fn is_set(&self) -> bool {
        match self {
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0,
            Self::Absent => false,
        }
    }
}

impl AnnotationSet {
    /// Reads a COCO, LVIS v0.5 or LVIS v1 annotation file as it is. The layout is LVIS if images or categories carry
    /// LVIS fields.
    ///
    /// # Errors
    /// If the file cannot be read or is no such JSON; the message has line and column.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::io("read", path))?;
        let length = file.metadata().map_err(DataError::io("read", path))?.len();
        if length == 0 {
            return Err(DataError::Parse { path: path.to_owned(), reason: "the file is empty".into() });
        }
        // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid, as
        // with every program that maps files.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(DataError::io("read", path))?;
        let mut set =
            Self::parse(&bytes).map_err(|reason| DataError::Parse { path: path.to_owned(), reason })?;
        set.path = Some(path.to_owned());
        Ok(set)
    }

    /// Parses the bytes of an annotation file.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: FileSet = serde_json::from_slice(bytes).map_err(|error| explain(&error))?;
        let lvis = file.categories.iter().any(|c| c.frequency.is_some())
            || file
                .images
                .iter()
                .any(|i| i.neg_category_ids.is_some() || i.not_exhaustive_category_ids.is_some());
        let images = file.images.into_iter().map(image).collect::<Result<_, _>>()?;
        let annotations = file.annotations.into_iter().map(|a| Annotation {
            id: a.id,
            image_id: a.image_id,
            category_id: a.category_id,
            bbox: a.bbox,
            area: a.area,
            iscrowd: a.iscrowd.is_set(),
            ignore: a.ignore.is_set(),
        });
        let category = |c: FileCategory| Category { id: c.id, name: c.name, frequency: c.frequency };
        Ok(Self {
            path: None,
            layout: if lvis { Layout::Lvis } else { Layout::Coco },
            images,
            annotations: annotations.collect(),
            categories: file.categories.into_iter().map(category).collect(),
        })
    }

    /// The file's name for messages.
    pub fn label(&self) -> String {
        self.path.as_ref().map_or_else(|| "annotations".to_owned(), |path| path.display().to_string())
    }
}

fn image(image: FileImage) -> Result<ImageRecord, String> {
    let id = image.id;
    // LVIS v1 names files by their URL, https://…/train2017/000000391895.jpg: folder and name matter.
    let from_url = |url: String| {
        let mut parts = url.rsplit('/');
        match (parts.next(), parts.next()) {
            (Some(name), Some(folder)) => format!("{folder}/{name}"),
            _ => url,
        }
    };
    let file_name = image
        .file_name
        .or_else(|| image.coco_url.map(from_url))
        .ok_or_else(|| format!("image {id} has neither `file_name` nor `coco_url`"))?;
    Ok(ImageRecord {
        id,
        file_name,
        width: image.width,
        height: image.height,
        neg_category_ids: image.neg_category_ids,
        not_exhaustive_category_ids: image.not_exhaustive_category_ids,
    })
}

fn explain(error: &serde_json::Error) -> String {
    let hint = if error.is_eof() {
        "; the file is cut short"
    } else if error.is_syntax() {
        "; note that JSON has no NaN or Infinity"
    } else {
        ""
    };
    format!("{error}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<AnnotationSet, String> {
        AnnotationSet::parse(text.as_bytes())
    }

    const LVIS_V1: &str = r#"{"info": {"year": 2020},
        "images": [{"id": 7, "width": 20, "height": 10, "coco_url": "http://a.org/val2017/000007.jpg",
                    "neg_category_ids": [3], "not_exhaustive_category_ids": []}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 9, "bbox": [1, 2.5, 3, 4], "area": 5.25,
                         "segmentation": [[1, 2, 3, 4, 5, 6]]}],
        "categories": [{"id": 9, "name": "cow", "frequency": "f", "synset": "cow.n.01"}, {"id": 3, "name": "bib",
                        "frequency": "r"}]}"#;

    #[test]
    fn lvis_fields_are_read_and_masks_skipped() {
        let set = set(LVIS_V1).unwrap();
        assert_eq!(set.layout, Layout::Lvis);
        assert_eq!(set.images[0].file_name, "val2017/000007.jpg");
        assert_eq!(set.images[0].neg_category_ids, Some(vec![3]));
        assert_eq!(set.annotations[0].bbox, [1.0, 2.5, 3.0, 4.0]);
        assert_eq!(set.annotations[0].area, Some(5.25));
        assert_eq!(set.categories[1].frequency, Some(FrequencyGroup::Rare));
    }

    #[test]
    fn coco_flags_come_as_numbers_or_words() {
        let text = r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 4, "height": 4}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": 1},
                            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "iscrowd": false,
                             "ignore": true}],
            "categories": [{"id": 1, "name": "x"}]}"#;
        let set = set(text).unwrap();
        assert_eq!(set.layout, Layout::Coco);
        assert_eq!((set.annotations[0].iscrowd, set.annotations[1].iscrowd), (true, false));
        assert!(set.annotations[1].ignore);
    }

    #[test]
    fn broken_files_say_what_and_where() {
        for (text, expected) in [
            (r#"{"images": [], "categories": ["#, "cut short"),
            (r#"{"images": [{"id": 1, "width": NaN}], "categories": []}"#, "no NaN"),
            (r#"{"images": [{"id": 1, "width": 3}], "categories": []}"#, "missing field `height` at line 1"),
            (r#"{"images": [{"id": 1, "width": 3, "height": 2}], "categories": []}"#, "image 1 has neither"),
            (r#"[1, 2]"#, "line 1 column"),
            (r#"{"categories": []}"#, "missing field `images`"),
        ] {
            let error = set(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn an_empty_or_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.json");
        std::fs::write(&path, "").unwrap();
        let error = AnnotationSet::read(&path).unwrap_err().to_string();
        assert!(error.contains("empty.json") && error.contains("the file is empty"), "{error}");
        let error = AnnotationSet::read(&folder.path().join("none.json")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("none.json"), "{error}");
    }
}
