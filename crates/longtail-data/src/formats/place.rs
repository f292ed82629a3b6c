//! Folders that are made whole, and image files put into them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use crate::{
    document::Document,
    error::DataError,
    folder::ImageFolder,
    formats::{WriteOptions, whole::partial_path},
};

/// How image files come into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// As copies.
    Copy,
    /// As symbolic links to where they are.
    Link,
}

/// A folder that is made under another name and moved to its place when it is complete; removed if that never comes.
pub(crate) struct Staged {
    partial: PathBuf,
    place: PathBuf,
    finished: bool,
}

impl Staged {
    /// A new folder.
    ///
    /// # Errors
    /// If there is one already with something in it, or it cannot be made.
    pub fn new(place: &Path) -> Result<Self, DataError> {
        let held = fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_some());
        if held || place.is_file() {
            return Err(DataError::unwritable(place, "it exists already; remove it or choose another"));
        }
        let partial = partial_path(place);
        // What an earlier process of the same number left.
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir_all(&partial).map_err(DataError::io("write", &partial))?;
        Ok(Self { partial, place: place.to_owned(), finished: false })
    }

    /// Where a file will lie until the end. Folders above it are made.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn path(&self, name: &str) -> Result<PathBuf, DataError> {
        let path = self.partial.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(DataError::io("write", folder))?;
        }
        Ok(path)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), DataError> {
        let path = self.path(name)?;
        fs::write(&path, bytes).map_err(DataError::io("write", path))
    }

    /// Moves the folder to its place.
    ///
    /// # Errors
    /// If it cannot be moved.
    pub fn finish(mut self) -> Result<(), DataError> {
        // An empty folder may be in the way.
        let _ = fs::remove_dir(&self.place);
        fs::rename(&self.partial, &self.place).map_err(DataError::io("write", &self.place))?;
        self.finished = true;
        Ok(())
    }
}

impl Staged {
    /// Moves the files into a folder that may have others.
    ///
    /// # Errors
    /// If one is there already, or cannot be moved.
    pub fn merge_into(self, folder: &Path) -> Result<(), DataError> {
        let files =
            WalkDir::new(&self.partial).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
        let moves: Vec<(PathBuf, PathBuf)> = files
            .filter_map(|entry| {
                let to = folder.join(entry.path().strip_prefix(&self.partial).ok()?);
                Some((entry.into_path(), to))
            })
            .collect();
        if let Some((_, to)) = moves.iter().find(|(_, to)| to.exists()) {
            return Err(DataError::unwritable(to, "it exists already; remove it or rename the image"));
        }
        fs::create_dir_all(folder).map_err(DataError::io("write", folder))?;
        for (from, to) in moves {
            if let Some(folder) = to.parent() {
                fs::create_dir_all(folder).map_err(DataError::io("write", folder))?;
            }
            fs::rename(&from, &to).map_err(DataError::io("write", to))?;
        }
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
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
) -> Result<Option<Staged>, DataError> {
    let Some((source, placement)) = &options.images else { return Ok(None) };
    let from = ImageFolder::new(source);
    let staged = Staged::new(folder)?;
    for image in &document.set.images {
        let path = from.find(&image.file_name)?;
        let to = staged.path(name(&image.file_name))?;
        match placement {
            Placement::Copy => {
                fs::copy(&path, &to).map_err(DataError::io("copy", &path))?;
            }
            Placement::Link => {
                let whole = fs::canonicalize(&path).map_err(DataError::io("read", &path))?;
                link(&whole, &to).map_err(DataError::io("link", &path))?;
            }
        }
    }
    Ok(Some(staged))
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_file(from, to)
}
