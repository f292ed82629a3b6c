//! Curves and step times from a run's log.

use longtail_annotations::FrequencyGroup;
use longtail_eval::metric;
use longtail_run::Record;

use crate::data::{Curve, ReportData};

/// Adds what the log says.
pub(super) fn add(records: &[Record], data: &mut ReportData) {
    for record in records {
        match record {
            Record::Step(step) => {
                let x = step.iteration as f64;
                for (name, value) in &step.losses {
                    extend(&mut data.losses, &format!("loss, stage {}", step.stage), name, (x, *value));
                }
                for (method, shares) in &step.kept_negatives {
                    for group in FrequencyGroup::ALL {
                        if let Some(share) = shares.get(group.letter()) {
                            extend(&mut data.kept_negatives, method, group.name(), (x, *share));
                        }
                    }
                }
            }
            Record::Evaluation(evaluation) => {
                let plot = format!("validation, stage {}, {}", evaluation.stage, evaluation.truth);
                for metric in metric::headline(evaluation.metrics.keys()).with_groups() {
                    if let Some(value) = evaluation.metrics.get(&metric).copied().flatten() {
                        let point = (evaluation.iteration as f64, value);
                        extend(&mut data.validation, &plot, &metric.to_string(), point);
                    }
                }
            }
        }
    }
    // A single evaluation is not a curve, nor are those of several classifiers at the end of a stage.
    data.validation.retain(|c| c.points.len() > 1 && c.points.windows(2).all(|p| p[0].0 < p[1].0));
    data.facts.extend(step_times(records));
}

/// Adds a point to a curve, which begins with it if it is new.
fn extend(curves: &mut Vec<Curve>, plot: &str, name: &str, point: (f64, f64)) {
    match curves.iter_mut().find(|c| c.plot == plot && c.name == name) {
        Some(curve) => curve.points.push(point),
        None => curves.push(Curve { plot: plot.to_owned(), name: name.to_owned(), points: vec![point] }),
    }
}

/// Time of a training step by stage, and the share of it outside the network's arithmetic.
fn step_times(records: &[Record]) -> Vec<(String, String)> {
    // Sums of total, data and host seconds, and the number of steps.
    let mut stages: Vec<(&str, [f64; 3], f64)> = Vec::new();
    for record in records {
        let Record::Step(step) = record else { continue };
        let index = stages.iter().position(|(name, ..)| *name == step.stage).unwrap_or_else(|| {
            stages.push((&step.stage, [0.0; 3], 0.0));
            stages.len() - 1
        });
        let seconds = [step.seconds.total, step.seconds.data, step.seconds.host];
        stages[index].1.iter_mut().zip(seconds).for_each(|(sum, value)| *sum += value);
        stages[index].2 += 1.0;
    }
    let fact = |(name, [total, data, host], count): (&str, [f64; 3], f64)| {
        let share = |part: f64| 100.0 * part / total;
        let text = format!(
            "{:.3} s; waiting for data {:.1} %, work outside the network {:.1} %",
            total / count,
            share(data),
            share(host)
        );
        (format!("step of stage {name}"), text)
    };
    stages.into_iter().map(fact).collect()
}
