//! Image files of a data set: found below a folder, and measured without decoding them.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use walkdir::WalkDir;

use crate::{
    error::FormatError,
    image_header::ImageHeader,
    remarks::{RemarkKind, Remarks},
};

/// Endings of images that can be decoded; MPO is the JPEG of two lenses.
const IMAGE_ENDINGS: [&str; 12] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "tif", "tiff", "gif", "mpo"];
/// Endings of pictures that are not read.
const OTHER_PICTURES: [&str; 14] =
    ["avif", "heic", "heif", "jp2", "j2k", "jxl", "tga", "exr", "hdr", "ppm", "pgm", "dng", "cr2", "psd"];

/// Whether a file is named like an image.
pub(crate) fn is_image(path: &Path) -> bool {
    has_ending(path, &IMAGE_ENDINGS)
}

/// Whether a file is named like a picture that is not read.
pub(crate) fn is_other_picture(path: &Path) -> bool {
    has_ending(path, &OTHER_PICTURES)
}

/// Whether an operating system or an archive left a file behind: `._a.jpg`, `.DS_Store`, `Thumbs.db`, `__MACOSX`.
pub(crate) fn is_system_file(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("._")
        || ["thumbs.db", "desktop.ini", ".ds_store"].contains(&name.to_lowercase().as_str())
        || path.iter().any(|part| part == "__MACOSX")
}

/// Whether a file has one of the endings, in any case.
pub(crate) fn has_ending(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().and_then(OsStr::to_str);
    ending.is_some_and(|ending| endings.iter().any(|e| e.eq_ignore_ascii_case(ending)))
}

/// Files below a folder for which `wanted` says so, sorted by path. Symbolic links are followed. What a system left behind
/// is skipped and counted.
///
/// # Errors
/// If a folder cannot be read, a link leads back to a folder around it, or a wanted file's name is not UTF-8.
pub(crate) fn files_below(
    folder: &Path,
    wanted: impl Fn(&Path) -> bool,
    remarks: &mut Remarks,
) -> Result<Vec<PathBuf>, FormatError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            match (error.loop_ancestor().map(Path::to_owned), error.into_io_error()) {
                (Some(around), _) => FormatError::unrecognised(
                    &path,
                    format!("the symbolic link leads back to {}; remove it", around.display()),
                ),
                (None, Some(source)) => FormatError::Io { action: "read", path, source },
                (None, None) => FormatError::unrecognised(&path, "it cannot be read"),
            }
        })?;
        if entry.file_type().is_file() && is_system_file(entry.path()) {
            remarks.add(RemarkKind::SystemFile, || entry.path().display().to_string());
        } else if entry.file_type().is_file() && wanted(entry.path()) {
            if entry.path().to_str().is_none() {
                let reason = "the file's name is not UTF-8, and annotation files are; rename it";
                return Err(FormatError::unrecognised(entry.path(), reason));
            }
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

/// Sizes of many images as they are seen, in order.
///
/// # Errors
/// Of the first image that cannot be measured.
pub(crate) fn image_sizes(paths: &[PathBuf]) -> Result<Vec<[u32; 2]>, FormatError> {
    let sizes: Vec<Result<[u32; 2], FormatError>> = paths.par_iter().map(|path| image_size(path)).collect();
    sizes.into_iter().collect()
}

/// Width and height of an image file as it is seen, with its EXIF orientation.
///
/// # Errors
/// If it cannot be read or is not an image.
pub(crate) fn image_size(path: &Path) -> Result<[u32; 2], FormatError> {
    Ok(ImageHeader::read(path)?.upright_size())
}
