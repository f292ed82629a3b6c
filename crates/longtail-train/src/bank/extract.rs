//! Walks a data set through the frozen detector and keeps what the classifier, or the last hidden layer, would see.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use burn::tensor::Device;
use longtail_bank::{FeatureLayer, Header, Part, Precision, RoiSampling, View, disk::check_space};
use longtail_data::{Dataset, pixels::PixelPool};
use longtail_detect::{FasterRcnn, TestConfig};
use longtail_draw::{DrawKey, Purpose, unit};
use longtail_formats::OpenImagesLabels;
use longtail_head::HeadFile;
use longtail_run::{Event, Observer};

use crate::{
    bank::{
        job::Job,
        source::{FeatureSource, frozen_hash},
        truth,
    },
    data::RunData,
    error::TrainError,
    evaluation::BATCH_SIZE,
    linear::head_of,
};

/// Folder of the training images' proposals in a bank.
pub const TRAINING_PROPOSALS: &str = "training-proposals";
/// Bytes of features that a shard aims at.
const SHARD_BYTES: u64 = 64 << 20;

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
    /// Whether proposals of the training images are kept too, on which a tuning cross-validates.
    pub training_proposals: bool,
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
    /// Whether proposals of the training images are kept.
    pub training_proposals: bool,
    /// Views of a training image.
    pub views: usize,
    /// Bytes on disk, about.
    pub bytes: u64,
}

/// Makes the bank of a data set at `out`, or goes on with it: the training part, whose header is returned, `holdout`,
/// `training-proposals` and `validation` below it, and the classifier of stage 1, with the hidden layer in a bank of its inputs, as
/// `stage1.safetensors`. `announce` is told the plan first; a dry run ends there.
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
) -> Result<Option<Header>, TrainError> {
    check(source)?;
    let recipe = &source.recipe;
    let data = RunData::open(&recipe.data, &recipe.transform, recipe.seed, observer)?;
    let device = device.clone().inner();
    let detector = source.detector(data.classes.len(), &device)?;
    let base = header(source, options, &data, &detector)?;
    let background = options.background.unwrap_or(2 * base.sampling.per_image);
    let job = |dataset: &Arc<Dataset>, indices: Vec<usize>, views: &[View]| Job {
        detector: detector.clone(),
        dataset: Arc::clone(dataset),
        indices,
        views: views.to_vec(),
        transform: recipe.transform.clone(),
        pool: PixelPool::default(),
        device: device.clone(),
        test: recipe.test.clone(),
        background,
        seed: options.seed,
        layer: options.layer,
        logits: options.logits,
    };
    let (held_out, kept) = split(&data, options)?;
    let proposed = if options.training_proposals { kept.clone() } else { Vec::new() };
    let training = job(&data.train, kept, &options.views);
    let rows_of_image = training.probe(observer)? * options.views.len() as f64;
    let training_header = Header {
        images: training.indices.len(),
        views: options.views.clone(),
        background_budget: Some(background),
        images_per_shard: images_per_shard(rows_of_image * base.row_bytes() as f64),
        ..base.clone()
    };
    if recipe.test.views != Default::default() {
        let note = "`test.views` is left out: stored proposals are those of the plain view";
        observer.observe(Event::Note(note));
    }
    let most = recipe.detector.rpn.post_nms_test;
    let proposals = proposals_header(source, &base)?;
    let mut parts = Vec::new();
    for (name, what, indices) in
        [("holdout", "held-out", held_out), (TRAINING_PROPOSALS, "cross-validated", proposed)]
    {
        if indices.is_empty() {
            continue;
        }
        let image = |&index: &usize| data.train.set().images[index].id;
        let images: BTreeSet<i64> = indices.iter().map(image).collect();
        let truth = truth::of_images(data.train.set(), &images, &data.classes, data.scoring, what);
        parts.push((name, job(&data.train, indices, &[View::PLAIN]), vec![truth]));
    }
    if let Some(validation) = data.validation {
        let all = (0..validation.dataset.len()).collect();
        parts.push(("validation", job(&validation.dataset, all, &[View::PLAIN]), validation.truths));
    }
    let images_of =
        |name: &str| parts.iter().find(|(n, _, _)| *n == name).map_or(0, |(_, job, _)| job.indices.len());
    let images = [training.indices.len(), images_of("holdout"), images_of("validation")];
    let bytes = images[0] as f64 * rows_of_image * training_header.row_bytes() as f64
        + ((images[1] + images_of(TRAINING_PROPOSALS) + images[2]) as u64
            * proposals.row_bytes()
            * most as u64) as f64;
    let (views, training_proposals) = (options.views.len(), options.training_proposals);
    let plan = Plan { images, training_proposals, views, bytes: bytes as u64 };
    announce(&plan);
    if options.dry_run {
        return Ok(None);
    }
    std::fs::create_dir_all(out).map_err(TrainError::io("create bank folder", out))?;
    check_space(out, plan.bytes.saturating_sub(folder_bytes(out)))?;

    for (name, job, truths) in parts {
        let folder = out.join(name);
        let truths = truth::write(&folder, &truths)?;
        let header = Header { truths, images: job.indices.len(), ..proposals.clone() };
        let task = match name {
            "holdout" => "held-out proposals",
            TRAINING_PROPOSALS => "training proposals",
            _ => "validation proposals",
        };
        job.run(&folder, header, task, observer)?;
    }
    let hidden = Some(detector.last_hidden()).filter(|_| options.layer == FeatureLayer::Hidden);
    let stage1 = HeadFile::new("stage 1", source.loss.clone(), &training_header);
    let stage1 = HeadFile { correction: source.correction, ..stage1 };
    head_of(detector.classifiers()[0], hidden)?.write(&out.join("stage1.safetensors"), &stage1)?;
    Ok(Some(training.run(out, training_header, "training RoIs", observer)?))
}

/// Refuses detectors and labels that a bank cannot keep.
fn check(source: &FeatureSource) -> Result<(), TrainError> {
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
    Ok(())
}

/// Indices of the training images that are held out, and of the others.
fn split(data: &RunData, options: &ExtractOptions) -> Result<(Vec<usize>, Vec<usize>), TrainError> {
    let images = &data.train.set().images;
    let held = |index: &usize| {
        let key = DrawKey { seed: options.seed, step: images[*index].id as u64 };
        unit(key, Purpose::BankHeldOut, 0) < options.held_out
    };
    let (held_out, kept): (Vec<usize>, Vec<usize>) = (0..data.train.len()).partition(held);
    if kept.is_empty() {
        return Err(TrainError::recipe("holdout", "leaves no image to train on; choose a smaller share"));
    }
    Ok((held_out, kept))
}

/// What the headers of all parts have in common.
fn header(
    source: &FeatureSource,
    options: &ExtractOptions,
    data: &RunData,
    detector: &FasterRcnn,
) -> Result<Header, TrainError> {
    let sampling = RoiSampling {
        per_image: source.recipe.detector.roi_head.samples,
        positive_fraction: f64::from(source.recipe.detector.roi_head.positive_fraction),
    };
    options.check(sampling)?;
    let classifier = detector.classifiers()[0];
    let layer = match options.layer {
        FeatureLayer::Classifier => classifier,
        FeatureLayer::Hidden => detector.last_hidden(),
    };
    let (width, outputs) = (layer.weight.dims()[0], classifier.weight.dims()[1]);
    // A bank keeps no groups of similar classes.
    let classes = data.classes.without_subgroups();
    Ok(Header {
        layer: options.layer,
        total_images: data.train.counts().total_images,
        frozen_sha256: Some(frozen_hash(&source.checkpoint.model, options.layer)),
        sampling,
        seed: options.seed,
        logit_columns: if options.logits { outputs } else { 0 },
        held_out: options.held_out,
        source: format!("longtail {}, {}", env!("CARGO_PKG_VERSION"), source.recipe.name),
        ..Header::new(Part::Training, width, options.precision, classes, 0)
    })
}

/// The header of a part of proposals, but for its images. Proposals are those of the plain view.
fn proposals_header(source: &FeatureSource, base: &Header) -> Result<Header, TrainError> {
    let recipe = &source.recipe;
    let rules = TestConfig { views: Default::default(), ..recipe.test.clone() };
    let rules = serde_json::to_value(rules).map_err(|e| TrainError::recipe("test", e.to_string()))?;
    let header = Header {
        part: Part::Proposals,
        box_columns: if recipe.detector.roi_head.class_agnostic { 1 } else { base.classes.len() },
        test: Some(rules),
        ..base.clone()
    };
    let bytes_of_image = recipe.detector.rpn.post_nms_test as f64 * header.row_bytes() as f64;
    Ok(Header { images_per_shard: images_per_shard(bytes_of_image), ..header })
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
