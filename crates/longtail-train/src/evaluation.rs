//! Runs the detector over the validation images and scores it. The trunk runs once; any number of classifiers
//! read the same RoI features.

use burn::{
    module::Param,
    tensor::{Device, Tensor, TensorData},
};
use longtail_bank::ClassTable;
use longtail_data::{Batch, Dataset, Loader, Transform};
use longtail_detect::{
    Detections, FasterRcnn, ImageBatch, ImageMeta, TestConfig, cascade::averaged, layers::Linear,
    postprocess::merge,
};
use longtail_eval::{Detection, EvalReport};
use longtail_loss::ClassificationLoss;
use longtail_ops::TensorLoss;
use longtail_run::{Event, Observer};
use std::sync::Arc;

use crate::{data::Validation, error::TrainError, parameters::floats, views};

/// Images of an evaluation batch.
pub const BATCH_SIZE: usize = 8;

/// A classifier to evaluate: its layer, without autodiff, and the map from its logits to scores.
pub struct Scored<'a> {
    /// Name in tables and files.
    pub name: &'a str,
    /// The layer; in a cascade the average of every head's, over the features of all.
    pub linear: Linear,
    /// Gives the scores.
    pub loss: &'a dyn ClassificationLoss,
}

impl<'a> Scored<'a> {
    /// Every head's trained layer with their loss, whose correction of the weights is applied to each.
    ///
    /// # Errors
    /// If a layer does not fit the loss.
    pub fn new(
        name: &'a str,
        linears: &[&Linear],
        loss: &'a dyn ClassificationLoss,
    ) -> Result<Self, TrainError> {
        let corrected =
            linears.iter().map(|linear| corrected(linear, loss)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { name, linear: averaged(&corrected), loss })
    }
}

/// A layer without autodiff, its weights corrected as the loss says.
pub(crate) fn corrected(linear: &Linear, loss: &dyn ClassificationLoss) -> Result<Linear, TrainError> {
    let weight = linear.weight.val();
    let weight = if weight.is_autodiff() { weight.inner() } else { weight };
    let (dims, device) = (weight.dims(), weight.device());
    let mut values = floats("a classifier's weight", &weight.into_data())?;
    loss.final_weights(&mut values, dims[1])?;
    let weight = Tensor::from_data(TensorData::new(values, dims), &device);
    let bias = linear.bias.val();
    let bias = if bias.is_autodiff() { bias.inner() } else { bias };
    Ok(Linear { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) })
}

/// Detections of every classifier over a data set, `[classifier][detection]`, images in file order. `classes` are those that
/// the detector was trained on: its labels are theirs, whatever classes the data set's own file has.
///
/// # Errors
/// If an image cannot be read.
pub fn detect(
    detector: &FasterRcnn,
    classifiers: &[Scored<'_>],
    dataset: &Arc<Dataset>,
    classes: &ClassTable,
    transform: &Transform,
    test: &TestConfig,
    workers: usize,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Vec<Vec<Detection>>, TrainError> {
    let device = device.clone().inner();
    let mut results: Vec<Vec<Detection>> = classifiers.iter().map(|_| Vec::new()).collect();
    let total = dataset.len() as u64;
    let mut done = 0;
    let views = views::transforms(transform, test).into_iter();
    let mut loaders: Vec<Loader> =
        views.map(|view| Loader::sequential(Arc::clone(dataset), view, BATCH_SIZE, workers)).collect();
    loop {
        let batches = loaders.iter_mut().filter_map(Iterator::next).collect::<Result<Vec<Batch>, _>>()?;
        let Some(batch) = batches.first() else { break };
        let found = detect_batch(detector, classifiers, &batches, test, &device);
        for (result, images) in results.iter_mut().zip(found) {
            for (image, detections) in batch.images.iter().zip(images) {
                result.extend(file_detections(image.image_id, &detections, classes));
            }
        }
        done += batch.images.len() as u64;
        observer.observe(Event::Progress { task: "evaluating", done, total });
    }
    Ok(results)
}

/// Detections of every classifier on one batch, given at each size of the test-time augmentation, `[classifier][image]`.
pub fn detect_batch(
    detector: &FasterRcnn,
    classifiers: &[Scored<'_>],
    sizes: &[Batch],
    test: &TestConfig,
    device: &Device,
) -> Vec<Vec<Detections>> {
    // `[view][classifier][image]`
    let mut found: Vec<Vec<Vec<Detections>>> = Vec::new();
    for batch in sizes {
        found.push(detect_view(detector, classifiers, batch, test, device));
        if test.views.mirrored {
            let seen = detect_view(detector, classifiers, &views::mirrored(batch), test, device).into_iter();
            let widths = || batch.images.iter().map(|image| image.original_width);
            let back = |images: Vec<Detections>| {
                images.into_iter().zip(widths()).map(|(d, width)| views::unmirrored(d, width)).collect()
            };
            found.push(seen.map(back).collect());
        }
    }
    if found.len() == 1 {
        return found.remove(0);
    }
    let images = sizes.first().map_or(0, |batch| batch.images.len());
    let merged = |classifier: usize, image: usize| {
        let views: Vec<Detections> = found.iter().map(|view| view[classifier][image].clone()).collect();
        merge(&views, test)
    };
    (0..classifiers.len()).map(|c| (0..images).map(|image| merged(c, image)).collect()).collect()
}

fn detect_view(
    detector: &FasterRcnn,
    classifiers: &[Scored<'_>],
    batch: &Batch,
    test: &TestConfig,
    device: &Device,
) -> Vec<Vec<Detections>> {
    let images = image_batch(batch, device);
    let meta: Vec<ImageMeta> = batch.images.iter().map(ImageMeta::from).collect();
    let proposals = detector.propose_features(&images);
    classifiers
        .iter()
        .map(|classifier| {
            let logits = classifier.linear.forward(proposals.features.clone());
            let scores = classifier.loss.scores(&logits);
            detector.detect(&proposals, &scores, &meta, test)
        })
        .collect()
}

/// Moves a batch to the device.
pub fn image_batch(batch: &Batch, device: &Device) -> ImageBatch {
    let pixels = Tensor::from_data(TensorData::new(batch.pixels.to_vec(), batch.shape), device);
    let sizes = batch.images.iter().map(|image| [image.height, image.width]).collect();
    ImageBatch { pixels, sizes }
}

/// Detections as files and evaluators want them: category ids, x, y, width, height.
pub fn file_detections(image_id: i64, detections: &Detections, classes: &ClassTable) -> Vec<Detection> {
    let boxes = detections.boxes.iter().zip(&detections.labels).zip(&detections.scores);
    boxes
        .map(|((xyxy, &label), &score)| {
            let [x1, y1, x2, y2] = xyxy.map(f64::from);
            Detection {
                image_id,
                category_id: classes[label as usize].category_id,
                bbox: [x1, y1, x2 - x1, y2 - y1],
                score: f64::from(score),
            }
        })
        .collect()
}

/// Scores detections against every truth of the validation data.
///
/// # Errors
/// If the truth lacks what its protocol needs.
pub fn score(
    validation: &Validation,
    detections: &[Detection],
) -> Result<Vec<(String, EvalReport)>, TrainError> {
    validation
        .truths
        .iter()
        .map(|truth| Ok((truth.name.clone(), truth.scoring.evaluate(&truth.annotations, detections)?)))
        .collect()
}
