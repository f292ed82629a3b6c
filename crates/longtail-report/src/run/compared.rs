//! Which classifier is held against which, and what it gains.

use longtail_annotations::FrequencyGroup;
use longtail_eval::{Metric, Scoring};
use longtail_loss::{Background, LossConfig};
use longtail_run::{ClassifierResult, Results};

use crate::{aggregate::spread, table::Cell};

/// The baseline and the method that is held against it, by index. The method: the last ACSL with the
/// authors' background, else the last classifier. The baseline: softmax trained for the same steps if the
/// run has it, else the first classifier.
pub fn compared(classifiers: &[ClassifierResult]) -> Option<(usize, usize)> {
    let authors = |c: &ClassifierResult| match &c.loss {
        LossConfig::Acsl(acsl) => acsl.background == Background::FrequencySampled,
        _ => false,
    };
    let last = classifiers.iter().rposition(authors).or(classifiers.len().checked_sub(1))?;
    let same_steps = |c: &ClassifierResult| {
        matches!(c.loss, LossConfig::SoftmaxCrossEntropy(_)) && c.stage == classifiers[last].stage
    };
    let first = classifiers.iter().position(same_steps).unwrap_or(0);
    (last != first).then_some((first, last))
}

/// One sentence: what the compared method gains on the tail, what it costs elsewhere, and what remains of it
/// when every class is verified in every image. Over several runs of one recipe: mean ± standard deviation of
/// the change.
pub fn remark(runs: &[Results]) -> Option<String> {
    let (from, to) = compared(&runs.first()?.classifiers)?;
    let change = |truth: &str, metric: &Metric| {
        let of_run = |run: &Results| {
            let value = |index: usize| run.classifiers.get(index)?.reports.get(truth)?.metric(metric);
            Some(100.0 * (value(to)? - value(from)?))
        };
        let changes: Option<Vec<f64>> = runs.iter().map(of_run).collect();
        Some(match spread(&changes?) {
            Cell::Missing => return None,
            Cell::Value(value) => format!("{value:+.1}"),
            Cell::Spread { mean, deviation } => format!("{mean:+.1} ± {deviation:.1}"),
        })
    };
    let names = &runs[0].classifiers;
    let challenge = names[to].reports.contains_key("open-images");
    let (truth, headline, rules) = match challenge {
        true => ("open-images", Scoring::OpenImages.headline(), "by the rules of the Open Images challenge"),
        false => ("lvis", Metric::AP, "under the LVIS protocol"),
    };
    let of_groups = |truth: &str| FrequencyGroup::ALL.map(|group| change(truth, &headline.of_group(group)));
    let [rare, common, frequent] = FrequencyGroup::ALL.map(|group| headline.of_group(group));
    let [r, c, f] = of_groups(truth);
    let mut sentence = format!(
        "Against {}, {} changes {rare} by {}, {common} by {} and {frequent} by {} points {rules}",
        names[from].name, names[to].name, r?, c?, f?
    );
    if let [Some(r), Some(c), Some(f)] = of_groups("exhaustive") {
        sentence.push_str(&format!(
            "; under exhaustive truth, where a false positive of any class in any image counts, by {r}, {c} \
             and {f}"
        ));
    }
    Some(sentence + ".")
}
