//! A part of a bank in the making: images run through the frozen detector, shard by shard.

use std::{
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use burn::tensor::{Device, Tensor};
use longtail_bank::{Bank, BankError, BankWriter, Counts, FeatureLayer, Header, ImageRows, Part, View};
use longtail_data::{Batch, BatchImage, DataError, Dataset, Resize, Transform, pixels::PixelPool};
use longtail_detect::{FasterRcnn, ImageMeta, TestConfig};
use longtail_draw::{DrawKey, Purpose, without_replacement};
use longtail_run::{Event, Observer};

use crate::{
    error::TrainError,
    evaluation::{BATCH_SIZE, image_batch},
    parameters::floats,
};

/// Batches that are run to see how many RoIs there are.
const PROBES: usize = 2;

/// A part in the making.
pub(crate) struct Job {
    pub(crate) detector: FasterRcnn,
    pub(crate) dataset: Arc<Dataset>,
    pub(crate) indices: Vec<usize>,
    pub(crate) views: Vec<View>,
    pub(crate) transform: Transform,
    pub(crate) pool: PixelPool,
    pub(crate) device: Device,
    pub(crate) test: TestConfig,
    pub(crate) background: usize,
    pub(crate) seed: u64,
    pub(crate) layer: FeatureLayer,
    pub(crate) logits: bool,
}

impl Job {
    /// Mean RoIs of an image view in a training part.
    pub(crate) fn probe(&self, observer: &mut dyn Observer) -> Result<f64, TrainError> {
        let (mut rows, mut images) = (0, 0);
        for probe in 0..PROBES {
            observer.observe(Event::Progress {
                task: "counting RoIs",
                done: probe as u64,
                total: PROBES as u64,
            });
            let start = probe * self.indices.len() / PROBES;
            let end = (start + BATCH_SIZE).min(self.indices.len());
            let batch =
                load(&self.dataset, &self.indices[start..end], View::PLAIN, &self.transform, &self.pool)?;
            let found = self.training_rows(&batch, 0)?;
            images += found.len();
            rows += found.iter().map(ImageRows::len).sum::<usize>();
        }
        observer.observe(Event::Progress {
            task: "counting RoIs",
            done: PROBES as u64,
            total: PROBES as u64,
        });
        Ok(rows as f64 / images.max(1) as f64)
    }

    /// Writes the part's missing shards and its header.
    pub(crate) fn run(
        &self,
        folder: &Path,
        header: Header,
        task: &str,
        observer: &mut dyn Observer,
    ) -> Result<Header, TrainError> {
        let mut writer = match BankWriter::open(folder, header.clone()) {
            // Another part was still missing: this one is read.
            Err(BankError::Exists { .. }) => return Ok(Bank::open(folder)?.header().clone()),
            other => other?,
        };
        let missing = writer.missing();
        let views_of = |shard: usize| header.images_of(shard).len() * self.views.len();
        let total: usize = (0..header.shard_count()).map(views_of).sum();
        let mut done = total - missing.iter().map(|&shard| views_of(shard)).sum::<usize>();
        for shard in missing {
            let indices = &self.indices[header.images_of(shard)];
            // Image by image, its views one after the other.
            let mut rows: Vec<Vec<ImageRows>> = indices.iter().map(|_| Vec::new()).collect();
            let batches = self.batches(indices);
            for (first, view, batch) in batches {
                let found = match header.part {
                    Part::Training => self.training_rows(&batch?, view)?,
                    Part::Proposals => self.proposal_rows(&batch?)?,
                };
                done += found.len();
                for (index, of_image) in found.into_iter().enumerate() {
                    rows[first + index].push(of_image);
                }
                observer.observe(Event::Progress { task, done: done as u64, total: total as u64 });
                if observer.stop_requested() && done < total {
                    return Err(TrainError::Stopped { what: task.to_owned(), done, total });
                }
            }
            let rows: Vec<ImageRows> = rows.into_iter().flatten().collect();
            // A worker that panicked ends the batches early: half a shard must not pass for a whole one.
            let (done, total) = (rows.len(), views_of(shard));
            if done < total {
                return Err(TrainError::WorkerEnded { task: task.to_owned(), done, total });
            }
            writer.write(shard, &rows)?;
        }
        Ok(writer.finish()?)
    }

    /// Batches of a shard, prepared ahead: index of the first image, view, batch.
    fn batches(&self, indices: &[usize]) -> impl Iterator<Item = (usize, usize, Result<Batch, DataError>)> {
        let (sender, receiver) = sync_channel(2);
        let (dataset, transform) = (Arc::clone(&self.dataset), self.transform.clone());
        let (indices, views, pool) = (indices.to_vec(), self.views.clone(), self.pool.clone());
        thread::spawn(move || {
            for (chunk, indices) in indices.chunks(BATCH_SIZE).enumerate() {
                for (view, &settings) in views.iter().enumerate() {
                    // Images that keep their size can only be scaled one by one.
                    let alone = settings.scale != 1.0 && transform.resize == Resize::Keep;
                    for (part, indices) in indices.chunks(if alone { 1 } else { BATCH_SIZE }).enumerate() {
                        let first = chunk * BATCH_SIZE + part;
                        let batch = load(&dataset, indices, settings, &transform, &pool);
                        // The receiver is gone when extraction stopped.
                        if sender.send((first, view, batch)).is_err() {
                            return;
                        }
                    }
                }
            }
        });
        receiver.into_iter()
    }

    /// Rows of what the classifier and the last hidden layer see.
    fn rows(&self, classifier: &Tensor<2>, hidden: &Tensor<2>) -> Result<Rows, TrainError> {
        let stored = match self.layer {
            FeatureLayer::Classifier => classifier,
            FeatureLayer::Hidden => hidden,
        };
        let logits = self.logits.then(|| self.detector.classifiers()[0].forward(classifier.clone()));
        Rows::new(stored, logits)
    }

    fn training_rows(&self, batch: &Batch, view: usize) -> Result<Vec<ImageRows>, TrainError> {
        let targets: Vec<_> = batch.images.iter().map(|image| image.targets.clone()).collect();
        let keep = |image: usize, background: usize| {
            let key = DrawKey { seed: self.seed, step: batch.images[image].image_id as u64 };
            let purpose = Purpose::BankBackground.at(view as u64);
            without_replacement(key, purpose, background, self.background)
        };
        let found = self.detector.candidate_features(&image_batch(batch, &self.device), &targets, keep);
        let mut rows = self.rows(&found.features, &found.hidden)?;
        let rows = batch
            .images
            .iter()
            .zip(found.images)
            .map(|(image, candidates)| {
                let (features, logits) = rows.take(candidates.boxes.len());
                let foreground = candidates.labels.iter().filter(|label| **label > 0).count() as u64;
                ImageRows {
                    image_id: image.image_id,
                    view,
                    size: [image.original_height, image.original_width],
                    features,
                    labels: candidates.labels,
                    ious: candidates.ious,
                    boxes: candidates.boxes.iter().map(|b| original(b, image)).collect(),
                    regressed: Vec::new(),
                    logits,
                    found: Counts {
                        foreground,
                        background: candidates.background as u64,
                        ..Counts::default()
                    },
                }
            })
            .collect();
        Ok(rows)
    }

    fn proposal_rows(&self, batch: &Batch) -> Result<Vec<ImageRows>, TrainError> {
        let proposals = self.detector.propose_features(&image_batch(batch, &self.device));
        let mut rows = self.rows(&proposals.features, &proposals.hidden)?;
        let rows = batch
            .images
            .iter()
            .enumerate()
            .map(|(index, image)| {
                let boxes = proposals.boxes_of(index);
                let (features, logits) = rows.take(boxes.len());
                let regressed =
                    self.detector.regressed_boxes(&proposals, index, &ImageMeta::from(image), &self.test);
                ImageRows {
                    image_id: image.image_id,
                    size: [image.original_height, image.original_width],
                    features,
                    boxes: boxes.iter().map(|b| original(b, image)).collect(),
                    regressed: regressed.into_iter().flatten().collect(),
                    logits,
                    ..ImageRows::default()
                }
            })
            .collect();
        Ok(rows)
    }
}

/// Loads images in a view.
fn load(
    dataset: &Dataset,
    indices: &[usize],
    view: View,
    transform: &Transform,
    pool: &PixelPool,
) -> Result<Batch, DataError> {
    let scaled = |side: u32| (f64::from(side) * view.scale).round().max(1.0) as u32;
    let mut transform = transform.clone();
    if view.scale != 1.0 {
        transform.resize = match transform.resize {
            Resize::ShortSide { short, max } => Resize::ShortSide { short: scaled(short), max: scaled(max) },
            Resize::Keep => {
                let image = &dataset.set().images[indices[0]];
                Resize::ShortSide { short: scaled(image.width.min(image.height)), max: u32::MAX }
            }
        };
    }
    let items: Vec<(usize, bool)> = indices.iter().map(|&index| (index, view.flip)).collect();
    Batch::load(dataset, &items, &transform, pool)
}

/// A box of the batch in pixels of the original image.
fn original(b: &[f32; 4], image: &BatchImage) -> [f32; 4] {
    let width = image.width as f32;
    let [x1, x2] = if image.flipped { [width - b[2], width - b[0]] } else { [b[0], b[2]] };
    let [scale_x, scale_y] = image.scale();
    [x1 / scale_x, b[1] / scale_y, x2 / scale_x, b[3] / scale_y]
}

/// Rows of a batch, handed out image by image.
struct Rows {
    features: std::vec::IntoIter<f32>,
    logits: std::vec::IntoIter<f32>,
    width: usize,
    outputs: usize,
}

impl Rows {
    fn new(features: &Tensor<2>, logits: Option<Tensor<2>>) -> Result<Self, TrainError> {
        let values = |tensor: Tensor<2>| floats("RoI features", &tensor.into_data());
        let (width, outputs) = (features.dims()[1], logits.as_ref().map_or(0, |logits| logits.dims()[1]));
        let logits = logits.map(values).transpose()?.unwrap_or_default().into_iter();
        Ok(Self { features: values(features.clone())?.into_iter(), logits, width, outputs })
    }

    fn take(&mut self, rows: usize) -> (Vec<f32>, Vec<f32>) {
        let features = self.features.by_ref().take(rows * self.width).collect();
        (features, self.logits.by_ref().take(rows * self.outputs).collect())
    }
}
