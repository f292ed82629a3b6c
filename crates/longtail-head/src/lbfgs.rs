//! L-BFGS (Liu and Nocedal, 1989) over all RoIs of a bank, each weighted by how often it would come in training.

use std::collections::VecDeque;

use longtail_bank::Bank;
use longtail_data::Sampler;
use longtail_loss::{
    ClassificationLoss, DrawKey, LossConfig, LossError, LossState, Normalizer, Reduction, RoiTargets,
};
use longtail_run::{Event, Observer};
use serde::{Deserialize, Serialize};

use crate::{
    error::HeadError,
    layer::{ClassifierKind, Layer},
    sampling::{expectation, factors},
    settings::SettingError,
};

/// RoIs of an evaluation's task.
const CHUNK: usize = 8192;
/// Sufficient decrease, and the share that a step is cut to where it is missed.
const ARMIJO: f64 = 1e-4;
const CUT: f64 = 0.5;
/// Cuts after which no step is found in a direction.
const MOST_CUTS: usize = 30;

/// Settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LbfgsConfig {
    /// Pairs of steps and gradients that are kept.
    pub history: usize,
    /// Most iterations.
    pub iterations: u64,
    /// It is done when no gradient is larger than this share of the largest at the beginning.
    pub tolerance: f64,
    /// λ of the term λ/2 ‖θ‖²: what weight decay is to gradient descent.
    pub weight_decay: f64,
}

impl Default for LbfgsConfig {
    fn default() -> Self {
        Self { history: 10, iterations: 200, tolerance: 1e-4, weight_decay: 1e-4 }
    }
}

impl LbfgsConfig {
    /// Checks the ranges, and that the loss is convex in the weights of a classifier of this kind.
    ///
    /// # Errors
    /// If a value is out of range or the loss is not convex, keeps statistics or draws.
    pub fn validate(&self, loss: &LossConfig, kind: ClassifierKind) -> Result<(), SettingError> {
        if self.history == 0 || self.iterations == 0 {
            return Err(SettingError::new(
                "optimizer",
                "has a history or iterations of 0; they must be at least 1",
            ));
        }
        for (name, value) in [("tolerance", self.tolerance), ("weight_decay", self.weight_decay)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(SettingError::new(
                    format!("optimizer.{name}"),
                    format!("is {value}; it must be 0 or more"),
                ));
            }
        }
        if kind != ClassifierKind::Linear {
            let reason = "is `lbfgs`, which needs the linear classifier; use `sgd`";
            return Err(SettingError::new("optimizer.kind", reason));
        }
        if loss.method().is_convex() {
            return Ok(());
        }
        let convex = LossConfig::defaults().into_iter().filter(|loss| loss.method().is_convex());
        let names: Vec<_> = convex.map(|loss| loss.description().name).collect();
        let reason = format!(
            "is `lbfgs`, which needs a convex loss without draws: {}, or ACSL with threshold 0 and dense background; \
             use `sgd`",
            names.join(", ")
        );
        Err(SettingError::new("optimizer.kind", reason))
    }
}

/// Minimises the loss over a bank; returns the layer, the evaluations it took and the loss without weight decay.
///
/// # Errors
/// If a shard is damaged, the normaliser is a constant, or the user stops it.
pub fn minimize(
    bank: &Bank,
    sampler: &Sampler,
    reduction: Reduction,
    config: &LbfgsConfig,
    mut layer: Layer,
    loss: &dyn ClassificationLoss,
    observer: &mut dyn Observer,
) -> Result<(Layer, u64, f64), HeadError> {
    let objective = Objective::new(bank, sampler, reduction, config.weight_decay, loss)?;
    let mut point: Vec<f64> = layer.weight.iter().chain(&layer.bias).map(|v| f64::from(*v)).collect();
    let mut evaluations = 1;
    let (mut value, mut gradient, mut data_value) = objective.at(&point, &mut layer)?;
    let first = largest(&gradient);
    let mut pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for iteration in 0..config.iterations {
        if largest(&gradient) <= config.tolerance * first {
            break;
        }
        let mut direction = two_loops(&pairs, &gradient);
        let mut slope = dot(&direction, &gradient);
        if slope >= 0.0 {
            // Rounding spoilt the curvature: begin again with the gradient.
            pairs.clear();
            direction = gradient.iter().map(|g| -g).collect();
            slope = -dot(&gradient, &gradient);
        }
        let mut length = if pairs.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
        let mut found = None;
        for _ in 0..MOST_CUTS {
            let next: Vec<f64> = point.iter().zip(&direction).map(|(p, d)| p + length * d).collect();
            let evaluated = objective.at(&next, &mut layer)?;
            evaluations += 1;
            if evaluated.0 <= value + ARMIJO * length * slope {
                found = Some((next, evaluated));
                break;
            }
            length *= CUT;
        }
        observer.observe(Event::Step {
            stage: "L-BFGS",
            stage_index: 0,
            stages: 1,
            done: iteration + 1,
            total: config.iterations,
            loss: data_value,
        });
        if observer.stop_requested() {
            let (done, total) = (iteration as usize + 1, config.iterations as usize);
            return Err(HeadError::Stopped { what: "iterations".into(), done, total });
        }
        // No decrease in single precision: this is the minimum.
        let Some((next, (next_value, next_gradient, next_data))) = found else { break };
        let step: Vec<f64> = next.iter().zip(&point).map(|(n, p)| n - p).collect();
        let change: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(n, g)| n - g).collect();
        let curvature = dot(&step, &change);
        if curvature > 1e-10 * dot(&change, &change) {
            if pairs.len() == config.history {
                pairs.pop_front();
            }
            pairs.push_back((step, change, 1.0 / curvature));
        }
        (point, value, gradient, data_value) = (next, next_value, next_gradient, next_data);
    }
    objective.set(&point, &mut layer);
    Ok((layer, evaluations, data_value))
}

/// Minus the gradient times the inverse Hessian that the pairs make.
fn two_loops(pairs: &VecDeque<(Vec<f64>, Vec<f64>, f64)>, gradient: &[f64]) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (step, change, inverse) in pairs.iter().rev() {
        let alpha = inverse * dot(step, &direction);
        add(&mut direction, -alpha, change);
        alphas.push(alpha);
    }
    if let Some((_, change, inverse)) = pairs.back() {
        let scale = 1.0 / (inverse * dot(change, change));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((step, change, inverse), alpha) in pairs.iter().zip(alphas.into_iter().rev()) {
        let beta = inverse * dot(change, &direction);
        add(&mut direction, alpha - beta, step);
    }
    direction
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(target: &mut [f64], factor: f64, values: &[f64]) {
    target.iter_mut().zip(values).for_each(|(t, v)| *t += factor * v);
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// The loss over the bank as a function of weights and bias.
struct Objective<'a> {
    bank: &'a Bank,
    loss: &'a dyn ClassificationLoss,
    /// Weight of a foreground and a background row by image view: shard, first row, foreground rows, rows.
    views: Vec<(usize, usize, usize, usize, [f64; 2])>,
    reduction: Reduction,
    weight_decay: f64,
}

impl<'a> Objective<'a> {
    fn new(
        bank: &'a Bank,
        sampler: &Sampler,
        reduction: Reduction,
        weight_decay: f64,
        loss: &'a dyn ClassificationLoss,
    ) -> Result<Self, HeadError> {
        let sampling = bank.header().sampling;
        let mut views = Vec::new();
        let (mut all, mut positive) = (0.0, 0.0);
        for (image, factor) in bank.images().iter().zip(factors(bank, sampler)?) {
            for view in &image.views {
                let weights = expectation(image, view, sampling, factor);
                let foreground = view.counts.foreground_kept as usize;
                let rows = view.rows.len();
                positive += weights[0] * foreground as f64;
                all += weights[0] * foreground as f64 + weights[1] * (rows - foreground) as f64;
                views.push((image.shard, view.rows.start, foreground, rows, weights));
            }
        }
        let normalizer = match reduction.normalizer {
            Normalizer::Rois => all,
            Normalizer::Positives => positive,
            // Of a step, which has a mean share of the RoIs.
            Normalizer::Constant(_) => {
                let reason = "is a constant of a step, and L-BFGS has no steps; use `rois` or `positives`";
                return Err(SettingError::new("reduction.normalizer", reason).into());
            }
        };
        let normalizer = Normalizer::Constant(normalizer.max(f64::MIN_POSITIVE));
        Ok(Self { bank, loss, views, reduction: Reduction { normalizer, ..reduction }, weight_decay })
    }

    fn set(&self, point: &[f64], layer: &mut Layer) {
        let (weight, bias) = point.split_at(layer.weight.len());
        layer.weight.iter_mut().zip(weight).for_each(|(w, p)| *w = *p as f32);
        layer.bias.iter_mut().zip(bias).for_each(|(b, p)| *b = *p as f32);
    }

    /// Value, gradient, and value without weight decay.
    fn at(&self, point: &[f64], layer: &mut Layer) -> Result<(f64, Vec<f64>, f64), HeadError> {
        self.set(point, layer);
        let width = self.bank.header().width;
        let (mut value, mut gradient) = (0.0, vec![0.0; point.len()]);
        for of_shard in self.views.chunk_by(|a, b| a.0 == b.0) {
            let shard = self.bank.shard(of_shard[0].0)?;
            let mut weights = vec![0.0_f32; shard.len()];
            for &(_, first, foreground, rows, [of_foreground, of_background]) in of_shard {
                weights[first..first + foreground].fill(of_foreground as f32);
                weights[first + foreground..first + rows].fill(of_background as f32);
            }
            let labels = shard.labels(0..shard.len());
            let mut features = Vec::new();
            for first in (0..shard.len()).step_by(CHUNK) {
                let rows = first..(first + CHUNK).min(shard.len());
                features.resize(rows.len() * width, 0.0);
                shard.features(rows.clone(), &mut features);
                let classes = self.bank.header().classes.len();
                let targets = RoiTargets::new(&labels[rows.clone()], classes, DrawKey::default())
                    .and_then(|targets| targets.with_weights(&weights[rows.clone()]))
                    .map(|targets| targets.with_reduction(self.reduction))?;
                let state = LossState::default();
                let found = match layer.evaluate(&features, &targets, self.loss, &state) {
                    // A step too far: the search cuts it.
                    Err(LossError::NotFinite { .. }) => return Ok((f64::INFINITY, gradient, f64::INFINITY)),
                    other => other?,
                };
                let found = found.classifier;
                value += found.value;
                let parts = found.weight.iter().chain(&found.bias);
                gradient.iter_mut().zip(parts).for_each(|(sum, g)| *sum += f64::from(*g));
            }
        }
        add(&mut gradient, self.weight_decay, point);
        Ok((value + 0.5 * self.weight_decay * dot(point, point), gradient, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without curvature the direction is the steepest; on a quadratic of two dimensions two pairs give the exact step.
    #[test]
    fn two_pairs_know_a_quadratic_of_two_dimensions() {
        let none = VecDeque::new();
        assert_eq!(two_loops(&none, &[1.0, -2.0]), [-1.0, 2.0]);
        // f = 2 x² + y²: Hessian diag(4, 2).
        let pair = |step: [f64; 2]| {
            let change = [4.0 * step[0], 2.0 * step[1]];
            let inverse = 1.0 / (step[0] * change[0] + step[1] * change[1]);
            (step.to_vec(), change.to_vec(), inverse)
        };
        let pairs = VecDeque::from([pair([1.0, 0.0]), pair([0.0, 1.0])]);
        let found = two_loops(&pairs, &[4.0, 2.0]);
        assert!((found[0] + 1.0).abs() < 1e-12 && (found[1] + 1.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn losses_that_are_not_convex_are_refused() {
        let config = LbfgsConfig::default();
        config.validate(&LossConfig::default(), ClassifierKind::Linear).unwrap();
        let cosine = ClassifierKind::Cosine { scale: 20.0 };
        let message = config.validate(&LossConfig::default(), cosine).unwrap_err().to_string();
        assert!(message.contains("linear classifier"), "{message}");
        let message = config
            .validate(&LossConfig::Acsl(Default::default()), ClassifierKind::Linear)
            .unwrap_err()
            .to_string();
        assert!(message.contains("convex"), "{message}");
    }
}
