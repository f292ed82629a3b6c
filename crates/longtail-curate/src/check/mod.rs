//! Everything that is wrong with a data set, found in one pass, and what can be repaired without asking.
//!
//! Pixels are looked at as training looks at them, with [`read_image`](longtail_data::read_image): upright,
//! an EXIF orientation applied. Boxes are therefore taken to lie on the upright image, and width and height
//! to be its.

mod against;
mod files;
mod kind;
mod names;
mod records;
mod systematic;

use std::collections::BTreeMap;

use serde::Serialize;

pub use kind::{Kind, Severity};
pub(crate) use records::{box_kind, identity};
pub(crate) use systematic::misreading;

use longtail_annotations::AnnotationSet;
use longtail_data::ImageFolder;
use longtail_formats::Remarks;

/// Examples kept of each kind of finding.
const EXAMPLES: usize = 5;

/// A kind of finding with how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what it means.
    pub message: &'static str,
    /// How often.
    pub count: usize,
    /// Whether it can be repaired without asking.
    pub fixable: bool,
    /// The first few entries.
    pub examples: Vec<String>,
}

/// What to look at besides the annotation file.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions<'a> {
    /// What the reader of the set left out or looked up.
    pub remarks: Option<&'a Remarks>,
    /// The images: each is decoded, measured and compared with the others.
    pub images: Option<&'a ImageFolder>,
    /// Another file of the same classes, usually the validation set of a training set.
    pub against: Option<&'a AnnotationSet>,
    /// The other file's images; compared with those of the first if both are given.
    pub against_images: Option<&'a ImageFolder>,
}

impl CheckOptions<'_> {
    /// How many images are decoded, each of which calls `progress` once.
    pub fn images_to_decode(&self, set: &AnnotationSet) -> usize {
        let other = self.against.filter(|_| self.against_images.is_some() && self.images.is_some());
        self.images.map_or(0, |_| set.images.len()) + other.map_or(0, |set| set.images.len())
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Checked {
    /// Findings, errors first.
    pub findings: Vec<Finding>,
    /// Width and height in pixels of images whose record says otherwise, by image id; without those whose
    /// boxes would have to change too.
    pub sizes: BTreeMap<i64, [u32; 2]>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, kind: Kind, example: impl FnOnce() -> String) {
        let place = self.0.iter().position(|f| f.kind == kind).unwrap_or_else(|| {
            let (severity, message, fixable) = (kind.severity(), kind.message(), kind.fixable());
            self.0.push(Finding { kind, severity, message, count: 0, fixable, examples: Vec::new() });
            self.0.len() - 1
        });
        let finding = &mut self.0[place];
        finding.count += 1;
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(example());
        }
    }
}

impl Findings {
    /// Adds what a reader counted.
    fn add_many(&mut self, kind: Kind, count: usize, examples: &[String]) {
        let (severity, message, fixable) = (kind.severity(), kind.message(), kind.fixable());
        let examples = examples.to_vec();
        self.0.push(Finding { kind, severity, message, count, fixable, examples });
    }
}

/// Looks at everything.
pub fn check(set: &AnnotationSet, options: &CheckOptions<'_>, progress: &(dyn Fn() + Sync)) -> Checked {
    let mut findings = Findings::default();
    if set.images.is_empty() {
        findings.add(Kind::NoImages, || set.label());
    }
    if set.categories.is_empty() {
        findings.add(Kind::NoCategories, || set.label());
    }
    for remark in options.remarks.into_iter().flat_map(Remarks::iter) {
        if let Some(kind) = Kind::of_remark(remark.kind) {
            findings.add_many(kind, remark.count, &remark.examples);
        }
    }
    let by_id = records::check_images(set, &mut findings);
    names::check_categories(set, &mut findings);
    let misread = misreading(set);
    if let Some(misread) = &misread {
        findings.add(misread.kind(), || misread.describe(set));
    }
    records::check_annotations(set, &by_id, misread.is_some(), &mut findings);
    records::check_federated(set, &mut findings);
    let mut sizes = BTreeMap::new();
    let looks = options.images.map(|folder| {
        let files = files::look(set, folder, progress);
        files::report(set, folder, &files, &mut findings, &mut sizes);
        files
    });
    if let Some(other) = options.against {
        against::check_classes(set, other, &mut findings);
        match (&looks, options.against_images) {
            (Some(mine), Some(folder)) => {
                let theirs = files::look(other, folder, progress);
                against::check_pictures(set, mine, other, &theirs, &mut findings);
            }
            _ => against::check_file_names(set, other, &mut findings),
        }
    }
    if let Some(files) = &looks {
        files::check_duplicates(set, files, &mut findings);
    }
    findings.0.sort_by_key(|f| f.severity);
    Checked { findings: findings.0, sizes }
}
