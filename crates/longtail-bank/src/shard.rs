//! A file of RoIs: safetensors, written whole, memory-mapped when read.
//!
//! | tensor | shape | type | |
//! | --- | --- | --- | --- |
//! | `features` | `[R, D]` | F16, F32 or I8 | what the header's layer sees |
//! | `scales` | `[R]` | F32 | int8 only: factor of each row |
//! | `labels` | `[R]` | I32 | 0 background, `c + 1` class c; training only |
//! | `ious` | `[R]` | F32 | with the best box of the ground truth; training only |
//! | `boxes` | `[R, 4]` | F32 | x1, y1, x2, y2 in pixels of the original image |
//! | `regressed` | `[R, B, 4]` | F32 | proposals only |
//! | `logits` | `[R, K]` | F16 | of stage 1, if they are stored |
//! | `image_ids`, `views` | `[R]` | I64, I32 | of each row |
//! | `images` | `[I, 9]` | I64 | image id, view, first row, height, width; foreground found, kept; background found, kept |

use std::{collections::HashMap, fs::File, ops::Range, path::Path};

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

use crate::{
    error::BankError,
    header::{Counts, Header, Part, ShardRecord},
    precision::{Precision, decode, encode},
    rows::ImageRows,
};

/// Columns of the table of images.
const IMAGE_COLUMNS: usize = 9;

/// An image view of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardImage {
    /// The annotation file's image id.
    pub image_id: i64,
    /// Place in the header's views.
    pub view: usize,
    /// Its rows in the shard.
    pub rows: Range<usize>,
    /// Height and width of the original image.
    pub size: [u32; 2],
    /// RoIs counted.
    pub counts: Counts,
}

/// Name of a shard's file.
pub(crate) fn file_name(index: usize) -> String {
    format!("shard-{index:05}.safetensors")
}

/// SHA-256 of bytes in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the shard `index` of checked rows.
pub(crate) fn write(
    folder: &Path,
    header: &Header,
    index: usize,
    images: &[ImageRows],
) -> Result<ShardRecord, BankError> {
    let file = file_name(index);
    let path = folder.join(&file);
    let mut counts = Counts::default();
    let (mut features, mut labels, mut ious) = (Vec::new(), Vec::new(), Vec::new());
    let (mut boxes, mut regressed, mut logits): (Vec<f32>, _, _) = (Vec::new(), Vec::new(), Vec::new());
    let (mut image_ids, mut views, mut table) = (Vec::new(), Vec::new(), Vec::new());
    for image in images {
        let of_image = image.counts();
        table.extend([image.image_id, image.view as i64, image_ids.len() as i64]);
        table.extend(image.size.map(i64::from));
        table.extend(
            [of_image.foreground, of_image.foreground_kept, of_image.background, of_image.background_kept]
                .map(|count| count as i64),
        );
        counts += of_image;
        features.extend_from_slice(&image.features);
        labels.extend(image.labels.iter().map(|&label| label as i32));
        ious.extend_from_slice(&image.ious);
        boxes.extend_from_slice(bytemuck::cast_slice(&image.boxes));
        regressed.extend_from_slice(&image.regressed);
        logits.extend_from_slice(&image.logits);
        image_ids.extend(std::iter::repeat_n(image.image_id, image.len()));
        views.extend(std::iter::repeat_n(image.view as i32, image.len()));
    }
    let rows = image_ids.len();
    let (feature_bytes, scales) = encode(header.precision, &features, header.width);
    let (logit_bytes, _) = encode(Precision::F16, &logits, header.logit_columns.max(1));
    let dtype = match header.precision {
        Precision::F16 => Dtype::F16,
        Precision::F32 => Dtype::F32,
        Precision::Int8 => Dtype::I8,
    };
    let mut tensors: Vec<(&str, Dtype, Vec<usize>, &[u8])> = vec![
        ("features", dtype, vec![rows, header.width], &feature_bytes),
        ("boxes", Dtype::F32, vec![rows, 4], bytemuck::cast_slice(&boxes)),
        ("image_ids", Dtype::I64, vec![rows], bytemuck::cast_slice(&image_ids)),
        ("views", Dtype::I32, vec![rows], bytemuck::cast_slice(&views)),
        ("images", Dtype::I64, vec![images.len(), IMAGE_COLUMNS], bytemuck::cast_slice(&table)),
    ];
    if header.precision == Precision::Int8 {
        tensors.push(("scales", Dtype::F32, vec![rows], bytemuck::cast_slice(&scales)));
    }
    match header.part {
        Part::Training => {
            tensors.push(("labels", Dtype::I32, vec![rows], bytemuck::cast_slice(&labels)));
            tensors.push(("ious", Dtype::F32, vec![rows], bytemuck::cast_slice(&ious)));
        }
        Part::Proposals => {
            let shape = vec![rows, header.box_columns, 4];
            tensors.push(("regressed", Dtype::F32, shape, bytemuck::cast_slice(&regressed)));
        }
    }
    if header.logit_columns > 0 {
        tensors.push(("logits", Dtype::F16, vec![rows, header.logit_columns], &logit_bytes));
    }
    let refused = |e: safetensors::SafeTensorError| BankError::shard(&path, format!("cannot be made: {e}"));
    let views = tensors
        .into_iter()
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(dtype, shape, bytes)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(refused)?;
    let metadata = HashMap::from([("longtail".to_owned(), format!("feature bank shard {index}"))]);
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(refused)?;
    longtail_files::write_bytes(&path, &bytes)?;
    Ok(ShardRecord {
        index,
        file,
        bytes: bytes.len() as u64,
        sha256: sha256(&bytes),
        images: images.len() as u64,
        rows: rows as u64,
        counts,
    })
}

/// Where a tensor lies in the file.
type Place = Range<usize>;

/// A mapped shard.
#[derive(Debug)]
pub struct Shard {
    map: Mmap,
    precision: Precision,
    width: usize,
    box_columns: usize,
    logit_columns: usize,
    features: Place,
    scales: Option<Place>,
    labels: Option<Place>,
    boxes: Place,
    ious: Option<Place>,
    regressed: Option<Place>,
    logits: Option<Place>,
    rows: usize,
    images: Vec<ShardImage>,
}

impl Shard {
    /// Maps a shard and reads its table of images. The checksum is compared by [`crate::Bank::shard`].
    ///
    /// # Errors
    /// If the file is missing, cut short, or not laid out as the header says.
    pub(crate) fn open(folder: &Path, header: &Header, record: &ShardRecord) -> Result<Self, BankError> {
        let path = folder.join(&record.file);
        let fail = |reason: String| BankError::shard(&path, reason);
        let file = File::open(&path).map_err(BankError::io("read shard", &path))?;
        let length = file.metadata().map_err(BankError::io("read shard", &path))?.len();
        if length != record.bytes {
            return Err(fail(format!(
                "has {length} bytes, the header says {}: it was cut short or replaced",
                record.bytes
            )));
        }
        // SAFETY: the file is only read. Somebody who changes it meanwhile changes numbers, or, by cutting it short, ends
        // the process with a bus error: shards are renamed into place and never written again.
        let map = unsafe { Mmap::map(&file) }.map_err(BankError::io("map shard", &path))?;
        let tensors = SafeTensors::deserialize(&map).map_err(|e| fail(format!("is damaged: {e}")))?;
        let start = map.as_ptr() as usize;
        let rows = record.rows as usize;
        let find = |name: &str, dtype: Dtype, shape: &[usize]| -> Result<Place, BankError> {
            let tensor = tensors.tensor(name).map_err(|_| fail(format!("has no tensor `{name}`")))?;
            if tensor.dtype() != dtype || tensor.shape() != shape {
                let (found, sides) = (tensor.dtype(), tensor.shape());
                return Err(fail(format!(
                    "has `{name}` as {found:?} {sides:?}, the header says {dtype:?} {shape:?}"
                )));
            }
            let from = tensor.data().as_ptr() as usize - start;
            Ok(from..from + tensor.data().len())
        };
        let dtype = match header.precision {
            Precision::F16 => Dtype::F16,
            Precision::F32 => Dtype::F32,
            Precision::Int8 => Dtype::I8,
        };
        let only = |wanted: bool, name, dtype, shape: &[usize]| {
            if wanted { find(name, dtype, shape).map(Some) } else { Ok(None) }
        };
        let training = header.part == Part::Training;
        let features = find("features", dtype, &[rows, header.width])?;
        let scales = only(header.precision == Precision::Int8, "scales", Dtype::F32, &[rows])?;
        let labels = only(training, "labels", Dtype::I32, &[rows])?;
        let ious = only(training, "ious", Dtype::F32, &[rows])?;
        let boxes = find("boxes", Dtype::F32, &[rows, 4])?;
        let regressed = only(!training, "regressed", Dtype::F32, &[rows, header.box_columns, 4])?;
        let logits = only(header.logit_columns > 0, "logits", Dtype::F16, &[rows, header.logit_columns])?;
        let table = find("images", Dtype::I64, &[record.images as usize, IMAGE_COLUMNS])?;
        let images = images(&map[table], rows, header).map_err(fail)?;
        let (precision, width) = (header.precision, header.width);
        let (box_columns, logit_columns) = (header.box_columns, header.logit_columns);
        Ok(Self {
            map,
            precision,
            width,
            box_columns,
            logit_columns,
            features,
            scales,
            labels,
            boxes,
            ious,
            regressed,
            logits,
            rows,
            images,
        })
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Image views in order; their rows follow one another.
    pub fn images(&self) -> &[ShardImage] {
        &self.images
    }

    /// Features of rows as f32, `[rows × D]`.
    ///
    /// # Panics
    /// If the rows are not in the shard or the target has another length.
    pub fn features(&self, rows: Range<usize>, target: &mut [f32]) {
        assert_eq!(target.len(), rows.len() * self.width);
        let bytes = self.precision.row_bytes(self.width) - if self.scales.is_some() { 4 } else { 0 };
        let scales: Vec<f32> = self
            .scales
            .as_ref()
            .map(|range| floats(&self.map[range.clone()], rows.clone()))
            .unwrap_or_default();
        let bytes_of = self.features.start + rows.start * bytes..self.features.start + rows.end * bytes;
        decode(self.precision, &self.map[bytes_of], &scales, self.width, target);
    }

    /// Labels of rows; none in a proposals part.
    pub fn labels(&self, rows: Range<usize>) -> Vec<u32> {
        let Some(range) = &self.labels else { return Vec::new() };
        let bytes = &self.map[range.start + 4 * rows.start..range.start + 4 * rows.end];
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    /// IoU of rows with the ground truth; none in a proposals part.
    pub fn ious(&self, rows: Range<usize>) -> Vec<f32> {
        self.ious.as_ref().map(|range| floats(&self.map[range.clone()], rows)).unwrap_or_default()
    }

    /// Boxes of rows, `[rows × 4]`.
    pub fn boxes(&self, rows: Range<usize>) -> Vec<f32> {
        floats(&self.map[self.boxes.clone()], 4 * rows.start..4 * rows.end)
    }

    /// Regressed boxes of rows, `[rows × columns × 4]`; none in a training part.
    pub fn regressed(&self, rows: Range<usize>) -> Vec<f32> {
        let width = 4 * self.box_columns;
        let range = width * rows.start..width * rows.end;
        self.regressed.as_ref().map(|bytes| floats(&self.map[bytes.clone()], range)).unwrap_or_default()
    }

    /// Stage-1 logits of rows, `[rows × K]`; none if they are not stored.
    pub fn logits(&self, rows: Range<usize>) -> Vec<f32> {
        let Some(range) = &self.logits else { return Vec::new() };
        let width = 2 * self.logit_columns;
        let bytes = &self.map[range.start + width * rows.start..range.start + width * rows.end];
        let mut logits = vec![0.0; rows.len() * self.logit_columns];
        decode(Precision::F16, bytes, &[], self.logit_columns, &mut logits);
        logits
    }
}

/// Floats of a range, in values, of a tensor.
fn floats(bytes: &[u8], range: Range<usize>) -> Vec<f32> {
    let bytes = &bytes[4 * range.start..4 * range.end];
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// The table of images, checked: rows follow one another and fill the shard.
fn images(bytes: &[u8], rows: usize, header: &Header) -> Result<Vec<ShardImage>, String> {
    let values: Vec<i64> = bytes
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
        .collect();
    let table: Vec<&[i64]> = values.chunks_exact(IMAGE_COLUMNS).collect();
    let mut images = Vec::with_capacity(table.len());
    for (index, row) in table.iter().enumerate() {
        let next = table.get(index + 1).map_or(rows as i64, |next| next[2]);
        let first = if index == 0 { 0 } else { row[2] };
        let bad = |what: &str| Err(format!("is damaged: image {} has {what}", row[0]));
        if row[2] != first || next < first || next > rows as i64 {
            return bad("rows that do not follow one another");
        }
        if row[1] < 0 || row[1] as usize >= header.views.len() {
            return bad("a view that the header does not name");
        }
        if row[3..].iter().any(|value| *value < 0) || row[3..5].iter().any(|side| *side > i64::from(u32::MAX))
        {
            return bad("a negative or impossible count or side");
        }
        let counts = Counts {
            foreground: row[5] as u64,
            foreground_kept: row[6] as u64,
            background: row[7] as u64,
            background_kept: row[8] as u64,
        };
        let kept = counts.foreground_kept.checked_add(counts.background_kept);
        if kept != Some((next - first) as u64)
            || counts.foreground_kept > counts.foreground
            || counts.background_kept > counts.background
        {
            return bad("counts that are not those of its rows");
        }
        images.push(ShardImage {
            image_id: row[0],
            view: row[1] as usize,
            rows: first as usize..next as usize,
            size: [row[3] as u32, row[4] as u32],
            counts,
        });
    }
    if images.is_empty() && rows > 0 {
        return Err("is damaged: it has rows of no image".into());
    }
    Ok(images)
}
