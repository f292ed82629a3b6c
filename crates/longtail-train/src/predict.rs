//! Detections of a trained run on any image.

use std::path::Path;

use burn::{nn::LinearConfig, tensor::Device};
use longtail_data::{Batch, RgbImage, Sample, Targets, Transform};
use longtail_detect::{Detections, FasterRcnn, TestConfig};
use longtail_loss::{ClassContext, ClassificationLoss};

use crate::{
    checkpoint::Checkpoint,
    data::Class,
    error::TrainError,
    evaluation::{Scored, detect_batch},
    parameters::restore,
    recipe::Recipe,
    results::Results,
};

/// A trained detector with one of its classifiers.
pub struct Predictor {
    detector: FasterRcnn,
    linear: burn::nn::Linear,
    loss: Box<dyn ClassificationLoss>,
    transform: Transform,
    test: TestConfig,
    device: Device,
    /// Classes by label.
    pub classes: Vec<Class>,
    /// Name of the classifier.
    pub classifier: String,
}

impl Predictor {
    /// Loads a finished run; without a name, its last classifier.
    ///
    /// # Errors
    /// If the run is not finished, or has no such classifier.
    pub fn load(run: &Path, classifier: Option<&str>, device: &Device) -> Result<Self, TrainError> {
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
        let (images, boxes): (Vec<u64>, Vec<u64>) =
            results.classes.iter().map(|c| (c.train_images, c.train_instances)).unzip();
        let num_classes = results.classes.len();
        let context = ClassContext {
            num_classes,
            image_counts: Some(&images),
            instance_counts: Some(&boxes),
            total_images: Some(results.train_images),
            statistics_free: false,
        };
        let path = run.join(format!("checkpoints/{}.safetensors", chosen.stage));
        let checkpoint = Checkpoint::read(&path)?;
        let mismatch = |reason: String| TrainError::Checkpoint { path: path.clone(), reason };

        let outputs = checkpoint
            .classifier_outputs()
            .ok_or_else(|| mismatch("has no classifier; it is no checkpoint of a detector".into()))?;
        let device = device.clone().inner();
        let detector = recipe.detector.init(num_classes, outputs, 0, &device);
        let detector = restore(detector, &checkpoint.model).map_err(mismatch)?;
        let loss = chosen.loss.build(&context)?;
        let loss = match chosen.correction {
            Some(correction) => correction.correct(loss, &context)?,
            None => loss,
        };
        let linear = match checkpoint.classifiers.iter().find(|c| c.name == chosen.name) {
            None => detector.classifier().clone(),
            Some(state) => {
                let [inputs, _] = detector.classifier().weight.dims();
                let linear = LinearConfig::new(inputs, loss.num_outputs(num_classes)).init(&device);
                restore(linear, &state.parameters).map_err(mismatch)?
            }
        };
        let linear = Scored::new(&linear, loss.as_ref())?.linear;
        Ok(Self {
            detector,
            linear,
            loss,
            transform: recipe.transform,
            test: recipe.test,
            device,
            classifier: chosen.name.clone(),
            classes: results.classes,
        })
    }

    /// Detections of an image in its own pixels, best first, as for evaluation: display wants a threshold.
    pub fn detect(&self, image: RgbImage) -> Detections {
        let batch =
            Batch::single(Sample { image_id: 0, image, targets: Targets::default() }, &self.transform);
        let scored = Scored { linear: self.linear.clone(), loss: self.loss.as_ref() };
        let mut found = detect_batch(&self.detector, &[scored], &batch, &self.test, &self.device);
        found.pop().and_then(|mut images| images.pop()).unwrap_or_default()
    }
}
