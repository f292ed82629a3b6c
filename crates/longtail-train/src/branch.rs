//! A run that begins with the finished first stages of another one: for comparing what may follow.

use std::path::Path;

use longtail_run::{Results, RunFolder};

use crate::{error::TrainError, recipe::Recipe};

/// Fills an empty run folder with what `from` has after `stages` stages, so that a resumed run of `recipe` goes on there.
///
/// # Errors
/// If `from` has not finished these stages, or its recipe differs in what led to them.
pub fn branch(from: &Path, stages: usize, recipe: &Recipe, folder: &RunFolder) -> Result<(), TrainError> {
    let path = from.join("config.toml");
    let begun = Recipe::read(&path, &[])?;
    let last = match stages.checked_sub(1).and_then(|last| begun.stages.get(last)) {
        Some(stage) => &stage.name,
        None => {
            let reason = format!(
                "of {} are {}; a branch cannot begin after {stages} of them",
                path.display(),
                begun.stages.len()
            );
            return Err(TrainError::recipe("stages", reason));
        }
    };
    let later = |key: &String| {
        let stage = key.strip_prefix("stages.").and_then(|rest| rest.split('.').next());
        stage.and_then(|index| index.parse::<usize>().ok()).is_some_and(|index| index >= stages)
            || ["name", "checkpoint_every", "log_every"].contains(&key.as_str())
    };
    let differences: Vec<String> = begun.differences(recipe).into_iter().filter(|key| !later(key)).collect();
    if !differences.is_empty() {
        return Err(TrainError::AnotherRecipe { path, differences });
    }
    let mut results = Results::read(from)?;
    results.classifiers.retain(|c| begun.stages[..stages].iter().any(|stage| stage.name == c.stage));
    let copy = |name: &str, target: &str| -> Result<(), TrainError> {
        let path = from.join(name);
        let bytes = std::fs::read(&path).map_err(TrainError::io("read", &path))?;
        Ok(folder.write(target, &bytes).map(|_| ())?)
    };
    for result in &results.classifiers {
        copy(&result.detections, &result.detections)?;
    }
    for stage in &begun.stages[..stages] {
        let checkpoint = format!("checkpoints/{}.safetensors", stage.name);
        copy(&checkpoint, &checkpoint)?;
    }
    copy("metrics.jsonl", "metrics.jsonl")?;
    results.write(folder)?;
    folder.write("config.toml", recipe.to_toml().as_bytes())?;
    // Last: with it the folder is a run that can be resumed.
    copy(&format!("checkpoints/{last}.safetensors"), "checkpoints/last.safetensors")
}
