//! A head trained on a bank by stochastic gradient descent, with the semantics of training through the detector.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use longtail_bank::{Bank, FeatureLayer, Part};
use longtail_loss::{ClassificationLoss, Column, DrawKey, LossError, RoiTargets};
use longtail_run::{Event, Observer};

use crate::{
    classifier::{Classifier, HeadInputs, StepError},
    columns,
    error::HeadError,
    file::{Head, HeadFile, Inputs, Opened, Resume, TrainingSummary},
    hidden::HiddenRecipe,
    layer::Layer,
    lbfgs,
    recipe::{HeadRecipe, OptimizerRecipe, build_loss},
    sampling::remarks,
    sgd::SgdConfig,
    stream::{Batch, Stream},
};

/// Names of what is trained in a checkpoint, and of its momentum.
const TRAINED: [&str; 2] = ["trained.weight", "trained.bias"];
const VELOCITY: [&str; 4] =
    ["velocity.weight", "velocity.bias", "velocity.hidden.weight", "velocity.hidden.bias"];
/// Seconds between checkpoints.
const CHECKPOINT_SECONDS: f64 = 30.0;

/// Trains a head on a bank and returns it with what its file says. With a `checkpoint` path the training leaves what it
/// needs there now and then, and goes on from it; the file is removed at the end.
///
/// # Errors
/// If the bank is damaged or cannot be learned from, a setting is out of range, a loss is not finite, or the user stops it.
pub fn train(
    bank: &Bank,
    recipe: &HeadRecipe,
    checkpoint: Option<&Path>,
    observer: &mut dyn Observer,
) -> Result<(Head, HeadFile), HeadError> {
    let recipe = &recipe.on(bank.header().layer)?;
    bank.expect(Part::Training)?;
    for remark in remarks(bank)? {
        observer.observe(Event::Note(&remark));
    }
    let header = bank.header();
    let trained = &recipe.classifier;
    let loss = build_loss(&trained.loss, trained.correction, &header.classes, header.total_images, false)?;
    let layer = start(bank, recipe, loss.as_ref())?;
    let name = if trained.name.is_empty() { "head" } else { &trained.name };
    let mut file = HeadFile::new(name, trained.loss.clone(), header);
    (file.correction, file.unit_inputs) = (trained.correction, recipe.kind.unit_inputs());
    let began = Instant::now();
    let (layer, iterations, value, before) = match &recipe.optimizer {
        OptimizerRecipe::Sgd(sgd) => {
            let summary = TrainingSummary { recipe: recipe.clone(), iterations: 0, loss: 0.0, seconds: 0.0 };
            let mut training = Training {
                classifier: Classifier::new(name, loss, vec![layer], trained.reduction, sgd.learning_rate),
                iteration: 0,
                seconds: 0.0,
                checkpoint: checkpoint.map(Path::to_owned),
                file: HeadFile { training: Some(summary), ..file.clone() },
            };
            training.resume()?;
            let before = training.seconds;
            let value = training.run(bank, recipe, sgd, began, observer)?;
            (training.classifier.layers()[0].clone(), training.iteration, value, before)
        }
        OptimizerRecipe::Lbfgs(config) => {
            let (sampler, reduction) = (&recipe.sampler, trained.reduction);
            let (layer, iterations, value) =
                lbfgs::minimize(bank, sampler, reduction, config, layer, loss.as_ref(), observer)?;
            (layer, iterations, value, 0.0)
        }
    };
    let seconds = before + began.elapsed().as_secs_f64();
    file.training = Some(TrainingSummary { recipe: recipe.clone(), iterations, loss: value, seconds });
    if let Some(path) = checkpoint.filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(HeadError::io("remove", path))?;
    }
    Ok((Head::of_layer(&layer), file))
}

/// The layer that training starts from: the columns of stage 1 by what they are about, zeros for those it did not have;
/// over the hidden layer of stage 1, if the bank holds the inputs of that.
fn start(bank: &Bank, recipe: &HeadRecipe, loss: &dyn ClassificationLoss) -> Result<Layer, HeadError> {
    let header = bank.header();
    let classes = header.classes.len();
    let columns = loss.columns(classes);
    // A hidden layer of zeros would stay one.
    let over_hidden = header.layer == FeatureLayer::Hidden;
    let stage1 = match recipe.from_stage1 || over_hidden {
        true => Some(stage1(bank, over_hidden)?),
        false => None,
    };
    let width = stage1.as_ref().map_or(header.width, |(stage1, _)| stage1.width);
    let (mut weight, mut bias) = (vec![0.0; columns.len() * width], vec![0.0; columns.len()]);
    if let Some((stage1, file)) = stage1.as_ref().filter(|_| recipe.from_stage1) {
        let trained: Vec<Column> = file.build_loss()?.columns(classes);
        (weight, bias) = columns::start(&columns, &trained, &stage1.weight, &stage1.bias, width);
    }
    let trained = matches!(recipe.hidden, Some(HiddenRecipe::Trained { .. }));
    let hidden = stage1.and_then(|(stage1, _)| stage1.hidden);
    Ok(Layer::new(recipe.kind, weight, bias, width).over(hidden, trained))
}

/// The head that the detector had.
fn stage1(bank: &Bank, over_hidden: bool) -> Result<(Head, HeadFile), HeadError> {
    let path = bank.folder().join("stage1.safetensors");
    if !path.exists() {
        let reason = match over_hidden {
            true => {
                "is missing, and the hidden layer starts from it; import `hidden.weight`, `hidden.bias` and the classifier's"
            }
            false => "is missing, and training starts from it; set from_stage1=false to start from zeros",
        };
        return Err(HeadError::Head { path, reason: reason.into() });
    }
    let (stage1, file) = Head::read(&path)?;
    file.check(&path, stage1.inputs(), &Inputs::of("this bank", bank.header()))?;
    Ok((stage1, file))
}

/// The RoIs of a step with their targets. `draw` is the key of the step's draws.
///
/// # Errors
/// If a label is not a class.
pub fn inputs(batch: Batch, classes: usize, draw: DrawKey) -> Result<HeadInputs, LossError> {
    let mut targets = RoiTargets::new(&batch.labels, classes, draw)?;
    let weighted = batch.weights.iter().any(|weight| *weight != 1.0);
    if weighted {
        targets = targets.with_weights(&batch.weights)?;
    }
    let stands_for = weighted.then(|| batch.weights.iter().map(|w| f64::from(*w)).sum::<f64>());
    Ok(HeadInputs { features: batch.features, targets, stands_for, loss_weight: 1.0 })
}

struct Training {
    classifier: Classifier,
    iteration: u64,
    seconds: f64,
    checkpoint: Option<PathBuf>,
    file: HeadFile,
}

impl Training {
    fn run(
        &mut self,
        bank: &Bank,
        recipe: &HeadRecipe,
        sgd: &SgdConfig,
        began: Instant,
        observer: &mut dyn Observer,
    ) -> Result<f64, HeadError> {
        let mut stream = Stream::new(bank, recipe)?;
        let total = recipe.length.iterations(stream.steps_per_epoch());
        stream.skip(self.iteration);
        let classes = bank.header().classes.len();
        let hidden_factor = match recipe.hidden {
            Some(HiddenRecipe::Trained { learning_rate_factor }) => learning_rate_factor,
            _ => 1.0,
        };
        let (mut value, mut saved, before) = (0.0, Instant::now(), self.seconds);
        while self.iteration < total {
            let draw = DrawKey { seed: recipe.seed, step: self.iteration };
            let inputs = inputs(stream.next_batch()?, classes, draw)?;
            let factor = recipe.schedule.factor(self.iteration, total);
            let step = self.classifier.step(&[inputs], sgd, factor, hidden_factor);
            value = step.map_err(|error| self.refused(error))?.loss;
            self.iteration += 1;
            observer.observe(Event::Step {
                stage: &self.file.name,
                stage_index: 0,
                stages: 1,
                done: self.iteration,
                total,
                loss: value,
            });
            let stop = observer.stop_requested() && self.iteration < total;
            if stop || saved.elapsed().as_secs_f64() > CHECKPOINT_SECONDS {
                self.seconds = before + began.elapsed().as_secs_f64();
                self.save()?;
                saved = Instant::now();
            }
            if stop {
                let (done, total) = (self.iteration as usize, total as usize);
                return Err(HeadError::Stopped { what: "steps".into(), done, total });
            }
        }
        Ok(value)
    }

    fn refused(&self, error: StepError) -> HeadError {
        let not_finite = |quantity, value| HeadError::NotFinite {
            name: self.file.name.clone(),
            step: self.iteration,
            quantity,
            value,
        };
        match error {
            StepError::Loss { value } => not_finite("loss_classifier", value),
            StepError::Norm(found) => not_finite("gradient norm", found.norm),
            StepError::Refused(error) => error.into(),
        }
    }

    fn save(&self) -> Result<(), HeadError> {
        let Some(path) = &self.checkpoint else { return Ok(()) };
        let [state] = self.classifier.states() else { return Ok(()) };
        let resume = Resume { iteration: self.iteration, state: state.clone(), seconds: self.seconds };
        // The hidden layer is trained as the head has it.
        let trained = TRAINED.into_iter().zip(self.classifier.trained());
        let velocity = VELOCITY.into_iter().zip(self.classifier.velocity().iter().map(Vec::as_slice));
        let tensors: Vec<(&str, &[f32])> = trained.chain(velocity).collect();
        let head = Head::of_layer(&self.classifier.layers()[0]);
        head.write_with(path, &self.file, Some((&resume, &tensors)))
    }

    /// Goes on from the checkpoint, if there is one.
    fn resume(&mut self) -> Result<(), HeadError> {
        let Some(path) = self.checkpoint.clone().filter(|path| path.exists()) else { return Ok(()) };
        let Opened { head, file, resume, mut tensors } = Head::read_with(&path)?;
        let refused = |reason: String| HeadError::Head { path: path.clone(), reason };
        if file != self.file {
            return Err(refused(
                "was begun with other settings or another bank; use the same ones, or remove it to start again"
                    .into(),
            ));
        }
        let resume = resume.ok_or_else(|| refused("is not a checkpoint".into()))?;
        let mut trained: Vec<Vec<f32>> = TRAINED.iter().filter_map(|name| tensors.remove(*name)).collect();
        if self.classifier.layers()[0].hidden_trained {
            trained.extend(head.hidden.into_iter().flat_map(|hidden| [hidden.weight, hidden.bias]));
        }
        let velocity = VELOCITY.iter().filter_map(|name| tensors.remove(*name)).collect();
        self.classifier.resume(trained, velocity, vec![resume.state]).map_err(refused)?;
        (self.iteration, self.seconds) = (resume.iteration, resume.seconds);
        Ok(())
    }
}
