//! COCO and LVIS annotation files. The file is memory-mapped and parsed in blocks side by side; masks, captions and
//! whatever else is not needed is skipped without being stored, and pages that were read are given back, so the 1.2 GB
//! of LVIS v1 do not need gigabytes of memory.

use std::{fs::File, path::Path};

use serde::Deserialize;

use super::{extras::extras, tolerant};
use crate::{
    blocks::{Blocks, Unusual},
    document::Document,
    error::FormatError,
    remarks::Remarks,
};
use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};

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

/// Reads a COCO, LVIS v0.5 or LVIS v1 annotation file as it is. The layout is LVIS if images or categories carry
/// LVIS fields.
///
/// # Errors
/// If the file cannot be read or is not such JSON, or an entry has no meaning; the message has entry, id and field.
pub fn read_annotations(path: &Path) -> Result<AnnotationSet, FormatError> {
    let (set, remarks) = inspect_annotations(path)?;
    remarks.refuse_unreadable(path)?;
    Ok(set)
}

/// As [`read_annotations`], but entries without a meaning are remarked and left out.
///
/// # Errors
/// If the file cannot be read or is not such JSON.
pub(crate) fn inspect_annotations(path: &Path) -> Result<(AnnotationSet, Remarks), FormatError> {
    with_bytes(path, |bytes, release| {
        let (set, remarks) = match parse_blocks(bytes, release) {
            Ok(set) => (set, Remarks::default()),
            Err(Unusual) => {
                let (document, remarks) = tolerant::parse(utf8(bytes)?, false)?;
                (document.set, remarks)
            }
        };
        Ok((AnnotationSet { path: Some(path.to_owned()), ..set }, remarks))
    })
}

/// The text of a file.
fn utf8(bytes: &[u8]) -> Result<&str, String> {
    let zeros = |first: usize| bytes.iter().skip(first).step_by(2).take(32).all(|byte| *byte == 0);
    if bytes.starts_with(&[0xFF, 0xFE])
        || bytes.starts_with(&[0xFE, 0xFF])
        || (bytes.len() >= 4 && (zeros(0) || zeros(1)))
    {
        return Err("it is UTF-16; save it as UTF-8".into());
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8 (byte {at}); save it as UTF-8")
    })
}

/// Parses the big arrays in blocks side by side: what [`tolerant::parse`] gives, or a refusal.
fn parse_blocks(bytes: &[u8], release: &dyn Fn(usize)) -> Result<AnnotationSet, Unusual> {
    parse_fields(Blocks::new(bytes, release)?)
}

fn parse_fields(mut blocks: Blocks<'_>) -> Result<AnnotationSet, Unusual> {
    fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Unusual> {
        // A repeated field is an error; the other reader says so.
        if place.replace(value).is_some() { Err(Unusual) } else { Ok(()) }
    }
    let (mut images, mut annotations, mut categories) = (None, None, None);
    while let Some(field) = blocks.field()? {
        match field {
            "images" => once(&mut images, blocks.array(|i| image(i).ok())?)?,
            "annotations" => once(&mut annotations, blocks.array(|a| Some(annotation(a)))?)?,
            "categories" => once(&mut categories, blocks.array(|c| Some(category(c)))?)?,
            _ => blocks.skip()?,
        }
    }
    let (images, categories) = (images.ok_or(Unusual)?, categories.ok_or(Unusual)?);
    Ok(assemble(images, annotations.unwrap_or_default(), categories))
}

pub(super) fn assemble(
    images: Vec<ImageRecord>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
) -> AnnotationSet {
    let lvis = categories.iter().any(|c| c.frequency.is_some())
        || images.iter().any(|i| i.neg_category_ids.is_some() || i.not_exhaustive_category_ids.is_some());
    let layout = if lvis { Layout::Lvis } else { Layout::Coco };
    AnnotationSet { path: None, layout, images, annotations, categories }
}

/// Parses bytes in runs of a length and as a whole, as a fuzzer asks for it.
///
/// # Panics
/// If the two differ.
#[doc(hidden)]
pub fn blocks_agree_with_one_by_one(bytes: &[u8], run: usize) {
    let found = Blocks::with_run(bytes, run, &|_| ()).and_then(parse_fields);
    // What is skipped need not be UTF-8.
    if let (Ok(found), Ok(text)) = (found, std::str::from_utf8(bytes)) {
        let whole = tolerant::parse(text, true).map(|(document, remarks)| (document.set, remarks.is_empty()));
        assert_eq!(Ok((found, true)), whole);
    }
}

/// Gives mapped memory before `until` back; what is looked at again is read again.
#[cfg(unix)]
fn release(bytes: &memmap2::Mmap, until: usize) {
    // SAFETY: the map is of a file and read-only, so that its pages can be had again. Failing costs memory alone.
    let _ = unsafe { bytes.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, 0, until) };
}

#[cfg(not(unix))]
fn release(_: &memmap2::Mmap, _: usize) {}

fn annotation(a: FileAnnotation) -> Annotation {
    Annotation {
        id: a.id,
        image_id: a.image_id,
        category_id: a.category_id,
        bbox: a.bbox,
        area: a.area,
        iscrowd: a.iscrowd.is_set(),
        ignore: a.ignore.is_set(),
    }
}

fn category(c: FileCategory) -> Category {
    Category { id: c.id, name: c.name, frequency: c.frequency }
}

/// Reads a COCO or LVIS file with everything it says; entries without a meaning are remarked and left out.
///
/// # Errors
/// As [`inspect_annotations`].
pub(crate) fn read_document(path: &Path) -> Result<(Document, Remarks), FormatError> {
    with_bytes(path, |bytes, release| {
        let fast = parse_blocks(bytes, release).ok().and_then(|set| {
            let extras = extras(std::str::from_utf8(bytes).ok()?)?;
            let lengths = [set.images.len(), set.annotations.len(), set.categories.len()];
            let cut = [extras.images.len(), extras.annotations.len(), extras.categories.len()];
            (lengths == cut).then_some(Document { set, extras })
        });
        let (mut document, remarks) = match fast {
            Some(document) => (document, Remarks::default()),
            None => tolerant::parse(utf8(bytes)?, true)?,
        };
        document.set.path = Some(path.to_owned());
        Ok((document, remarks))
    })
}

/// Maps a file into memory for `parse`, without its byte order mark, and with what gives memory before a place back.
fn with_bytes<T>(
    path: &Path,
    parse: impl FnOnce(&[u8], &dyn Fn(usize)) -> Result<T, String>,
) -> Result<T, FormatError> {
    let fail = |reason| FormatError::Parse { path: path.to_owned(), reason };
    let file = File::open(path).map_err(FormatError::io("read", path))?;
    let length = file.metadata().map_err(FormatError::io("read", path))?.len();
    if length == 0 {
        return Err(fail("the file is empty".into()));
    }
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid, as
    // with every program that maps files.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(FormatError::io("read", path))?;
    let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    parse(text, &|until| release(&bytes, until)).map_err(fail)
}

/// A name with `/` between its parts, as Windows does not have it.
pub(super) fn with_slashes(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.strip_prefix("./").map_or_else(|| name.clone(), str::to_owned)
}

fn image(image: FileImage) -> Result<ImageRecord, Unusual> {
    // LVIS v1 names files by their URL, https://…/train2017/000000391895.jpg: folder and name matter.
    let from_url = |url: String| {
        let mut parts = url.rsplit('/');
        match (parts.next(), parts.next()) {
            (Some(name), Some(folder)) => format!("{folder}/{name}"),
            _ => url,
        }
    };
    let mut file_name = image.file_name.or_else(|| image.coco_url.map(from_url)).ok_or(Unusual)?;
    if file_name.contains('\\') || file_name.starts_with("./") {
        file_name = with_slashes(&file_name);
    }
    Ok(ImageRecord {
        id: image.id,
        file_name,
        width: image.width,
        height: image.height,
        neg_category_ids: image.neg_category_ids,
        not_exhaustive_category_ids: image.not_exhaustive_category_ids,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Result<AnnotationSet, String> {
        let (document, remarks) = tolerant::parse(text, false)?;
        let unreadable = remarks.of(crate::remarks::RemarkKind::Unreadable);
        unreadable.map_or(Ok(document.set), |unreadable| Err(unreadable.examples.join("; ")))
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
            (
                r#"{"images": [{"id": 1, "width": 3.5}], "categories": []}"#,
                "image 1 (entry 0 of `images`, counted",
            ),
            (r#"{"images": [{"id": "x"}], "categories": []}"#, "`id` is \"x\", expected an integer"),
            (r#"[1, 2]"#, "it is a list"),
            (
                r#" [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}]"#,
                "as files of detections are",
            ),
            (
                r#"{"images": [], "categories": [], "annotations": [{"id": 1, "image_id": 1, "category_id": 1,
                    "bbox": [0, 0, 1, 1, 1]}]}"#,
                "`bbox` is [0, 0, 1, 1, 1], expected four numbers",
            ),
            (
                r#"{"images": [], "categories": [], "annotations": [{"id": 8, "image_id": 1, "category_id": 1,
                    "bbox": [0, 0, 1]}]}"#,
                "annotation 8 (entry 0 of `annotations`, counted from 0, of image 1): `bbox`",
            ),
            (
                r#"{"images": [], "categories": [], "annotations": [{"image_id": 1, "category_id": 1,
                    "bbox": [0, 0, 1, 1]}]}"#,
                "entry 0 of `annotations`, counted from 0, of image 1: `id` is missing",
            ),
            (r#"{"images": [], "images": []}"#, "`images` is given twice"),
            (r#"{"images": 3}"#, "`images` is 3, expected a list"),
            (r#"{"categories": []}"#, "`images` is missing"),
            ("", "the file is empty"),
            ("name,x", "it is not JSON"),
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
        let error = read_annotations(&path).unwrap_err().to_string();
        assert!(error.contains("empty.json") && error.contains("the file is empty"), "{error}");
        let error = read_annotations(&folder.path().join("none.json")).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("none.json"), "{error}");
    }

    fn in_blocks(text: &str, run: usize) -> Result<AnnotationSet, Unusual> {
        parse_fields(Blocks::with_run(text.as_bytes(), run, &|_| ())?)
    }

    /// A file with everything that could mislead a cut: objects in objects, entries in strings, all kinds of space.
    fn misleading(entries: usize) -> String {
        let annotation = |id: usize| {
            let extra = [
                r#""segmentation": {"size": [3, 4], "counts": "a},{\"id\": 9}"}"#,
                r#""segments": [{"id": 1}, {"id": 2},{"id": 3}]"#,
                r#""segmentation": [[1.5, 2, 3e1, 4]], "iscrowd": 1"#,
            ];
            format!(
                r#"{{"id": {id}, "image_id":1,"category_id" :2, "bbox": [0, {id}.5, 1, 2], {}}}"#,
                extra[id % 3]
            )
        };
        let annotations: Vec<String> = (0..entries).map(annotation).collect();
        format!(
            r#"{{"info": {{"a": [{{}}, {{}}]}}, "annotations": [ {} ], "licenses": [], "images": [{{"id": 1, "width": 3,
            "height": 4, "file_name": "a }},{{ \u00e4"}}], "categories": [{{"id": 2, "name": "x"}},{{"id": 3, "name": "y"}}]}}"#,
            annotations.join(",\r\n\t ")
        )
    }

    #[test]
    fn blocks_of_any_size_give_the_same_or_refuse() {
        for entries in [0, 1, 2, 30] {
            let text = misleading(entries);
            let expected = set(&text).unwrap();
            assert_eq!(in_blocks(&text, text.len()), Ok(expected.clone()));
            let sizes = 1..text.len();
            let same = sizes.clone().filter(|&run| match in_blocks(&text, run) {
                Ok(found) => {
                    assert_eq!(found, expected, "runs of {run}");
                    true
                }
                Err(Unusual) => false,
            });
            assert!(same.count() > sizes.len() / 20, "{entries} entries");
        }
        let usual =
            misleading(30).replace("\"segments\"", "\"other\"").replace("}, {\"id\": 2},{\"id\": 3}", "}");
        let usual = usual.replace("},{\\\"id", "").replace("a },{", "a");
        for run in [1, 50, 200, 1000] {
            assert_eq!(in_blocks(&usual, run), Ok(set(&usual).unwrap()), "runs of {run}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_other_reader() {
        let usual = misleading(3);
        for (from, to) in [
            ("\"images\"", "\"im\\u0061ges\""),
            ("\"licenses\": []", "\"images\": []"),
            ("\"licenses\": []", "\"licenses\": [],"),
            ("\"licenses\": []", "\"licenses\": nul"),
            ("\"images\": [", "\"images\": [[9, null, \"c\", 3, 4],"),
            ("\"id\": 1, \"width\"", "\"width\""),
            ("\"name\": \"y\"}]", "\"name\": \"y\"},]"),
            ("\"name\": \"y\"}]}", "\"name\": \"y\"}]"),
            ("\"name\": \"y\"}]}", "\"name\": \"y\"}]} x"),
            ("\"categories\"", "\"other\""),
        ] {
            assert!(usual.contains(from), "{from}");
            let text = usual.replace(from, to);
            assert_eq!(in_blocks(&text, 100), Err(Unusual), "{to}");
            let read = parse_blocks(text.as_bytes(), &|_| ());
            assert_eq!(read, Err(Unusual), "{to}");
        }
        // The other reader takes some of them, and what it takes is what is read.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, usual.replace("\"images\"", "\"im\\u0061ges\"")).unwrap();
        assert_eq!(read_annotations(&path).unwrap().annotations, set(&usual).unwrap().annotations);
    }

    proptest! {
        /// Whatever is done to a file, blocks give what is read one by one, or refuse.
        #[test]
        fn blocks_never_differ_from_one_by_one(
            entries in 0..8_usize,
            run in 1..400_usize,
            edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_usize, "[]{}\",:0-9a-e\\\\ .-]"), 0..3),
        ) {
            let mut text = misleading(entries);
            for (place, kind, with) in edits {
                let place = place.index(text.len());
                if !text.is_char_boundary(place) || !text.is_char_boundary(place + 1) {
                    continue;
                }
                match kind {
                    0 => text.insert_str(place, &with),
                    1 => drop(text.remove(place)),
                    2 => text.replace_range(place..place + 1, &with),
                    _ => {
                        let copied = text[..place].to_owned();
                        let from = copied.rfind('{').unwrap_or(0);
                        text.insert_str(place, &copied[from..]);
                    }
                }
            }
            if let Ok(found) = in_blocks(&text, run) {
                prop_assert_eq!(Ok(found), set(&text));
            }
        }
    }
}
