//! Reads the tables of a part.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::files::Files;
use crate::{
    annotation::{Annotation, AnnotationSet, Category, ImageRecord, Layout},
    document::{Document, Members, RawJson},
    error::DataError,
    file_name::check_file_name,
    formats::{OpenImagesLabels, ReadOptions, image_files::image_sizes, set_frequencies},
    open_images::{
        Hierarchy, ImageLabel, OpenImagesBox, expand_boxes, expand_image_labels, read_boxes, read_classes,
        read_image_labels,
    },
};

/// Reads a part: of a boxes table, or a folder.
pub(crate) fn read(path: &Path, options: &ReadOptions, extras: bool) -> Result<Document, DataError> {
    let files = Files::find(path, options)?;
    let mut boxes = read_boxes(&files.boxes)?;
    let mut labels = files.labels.as_deref().map_or_else(|| Ok(Vec::new()), read_image_labels)?;
    // Machines only propose.
    labels.retain(|label| label.confidence == 0.0 || label.confidence == 1.0);
    let hierarchy = || {
        let missing = "there is no class tree (a name with `hierarchy`, ending in .json) beside it; expanded and leaf labels need it";
        let file =
            files.hierarchy.as_deref().ok_or_else(|| DataError::unrecognised(&files.boxes, missing))?;
        Hierarchy::read(file)
    };
    match options.labels {
        OpenImagesLabels::AsGiven => {}
        OpenImagesLabels::Expanded => {
            let hierarchy = hierarchy()?;
            boxes = expand_boxes(&hierarchy, &boxes)?;
            // Images are labelled with more classes than have boxes.
            labels.retain(|label| hierarchy.ancestors(&label.label).is_some());
            labels = expand_image_labels(&hierarchy, &labels)?;
        }
        OpenImagesLabels::Leaf => boxes = without_copies(&hierarchy()?, boxes),
    }
    let (categories, members) = categories(&files, &boxes)?;
    let ids: FxHashMap<String, i64> = members.iter().map(|(id, label)| (label.clone(), *id)).collect();
    let names: BTreeSet<&Arc<str>> =
        boxes.iter().map(|b| &b.image_id).chain(labels.iter().map(|l| &l.image_id)).collect();
    let images = images(&files, &names)?;
    let place: FxHashMap<&str, usize> =
        names.iter().enumerate().map(|(place, name)| (&***name, place)).collect();
    let mut document = Document::new(AnnotationSet {
        path: Some(path.to_owned()),
        layout: Layout::Lvis,
        images,
        annotations: Vec::with_capacity(boxes.len()),
        categories,
    });
    if extras {
        for (members, (_, label)) in document.extras.categories.iter_mut().zip(&members) {
            members.push("label", RawJson::of(label));
        }
    }
    for row in &boxes {
        let image = &document.set.images[place[&*row.image_id]];
        let category_id = *ids.get(&*row.label).ok_or_else(|| {
            let reason =
                format!("class {} of a box is not among the classes of {}", row.label, files.class_file());
            DataError::unrecognised(&files.boxes, reason)
        })?;
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let bbox = [
            row.x_min * width,
            row.y_min * height,
            (row.x_max - row.x_min) * width,
            (row.y_max - row.y_min) * height,
        ];
        document.set.annotations.push(Annotation {
            id: document.set.annotations.len() as i64 + 1,
            image_id: image.id,
            category_id,
            bbox,
            area: None,
            iscrowd: row.is_group_of == Some(true),
            ignore: false,
        });
        document.extras.annotations.push(if extras { flags(row) } else { Members::default() });
    }
    verified(&mut document, &labels, &ids, &place);
    set_frequencies(&mut document, false);
    Ok(document)
}

impl Files {
    fn class_file(&self) -> String {
        self.classes.as_ref().map_or_else(|| "the set".into(), |path| path.display().to_string())
    }
}

/// Boxes without the copies for ancestors that expanded tables have: where another box of the image has the same
/// corners and a class below.
fn without_copies(hierarchy: &Hierarchy, boxes: Vec<OpenImagesBox>) -> Vec<OpenImagesBox> {
    type Place = (Arc<str>, [u64; 4]);
    let place = |b: &OpenImagesBox| -> Place {
        (b.image_id.clone(), [b.x_min, b.x_max, b.y_min, b.y_max].map(f64::to_bits))
    };
    let mut implied: FxHashSet<(Place, Arc<str>)> = FxHashSet::default();
    for row in &boxes {
        for ancestor in hierarchy.ancestors(&row.label).unwrap_or_default() {
            implied.insert((place(row), ancestor.clone()));
        }
    }
    boxes.into_iter().filter(|row| !implied.contains(&(place(row), row.label.clone()))).collect()
}

/// Id of a class, and its `LabelName`.
type IdAndLabel = (i64, String);

/// Categories with the ids and labels of their classes; without descriptions, the labels of the boxes in order.
fn categories(files: &Files, boxes: &[OpenImagesBox]) -> Result<(Vec<Category>, Vec<IdAndLabel>), DataError> {
    let classes: Vec<(i64, String, String)> = match &files.classes {
        Some(path) => read_classes(path)?.into_iter().map(|c| (c.id, c.label, c.name)).collect(),
        None => {
            let labels: BTreeSet<&str> = boxes.iter().map(|b| &*b.label).collect();
            (1..).zip(labels).map(|(id, label)| (id, label.to_owned(), label.to_owned())).collect()
        }
    };
    let mut uses: FxHashMap<&str, usize> = FxHashMap::default();
    classes.iter().for_each(|(_, _, name)| *uses.entry(name).or_default() += 1);
    let category = |(id, label, name): &(i64, String, String)| {
        // Names tell classes apart everywhere else.
        let name = if uses[&**name] > 1 { format!("{name} ({label})") } else { name.clone() };
        Category { id: *id, name, frequency: None }
    };
    let categories = classes.iter().map(category).collect();
    Ok((categories, classes.into_iter().map(|(id, label, _)| (id, label)).collect()))
}

/// Records of images, by ascending name.
fn images(files: &Files, names: &BTreeSet<&Arc<str>>) -> Result<Vec<ImageRecord>, DataError> {
    let mut paths: Vec<PathBuf> = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        check_file_name(name).map_err(|reason| {
            DataError::malformed(&files.boxes, None, format!("ImageID {name:?} {reason}"))
        })?;
        let candidates = files.images.iter().flat_map(|folder| {
            ["jpg", "png", "jpeg", "webp"].map(|ending| folder.join(format!("{name}.{ending}")))
        });
        match candidates.into_iter().find(|path| path.is_file()) {
            Some(path) => paths.push(path),
            None => missing.push(name),
        }
    }
    if let Some(first) = missing.first() {
        let reason = format!(
            "{} of {} images are not there, such as {first}.jpg; boxes are relative to their images: name their folder (--images)",
            missing.len(),
            names.len()
        );
        return Err(DataError::unrecognised(&files.boxes, reason));
    }
    let sizes = image_sizes(&paths)?;
    let record = |(id, (path, [width, height])): (i64, (&PathBuf, [u32; 2]))| ImageRecord {
        id,
        file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        width,
        height,
        neg_category_ids: Some(Vec::new()),
        not_exhaustive_category_ids: Some(Vec::new()),
    };
    Ok((1..).zip(paths.iter().zip(sizes)).map(record).collect())
}

/// What a box says beside its place; `group_of` is the set's `iscrowd`.
fn flags(row: &OpenImagesBox) -> Members {
    let mut members = Members::default();
    let flags = [
        ("occluded", row.is_occluded),
        ("truncated", row.is_truncated),
        ("depiction", row.is_depiction),
        ("inside", row.is_inside),
    ];
    for (name, value) in flags {
        if let Some(value) = value {
            members.push(name, RawJson::of(&u8::from(value)));
        }
    }
    if let Some(source) = &row.source {
        members.push("source", RawJson::of(&**source));
    }
    members
}

/// Lists of absent and not exhaustively annotated classes.
fn verified(
    document: &mut Document,
    labels: &[ImageLabel],
    ids: &FxHashMap<String, i64>,
    place: &FxHashMap<&str, usize>,
) {
    let boxed: FxHashSet<(i64, i64)> =
        document.set.annotations.iter().map(|a| (a.image_id, a.category_id)).collect();
    let mut seen = FxHashSet::default();
    for label in labels {
        // Labels of classes without boxes, such as `Snow`.
        let Some(&id) = ids.get(&*label.label) else { continue };
        let image = &mut document.set.images[place[&*label.image_id]];
        if boxed.contains(&(image.id, id)) || !seen.insert((image.id, id)) {
            continue;
        }
        let list = if label.confidence == 0.0 {
            &mut image.neg_category_ids
        } else {
            &mut image.not_exhaustive_category_ids
        };
        list.get_or_insert_default().push(id);
    }
}
