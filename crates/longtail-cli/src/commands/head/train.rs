//! `longtail head train`

use anyhow::{Context, ensure};
use longtail_bank::Bank;
use longtail_head::{BatchRecipe, HeadRecipe, Length, train};

use crate::{
    Outcome, args::HeadTrain, commands::again::with_repeat_hint, printer::Printer, progress::Progress,
};

/// Trains a head.
pub fn run(arguments: &HeadTrain, printer: &Printer) -> anyhow::Result<Outcome> {
    let recipe = recipe(arguments)?;
    let bank = Bank::open(&arguments.bank)?;
    let out = match &arguments.out {
        Some(path) => path.clone(),
        None => arguments.bank.join("heads").join(format!("{}.safetensors", recipe.classifier.name)),
    };
    ensure!(!out.is_dir(), "--out {} is a folder; give the file of the head", out.display());
    let checkpoint = out.with_extension("partial");
    if checkpoint.exists() {
        printer.note(&format!("goes on from {}", checkpoint.display()));
    }
    let mut progress = Progress::new(*printer)?;
    let (head, file) = with_repeat_hint(train(&bank, &recipe, Some(&checkpoint), &mut progress))?;
    head.write(&out, &file)?;
    let training = file.training.context("a trained head knows its training")?;
    printer.note(&format!(
        "head: {} ({} steps, loss {:.4}, {:.1} s)",
        out.display(),
        training.iterations,
        training.loss,
        training.seconds
    ));
    Ok(Outcome::Done)
}

fn recipe(arguments: &HeadTrain) -> anyhow::Result<HeadRecipe> {
    let mut recipe = match (&arguments.recipe, &arguments.loss) {
        (Some(path), _) => HeadRecipe::read(path)?,
        (None, Some(loss)) => HeadRecipe::of(loss)?,
        (None, None) => HeadRecipe::of("acsl")?,
    };
    if let (Some(_), Some(loss)) = (&arguments.recipe, &arguments.loss) {
        recipe = recipe.with(&[format!("loss={loss}")])?;
    }
    recipe = recipe.with(&arguments.overrides)?;
    if let Some(epochs) = arguments.epochs {
        recipe.length = Length::Epochs(epochs);
    }
    if let Some(iterations) = arguments.iterations {
        recipe.length = Length::Iterations(iterations);
    }
    if let Some(images) = arguments.batch_size {
        recipe.batch = BatchRecipe::Images(images);
    }
    recipe.classifier.learning_rate = arguments.learning_rate.or(recipe.classifier.learning_rate);
    recipe.seed = arguments.seed.unwrap_or(recipe.seed);
    if recipe.classifier.name.is_empty() {
        recipe.classifier.name = "head".into();
    }
    recipe.validate()?;
    Ok(recipe)
}
