//! A stage that trains the whole detector.

use burn::tensor::Tensor;
use longtail_detect::FasterRcnn;
use longtail_loss::{ClassificationLoss, LossState};
use longtail_ops::TensorLoss;
use longtail_run::Position;

use crate::{
    checkpoint::Checkpoint,
    context::{Run, frozen},
    error::TrainError,
    evaluation::{Scored, image_batch},
    loops::stage_log::{Measured, StageLog, State},
    parameters::snapshot,
    sgd::Sgd,
};

/// Trains the detector for the stage's iterations and evaluates it at the end.
pub(crate) fn train(
    run: &mut Run<'_>,
    index: usize,
    mut detector: FasterRcnn,
    resumed: Option<&Checkpoint>,
) -> Result<FasterRcnn, TrainError> {
    let stage = &run.recipe.stages[index];
    let classifier = &stage.classifiers[0];
    let loss = run.build_loss(classifier)?;
    let learning_rate = classifier.learning_rate.unwrap_or(stage.optimizer.learning_rate);
    let device = run.device.clone();
    let mut sgd = resumed.map_or_else(Sgd::default, |c| Sgd::from_tensors(&c.momentum, &device));
    let mut loss_states = resumed.map(|c| c.loss_states.clone()).unwrap_or_default();
    let (name, scores) = (&classifier.name, loss.as_ref());
    let mut log = StageLog::begin(run, index, resumed)?;

    while let Some(step) = log.next_step()? {
        let images = image_batch(&step.batch, &device);
        let output = detector.forward_train(
            &images,
            &step.targets(),
            loss.as_ref(),
            &loss_states,
            classifier.reduction,
            step.draw,
        )?;
        let rate = learning_rate * step.factor;
        let terms = output.losses.iter().map(|(name, term)| (name.to_owned(), scalar(term)));
        let mut measured = Measured::new(terms.collect(), rate, output.host_time);
        step.expect_finite(&measured.losses)?;
        if let (true, Some(head)) = (step.logged, output.heads.first()) {
            let before = loss_states.first().cloned().unwrap_or_default();
            measured.kept(&classifier.name, loss.kept_negatives_of(&head.logits, &head.targets, &before));
        }
        loss_states = output.heads.into_iter().map(|head| head.loss_state).collect();
        let gradients = output.losses.total().backward();
        let stepped = sgd.step(&stage.optimizer, rate, detector, gradients);
        let norm;
        (detector, norm) = stepped.map_err(|error| step.not_finite(error.to_string()))?;
        measured.gradient_norm("all", norm);
        let loss_states = &loss_states;
        let state = DetectorStage { detector: &detector, sgd: &sgd, loss_states, name, loss: scores };
        log.end_step(step, measured, &state)?;
    }

    let end = Position { stage: index + 1, iteration: 0 };
    let finished = Checkpoint { position: end, model: snapshot(&detector), ..Checkpoint::default() };
    let state =
        DetectorStage { detector: &detector, sgd: &sgd, loss_states: &loss_states, name, loss: scores };
    log.finish(&state, &finished, &finished)?;
    Ok(detector)
}

/// Where the stage stands.
struct DetectorStage<'a> {
    detector: &'a FasterRcnn,
    sgd: &'a Sgd,
    loss_states: &'a [LossState],
    name: &'a str,
    loss: &'a dyn ClassificationLoss,
}

impl State for DetectorStage<'_> {
    fn checkpoint(&self, position: Position) -> Checkpoint {
        Checkpoint {
            position,
            model: snapshot(self.detector),
            momentum: self.sgd.to_tensors(),
            loss_states: self.loss_states.to_vec(),
            ..Checkpoint::default()
        }
    }

    fn scored(&self) -> Result<(FasterRcnn, Vec<Scored<'_>>), TrainError> {
        let trained = frozen(self.detector);
        let scored = Scored::new(self.name, &trained.classifiers(), self.loss)?;
        Ok((trained, vec![scored]))
    }
}

/// The value of a one-element tensor.
fn scalar(tensor: &Tensor<1>) -> f64 {
    f64::from(tensor.clone().into_scalar::<f32>())
}
