//! Methods over tunings: mean and deviation, rank, and intervals against the baseline.

use std::{collections::BTreeMap, path::Path};

use longtail_eval::{Bootstrap, Difference, Evaluation, Metric, compare_runs};
use serde::Serialize;

use super::{
    folder::read_matches,
    record::{Final, MethodResult, TuneResult, Variant},
};
use crate::error::HeadError;

/// The method that the others are held against.
pub const BASELINE: &str = "softmax-cross-entropy";

/// Mean with the sample standard deviation: over tunings, of a single one over the seeds of its heads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Sample standard deviation; none of a single value.
    pub deviation: Option<f64>,
}

impl Spread {
    fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let deviation = (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt());
        (!values.is_empty()).then_some(Self { mean, deviation })
    }
}

/// A method under a truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The method.
    pub method: String,
    /// Metrics with the published settings.
    pub defaults: BTreeMap<Metric, Option<Spread>>,
    /// Metrics with the chosen ones.
    pub tuned: BTreeMap<Metric, Option<Spread>>,
    /// False positives an image that score 0.5 or more, of the chosen ones.
    pub false_positives: Option<Spread>,
    /// Differences of the chosen ones to the baseline's chosen ones, by the heads of the first seed; none for
    /// the baseline.
    pub differences: BTreeMap<Metric, Difference>,
    /// Mean over tunings of the rank by AP with the chosen settings, from 1; equals share theirs.
    pub rank: Option<f64>,
    /// Seconds of the search, mean over tunings.
    pub seconds: f64,
    /// The chosen settings of each tuning.
    pub chosen: Vec<Vec<String>>,
}

/// All methods under a truth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Block {
    /// The truth's name.
    pub truth: String,
    /// Methods in the order of the list.
    pub rows: Vec<Row>,
}

/// A method that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Its name.
    pub method: String,
    /// Why.
    pub reason: String,
}

/// The blocks of tunings with the same settings, and the methods that one of them left out.
///
/// # Errors
/// If matched detections of a tuning's folder cannot be read or compared.
pub fn summary(tunings: &[(TuneResult, &Path)]) -> Result<(Vec<Block>, Vec<Refused>), HeadError> {
    let Some((first, _)) = tunings.first() else { return Ok((Vec::new(), Vec::new())) };
    let mut refused = Vec::new();
    let mut names = Vec::new();
    for method in &first.methods {
        let of_all: Vec<&MethodResult> = tunings.iter().filter_map(|(t, _)| of(t, &method.name)).collect();
        match of_all.iter().find_map(|method| method.refused.clone()) {
            Some(reason) => refused.push(Refused { method: method.name.clone(), reason }),
            None if of_all.len() == tunings.len() => names.push(method.name.as_str()),
            None => {
                let reason = "was not tuned in all of the tunings".to_owned();
                refused.push(Refused { method: method.name.clone(), reason });
            }
        }
    }
    let finals = first.methods.iter().flat_map(|method| &method.finals);
    let truths: Vec<String> = finals.flat_map(|made| made.metrics.keys().cloned()).collect();
    let mut truths: Vec<String> =
        truths.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    // The protocol of the data before other truths.
    truths.sort_by_key(|truth| truth == "exhaustive");
    let blocks = truths.into_iter().map(|truth| block(tunings, truth, &names));
    Ok((blocks.collect::<Result<_, _>>()?, refused))
}

fn of<'r>(tuning: &'r TuneResult, name: &str) -> Option<&'r MethodResult> {
    tuning.methods.iter().find(|method| method.name == name)
}

fn block(tunings: &[(TuneResult, &Path)], truth: String, names: &[&str]) -> Result<Block, HeadError> {
    let ranks = ranks(tunings, &truth, names);
    let differences = differences(tunings, &truth, names)?;
    let rows = names.iter().enumerate().map(|(index, name)| {
        let methods: Vec<&MethodResult> = tunings.iter().filter_map(|(tuning, _)| of(tuning, name)).collect();
        let metrics = |variant: Variant| -> BTreeMap<Metric, Option<Spread>> {
            let spread = |metric: Metric| {
                let value = |made: &Final| made.metrics.get(&truth)?.get(&metric).copied().flatten();
                let spread = over_tunings(&methods, variant, &value);
                (metric, spread)
            };
            Metric::AP.with_groups().map(spread).into_iter().collect()
        };
        let seconds: f64 = methods.iter().flat_map(|method| &method.candidates).map(|c| c.seconds).sum();
        Row {
            method: (*name).to_owned(),
            defaults: metrics(Variant::Defaults),
            tuned: metrics(Variant::Tuned),
            false_positives: over_tunings(&methods, Variant::Tuned, &|made| {
                made.false_positives.get(&truth).copied()
            }),
            differences: differences.get(*name).cloned().unwrap_or_default(),
            rank: ranks[index],
            seconds: seconds / tunings.len() as f64,
            chosen: methods.iter().filter_map(|m| Some(m.candidates[m.chosen?].settings.clone())).collect(),
        }
    });
    Ok(Block { rows: rows.collect(), truth })
}

/// Mean over the seeds of each tuning, then over tunings; of one tuning over its seeds. None if a value is
/// missing.
fn over_tunings(
    methods: &[&MethodResult],
    variant: Variant,
    value: &dyn Fn(&Final) -> Option<f64>,
) -> Option<Spread> {
    let of_seeds = |method: &&MethodResult| -> Option<Vec<f64>> {
        method.finals.iter().filter(|made| made.variant == variant).map(value).collect()
    };
    let values: Vec<Vec<f64>> = methods.iter().map(of_seeds).collect::<Option<_>>()?;
    match values.as_slice() {
        [one] => Spread::of(one),
        several => {
            let means: Option<Vec<f64>> = several.iter().map(|v| Spread::of(v).map(|s| s.mean)).collect();
            Spread::of(&means?)
        }
    }
}

/// Mean rank by AP of the chosen settings.
fn ranks(tunings: &[(TuneResult, &Path)], truth: &str, names: &[&str]) -> Vec<Option<f64>> {
    let mut sums = vec![Some(0.0); names.len()];
    for (tuning, _) in tunings {
        let ap = |made: &Final| made.metrics.get(truth)?.get(&Metric::AP).copied().flatten();
        let values: Vec<Option<f64>> = names
            .iter()
            .map(|name| {
                let methods: Vec<&MethodResult> = of(tuning, name).into_iter().collect();
                over_tunings(&methods, Variant::Tuned, &ap).map(|spread| spread.mean)
            })
            .collect();
        for (sum, value) in sums.iter_mut().zip(&values) {
            let rank = value.map(|value| {
                let others = || values.iter().flatten();
                let above = others().filter(|other| **other > value).count() as f64;
                let equal = others().filter(|other| **other == value).count() as f64;
                above + (equal + 1.0) / 2.0
            });
            *sum = sum.zip(rank).map(|(sum, rank)| sum + rank);
        }
    }
    sums.into_iter().map(|sum| sum.map(|sum| sum / tunings.len() as f64)).collect()
}

/// Intervals against the baseline, by method; nothing without it, or without detections.
fn differences(
    tunings: &[(TuneResult, &Path)],
    truth: &str,
    names: &[&str],
) -> Result<BTreeMap<String, BTreeMap<Metric, Difference>>, HeadError> {
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != BASELINE).collect();
    if !names.contains(&BASELINE) || others.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut runs: Vec<Vec<Evaluation>> = Vec::new();
    for (tuning, folder) in tunings {
        let mut of_tuning = Vec::new();
        for name in std::iter::once(BASELINE).chain(others.iter().copied()) {
            let finals = of(tuning, name).map(|method| method.finals.as_slice()).unwrap_or_default();
            let made = finals.iter().find(|made| made.variant == Variant::Tuned);
            let Some(file) = made.and_then(|made| made.matches.get(truth)) else {
                return Ok(BTreeMap::new());
            };
            let matched = read_matches(&folder.join(file))?;
            of_tuning.push(matched.finish().map_err(|error| HeadError::Score(Box::new(error)))?);
        }
        runs.push(of_tuning);
    }
    let found =
        compare_runs(&runs, Bootstrap::default()).map_err(|error| HeadError::Score(Box::new(error)))?;
    Ok(others.into_iter().map(str::to_owned).zip(found).collect())
}

/// Heading and rows of a block as text: defaults beside tuned, in percent; differences in points.
pub fn table(block: &Block) -> (Vec<String>, Vec<Vec<String>>) {
    let metrics = Metric::AP.with_groups();
    let mut heading = vec!["method".to_owned()];
    heading.push(format!("defaults {}", names(&metrics)));
    heading.extend(metrics.iter().map(|metric| format!("tuned {metric}")));
    heading.extend(
        ["AP against softmax", "APr against softmax", "rank", "false positives", "seconds"].map(String::from),
    );
    let percent = |value: f64| format!("{:.1}", 100.0 * value);
    let mean = |spread: &Option<Spread>| spread.map_or("–".to_owned(), |spread| percent(spread.mean));
    let both = |spread: &Option<Spread>| match spread {
        None => "–".to_owned(),
        Some(Spread { mean, deviation: None }) => percent(*mean),
        Some(Spread { mean, deviation: Some(deviation) }) => {
            format!("{} ± {}", percent(*mean), percent(*deviation))
        }
    };
    let [ap, rare, ..] = &metrics;
    let row = |row: &Row| {
        let cell = |metric: &Metric| match row.differences.get(metric) {
            None if row.method == BASELINE => "baseline".to_owned(),
            None => "–".to_owned(),
            Some(d) => {
                let points = |value: f64| format!("{:+.1}", 100.0 * value);
                let mark = if d.is_certain() { "" } else { " ·" };
                format!("{} ({} to {}){mark}", points(d.value), points(d.low), points(d.high))
            }
        };
        let defaults: Vec<String> = metrics.iter().map(|metric| mean(&row.defaults[metric])).collect();
        let mut cells = vec![row.method.clone(), defaults.join(" / ")];
        cells.extend(metrics.iter().map(|metric| both(&row.tuned[metric])));
        cells.extend([cell(ap), cell(rare)]);
        cells.push(row.rank.map_or("–".into(), |rank| format!("{rank:.1}")));
        cells.push(row.false_positives.map_or("–".into(), |spread| format!("{:.2}", spread.mean)));
        cells.push(format!("{:.0}", row.seconds));
        cells
    };
    (heading, block.rows.iter().map(row).collect())
}

fn names(metrics: &[Metric]) -> String {
    metrics.iter().map(Metric::to_string).collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use longtail_eval::Metrics;

    use super::*;

    fn tuning(values: &[(&str, &[f64])]) -> TuneResult {
        let made = |(seed, ap): (usize, &f64)| Final {
            variant: Variant::Tuned,
            seed: seed as u64,
            head: String::new(),
            seconds: 1.0,
            metrics: [("lvis".to_owned(), Metrics::from([(Metric::AP, Some(*ap))]))].into(),
            false_positives: BTreeMap::new(),
            matches: BTreeMap::new(),
        };
        let method = |(name, values): &(&str, &[f64])| MethodResult {
            name: (*name).to_owned(),
            refused: values.is_empty().then(|| "needs counts".to_owned()),
            candidates: Vec::new(),
            chosen: None,
            finals: values.iter().enumerate().map(made).collect(),
        };
        TuneResult {
            config: serde_json::from_str(
                r#"{"base": {"loss": {"kind": "acsl"}}, "methods": [], "budget": 1, "folds": 2, "seed": 0,
                    "seeds": [0], "metric": "AP", "rule": "best", "study": false}"#,
            )
            .unwrap(),
            iterations: 1,
            images: 2,
            cores: 1,
            methods: values.iter().map(method).collect(),
        }
    }

    #[test]
    fn means_are_over_tunings_and_ranks_are_shared_by_equals() {
        let here = Path::new(".");
        let first = tuning(&[("acsl", &[0.25, 0.5]), ("bags", &[0.1]), ("seesaw", &[0.375]), ("eql", &[])]);
        let second = tuning(&[("acsl", &[0.5]), ("bags", &[0.6]), ("seesaw", &[0.1]), ("eql", &[0.4])]);
        let (blocks, refused) = summary(&[(first.clone(), here), (second, here)]).unwrap();
        assert_eq!(refused, [Refused { method: "eql".into(), reason: "needs counts".into() }]);
        let ranks: Vec<Option<f64>> = blocks[0].rows.iter().map(|row| row.rank).collect();
        // 1.5 and 2; 3 and 1; 1.5 and 3.
        assert_eq!(ranks, [Some(1.75), Some(2.0), Some(2.25)]);
        let acsl = blocks[0].rows[0].tuned[&Metric::AP].unwrap();
        assert!(
            (acsl.mean - 0.4375).abs() < 1e-12
                && (acsl.deviation.unwrap() - 0.007_812_5_f64.sqrt()).abs() < 1e-12
        );
        // Of one tuning the deviation is that of its seeds.
        let (blocks, _) = summary(&[(first, here)]).unwrap();
        let acsl = blocks[0].rows[0].tuned[&Metric::AP].unwrap();
        assert!(
            (acsl.mean - 0.375).abs() < 1e-12
                && (acsl.deviation.unwrap() - 0.031_25_f64.sqrt()).abs() < 1e-12
        );
        assert_eq!(blocks[0].rows[0].tuned[&Metric::AP.with_groups()[1]], None);
    }
}
