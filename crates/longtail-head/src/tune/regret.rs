//! What each way of choosing costs: the metric of its choice on the validation images against that of the
//! best candidate there. Only a study has the numbers, since a tuning looks at the validation images for what
//! it has chosen alone.

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use longtail_eval::{Metric, Metrics};
use serde::Serialize;

use super::{
    choice::choose,
    record::{Candidate, MethodResult, Rule, TuneResult},
};

/// A way of choosing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The published defaults.
    Defaults,
    /// Candidates picked at random: the mean over them.
    Random,
    /// The first fold by itself, as images that are held out.
    OneFold,
    /// The mean of the folds' metrics.
    MeanOfFolds,
    /// The metric over the detections of all folds.
    Pooled,
    /// The same, the least movement within one standard error.
    OneStandardError,
    /// APr over the detections of all folds.
    Rare,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Defaults,
        Self::Random,
        Self::OneFold,
        Self::MeanOfFolds,
        Self::Pooled,
        Self::OneStandardError,
        Self::Rare,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Defaults => "the published defaults",
            Self::Random => "a candidate at random",
            Self::OneFold => "one fold held out",
            Self::MeanOfFolds => "mean of the folds",
            Self::Pooled => "detections of all folds together",
            Self::OneStandardError => "the same, one standard error",
            Self::Rare => "APr of all folds together",
        }
    }

    /// Weight of each candidate in the choice; none if nothing can be chosen.
    fn weights(self, candidates: &[Candidate], folds: usize) -> Option<Vec<f64>> {
        let one = |chosen: usize| {
            let mut weights = vec![0.0; candidates.len()];
            weights[chosen] = 1.0;
            weights
        };
        let by = |value: &dyn Fn(&Candidate) -> Option<f64>| {
            let valued = candidates.iter().enumerate().filter_map(|(index, c)| Some((index, value(c)?)));
            valued.reduce(|a, b| if b.1 > a.1 { b } else { a }).map(|(index, _)| one(index))
        };
        let rare = Metric::AP.of_group(FrequencyGroup::Rare);
        match self {
            Self::Defaults => Some(one(0)),
            Self::Random => Some(vec![1.0 / candidates.len() as f64; candidates.len()]),
            Self::OneFold => by(&|c| c.fold_values.first().copied().flatten()),
            Self::MeanOfFolds => by(&|c| {
                let values: Option<Vec<f64>> = c.fold_values.iter().copied().collect();
                values.map(|values| values.iter().sum::<f64>() / folds as f64)
            }),
            Self::Pooled => choose(candidates, folds, Rule::Best).map(one),
            Self::OneStandardError => choose(candidates, folds, Rule::OneStandardError).map(one),
            Self::Rare => by(&|c| c.metrics.get(&rare).copied().flatten()),
        }
    }
}

/// What a way of choosing costs, over methods and tunings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regret {
    /// The way.
    pub way: Way,
    /// Mean of the best candidate's metric minus the chosen one's, on the validation images.
    pub mean: f64,
    /// The largest.
    pub largest: f64,
    /// The same for APr: below 0 where the choice is ahead of the candidate with the best AP. None where a validation
    /// set has no rare class.
    pub rare: Option<f64>,
    /// Choices that it is the mean of.
    pub choices: usize,
}

/// What one choice costs in AP, and in APr where there are rare classes.
type Cost = (f64, Option<f64>);

/// The regret of every way, by truth; nothing without a study.
pub fn regrets(results: &[TuneResult]) -> BTreeMap<String, Vec<Regret>> {
    let mut found: BTreeMap<String, BTreeMap<Way, Vec<Cost>>> = BTreeMap::new();
    for result in results.iter().filter(|result| result.config.study) {
        for method in &result.methods {
            for (truth, way, costs) in of_method(method, result.config.folds) {
                found.entry(truth).or_default().entry(way).or_default().push(costs);
            }
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let regret = |(way, costs): (Way, Vec<Cost>)| {
        let all: Vec<f64> = costs.iter().map(|cost| cost.0).collect();
        let rare: Option<Vec<f64>> = costs.iter().map(|cost| cost.1).collect();
        Regret {
            way,
            mean: mean(&all),
            largest: all.iter().copied().fold(0.0, f64::max),
            rare: rare.map(|rare| mean(&rare)),
            choices: all.len(),
        }
    };
    found.into_iter().map(|(truth, ways)| (truth, ways.into_iter().map(regret).collect())).collect()
}

fn of_method(method: &MethodResult, folds: usize) -> Vec<(String, Way, Cost)> {
    let complete: Vec<Candidate> =
        method.candidates.iter().filter(|c| c.fold_values.len() == folds).cloned().collect();
    let mut costs = Vec::new();
    let Some(first) = complete.first().filter(|first| first.settings.is_empty()) else { return costs };
    for truth in first.validation.keys() {
        let rare = Metric::AP.of_group(FrequencyGroup::Rare);
        let value = |candidate: &Candidate, metric: &Metric| -> Option<f64> {
            candidate
                .validation
                .get(truth)
                .and_then(|metrics: &Metrics| metrics.get(metric).copied().flatten())
        };
        let best = complete.iter().max_by(|a, b| {
            let of = |c| value(c, &Metric::AP).unwrap_or(f64::NEG_INFINITY);
            of(a).total_cmp(&of(b))
        });
        for way in Way::ALL {
            let Some(weights) = way.weights(&complete, folds) else { continue };
            let chosen = |metric: &Metric| {
                let terms = complete.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
                terms.map(|(c, weight)| Some(weight * value(c, metric)?)).sum::<Option<f64>>()
            };
            let cost = |metric: &Metric| Some(value(best?, metric)? - chosen(metric)?);
            if let Some(all) = cost(&Metric::AP) {
                costs.push((truth.clone(), way, (all, cost(&rare))));
            }
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regret_is_what_the_best_has_more_on_the_validation_images() {
        let rare = Metric::AP.of_group(FrequencyGroup::Rare);
        let candidate = |folds: [f64; 2], ap: f64, of_rare: f64, settings: &[&str]| {
            let metrics = |ap: f64, of_rare: f64| -> Metrics {
                [(Metric::AP, Some(ap)), (rare.clone(), Some(of_rare))].into()
            };
            let value = (folds[0] + folds[1]) / 2.0;
            Candidate {
                settings: settings.iter().map(|s| (*s).to_owned()).collect(),
                value: Some(value),
                fold_values: folds.map(Some).to_vec(),
                metrics: metrics(value, of_rare),
                validation: [("lvis".to_owned(), metrics(ap, of_rare))].into(),
                ..Candidate::default()
            }
        };
        let method = MethodResult {
            name: "seesaw".into(),
            refused: None,
            candidates: vec![
                candidate([0.2, 0.2], 0.20, 0.1, &[]),
                candidate([0.4, 0.1], 0.24, 0.3, &["a=1"]),
                candidate([0.3, 0.3], 0.28, 0.2, &["a=2"]),
            ],
            chosen: None,
            finals: Vec::new(),
        };
        let costs: BTreeMap<Way, (f64, Option<f64>)> =
            of_method(&method, 2).into_iter().map(|(_, way, costs)| (way, costs)).collect();
        let expected = [
            (Way::Defaults, [0.08, 0.1]),
            (Way::Random, [0.04, 0.0]),
            (Way::OneFold, [0.04, -0.1]),
            (Way::MeanOfFolds, [0.0, 0.0]),
            (Way::Pooled, [0.0, 0.0]),
            (Way::Rare, [0.04, -0.1]),
        ];
        for (way, costs_of) in expected {
            let found = [costs[&way].0, costs[&way].1.unwrap()];
            assert!(found.iter().zip(costs_of).all(|(f, e)| (f - e).abs() < 1e-12), "{way:?}: {found:?}");
        }
    }
}
