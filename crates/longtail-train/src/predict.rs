//! Detections of a trained run on any image.

use std::path::Path;

use burn::tensor::Device;
use longtail_bank::ClassTable;
use longtail_data::{Batch, RgbImage, Sample, Targets, Transform};
use longtail_detect::{
    Detections, FasterRcnn, FasterRcnnConfig, TestConfig, cascade::averaged, layers::Linear,
};
use longtail_head::build_loss;
use longtail_loss::{ClassificationLoss, Column};
use longtail_run::Results;

use crate::{
    checkpoint::Checkpoint,
    error::TrainError,
    evaluation::{Scored, corrected, detect_batch},
    parameters::{TensorMap, restore, snapshot},
    recipe::Recipe,
    views,
};

/// A trained detector with one of its classifiers.
pub struct Predictor {
    detector: FasterRcnn,
    /// Every head's layer, corrected as the loss says.
    linears: Vec<Linear>,
    loss: Box<dyn ClassificationLoss>,
    transform: Transform,
    test: TestConfig,
    device: Device,
    /// Classes by label.
    pub classes: ClassTable,
    /// Name of the classifier.
    pub classifier: String,
}

impl Predictor {
    /// Loads a finished run, or a file written by `longtail weights import`; without a name, the last classifier.
    ///
    /// # Errors
    /// If the run is not finished, has no such classifier, or the file is a backbone alone.
    pub fn load(path: &Path, classifier: Option<&str>, device: &Device) -> Result<Self, TrainError> {
        if path.is_file() {
            return Self::load_imported(path, classifier, device);
        }
        let run = path;
        let recipe = Recipe::read(&run.join("config.toml"), &[])?;
        let results = Results::read(run)?;
        let names =
            || results.classifiers.iter().map(|c| format!("`{}`", c.name)).collect::<Vec<_>>().join(", ");
        let chosen = match classifier {
            None => results.classifiers.last(),
            Some(name) => results.classifiers.iter().find(|c| c.name == name),
        };
        let chosen = chosen.ok_or_else(|| TrainError::NoClassifier {
            path: run.to_owned(),
            name: classifier.unwrap_or("any").to_owned(),
            known: names(),
        })?;
        let num_classes = results.classes.len();
        let path = run.join(format!("checkpoints/{}.safetensors", chosen.stage));
        let checkpoint = Checkpoint::read(&path)?;
        let mismatch = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };

        let outputs = checkpoint
            .classifier_outputs()
            .ok_or_else(|| mismatch("has no classifier; it is not a checkpoint of a detector".into()))?;
        let device = device.clone().inner();
        let detector = recipe.detector.init(num_classes, outputs, 0, &device);
        let detector = restore(detector, &checkpoint.model).map_err(mismatch)?;
        let (loss, correction) = (&chosen.loss, chosen.correction);
        let loss = build_loss(loss, correction, &results.classes, results.train_images, false)?;
        let own: Vec<Linear> = detector.classifiers().into_iter().cloned().collect();
        let linears = match checkpoint.classifiers.iter().find(|c| c.name == chosen.name) {
            None => own,
            Some(state) => {
                let layers = own.iter().enumerate().map(|(head, layer)| {
                    let [inputs, _] = layer.weight.dims();
                    let linear = Linear::zeros(inputs, loss.num_outputs(num_classes), &device);
                    restore(linear, &state.head(head)).map_err(mismatch)
                });
                layers.collect::<Result<_, _>>()?
            }
        };
        let linears =
            linears.iter().map(|linear| corrected(linear, loss.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self {
            detector,
            linears,
            loss,
            transform: recipe.transform,
            test: recipe.test,
            device,
            classifier: chosen.name.clone(),
            classes: results.classes,
        })
    }

    fn load_imported(path: &Path, classifier: Option<&str>, device: &Device) -> Result<Self, TrainError> {
        let checkpoint = Checkpoint::read(path)?;
        let refused = |reason: &str| TrainError::Checkpoint { path: path.to_owned(), reason: reason.into() };
        let description = checkpoint.description.ok_or_else(|| {
            refused("does not describe its detector; give the run folder, or import it with `longtail weights import`")
        })?;
        if !description.complete {
            return Err(refused(
                "is a part of a detector and cannot predict; train from it with the key `weights`",
            ));
        }
        description.validate()?;
        if let Some(name) = classifier.filter(|name| *name != description.source) {
            let (path, name) = (path.to_owned(), name.to_owned());
            return Err(TrainError::NoClassifier { path, name, known: format!("`{}`", description.source) });
        }
        let num_classes = description.classes.len();
        let loss = build_loss(&description.loss, None, &description.classes, 0, false)?;
        let device = device.clone().inner();
        let detector = description.detector.init(num_classes, loss.num_outputs(num_classes), 0, &device);
        let detector = restore(detector, &checkpoint.model)
            .map_err(|reason| TrainError::Checkpoint { path: path.to_owned(), reason })?;
        Ok(Self {
            linears: detector.classifiers().into_iter().cloned().collect(),
            detector,
            loss,
            transform: description.transform,
            test: description.test,
            device,
            classifier: description.source,
            classes: description.classes,
        })
    }

    /// Every tensor of the detector with this classifier, by path.
    pub fn parameters(&self) -> TensorMap {
        snapshot(&self.detector.clone().with_classifiers(self.linears.clone()))
    }

    /// What the classifier's columns are about.
    pub fn columns(&self) -> Vec<Column> {
        self.loss.columns(self.classes.len())
    }

    /// How logits become scores, in a word.
    pub fn score_function(&self) -> &'static str {
        if self.loss.scores_are_softmax() { "softmax" } else { "the loss's own" }
    }

    /// Preparation of images.
    pub fn transform(&self) -> &Transform {
        &self.transform
    }

    /// Settings of the detector.
    pub fn detector_config(&self) -> &FasterRcnnConfig {
        self.detector.config()
    }

    /// Detections of an image in its own pixels, best first, as for evaluation: display wants a threshold.
    pub fn detect(&self, image: RgbImage) -> Detections {
        let sample = Sample { image_id: 0, image, targets: Targets::default() };
        let views = views::transforms(&self.transform, &self.test).into_iter();
        let batches: Vec<Batch> = views.map(|view| Batch::single(sample.clone(), &view)).collect();
        let scored =
            Scored { name: &self.classifier, linear: averaged(&self.linears), loss: self.loss.as_ref() };
        let mut found = detect_batch(&self.detector, &[scored], &batches, &self.test, &self.device);
        found.pop().and_then(|mut images| images.pop()).unwrap_or_default()
    }
}
