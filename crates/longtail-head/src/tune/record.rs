//! What a tuning is asked, and what it found.

use std::collections::BTreeMap;

use longtail_eval::{Metric, Metrics};
use serde::{Deserialize, Serialize};

use crate::recipe::HeadRecipe;

/// How a candidate is chosen among those that were trained on every fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The best by the metric over the detections of all folds.
    #[default]
    Best,
    /// The one that moves the weights least (learning rate times steps) among those that are worse than the
    /// best by no more than one standard error of their differences fold by fold.
    OneStandardError,
}

/// Everything that decides a tuning besides its bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneConfig {
    /// The recipe whose loss, rate, length and decay are tuned; the rest is that of all candidates.
    pub base: HeadRecipe,
    /// Methods by name; none: all.
    pub methods: Vec<String>,
    /// Candidates of a method beside its published defaults.
    pub budget: usize,
    /// Folds of the training images.
    pub folds: usize,
    /// Seed of candidates and folds, and of the candidates' training.
    pub seed: u64,
    /// Seeds that the chosen head and the defaults are trained with.
    pub seeds: Vec<u64>,
    /// The metric that chooses.
    pub metric: Metric,
    /// The rule that chooses.
    pub rule: Rule,
    /// Whether every candidate is trained on every fold, then on all images, and scored on the validation
    /// images, to see what each way of choosing costs.
    pub study: bool,
}

/// A candidate with what it reached.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Candidate {
    /// What differs from the published defaults, as `KEY=VALUE`; nothing for the defaults themselves.
    pub settings: Vec<String>,
    /// Learning rate times steps: how far the weights may move.
    pub movement: f64,
    /// The metric over the detections of all folds that it was trained on.
    pub value: Option<f64>,
    /// The metric over each of these folds by itself.
    pub fold_values: Vec<Option<f64>>,
    /// AP, APr, APc and APf over these folds.
    pub metrics: Metrics,
    /// Why it has no value: its training diverged, or its settings were refused.
    pub failed: Option<String>,
    /// Seconds of training and scoring.
    pub seconds: f64,
    /// Of a study: metrics on the validation images after training on all images, by truth.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub validation: BTreeMap<String, Metrics>,
}

/// Which settings a final head has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The published ones.
    Defaults,
    /// The chosen ones.
    Tuned,
    /// Those of any candidate, in a study.
    Studied,
}

/// A head trained on all training images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Final {
    /// Its settings.
    pub variant: Variant,
    /// Its seed.
    pub seed: u64,
    /// Its file, relative to the tuning's folder.
    pub head: String,
    /// Seconds of training and scoring.
    pub seconds: f64,
    /// Metrics on the validation images by truth.
    pub metrics: BTreeMap<String, Metrics>,
    /// False positives an image that score 0.5 or more, by truth.
    pub false_positives: BTreeMap<String, f64>,
    /// Files of its matched detections by truth, relative to the tuning's folder.
    pub matches: BTreeMap<String, String>,
}

/// What became of a method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MethodResult {
    /// Its name.
    pub name: String,
    /// Why it was left out: the loss refuses this bank.
    pub refused: Option<String>,
    /// The published defaults, then the others.
    pub candidates: Vec<Candidate>,
    /// Index of the chosen candidate.
    pub chosen: Option<usize>,
    /// Heads trained on all images.
    pub finals: Vec<Final>,
}

/// What a tuning found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneResult {
    /// What it was asked.
    pub config: TuneConfig,
    /// Steps of the published defaults.
    pub iterations: u64,
    /// Training images.
    pub images: usize,
    /// Processor cores.
    pub cores: usize,
    /// Methods in the order of the list.
    pub methods: Vec<MethodResult>,
}
