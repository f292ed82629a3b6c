//! A run from its recipe to its results: open the data, train the stages in order, evaluate each classifier.

use std::{collections::BTreeMap, sync::Arc};

use burn::{module::Module, tensor::Device};
use longtail_data::{BatchPlan, Loader, Transform};
use longtail_detect::{FasterRcnn, device};
use longtail_eval::write_detections;
use longtail_loss::{ClassContext, ClassificationLoss};

use crate::{
    checkpoint::{Checkpoint, Position},
    data::RunData,
    environment,
    error::TrainError,
    evaluation::{Scored, detect, score},
    metrics::{EvaluationRecord, MetricsLog, Record},
    observer::{Event, Observer},
    parameters::{restore, snapshot},
    recipe::{ClassifierRecipe, Length, Recipe, Stage, Trained},
    results::{ClassifierResult, Results},
    run_folder::RunFolder,
    seed::{Purpose, derive},
    sgd::Sgd,
    stage_classifier, stage_detector, weights,
};

/// A run under way: what the stages share.
pub struct Run<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its folder.
    pub folder: &'a RunFolder,
    /// The data.
    pub data: RunData,
    /// The device, with autodiff.
    pub device: Device,
    /// The log.
    pub metrics: MetricsLog,
    /// Who watches.
    pub observer: &'a mut dyn Observer,
    /// What was found so far.
    pub results: Results,
}

/// Runs a recipe in `folder`; with `resume` it goes on from the last checkpoint there, to the same bits.
///
/// # Errors
/// On bad data or settings, a non-finite loss, a full disk, or an interruption (a checkpoint is written then).
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
    let environment = environment::describe(command, device);
    folder.write("environment.json", &json(&environment))?;

    let data = RunData::open(&recipe.data, &recipe.transform, recipe.seed, observer)?;
    let device = device.clone().autodiff();
    let num_classes = data.classes.len();
    // All of them now: a bad setting of the last stage must not be found after the first one's days.
    for (s, stage) in recipe.stages.iter().enumerate() {
        for (c, classifier) in stage.classifiers.iter().enumerate() {
            build_loss(&data, recipe, classifier).map_err(|error| {
                TrainError::recipe(format!("stages.{s}.classifiers.{c}.loss"), format!("is refused: {error}"))
            })?;
        }
    }
    let first = build_loss(&data, recipe, &recipe.stages[0].classifiers[0])?;
    // A stage with a single classifier has put its own into the detector.
    let outputs = checkpoint.as_ref().and_then(Checkpoint::classifier_outputs);
    let mut detector = recipe.detector.init(
        num_classes,
        outputs.unwrap_or_else(|| first.num_outputs(num_classes)),
        derive(recipe.seed, Purpose::Initialisation),
        &device,
    );
    if let (Some(path), false) = (&recipe.weights, resume) {
        let columns = first.columns(num_classes);
        let (started, notes) = weights::start(detector, path, &data.classes, &columns, &recipe.transform)?;
        detector = started;
        notes.iter().for_each(|note| observer.observe(Event::Note(note)));
    }
    let results = match resume.then(|| Results::read(folder.path())) {
        Some(Ok(results)) => results,
        _ => Results {
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
    let metrics = MetricsLog::open(&folder.join("metrics.jsonl"), position)?;
    if let Some(checkpoint) = &checkpoint {
        detector = restore(detector, &checkpoint.model).map_err(|reason| TrainError::Checkpoint {
            path: folder.last_checkpoint(),
            reason: format!("does not belong to this recipe: {reason}"),
        })?;
    }
    let mut run = Run { recipe, folder, data, device, metrics, observer, results };
    run.save_results()?;
    for (index, stage) in recipe.stages.iter().enumerate().skip(position.stage) {
        // The checkpoint's optimizer state belongs to the stage it was written in.
        let state = checkpoint.as_ref().filter(|_| index == position.stage && position.iteration > 0);
        detector = match stage.train {
            Trained::All => stage_detector::train(&mut run, index, detector, state)?,
            Trained::Classifier => stage_classifier::train(&mut run, index, detector, state)?,
        };
    }
    Ok(run.results)
}

/// Builds a classifier's loss, with its correction, for the classes of a data set.
///
/// # Errors
/// If a setting is out of range or a needed class count is missing.
pub fn build_loss(
    data: &RunData,
    recipe: &Recipe,
    classifier: &ClassifierRecipe,
) -> Result<Box<dyn ClassificationLoss>, TrainError> {
    let counts = data.train.counts();
    let context = ClassContext {
        num_classes: data.classes.len(),
        image_counts: Some(&counts.images),
        instance_counts: Some(&counts.instances),
        total_images: Some(counts.total_images),
        statistics_free: recipe.statistics_free,
    };
    let loss = classifier.loss.build(&context)?;
    Ok(match classifier.correction {
        Some(correction) => correction.correct(loss, &context)?,
        None => loss,
    })
}

impl Run<'_> {
    /// Batches of a stage from iteration `start` on, and the number of iterations of the stage.
    pub(crate) fn batches(&self, index: usize, start: u64) -> Result<(Loader, u64), TrainError> {
        let stage = &self.recipe.stages[index];
        let seed = derive(self.recipe.seed, Purpose::Batches(index));
        let transform: &Transform = &self.recipe.transform;
        let mut plan = BatchPlan::new(&self.data.train, &stage.sampler, stage.batch_size, seed)?;
        if stage.aspect_grouping {
            plan = plan.grouped_by_aspect(&self.data.train);
        }
        let iterations = match stage.length {
            Length::Iterations(iterations) => iterations,
            Length::Epochs(epochs) => (epochs * plan.iterations_per_epoch() as f64).ceil().max(1.0) as u64,
        };
        let train = Arc::clone(&self.data.train);
        Ok((Loader::train(train, plan, transform.clone(), start, self.recipe.workers)?, iterations))
    }

    /// The stage with its index and the number of stages.
    pub(crate) fn stage(&self, index: usize) -> (&Stage, (usize, usize)) {
        (&self.recipe.stages[index], (index, self.recipe.stages.len()))
    }

    /// Adds a line to the log and tells the observer.
    pub(crate) fn log(&mut self, mut record: Record) -> Result<(), TrainError> {
        if let Record::Step(step) = &mut record {
            step.device_memory_mib = device::memory_mib(&self.device);
        }
        self.metrics.append(&record)?;
        match &record {
            Record::Step(step) => self.observer.observe(Event::Logged(step)),
            Record::Evaluation(evaluation) => self.observer.observe(Event::Evaluated(evaluation)),
        }
        Ok(())
    }

    /// Evaluates classifiers on the validation set, if there is one. At the end of a stage (`last`) the reports and
    /// detections are kept as results.
    pub(crate) fn evaluate(
        &mut self,
        index: usize,
        iteration: u64,
        detector: &FasterRcnn,
        classifiers: &[(&str, Scored<'_>)],
        last: bool,
    ) -> Result<(), TrainError> {
        let Some(validation) = &self.data.validation else { return Ok(()) };
        let stage = &self.recipe.stages[index];
        let scored: Vec<Scored<'_>> =
            classifiers.iter().map(|(_, s)| Scored { linear: s.linear.clone(), loss: s.loss }).collect();
        let found = detect(
            detector,
            &scored,
            &validation.dataset,
            self.data.train.labels(),
            &self.recipe.transform,
            &self.recipe.test,
            self.recipe.workers,
            &self.device,
            self.observer,
        )?;
        let mut records = Vec::new();
        for ((place, (name, _)), detections) in classifiers.iter().enumerate().zip(&found) {
            let reports = score(validation, detections)?;
            for (truth, report) in &reports {
                records.push(Record::Evaluation(EvaluationRecord {
                    stage_index: index,
                    stage: stage.name.clone(),
                    iteration,
                    classifier: (*name).to_owned(),
                    truth: truth.clone(),
                    metrics: report.metrics.clone(),
                }));
            }
            if last {
                let file = format!("detections/{}-{place}.json", stage.name);
                write_detections(&self.folder.join(&file), detections)?;
                let result = ClassifierResult {
                    name: (*name).to_owned(),
                    stage: stage.name.clone(),
                    iterations: iteration,
                    loss: stage.classifiers[place].loss.clone(),
                    correction: stage.classifiers[place].correction,
                    reports: reports.into_iter().collect::<BTreeMap<_, _>>(),
                    detections: file,
                };
                self.results.classifiers.retain(|r| (&r.stage, &r.name) != (&result.stage, &result.name));
                self.results.classifiers.push(result);
            }
        }
        for record in records {
            self.log(record)?;
        }
        if last { self.save_results() } else { Ok(()) }
    }

    fn save_results(&self) -> Result<(), TrainError> {
        self.folder.write("results.json", &json(&self.results)).map(|_| ())
    }

    /// A checkpoint of the detector with its optimizer.
    pub(crate) fn checkpoint(&self, position: Position, detector: &FasterRcnn, sgd: &Sgd) -> Checkpoint {
        Checkpoint { position, model: snapshot(detector), momentum: sgd.to_tensors(), ..Default::default() }
    }
}

/// The detector without autodiff, for evaluation and for frozen features.
pub(crate) fn frozen(detector: &FasterRcnn) -> FasterRcnn {
    detector.valid()
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}
