//! Finds the images of a part with their labels, and measures them: labels are relative to the image.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    darknet,
    data_yaml::DataYaml,
    labels::{self, Label},
};
use crate::{
    document::{Document, RawJson},
    error::FormatError,
    formats::{
        ReadOptions,
        image_files::{files_below, has_ending, image_size, is_image, is_other_picture},
        parts::{Chosen, choose},
        text::{lines, read_text},
    },
    remarks::{RemarkKind, Remarks},
};
use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout, name_below};

/// Levels above an image folder in which `data.yaml` is looked for.
const LEVELS: usize = 4;

/// Images of a part, and the names of the classes.
struct ImageList {
    /// Files with their names, sorted by name.
    images: Vec<(PathBuf, String)>,
    /// Class names with their indices.
    names: Vec<(i64, String)>,
    /// Folders and lists that they come from.
    folders: Vec<PathBuf>,
}

/// Width and height of an image, its labels, and what is wrong with other lines of its label file.
type Measured = ([u32; 2], Vec<Label>, Vec<FormatError>);

/// Reads a part.
pub(crate) fn read(
    path: &Path,
    options: &ReadOptions,
    extras: bool,
) -> Result<(Document, Remarks), FormatError> {
    let mut remarks = Remarks::default();
    let list = list_images(path, options, &mut remarks)?;
    let label_files: Vec<PathBuf> = list.images.iter().map(|(image, _)| label_path(image)).collect();
    let any = |found: &dyn Fn(&Path) -> bool| label_files.iter().any(|file| found(file));
    // A folder of labels may be empty, the images' own folder says nothing.
    let own_folder =
        |file: &Path| file.parent().is_some_and(|f| f.is_dir() && f.iter().any(|part| part == "labels"));
    if !any(&Path::exists) && !any(&own_folder) {
        let example = label_files.first().map_or_else(String::new, |file| file.display().to_string());
        let reason = format!("there is no label file; expected {example} and its like");
        return Err(FormatError::unrecognised(path, reason));
    }
    let read: Vec<Result<Measured, FormatError>> = list
        .images
        .par_iter()
        .zip(&label_files)
        .map(|((image, _), file)| {
            let (labels, wrong) = read_labels(file, &list.names)?;
            Ok((image_size(image)?, labels, wrong))
        })
        .collect();
    labels_without_images(&list.folders, &label_files, &mut remarks);
    let mut document = Document::new(AnnotationSet {
        path: Some(path.to_owned()),
        layout: Layout::Coco,
        images: Vec::with_capacity(list.images.len()),
        annotations: Vec::new(),
        categories: Vec::with_capacity(list.names.len()),
    });
    for ((_, file_name), result) in list.images.into_iter().zip(read) {
        let ([width, height], labels, wrong) = match result {
            Ok(measured) => measured,
            Err(error) => {
                remarks.add(RemarkKind::Unreadable, || error.to_string());
                continue;
            }
        };
        for error in wrong {
            remarks.add(RemarkKind::Unreadable, || error.to_string());
        }
        let id = document.set.images.len() as i64 + 1;
        let size = [f64::from(width), f64::from(height)];
        for Label { class, shape } in labels {
            document.set.annotations.push(Annotation {
                id: document.set.annotations.len() as i64 + 1,
                image_id: id,
                category_id: class,
                bbox: shape.pixels(size),
                area: None,
                iscrowd: false,
                ignore: false,
            });
            let mut members = crate::document::Members::default();
            if let Some(polygon) = shape.segmentation(size).filter(|_| extras) {
                members.push("segmentation", RawJson::of(&polygon));
            }
            document.extras.annotations.push(members);
        }
        document.set.images.push(ImageRecord {
            id,
            file_name,
            width,
            height,
            neg_category_ids: None,
            not_exhaustive_category_ids: None,
        });
    }
    let category = |(id, name)| Category { id, name, frequency: None };
    document.set.categories = list.names.into_iter().map(category).collect();
    document.extras.images.resize_with(document.set.images.len(), Default::default);
    document.extras.categories.resize_with(document.set.categories.len(), Default::default);
    Ok((document, remarks))
}

/// Labels of a file, and what is wrong with its other lines.
fn read_labels(file: &Path, names: &[(i64, String)]) -> Result<(Vec<Label>, Vec<FormatError>), FormatError> {
    let (mut labels, mut wrong) = (Vec::new(), Vec::new());
    if !file.exists() {
        return Ok((labels, wrong));
    }
    let known = |class: i64| names.binary_search_by_key(&class, |(index, _)| *index).is_ok();
    for (line, label) in labels::parse(&read_text(file)?) {
        let reason = match label {
            Ok(label) if known(label.class) => {
                labels.push(label);
                continue;
            }
            Ok(label) => {
                format!("class {} is not among the {} names of the data set", label.class, names.len())
            }
            Err(reason) => reason,
        };
        wrong.push(FormatError::malformed(file, line, reason));
    }
    Ok((labels, wrong))
}

/// Remarks label files of the folders of labels that belong to none of the images.
fn labels_without_images(folders: &[PathBuf], used: &[PathBuf], remarks: &mut Remarks) {
    let used: FxHashSet<&Path> = used.iter().map(PathBuf::as_path).collect();
    let mut seen: FxHashSet<PathBuf> = FxHashSet::default();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        // Beside images there may be any text.
        let Some(labels) = in_sibling(folder, "images", "labels").filter(|labels| labels.is_dir()) else {
            continue;
        };
        let is_label = |path: &Path| has_ending(path, &["txt"]) && !path.ends_with("classes.txt");
        for file in files_below(&labels, is_label, &mut Remarks::default()).unwrap_or_default() {
            if !used.contains(file.as_path()) && seen.insert(file.clone()) {
                remarks.add(RemarkKind::LabelWithoutImage, || file.display().to_string());
            }
        }
    }
}

/// `images/…/a.jpg` → `labels/…/a.txt`; beside the image where that is what exists.
fn label_path(image: &Path) -> PathBuf {
    let beside = image.with_extension("txt");
    match in_sibling(&beside, "images", "labels") {
        Some(moved) if moved.exists() || !beside.exists() => moved,
        _ => beside,
    }
}

/// The path with its last component `from` replaced.
fn in_sibling(path: &Path, from: &str, to: &str) -> Option<PathBuf> {
    let last = path.iter().collect::<Vec<_>>().iter().rposition(|part| *part == from)?;
    Some(path.iter().enumerate().map(|(i, part)| if i == last { OsStr::new(to) } else { part }).collect())
}

/// Images of a part and names of the classes: of `data.yaml`, a folder with one, a folder of images or labels, or a
/// list of images.
fn list_images(path: &Path, options: &ReadOptions, remarks: &mut Remarks) -> Result<ImageList, FormatError> {
    let is_yaml = has_ending(path, &["yaml", "yml"]) && !path.is_dir();
    let own = if is_yaml { Some(path.to_owned()) } else { find_data_file(path) };
    let (root, names, mut folders) = if let Some(file) = own {
        let data = DataYaml::read(&file)?;
        let root = root(&file, &data);
        let part = choose(path, &data.parts, options.part.as_deref())?;
        let folders = match part {
            Chosen::All => data.parts.iter().flat_map(|(_, folders)| folders).collect(),
            Chosen::One(folders) => folders.iter().collect::<Vec<_>>(),
        };
        let folders = folders.into_iter().map(|folder| below(&root, folder)).collect();
        (root, data.names, folders)
    } else if let Some((root, names, lists)) = darknet::find(path)? {
        let part = choose(path, &lists, options.part.as_deref())?;
        let folders = match part {
            Chosen::All => lists.iter().map(|(_, list)| list.clone()).collect(),
            Chosen::One(list) => vec![list.clone()],
        };
        (root, names, folders)
    } else {
        let folder = images_of_labels(path);
        let (root, names) = names_above(path)?;
        (root, names, vec![folder])
    };
    folders.dedup();
    let base = options.images.as_deref();
    // Names are relative to the only folder of a part, or to what several have in common.
    let only = folders.first().filter(|_| folders.len() == 1);
    let mut images = Vec::new();
    for place in &folders {
        let files = if place.is_dir() {
            let files = files_below(place, |path| is_image(path) || is_other_picture(path), remarks)?;
            let (images, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| is_image(path));
            for other in others {
                remarks.add(RemarkKind::PictureNotRead, || {
                    format!("{}; convert it to JPEG or PNG", other.display())
                });
            }
            images
        } else if has_ending(place, &["txt"]) && place.is_file() {
            read_list(place, &root)?
        } else {
            let reason = "there is no such folder of images or list of images";
            return Err(FormatError::unrecognised(place, reason));
        };
        for file in files {
            let name = [base, only.map(|place| &**place), Some(&*root), Some(&**place)]
                .into_iter()
                .flatten()
                .map(|folder| name_below(folder, &file))
                .reduce(|first, next| first.or(next))
                .unwrap_or_else(|| Err("it lies in no folder of the data set".into()))
                .map_err(|reason| FormatError::unrecognised(&file, reason))?;
            images.push((file, name));
        }
    }
    if images.is_empty() {
        return Err(FormatError::unrecognised(
            path,
            "it has no images that are read (JPEG, PNG, WebP, BMP, TIFF, GIF); labels are relative to them",
        ));
    }
    images.sort_by(|a, b| a.1.cmp(&b.1));
    images.dedup();
    match images.windows(2).find(|pair| pair[0].1 == pair[1].1) {
        Some(pair) => {
            Err(FormatError::unrecognised(&pair[1].0, "another folder has an image of the same name"))
        }
        None => Ok(ImageList { images, names, folders }),
    }
}

/// `data.yaml` in a folder, or its only YAML file that names classes.
pub(crate) fn find_data_file(folder: &Path) -> Option<PathBuf> {
    let usual = ["data.yaml", "dataset.yaml", "data.yml"].map(|name| folder.join(name));
    if let Some(file) = usual.into_iter().find(|file| file.is_file()) {
        return Some(file);
    }
    let entries = fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|e| e.path()).filter(|path| has_ending(path, &["yaml", "yml"])).collect();
    files.retain(|file| DataYaml::read(file).is_ok());
    (files.len() == 1).then(|| files.remove(0))
}

/// The folder that the paths of a file are relative to.
fn root(file: &Path, data: &DataYaml) -> PathBuf {
    let own = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    match &data.root {
        // Published files name a folder of their author's machine.
        Some(root) if own.join(root).is_dir() => own.join(root),
        _ => own,
    }
}

/// A path of a file. Roboflow writes `../train/images` for what lies beside `data.yaml`.
fn below(root: &Path, path: &Path) -> PathBuf {
    let found = root.join(path);
    match path.strip_prefix("..") {
        Ok(inside) if !found.exists() && root.join(inside).exists() => root.join(inside),
        _ => found,
    }
}

/// For a folder of labels, its folder of images.
fn images_of_labels(folder: &Path) -> PathBuf {
    in_sibling(folder, "labels", "images")
        .filter(|images| images.is_dir())
        .unwrap_or_else(|| folder.to_owned())
}

/// The data set's root and class names, for a folder or list inside it.
fn names_above(path: &Path) -> Result<(PathBuf, Vec<(i64, String)>), FormatError> {
    let start = std::path::absolute(path).map_err(FormatError::io("read", path))?;
    for folder in start.ancestors().take(LEVELS) {
        if let Some(file) = find_data_file(folder) {
            let data = DataYaml::read(&file)?;
            return Ok((root(&file, &data), data.names));
        }
        for name in ["classes.txt", "obj.names", "labels.txt"] {
            let file = folder.join(name);
            if file.is_file() && file != start {
                let text = read_text(&file)?;
                let names = (0..).zip(lines(&text)).map(|(index, (_, name))| (index, name.to_owned()));
                return Ok((folder.to_owned(), names.collect()));
            }
        }
    }
    Err(FormatError::unrecognised(path, "no `data.yaml` or `classes.txt` names its classes, here or above"))
}

/// A list of images: a path a line, relative to the list with `./`, else to the data set.
fn read_list(list: &Path, root: &Path) -> Result<Vec<PathBuf>, FormatError> {
    let text = read_text(list)?;
    let own = list.parent().unwrap_or(root);
    let mut known: FxHashMap<PathBuf, bool> = FxHashMap::default();
    lines(&text)
        .map(|(line, entry)| {
            let entry = PathBuf::from(entry.replace('\\', "/"));
            // Archives of CVAT and darknet have no folder `data`, though their lists say so.
            let packed = entry.strip_prefix("data").ok().map(|inside| own.join(inside));
            let found = match entry.strip_prefix(".") {
                Ok(inside) => own.join(inside),
                Err(_) if root.join(&entry).exists() => root.join(&entry),
                Err(_) if own.join(&entry).exists() => own.join(&entry),
                Err(_) => packed.filter(|packed| packed.exists()).unwrap_or_else(|| root.join(&entry)),
            };
            // Only names inside of the data set.
            name_below(root, &found).or_else(|_| name_below(own, &found)).map_err(|reason| {
                FormatError::malformed(list, line, format!("{}: {reason}", entry.display()))
            })?;
            let folder = found.parent().map(Path::to_owned).unwrap_or_default();
            let exists = *known.entry(folder).or_insert_with_key(|folder| folder.is_dir());
            if !exists {
                return Err(FormatError::malformed(
                    list,
                    line,
                    format!("{} does not exist", found.display()),
                ));
            }
            Ok(found)
        })
        .collect()
}
