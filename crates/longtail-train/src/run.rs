//! A run from its recipe to its results: open the data, train the stages in order, evaluate each classifier.

use burn::tensor::Device;
use longtail_draw::{Purpose, derive};
use longtail_ops::device;
use longtail_run::{Event, MetricsLog, Observer, Position, Results, RunFolder, environment};

use crate::{
    checkpoint::Checkpoint,
    context::{Run, loss_of},
    data::RunData,
    error::TrainError,
    loops,
    parameters::restore,
    recipe::{Recipe, Trained},
    weights,
};

/// Runs a recipe in `folder`; with `resume` it goes on from the last checkpoint there, to the same bits.
///
/// # Errors
/// On bad data or settings, a loss or gradient that is not finite, a full disk, a log or results that cannot be read on
/// `resume`, or an interruption (a checkpoint is written then).
pub fn run(
    recipe: &Recipe,
    folder: &RunFolder,
    resume: bool,
    device: &Device,
    command: &str,
    observer: &mut dyn Observer,
) -> Result<Results, TrainError> {
    if resume {
        let path = folder.join("config.toml");
        let differences = Recipe::read(&path, &[])?.differences(recipe);
        if !differences.is_empty() {
            return Err(TrainError::AnotherRecipe { path, differences });
        }
    }
    let checkpoint = if resume { Some(Checkpoint::read(&folder.last_checkpoint())?) } else { None };
    let position = checkpoint.as_ref().map_or(Position::default(), |c| c.position);
    folder.write("config.toml", recipe.to_toml().as_bytes())?;
    let environment = environment::describe(command, ("burn", burn_version()), &device::name(device));
    folder.write_json("environment.json", &environment)?;

    let data = RunData::open(&recipe.data, &recipe.transform, recipe.seed, observer)?;
    let device = device.clone().autodiff();
    let num_classes = data.classes.len();
    // All of them now: a bad setting of the last stage must not be found after the first one's days.
    for (s, stage) in recipe.stages.iter().enumerate() {
        for (c, classifier) in stage.classifiers.iter().enumerate() {
            loss_of(classifier, &data, recipe).map_err(|error| {
                TrainError::recipe(format!("stages.{s}.classifiers.{c}.loss"), format!("is refused: {error}"))
            })?;
        }
    }
    let first = loss_of(&recipe.stages[0].classifiers[0], &data, recipe)?;
    // A stage with a single classifier has put its own into the detector.
    let outputs = checkpoint.as_ref().and_then(Checkpoint::classifier_outputs);
    let mut detector = recipe.detector.init(
        num_classes,
        outputs.unwrap_or_else(|| first.num_outputs(num_classes)),
        derive(recipe.seed, Purpose::WeightSeed, 0),
        &device,
    );
    if let (Some(path), false) = (&recipe.weights, resume) {
        let columns = first.columns(num_classes);
        let (started, notes) = weights::start(detector, path, &data.classes, &columns, &recipe.transform)?;
        detector = started;
        notes.iter().for_each(|note| observer.observe(Event::Note(note)));
    }
    let results = match resume {
        true => Results::read(folder.path())?,
        false => Results {
            seed: recipe.seed,
            environment,
            classes: data.classes.clone(),
            train_images: data.train.counts().total_images,
            truths: data
                .validation
                .iter()
                .flat_map(|v| v.truths.iter().map(|t| (t.name.clone(), t.label.clone())))
                .collect(),
            classifiers: Vec::new(),
        },
    };
    let log = folder.join("metrics.jsonl");
    let metrics = if resume { MetricsLog::resume(&log, position)? } else { MetricsLog::create(&log)? };
    if let Some(checkpoint) = &checkpoint {
        detector = restore(detector, &checkpoint.model).map_err(|reason| TrainError::Checkpoint {
            path: folder.last_checkpoint(),
            reason: format!("does not belong to this recipe: {reason}"),
        })?;
    }
    let mut run = Run { recipe, folder, data, device, metrics, observer, results };
    run.results.write(folder)?;
    for (index, stage) in recipe.stages.iter().enumerate().skip(position.stage) {
        // The checkpoint's optimizer state belongs to the stage it was written in.
        let state = checkpoint.as_ref().filter(|_| index == position.stage && position.iteration > 0);
        detector = match stage.train {
            Trained::All => loops::detector::train(&mut run, index, detector, state)?,
            Trained::Classifier => loops::classifier::train(&mut run, index, detector, state)?,
        };
    }
    Ok(run.results)
}

/// Version of the framework, as the workspace asks for it: exactly.
fn burn_version() -> &'static str {
    const MANIFEST: &str = include_str!("../../../Cargo.toml");
    let line = MANIFEST.lines().find_map(|line| line.strip_prefix("burn = {"));
    let version = line.and_then(|line| line.split("version = \"=").nth(1)?.split('"').next());
    version.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_framework_s_version_is_that_of_the_lock_file() {
        let lock = include_str!("../../../Cargo.lock");
        let package = lock.split("[[package]]").find(|package| package.contains("\nname = \"burn-core\"\n"));
        let version = format!("version = \"{}\"", super::burn_version());
        assert!(package.unwrap().contains(&version), "{version}");
    }
}
