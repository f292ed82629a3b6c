//! A head trained on a bank by stochastic gradient descent, with the semantics of training through the detector.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use longtail_bank::{Bank, FeatureLayer, Part};
use longtail_loss::{
    ClassificationLoss, Column, DrawKey, LossError, LossState, Normalizer, Reduction, RoiTargets,
};

use crate::{
    error::TrainError,
    head::{
        file::{Head, HeadFile, Inputs, Opened, Resume, TrainingSummary, build_loss},
        hidden::HiddenRecipe,
        layer::Layer,
        lbfgs,
        recipe::{HeadRecipe, OptimizerRecipe},
        sampling::remarks,
        stream::{Step, Stream},
    },
    observer::{Event, Observer},
    recipe::Length,
    sgd::SgdConfig,
    slice_sgd::{Parameter, SliceSgd},
};

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
) -> Result<(Head, HeadFile), TrainError> {
    let recipe = &recipe.on(bank.header().layer)?;
    bank.expect(Part::Training)?;
    for remark in remarks(bank)? {
        observer.observe(Event::Note(&remark));
    }
    let header = bank.header();
    let loss = build_loss(&recipe.loss, recipe.correction, &header.classes, header.total_images)?;
    let layer = start(bank, recipe, loss.as_ref())?;
    let name = if recipe.name.is_empty() { "head" } else { &recipe.name };
    let mut file = HeadFile::new(name, recipe.loss.clone(), header);
    (file.correction, file.unit_inputs) = (recipe.correction, recipe.classifier.unit_inputs());
    let began = Instant::now();
    let (layer, iterations, value, before) = match &recipe.optimizer {
        OptimizerRecipe::Sgd(sgd) => {
            let mut training = Training {
                layer,
                sgd: SliceSgd::default(),
                state: LossState::default(),
                iteration: 0,
                seconds: 0.0,
                checkpoint: checkpoint.map(Path::to_owned),
                file: HeadFile {
                    training: Some(TrainingSummary {
                        recipe: recipe.clone(),
                        iterations: 0,
                        loss: 0.0,
                        seconds: 0.0,
                    }),
                    ..file.clone()
                },
            };
            training.resume()?;
            let before = training.seconds;
            let value = training.run(bank, recipe, sgd, loss.as_ref(), began, observer)?;
            (training.layer, training.iteration, value, before)
        }
        OptimizerRecipe::Lbfgs(config) => {
            let (layer, iterations, value) =
                lbfgs::minimize(bank, recipe, config, layer, loss.as_ref(), observer)?;
            (layer, iterations, value, 0.0)
        }
    };
    let seconds = before + began.elapsed().as_secs_f64();
    file.training = Some(TrainingSummary { recipe: recipe.clone(), iterations, loss: value, seconds });
    if let Some(path) = checkpoint.filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(TrainError::io("remove", path))?;
    }
    Ok((head(&layer, &file), file))
}

/// What a layer in training amounts to.
fn head(layer: &Layer, file: &HeadFile) -> Head {
    Head {
        weight: layer.linear_weight(),
        bias: layer.bias.clone(),
        width: layer.width,
        unit_inputs: file.unit_inputs,
        hidden: layer.hidden.clone(),
    }
}

/// The layer that training starts from: the columns of stage 1 by what they are about, zeros for those it did not have;
/// over the hidden layer of stage 1, if the bank holds the inputs of that.
fn start(bank: &Bank, recipe: &HeadRecipe, loss: &dyn ClassificationLoss) -> Result<Layer, TrainError> {
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
        for (place, column) in columns.iter().enumerate() {
            if let Some(source) = trained.iter().position(|other| other == column) {
                weight[place * width..][..width].copy_from_slice(&stage1.weight[source * width..][..width]);
                bias[place] = stage1.bias[source];
            }
        }
    }
    let trained = matches!(recipe.hidden, Some(HiddenRecipe::Trained { .. }));
    let hidden = stage1.and_then(|(stage1, _)| stage1.hidden);
    Ok(Layer::new(recipe.classifier, weight, bias, width).over(hidden, trained))
}

/// The head that the detector had.
fn stage1(bank: &Bank, over_hidden: bool) -> Result<(Head, HeadFile), TrainError> {
    let path = bank.folder().join("stage1.safetensors");
    if !path.exists() {
        let reason = match over_hidden {
            true => {
                "is missing, and the hidden layer starts from it; import `hidden.weight`, `hidden.bias` and the classifier's"
            }
            false => "is missing, and training starts from it; set from_stage1=false to start from zeros",
        };
        return Err(TrainError::Head { path, reason: reason.into() });
    }
    let (stage1, file) = Head::read(&path)?;
    file.check(&path, stage1.inputs(), &Inputs::of("this bank", bank.header()))?;
    Ok((stage1, file))
}

/// Targets of a step. Where a RoI stands for several, the divisor is what they stand for.
pub(crate) fn targets(
    step: &Step,
    classes: usize,
    draw: DrawKey,
    reduction: Reduction,
) -> Result<RoiTargets, LossError> {
    let targets = RoiTargets::new(&step.labels, classes, draw)?.with_reduction(reduction);
    if step.weights.iter().all(|weight| *weight == 1.0) {
        return Ok(targets);
    }
    let normalizer = match reduction.normalizer {
        Normalizer::Rois => {
            Normalizer::Constant(step.weights.iter().map(|w| f64::from(*w)).sum::<f64>().max(1.0))
        }
        other => other,
    };
    targets.with_weights(&step.weights).map(|t| t.with_reduction(Reduction { normalizer, ..reduction }))
}

/// Iterations of a recipe.
pub fn iterations(length: Length, steps_per_epoch: u64) -> u64 {
    match length {
        Length::Iterations(iterations) => iterations,
        Length::Epochs(epochs) => (epochs * steps_per_epoch as f64).ceil().max(1.0) as u64,
    }
}

struct Training {
    layer: Layer,
    /// Of weight and bias, and of the hidden layer's: empty ones if that is not trained.
    sgd: SliceSgd,
    state: LossState,
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
        loss: &dyn ClassificationLoss,
        began: Instant,
        observer: &mut dyn Observer,
    ) -> Result<f64, TrainError> {
        let mut stream = Stream::new(bank, recipe)?;
        let total = iterations(recipe.length, stream.steps_per_epoch());
        stream.skip(self.iteration);
        let classes = bank.header().classes.len();
        let (mut value, mut saved, before) = (0.0, Instant::now(), self.seconds);
        while self.iteration < total {
            let mut step = stream.next_step()?;
            let draw = DrawKey { seed: recipe.seed, step: self.iteration };
            let targets = targets(&step, classes, draw, recipe.reduction)?;
            let found = match self.layer.evaluate(&mut step.features, &targets, loss, &self.state) {
                Err(LossError::NotFinite { .. }) => return Err(self.not_finite(f64::NAN)),
                other => other?,
            };
            let classifier = found.classifier;
            value = classifier.value;
            if !value.is_finite() {
                return Err(self.not_finite(value));
            }
            self.state = classifier.state;
            let rate = sgd.learning_rate * recipe.schedule.factor(self.iteration, total);
            let of_hidden = match recipe.hidden {
                Some(HiddenRecipe::Trained { learning_rate_factor }) => rate * learning_rate_factor,
                _ => rate,
            };
            let Layer { weight, bias, hidden, .. } = &mut self.layer;
            let mut parameters = vec![
                Parameter { values: weight, gradient: classifier.weight, learning_rate: rate },
                Parameter { values: bias, gradient: classifier.bias, learning_rate: rate },
            ];
            if let (Some(hidden), Some([weight, bias])) = (hidden, found.hidden) {
                parameters.extend([
                    Parameter { values: &mut hidden.weight, gradient: weight, learning_rate: of_hidden },
                    Parameter { values: &mut hidden.bias, gradient: bias, learning_rate: of_hidden },
                ]);
            }
            self.sgd.step(sgd, parameters);
            self.iteration += 1;
            observer.observe(Event::Step {
                stage: &self.file.name,
                place: (0, 1),
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
                return Err(TrainError::Stopped { what: "steps".into(), done, total });
            }
        }
        Ok(value)
    }

    fn not_finite(&self, value: f64) -> TrainError {
        TrainError::NonFiniteLoss {
            stage: self.file.name.clone(),
            step: self.iteration,
            terms: format!("classification = {value}"),
            images: Vec::new(),
        }
    }

    fn save(&self) -> Result<(), TrainError> {
        let (Some(path), [weight, bias, of_hidden @ ..]) = (&self.checkpoint, self.sgd.velocity()) else {
            return Ok(());
        };
        let resume = Resume { iteration: self.iteration, state: self.state.clone(), seconds: self.seconds };
        // The hidden layer is trained as the head has it.
        let mut tensors: Vec<(&str, &[f32])> = vec![
            ("trained.weight", &self.layer.weight),
            ("trained.bias", &self.layer.bias),
            ("velocity.weight", weight),
            ("velocity.bias", bias),
        ];
        let names = ["velocity.hidden.weight", "velocity.hidden.bias"];
        tensors.extend(names.into_iter().zip(of_hidden.iter().map(Vec::as_slice)));
        head(&self.layer, &self.file).write_with(path, &self.file, Some((&resume, &tensors)))
    }

    /// Goes on from the checkpoint, if there is one.
    fn resume(&mut self) -> Result<(), TrainError> {
        let Some(path) = self.checkpoint.clone().filter(|path| path.exists()) else { return Ok(()) };
        let Opened { head, file, resume, mut tensors } = Head::read_with(&path)?;
        let refused = |reason: &str| TrainError::Head { path: path.clone(), reason: reason.into() };
        if file != self.file {
            return Err(refused(
                "was begun with other settings or another bank; use the same ones, or remove it to start again",
            ));
        }
        let mut take = |name: &str, length: usize| {
            tensors
                .remove(name)
                .filter(|values| values.len() == length)
                .ok_or_else(|| refused("is no checkpoint"))
        };
        let (weights, biases) = (self.layer.weight.len(), self.layer.bias.len());
        let mut velocity = vec![take("velocity.weight", weights)?, take("velocity.bias", biases)?];
        if let Some(hidden) = self.layer.hidden.as_ref().filter(|_| self.layer.hidden_trained) {
            velocity.push(take("velocity.hidden.weight", hidden.weight.len())?);
            velocity.push(take("velocity.hidden.bias", hidden.bias.len())?);
        }
        let resume = resume.ok_or_else(|| refused("is no checkpoint"))?;
        self.layer.weight = take("trained.weight", weights)?;
        self.layer.bias = take("trained.bias", biases)?;
        self.layer.hidden = head.hidden;
        self.sgd = SliceSgd::with_velocity(velocity);
        (self.iteration, self.state, self.seconds) = (resume.iteration, resume.state, resume.seconds);
        Ok(())
    }
}
