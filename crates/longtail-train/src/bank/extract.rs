//! Walks a data set through the frozen detector and keeps what the classifier, or the last hidden layer, would see.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, mpsc::sync_channel},
    thread,
};

use burn::tensor::{Device, Tensor};
use longtail_bank::{
    BankWriter, Class as BankClass, Counts, FeatureLayer, Header, ImageRows, Part, Precision, RoiSampling,
    View, disk::check_space,
};
use longtail_data::{
    Batch, BatchImage, DataError, Dataset, OpenImagesLabels, Transform, pixels::PixelPool, transform::Resize,
};
use longtail_detect::{FasterRcnn, ImageMeta, TestConfig};
use longtail_loss::{
    DrawKey,
    draw::{unit, without_replacement},
};

use crate::{
    bank::{
        source::{FeatureSource, frozen_hash},
        truth,
    },
    data::{Class, RunData},
    error::TrainError,
    evaluation::{BATCH_SIZE, image_batch},
    head::{Head, HeadFile},
    observer::{Event, Observer},
};

/// Purposes of the draws.
const HELD_OUT: u64 = 21;
const BACKGROUND: u64 = 22;

/// Bytes of features that a shard aims at.
const SHARD_BYTES: u64 = 64 << 20;
/// Batches that are run to see how many RoIs there are.
const PROBES: usize = 2;

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractOptions {
    /// The layer whose inputs are kept.
    pub layer: FeatureLayer,
    /// How features are stored.
    pub precision: Precision,
    /// Views of the training images; proposals have the plain one.
    pub views: Vec<View>,
    /// Most background RoIs of an image view; none: twice the RoIs of a training step.
    pub background: Option<usize>,
    /// Share of the training images held out for choosing among heads.
    pub held_out: f64,
    /// Whether stage-1 logits are stored beside the features.
    pub logits: bool,
    /// Seed of the held-out images and of the draws among background RoIs.
    pub seed: u64,
    /// Whether to stop after the plan.
    pub dry_run: bool,
}

impl ExtractOptions {
    /// `count` views: plain, mirrored, then both at each of `scales`.
    pub fn views(count: usize, scales: &[f64]) -> Vec<View> {
        let sizes = std::iter::once(1.0).chain(scales.iter().copied());
        let all = sizes.flat_map(|scale| [false, true].map(|flip| View { flip, scale }));
        all.take(count).collect()
    }

    fn check(&self, sampling: RoiSampling) -> Result<(), TrainError> {
        if self.views.is_empty() || self.views.iter().any(|v| !(v.scale.is_finite() && v.scale > 0.0)) {
            return Err(TrainError::recipe("views", "must be at least 1, each of a scale above 0"));
        }
        if !(0.0..1.0).contains(&self.held_out) {
            let reason = format!("is {}; it must be at least 0 and below 1", self.held_out);
            return Err(TrainError::recipe("holdout", reason));
        }
        if let Some(background) = self.background.filter(|&n| n < sampling.per_image) {
            let reason = format!(
                "is {background}; a training step takes up to {} of an image, and fewer would have to stand for them",
                sampling.per_image
            );
            return Err(TrainError::recipe("background", reason));
        }
        Ok(())
    }
}

/// What extraction will do, told before it starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Training images, held-out images and validation images.
    pub images: [usize; 3],
    /// Views of a training image.
    pub views: usize,
    /// Bytes on disk, about.
    pub bytes: u64,
}

/// Parts of a bank's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Extracted {
    /// RoIs of the training images.
    pub training: Header,
    /// Proposals of the held-out training images.
    pub held_out: Option<Header>,
    /// Proposals of the validation images.
    pub validation: Option<Header>,
}

/// Makes the bank of a data set at `out`, or goes on with it: the training part, `holdout` and `validation` below it, and
/// the classifier of stage 1, and the hidden layer of a bank of its inputs, as `stage1.safetensors`. `announce` is told the plan first; a dry run ends there.
///
/// # Errors
/// If the data and the detector do not fit, the disk is too small, an image cannot be read, or the user stops it.
pub fn extract(
    source: &FeatureSource,
    options: &ExtractOptions,
    out: &Path,
    device: &Device,
    announce: &mut dyn FnMut(&Plan),
    observer: &mut dyn Observer,
) -> Result<Option<Extracted>, TrainError> {
    if source.recipe.data.labels() == Some(OpenImagesLabels::Expanded) {
        let reason =
            "is `expanded`, but a feature bank keeps one label a RoI; make it from `leaf` or `plain` labels";
        return Err(TrainError::recipe("data.labels", reason));
    }
    if !source.recipe.detector.cascade.is_empty() {
        let reason = "has heads, and each trains its classifier on RoIs of its own, which a feature bank does not keep; train the \
                      classifiers of a cascade with a stage of `train = \"classifier\"`";
        return Err(TrainError::recipe("detector.cascade", reason));
    }
    let data = RunData::open(&source.recipe.data, &source.recipe.transform, source.recipe.seed, observer)?;
    let device = device.clone().inner();
    let detector = source.detector(data.classes.len(), &device)?;
    let sampling = RoiSampling {
        per_image: source.recipe.detector.roi_head.samples,
        positive_fraction: f64::from(source.recipe.detector.roi_head.positive_fraction),
    };
    options.check(sampling)?;
    let background = options.background.unwrap_or(2 * sampling.per_image);
    let draw = |image_id: i64| DrawKey { seed: options.seed, step: image_id as u64 };
    let ids: Vec<i64> = data.train.set().images.iter().map(|image| image.id).collect();
    let held = |index: &usize| unit(draw(ids[*index]), HELD_OUT, 0) < options.held_out;
    let (held_out, kept): (Vec<usize>, Vec<usize>) = (0..data.train.len()).partition(held);
    if kept.is_empty() {
        return Err(TrainError::recipe("holdout", "leaves no image to train on; choose a smaller share"));
    }

    let classes: Vec<BankClass> = data.classes.iter().map(bank_class).collect();
    let outputs = detector.classifiers()[0].weight.dims()[1];
    let hidden = Some(detector.last_hidden()).filter(|_| options.layer == FeatureLayer::Hidden);
    let width = hidden.unwrap_or(detector.classifiers()[0]).weight.dims()[0];
    let base = Header {
        layer: options.layer,
        total_images: data.train.counts().total_images,
        frozen_sha256: Some(frozen_hash(&source.checkpoint.model, options.layer)),
        sampling,
        seed: options.seed,
        logit_columns: if options.logits { outputs } else { 0 },
        held_out: options.held_out,
        source: format!("longtail {}, {}", env!("CARGO_PKG_VERSION"), source.recipe.name),
        ..Header::new(Part::Training, width, options.precision, classes, kept.len())
    };
    let job = |dataset: &Arc<Dataset>, indices: Vec<usize>, views: &[View]| Job {
        detector: detector.clone(),
        dataset: Arc::clone(dataset),
        indices,
        views: views.to_vec(),
        transform: source.recipe.transform.clone(),
        pool: PixelPool::default(),
        device: device.clone(),
        test: source.recipe.test.clone(),
        background,
        seed: options.seed,
        layer: options.layer,
        logits: options.logits,
    };
    let training = job(&data.train, kept, &options.views);
    let rows_of_image = training.probe(observer)?;
    let training_header = Header {
        views: options.views.clone(),
        background_budget: Some(background),
        images_per_shard: images_per_shard(
            rows_of_image * options.views.len() as f64 * base.row_bytes() as f64,
        ),
        ..base.clone()
    };
    if source.recipe.test.views != Default::default() {
        let note = "`test.views` is left out: stored proposals are those of the plain view";
        observer.observe(Event::Note(note));
    }
    let proposals = |images: usize| {
        let columns = if source.recipe.detector.roi_head.class_agnostic { 1 } else { data.classes.len() };
        let header = Header {
            part: Part::Proposals,
            images,
            box_columns: columns,
            // Proposals are those of the plain view.
            test: serde_json::to_value(TestConfig {
                views: Default::default(),
                ..source.recipe.test.clone()
            })
            .ok(),
            ..base.clone()
        };
        let most = source.recipe.detector.rpn.post_nms_test as f64;
        Header { images_per_shard: images_per_shard(most * header.row_bytes() as f64), ..header }
    };
    let mut parts = Vec::new();
    if !held_out.is_empty() {
        let set: BTreeSet<i64> = held_out.iter().map(|&index| ids[index]).collect();
        let truth = truth::of_images(data.train.set(), &set, &data.classes, data.scoring);
        parts.push(("holdout", job(&data.train, held_out, &[View::PLAIN]), vec![truth]));
    }
    if let Some(validation) = data.validation {
        let all = (0..validation.dataset.len()).collect();
        parts.push(("validation", job(&validation.dataset, all, &[View::PLAIN]), validation.truths));
    }
    let images_of =
        |name: &str| parts.iter().find(|(n, _, _)| *n == name).map_or(0, |(_, job, _)| job.indices.len());
    let images = [training.indices.len(), images_of("holdout"), images_of("validation")];
    let of_proposals = proposals(1).row_bytes() * source.recipe.detector.rpn.post_nms_test as u64;
    let bytes = (images[0] * options.views.len()) as f64 * rows_of_image * training_header.row_bytes() as f64
        + ((images[1] + images[2]) as u64 * of_proposals) as f64;
    let plan = Plan { images, views: options.views.len(), bytes: bytes as u64 };
    announce(&plan);
    if options.dry_run {
        return Ok(None);
    }
    std::fs::create_dir_all(out).map_err(TrainError::io("create bank folder", out))?;
    let written = folder_bytes(out);
    check_space(out, plan.bytes.saturating_sub(written))?;

    let (mut held_out, mut validation) = (None, None);
    for (name, job, truths) in parts {
        let folder = out.join(name);
        let truths = truth::write(&folder, &truths)?;
        let header = Header { truths, ..proposals(job.indices.len()) };
        let task = if name == "holdout" { "held-out proposals" } else { "validation proposals" };
        let part = job.run(&folder, header, task, observer)?;
        *(if name == "holdout" { &mut held_out } else { &mut validation }) = Some(part);
    }
    Head::of_linear(detector.classifiers()[0], hidden).write(
        &out.join("stage1.safetensors"),
        &HeadFile {
            correction: source.correction,
            ..HeadFile::new("stage 1", source.loss.clone(), &training_header)
        },
    )?;
    let training = training.run(out, training_header, "training RoIs", observer)?;
    Ok(Some(Extracted { training, held_out, validation }))
}

fn bank_class(class: &Class) -> BankClass {
    BankClass {
        category_id: class.category_id,
        name: class.name.clone(),
        train_images: class.train_images,
        train_instances: class.train_instances,
    }
}

/// A whole number of evaluation batches, so that images are batched as they are without a bank.
fn images_per_shard(bytes_of_image: f64) -> usize {
    let images = (SHARD_BYTES as f64 / bytes_of_image.max(1.0)) as usize;
    (images / BATCH_SIZE).max(1) * BATCH_SIZE
}

fn folder_bytes(folder: &Path) -> u64 {
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(entry.path()),
                Ok(meta) => total += meta.len(),
                Err(_) => {}
            }
        }
    }
    total
}

/// A part in the making.
struct Job {
    detector: FasterRcnn,
    dataset: Arc<Dataset>,
    indices: Vec<usize>,
    views: Vec<View>,
    transform: Transform,
    pool: PixelPool,
    device: Device,
    test: TestConfig,
    background: usize,
    seed: u64,
    layer: FeatureLayer,
    logits: bool,
}

impl Job {
    /// Mean RoIs of an image view in a training part.
    fn probe(&self, observer: &mut dyn Observer) -> Result<f64, TrainError> {
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
            let found = self.training_rows(&batch, 0);
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
    fn run(
        &self,
        folder: &Path,
        header: Header,
        task: &str,
        observer: &mut dyn Observer,
    ) -> Result<Header, TrainError> {
        let mut writer = match BankWriter::open(folder, header.clone()) {
            // Another part was still missing: this one is read.
            Err(longtail_bank::BankError::Exists { .. }) => {
                return Ok(longtail_bank::Bank::open(folder)?.header().clone());
            }
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
                    Part::Training => self.training_rows(&batch?, view),
                    Part::Proposals => self.proposal_rows(&batch?),
                };
                done += found.len();
                for (place, of_image) in found.into_iter().enumerate() {
                    rows[first + place].push(of_image);
                }
                observer.observe(Event::Progress { task, done: done as u64, total: total as u64 });
                if observer.stop_requested() && done < total {
                    return Err(TrainError::Stopped { what: task.to_owned(), done, total });
                }
            }
            let rows: Vec<ImageRows> = rows.into_iter().flatten().collect();
            writer.write(shard, &rows)?;
        }
        Ok(writer.finish()?)
    }

    /// Batches of a shard, prepared ahead: place of the first image, view, batch.
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
    fn rows(&self, classifier: &Tensor<2>, hidden: &Tensor<2>) -> Rows {
        let stored = match self.layer {
            FeatureLayer::Classifier => classifier,
            FeatureLayer::Hidden => hidden,
        };
        let logits = self.logits.then(|| self.detector.classifiers()[0].forward(classifier.clone()));
        Rows::new(stored, logits)
    }

    fn training_rows(&self, batch: &Batch, view: usize) -> Vec<ImageRows> {
        let targets: Vec<_> = batch.images.iter().map(|image| image.targets.clone()).collect();
        let keep = |image: usize, background: usize| {
            let key = DrawKey { seed: self.seed, step: batch.images[image].image_id as u64 };
            without_replacement(key, BACKGROUND + ((view as u64) << 8), background, self.background)
        };
        let found = self.detector.candidate_features(&image_batch(batch, &self.device), &targets, keep);
        let mut rows = self.rows(&found.features, &found.hidden);
        batch
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
            .collect()
    }

    fn proposal_rows(&self, batch: &Batch) -> Vec<ImageRows> {
        let proposals = self.detector.propose_features(&image_batch(batch, &self.device));
        let mut rows = self.rows(&proposals.features, &proposals.hidden);
        batch
            .images
            .iter()
            .enumerate()
            .map(|(place, image)| {
                let boxes = proposals.boxes_of(place);
                let (features, logits) = rows.take(boxes.len());
                let regressed =
                    self.detector.regressed_boxes(&proposals, place, &ImageMeta::from(image), &self.test);
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
            .collect()
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
    let [scale_x, scale_y] = image.scale;
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
    fn new(features: &Tensor<2>, logits: Option<Tensor<2>>) -> Self {
        let values = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().expect("features are f32");
        let (width, outputs) = (features.dims()[1], logits.as_ref().map_or(0, |logits| logits.dims()[1]));
        let logits = logits.map(values).unwrap_or_default();
        Self { features: values(features.clone()).into_iter(), logits: logits.into_iter(), width, outputs }
    }

    fn take(&mut self, rows: usize) -> (Vec<f32>, Vec<f32>) {
        let features = self.features.by_ref().take(rows * self.width).collect();
        (features, self.logits.by_ref().take(rows * self.outputs).collect())
    }
}
