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
        image_files::{files_below, has_ending, image_size, is_image},
        parts::{Chosen, choose},
        text::{lines, read_text, read_xml},
    },
    remarks::{RemarkKind, Remarks},
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
pub(crate) fn read(
    path: &Path,
    options: &ReadOptions,
    extras: bool,
) -> Result<(Document, Remarks), FormatError> {
    let mut remarks = Remarks::default();
    let (folders, files) = files(path, options, &mut remarks)?;
    if files.is_empty() {
        return Err(FormatError::unrecognised(path, "there is no XML file"));
    }
    let ids = category_ids(&folders)?;
    let pictures = Pictures::below(&folders);
    let mut described: Vec<Result<ImageFile, FormatError>> =
        files.par_iter().map(|file| describe(file, &folders, &pictures, options)).collect();
    by_own_name_where_shared(&mut described);
    let mut document = Document::new(AnnotationSet {
        path: Some(path.to_owned()),
        layout: Layout::Coco,
        images: Vec::new(),
        annotations: Vec::new(),
        categories: Vec::new(),
    });
    let mut whole = Vec::with_capacity(described.len());
    for file in described {
        match file {
            Ok(file) => whole.push(file),
            // A lone file, or nothing but broken ones, is not a data set.
            Err(error) if files.len() == 1 => return Err(error),
            Err(error) => remarks.add(RemarkKind::Unreadable, || error.to_string()),
        }
    }
    whole.sort_by(|a, b| a.name.cmp(&b.name));
    for (id, ImageFile { name, size: [width, height], described, file, .. }) in (1..).zip(whole) {
        for (line, reason) in described.unreadable {
            remarks.add(RemarkKind::Unreadable, || FormatError::malformed(&file, line, reason).to_string());
        }
        for (line, class) in described.further_boxes {
            remarks.add(RemarkKind::FurtherBox, || {
                FormatError::malformed(&file, line, format!("a second <bndbox> of {class:?}")).to_string()
            });
        }
        if let Some(given) = described.file_name.filter(|given| other_picture(given, &name)) {
            remarks.add(RemarkKind::FilenameOfAnother, || {
                format!("{} says {given:?} and belongs to {name:?}", file.display())
            });
        }
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
    Ok((document, remarks))
}

/// XML files of a part.
fn files(
    path: &Path,
    options: &ReadOptions,
    remarks: &mut Remarks,
) -> Result<(Folders, Vec<PathBuf>), FormatError> {
    let is_xml = |path: &Path| has_ending(path, &["xml"]);
    if path.is_file() && is_xml(path) {
        // The folder of `a.xml` is this one.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let file = path.file_name().map_or_else(|| path.to_owned(), |name| folder.join(name));
        return Ok((folders(folder, options), vec![file]));
    }
    if path.is_file() {
        // …/ImageSets/Main/train.txt
        let root = path.ancestors().nth(3).filter(|root| !root.as_os_str().is_empty());
        let root = root.unwrap_or(Path::new("."));
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
        None => files_below(&folders.annotations, is_xml, remarks)?,
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
    let is_xml = |path: &Path| has_ending(path, &["xml"]);
    let files = files_below(&folders.annotations, is_xml, &mut Remarks::default())?;
    let found: Vec<BTreeSet<String>> = files
        .par_iter()
        .map(|file| {
            read_xml(file).map_or_else(|_| BTreeSet::new(), |text| class_names(&text).into_iter().collect())
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

/// What an XML file says, with the picture it belongs to.
struct ImageFile {
    file: PathBuf,
    name: String,
    /// The name that the file's own gives, with the ending of a picture.
    own: String,
    /// Whether a picture of that name was seen.
    seen: bool,
    size: [u32; 2],
    described: Described,
}

/// Names of the pictures of a data set by their names without ending.
struct Pictures(FxHashMap<String, Vec<String>>);

impl Pictures {
    /// Pictures in the folder of images; none where there is no such folder.
    fn below(folders: &Folders) -> Self {
        let mut of_stem: FxHashMap<String, Vec<String>> = FxHashMap::default();
        let files = files_below(&folders.images, is_image, &mut Remarks::default()).unwrap_or_default();
        for file in files {
            if let (Ok(name), Ok(stem)) =
                (name_below(&folders.images, &file), name_below(&folders.images, &file.with_extension("")))
            {
                of_stem.entry(stem).or_default().push(name);
            }
        }
        Self(of_stem)
    }

    /// The picture of a stem; of several the one with the ending of `given`.
    fn of(&self, stem: &str, given: Option<&str>) -> Option<&str> {
        let names = self.0.get(stem).or_else(|| self.0.get(stem.rsplit('/').next().unwrap_or(stem)))?;
        let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
        let wanted = given.and_then(ending);
        names.iter().find(|name| ending(name) == wanted).or(names.first()).map(String::as_str)
    }
}

/// A name without its ending.
fn without_ending(name: &str) -> &str {
    if is_image(Path::new(name)) { name.rsplit_once('.').map_or(name, |(stem, _)| stem) } else { name }
}

/// Whether a `<filename>` is of another picture than the one that was found.
fn other_picture(given: &str, name: &str) -> bool {
    let last = |name: &str| name.replace('\\', "/").rsplit('/').next().unwrap_or_default().to_owned();
    without_ending(&last(given)) != without_ending(&last(name))
}

fn describe(
    file: &Path,
    folders: &Folders,
    pictures: &Pictures,
    options: &ReadOptions,
) -> Result<ImageFile, FormatError> {
    let text = read_xml(file)?;
    let described = parse(&text, options.voc_origin)
        .map_err(|(line, reason)| FormatError::malformed(file, line, reason))?;
    let fail = |reason: String| FormatError::malformed(file, None, reason);
    let stem = name_below(&folders.annotations, &file.with_extension("")).map_err(fail)?;
    let given = described.file_name.as_deref().map(|name| name.replace('\\', "/"));
    let given = match (given, stem.rsplit_once('/')) {
        // Images of nested folders lie as their files do.
        (Some(given), Some((folder, _))) if !given.contains('/') => Some(format!("{folder}/{given}")),
        (given, _) => given,
    };
    // As torchvision, mmdetection and detectron2 have it, the file's own name decides where there is such a picture.
    let own = pictures.of(&stem, given.as_deref());
    let seen = own.is_some();
    let ending = given.as_deref().filter(|given| is_image(Path::new(given)));
    let ending =
        ending.and_then(|given| given.rsplit_once('.')).map_or("jpg", |(_, ending)| ending).to_owned();
    let own = own.map_or_else(|| format!("{stem}.{ending}"), str::to_owned);
    let name = match given {
        Some(given) if !seen => match pictures.of(without_ending(&given), Some(&given)) {
            Some(found) => found.to_owned(),
            None if Path::new(&given).extension().is_some() => given,
            // Some writers leave the ending out.
            None => format!("{given}.{ending}"),
        },
        _ => own.clone(),
    };
    check_file_name(&name).map_err(|reason| fail(format!("<filename> {name:?} {reason}")))?;
    let size = match described.size {
        Some(size) => size,
        None => {
            // Nobody knows the size of a picture that is not there; what needs it says so.
            let image = folders.images.join(&name);
            if image.is_file() { image_size(&image)? } else { [0, 0] }
        }
    };
    Ok(ImageFile { file: file.to_owned(), name, own, seen, size, described })
}

/// Where several files name one picture, and no picture was seen for one of them, its own name decides.
fn by_own_name_where_shared(files: &mut [Result<ImageFile, FormatError>]) {
    let mut uses: FxHashMap<String, usize> = FxHashMap::default();
    for file in files.iter().flatten() {
        *uses.entry(file.name.clone()).or_default() += 1;
    }
    for file in files.iter_mut().flatten() {
        if !file.seen && uses.get(&file.name).is_some_and(|uses| *uses > 1) {
            file.name.clone_from(&file.own);
        }
    }
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
