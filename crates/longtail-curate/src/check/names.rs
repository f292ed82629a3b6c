//! Categories and their names.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Findings, Kind};
use longtail_annotations::{AnnotationSet, ClassCounts, LabelMap};

pub(super) fn check_categories(set: &AnnotationSet, findings: &mut Findings) {
    let (mut ids, mut names) = (FxHashSet::default(), FxHashMap::default());
    let mut singulars: FxHashMap<String, (String, &String)> = FxHashMap::default();
    for category in &set.categories {
        if !ids.insert(category.id) {
            findings.add(Kind::CategoryIdRepeated, || format!("category {}", category.id));
        }
        let plain = plain(&category.name);
        if let Some(other) = names.insert(plain.clone(), &category.name) {
            findings.add(Kind::NamesDifferByCase, || format!("{other:?} and {:?}", category.name));
            continue;
        }
        let singular = singular(&plain);
        match singulars.get(&singular) {
            Some((other, name)) if *other != plain => {
                findings.add(Kind::NamesDifferByPlural, || format!("{name:?} and {:?}", category.name));
            }
            _ => drop(singulars.insert(singular, (plain, &category.name))),
        }
    }
    let (lowest, highest) = (ids.iter().min(), ids.iter().max());
    // Ids may lie at both ends of their range.
    if let (Some(lowest), Some(highest)) = (lowest, highest)
        && i128::from(*highest) - i128::from(*lowest) >= ids.len() as i128
    {
        let example = || format!("{} categories with ids {lowest} to {highest}", ids.len());
        findings.add(Kind::CategoryIdsHaveGaps, example);
    }
    let labels = LabelMap::new(&set.categories);
    let counts = ClassCounts::of(set, &labels);
    for label in (0..labels.len()).filter(|&label| counts.instances[label] == 0) {
        findings.add(Kind::CategoryWithoutBoxes, || labels.name(label as u32).to_owned());
    }
}

/// A name in small letters, with one space for whatever separates its words.
pub(super) fn plain(name: &str) -> String {
    let name = name.to_lowercase();
    let words = name.split(|c: char| c.is_whitespace() || matches!(c, '_' | '-' | '.' | ','));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// English plurals that add no s.
const IRREGULAR: [(&str, &str); 10] = [
    ("men", "man"),
    ("women", "woman"),
    ("people", "person"),
    ("children", "child"),
    ("mice", "mouse"),
    ("geese", "goose"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("knives", "knife"),
    ("leaves", "leaf"),
];

/// A plain name whose last word is brought to the singular, as far as a rule goes. Only good for comparing
/// names.
fn singular(name: &str) -> String {
    let (before, word) = name.rsplit_once(' ').map_or(("", name), |(before, word)| (before, word));
    let ends = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let cut = |length: usize| &word[..word.len() - length];
    let singular = if let Some((_, singular)) = IRREGULAR.iter().find(|(plural, _)| *plural == word) {
        (*singular).to_owned()
    } else if word.len() > 4 && word.ends_with("ies") {
        format!("{}y", cut(3))
    } else if ends(&["ches", "shes", "sses", "xes", "zes"]) {
        cut(2).to_owned()
    } else if word.len() > 3 && word.ends_with('s') && !ends(&["ss", "us", "is"]) {
        cut(1).to_owned()
    } else {
        word.to_owned()
    };
    format!("{before} {singular}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_meet_their_singulars_and_nothing_else() {
        for (one, many) in [
            ("car", "cars"),
            ("Wine Glass", "wine_glasses"),
            ("box", "boxes"),
            ("berry", "berries"),
            ("couch", "couches"),
            ("wise man", "wise-men"),
            ("knife", "Knives"),
            ("bus", "buses"),
        ] {
            // "buses" becomes "buse": it is not found, and nothing wrong is.
            let alike = singular(&plain(one)) == singular(&plain(many));
            assert_eq!(alike, one != "bus", "{one}");
        }
        for (one, other) in
            [("glass", "glas"), ("bus", "bu"), ("tennis", "tenni"), ("cat", "car"), ("gas", "ga")]
        {
            assert_ne!(singular(one), singular(other), "{one}");
        }
    }
}
