//! Writes the tables of a part.

use std::{fs, path::Path, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    document::{Document, Losses, Members, RawJson},
    error::FormatError,
    formats::{
        WriteOptions,
        losses::{Held, count},
        place::place_images,
    },
    open_images::{
        ImageLabel, OpenImagesBox, OpenImagesClass, image_id, read_classes, relative_corners, write_boxes,
        write_class_descriptions, write_image_labels,
    },
};
use longtail_annotations::{ImageRecord, Layout, check_file_name};

const HELD: Held = Held {
    image: &[],
    annotation: &["occluded", "truncated", "depiction", "inside", "source"],
    category: &["label"],
    federated: true,
    area: false,
    ids: false,
};

/// Writes a document as the part that the options name; other parts of the folder stay.
pub(crate) fn write(
    document: &Document,
    folder: &Path,
    options: &WriteOptions,
) -> Result<Losses, FormatError> {
    let part = if options.part == "val" { "validation" } else { &options.part };
    let boxes_file = folder.join(format!("{part}-annotations-bbox.csv"));
    if boxes_file.exists() {
        return Err(FormatError::unwritable(
            &boxes_file,
            "it exists already; remove it or choose another part",
        ));
    }
    let mut losses = count(document, HELD);
    let classes = classes(document);
    let class_file = folder.join("class-descriptions-boxable.csv");
    if class_file.exists() && read_classes(&class_file)? != classes {
        let reason = "it has other classes, or in another order; all parts must have the same";
        return Err(FormatError::unwritable(&class_file, reason));
    }
    let moved = document.set.categories.iter().zip(&classes).filter(|(c, class)| c.id != class.id).count();
    losses.add_many("category ids (numbered from 1)", moved as u64);
    let (boxes, labels) = rows(document, &classes, &mut losses)?;
    fs::create_dir_all(folder).map_err(FormatError::io("write", folder))?;
    if let Some(images) = place_images(document, &folder.join(part), options, base_name)? {
        images.finish()?;
    }
    write_class_descriptions(&class_file, &classes)?;
    write_image_labels(&folder.join(format!("{part}-annotations-human-imagelabels-boxable.csv")), &labels)?;
    // The boxes come last: a part with boxes is whole.
    write_boxes(&boxes_file, &boxes)?;
    Ok(losses)
}

/// Image files lie in one folder.
fn base_name(file_name: &str) -> &str {
    file_name.rsplit('/').next().unwrap_or(file_name)
}

/// Classes in the order of the set; the label is what an Open Images file said, or else the name.
fn classes(document: &Document) -> Vec<OpenImagesClass> {
    let categories = document.set.categories.iter().zip(&document.extras.categories);
    (1..)
        .zip(categories)
        .map(|(id, (category, members))| {
            let label = members.get("label").and_then(RawJson::text).unwrap_or_else(|| category.name.clone());
            // A name that the reader made unique.
            let name = category.name.strip_suffix(&format!(" ({label})")).unwrap_or(&category.name);
            OpenImagesClass { id, name: name.to_owned(), label }
        })
        .collect()
}

fn rows(
    document: &Document,
    classes: &[OpenImagesClass],
    losses: &mut Losses,
) -> Result<(Vec<OpenImagesBox>, Vec<ImageLabel>), FormatError> {
    let set = &document.set;
    let fail =
        |entry: String, reason: &str| FormatError::Entry { set: set.label(), entry, reason: reason.into() };
    let labels: FxHashMap<i64, Arc<str>> =
        set.categories.iter().zip(classes).map(|(c, class)| (c.id, class.label.as_str().into())).collect();
    let (mut boxes, mut image_labels) = (Vec::with_capacity(set.annotations.len()), Vec::new());
    let mut names = FxHashSet::default();
    for (image, places) in set.images.iter().zip(document.annotations_by_image()) {
        let entry = || format!("image {}: file_name {:?}", image.id, image.file_name);
        check_file_name(&image.file_name).map_err(|reason| fail(entry(), reason))?;
        if image.width == 0 || image.height == 0 {
            return Err(fail(entry(), "its width or height is 0"));
        }
        if image.file_name.contains('/') {
            losses.add("folders in image names");
        }
        let id: Arc<str> = image_id(image).into();
        if !names.insert(id.clone()) {
            return Err(fail(entry(), "another image would have the same ImageID; rename one"));
        }
        let mut present: Vec<i64> = Vec::new();
        for place in places {
            let annotation = &set.annotations[place];
            let Some(label) = labels.get(&annotation.category_id) else {
                return Err(fail(
                    format!("annotation {}", annotation.id),
                    "its category_id is not a category",
                ));
            };
            if annotation.ignore {
                losses.add("boxes to be ignored (left out)");
                continue;
            }
            if !present.contains(&annotation.category_id) {
                present.push(annotation.category_id);
            }
            let members = &document.extras.annotations[place];
            boxes.push(row(&id, label, annotation.bbox, annotation.iscrowd, image, members));
        }
        let mut label = |category: &i64, confidence| {
            if let Some(label) = labels.get(category) {
                let source = Some("verification".into());
                image_labels.push(ImageLabel {
                    image_id: id.clone(),
                    label: label.clone(),
                    source,
                    confidence,
                });
            }
        };
        present.iter().for_each(|id| label(id, 1.0));
        for open in image.not_exhaustive_category_ids.iter().flatten() {
            match present.contains(open) {
                true => losses.add("classes with boxes that are not exhaustively annotated"),
                false => label(open, 1.0),
            }
        }
        match set.layout {
            Layout::Lvis => image.neg_category_ids.iter().flatten().for_each(|id| label(id, 0.0)),
            // COCO annotates every class everywhere.
            Layout::Coco => {
                set.categories
                    .iter()
                    .map(|c| &c.id)
                    .filter(|id| !present.contains(id))
                    .for_each(|id| label(id, 0.0));
            }
        }
    }
    Ok((boxes, image_labels))
}

fn row(
    id: &Arc<str>,
    label: &Arc<str>,
    bbox: [f64; 4],
    group: bool,
    image: &ImageRecord,
    members: &Members,
) -> OpenImagesBox {
    let size = [f64::from(image.width), f64::from(image.height)];
    let flag = |name: &str| members.get(name).and_then(RawJson::flag);
    OpenImagesBox {
        source: members.get("source").and_then(RawJson::text).map(Into::into),
        confidence: Some(1.0),
        is_occluded: flag("occluded"),
        is_truncated: flag("truncated"),
        is_depiction: flag("depiction"),
        is_inside: flag("inside"),
        ..OpenImagesBox::new(id.clone(), label.clone(), relative_corners(bbox, size), group)
    }
}
