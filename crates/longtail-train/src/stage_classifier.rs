//! A stage that trains only the last classification layer (each head's, in a cascade): one or more classifiers, side by side.
//!
//! Everything below is frozen, so the trunk runs once a batch and every classifier sees the same RoIs in the same
//! order. Training them together gives what training each alone would give, for the price of one.

use std::time::Instant;

use burn::tensor::Device;
use longtail_detect::{FasterRcnn, HeadRois};
use longtail_loss::DrawKey;

use crate::{
    checkpoint::{Checkpoint, Position},
    classifier::{Classifier, HeadInputs},
    error::TrainError,
    evaluation::{Scored, image_batch},
    meter::Meter,
    metrics::kept_by_group,
    observer::Event,
    recipe::Stage,
    run::{Run, build_loss, frozen},
    seed::{Purpose, derive},
    sgd::Sgd,
    stage_detector::check_finite,
};

/// Trains the stage's classifiers and evaluates them at the end. The detector comes back unchanged, or with the
/// trained classifier if the stage has only one.
pub(crate) fn train(
    run: &mut Run<'_>,
    index: usize,
    detector: FasterRcnn,
    resumed: Option<&Checkpoint>,
) -> Result<FasterRcnn, TrainError> {
    let (stage, place) = run.stage(index);
    let stage = stage.clone();
    let groups = run.data.groups();
    let seed = derive(run.recipe.seed, Purpose::Sampling(index));
    let trunk = frozen(&detector);
    let inner = run.device.clone().inner();

    let mut classifiers = start(run, &stage, &detector)?;
    if let Some(checkpoint) = resumed {
        load(&mut classifiers, checkpoint, run)?;
    }
    let start = resumed.map_or(0, |c| c.position.iteration);
    let (mut batches, total) = run.batches(index, start)?;
    let mut meter = Meter::new(index, &stage.name);

    for iteration in start..total {
        let began = Instant::now();
        let batch = batches.next().expect("a training loader never ends")?;
        let waited = began.elapsed();

        let images = image_batch(&batch, &inner);
        let targets: Vec<_> = batch.images.iter().map(|image| image.targets.clone()).collect();
        let draw = DrawKey { seed, step: iteration };
        let rois = trunk.roi_features(&images, &targets, draw)?;
        // The classifier layers below count as network: their losses are part of them.
        let host = rois.host_time;
        let heads: Vec<HeadInputs> = rois
            .heads
            .into_iter()
            .map(|HeadRois { features, targets, loss_weight }| {
                let features = features.into_data().try_to_vec::<f32>().unwrap_or_default();
                HeadInputs { features, targets, loss_weight }
            })
            .collect();
        let log = (iteration + 1) % run.recipe.log_every == 0;
        let factor = stage.schedule.factor(iteration, total);

        let mut terms = Vec::new();
        for classifier in &mut classifiers {
            if log && let Some(kept) = classifier.kept_negatives(&heads) {
                meter.kept(&classifier.name, kept_by_group(&kept, &groups));
            }
            let step = classifier.step(&heads, &stage.optimizer, factor)?;
            terms.push((classifier.name.clone(), step.loss));
            meter.gradient_norm(&classifier.name, step.gradient_norm);
        }
        check_finite(&terms, &stage.name, iteration, &batch)?;

        let first = terms[0].1;
        meter.step(batch.images.len(), began.elapsed(), waited, host, terms);
        let done = iteration + 1;
        run.observer.observe(Event::Step { stage: &stage.name, place, done, total, loss: first });
        if log || done == total {
            let record = meter.record(done, stage.optimizer.learning_rate * factor);
            run.log(record)?;
        }
        let stop = run.observer.stop_requested() && done < total;
        if stop || (done % run.recipe.checkpoint_every == 0 && done < total) {
            let position = Position { stage: index, iteration: done };
            save(run, position, &detector, &classifiers).write(&run.folder.last_checkpoint())?;
        }
        if stop {
            return Err(TrainError::Interrupted { stage: stage.name, step: done });
        }
        if stage.evaluate_every > 0 && done % stage.evaluate_every == 0 && done < total {
            run.evaluate(index, done, &trunk, &scored(&classifiers, &inner)?, false)?;
        }
    }

    run.evaluate(index, total, &trunk, &scored(&classifiers, &inner)?, true)?;
    let end = Position { stage: index + 1, iteration: 0 };
    let detector = match classifiers.as_slice() {
        [only] => detector.with_classifiers(only.linears(&run.device)),
        _ => detector,
    };
    save(run, end, &detector, &classifiers).write(&run.folder.stage_checkpoint(&stage.name))?;
    run.checkpoint(end, &detector, &Sgd::default()).write(&run.folder.last_checkpoint())?;
    Ok(detector)
}

/// Every classifier of the stage, starting from the detector's.
fn start(run: &Run<'_>, stage: &Stage, detector: &FasterRcnn) -> Result<Vec<Classifier>, TrainError> {
    // The detector's classifier is that of the last stage that had one alone; the first always has.
    let earlier = run.recipe.stages.iter().take_while(|s| s.name != stage.name);
    let trained = match earlier.filter(|s| s.classifiers.len() == 1).last() {
        Some(origin) => {
            build_loss(&run.data, run.recipe, &origin.classifiers[0])?.columns(run.data.classes.len())
        }
        None => Vec::new(),
    };
    stage
        .classifiers
        .iter()
        .map(|recipe| {
            Classifier::starting_from(
                &detector.classifiers(),
                &trained,
                recipe,
                build_loss(&run.data, run.recipe, recipe)?,
                run.data.classes.len(),
                stage.optimizer.learning_rate,
            )
        })
        .collect()
}

fn load(classifiers: &mut [Classifier], checkpoint: &Checkpoint, run: &Run<'_>) -> Result<(), TrainError> {
    let mismatch = |reason: String| TrainError::Checkpoint { path: run.folder.last_checkpoint(), reason };
    if classifiers.len() != checkpoint.classifiers.len() {
        let (found, expected) = (checkpoint.classifiers.len(), classifiers.len());
        return Err(mismatch(format!("holds {found} classifiers, the recipe has {expected}")));
    }
    for (classifier, state) in classifiers.iter_mut().zip(&checkpoint.classifiers) {
        classifier.load(state).map_err(mismatch)?;
    }
    Ok(())
}

fn save(run: &Run<'_>, position: Position, detector: &FasterRcnn, classifiers: &[Classifier]) -> Checkpoint {
    let mut checkpoint = run.checkpoint(position, detector, &Sgd::default());
    checkpoint.classifiers = classifiers.iter().map(Classifier::to_state).collect();
    checkpoint
}

fn scored<'a>(
    classifiers: &'a [Classifier],
    device: &Device,
) -> Result<Vec<(&'a str, Scored<'a>)>, TrainError> {
    classifiers
        .iter()
        .map(|c| {
            Ok((
                c.name.as_str(),
                Scored::new(&c.linears(device).iter().collect::<Vec<_>>(), c.loss.as_ref())?,
            ))
        })
        .collect()
}
