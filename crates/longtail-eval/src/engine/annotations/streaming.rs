//! An evaluation fed from memory, batch by batch: during training, from arrays, in any number of threads or
//! processes.

use std::{borrow::Cow, sync::Arc};

use longtail_annotations::{Annotation, Category, ImageRecord};
use longtail_mask::Segmentation;
use rustc_hash::FxHashSet;

use super::{
    detections::{Detections, Shard},
    evaluation::Evaluation,
    ground_truth::{Class, Classes, GroundTruth},
    mask_rows::AreaSource,
    matches::Matches,
    settings::{Plan, Settings},
    stored::Stored,
    truth_masks::MaskOf,
};
use crate::{
    checks::first_few,
    detection::{Detection, MaskDetection},
    error::EvalError,
};

/// Some images with their ground truth and all their detections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Batch<'a> {
    /// The images; only ids, and under LVIS the lists of categories, are read.
    pub images: &'a [ImageRecord],
    /// Their ground truth. Ids need not be unique: all that is asked of them is whether they are 0.
    pub annotations: &'a [Annotation],
    /// Their detections; in an image by any order, of which ties of scores keep theirs.
    pub detections: &'a [Detection],
}

/// Some images with the masks of their ground truth and of all their detections.
#[derive(Debug, Clone, Copy, Default)]
pub struct MaskBatch<'a> {
    /// The images; ids and sizes, and under LVIS the lists of categories, are read.
    pub images: &'a [ImageRecord],
    /// Their ground truth, as in [`Batch`].
    pub annotations: &'a [Annotation],
    /// The mask of each annotation.
    pub segmentations: &'a [Option<Segmentation>],
    /// Their detections, as in [`Batch`]. The first of all batches decides what areas are
    /// ([`MaskDetection::bbox`]).
    pub detections: &'a [MaskDetection],
}

/// An evaluation that grows by batches of images and keeps no more than the outcomes of their detections.
///
/// The result has the bits of one run over all images, whatever the batches and their order. Evaluations of
/// different images can be [merged](Self::merge), and stored as [bytes](Self::to_bytes) in between.
///
/// ```
/// use longtail_annotations::{Annotation, Category, ImageRecord};
/// use longtail_eval::{Batch, Detection, Metric, Protocol, Settings, StreamingEvaluation};
///
/// let category = Category { id: 1, name: "cat".into(), frequency: None };
/// let mut evaluation = StreamingEvaluation::new(&[category], &Settings::strict(Protocol::Coco))?;
/// for id in 1..=3 {
///     let image = ImageRecord {
///         id,
///         file_name: String::new(),
///         width: 0,
///         height: 0,
///         neg_category_ids: None,
///         not_exhaustive_category_ids: None,
///     };
///     let bbox = [10.0, 10.0, 40.0, 40.0];
///     let annotation = Annotation {
///         id, image_id: id, category_id: 1, bbox, area: None, iscrowd: false, ignore: false,
///     };
///     let detection = Detection { image_id: id, category_id: 1, bbox, score: 0.9 };
///     evaluation.update(&Batch { images: &[image], annotations: &[annotation], detections: &[detection] })?;
/// }
/// let report = evaluation.finish()?.report(None);
/// assert!(report.metric(&Metric::AP).unwrap() > 0.999);
/// # Ok::<(), longtail_eval::EvalError>(())
/// ```
#[derive(Debug)]
pub struct StreamingEvaluation {
    plan: Plan,
    classes: Arc<Classes>,
    images: FxHashSet<i64>,
    stored: Stored,
}

impl StreamingEvaluation {
    /// Without images yet.
    ///
    /// # Errors
    /// If a category id is repeated, the settings contradict each other, or the protocol caps classes over
    /// all images.
    pub fn new(categories: &[Category], settings: &Settings) -> Result<Self, EvalError> {
        let label = "made in memory".to_owned();
        let classes = Classes::new(categories, None);
        let classes = classes.map_err(|reason| EvalError::GroundTruth { set: label.clone(), reason })?;
        Self::of(Arc::new(classes), label, settings)
    }

    /// Without images yet, for [`Self::update_known`] with this ground truth.
    ///
    /// # Errors
    /// If the settings contradict each other, or the protocol caps classes over all images.
    pub fn for_truth(truth: &GroundTruth, settings: &Settings) -> Result<Self, EvalError> {
        Self::of(truth.classes.clone(), truth.label.clone(), settings)
    }

    fn of(classes: Arc<Classes>, label: String, settings: &Settings) -> Result<Self, EvalError> {
        let plan = settings.plan()?;
        if plan.per_class.is_some() {
            return Err(EvalError::NoShards { protocol: settings.protocol });
        }
        let stored = Stored {
            settings: settings.clone(),
            label,
            classes: classes.list.clone(),
            rank: classes.rank.clone(),
            image_ids: Vec::new(),
            areas: AreaSource::default(),
            matches: Matches::default(),
        };
        Ok(Self { plan, classes, images: FxHashSet::default(), stored })
    }

    /// Images so far.
    pub fn images(&self) -> usize {
        self.stored.image_ids.len()
    }

    /// Adds images whose ground truth comes with their detections.
    ///
    /// # Errors
    /// If an image was added before, a detection or annotation is of another image, or a number is not
    /// finite; nothing is added then.
    pub fn update(&mut self, batch: &Batch<'_>) -> Result<(), EvalError> {
        let Batch { images, annotations, detections } = *batch;
        let truth = self.truth(images, annotations, None)?;
        self.add(&truth, |all| all.extend(detections))
    }

    /// As [`Self::update`], of masks.
    ///
    /// # Errors
    /// As [`Self::update`], and if a mask is missing, is none or not of its image's size.
    pub fn update_masks(&mut self, batch: &MaskBatch<'_>) -> Result<(), EvalError> {
        let MaskBatch { images, annotations, segmentations, detections } = *batch;
        if segmentations.len() != annotations.len() {
            let (given, of) = (segmentations.len(), annotations.len());
            let reason = format!("{given} masks for {of} annotations; give one for each");
            return Err(EvalError::GroundTruth { set: self.stored.label.clone(), reason });
        }
        let masks: &MaskOf<'_> = &|index| Ok(segmentations[index].as_ref().map(Cow::Borrowed));
        let truth = self.truth(images, annotations, Some(masks))?;
        self.add(&truth, |all| all.extend_masks(detections))
    }

    /// Ground truth of a batch.
    fn truth(
        &self,
        images: &[ImageRecord],
        annotations: &[Annotation],
        masks: Option<&MaskOf<'_>>,
    ) -> Result<GroundTruth, EvalError> {
        let (label, classes) = (&self.stored.label, self.classes.clone());
        let truth = GroundTruth::of(label, images, annotations, classes, None, masks)?;
        if let Some(lost) = annotations.iter().find(|a| truth.image(a.image_id).is_none()) {
            let reason = format!("annotation {}: `image_id` {} is not in its batch", lost.id, lost.image_id);
            return Err(EvalError::GroundTruth { set: label.clone(), reason });
        }
        Ok(truth)
    }

    /// Adds the chosen images of a known ground truth with all their detections; images without any detection
    /// must be among them too, lest their boxes do not count as missed.
    ///
    /// # Errors
    /// As [`Self::update`], and if the ground truth has other classes or lacks an image.
    pub fn update_known(
        &mut self,
        truth: &GroundTruth,
        images: &[i64],
        detections: &[Detection],
    ) -> Result<(), EvalError> {
        let part = self.part(truth, images)?;
        self.add(&part, |all| all.extend(detections))
    }

    /// As [`Self::update_known`], of masks.
    ///
    /// # Errors
    /// As [`Self::update_known`], and if a mask is missing, is none or not of its image's size.
    pub fn update_known_masks(
        &mut self,
        truth: &GroundTruth,
        images: &[i64],
        detections: &[MaskDetection],
    ) -> Result<(), EvalError> {
        let part = self.part(truth, images)?;
        self.add(&part, |all| all.extend_masks(detections))
    }

    fn part(&self, truth: &GroundTruth, images: &[i64]) -> Result<GroundTruth, EvalError> {
        let fail = |reason: String| EvalError::GroundTruth { set: truth.label.clone(), reason };
        if truth.classes.list != self.stored.classes {
            return Err(fail("its classes are not those that the evaluation was begun with".into()));
        }
        truth.part(images).map_err(fail)
    }

    fn add(
        &mut self,
        truth: &GroundTruth,
        extend: impl FnOnce(&mut Detections<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        self.plan.check(truth)?;
        let repeated = truth.image_ids.iter().copied().filter(|id| self.images.contains(id));
        let repeated = first_few(repeated);
        if !repeated.is_empty() {
            let reason = format!("image id {repeated} was added before");
            return Err(EvalError::GroundTruth { set: self.stored.label.clone(), reason });
        }
        let mut detections = Detections::new(truth, Shard::WHOLE);
        detections.areas = self.stored.areas;
        extend(&mut detections)?;
        let matches = Matches::of(&detections, &self.plan)?;
        let areas = detections.areas;
        self.images.extend(&truth.image_ids);
        let Stored { settings, label, .. } = &self.stored;
        let added = Stored {
            settings: settings.clone(),
            label: label.clone(),
            classes: Vec::new(),
            rank: Vec::new(),
            image_ids: truth.image_ids.clone(),
            areas,
            matches,
        };
        self.stored.append(added).map_err(|reason| EvalError::Parts { reason })
    }

    /// Adds the images of another evaluation, from another thread or process.
    ///
    /// # Errors
    /// If it has other settings or classes, or an image of this one.
    pub fn merge(&mut self, other: Self) -> Result<(), EvalError> {
        let fail = |reason: String| Err(EvalError::Parts { reason });
        let same = |stored: &Stored| (stored.settings.clone(), stored.classes.clone(), stored.rank.clone());
        if same(&self.stored) != same(&other.stored) {
            return fail("they differ in settings or classes".into());
        }
        let repeated =
            first_few(other.stored.image_ids.iter().copied().filter(|id| self.images.contains(id)));
        if !repeated.is_empty() {
            return fail(format!("image id {repeated} is in both"));
        }
        let images = other.stored.image_ids.clone();
        self.stored.append(other.stored).map_err(|reason| EvalError::Parts { reason })?;
        self.images.extend(images);
        Ok(())
    }

    /// Everything so far, for another process.
    ///
    /// # Errors
    /// If it cannot be written down, with the library's reason.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EvalError> {
        self.stored.encode(None).map_err(|reason| EvalError::Parts { reason })
    }

    /// From [`Self::to_bytes`].
    ///
    /// # Errors
    /// If the bytes are something else or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvalError> {
        let fail = |reason: String| EvalError::Parts { reason };
        let (stored, _) = Stored::decode(bytes).map_err(fail)?;
        let mut ranked: Vec<_> = stored.rank.iter().zip(&stored.classes).collect();
        ranked.sort_by_key(|(rank, _)| **rank);
        let category = |(_, class): (&u32, &Class)| {
            let Class { id, name, frequency } = class.clone();
            Category { id, name, frequency }
        };
        let categories: Vec<Category> = ranked.into_iter().map(category).collect();
        let images: FxHashSet<i64> = stored.image_ids.iter().copied().collect();
        if images.len() != stored.image_ids.len() {
            return Err(fail("it has an image twice".into()));
        }
        Ok(Self {
            plan: stored.settings.plan()?,
            classes: Arc::new(Classes::new(&categories, None).map_err(fail)?),
            images,
            stored,
        })
    }

    /// The evaluation of all images so far.
    ///
    /// # Errors
    /// If the settings contradict each other, which the beginning has ruled out.
    pub fn finish(self) -> Result<Evaluation, EvalError> {
        self.stored.evaluation().map_err(|reason| EvalError::Parts { reason })
    }
}
