//! Matched images by themselves: joined to the same bits as one run, and as bytes.
//!
//! The bytes are a safetensors file: the matches as arrays, and as metadata what must agree between parts.

use std::collections::HashMap;

use rustc_hash::{FxHashMap, FxHashSet};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    evaluation::{Evaluation, scored_classes},
    ground_truth::Class,
    mask_rows::AreaSource,
    matches::{Block, Cell, Countable, Matched, Matches},
    matching::Outcome,
    settings::Settings,
};
use crate::{checks::first_few, report::DetectionCounts};

/// Version of the layout.
const VERSION: u32 = 3;
/// The metadata's key.
const KEY: &str = "longtail-evaluation";

/// Images that were matched, with everything that an evaluation of them needs.
#[derive(Debug)]
pub(crate) struct Stored {
    pub settings: Settings,
    /// The ground truth's file, or a word for a set made in memory.
    pub label: String,
    /// All classes, by ascending id.
    pub classes: Vec<Class>,
    /// By class: what decides ties where classes do not matter.
    pub rank: Vec<u32>,
    pub image_ids: Vec<i64>,
    /// Of detections with masks.
    pub areas: AreaSource,
    /// Images are indices of `image_ids`.
    pub matches: Matches,
}

/// A part of the images of one ground truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// Which part, from 1, and how many there are.
    pub shard: (usize, usize),
    /// Hash of the ground truth.
    pub ground_truth: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    settings: Settings,
    label: String,
    classes: Vec<Class>,
    rank: Vec<u32>,
    areas: AreaSource,
    detections: DetectionCounts,
    origin: Option<Origin>,
    /// Of the arrays, so that a damaged file is noticed.
    sha256: String,
}

impl Stored {
    /// Adds the images of another, which must be of the same classes and settings; its rows come after.
    ///
    /// # Errors
    /// If areas are of boxes in one and of masks in the other.
    pub(crate) fn append(&mut self, mut other: Self) -> Result<(), String> {
        let differ = "areas are those of boxes in one and those of masks in another; give all detections a box, or none";
        self.areas = self.areas.joined(other.areas).ok_or(differ)?;
        let first = self.image_ids.len() as u32;
        self.image_ids.append(&mut other.image_ids);
        let Matches { mut parts, mut countable, counts, matching } = other.matches;
        parts.iter_mut().flat_map(|part| &mut part.rows).for_each(|row| row.image += first);
        countable.cells.iter_mut().for_each(|cell| cell.image += first);
        self.matches.parts.append(&mut parts);
        self.matches.countable.append(countable);
        self.matches.counts += counts;
        self.matches.matching += matching;
        Ok(())
    }

    /// The evaluation of all images, in ascending order of their ids.
    ///
    /// # Errors
    /// If an image is there twice, or the settings contradict each other.
    pub(crate) fn evaluation(mut self) -> Result<Evaluation, String> {
        let plan = self.settings.plan().map_err(|error| error.to_string())?;
        let mut seen = FxHashSet::default();
        let mut repeated = self.image_ids.iter().copied().filter(|id| !seen.insert(*id)).peekable();
        if repeated.peek().is_some() {
            return Err(format!("image id {} is in several parts", first_few(repeated)));
        }
        let mut ascending: Vec<i64> = self.image_ids.clone();
        ascending.sort_unstable();
        let index_of: FxHashMap<i64, u32> = ascending.iter().copied().zip(0..).collect();
        let index: Vec<u32> = self.image_ids.iter().map(|id| index_of[id]).collect();
        let Matches { parts, countable, .. } = &mut self.matches;
        parts
            .iter_mut()
            .flat_map(|part| &mut part.rows)
            .for_each(|row| row.image = index[row.image as usize]);
        countable.cells.iter_mut().for_each(|cell| cell.image = index[cell.image as usize]);
        self.matches.sort(&plan);
        Ok(Evaluation {
            classes: scored_classes(&plan, &self.classes),
            settings: self.settings,
            label: self.label,
            image_ids: ascending,
            plan,
            matches: self.matches,
        })
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// If they cannot be made, with the library's reason.
    pub(crate) fn encode(&self, origin: Option<Origin>) -> Result<Vec<u8>, String> {
        let arrays = arrays(&self.image_ids, &self.matches);
        let arrays = arrays.each_ref().map(Vec::as_slice);
        let header = Header {
            version: VERSION,
            settings: self.settings.clone(),
            label: self.label.clone(),
            classes: self.classes.clone(),
            rank: self.rank.clone(),
            areas: self.areas,
            detections: self.matches.counts,
            origin,
            sha256: digest(arrays),
        };
        let header = serde_json::to_string(&header).map_err(|error| error.to_string())?;
        let views = ARRAYS.iter().zip(arrays).map(|(&(name, dtype), bytes)| {
            Ok((name, TensorView::new(dtype, vec![bytes.len() * 8 / dtype.bitsize()], bytes)?))
        });
        let metadata = Some(HashMap::from([(KEY.to_owned(), header)]));
        let file = views
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .and_then(|views| safetensors::serialize(views, metadata));
        file.map_err(|error| error.to_string())
    }

    /// From the bytes of a file.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, Option<Origin>), String> {
        let not_one = |error: String| format!("it is not a part of an evaluation, or is cut short ({error})");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| not_one(error.to_string()))?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let header = header.ok_or_else(|| not_one(format!("no `{KEY}` in its metadata")))?;
        let version: Version = serde_json::from_str(header).map_err(|error| not_one(error.to_string()))?;
        if version.version != VERSION {
            let found = version.version;
            return Err(format!(
                "its layout is version {found}, this program reads {VERSION}; make it again"
            ));
        }
        let header: Header = serde_json::from_str(header).map_err(|error| not_one(error.to_string()))?;
        let plan = header.settings.plan().map_err(|error| error.to_string())?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| not_one(error.to_string()))?;
        let mut arrays: [&[u8]; ARRAYS.len()] = [&[]; ARRAYS.len()];
        for (array, (name, dtype)) in arrays.iter_mut().zip(ARRAYS) {
            let tensor = tensors.tensor(name).map_err(|error| not_one(error.to_string()))?;
            if tensor.dtype() != dtype {
                return Err(not_one(format!("`{name}` has another type")));
            }
            *array = tensor.data();
        }
        if digest(arrays) != header.sha256 {
            return Err("it is damaged (its checksum differs); make it again".into());
        }
        let [image, score, row, outcome, cell, count] = arrays;
        let image_ids: Vec<i64> = image.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        let scores = score.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
        let pairs = |bytes: &[u8]| -> Vec<[u32; 2]> { u32s(bytes).as_chunks::<2>().0.to_vec() };
        let rows = pairs(row).into_iter().zip(scores);
        let rows: Vec<Matched> =
            rows.map(|([image, class], score)| Matched { score, image, class }).collect();
        let outcomes: Vec<Outcome> = u32s(outcome)
            .into_iter()
            .map(|both| Outcome { hit: both as u16, ignored: (both >> u16::BITS) as u16 })
            .collect();
        let cells: Vec<Cell> = pairs(cell).into_iter().map(|[image, class]| Cell { image, class }).collect();
        let countable = Countable { cells, counts: u32s(count) };
        let lengths = rows.len() * 8 == score.len()
            && header.rank.len() == header.classes.len()
            && outcomes.len() == rows.len() * plan.planes.count()
            && countable.counts.len() == countable.cells.len() * plan.areas.len();
        let classes = scored_classes(&plan, &header.classes).len();
        let fits = |image: u32, class: u32| (image as usize) < image_ids.len() && (class as usize) < classes;
        if !lengths
            || !rows.iter().all(|r| fits(r.image, r.class))
            || !countable.cells.iter().all(|c| fits(c.image, c.class))
        {
            return Err("its arrays contradict each other; make it again".into());
        }
        let matches = Matches {
            parts: vec![Block { rows, outcomes }],
            countable,
            counts: header.detections,
            ..Matches::default()
        };
        let Header { settings, label, classes, rank, areas, origin, .. } = header;
        Ok((Self { settings, label, classes, rank, image_ids, areas, matches }, origin))
    }
}

/// The one field that every layout has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The arrays' names and types.
const ARRAYS: [(&str, Dtype); 6] = [
    ("image", Dtype::I64),
    ("score", Dtype::F64),
    ("row", Dtype::U32),
    ("outcome", Dtype::U32),
    ("cell", Dtype::U32),
    ("count", Dtype::U32),
];

/// The bytes of the file's arrays, for I images, N rows of P planes and M cells of A area ranges: image ids,
/// `[I]`; scores, `[N]`; image and class, `[N × 2]`; hit in the lower and ignored in the upper 16 bits, `[N ×
/// P]`; image and class, `[M × 2]`; countable boxes, `[M × A]`.
fn arrays(image_ids: &[i64], matches: &Matches) -> [Vec<u8>; ARRAYS.len()] {
    let [mut score, mut row, mut outcome, mut cell] = [const { Vec::new() }; 4];
    for part in &matches.parts {
        for matched in &part.rows {
            score.extend(matched.score.to_le_bytes());
            row.extend([matched.image, matched.class].map(u32::to_le_bytes).as_flattened());
        }
        outcome.extend(part.outcomes.iter().flat_map(|o| [o.hit, o.ignored]).flat_map(u16::to_le_bytes));
    }
    for c in &matches.countable.cells {
        cell.extend([c.image, c.class].map(u32::to_le_bytes).as_flattened());
    }
    let image = image_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let count = matches.countable.counts.iter().flat_map(|count| count.to_le_bytes()).collect();
    [image, score, row, outcome, cell, count]
}

fn u32s(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}

fn digest(arrays: [&[u8]; ARRAYS.len()]) -> String {
    let mut hash = Sha256::new();
    arrays.into_iter().for_each(|array| hash.update(array));
    hex(&hash.finalize())
}

/// Bytes as text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
