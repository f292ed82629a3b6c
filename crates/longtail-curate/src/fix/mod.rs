//! Repairs of an annotation file that are right whatever the file is for.
//!
//! The repaired file is written beside nothing else: every entry that is not repaired keeps its bytes, and of
//! one that is, segmentation and whatever else is not repaired do too. What was written is read again and
//! held against what was meant before it gets its name.

mod plan;
mod text;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use longtail_files::{temporary_path, write_file_with};
use serde::Serialize;

use crate::{
    check::{Kind, misreading},
    error::CurateError,
};
use longtail_formats::read_annotations;
use plan::Plan;
use text::{Entries, Span, with_members};

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What was wrong.
    pub kind: Kind,
    /// The entry, as `annotation 17`.
    pub entry: String,
    /// What was done.
    pub action: String,
}

/// Writes a repaired copy of a COCO or LVIS file: annotations of unknown images or categories, boxes that are
/// not finite, without area or outside of their image, and repetitions of a whole annotation are left out;
/// boxes are clipped to their image; annotation ids that are repeated, or 0 in LVIS, are numbered anew;
/// categories verified absent that have a box, are unknown or repeated leave their list; width and height
/// become those of `sizes` (width and height by image id, as [`check`](crate::check::check()) measures them).
/// Returns every change; without one nothing is written.
///
/// # Errors
/// If `target` is `source`, or a file cannot be read or written.
pub fn fix(
    source: &Path,
    sizes: &BTreeMap<i64, [u32; 2]>,
    target: &Path,
) -> Result<Vec<Change>, CurateError> {
    let refuse = |reason: &str| CurateError::Fix { path: source.to_owned(), reason: reason.to_owned() };
    if same_file(source, target) {
        return Err(refuse("the repaired file must have another name than the one it is made from"));
    }
    let set = read_annotations(source)?;
    // Clipped or left out, boxes of another layout would look right and be wrong.
    if let Some(misread) = misreading(&set) {
        return Err(refuse(&format!("its boxes are in another layout: {}", misread.describe(&set))));
    }
    let file = File::open(source).map_err(CurateError::io("read", source))?;
    // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
    let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(CurateError::io("read", source))?;
    let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let unlike = || refuse("its lists are not of the form in which they can be repaired");
    let entries = Entries::new(&bytes[start..]).ok_or_else(unlike)?;
    if (entries.images.len(), entries.annotations.len()) != (set.images.len(), set.annotations.len()) {
        return Err(unlike());
    }
    let plan = Plan::new(&set, sizes, &entries);
    if plan.changes.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| CurateError::io("write", target)(error);
    let write_and_compare = |out: &mut BufWriter<File>| {
        write(out, &entries, &plan).and_then(|()| out.flush()).map_err(failed)?;
        let mut found = read_annotations(&temporary_path(target))?;
        found.path = set.path.clone();
        if found != plan.applied(set) {
            return Err(refuse("what was written does not read back as it was meant; please report this"));
        }
        Ok(())
    };
    write_file_with(target, write_and_compare, failed)?;
    Ok(plan.changes)
}

fn same_file(a: &Path, b: &Path) -> bool {
    #[cfg(unix)]
    if let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) {
        use std::os::unix::fs::MetadataExt;
        return (a.dev(), a.ino()) == (b.dev(), b.ino());
    }
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

/// What becomes of an entry.
enum Entry {
    Dropped,
    Changed(Vec<(&'static str, String)>),
}

fn write(out: &mut impl Write, entries: &Entries<'_>, plan: &Plan) -> io::Result<()> {
    let mut lists = [(&entries.images, &plan.images), (&entries.annotations, &plan.annotations)];
    // In the order of the file.
    lists.sort_by_key(|(spans, _)| spans.first().map_or(0, |span| span.start));
    let mut done = 0;
    for (spans, changes) in lists {
        done = copy_list(out, entries.bytes, done, spans, changes)?;
    }
    out.write_all(&entries.bytes[done..])
}

/// Copies up to the end of a list's last entry.
fn copy_list(
    out: &mut impl Write,
    bytes: &[u8],
    mut done: usize,
    spans: &[Span],
    changes: &BTreeMap<usize, Entry>,
) -> io::Result<usize> {
    let mut first = true;
    for (place, span) in spans.iter().enumerate() {
        let before = &bytes[done..span.start];
        let change = changes.get(&place);
        if place == 0 {
            // Everything before the list, and what stands before its first entry.
            out.write_all(before)?;
        } else if !matches!(change, Some(Entry::Dropped)) {
            // The comma of the first entry that stays belonged to one that does not.
            let comma = before.iter().position(|&byte| byte == b',').map_or(0, |comma| comma + 1);
            out.write_all(if first { &before[comma..] } else { before })?;
        }
        let entry = &bytes[span.clone()];
        match change {
            Some(Entry::Dropped) => {}
            Some(Entry::Changed(members)) => {
                let changed = with_members(entry, members);
                out.write_all(
                    &changed.ok_or_else(|| io::Error::other("an entry lacks the member to change"))?,
                )?;
            }
            None => out.write_all(entry)?,
        }
        first &= matches!(change, Some(Entry::Dropped));
        done = span.end;
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
