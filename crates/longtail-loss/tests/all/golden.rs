//! Every loss against value and gradient that PyTorch computes in float64 (`scripts/golden/losses.py`).

use longtail_loss::{ClassContext, DrawKey, LossConfig, LossState, RoiTargets, SingleWorker, Workers};
use serde::Deserialize;
use std::sync::{Barrier, Mutex};

#[derive(Deserialize)]
struct Golden {
    context: Context,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Context {
    images: Vec<u64>,
    boxes: Vec<u64>,
    total_images: u64,
    seed: u64,
}

#[derive(Deserialize)]
struct Case {
    loss: LossConfig,
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Batch {
    step: u64,
    labels: Vec<u32>,
    logits: Vec<f32>,
    value: f64,
    gradient: Vec<f64>,
}

impl Golden {
    fn read() -> Self {
        serde_json::from_str(include_str!("../golden/losses.json")).unwrap()
    }
}

impl Context {
    fn classes(&self) -> ClassContext<'_> {
        ClassContext {
            num_classes: self.images.len(),
            image_counts: Some(&self.images),
            instance_counts: Some(&self.boxes),
            total_images: Some(self.total_images),
            statistics_free: false,
        }
    }

    fn targets(&self, batch: &Batch) -> RoiTargets {
        let key = DrawKey { seed: self.seed, step: batch.step };
        RoiTargets::new(&batch.labels, self.images.len(), key).unwrap()
    }
}

#[test]
fn every_loss_equals_pytorch() {
    let golden = Golden::read();
    let context = golden.context.classes();
    for case in &golden.cases {
        let loss = case.loss.build(&context).unwrap();
        let mut state = LossState::default();
        for batch in &case.batches {
            let targets = golden.context.targets(batch);
            let found = loss.evaluate(&batch.logits, &targets, &state, &SingleWorker).unwrap();
            state = found.state;
            let index = format!("{:?}, batch {}", case.loss, batch.step);
            let error = (found.value - batch.value).abs();
            assert!(
                error <= 1e-5 * (1.0 + batch.value.abs()),
                "{index}: {} is not {}",
                found.value,
                batch.value
            );
            assert_eq!(found.gradient.len(), batch.gradient.len(), "{index}");
            for (found, expected) in found.gradient.iter().zip(&batch.gradient) {
                let error = (f64::from(*found) - expected).abs();
                assert!(
                    error <= 1e-5 * (1.0 + expected.abs()),
                    "{index}: gradient {found} is not {expected}"
                );
            }
        }
    }
}

#[test]
fn every_method_has_a_case() {
    let golden = Golden::read();
    for default in LossConfig::defaults() {
        let kind = std::mem::discriminant(&default);
        assert!(golden.cases.iter().any(|c| std::mem::discriminant(&c.loss) == kind), "{default:?}");
    }
}

/// Sums over threads: each adds its values, waits for all, and takes the total.
struct Threads {
    total: Mutex<Vec<f64>>,
    barrier: Barrier,
}

impl Workers for Threads {
    fn sum(&self, values: &mut [f64]) {
        let mut total = self.total.lock().unwrap();
        total.resize(values.len(), 0.0);
        total.iter_mut().zip(values.iter()).for_each(|(total, value)| *total += value);
        drop(total);
        self.barrier.wait();
        values.copy_from_slice(&self.total.lock().unwrap());
        if self.barrier.wait().is_leader() {
            self.total.lock().unwrap().clear();
        }
        self.barrier.wait();
    }
}

#[test]
fn running_statistics_are_the_same_on_1_and_4_workers() {
    let golden = Golden::read();
    let context = golden.context.classes();
    let classes = context.num_classes;
    let online = golden.cases.iter().filter(|case| {
        matches!(case.loss, LossConfig::EqlV2(_) | LossConfig::Seesaw(_) | LossConfig::EqualizedFocal(_))
    });
    let mut seen = 0;
    for case in online {
        seen += 1;
        let loss = case.loss.build(&context).unwrap();
        let columns = loss.num_outputs(classes);
        let (mut alone, mut together) = (LossState::default(), LossState::default());
        for step in 0..10 {
            // A global batch of 16 RoIs from the vectors' logits.
            let logits: Vec<f32> = case
                .batches
                .iter()
                .flat_map(|b| &b.logits)
                .copied()
                .skip(step * 7)
                .take(16 * columns)
                .collect();
            let labels: Vec<u32> = (0..16).map(|n| (n * 5 + step as u32) % (classes as u32 + 1)).collect();
            let key = DrawKey { seed: 1, step: step as u64 };
            let targets = |labels: &[u32]| RoiTargets::new(labels, classes, key).unwrap();
            let whole = loss.evaluate(&logits, &targets(&labels), &alone, &SingleWorker).unwrap();
            let workers = Threads { total: Mutex::new(Vec::new()), barrier: Barrier::new(4) };
            let parts: Vec<_> = std::thread::scope(|scope| {
                let handles: Vec<_> = (0..4)
                    .map(|w| {
                        let (logits, labels) =
                            (&logits[w * 4 * columns..(w + 1) * 4 * columns], &labels[w * 4..(w + 1) * 4]);
                        let (loss, state, workers) = (&loss, &together, &workers);
                        scope.spawn(move || loss.evaluate(logits, &targets(labels), state, workers).unwrap())
                    })
                    .collect();
                handles.into_iter().map(|h| h.join().unwrap()).collect()
            });
            let mean = parts.iter().map(|p| p.value).sum::<f64>() / 4.0;
            assert!(
                (mean - whole.value).abs() <= 1e-6 * whole.value.abs(),
                "{:?}: {mean} {}",
                case.loss,
                whole.value
            );
            for (part, expected) in parts.iter().flat_map(|p| &p.gradient).zip(&whole.gradient) {
                assert!((part / 4.0 - expected).abs() <= 1e-6, "{:?}", case.loss);
            }
            assert!(parts.iter().all(|p| p.state == parts[0].state), "workers agree");
            (alone, together) = (whole.state, parts.into_iter().next().unwrap().state);
        }
    }
    assert_eq!(seen, 3);
}
