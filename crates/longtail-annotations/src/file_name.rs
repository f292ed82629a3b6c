//! Names of image files, which come from annotation files and so from strangers.

use std::path::{Component, Path};

/// Refuses names that lead out of the image folder: with a root, a drive, or `..`, on this system or another.
///
/// # Errors
/// What is wrong with the name.
pub fn check_file_name(name: &str) -> Result<(), &'static str> {
    let drive = name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic();
    if name.is_empty() {
        Err("is empty")
    } else if name.contains('\0') {
        Err("holds a zero byte")
    } else if name.starts_with(['/', '\\']) || drive {
        Err("is an absolute path; give it relative to the image folder")
    } else if name.split(['/', '\\']).any(|part| part == "..") {
        Err("leaves the image folder by `..`; give it relative to the image folder")
    } else {
        Ok(())
    }
}

/// A path below a folder as the name of an image: with `/` between its parts.
///
/// # Errors
/// What is wrong with the path.
pub fn name_below(root: &Path, path: &Path) -> Result<String, String> {
    let below = path.strip_prefix(root).map_err(|_| format!("it does not lie under {}", root.display()))?;
    let mut parts = Vec::new();
    for component in below.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(part) => {
                let part = part.to_str().ok_or("its name is not UTF-8; rename it")?;
                parts.push(part);
            }
            _ => return Err("it leaves the folder by `..`".into()),
        }
    }
    if parts.is_empty() { Err("it names no file".into()) } else { Ok(parts.join("/")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_folder() {
        for name in ["a.jpg", "train2017/a.jpg", "a..b.jpg", "...", "ü/ß.png", "ab:c.jpg"] {
            assert_eq!(check_file_name(name), Ok(()), "{name}");
        }
        for name in [
            "",
            "..",
            "../a.jpg",
            "a/../../b",
            "a\\..\\b",
            "/etc/passwd",
            "\\\\host\\a",
            "C:\\a.jpg",
            "c:a",
            "a\0b",
        ] {
            assert!(check_file_name(name).is_err(), "{name}");
        }
    }
}
