//! A tiny recipe, a run of it and banks of that.

// Every test binary uses a part of it.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use longtail_bank::{Bank, FeatureLayer, Precision};
use longtail_train::{
    Event, Observer, Recipe, RunFolder, Silent,
    bank::{ExtractOptions, FeatureSource, Plan, extract},
    head::{BatchRecipe, HeadRecipe},
    recipe::Length,
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
        FeatureSource::open(&self.run(), None, &[]).unwrap()
    }
}

pub fn options(precision: Precision) -> ExtractOptions {
    ExtractOptions {
        layer: FeatureLayer::Classifier,
        precision,
        views: ExtractOptions::views(2, &[]),
        background: None,
        held_out: 0.2,
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
    let bytes: u64 = [out.to_owned(), out.join("holdout"), out.join("validation")]
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
