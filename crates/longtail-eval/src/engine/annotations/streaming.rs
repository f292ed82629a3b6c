//! An evaluation fed from memory, batch by batch: during training, from arrays, in any number of threads or
//! processes.

use std::sync::Arc;

use longtail_annotations::{Annotation, Category, ImageRecord};
use rustc_hash::FxHashSet;

use super::{
    detections::{Detections, Shard},
    evaluation::Evaluation,
    ground_truth::{Class, Classes, GroundTruth},
    matches::Matches,
    settings::{Plan, Settings},
    stored::Stored,
};
use crate::{checks::first_few, detection::Detection, error::EvalError};

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
        let truth = GroundTruth::of(&self.stored.label, images, annotations, self.classes.clone(), None)?;
        if let Some(lost) = annotations.iter().find(|a| truth.image(a.image_id).is_none()) {
            let reason = format!("annotation {}: `image_id` {} is not in its batch", lost.id, lost.image_id);
            return Err(EvalError::GroundTruth { set: self.stored.label.clone(), reason });
        }
        self.add(&truth, detections)
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
        let fail = |reason: String| EvalError::GroundTruth { set: truth.label.clone(), reason };
        if truth.classes.list != self.stored.classes {
            return Err(fail("its classes are not those that the evaluation was begun with".into()));
        }
        let part = truth.part(images).map_err(fail)?;
        self.add(&part, detections)
    }

    fn add(&mut self, truth: &GroundTruth, found: &[Detection]) -> Result<(), EvalError> {
        let repeated = truth.image_ids.iter().copied().filter(|id| self.images.contains(id));
        let repeated = first_few(repeated);
        if !repeated.is_empty() {
            let reason = format!("image id {repeated} was added before");
            return Err(EvalError::GroundTruth { set: self.stored.label.clone(), reason });
        }
        let mut detections = Detections::new(truth, Shard::WHOLE);
        detections.extend(found)?;
        let matches = Matches::of(&detections, &self.plan)?;
        self.images.extend(&truth.image_ids);
        let Stored { settings, label, .. } = &self.stored;
        let added = Stored {
            settings: settings.clone(),
            label: label.clone(),
            classes: Vec::new(),
            rank: Vec::new(),
            image_ids: truth.image_ids.clone(),
            matches,
        };
        self.stored.append(added);
        Ok(())
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
        self.images.extend(&other.stored.image_ids);
        self.stored.append(other.stored);
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
