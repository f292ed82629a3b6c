//! Which format a path is.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use super::{
    DataFormat,
    image_files::{has_ending, is_image, is_system_file},
    open_images::{is_boxes_table, is_predictions_table},
    yolo::{find_data_file, is_data_file},
};
use crate::error::FormatError;

/// Bytes of a file that are looked at.
const HEAD: u64 = 4096;

pub(super) fn detect(path: &Path) -> Result<DataFormat, FormatError> {
    let kind = fs::metadata(path).map_err(FormatError::io("read", path))?;
    if kind.is_dir() { folder(path) } else { file(path) }
}

fn file(path: &Path) -> Result<DataFormat, FormatError> {
    if has_ending(path, &["yaml", "yml"]) {
        return Ok(DataFormat::Yolo);
    }
    if has_ending(path, &["xml"]) {
        return Ok(DataFormat::Voc);
    }
    if is_data_file(path) {
        return Ok(DataFormat::Yolo);
    }
    if has_ending(path, &["csv", "tsv"]) {
        if let Some(reason) = is_predictions_table(path) {
            return Err(FormatError::unrecognised(path, reason));
        }
        return Ok(if is_boxes_table(path) { DataFormat::OpenImages } else { DataFormat::Csv });
    }
    if has_ending(path, &["json"]) {
        return Ok(DataFormat::Coco);
    }
    if has_ending(path, &["txt"]) {
        let of_voc = path.iter().any(|part| part == "ImageSets");
        return Ok(if of_voc { DataFormat::Voc } else { DataFormat::Yolo });
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.map_err(FormatError::io("read", path))?;
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&head);
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        // An empty file is for the reader to name.
        Some(b'{') | None => Ok(DataFormat::Coco),
        Some(b'<') => Ok(DataFormat::Voc),
        _ => Err(unknown(path, "its ending is none of .json, .yaml, .xml, .csv, .txt, .data")),
    }
}

fn folder(path: &Path) -> Result<DataFormat, FormatError> {
    if find_data_file(path).is_some() {
        return Ok(DataFormat::Yolo);
    }
    let (mut labels, mut xml, mut json, mut images, mut tables) = (false, false, Vec::new(), false, false);
    let (mut darknet, mut inner) = (false, Vec::new());
    for entry in fs::read_dir(path).map_err(FormatError::io("read", path))? {
        let entry = entry.map_err(FormatError::io("read", path))?.path();
        tables |= is_boxes_table(&entry);
        xml |= has_ending(&entry, &["xml"]) || (entry.ends_with("Annotations") && entry.is_dir());
        labels |= entry.ends_with("labels") && entry.is_dir();
        images |= (is_image(&entry) && !is_system_file(&entry)) || entry.ends_with("images");
        darknet |= is_data_file(&entry);
        if entry.is_dir() && (find_data_file(&entry).is_some() || holds_xml(&entry)) {
            inner.push(entry.clone());
        }
        if has_ending(&entry, &["json"]) {
            json.push(entry);
        }
    }
    json.sort();
    let parts: Vec<_> = path.iter().collect();
    match (json.as_slice(), xml) {
        _ if tables => Ok(DataFormat::OpenImages),
        (_, true) => Ok(DataFormat::Voc),
        _ if darknet => Ok(DataFormat::Yolo),
        _ if labels || parts.iter().any(|part| *part == "images" || *part == "labels") => {
            Ok(DataFormat::Yolo)
        }
        ([], false) if images => Ok(DataFormat::Yolo),
        ([first, ..], _) => {
            Err(unknown(path, &format!("it is a folder; name a file in it, such as {}", first.display())))
        }
        _ if !inner.is_empty() => {
            inner.sort();
            let names: Vec<String> = inner.iter().take(4).map(|path| path.display().to_string()).collect();
            Err(unknown(path, &format!("data sets lie in folders of it; name one: {}", names.join(", "))))
        }
        _ => Err(unknown(path, "the folder has neither data.yaml, a folder Annotations, nor labels")),
    }
}

/// Whether XML files lie in a folder.
fn holds_xml(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| has_ending(&path, &["xml"]))
}

fn unknown(path: &Path, reason: &str) -> FormatError {
    FormatError::unrecognised(path, format!("its format is not recognised: {reason}; or choose with --from"))
}
