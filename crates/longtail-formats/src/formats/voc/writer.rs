//! Writes a part of a VOC data set: its XML files, its list, and `labels.txt` with the order of the classes.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use longtail_files::{NewFolder, write_bytes};
use rustc_hash::FxHashMap;

use super::reader::can_be_listed;
use crate::{
    document::{Document, Losses, Members, RawJson},
    error::FormatError,
    formats::{
        PixelOrigin, WriteOptions,
        losses::{Held, count},
        place::place_images,
        text::{lines, read_text},
    },
};
use longtail_annotations::{Annotation, ImageRecord, check_file_name};

/// Members that an object of VOC has.
const HELD: &[&str] = &["pose", "truncated", "occluded", "difficult"];

/// Writes a document as the part that the options name; other parts of the folder stay.
pub(crate) fn write(
    document: &Document,
    folder: &Path,
    options: &WriteOptions,
) -> Result<Losses, FormatError> {
    let list = folder.join("ImageSets").join("Main").join(format!("{}.txt", options.part));
    if list.exists() {
        return Err(FormatError::unwritable(&list, "it exists already; remove it or choose another part"));
    }
    let mut losses = count(document, Held { annotation: HELD, ..Held::default() });
    let names = class_names(document, folder, &mut losses)?;
    let annotations = folder.join("Annotations");
    let files = xml_files(document, options.voc_origin, &mut losses)?;
    if let Some(name) = files.keys().find(|name| annotations.join(format!("{name}.xml")).exists()) {
        let reason = "another part has an image of this name; rename it";
        return Err(FormatError::unwritable(&annotations.join(format!("{name}.xml")), reason));
    }
    let images = place_images(document, &folder.join(".JPEGImages"), options, |name| name)?;
    let staged = NewFolder::begin(&folder.join(format!(".Annotations.{}", options.part)))?;
    for (name, text) in &files {
        staged.write(format!("{name}.xml"), text.as_bytes())?;
    }
    staged.merge_into(&annotations)?;
    if let Some(images) = images {
        images.merge_into(&folder.join("JPEGImages"))?;
    }
    let labels = names.iter().map(|name| format!("{name}\n")).collect::<String>();
    write_bytes(&folder.join("labels.txt"), labels.as_bytes())?;
    fs::create_dir_all(folder.join("ImageSets").join("Main")).map_err(FormatError::io("write", folder))?;
    // The list comes last: a part with a list is whole.
    let names = files.keys().map(|name| format!("{name}\n")).collect::<String>();
    write_bytes(&list, names.as_bytes())?;
    Ok(losses)
}

/// Names by ascending id, which `labels.txt` keeps.
fn class_names(document: &Document, folder: &Path, losses: &mut Losses) -> Result<Vec<String>, FormatError> {
    let set = &document.set;
    let sorted: BTreeMap<i64, &str> =
        set.categories.iter().rev().map(|category| (category.id, &*category.name)).collect();
    let moved = (1..).zip(sorted.keys()).filter(|(line, id)| line != *id).count();
    losses.add_many("category ids (numbered from 1)", moved as u64);
    let mut names: Vec<String> = sorted.values().map(|name| (*name).to_owned()).collect();
    for name in &names {
        if name.trim() != name || name.is_empty() || name.contains(['\n', '\r']) {
            let reason =
                format!("class name {name:?} is empty, has a line end, or spaces around it; rename it");
            return Err(FormatError::unwritable(folder, reason));
        }
    }
    let mut unique: Vec<&String> = names.iter().collect();
    unique.sort();
    if let Some(pair) = unique.windows(2).find(|pair| pair[0] == pair[1]) {
        let reason = format!("two classes are named {:?}; VOC has only names", pair[0]);
        return Err(FormatError::unwritable(folder, reason));
    }
    let list = folder.join("labels.txt");
    if list.is_file() {
        let text = read_text(&list)?;
        let mut all: Vec<String> = lines(&text).map(|(_, name)| name.to_owned()).collect();
        names.retain(|name| !all.contains(name));
        all.append(&mut names);
        return Ok(all);
    }
    Ok(names)
}

/// Text of the XML file of every image, by its path without ending.
fn xml_files(
    document: &Document,
    origin: PixelOrigin,
    losses: &mut Losses,
) -> Result<BTreeMap<String, String>, FormatError> {
    let set = &document.set;
    let fail =
        |entry: String, reason: &str| FormatError::Entry { set: set.label(), entry, reason: reason.into() };
    let names: FxHashMap<i64, &str> = set.categories.iter().map(|c| (c.id, &*c.name)).collect();
    let mut files = BTreeMap::new();
    for (image, places) in set.images.iter().zip(document.annotations_by_image()) {
        let entry = || format!("image {}: file_name {:?}", image.id, image.file_name);
        check_file_name(&image.file_name).map_err(|reason| fail(entry(), reason))?;
        let mut text = head(image);
        for place in places {
            let annotation = &set.annotations[place];
            let Some(name) = names.get(&annotation.category_id) else {
                return Err(fail(
                    format!("annotation {}", annotation.id),
                    "its category_id is not a category",
                ));
            };
            object(&mut text, name, annotation, &document.extras.annotations[place], origin);
            if annotation.iscrowd {
                losses.add("crowd boxes (written as difficult)");
            }
        }
        text.push_str("</annotation>\n");
        let stem = Path::new(&image.file_name).with_extension("").to_string_lossy().into_owned();
        // A last part such as `...jpg` has `..` before its ending.
        check_file_name(&stem).map_err(|reason| fail(entry(), &format!("without its ending {reason}")))?;
        if !can_be_listed(&stem) {
            let reason = "cannot stand in a list of names: a line break, a space at an end, or ` 1` after it; rename it";
            return Err(fail(entry(), reason));
        }
        if files.insert(stem, text).is_some() {
            return Err(fail(entry(), "another image would have the same XML file; rename one"));
        }
    }
    Ok(files)
}

fn head(image: &ImageRecord) -> String {
    format!(
        "<annotation>\n  <filename>{}</filename>\n  <size>\n    <width>{}</width>\n    <height>{}</height>\n    \
         <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n",
        escaped(&image.file_name),
        image.width,
        image.height
    )
}

fn object(text: &mut String, name: &str, annotation: &Annotation, members: &Members, origin: PixelOrigin) {
    let [x, y, w, h] = annotation.bbox;
    let [x1, y1, x2, y2] = match origin {
        PixelOrigin::One => [x + 1.0, y + 1.0, x + w, y + h],
        PixelOrigin::Zero => [x, y, x + w, y + h],
    };
    // Writing to text cannot fail.
    let _ = writeln!(text, "  <object>\n    <name>{}</name>", escaped(name));
    if let Some(pose) = members.get("pose").and_then(RawJson::text) {
        let _ = writeln!(text, "    <pose>{}</pose>", escaped(&pose));
    }
    for flag in ["truncated", "occluded"] {
        if let Some(value) = members.get(flag).and_then(RawJson::flag) {
            let _ = writeln!(text, "    <{flag}>{}</{flag}>", u8::from(value));
        }
    }
    let difficult = annotation.ignore || annotation.iscrowd || members.is_set("difficult");
    let _ = writeln!(
        text,
        "    <difficult>{}</difficult>\n    <bndbox>\n      <xmin>{x1}</xmin>\n      <ymin>{y1}</ymin>\n      \
         <xmax>{x2}</xmax>\n      <ymax>{y2}</ymax>\n    </bndbox>\n  </object>",
        u8::from(difficult)
    );
}

/// Text between tags. Characters that XML lacks become U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\t' | '\n' => out.push(character),
            '\r' => out.push_str("&#13;"),
            c if c.is_control() && c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
