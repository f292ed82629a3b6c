//! Heads judged by their detections from stored proposals: of training images in a tuning's folds, and of the
//! validation images.

use std::{collections::BTreeSet, path::Path};

use longtail_annotations::AnnotationSet;
use longtail_bank::{Bank, BankError};
use longtail_detect::TestConfig;
use longtail_eval::{Detection, GroundTruth, Protocol, Scoring, Settings, StreamingEvaluation};
use longtail_head::{
    Head, HeadError, HeadFile, Inputs,
    tune::{Judge, TuneConfig, TuneResult},
};
use longtail_run::Observer;

use crate::{
    bank::{TRAINING_PROPOSALS, truth::Truths},
    error::TrainError,
    head::{detect, test_rules},
};

/// Tunes methods on a bank with `training-proposals`, and scores what is chosen on its `validation`, if it
/// has one. What
/// `out` has already is read.
///
/// # Errors
/// As [`longtail_head::tune::tune`], and if the bank has no proposals of its training images, or their truth
/// is scored by neither LVIS nor COCO rules.
pub fn tune(
    bank: &Bank,
    config: &TuneConfig,
    out: &Path,
    observer: &mut (dyn Observer + Send),
) -> Result<TuneResult, TrainError> {
    let folder = bank.folder().join(TRAINING_PROPOSALS);
    let training = Proposals::open(&folder).map_err(|error| match error {
        TrainError::Bank(BankError::NoBank { path }) => TrainError::NoTrainingProposals { path },
        other => other,
    })?;
    let proposed: BTreeSet<i64> = training.bank.images().iter().map(|image| image.image_id).collect();
    let missing = bank.images().iter().find(|image| !proposed.contains(&image.image_id));
    if let Some(image) = missing {
        let reason = format!("lacks image {}, which the bank trains on", image.image_id);
        return Err(BankError::Header { path: folder.join("bank.json"), reason }.into());
    }
    let validation = bank.folder().join("validation");
    let validation = validation.is_dir().then(|| Proposals::open(&validation)).transpose()?;
    let judge = Proposed { training, validation };
    Ok(longtail_head::tune::tune(bank, config, &judge, out, observer)?)
}

/// A part of proposals with its truths.
struct Proposals {
    bank: Bank,
    truths: Vec<(String, GroundTruth, Protocol)>,
    rules: TestConfig,
}

impl Proposals {
    fn open(folder: &Path) -> Result<Self, TrainError> {
        let bank = Bank::open(folder)?;
        let truth = |(name, scoring, set): (String, Scoring, &AnnotationSet)| match scoring {
            Scoring::Annotations(protocol) => Ok((name, GroundTruth::new(set)?, protocol)),
            Scoring::OpenImages => {
                let reason = "is scored by the Open Images challenge, whose parts cannot be joined; tune on LVIS or COCO truth";
                let path = folder.join("bank.json");
                Err(BankError::Header { path, reason: reason.into() }.into())
            }
        };
        let truths: Vec<_> = Truths::of(&bank)?.sets().map(truth).collect::<Result<_, TrainError>>()?;
        if truths.is_empty() {
            let reason =
                "names no ground truth to score against; extract it, or import it with --ground-truth";
            return Err(BankError::Header { path: folder.join("bank.json"), reason: reason.into() }.into());
        }
        Ok(Self { rules: test_rules(&bank)?, bank, truths })
    }

    /// Detections on the images that are kept.
    fn detect(&self, bank: &Bank, head: &Head, file: &HeadFile) -> Result<Vec<Detection>, TrainError> {
        let name = self.bank.folder().display().to_string();
        file.check(self.bank.folder(), head.inputs(), &Inputs::of(&name, self.bank.header()))?;
        detect(bank, head, file.build_loss()?.as_ref(), &self.rules)
    }

    fn matched(
        &self,
        truth: &(String, GroundTruth, Protocol),
        images: &[i64],
        found: &[Detection],
    ) -> Result<StreamingEvaluation, TrainError> {
        let (_, truth, protocol) = truth;
        let mut evaluation = StreamingEvaluation::for_truth(truth, &Settings::strict(*protocol))?;
        evaluation.update_known(truth, images, found)?;
        Ok(evaluation)
    }
}

/// Judges by stored proposals.
struct Proposed {
    training: Proposals,
    validation: Option<Proposals>,
}

impl Judge for Proposed {
    fn on_training(
        &self,
        images: &[i64],
        head: &Head,
        file: &HeadFile,
    ) -> Result<StreamingEvaluation, HeadError> {
        let of = &self.training;
        let kept = of.bank.keeping(|image| images.binary_search(&image.image_id).is_ok());
        let found = of.detect(&kept, head, file).map_err(scoring)?;
        of.matched(&of.truths[0], images, &found).map_err(scoring)
    }

    fn on_validation(
        &self,
        head: &Head,
        file: &HeadFile,
    ) -> Result<Vec<(String, StreamingEvaluation)>, HeadError> {
        let Some(of) = &self.validation else { return Ok(Vec::new()) };
        let images: Vec<i64> = of.bank.images().iter().map(|image| image.image_id).collect();
        let found = of.detect(&of.bank, head, file).map_err(scoring)?;
        let matched = |truth: &(String, GroundTruth, Protocol)| {
            Ok((truth.0.clone(), of.matched(truth, &images, &found).map_err(scoring)?))
        };
        of.truths.iter().map(matched).collect()
    }

    fn checksums(&self) -> Vec<String> {
        let parts = std::iter::once(&self.training).chain(&self.validation);
        parts.flat_map(|part| part.bank.header().shards.iter().map(|shard| shard.sha256.clone())).collect()
    }
}

fn scoring(error: TrainError) -> HeadError {
    match error {
        TrainError::Head(error) => error,
        other => HeadError::Score(Box::new(other)),
    }
}
