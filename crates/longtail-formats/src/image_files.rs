//! Where the image files of a data set lie.

use std::path::{Component, Path, PathBuf};

use longtail_annotations::check_file_name;

use crate::error::FormatError;

/// A folder of image files, by the file names of the annotation file.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    root: PathBuf,
}

impl ImageFiles {
    /// Images under `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Where an image lies: under its name, or, for names with folders (LVIS v1's `train2017/x.jpg`), without the
    /// first ones. A name that leads out of the folder is taken without what leads out.
    pub fn path(&self, file_name: &str) -> PathBuf {
        let inside = Path::new(file_name).components().filter(|c| matches!(c, Component::Normal(_)));
        let parts: Vec<Component<'_>> = inside.collect();
        let below = |first: usize| self.root.join(parts[first..].iter().collect::<PathBuf>());
        (0..parts.len()).map(below).find(|path| path.exists()).unwrap_or_else(|| below(0))
    }

    /// Where an image lies, if it is there.
    ///
    /// # Errors
    /// If the name leads out of the folder, or there is no such file.
    pub fn find(&self, file_name: &str) -> Result<PathBuf, FormatError> {
        check_file_name(file_name).map_err(|reason| FormatError::Entry {
            set: self.root.display().to_string(),
            entry: format!("file_name {file_name:?}"),
            reason: reason.into(),
        })?;
        let path = self.path(file_name);
        if path.exists() {
            return Ok(path);
        }
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        Err(FormatError::Io { action: "read", path, source })
    }
}
