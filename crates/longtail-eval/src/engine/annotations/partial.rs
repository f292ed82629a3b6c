//! Parts of an evaluation: images split over machines, and joined to the same bits as one run.

use std::{fs::File, path::Path};

use longtail_files::write_bytes;
use sha2::{Digest, Sha256};

use super::{
    detections::{Detections, Shard},
    evaluation::Evaluation,
    ground_truth::{GroundTruth, NOT_CHOSEN},
    matches::Matches,
    settings::Settings,
    stored::{Origin, Stored, hex},
};
use crate::error::EvalError;

/// A part of an evaluation: the images of one shard.
#[derive(Debug)]
pub struct Partial {
    stored: Stored,
    origin: Origin,
}

impl Partial {
    /// Matches the detections of a shard.
    ///
    /// # Errors
    /// As [`Evaluation::new`], and if the protocol caps classes over all images, which no part can know.
    pub fn new(detections: &Detections<'_>, shard: Shard, settings: &Settings) -> Result<Self, EvalError> {
        let plan = settings.plan()?;
        if plan.per_class.is_some() {
            return Err(EvalError::NoShards { protocol: settings.protocol });
        }
        let truth = detections.truth;
        plan.check(truth)?;
        let origin = Origin { shard: (shard.number, shard.of), ground_truth: fingerprint(truth) };
        let mut matches = Matches::of(detections, &plan)?;
        let first = detections.images.start;
        matches.parts.iter_mut().flat_map(|part| &mut part.rows).for_each(|row| row.image -= first);
        matches.countable.cells.iter_mut().for_each(|cell| cell.image -= first);
        let images = first as usize..detections.images.end as usize;
        let stored = Stored {
            settings: settings.clone(),
            label: truth.label.clone(),
            classes: truth.classes.list.clone(),
            rank: truth.classes.rank.clone(),
            image_ids: truth.image_ids[images].to_vec(),
            areas: detections.areas,
            matches,
        };
        Ok(Self { stored, origin })
    }

    /// Writes the part: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let bytes = self.stored.encode(Some(self.origin.clone()));
        let bytes = bytes.map_err(|reason| EvalError::io("write", path, std::io::Error::other(reason)))?;
        Ok(write_bytes(path, &bytes)?)
    }

    /// Reads a part.
    ///
    /// # Errors
    /// If the file cannot be read, is not such a part, or is damaged.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let io = |source| EvalError::io("read", path, source);
        let fail = |reason: String| EvalError::Partial { path: path.to_owned(), reason };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to
        // avoid.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        let (stored, origin) = Stored::decode(&bytes).map_err(fail)?;
        let origin = origin.filter(|origin| (1..=origin.shard.1).contains(&origin.shard.0));
        let origin =
            origin.ok_or_else(|| fail("it does not say which shard it is; make it with --shard".into()))?;
        Ok(Self { stored, origin })
    }

    /// Joins all parts, in any order.
    ///
    /// # Errors
    /// If parts are missing, repeated, or of different evaluations.
    pub fn merge(mut parts: Vec<Self>) -> Result<Evaluation, EvalError> {
        parts.sort_by_key(|part| part.origin.shard.0);
        let fail = |reason: String| EvalError::Parts { reason };
        let Some(first) = parts.first() else {
            return Err(fail("there is none".into()));
        };
        let (one, of) = first.origin.shard;
        let same = |p: &Self| {
            let (a, b) = (&p.stored, &first.stored);
            p.origin.shard.1 == of
                && p.origin.ground_truth == first.origin.ground_truth
                && (&a.settings, &a.classes) == (&b.settings, &b.classes)
        };
        if let Some(other) = parts.iter().find(|part| !same(part)) {
            let (number, other_of) = other.origin.shard;
            return Err(fail(format!(
                "part {one}/{of} and part {number}/{other_of} differ in ground truth, settings or number of parts; make \
                 all with the same --ground-truth, --protocol and --shard i/{of}"
            )));
        }
        let numbers: Vec<usize> = parts.iter().map(|part| part.origin.shard.0).collect();
        if let Some(repeated) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(fail(format!("part {}/{of} is there twice", repeated[0])));
        }
        let missing: Vec<String> =
            (1..=of).filter(|n| !numbers.contains(n)).map(|n| format!("{n}/{of}")).collect();
        if !missing.is_empty() {
            return Err(fail(format!("{} missing", missing.join(", "))));
        }
        let mut rest = parts.into_iter().map(|part| part.stored);
        let mut whole = rest.next().expect("there is a first part");
        rest.try_for_each(|part| whole.append(part)).map_err(fail)?;
        whole.evaluation().map_err(fail)
    }
}

/// Of everything in the ground truth that decides what a part holds.
fn fingerprint(truth: &GroundTruth) -> String {
    let mut hash = Sha256::new();
    for (index, id) in truth.image_ids.iter().enumerate() {
        hash.update(id.to_le_bytes());
        for t in truth.boxes_of(index) {
            hash.update(t.class.to_le_bytes());
            t.bbox.iter().chain([&t.area]).for_each(|v| hash.update(v.to_le_bytes()));
            hash.update([u8::from(t.crowd), u8::from(t.ignore)]);
            if let Some(masks) = truth.masks.as_ref().filter(|_| t.class < NOT_CHOSEN) {
                hash.update(masks.of(t.mask).text());
            }
        }
    }
    truth.classes.list.iter().for_each(|class| hash.update(class.id.to_le_bytes()));
    hex(&hash.finalize())
}
