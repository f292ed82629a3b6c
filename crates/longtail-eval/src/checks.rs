//! Checks of numbers and ids that files and callers share.

use rustc_hash::FxHashSet;

/// Ids named in a message; more would hide the rest of it.
const NAMED: usize = 3;

/// Refuses a box, x, y, width, height, that is not finite or has a negative size. Empty boxes are left to the
/// protocols, which differ about them.
pub(crate) fn check_box(bbox: &[f64; 4]) -> Result<(), String> {
    if bbox.iter().any(|v| !v.is_finite()) {
        return Err(format!("`bbox` {bbox:?} is not finite"));
    }
    if bbox[2] < 0.0 || bbox[3] < 0.0 {
        return Err(format!(
            "`bbox` {bbox:?} has a negative width or height; expected x, y, width, height, not two corners"
        ));
    }
    Ok(())
}

/// Refuses repeated ids: the references keep the last entry of an id without a word.
pub(crate) fn unique(what: &str, ids: impl Iterator<Item = i64>) -> Result<(), String> {
    let mut seen = FxHashSet::default();
    let mut repeated = ids.filter(|&id| !seen.insert(id)).peekable();
    if repeated.peek().is_none() {
        return Ok(());
    }
    Err(format!("{what} id {} is repeated; give every {what} its own", first_few(repeated)))
}

/// The first few different ids, for a message.
pub(crate) fn first_few(ids: impl Iterator<Item = i64>) -> String {
    let mut different: Vec<i64> = Vec::new();
    for id in ids {
        if !different.contains(&id) {
            if different.len() == NAMED {
                let named: Vec<String> = different.iter().map(i64::to_string).collect();
                return format!("{}, …", named.join(", "));
            }
            different.push(id);
        }
    }
    different.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}
