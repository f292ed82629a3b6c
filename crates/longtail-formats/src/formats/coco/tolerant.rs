//! COCO and LVIS files that the fast reader does not take: values are read by meaning, an entry that has none is named
//! with its id and field and left out, and a file of another tool is named for what it is.

use longtail_annotations::{Annotation, Category, FrequencyGroup, ImageRecord};

use super::reader::assemble;
use crate::{
    document::{Document, Extras, Members, RawJson},
    formats::foreign,
    json::{Broken, Cursor, Json},
    remarks::{RemarkKind, Remarks},
};

/// What the typed fields of an entry may be named.
const IMAGE: [&str; 7] =
    ["id", "file_name", "coco_url", "width", "height", "neg_category_ids", "not_exhaustive_category_ids"];
const ANNOTATION: [&str; 7] = ["id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore"];
const CATEGORY: [&str; 3] = ["id", "name", "frequency"];

/// Reads a file; with its other members where `extras` are wanted.
///
/// # Errors
/// What it is instead of a COCO or LVIS file, or where it stops being JSON.
pub(super) fn parse(text: &str, extras: bool) -> Result<(Document, Remarks), String> {
    let mut cursor = Cursor::new(text);
    match cursor.peek() {
        None => return Err("the file is empty".into()),
        Some(b'{') => {}
        _ => return Err(not_a_set(text, &[])),
    }
    let mut reading = Reading { extras, ..Reading::default() };
    let mut names: Vec<String> = Vec::new();
    let read = cursor.object(|name, cursor| {
        if ["images", "annotations", "categories"].contains(&name) && names.iter().any(|n| n == name) {
            return Err(Broken {
                at: cursor.at(),
                reason: format!("`{name}` is given twice"),
                within: Vec::new(),
            });
        }
        names.push(name.to_owned());
        match name {
            "images" => reading.list("images", cursor, Reading::image),
            "annotations" => reading.list("annotations", cursor, Reading::annotation),
            "categories" => reading.list("categories", cursor, Reading::category),
            _ => {
                let value = cursor.skip()?;
                if extras {
                    reading.members.header.push(name, raw(value));
                }
                Ok(())
            }
        }
    });
    let listed = |wanted: &str| names.iter().any(|name| name == wanted);
    if !listed("images") || !(listed("annotations") || listed("categories")) {
        // A file of another tool, whole or not; what is broken JSON besides is told as that.
        if let Some(said) = foreign::name_json(text) {
            return Err(said);
        }
    }
    read.map_err(|broken| broken.describe(text))?;
    if cursor.peek().is_some() {
        return Err(foreign::name_json(text)
            .unwrap_or_else(|| format!("something follows its end, at byte {}", cursor.at())));
    }
    if !reading.has_images {
        return Err(not_a_set(text, &names));
    }
    let Reading { images, annotations, categories, members, remarks, .. } = reading;
    let set = assemble(images, annotations, categories);
    Ok((Document { set, extras: members }, remarks))
}

/// What a file without `images` is.
fn not_a_set(text: &str, names: &[String]) -> String {
    if let Some(said) = foreign::name_json(text) {
        return said;
    }
    let found: Vec<String> = names.iter().take(6).map(|name| format!("`{name:.30}`")).collect();
    match (text.trim_start().starts_with('['), found.as_slice()) {
        (true, _) => "it is a list; expected an object of `images`, `annotations` and `categories`".into(),
        (_, []) => {
            let start: String = text.trim_start().chars().take(20).collect();
            format!("it is not JSON: it begins with {start:?}")
        }
        (_, found) => format!(
            "`images` is missing; expected an object of `images`, `annotations` and `categories`, found {}",
            found.join(", ")
        ),
    }
}

/// Bytes of a value; what Python alone reads (NaN) is not JSON and becomes null.
fn raw(value: &str) -> RawJson {
    RawJson::new(value).unwrap_or_else(|_| RawJson::trusted("null"))
}

#[derive(Default)]
struct Reading {
    extras: bool,
    has_images: bool,
    images: Vec<ImageRecord>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
    members: Extras,
    remarks: Remarks,
}

/// Typed fields of an entry by name, and the others.
struct Entry<'a> {
    fields: Vec<(&'static str, Json<'a>)>,
    others: Members,
}

impl Entry<'_> {
    /// A field that is there and not null.
    fn get(&self, name: &str) -> Option<&Json<'_>> {
        let field = self.fields.iter().rev().find(|(field, _)| *field == name);
        field.map(|(_, value)| value).filter(|value| **value != Json::Null)
    }

    fn integer(&self, name: &str) -> Result<i64, String> {
        let value = self.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
        value.integer().ok_or_else(|| format!("`{name}` is {value}, expected an integer"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.flag().ok_or_else(|| format!("`{name}` is {value}, expected 0 or 1"))
    }

    /// Width or height; 0 where the file does not know it: absent, null, 0, or the -1 of some tools.
    fn side(&self, name: &str) -> Result<u32, String> {
        let Some(value) = self.get(name) else { return Ok(0) };
        let side = match value.integer() {
            Some(side) => u32::try_from(side.max(0)).ok(),
            None => value.number().filter(|side| side.is_nan()).map(|_| 0),
        };
        side.ok_or_else(|| format!("`{name}` is {value}, expected a whole number of pixels"))
    }

    fn ids(&self, name: &str) -> Result<Option<Vec<i64>>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let ids = value.list().and_then(|list| list.iter().map(Json::integer).collect::<Option<Vec<_>>>());
        ids.map(Some).ok_or_else(|| format!("`{name}` is {value}, expected a list of category ids"))
    }
}

impl Reading {
    /// Reads a list; what is wrong with an entry is remarked and the entry left out.
    fn list(
        &mut self,
        list: &'static str,
        cursor: &mut Cursor<'_>,
        read: fn(&mut Self, &Entry<'_>) -> Result<(), String>,
    ) -> Result<(), Broken> {
        if list == "images" {
            self.has_images = true;
        }
        match cursor.peek() {
            Some(b'[') => {}
            // `"annotations": null` is an empty list of some writers.
            Some(b'n') => return cursor.skip().map(drop),
            _ => {
                let at = cursor.at();
                let value = cursor.value()?;
                let reason = format!("`{list}` is {value}, expected a list");
                return Err(Broken { at, reason, within: Vec::new() });
            }
        }
        let known: &[&'static str] = match list {
            "images" => &IMAGE,
            "annotations" => &ANNOTATION,
            _ => &CATEGORY,
        };
        cursor.list(list, |index, cursor| {
            if cursor.peek() != Some(b'{') {
                let value = cursor.value()?;
                self.remarks.add(RemarkKind::Unreadable, || {
                    format!("entry {index} of `{list}`, counted from 0: it is {value}, expected an object")
                });
                return Ok(());
            }
            let mut entry = Entry { fields: Vec::new(), others: Members::default() };
            let extras = self.extras;
            cursor.object(|name, cursor| {
                match known.iter().find(|known| **known == name) {
                    Some(known) => entry.fields.push((*known, cursor.value()?)),
                    None => {
                        let value = cursor.skip()?;
                        if extras {
                            entry.others.push(name, raw(value));
                        }
                    }
                }
                Ok(())
            })?;
            match read(self, &entry) {
                Ok(()) => {
                    let members = match list {
                        "images" => &mut self.members.images,
                        "annotations" => &mut self.members.annotations,
                        _ => &mut self.members.categories,
                    };
                    members.push(entry.others);
                }
                Err(reason) => {
                    self.remarks.add(RemarkKind::Unreadable, || named(list, index, &entry, &reason))
                }
            }
            Ok(())
        })
    }

    fn image(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        // LVIS v1 names files by their URL, https://…/train2017/000000391895.jpg: folder and name matter.
        let from_url = |url: &str| {
            let mut parts = url.rsplit('/');
            match (parts.next(), parts.next()) {
                (Some(name), Some(folder)) => format!("{folder}/{name}"),
                _ => url.to_owned(),
            }
        };
        let name = entry.get("file_name").and_then(Json::text).map(super::reader::with_slashes);
        let name = name.or_else(|| entry.get("coco_url").and_then(Json::text).map(from_url));
        self.images.push(ImageRecord {
            id: entry.integer("id")?,
            // Scoring reads no names; whatever opens a picture says that it has none.
            file_name: name.unwrap_or_default(),
            width: entry.side("width")?,
            height: entry.side("height")?,
            neg_category_ids: entry.ids("neg_category_ids")?,
            not_exhaustive_category_ids: entry.ids("not_exhaustive_category_ids")?,
        });
        Ok(())
    }

    fn annotation(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let bbox = entry.get("bbox").ok_or("`bbox` is missing or null, expected x, y, width, height")?;
        let numbers = bbox.list().and_then(|list| {
            let number = |value: &Json<'_>| {
                value.number().or_else(|| value.text().and_then(|text| text.trim().parse().ok()))
            };
            <[f64; 4]>::try_from(list.iter().map(number).collect::<Option<Vec<f64>>>()?).ok()
        });
        let area = entry.get("area").and_then(Json::number).filter(|area| area.is_finite());
        self.annotations.push(Annotation {
            id: entry.integer("id")?,
            image_id: entry.integer("image_id")?,
            category_id: entry.integer("category_id")?,
            bbox: numbers
                .ok_or_else(|| format!("`bbox` is {bbox}, expected four numbers x, y, width, height"))?,
            area,
            iscrowd: entry.flag("iscrowd")?,
            ignore: entry.flag("ignore")?,
        });
        Ok(())
    }

    fn category(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let id = entry.integer("id")?;
        let name = entry.get("name").and_then(Json::text);
        let letter = entry.get("frequency").and_then(Json::text);
        let frequency = FrequencyGroup::ALL.into_iter().find(|group| Some(group.letter()) == letter);
        self.categories.push(Category {
            id,
            name: name.map_or_else(|| id.to_string(), str::to_owned),
            frequency,
        });
        Ok(())
    }
}

/// An entry in a message: its id where it has one, else its index and image.
fn named(list: &str, index: usize, entry: &Entry<'_>, reason: &str) -> String {
    let kind = match list {
        "images" => "image",
        "annotations" => "annotation",
        _ => "category",
    };
    let image = match (list, entry.get("image_id")) {
        ("annotations", Some(image)) => format!(", of image {image}"),
        _ => String::new(),
    };
    match entry.get("id") {
        Some(id) => format!("{kind} {id} (entry {index} of `{list}`, counted from 0{image}): {reason}"),
        None => format!("entry {index} of `{list}`, counted from 0{image}: {reason}"),
    }
}
