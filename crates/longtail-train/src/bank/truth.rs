//! Ground truth beside proposals, so that detections can be scored without the data set.

use std::{collections::BTreeSet, path::Path};

use longtail_annotations::AnnotationSet;
use longtail_bank::{Bank, ClassTable, TruthFile};
use longtail_eval::{Detection, EvalReport, Scoring};

use crate::{
    data::{Truth, group_of, label_of},
    error::TrainError,
};

/// Writes ground truth into a bank's folder.
///
/// # Errors
/// If a file cannot be written.
pub fn write(folder: &Path, truths: &[Truth]) -> Result<Vec<TruthFile>, TrainError> {
    std::fs::create_dir_all(folder).map_err(TrainError::io("create bank folder", folder))?;
    truths
        .iter()
        .map(|truth| {
            let file = format!("truth-{}.json", truth.name);
            longtail_formats::write_annotations(&truth.annotations, &folder.join(&file))?;
            let (name, label) = (truth.name.clone(), truth.label.clone());
            Ok(TruthFile { name, label, protocol: truth.scoring.to_string(), file })
        })
        .collect()
}

/// The part of a training set that lies in some images, as ground truth; `what` says which in a word. Classes have the
/// groups of the whole set.
pub fn of_images(
    set: &AnnotationSet,
    images: &BTreeSet<i64>,
    classes: &ClassTable,
    scoring: Scoring,
    what: &str,
) -> Truth {
    let mut annotations = set.clone();
    annotations.path = None;
    annotations.images.retain(|image| images.contains(&image.id));
    annotations.annotations.retain(|annotation| images.contains(&annotation.image_id));
    for category in &mut annotations.categories {
        category.frequency = group_of(classes, category.id);
    }
    let label = format!("{what} training images, {}", label_of(scoring));
    Truth { name: scoring.to_string(), label, scoring, annotations }
}

/// Ground truth of a proposals bank, read once.
pub struct Truths {
    truths: Vec<(TruthFile, Scoring, AnnotationSet)>,
}

impl Truths {
    /// Reads the files that the bank's header names.
    ///
    /// # Errors
    /// If a file is missing or no annotation file.
    pub fn of(bank: &Bank) -> Result<Self, TrainError> {
        let truths = bank
            .header()
            .truths
            .iter()
            .map(|truth| {
                let set = longtail_formats::read_annotations(&bank.folder().join(&truth.file))?;
                let scoring: Scoring = truth.protocol.parse().map_err(longtail_eval::EvalError::from)?;
                Ok((truth.clone(), scoring, set))
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Self { truths })
    }

    /// Names with readable names, in order.
    pub fn names(&self) -> Vec<(String, String)> {
        self.truths.iter().map(|(truth, _, _)| (truth.name.clone(), truth.label.clone())).collect()
    }

    /// Each by its name, with the rules and the annotations.
    pub fn sets(&self) -> impl Iterator<Item = (String, Scoring, &AnnotationSet)> {
        self.truths.iter().map(|(truth, scoring, set)| (truth.name.clone(), *scoring, set))
    }

    /// Scores detections against each.
    ///
    /// # Errors
    /// If a truth lacks what its protocol needs.
    pub fn score(&self, detections: &[Detection]) -> Result<Vec<(String, EvalReport)>, TrainError> {
        let one = |(truth, scoring, set): &(TruthFile, Scoring, AnnotationSet)| {
            Ok((truth.name.clone(), scoring.evaluate(set, detections)?))
        };
        self.truths.iter().map(one).collect()
    }
}
