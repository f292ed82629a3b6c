//! A stage that trains the whole detector.

use std::time::Instant;

use burn::tensor::Tensor;
use longtail_detect::FasterRcnn;
use longtail_loss::DrawKey;

use crate::{
    checkpoint::{Checkpoint, Position},
    error::TrainError,
    evaluation::{Scored, image_batch},
    meter::Meter,
    metrics::kept_by_group,
    observer::Event,
    run::{Run, build_loss, frozen},
    seed::{Purpose, derive},
    sgd::Sgd,
};

/// Trains the detector for the stage's iterations and evaluates it at the end.
pub(crate) fn train(
    run: &mut Run<'_>,
    index: usize,
    mut detector: FasterRcnn,
    resumed: Option<&Checkpoint>,
) -> Result<FasterRcnn, TrainError> {
    let (stage, place) = run.stage(index);
    let stage = stage.clone();
    let classifier = &stage.classifiers[0];
    let loss = build_loss(&run.data, run.recipe, classifier)?;
    let learning_rate = classifier.learning_rate.unwrap_or(stage.optimizer.learning_rate);
    let groups = run.data.groups();
    let seed = derive(run.recipe.seed, Purpose::Sampling(index));

    let mut sgd = resumed.map_or_else(Sgd::default, |c| Sgd::from_tensors(&c.momentum, &run.device));
    let mut loss_states = resumed.map(|c| c.loss_states.clone()).unwrap_or_default();
    let start = resumed.map_or(0, |c| c.position.iteration);
    let (mut batches, total) = run.batches(index, start)?;
    let mut meter = Meter::new(index, &stage.name);

    for iteration in start..total {
        let began = Instant::now();
        let batch = batches.next().expect("a training loader never ends")?;
        let waited = began.elapsed();

        let images = image_batch(&batch, &run.device);
        let targets: Vec<_> = batch.images.iter().map(|image| image.targets.clone()).collect();
        let draw = DrawKey { seed, step: iteration };
        let output = detector.forward_train(
            &images,
            &targets,
            loss.as_ref(),
            &loss_states,
            classifier.reduction,
            draw,
        )?;
        let terms: Vec<(String, f64)> =
            output.losses.iter().map(|(name, term)| (name.to_owned(), scalar(term))).collect();
        check_finite(&terms, &stage.name, iteration, &batch)?;
        if (iteration + 1) % run.recipe.log_every == 0
            && let Some(first) = output.heads.first()
            && let Some(kept) = loss.kept_negatives_of(
                &first.logits,
                &first.targets,
                &loss_states.first().cloned().unwrap_or_default(),
            )
        {
            meter.kept(&classifier.name, kept_by_group(&kept, &groups));
        }
        let host = output.host_time;
        loss_states = output.heads.into_iter().map(|head| head.loss_state).collect();
        let gradients = output.losses.total().backward();
        let rate = learning_rate * stage.schedule.factor(iteration, total);
        let norm;
        (detector, norm) = sgd.step(&stage.optimizer, rate, detector, gradients);

        let loss_sum = terms.iter().map(|(_, value)| value).sum();
        meter.step(batch.images.len(), began.elapsed(), waited, host, terms);
        meter.gradient_norm("all", norm);
        let done = iteration + 1;
        run.observer.observe(Event::Step { stage: &stage.name, place, done, total, loss: loss_sum });
        if done % run.recipe.log_every == 0 || done == total {
            let record = meter.record(done, rate);
            run.log(record)?;
        }
        let position = Position { stage: index, iteration: done };
        let stop = run.observer.stop_requested() && done < total;
        if stop || (done % run.recipe.checkpoint_every == 0 && done < total) {
            let mut checkpoint = run.checkpoint(position, &detector, &sgd);
            checkpoint.loss_states = loss_states.clone();
            checkpoint.write(&run.folder.last_checkpoint())?;
        }
        if stop {
            return Err(TrainError::Interrupted { stage: stage.name, step: done });
        }
        if stage.evaluate_every > 0 && done % stage.evaluate_every == 0 && done < total {
            let trained = frozen(&detector);
            let scored = Scored::new(&trained.classifiers(), loss.as_ref())?;
            run.evaluate(index, done, &trained, &[(&classifier.name, scored)], false)?;
        }
    }

    let trained = frozen(&detector);
    let scored = Scored::new(&trained.classifiers(), loss.as_ref())?;
    run.evaluate(index, total, &trained, &[(&classifier.name, scored)], true)?;
    let checkpoint = run.checkpoint(Position { stage: index + 1, iteration: 0 }, &detector, &Sgd::default());
    checkpoint.write(&run.folder.stage_checkpoint(&stage.name))?;
    checkpoint.write(&run.folder.last_checkpoint())?;
    Ok(detector)
}

/// The value of a one-element tensor.
pub(crate) fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}

/// Stops the run on a NaN or infinite loss term.
pub(crate) fn check_finite(
    terms: &[(String, f64)],
    stage: &str,
    step: u64,
    batch: &longtail_data::Batch,
) -> Result<(), TrainError> {
    if terms.iter().all(|(_, value)| value.is_finite()) {
        return Ok(());
    }
    let terms: Vec<String> = terms.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    Err(TrainError::NonFiniteLoss {
        stage: stage.to_owned(),
        step,
        terms: terms.join(", "),
        images: batch.images.iter().map(|image| image.image_id).collect(),
    })
}
