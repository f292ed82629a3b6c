//! Parts of an evaluation: images split over machines, and joined to the same bits as one run.
//!
//! A part is a safetensors file: the matches of its images as arrays, and as metadata what must agree between parts.

use std::{collections::HashMap, fs::File, io::Write, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    detection::{Detections, Shard, write_whole},
    error::EvalError,
    evaluation::Evaluation,
    ground_truth::{Class, GroundTruth},
    matches::{Countable, Matched, Matches},
    matching::Outcome,
    numerics::AREAS,
    protocol::Settings,
};

/// Version of the layout.
const VERSION: u32 = 1;
/// The metadata's key.
const KEY: &str = "longtail-evaluation";

/// What must agree between parts, and which part this is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    settings: Settings,
    shard: (usize, usize),
    label: String,
    images: usize,
    /// Of the arrays, so that a damaged file is noticed.
    sha256: String,
    /// Of the ground truth's ids.
    ground_truth: String,
    classes: Vec<Class>,
}

/// A part of an evaluation: the images of one shard.
#[derive(Debug)]
pub struct Partial {
    shard: Shard,
    /// Of the ground truth's ids.
    ground_truth: String,
    evaluation: Evaluation,
}

impl Partial {
    /// Matches the detections of a shard.
    ///
    /// # Errors
    /// As [`Evaluation::new`], and if the protocol caps classes over all images, which no part can know.
    pub fn new(detections: &Detections<'_>, shard: Shard, settings: Settings) -> Result<Self, EvalError> {
        if settings.selection()?.per_class.is_some() {
            return Err(EvalError::NoShards { protocol: settings.protocol });
        }
        let ground_truth = fingerprint(detections.truth);
        Ok(Self { shard, ground_truth, evaluation: Evaluation::new(detections, settings)? })
    }

    /// Writes the part: whole, or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), EvalError> {
        let matches = &self.evaluation.matches;
        let arrays = arrays(matches);
        let arrays = arrays.each_ref().map(Vec::as_slice);
        let header = Header {
            version: VERSION,
            settings: self.evaluation.settings,
            shard: (self.shard.number, self.shard.of),
            label: self.evaluation.label.clone(),
            images: self.evaluation.images,
            sha256: digest(arrays),
            ground_truth: self.ground_truth.clone(),
            classes: self.evaluation.classes.clone(),
        };
        let io = |reason: String| EvalError::Io {
            action: "write",
            path: path.to_owned(),
            source: std::io::Error::other(reason),
        };
        let header = serde_json::to_string(&header).map_err(|error| io(error.to_string()))?;
        let tensors = ARRAYS.iter().zip(arrays).map(|(&(name, dtype, width), bytes)| {
            let rows = bytes.len() / (width * dtype.bitsize() / 8);
            Ok((name, TensorView::new(dtype, vec![rows, width], bytes)?))
        });
        let tensors = tensors.collect::<Result<Vec<_>, safetensors::SafeTensorError>>();
        let tensors = tensors.map_err(|error| io(error.to_string()))?;
        let metadata = Some(HashMap::from([(KEY.to_owned(), header)]));
        let bytes = safetensors::serialize(tensors, metadata).map_err(|error| io(error.to_string()))?;
        write_whole(path, |writer| writer.write_all(&bytes))
    }

    /// Reads a part.
    ///
    /// # Errors
    /// If the file cannot be read, is no such part, or is damaged.
    pub fn read(path: &Path) -> Result<Self, EvalError> {
        let io = |source| EvalError::Io { action: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: the map is read-only and dropped here; a file that shrinks meanwhile is the caller's to avoid.
        let bytes = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        parse(&bytes).map_err(|reason| EvalError::Partial { path: path.to_owned(), reason })
    }

    /// Joins all parts, in any order.
    ///
    /// # Errors
    /// If parts are missing, repeated, or of different evaluations.
    pub fn merge(mut parts: Vec<Self>) -> Result<Evaluation, EvalError> {
        parts.sort_by_key(|part| part.shard.number);
        let fail = |reason: String| Err(EvalError::Parts { reason });
        let Some(first) = parts.first() else {
            return fail("there is none".into());
        };
        let of = first.shard.of;
        let same = |p: &Self| {
            let (a, b) = (&p.evaluation, &first.evaluation);
            p.shard.of == of
                && p.ground_truth == first.ground_truth
                && (a.settings, a.images, &a.classes) == (b.settings, b.images, &b.classes)
        };
        if let Some(other) = parts.iter().find(|part| !same(part)) {
            return fail(format!(
                "part {} and part {} differ in ground truth, settings or number of parts; make all with the same \
                 --ground-truth, --protocol and --shard i/{of}",
                first.shard, other.shard
            ));
        }
        let numbers: Vec<usize> = parts.iter().map(|part| part.shard.number).collect();
        if let Some(repeated) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            return fail(format!("part {}/{of} is there twice", repeated[0]));
        }
        let missing: Vec<String> =
            (1..=of).filter(|n| !numbers.contains(n)).map(|n| format!("{n}/{of}")).collect();
        if !missing.is_empty() {
            return fail(format!("{} missing", missing.join(", ")));
        }
        let mut rest = parts.into_iter().map(|part| part.evaluation);
        let mut whole = rest.next().expect("there is a first part");
        for part in rest {
            whole.matches.parts.extend(part.matches.parts);
            whole.matches.countable.extend(part.matches.countable);
        }
        Ok(whole)
    }
}

/// Of everything in the ground truth that decides what a part holds.
fn fingerprint(truth: &GroundTruth) -> String {
    let mut hash = Sha256::new();
    for (place, id) in truth.image_ids.iter().enumerate() {
        hash.update(id.to_le_bytes());
        for t in truth.boxes_of(place) {
            hash.update(t.class.to_le_bytes());
            t.bbox.iter().chain([&t.area]).for_each(|v| hash.update(v.to_le_bytes()));
            hash.update([u8::from(t.crowd), u8::from(t.ignore)]);
        }
    }
    truth.classes.iter().for_each(|class| hash.update(class.id.to_le_bytes()));
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The arrays' names, types and width of a row.
const ARRAYS: [(&str, Dtype, usize); 4] =
    [("score", Dtype::F64, 1), ("row", Dtype::U32, 2), ("outcome", Dtype::U16, 8), ("cell", Dtype::U32, 6)];

/// The bytes of the file's arrays: scores, `[N]`; image and class, `[N, 2]`; hit and ignored by area range,
/// `[N, 8]`; image, class and countable boxes by area range, `[M, 6]`.
fn arrays(matches: &Matches) -> [Vec<u8>; ARRAYS.len()] {
    let [mut score, mut row, mut outcome, mut cell] = [const { Vec::new() }; ARRAYS.len()];
    for matched in matches.rows() {
        score.extend(matched.score.to_le_bytes());
        row.extend([matched.image, matched.class].map(u32::to_le_bytes).as_flattened());
        for o in matched.outcomes {
            outcome.extend([o.hit, o.ignored].map(u16::to_le_bytes).as_flattened());
        }
    }
    for countable in &matches.countable {
        cell.extend([countable.image, countable.class].map(u32::to_le_bytes).as_flattened());
        cell.extend(countable.count.map(u32::to_le_bytes).as_flattened());
    }
    [score, row, outcome, cell]
}

fn digest(arrays: [&[u8]; ARRAYS.len()]) -> String {
    let mut hash = Sha256::new();
    arrays.into_iter().for_each(|array| hash.update(array));
    hex(&hash.finalize())
}

/// A part from a file's bytes, or what is wrong with it.
fn parse(bytes: &[u8]) -> Result<Partial, String> {
    let not_one = |error: String| format!("it is no part of an evaluation, or is cut short ({error})");
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| not_one(error.to_string()))?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let header = header.ok_or_else(|| not_one(format!("no `{KEY}` in its metadata")))?;
    let header: Header = serde_json::from_str(header).map_err(|error| not_one(error.to_string()))?;
    if header.version != VERSION {
        return Err(format!("its layout is version {}, this program reads {VERSION}", header.version));
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| not_one(error.to_string()))?;
    let mut arrays: [&[u8]; ARRAYS.len()] = [&[]; ARRAYS.len()];
    for (array, (name, dtype, _)) in arrays.iter_mut().zip(ARRAYS) {
        let tensor = tensors.tensor(name).map_err(|error| not_one(error.to_string()))?;
        if tensor.dtype() != dtype {
            return Err(not_one(format!("`{name}` has another type")));
        }
        *array = tensor.data();
    }
    let (number, of) = header.shard;
    if digest(arrays) != header.sha256 || !(1..=of).contains(&number) {
        return Err("it is damaged (its checksum differs); make it again".into());
    }
    let [score, row, outcome, cell] = arrays;
    let u32s = |bytes: &[u8]| -> Vec<u32> {
        bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
    };
    let outcomes = outcome.as_chunks::<16>().0.iter().map(|bytes| {
        let value = |place: usize| u16::from_le_bytes([bytes[2 * place], bytes[2 * place + 1]]);
        std::array::from_fn::<_, { AREAS.len() }, _>(|area| Outcome {
            hit: value(2 * area),
            ignored: value(2 * area + 1),
        })
    });
    let scores = score.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
    let rows = u32s(row);
    let rows = rows.as_chunks::<2>().0.iter().zip(scores).zip(outcomes);
    let rows = rows.map(|((&[image, class], score), outcomes)| Matched { score, image, class, outcomes });
    let cells = u32s(cell);
    let countable = cells.as_chunks::<6>().0.iter().map(|&[image, class, ref count @ ..]| Countable {
        image,
        class,
        count: *count,
    });
    let matches =
        Matches { parts: vec![rows.collect()], countable: countable.collect(), ..Matches::default() };
    let fits =
        |image: u32, class: u32| (image as usize) < header.images && (class as usize) < header.classes.len();
    if !matches.rows().all(|r| fits(r.image, r.class))
        || !matches.countable.iter().all(|c| fits(c.image, c.class))
    {
        return Err("it names an image or class that it does not have".into());
    }
    Ok(Partial {
        shard: Shard { number, of },
        ground_truth: header.ground_truth,
        evaluation: Evaluation {
            settings: header.settings,
            label: header.label,
            classes: header.classes,
            images: header.images,
            matches,
        },
    })
}
