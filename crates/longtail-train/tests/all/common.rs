//! A tiny recipe, runs of it and banks of those.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use longtail_bank::{Bank, FeatureLayer, Precision};
use longtail_head::{BatchRecipe, HeadRecipe, Length};
use longtail_run::{Event, Observer, Results, RunFolder, Silent};
use longtail_train::{
    Recipe,
    bank::{ExtractOptions, FeatureSource, Plan, TRAINING_PROPOSALS, extract},
    checkpoint::Checkpoint,
    parameters::TensorMap,
    run,
};
use tempfile::TempDir;

/// Four classes, a detector of 16 hidden features, one stage of eight steps.
pub const TINY: &str = concat!(include_str!("tiny.toml"), include_str!("detector.toml"));

/// A folder with a run and a bank.
pub struct Made {
    pub folder: TempDir,
}

impl Made {
    pub fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }
    pub fn bank(&self) -> PathBuf {
        self.folder.path().join("bank")
    }
    pub fn source(&self) -> FeatureSource {
        FeatureSource::open(&self.run(), None, None, &[]).unwrap()
    }
}

pub fn options(precision: Precision) -> ExtractOptions {
    ExtractOptions {
        layer: FeatureLayer::Classifier,
        precision,
        views: ExtractOptions::views(2, &[]),
        background: None,
        held_out: 0.2,
        training_proposals: false,
        logits: true,
        seed: 0,
        dry_run: false,
    }
}

/// A run of the recipe with some values changed, and its bank.
pub fn make(overrides: &[&str], options: &ExtractOptions) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
    let recipe = Recipe::parse(TINY, &overrides).unwrap();
    let made = Made { folder };
    let run_folder = RunFolder::open(&made.run(), false).unwrap();
    run(&recipe, &run_folder, false, &Device::flex(), "test", &mut Silent).unwrap();
    make_bank(&made.source(), &made.bank(), options);
    made
}

pub fn make_bank(source: &FeatureSource, out: &Path, options: &ExtractOptions) {
    let mut announced = 0;
    let mut announce = |plan: &Plan| announced = plan.bytes;
    extract(source, options, out, &Device::flex(), &mut announce, &mut Silent).unwrap().unwrap();
    let mut parts = vec![out.to_owned(), out.join("validation")];
    parts.extend((options.held_out > 0.0).then(|| out.join("holdout")));
    parts.extend(options.training_proposals.then(|| out.join(TRAINING_PROPOSALS)));
    let bytes: u64 = parts
        .iter()
        .flat_map(|part| Bank::open(part).unwrap().header().shards.clone())
        .map(|shard| shard.bytes)
        .sum();
    // What was announced is about what it took.
    assert!(announced > bytes / 2 && announced < bytes * 2, "{announced} announced, {bytes} taken");
}

/// Thirty steps of four images.
pub fn recipe(loss: &str) -> HeadRecipe {
    HeadRecipe {
        length: Length::Iterations(30),
        batch: BatchRecipe::Images(4),
        ..HeadRecipe::of(loss).unwrap()
    }
}

/// Asks to stop after so many steps.
pub struct StopAt(pub u64);

impl Observer for StopAt {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Step { .. } = event {
            self.0 -= 1;
        }
    }
    fn stop_requested(&self) -> bool {
        self.0 == 0
    }
}

/// What was said.
#[derive(Default)]
pub struct Notes(pub Vec<String>);

impl Observer for Notes {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Note(text) = event {
            self.0.push(text.to_owned());
        }
    }
}

/// The tiny recipe with both stages, each of four iterations.
pub fn two_stages(overrides: &[&str]) -> Recipe {
    let classifier_stage = r#"
        [[stages]]
        name = "classifier"
        train = "classifier"
        length = { iterations = 4 }
        batch_size = 2
        optimizer = { learning_rate = 0.01 }
        classifiers = [
            { name = "softmax continued", loss = { kind = "softmax-cross-entropy" } },
            { name = "ACSL", loss = { kind = "acsl", background = "frequency-sampled" } },
        ]
    "#;
    let changes = [
        "log_every=1",
        "checkpoint_every=3",
        "data.images=160",
        "data.validation_images=6",
        "stages.0.length={ iterations = 4 }",
        "stages.0.batch_size=2",
    ];
    let overrides: Vec<String> = changes.iter().chain(overrides).map(|o| (*o).to_owned()).collect();
    Recipe::parse(&format!("{}{classifier_stage}", TINY), &overrides).unwrap()
}

/// Asks to stop after a number of steps, counted over all stages.
pub struct StopAfter {
    pub steps: usize,
}

impl Observer for StopAfter {
    fn observe(&mut self, event: Event<'_>) {
        if matches!(event, Event::Step { .. }) {
            self.steps = self.steps.saturating_sub(1);
        }
    }

    fn stop_requested(&self) -> bool {
        self.steps == 0
    }
}

pub fn finish(recipe: &Recipe, path: &Path, resume: bool) -> Results {
    let folder = RunFolder::open(path, resume).unwrap();
    run(recipe, &folder, resume, &Device::flex(), "test", &mut Silent).unwrap()
}

/// All weights at the end of a stage, the classifiers' too.
pub fn weights(path: &Path, stage: &str) -> Vec<TensorMap> {
    let checkpoint = Checkpoint::read(&path.join(format!("checkpoints/{stage}.safetensors"))).unwrap();
    let classifiers = checkpoint.classifiers.into_iter().map(|c| c.parameters);
    std::iter::once(checkpoint.model).chain(classifiers).collect()
}
