//! Indexes: what was read from a large annotation file, kept so that the next opening takes a fraction of a second.
//!
//! An index is a file of ours, beside the annotation file or in a folder of its own. It is used only if its checksum
//! holds and it belongs to the annotation file as it is now: same path, size, time of the last change, and same bytes at
//! sixteen places. Anything else is read anew, and replaces it. Losing or deleting an index costs nothing but time.
//!
//! `LONGTAIL_INDEX` in the environment says where: `off` for nowhere, a folder for there; without it beside the
//! annotation file, or, where that folder cannot be written to, in `longtail/` of the user's cache folder.

mod encoding;

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use longtail_files::write_file_with;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

use crate::{error::FormatError, formats::inspect_coco, remarks::Remarks};
use longtail_annotations::AnnotationSet;

/// Files below this size open fast without one.
const LEAST_BYTES: u64 = 8 << 20;
/// A file changed so recently could change again without its time telling.
const SETTLED: Duration = Duration::from_secs(2);
/// Blocks of the annotation file that are compared, and their size.
const SAMPLES: u64 = 16;
const SAMPLE_BYTES: u64 = 4096;

/// Where indexes are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IndexPlace {
    /// Nowhere: none is read, none is written.
    #[default]
    Nowhere,
    /// Beside the annotation file as `.NAME.longtail-index`; where that cannot be written, in the user's cache folder.
    Beside,
    /// In this folder, which is made when it is needed.
    Folder(PathBuf),
}

/// What an opening did with an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexUse {
    /// The set comes from this one.
    Read(PathBuf),
    /// The file was read, and this one written for the next time.
    Written(PathBuf),
    /// The file was read; none was wanted, or the file is small or was changed a moment ago.
    None,
    /// The file was read; no index could be written.
    Failed(String),
}

impl IndexPlace {
    /// As the environment variable `LONGTAIL_INDEX` says.
    pub fn from_environment() -> Self {
        match std::env::var_os("LONGTAIL_INDEX") {
            None => Self::Beside,
            Some(value) if value.is_empty() => Self::Beside,
            Some(value) if value == "off" => Self::Nowhere,
            Some(folder) => Self::Folder(folder.into()),
        }
    }

    /// Where the index of a file may be, best first.
    fn candidates(&self, file: &Path) -> Vec<Candidate> {
        // Names are hashed and compared as they are; without a whole path a file cannot be told from its namesakes.
        let Ok(whole) = fs::canonicalize(file) else { return Vec::new() };
        let in_folder = |folder: &Path| {
            let name = format!("{:032x}.longtail-index", xxh3_128(whole.as_os_str().as_encoded_bytes()));
            let owner = whole.as_os_str().as_encoded_bytes().to_vec();
            Candidate { path: folder.join(name), owner, make_folder: true }
        };
        match self {
            Self::Nowhere => Vec::new(),
            Self::Folder(folder) => vec![in_folder(folder)],
            Self::Beside => {
                let mut found = Vec::new();
                // Beside the file its name is enough: the folder may be mounted elsewhere tomorrow.
                if let (Some(folder), Some(name)) = (whole.parent(), whole.file_name()) {
                    let mut hidden = std::ffi::OsString::from(".");
                    hidden.push(name);
                    hidden.push(".longtail-index");
                    let owner = name.as_encoded_bytes().to_vec();
                    found.push(Candidate { path: folder.join(hidden), owner, make_folder: false });
                }
                found.extend(cache_folder().map(|folder| in_folder(&folder)));
                found
            }
        }
    }
}

struct Candidate {
    path: PathBuf,
    /// What the index must say it belongs to.
    owner: Vec<u8>,
    make_folder: bool,
}

/// The user's cache folder, as the XDG base directory specification has it, and its counterpart elsewhere.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CACHE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("longtail"))
}

/// What an index belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    owner: Vec<u8>,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    samples: u64,
}

impl Key {
    fn of(file: &File, metadata: &Metadata, owner: Vec<u8>) -> io::Result<Self> {
        Ok(Self {
            owner,
            bytes: metadata.len(),
            modified: modified(metadata)?,
            samples: samples(file, metadata.len())?,
        })
    }
}

fn modified(metadata: &Metadata) -> io::Result<i128> {
    let time = metadata.modified()?;
    Ok(match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    })
}

/// A hash of blocks spread over the file, its first and last among them: a file that was replaced with its time kept
/// is told from the one that was indexed.
fn samples(mut file: &File, bytes: u64) -> io::Result<u64> {
    use io::{Read, Seek, SeekFrom};
    let mut hash = Xxh3::new();
    let mut block = Vec::with_capacity(SAMPLE_BYTES as usize);
    for sample in 0..SAMPLES {
        let last = bytes.saturating_sub(SAMPLE_BYTES);
        file.seek(SeekFrom::Start((u128::from(last) * u128::from(sample) / u128::from(SAMPLES - 1)) as u64))?;
        block.clear();
        file.take(SAMPLE_BYTES).read_to_end(&mut block)?;
        hash.update(&block);
    }
    Ok(hash.digest())
}

/// Reads a COCO or LVIS annotation file as [`read_annotations`](crate::read_annotations) does, or what its index keeps of it. A large file that has
/// no valid index gets one; that it cannot be written is no error.
///
/// # Errors
/// As [`read_annotations`](crate::read_annotations).
pub fn read_indexed(path: &Path, place: &IndexPlace) -> Result<(AnnotationSet, IndexUse), FormatError> {
    let (set, used, remarks) = inspect_indexed(path, place)?;
    remarks.refuse_unreadable(path)?;
    Ok((set, used))
}

/// As [`read_indexed`], but entries without a meaning are remarked and left out; such a file gets no index.
///
/// # Errors
/// If the file as a whole cannot be read.
pub fn inspect_indexed(
    path: &Path,
    place: &IndexPlace,
) -> Result<(AnnotationSet, IndexUse, Remarks), FormatError> {
    inspect_indexed_from(path, place, LEAST_BYTES)
}

fn inspect_indexed_from(
    path: &Path,
    place: &IndexPlace,
    least_bytes: u64,
) -> Result<(AnnotationSet, IndexUse, Remarks), FormatError> {
    let file = File::open(path).map_err(FormatError::io("read", path))?;
    let before = file.metadata().map_err(FormatError::io("read", path))?;
    let candidates = place.candidates(path);
    if before.len() < least_bytes || candidates.is_empty() {
        let (set, remarks) = inspect_coco(path)?;
        return Ok((set, IndexUse::None, remarks));
    }
    for candidate in &candidates {
        let Ok(bytes) = fs::read(&candidate.path) else { continue };
        let key = Key::of(&file, &before, candidate.owner.clone()).map_err(FormatError::io("read", path))?;
        if let Some(mut set) = decode(&bytes, &key) {
            set.path = Some(path.to_owned());
            return Ok((set, IndexUse::Read(candidate.path.clone()), Remarks::default()));
        }
    }
    let (set, remarks) = inspect_coco(path)?;
    let unchanged = fs::metadata(path).and_then(|after| Ok((after.len(), modified(&after)?))).ok()
        == modified(&before).ok().map(|time| (before.len(), time));
    let settled = before
        .modified()
        .is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > SETTLED));
    if !(unchanged && settled && remarks.is_empty()) {
        return Ok((set, IndexUse::None, remarks));
    }
    let mut reasons = Vec::new();
    for candidate in candidates {
        let written = Key::of(&file, &before, candidate.owner.clone())
            .and_then(|key| write(&candidate, &encode(&set, &key), &before));
        match written {
            Ok(()) => return Ok((set, IndexUse::Written(candidate.path), remarks)),
            Err(error) => reasons.push(format!("{}: {error}", candidate.path.display())),
        }
    }
    Ok((set, IndexUse::Failed(reasons.join("; ")), remarks))
}

/// Writes an index whole, or not at all; it may be read by those who may read the annotation file.
fn write(candidate: &Candidate, bytes: &[u8], source: &Metadata) -> io::Result<()> {
    if let (true, Some(folder)) = (candidate.make_folder, candidate.path.parent()) {
        fs::create_dir_all(folder)?;
    }
    #[cfg(not(unix))]
    let _ = source;
    let write = |out: &mut BufWriter<File>| {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = source.permissions().mode() & 0o666;
            out.get_ref().set_permissions(fs::Permissions::from_mode(mode))?;
        }
        out.write_all(bytes)
    };
    write_file_with(&candidate.path, write, |error| error)
}

/// First bytes of an index; the last are the version of the form, which changes with [`AnnotationSet`].
const MAGIC: [u8; 8] = *b"LTINDEX\x01";

/// Magic, checksum of the rest, key, set.
fn encode(set: &AnnotationSet, key: &Key) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96 * set.annotations.len() + 128 * set.images.len() + 4096);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 8]);
    encoding::put_bytes(&mut bytes, &key.owner);
    bytes.extend_from_slice(&key.bytes.to_le_bytes());
    bytes.extend_from_slice(&key.modified.to_le_bytes());
    bytes.extend_from_slice(&key.samples.to_le_bytes());
    encoding::put_set(&mut bytes, set);
    let checksum = xxh3_64(&bytes[16..]);
    bytes[8..16].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// The set, if the index is whole and belongs to `key`.
fn decode(bytes: &[u8], key: &Key) -> Option<AnnotationSet> {
    let (head, body) = bytes.split_at_checked(16)?;
    if head[..8] != MAGIC || head[8..] != xxh3_64(body).to_le_bytes() {
        return None;
    }
    let mut reader = encoding::Reader::new(body);
    let found = Key {
        owner: reader.bytes()?.to_vec(),
        bytes: u64::from_le_bytes(reader.array()?),
        modified: i128::from_le_bytes(reader.array()?),
        samples: u64::from_le_bytes(reader.array()?),
    };
    if found != *key {
        return None;
    }
    reader.set()
}

/// The set of an index that is not known to be damaged, whatever it belongs to: the reader as a fuzzer meets it, without
/// a checksum to stop at. Never a panic.
#[doc(hidden)]
pub fn decode_unchecked(body: &[u8]) -> Option<AnnotationSet> {
    encoding::Reader::new(body).set()
}

/// The bytes that [`decode_unchecked`] reads.
#[doc(hidden)]
pub fn encode_unchecked(set: &AnnotationSet) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoding::put_set(&mut bytes, set);
    bytes
}

#[cfg(test)]
mod tests;
