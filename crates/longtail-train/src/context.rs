//! A run under way: what its stages share.

use std::{collections::BTreeMap, sync::Arc};

use burn::{module::Module, tensor::Device};
use longtail_data::{BatchPlan, Loader};
use longtail_detect::FasterRcnn;
use longtail_draw::{Purpose, derive};
use longtail_eval::write_detections;
use longtail_head::{ClassifierRecipe, build_loss};
use longtail_loss::ClassificationLoss;
use longtail_ops::device;
use longtail_run::{
    ClassifierResult, EvaluationRecord, Event, MetricsLog, Observer, Record, Results, RunFolder,
};

use crate::{
    data::RunData,
    error::TrainError,
    evaluation::{Scored, detect, score},
    recipe::Recipe,
};

/// A run under way: what the stages share.
pub(crate) struct Run<'a> {
    /// The recipe.
    pub(crate) recipe: &'a Recipe,
    /// Its folder.
    pub(crate) folder: &'a RunFolder,
    /// The data.
    pub(crate) data: RunData,
    /// The device, with autodiff.
    pub(crate) device: Device,
    /// The log.
    pub(crate) metrics: MetricsLog,
    /// Who watches.
    pub(crate) observer: &'a mut dyn Observer,
    /// What was found so far.
    pub(crate) results: Results,
}

impl Run<'_> {
    /// Builds a classifier's loss, with its correction, for the training set.
    ///
    /// # Errors
    /// If a setting is out of range or a needed class count is missing.
    pub(crate) fn build_loss(
        &self,
        classifier: &ClassifierRecipe,
    ) -> Result<Box<dyn ClassificationLoss>, TrainError> {
        loss_of(classifier, &self.data, self.recipe)
    }

    /// Batches of a stage from iteration `start` on, and the number of iterations of the stage.
    pub(crate) fn batches(&self, index: usize, start: u64) -> Result<(Loader, u64), TrainError> {
        let stage = &self.recipe.stages[index];
        let seed = derive(self.recipe.seed, Purpose::BatchSeed, index as u64);
        let mut plan = BatchPlan::new(&self.data.train, &stage.sampler, stage.batch_size, seed)?;
        if stage.aspect_grouping {
            plan = plan.grouped_by_aspect(&self.data.train);
        }
        let iterations = stage.length.iterations(plan.iterations_per_epoch());
        let (train, transform) = (Arc::clone(&self.data.train), self.recipe.transform.clone());
        Ok((Loader::train(train, plan, transform, start, self.recipe.workers)?, iterations))
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
        classifiers: &[Scored<'_>],
        last: bool,
    ) -> Result<(), TrainError> {
        let Some(validation) = &self.data.validation else { return Ok(()) };
        let stage = &self.recipe.stages[index];
        let found = detect(
            detector,
            classifiers,
            &validation.dataset,
            &self.data.classes,
            &self.recipe.transform,
            &self.recipe.test,
            self.recipe.workers,
            &self.device,
            self.observer,
        )?;
        let mut records = Vec::new();
        for (classifier, (scored, detections)) in classifiers.iter().zip(&found).enumerate() {
            let name = scored.name;
            let reports = score(validation, detections)?;
            records.extend(reports.iter().map(|(truth, report)| {
                Record::Evaluation(EvaluationRecord {
                    stage_index: index,
                    stage: stage.name.clone(),
                    iteration,
                    classifier: name.to_owned(),
                    truth: truth.clone(),
                    metrics: report.metrics.clone(),
                })
            }));
            if last {
                let file = format!("detections/{}-{classifier}.json", stage.name);
                write_detections(&self.folder.join(&file), detections)?;
                let recipe = &stage.classifiers[classifier];
                let result = ClassifierResult {
                    name: name.to_owned(),
                    stage: stage.name.clone(),
                    iterations: iteration,
                    loss: recipe.loss.clone(),
                    correction: recipe.correction,
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
        if last { Ok(self.results.write(self.folder)?) } else { Ok(()) }
    }
}

/// Builds a classifier's loss for the training set of a run.
pub(crate) fn loss_of(
    classifier: &ClassifierRecipe,
    data: &RunData,
    recipe: &Recipe,
) -> Result<Box<dyn ClassificationLoss>, TrainError> {
    let images = data.train.counts().total_images;
    let (loss, correction) = (&classifier.loss, classifier.correction);
    Ok(build_loss(loss, correction, &data.classes, images, recipe.statistics_free)?)
}

/// The detector without autodiff, for evaluation and for frozen features.
pub(crate) fn frozen(detector: &FasterRcnn) -> FasterRcnn {
    detector.valid()
}
