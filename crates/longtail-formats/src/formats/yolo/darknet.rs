//! Archives of darknet and CVAT: `obj.data` names lists of images and a file of class names, under paths that the archive
//! itself does not have.

use std::path::{Path, PathBuf};

use crate::{
    error::FormatError,
    formats::{
        image_files::has_ending,
        text::{lines, read_text},
    },
};

/// Folder, class names by index, and lists of images by part.
type Archive = (PathBuf, Vec<(i64, String)>, Vec<(String, PathBuf)>);

/// Whether a file is a darknet `.data` file.
pub(crate) fn is_data_file(path: &Path) -> bool {
    has_ending(path, &["data"]) && path.is_file()
}

/// The archive of a `.data` file, or of a folder that has one; none where there is none.
///
/// # Errors
/// If a file that it names is missing.
pub(super) fn find(path: &Path) -> Result<Option<Archive>, FormatError> {
    let file = if is_data_file(path) {
        path.to_owned()
    } else {
        let Ok(entries) = std::fs::read_dir(path) else { return Ok(None) };
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_data_file(path)).collect();
        files.sort();
        match files.as_slice() {
            [file] => file.clone(),
            _ => return Ok(None),
        }
    };
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let (mut names, mut lists) = (None, Vec::new());
    for (line, text) in lines(&read_text(&file)?) {
        let Some((key, value)) = text.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim().replace('\\', "/"));
        if !["names", "train", "valid", "val", "test"].contains(&key) {
            continue;
        }
        // As the archive has it, or without folders that it does not have.
        let parts: Vec<&str> = value.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
        let found = (0..parts.len())
            .map(|first| folder.join(parts[first..].iter().collect::<PathBuf>()))
            .find(|path| path.exists());
        match (key, found) {
            ("names", Some(found)) => names = Some(found),
            ("names", None) => {
                return Err(FormatError::malformed(&file, line, format!("`names`: {value} does not exist")));
            }
            // Published files name all parts, archives hold some.
            (part, Some(found)) => lists.push((part.to_owned(), found)),
            (_, None) => {}
        }
    }
    let names = names.or_else(|| Some(folder.join("obj.names")).filter(|names| names.is_file()));
    let names = names.ok_or_else(|| FormatError::malformed(&file, None, "it has no `names`"))?;
    if lists.is_empty() {
        let reason = "none of the lists of images that it names (`train`, `valid`) exists";
        return Err(FormatError::malformed(&file, None, reason));
    }
    let text = read_text(&names)?;
    let names = (0..).zip(lines(&text)).map(|(index, (_, name))| (index, name.to_owned())).collect();
    Ok(Some((folder, names, lists)))
}
