//! Image files put into folders.

use std::{fs, path::Path};

use longtail_files::NewFolder;

use crate::image_files::ImageFiles;
use crate::{document::Document, error::FormatError, formats::WriteOptions};

/// How image files come into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// As copies.
    Copy,
    /// As symbolic links to where they are.
    Link,
}

/// Copies or links the images of a document into a folder under the names that the format gives them; `None` if that was not asked for.
///
/// # Errors
/// If an image is missing or cannot be written.
pub(crate) fn place_images(
    document: &Document,
    folder: &Path,
    options: &WriteOptions,
    name: impl Fn(&str) -> &str,
) -> Result<Option<NewFolder>, FormatError> {
    let Some((source, placement)) = &options.images else { return Ok(None) };
    let from = ImageFiles::new(source);
    let made = NewFolder::begin(folder)?;
    for image in &document.set.images {
        let path = from.find(&image.file_name)?;
        let to = made.path(name(&image.file_name))?;
        match placement {
            Placement::Copy => {
                fs::copy(&path, &to).map_err(FormatError::io("copy", &path))?;
            }
            Placement::Link => {
                let whole = fs::canonicalize(&path).map_err(FormatError::io("read", &path))?;
                link(&whole, &to).map_err(FormatError::io("link", &path))?;
            }
        }
    }
    Ok(Some(made))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(from, to)
}
