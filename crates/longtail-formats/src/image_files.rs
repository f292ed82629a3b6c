//! Where the image files of a data set lie, whatever its names went through on the way: other separators, absolute paths
//! of another machine, `%20`, folders more or fewer, another ending or case, another Unicode form.

use std::{
    path::{Component, Path, PathBuf},
    sync::{Arc, OnceLock},
};

use longtail_annotations::{check_file_name, name_below};
use rustc_hash::FxHashMap;
use walkdir::WalkDir;

use crate::{
    error::FormatError,
    formats::{is_image, is_system_file},
};

/// Names that a message about an ambiguous or missing one repeats.
const SHOWN: usize = 3;

/// A folder of image files, by the file names of the annotation file.
#[derive(Debug, Clone)]
pub struct ImageFiles {
    root: PathBuf,
    /// Files below the folder, listed when a name is first looked for.
    listing: Arc<OnceLock<Listing>>,
}

/// Where a name was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// There.
    At(PathBuf),
    /// In several places that fit equally well.
    Several(Vec<PathBuf>),
    /// Nowhere; names that come near.
    Nowhere(Vec<PathBuf>),
}

impl ImageFiles {
    /// Images under `root`.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), listing: Arc::default() }
    }

    /// Where an image lies, or would lie if it were there.
    pub fn path(&self, file_name: &str) -> PathBuf {
        self.find(file_name).unwrap_or_else(|_| self.below(&parts(file_name)))
    }

    /// Where an image lies: under its name; for names with folders (LVIS v1's `train2017/x.jpg`) without the first ones;
    /// else wherever the folder has one file, and one only, that fits the end of the name best.
    ///
    /// # Errors
    /// If the name leads out of the folder by `..`, there is no such file, or several fit equally well.
    pub fn find(&self, file_name: &str) -> Result<PathBuf, FormatError> {
        Ok(self.locate(file_name)?.0)
    }

    /// Where an image lies, and whether its name says so: as it is, or without its first folders.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub(crate) fn locate(&self, file_name: &str) -> Result<(PathBuf, bool), FormatError> {
        let refuse = |reason: String| FormatError::Entry {
            set: self.root.display().to_string(),
            entry: format!("file_name {file_name:?}"),
            reason,
        };
        let plain = file_name.replace('\\', "/");
        // What another machine's root was is not looked at.
        let inside = plain.trim_start_matches("./").trim_start_matches('/');
        let inside = match inside.as_bytes() {
            [letter, b':', b'/', ..] if letter.is_ascii_alphabetic() => &inside[3..],
            _ => inside,
        };
        check_file_name(inside).map_err(|reason| refuse(reason.into()))?;
        let parts = parts(inside);
        let exact = (0..parts.len()).map(|first| self.below(&parts[first..])).find(|path| {
            // Whatever can be read, a device too; a folder cannot.
            path.metadata().is_ok_and(|file| !file.is_dir())
        });
        if let Some(path) = exact {
            return Ok((path, inside == file_name));
        }
        match self.listing.get_or_init(|| Listing::new(&self.root)).find(inside) {
            Found::At(path) => Ok((self.root.join(path), false)),
            Found::Several(paths) => Err(refuse(format!(
                "several files fit it equally well: {}; give the folder of one of them as --images",
                shown(&paths)
            ))),
            Found::Nowhere(near) => {
                let path = self.below(&parts);
                let hint = match near.as_slice() {
                    [] => "no such file".to_owned(),
                    near => format!("no such file; near it: {}", shown(near)),
                };
                let source = std::io::Error::new(std::io::ErrorKind::NotFound, hint);
                Err(FormatError::Io { action: "read", path, source })
            }
        }
    }

    /// The name of a file below the folder.
    pub(crate) fn name_of(&self, path: &Path) -> Option<String> {
        name_below(&self.root, path).ok()
    }

    fn below(&self, parts: &[&str]) -> PathBuf {
        self.root.join(parts.iter().collect::<PathBuf>())
    }
}

fn parts(file_name: &str) -> Vec<&str> {
    let inside = Path::new(file_name).components().filter(|part| matches!(part, Component::Normal(_)));
    inside.filter_map(|part| part.as_os_str().to_str()).collect()
}

fn shown(paths: &[PathBuf]) -> String {
    let mut names: Vec<String> = paths.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
    if paths.len() > SHOWN {
        names.push("…".into());
    }
    names.join(", ")
}

/// Image files below a folder by the plain form of their name's stem.
#[derive(Debug)]
struct Listing {
    of_stem: FxHashMap<String, Vec<PathBuf>>,
}

impl Listing {
    fn new(root: &Path) -> Self {
        let mut of_stem: FxHashMap<String, Vec<PathBuf>> = FxHashMap::default();
        // What cannot be listed is not found; opening it says why.
        for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().flatten() {
            let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
            if entry.file_type().is_file() && is_image(below) && !is_system_file(below) {
                of_stem.entry(plain(stem(below))).or_default().push(below.to_owned());
            }
        }
        Self { of_stem }
    }

    fn find(&self, name: &str) -> Found {
        let decoded = percent_decoded(name);
        for wanted in [Some(name), decoded.as_deref()].into_iter().flatten() {
            let Some(candidates) = self.of_stem.get(&plain(stem(Path::new(wanted)))) else { continue };
            // The most parts of the end that are alike, then the same ending.
            let fit = |path: &PathBuf| (alike(wanted, path), same_ending(wanted, path));
            let best = candidates.iter().map(fit).max().unwrap_or_default();
            let mut best: Vec<PathBuf> =
                candidates.iter().filter(|path| fit(path) == best).cloned().collect();
            return match best.len() {
                1 => Found::At(best.remove(0)),
                _ => Found::Several(best),
            };
        }
        let wanted = plain(stem(Path::new(name)));
        let mut near: Vec<PathBuf> = self
            .of_stem
            .iter()
            .filter(|(stem, _)| is_near(stem, &wanted))
            .flat_map(|(_, paths)| paths.iter().cloned())
            .collect();
        near.sort();
        Found::Nowhere(near)
    }
}

/// The file's name without its ending; a name whose ending is not one of an image is whole.
fn stem(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if is_image(path) { path.file_stem().and_then(|stem| stem.to_str()).unwrap_or(name) } else { name }
}

/// Small letters, composed: macOS takes letters and their accents apart.
fn plain(text: &str) -> String {
    compose(&text.to_lowercase())
}

/// Letters followed by an accent as one letter, for those that Latin alphabets have.
fn compose(text: &str) -> String {
    const ACCENTS: [(char, &str, &str); 8] = [
        ('\u{300}', "aeiouAEIOUnw", "àèìòùÀÈÌÒÙǹẁ"),
        ('\u{301}', "aeiouyAEIOUYcnszlr", "áéíóúýÁÉÍÓÚÝćńśźĺŕ"),
        ('\u{302}', "aeiouAEIOUcghjsw", "âêîôûÂÊÎÔÛĉĝĥĵŝŵ"),
        ('\u{303}', "aonAONiu", "ãõñÃÕÑĩũ"),
        ('\u{308}', "aeiouyAEIOU", "äëïöüÿÄËÏÖÜ"),
        ('\u{30a}', "auAU", "åůÅŮ"),
        ('\u{30c}', "cdenrstzCDENRSTZ", "čďěňřšťžČĎĚŇŘŠŤŽ"),
        ('\u{327}', "cstCST", "çşţÇŞŢ"),
    ];
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut composed = String::with_capacity(text.len());
    for letter in text.chars() {
        let whole = ACCENTS.iter().find(|(accent, ..)| *accent == letter).and_then(|(_, plain, accented)| {
            let index = plain.chars().position(|plain| composed.ends_with(plain))?;
            accented.chars().nth(index)
        });
        match whole {
            Some(whole) => {
                composed.pop();
                composed.push(whole);
            }
            None => composed.push(letter),
        }
    }
    composed
}

/// How many folders at the end of a name and of a path are the same.
fn alike(name: &str, path: &Path) -> usize {
    let mut theirs = path.iter().rev().skip(1).filter_map(|part| part.to_str());
    let mut ours = name.rsplit('/').skip(1);
    let mut count = 0;
    while let (Some(a), Some(b)) = (ours.next(), theirs.next()) {
        if plain(a) != plain(b) {
            break;
        }
        count += 1;
    }
    count
}

fn same_ending(name: &str, path: &Path) -> bool {
    let ending = |path: &Path| path.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
    ending(Path::new(name)) == ending(path)
}

/// A name with `%20` and its like decoded; none where nothing is encoded.
fn percent_decoded(name: &str) -> Option<String> {
    if !name.contains('%') {
        return None;
    }
    let bytes = name.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high * 16 + low) as u8);
                at += 3;
            }
            _ => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok().filter(|decoded| decoded != name)
}

/// Whether one stem is the other with something in front or behind, as tools that upload files add it, or with a letter
/// changed, added or left out.
fn is_near(a: &str, b: &str) -> bool {
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    if short.len() >= 3 && (long.ends_with(short) || long.starts_with(short)) {
        return true;
    }
    let (short, long): (Vec<char>, Vec<char>) = (short.chars().collect(), long.chars().collect());
    if long.len() - short.len().min(long.len()) > 1 || short.len() < 4 {
        return false;
    }
    let start = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    let end = short.iter().rev().zip(long.iter().rev()).take_while(|(a, b)| a == b).count();
    start + end + 1 >= long.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn names_are_found_whatever_they_went_through() {
        let folder =
            folder(&["images/a b.jpg", "images/two/c.JPEG", "d\u{f6}ner.png", "0001.jpg", "x/0002.jpg"]);
        let files = ImageFiles::new(folder.path());
        for (name, expected) in [
            ("images/a b.jpg", "images/a b.jpg"),
            ("images\\a b.jpg", "images/a b.jpg"),
            ("./images/a b.jpg", "images/a b.jpg"),
            ("a%20b.jpg", "images/a b.jpg"),
            ("a b.png", "images/a b.jpg"),
            ("A B.JPG", "images/a b.jpg"),
            ("/home/someone/data/two/c.jpeg", "images/two/c.JPEG"),
            ("C:\\data\\two\\c.jpeg", "images/two/c.JPEG"),
            ("do\u{308}ner.png", "d\u{f6}ner.png"),
            ("train2017/0001.jpg", "0001.jpg"),
            ("0002", "x/0002.jpg"),
        ] {
            assert_eq!(files.find(name).unwrap(), folder.path().join(expected), "{name}");
            let (path, says_so) = files.locate(name).unwrap();
            assert_eq!(files.name_of(&path).as_deref(), Some(expected), "{name}");
            assert_eq!(says_so, [expected, "train2017/0001.jpg"].contains(&name), "{name}");
        }
    }

    #[test]
    fn ambiguous_and_missing_names_are_told_with_what_comes_near() {
        let folder = folder(&["one/a.jpg", "two/a.jpg", "5a01-boat.png", "images/gull.png"]);
        let files = ImageFiles::new(folder.path());
        assert_eq!(files.find("old/two/a.jpg").unwrap(), folder.path().join("two/a.jpg"));
        let said = files.find("three/a.jpg").unwrap_err().to_string();
        assert!(said.contains("several files fit it equally well: one/a.jpg, two/a.jpg"), "{said}");
        let said = files.find("boat.png").unwrap_err().to_string();
        assert!(said.contains("cannot read") && said.contains("near it: 5a01-boat.png"), "{said}");
        let said = files.find("gulls.png").unwrap_err().to_string();
        assert!(said.contains("near it: images/gull.png"), "{said}");
        assert!(files.find("nothing.png").unwrap_err().to_string().contains("no such file"));
        assert!(files.find("../a.jpg").unwrap_err().to_string().contains(".."));
    }
}
