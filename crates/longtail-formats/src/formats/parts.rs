//! Parts of a data set: train, val, test.

use std::path::Path;

use crate::error::FormatError;

/// What was chosen.
pub(crate) enum Chosen<'a, T> {
    /// Every part as one.
    All,
    /// This one.
    One(&'a T),
}

/// The part of a name: the usual names of validation parts mean each other, `all` means every part. Without a name
/// there may be only one.
///
/// # Errors
/// If there is no such part, or none was named and there are several.
pub(crate) fn choose<'a, T>(
    path: &Path,
    parts: &'a [(String, T)],
    wanted: Option<&str>,
) -> Result<Chosen<'a, T>, FormatError> {
    let names = || parts.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (wanted, parts) {
        (_, []) => Err(FormatError::unrecognised(path, "it names no part such as `train` or `val`")),
        (Some("all"), _) => Ok(Chosen::All),
        (Some(wanted), _) => {
            let same = |name: &str| name == wanted || (is_validation(name) && is_validation(wanted));
            let exact = parts.iter().find(|(name, _)| name == wanted);
            match exact.or_else(|| parts.iter().find(|(name, _)| same(name))) {
                Some((_, part)) => Ok(Chosen::One(part)),
                None => Err(FormatError::unrecognised(
                    path,
                    format!("it has no part `{wanted}`, only {}", names()),
                )),
            }
        }
        (None, [(_, part)]) => Ok(Chosen::One(part)),
        (None, _) => {
            let reason = format!(
                "it has several parts; choose one of {}, or `all`, with --part, or name the part's own folder or file",
                names()
            );
            Err(FormatError::unrecognised(path, reason))
        }
    }
}

fn is_validation(name: &str) -> bool {
    ["val", "valid", "validation"].contains(&name)
}
