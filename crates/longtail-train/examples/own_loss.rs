//! Trains the second stage of a small run with a loss that this program defines: PolyLoss (Leng et al., ICLR 2022),
//! `-log p_y + ε (1 - p_y)` with `p = softmax(z)`, beside softmax cross-entropy on the same batches.
//!
//!     cargo run --release -p longtail-train --example own_loss -- out/own-loss
//!
//! It takes a minute and prints the AP of both. A loss of one's own is two types: what it is before the classes are known
//! ([`LossMethod`]), and the loss itself ([`ClassificationLoss`]). Losses over sigmoids say their rule and nothing else:
//! see `longtail_loss::SigmoidLoss`.

use std::{error::Error, path::Path};

use longtail_eval::Metric;
use longtail_loss::{
    ClassContext, ClassificationLoss, Description, Evaluation, LossConfig, LossError, LossMethod, LossState,
    Statistics, Step,
};
use longtail_run::{RunFolder, Silent};
use longtail_train::{DeviceChoice, Recipe, run};

/// The benchmark as small as it gets; the last classifier's loss is put in by the program.
const RECIPE: &str = r#"
name = "own-loss"
[data]
kind = "emoji"
classes = 8
images = 400
validation_images = 60
image_size = 96
[transform]
resize = { kind = "keep" }
[detector]
fpn_channels = 16
backbone = { kind = "resnet", layout = "resnet18", width = 8, stem = "compact", normalization = "batch", frozen_stages = 0 }
anchors = { scale = 4.0 }
rpn = { samples = 32, pre_nms_train = 100, post_nms_train = 60, pre_nms_test = 60, post_nms_test = 30 }
roi_head = { samples = 32, hidden = 64, canonical_size = 112.0, class_agnostic = true }
[[stages]]
name = "representation"
train = "all"
length = { iterations = 200 }
batch_size = 4
optimizer = { learning_rate = 0.02 }
classifiers = [{ name = "softmax", loss = { kind = "softmax-cross-entropy" } }]
[[stages]]
name = "classifier"
train = "classifier"
length = { iterations = 60 }
batch_size = 4
optimizer = { learning_rate = 0.02 }
classifiers = [
    { name = "softmax, continued", loss = { kind = "softmax-cross-entropy" } },
    { name = "PolyLoss", loss = { kind = "softmax-cross-entropy" } },
]
"#;

/// Settings of the loss.
#[derive(Debug)]
struct PolyLossConfig {
    /// ε ≥ -1: weight of the first term of the polynomial.
    epsilon: f32,
}

impl LossMethod for PolyLossConfig {
    fn description(&self) -> Description {
        Description {
            name: "PolyLoss",
            source: "Leng et al., ICLR 2022",
            formula: "-log softmax(z)_k + ε (1 - softmax(z)_k)",
            outputs: "C + 1",
            reads: Statistics::Nothing,
            when: "to see how a loss of one's own is made",
        }
    }

    fn background(&self) -> &'static str {
        "own column"
    }

    fn build(&self, _: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(Box::new(PolyLoss { epsilon: self.epsilon }))
    }
}

struct PolyLoss {
    epsilon: f32,
}

impl ClassificationLoss for PolyLoss {
    fn num_outputs(&self, num_classes: usize) -> usize {
        num_classes + 1
    }

    fn compute(&self, step: Step<'_>) -> Result<Evaluation, LossError> {
        let Step { logits, targets, .. } = step;
        let columns = self.num_outputs(targets.num_classes());
        targets.check(logits, columns)?;
        let (mut value, mut gradient) = (0.0, vec![0.0; logits.len()]);
        let rows = logits.chunks_exact(columns).zip(gradient.chunks_exact_mut(columns));
        for ((z, gradient), (&label, scale)) in rows.zip(targets.labels().iter().zip(targets.scales())) {
            let (p, y) = (softmax(z), label as usize);
            value += f64::from(scale * (self.epsilon * (1.0 - p[y]) - p[y].ln()));
            // Both terms fall as p_y rises: d p_y / d z_j = p_y ([j = y] - p_j).
            for (column, g) in gradient.iter_mut().enumerate() {
                let own = f32::from(u8::from(column == y));
                *g = scale * (1.0 + self.epsilon * p[y]) * (p[column] - own);
            }
        }
        Ok(Evaluation { value, gradient, state: LossState::Stateless })
    }

    fn class_scores(&self, logits: &[f32], columns: usize) -> Vec<f32> {
        logits.chunks_exact(columns).flat_map(|z| softmax(z).split_off(1)).collect()
    }

    fn scores_are_softmax(&self) -> bool {
        true
    }
}

fn softmax(z: &[f32]) -> Vec<f32> {
    let largest = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = z.iter().map(|z| (z - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give the folder of the run")?;
    let mut recipe = Recipe::parse(RECIPE, &[])?;
    recipe.stages[1].classifiers[1].loss = LossConfig::external("poly-loss", PolyLossConfig { epsilon: 1.0 });
    let folder = RunFolder::open(Path::new(&path), false)?;
    let device = DeviceChoice::Cpu.open()?;
    let results = run(&recipe, &folder, false, &device, "own_loss", &mut Silent)?;
    for classifier in &results.classifiers {
        for (truth, report) in &classifier.reports {
            let ap = report.metric(&Metric::AP).map_or("–".into(), |ap| format!("{:.1}", 100.0 * ap));
            println!("{}, {truth}: AP {ap}", classifier.name);
        }
    }
    Ok(())
}
