//! Finds the XML files of a part.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::object::{Described, class_names, parse};
use crate::{
    document::Document,
    error::FormatError,
    formats::{
        ReadOptions,
        image_files::{files_below, has_ending, image_size},
        parts::{Chosen, choose},
        text::{lines, read_text},
    },
};
use longtail_annotations::{
    Annotation, AnnotationSet, Category, ImageRecord, Layout, check_file_name, name_below,
};

/// Where things lie.
struct Folders {
    /// The data set's.
    root: PathBuf,
    /// XML files, at any depth.
    annotations: PathBuf,
    /// Images.
    images: PathBuf,
}

/// Reads a part: of a folder, or of a list in `ImageSets/Main/`.
pub(crate) fn read(path: &Path, options: &ReadOptions, extras: bool) -> Result<Document, FormatError> {
    let (folders, files) = files(path, options)?;
    if files.is_empty() {
        return Err(FormatError::unrecognised(path, "there is no XML file"));
    }
    let ids = category_ids(&folders)?;
    let described: Vec<Result<ImageFile, FormatError>> =
        files.par_iter().map(|file| describe(file, &folders, options)).collect();
    let mut document = Document::new(AnnotationSet {
        path: Some(path.to_owned()),
        layout: Layout::Coco,
        images: Vec::new(),
        annotations: Vec::new(),
        categories: Vec::new(),
    });
    let mut described = described.into_iter().collect::<Result<Vec<_>, _>>()?;
    described.sort_by(|a, b| a.name.cmp(&b.name));
    for (id, ImageFile { name, size: [width, height], described, .. }) in (1..).zip(described) {
        for mut object in described.objects {
            document.set.annotations.push(Annotation {
                id: document.set.annotations.len() as i64 + 1,
                image_id: id,
                // Every name of the folder has an id.
                category_id: ids.get(&object.name).copied().unwrap_or_default(),
                bbox: object.bbox,
                area: None,
                iscrowd: false,
                ignore: object.difficult,
            });
            if !extras {
                object.members = Default::default();
            }
            document.extras.annotations.push(object.members);
        }
        document.set.images.push(ImageRecord {
            id,
            file_name: name,
            width,
            height,
            neg_category_ids: None,
            not_exhaustive_category_ids: None,
        });
    }
    let mut categories: Vec<Category> =
        ids.into_iter().map(|(name, id)| Category { id, name, frequency: None }).collect();
    categories.sort_by_key(|category| category.id);
    document.set.categories = categories;
    document.extras.images.resize_with(document.set.images.len(), Default::default);
    document.extras.categories.resize_with(document.set.categories.len(), Default::default);
    Ok(document)
}

/// XML files of a part.
fn files(path: &Path, options: &ReadOptions) -> Result<(Folders, Vec<PathBuf>), FormatError> {
    let is_xml = |path: &Path| has_ending(path, &["xml"]);
    if path.is_file() && is_xml(path) {
        let folder = path.parent().unwrap_or(Path::new(""));
        return Ok((folders(folder, options), vec![path.to_owned()]));
    }
    if path.is_file() {
        // …/ImageSets/Main/train.txt
        let root = path.ancestors().nth(3).unwrap_or(Path::new(""));
        let folders = folders(root, options);
        let files = listed(path, &folders)?;
        return Ok((folders, files));
    }
    let folders = folders(path, options);
    let lists = set_lists(&folders.root);
    let chosen = match (options.part.as_deref(), lists.as_slice()) {
        // A folder without lists has one part, whatever a recipe calls it.
        (_, []) => None,
        (part, lists) => match choose(path, lists, part)? {
            Chosen::All => None,
            Chosen::One(list) => Some(list),
        },
    };
    let files = match chosen {
        None => files_below(&folders.annotations, is_xml)?,
        Some(list) => listed(list, &folders)?,
    };
    Ok((folders, files))
}

fn folders(root: &Path, options: &ReadOptions) -> Folders {
    // A single XML file may be given as …/Annotations/a.xml.
    let root = if root.file_name().is_some_and(|name| name == "Annotations") {
        root.parent().unwrap_or(root)
    } else {
        root
    };
    let or_root =
        |name: &str| Some(root.join(name)).filter(|f| f.is_dir()).unwrap_or_else(|| root.to_owned());
    Folders {
        root: root.to_owned(),
        annotations: or_root("Annotations"),
        images: options.images.clone().unwrap_or_else(|| or_root("JPEGImages")),
    }
}

/// Lists of whole parts in `ImageSets/Main`; `cow_train.txt` lists a class.
fn set_lists(root: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(root.join("ImageSets").join("Main")) else { return Vec::new() };
    let mut lists: Vec<(String, PathBuf)> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| has_ending(path, &["txt"]))
        .filter_map(|path| Some((path.file_stem()?.to_str()?.to_owned(), path)))
        .filter(|(name, _)| !name.contains('_'))
        .collect();
    lists.sort();
    lists
}

/// The name in a line of a list; `name 1` and `name -1` say whether the image holds a class.
fn name_in(line: &str) -> &str {
    match line.rsplit_once([' ', '\t']) {
        Some((name, "1" | "-1" | "0")) => name.trim_end(),
        _ => line,
    }
}

/// Whether a list with a line of this name is read as it.
pub(super) fn can_be_listed(name: &str) -> bool {
    // A lone carriage return ends a line, too, once a file is read.
    !name.contains('\r') && lines(name).map(|(_, line)| name_in(line)).eq([name])
}

/// Names of a list.
fn read_set_list(list: &Path) -> Result<Vec<(u64, String)>, FormatError> {
    let text = read_text(list)?;
    let mut names = Vec::new();
    for (line, content) in lines(&text) {
        let name = name_in(content);
        check_file_name(name)
            .map_err(|reason| FormatError::malformed(list, line, format!("the name {name:?} {reason}")))?;
        names.push((line, name.to_owned()));
    }
    Ok(names)
}

fn listed(list: &Path, folders: &Folders) -> Result<Vec<PathBuf>, FormatError> {
    let mut files = Vec::new();
    let mut seen = BTreeSet::new();
    for (line, name) in read_set_list(list)? {
        let file = folders.annotations.join(format!("{name}.xml"));
        if !file.is_file() {
            return Err(FormatError::malformed(list, line, format!("{} does not exist", file.display())));
        }
        if seen.insert(name) {
            files.push(file);
        }
    }
    Ok(files)
}

/// Ids of the classes: lines of `labels.txt`, then all other names of the folder in order, so that every part of a
/// data set numbers them alike.
fn category_ids(folders: &Folders) -> Result<FxHashMap<String, i64>, FormatError> {
    let mut names = Vec::new();
    for list in ["labels.txt", "classes.txt"].map(|name| folders.root.join(name)) {
        if list.is_file() && names.is_empty() {
            let text = read_text(&list)?;
            names.extend(lines(&text).map(|(_, name)| name.to_owned()));
        }
    }
    let files = files_below(&folders.annotations, |path| has_ending(path, &["xml"]))?;
    let found: Vec<BTreeSet<String>> = files
        .par_iter()
        .map(|file| {
            read_text(file).map_or_else(|_| BTreeSet::new(), |text| class_names(&text).into_iter().collect())
        })
        .collect();
    let known: BTreeSet<String> = names.iter().cloned().collect();
    let found: BTreeSet<String> = found.into_iter().flatten().filter(|name| !known.contains(name)).collect();
    let mut ids = FxHashMap::default();
    for name in names.into_iter().chain(found) {
        let next = ids.len() as i64 + 1;
        ids.entry(name).or_insert(next);
    }
    Ok(ids)
}

struct ImageFile {
    name: String,
    size: [u32; 2],
    described: Described,
}

fn describe(file: &Path, folders: &Folders, options: &ReadOptions) -> Result<ImageFile, FormatError> {
    let text = read_text(file)?;
    let described = parse(&text, options.voc_origin)
        .map_err(|(line, reason)| FormatError::malformed(file, line, reason))?;
    let fail = |reason: String| FormatError::malformed(file, None, reason);
    let stem = name_below(&folders.annotations, &file.with_extension("")).map_err(fail)?;
    let given = described.file_name.as_deref().map(|name| name.replace('\\', "/"));
    let mut name = match (given, stem.rsplit_once('/')) {
        (None, _) => format!("{stem}.jpg"),
        // Images of nested folders lie as their files do.
        (Some(given), Some((folder, _))) if !given.contains('/') => format!("{folder}/{given}"),
        (Some(given), _) => given,
    };
    check_file_name(&name).map_err(|reason| fail(format!("<filename> {name:?} {reason}")))?;
    // Some writers leave the ending out.
    if Path::new(&name).extension().is_none() {
        name.push_str(".jpg");
    }
    let size = match described.size {
        Some(size) => size,
        None => {
            let image = folders.images.join(&name);
            if !image.is_file() {
                let image = image.display();
                return Err(fail(format!(
                    "<size> is missing or 0, and there is no image {image} to measure"
                )));
            }
            image_size(&image)?
        }
    };
    Ok(ImageFile { name, size, described })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_list_would_read_otherwise_are_told() {
        assert!(["a", "sub/a b", "a 2", "a-1", "a\tb"].into_iter().all(can_be_listed));
        assert!(
            ["a\rb", "a\nb", "a 1", "a\t-1", " a", "a ", ""].into_iter().all(|name| !can_be_listed(name))
        );
    }
}
