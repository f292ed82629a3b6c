//! Folders that are made whole, or not at all.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    error::FileError,
    temporary::{publish, sync_folder, temporary_path},
};

/// A folder that is made under a temporary name and moved to its place when it is complete. Dropped before
/// that, it leaves nothing.
#[derive(Debug)]
pub struct NewFolder {
    temporary: PathBuf,
    place: PathBuf,
}

impl NewFolder {
    /// Begins a folder. Folders above it are made.
    ///
    /// # Errors
    /// If something is there already that is not an empty folder, or the folder cannot be made.
    pub fn begin(place: &Path) -> Result<Self, FileError> {
        let holds_something = || fs::read_dir(place).map(|mut entries| entries.next().is_some());
        if place.symlink_metadata().is_ok() && holds_something().unwrap_or(true) {
            let reason = "it exists already; remove it or choose another";
            let source = io::Error::new(io::ErrorKind::AlreadyExists, reason);
            return Err(FileError { action: "write", path: place.to_owned(), source });
        }
        let temporary = temporary_path(place);
        // What an earlier process of the same number left.
        let _ = fs::remove_dir_all(&temporary);
        fs::create_dir_all(&temporary).map_err(FileError::at("write", place))?;
        Ok(Self { temporary, place: place.to_owned() })
    }

    /// Where a file lies until the end. Folders above it are made.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn path(&self, name: impl AsRef<Path>) -> Result<PathBuf, FileError> {
        let path = self.temporary.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(FileError::at("write", folder))?;
        }
        Ok(path)
    }

    /// Writes a file of the folder. Its bytes are left to the system: one sync for each of thousands of small
    /// files would take minutes.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.path(name)?;
        fs::write(&path, bytes).map_err(FileError::at("write", &path))
    }

    /// The folder as it is called until the end.
    pub fn root(&self) -> &Path {
        &self.temporary
    }

    /// Moves the folder to its place.
    ///
    /// # Errors
    /// If it cannot be moved; nothing is left then.
    pub fn finish(self) -> Result<(), FileError> {
        // An empty folder may be in the way.
        let _ = fs::remove_dir(&self.place);
        publish(&self.temporary, &self.place).map_err(FileError::at("write", &self.place))
    }

    /// Moves the files into a folder that may have others, each to the path that it has within this one:
    /// those in folders first, so that lists that lie beside the folders come when what they list is there.
    ///
    /// # Errors
    /// If one is there already (then none is moved), or one cannot be moved.
    pub fn merge_into(self, folder: &Path) -> Result<(), FileError> {
        let mut moves = Vec::new();
        list(&self.temporary, &mut moves).map_err(FileError::at("read", &self.temporary))?;
        let mut moves: Vec<(PathBuf, PathBuf)> = moves
            .into_iter()
            .filter_map(|from| Some((folder.join(from.strip_prefix(&self.temporary).ok()?), from)))
            .collect();
        moves.sort_by_cached_key(|(to, _)| (Reverse(to.components().count()), to.clone()));
        if let Some((to, _)) = moves.iter().find(|(to, _)| to.symlink_metadata().is_ok()) {
            let reason = "it exists already; remove it or rename the image";
            let source = io::Error::new(io::ErrorKind::AlreadyExists, reason);
            return Err(FileError { action: "write", path: to.clone(), source });
        }
        fs::create_dir_all(folder).map_err(FileError::at("write", folder))?;
        let mut parents = BTreeSet::new();
        for (to, from) in &moves {
            let parent = to.parent().unwrap_or(folder);
            if parents.insert(parent) {
                fs::create_dir_all(parent).map_err(FileError::at("write", parent))?;
            }
            fs::rename(from, to).map_err(FileError::at("write", to))?;
        }
        parents.into_iter().try_for_each(|parent| sync_folder(parent).map_err(FileError::at("write", parent)))
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        // Gone after a `finish`. The message is about what failed; a leftover changes nothing.
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Files and links below a folder.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
