//! A stage that trains only the last classification layer (each head's, in a cascade): one or more classifiers, side by
//! side.
//!
//! Everything below is frozen, so the trunk runs once a batch and every classifier sees the same RoIs in the same
//! order. Training them together gives what training each alone would give, for the price of one.

use burn::tensor::Device;
use longtail_detect::{FasterRcnn, HeadRois, layers::Linear};
use longtail_head::{Classifier, ClassifierKind, HeadInputs, StepError, columns, layer::Layer};
use longtail_loss::Column;
use longtail_run::Position;

use crate::{
    checkpoint::{Checkpoint, ClassifierState},
    context::{Run, frozen},
    error::TrainError,
    evaluation::{Scored, image_batch},
    linear::{from_linear, linear},
    loops::stage_log::{Measured, StageLog, State, Step},
    parameters::{floats, snapshot},
    recipe::Stage,
};

/// Trains the stage's classifiers and evaluates them at the end. The detector comes back unchanged, or with the
/// trained classifier if the stage has only one.
pub(crate) fn train(
    run: &mut Run<'_>,
    index: usize,
    detector: FasterRcnn,
    resumed: Option<&Checkpoint>,
) -> Result<FasterRcnn, TrainError> {
    let stage = &run.recipe.stages[index];
    let trunk = frozen(&detector);
    let (device, inner) = (run.device.clone(), run.device.clone().inner());
    let mut classifiers = start(run, stage, &detector)?;
    if let Some(checkpoint) = resumed {
        load(&mut classifiers, checkpoint, run)?;
    }
    let mut log = StageLog::begin(run, index, resumed)?;

    while let Some(step) = log.next_step()? {
        let rois = trunk.roi_features(&image_batch(&step.batch, &inner), &step.targets(), step.draw)?;
        let heads: Vec<HeadInputs> = rois.heads.into_iter().map(inputs).collect::<Result<_, _>>()?;
        // The classifier layers below count as network: their losses are part of them.
        let rate = stage.optimizer.learning_rate * step.factor;
        let mut measured = Measured::new(Vec::new(), rate, rois.host_time);
        for classifier in &mut classifiers {
            if step.logged {
                measured.kept(&classifier.name, classifier.kept_negatives(&heads));
            }
            let found = classifier.step(&heads, &stage.optimizer, step.factor, 1.0);
            let found = found.map_err(|error| refused(&step, &classifier.name, error))?;
            measured.losses.push((classifier.name.clone(), found.loss));
            measured.gradient_norm(&classifier.name, found.gradient_norm);
        }
        let state = ClassifierStage { detector: &detector, trunk: &trunk, classifiers: &classifiers };
        log.end_step(step, measured, &state)?;
    }

    let end = Position { stage: index + 1, iteration: 0 };
    let trained = match classifiers.as_slice() {
        [only] => detector.clone().with_classifiers(linears(only, &device)),
        _ => detector.clone(),
    };
    let state = ClassifierStage { detector: &trained, trunk: &trunk, classifiers: &classifiers };
    let of_stage = state.checkpoint(end);
    let last = Checkpoint { classifiers: Vec::new(), ..of_stage.clone() };
    log.finish(&state, &of_stage, &last)?;
    Ok(trained)
}

/// What a head's classifier sees.
fn inputs(rois: HeadRois) -> Result<HeadInputs, TrainError> {
    let HeadRois { features, targets, loss_weight } = rois;
    let features = floats("RoI features", &features.into_data())?;
    Ok(HeadInputs { features, targets, stands_for: None, loss_weight })
}

fn refused(step: &Step, name: &str, error: StepError) -> TrainError {
    match error {
        StepError::Refused(error) => error.into(),
        not_finite => step.not_finite(format!("{name}: {not_finite}")),
    }
}

/// Every classifier of the stage, starting from the detector's by what its columns are about.
fn start(run: &Run<'_>, stage: &Stage, detector: &FasterRcnn) -> Result<Vec<Classifier>, TrainError> {
    // The detector's classifier is that of the last stage that had one alone; the first always has.
    let earlier = run.recipe.stages.iter().take_while(|s| s.name != stage.name);
    let origin = earlier.filter(|s| s.classifiers.len() == 1).last();
    let classes = run.data.classes.len();
    let trained: Vec<Column> = match origin {
        Some(origin) => run.build_loss(&origin.classifiers[0])?.columns(classes),
        None => Vec::new(),
    };
    let of_recipe = |recipe: &longtail_head::ClassifierRecipe| {
        let loss = run.build_loss(recipe)?;
        let needed = loss.columns(classes);
        let layer = |own: &&Linear| {
            let [inputs, outputs] = own.weight.dims();
            if outputs != trained.len() {
                let field = format!("classifiers.{}.loss", recipe.name);
                let known = trained.len();
                let reason = format!("takes over {known} columns, but the stage before has {outputs}");
                return Err(TrainError::recipe(field, reason));
            }
            let (weight, bias) = from_linear(own)?;
            let (weight, bias) = columns::start(&needed, &trained, &weight, &bias, inputs);
            Ok(Layer::new(ClassifierKind::Linear, weight, bias, inputs))
        };
        let layers = detector.classifiers().iter().map(layer).collect::<Result<_, _>>()?;
        let rate = recipe.learning_rate.unwrap_or(stage.optimizer.learning_rate);
        Ok(Classifier::new(recipe.name.clone(), loss, layers, recipe.reduction, rate))
    };
    stage.classifiers.iter().map(of_recipe).collect()
}

fn load(classifiers: &mut [Classifier], checkpoint: &Checkpoint, run: &Run<'_>) -> Result<(), TrainError> {
    let mismatch = |reason: String| TrainError::Checkpoint { path: run.folder.last_checkpoint(), reason };
    if classifiers.len() != checkpoint.classifiers.len() {
        let (found, expected) = (checkpoint.classifiers.len(), classifiers.len());
        return Err(mismatch(format!("holds {found} classifiers, the recipe has {expected}")));
    }
    let mut states = classifiers.iter_mut().zip(&checkpoint.classifiers);
    states.try_for_each(|(classifier, state)| state.load(classifier).map_err(mismatch))
}

/// The layers as the detector has them.
fn linears(classifier: &Classifier, device: &Device) -> Vec<Linear> {
    classifier.layers().iter().map(|layer| linear(&layer.weight, &layer.bias, device)).collect()
}

/// Where the stage stands.
struct ClassifierStage<'a> {
    detector: &'a FasterRcnn,
    trunk: &'a FasterRcnn,
    classifiers: &'a [Classifier],
}

impl State for ClassifierStage<'_> {
    fn checkpoint(&self, position: Position) -> Checkpoint {
        Checkpoint {
            position,
            model: snapshot(self.detector),
            classifiers: self.classifiers.iter().map(ClassifierState::of).collect(),
            ..Checkpoint::default()
        }
    }

    fn scored(&self) -> Result<(FasterRcnn, Vec<Scored<'_>>), TrainError> {
        let device = self.trunk.classifiers()[0].weight.device();
        let scored = self.classifiers.iter().map(|classifier| {
            let linears = linears(classifier, &device);
            let linears: Vec<&Linear> = linears.iter().collect();
            Scored::new(&classifier.name, &linears, classifier.loss.as_ref())
        });
        let scored = scored.collect::<Result<_, _>>()?;
        Ok((self.trunk.clone(), scored))
    }
}
