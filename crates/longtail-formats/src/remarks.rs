//! What a reader met that is not in the set it gives: left out, looked up, or to be mended. Nothing is dropped without
//! being counted here.

use serde::Serialize;

use crate::error::FormatError;

/// Examples kept of each kind.
const EXAMPLES: usize = 20;

/// A kind of remark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemarkKind {
    /// An entry, line or file that cannot be read. It is not in the set.
    Unreadable,
    /// A label file without an image. Its boxes are not in the set.
    LabelWithoutImage,
    /// A picture in a format that is not read. It is not in the set.
    PictureNotRead,
    /// A second box of one object. It is not in the set.
    FurtherBox,
    /// An XML file whose `<filename>` names another picture than its own name does; its own name was taken.
    FilenameOfAnother,
    /// A picture that was found under another name than the file says.
    FoundElsewhere,
    /// Width and height that the file lacks and that were measured.
    SizeMeasured,
    /// Width and height that nobody knows.
    SizeUnknown,
    /// A file that an operating system or an archive left behind.
    SystemFile,
}

impl RemarkKind {
    /// What it means, in the plural.
    pub fn message(self) -> &'static str {
        match self {
            Self::Unreadable => "entries that cannot be read (left out)",
            Self::LabelWithoutImage => "label files without an image (left out)",
            Self::PictureNotRead => "pictures in a format that is not read (left out)",
            Self::FurtherBox => "further boxes of one object (left out; the first is read)",
            Self::FilenameOfAnother => {
                "XML files whose <filename> names another picture (their own name decides)"
            }
            Self::FoundElsewhere => "pictures found under another name than the file says",
            Self::SizeMeasured => "images without width or height in the file (measured)",
            Self::SizeUnknown => "images without width or height (give --images to measure them)",
            Self::SystemFile => "files of the operating system (skipped)",
        }
    }
}

/// A kind of remark with how often it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// What was met.
    pub kind: RemarkKind,
    /// How often.
    pub count: usize,
    /// The first few: file, entry and reason.
    pub examples: Vec<String>,
}

/// All that a reader remarked, by kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Remarks(Vec<Remark>);

impl Remarks {
    /// Counts one more; the example is asked for only if it is kept.
    pub fn add(&mut self, kind: RemarkKind, example: impl FnOnce() -> String) {
        let index = self.0.iter().position(|remark| remark.kind == kind).unwrap_or_else(|| {
            self.0.push(Remark { kind, count: 0, examples: Vec::new() });
            self.0.len() - 1
        });
        let remark = &mut self.0[index];
        remark.count += 1;
        if remark.examples.len() < EXAMPLES {
            remark.examples.push(example());
        }
    }

    /// Adds those of another reader.
    pub fn extend(&mut self, other: Self) {
        for remark in other.0 {
            let more = remark.count - remark.examples.len();
            for example in remark.examples {
                self.add(remark.kind, || example);
            }
            if let Some(mine) = self.0.iter_mut().find(|mine| mine.kind == remark.kind) {
                mine.count += more;
            }
        }
    }

    /// In the order of their kinds.
    pub fn iter(&self) -> impl Iterator<Item = &Remark> {
        let mut sorted: Vec<&Remark> = self.0.iter().collect();
        sorted.sort_by_key(|remark| remark.kind);
        sorted.into_iter()
    }

    /// The remarks of a kind.
    pub fn of(&self, kind: RemarkKind) -> Option<&Remark> {
        self.0.iter().find(|remark| remark.kind == kind)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Refuses a set of which something could not be read.
    ///
    /// # Errors
    /// The first entry that could not be read, and how many more there are.
    pub fn refuse_unreadable(&self, set: &std::path::Path) -> Result<(), FormatError> {
        let Some(unreadable) = self.of(RemarkKind::Unreadable) else { return Ok(()) };
        let first = unreadable.examples.first().cloned().unwrap_or_default();
        Err(FormatError::Unreadable { set: set.to_owned(), first, others: unreadable.count - 1 })
    }
}
