//! `bank.json`: everything about a bank but its rows.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{classes::ClassTable, precision::Precision};

/// What the file says it is.
pub const FORMAT: &str = "longtail feature bank";
/// Version of the layout that this program writes and reads.
pub const VERSION: u32 = 1;

/// What the rows of a bank are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// RoIs matched to the ground truth: all foreground, background to a budget.
    Training,
    /// Test-time proposals with their regressed boxes.
    Proposals,
}

/// The layer of the detector whose inputs the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeatureLayer {
    /// The last classification layer.
    #[default]
    Classifier,
    /// The last hidden layer below it.
    Hidden,
}

impl FeatureLayer {
    /// Readable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classifier => "classifier",
            Self::Hidden => "last hidden layer",
        }
    }
}

/// How an image was prepared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Whether it was mirrored left to right.
    pub flip: bool,
    /// Its size over the size that the transform gives it.
    pub scale: f64,
}

impl View {
    /// The image as the transform gives it.
    pub const PLAIN: Self = Self { flip: false, scale: 1.0 };
}

/// How a training step samples the RoIs of an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoiSampling {
    /// RoIs of an image.
    pub per_image: usize,
    /// Largest share of foreground among them.
    pub positive_fraction: f64,
}

impl RoiSampling {
    /// Most foreground RoIs of an image.
    pub fn most_foreground(self) -> usize {
        // As the detector's own sampler computes it.
        (self.per_image as f32 * self.positive_fraction as f32) as usize
    }
}

/// RoIs counted: what there was, and what was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Foreground RoIs.
    pub foreground: u64,
    /// Those kept.
    pub foreground_kept: u64,
    /// Background RoIs.
    pub background: u64,
    /// Those kept, each as likely as any other.
    pub background_kept: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.foreground += other.foreground;
        self.foreground_kept += other.foreground_kept;
        self.background += other.background;
        self.background_kept += other.background_kept;
    }
}

/// Ground truth that detections of a proposals part are scored against, in a file beside the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TruthFile {
    /// Short name: `lvis`, `exhaustive`, `coco`.
    pub name: String,
    /// Readable name.
    pub label: String,
    /// Protocol by name: `lvis`, `coco`.
    pub protocol: String,
    /// COCO or LVIS annotation file, relative to the header's folder.
    pub file: String,
}

/// A shard of a bank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Its index, from 0.
    pub index: usize,
    /// File, relative to the header's folder.
    pub file: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Image views.
    pub images: u64,
    /// RoIs.
    pub rows: u64,
    /// RoIs counted.
    pub counts: Counts,
}

/// The header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Whether all shards are written and listed.
    pub complete: bool,
    /// What the rows are.
    pub part: Part,
    /// The layer that sees them.
    #[serde(default)]
    pub layer: FeatureLayer,
    /// Width D of a feature vector.
    pub width: usize,
    /// How features are stored.
    pub precision: Precision,
    /// Classes by label.
    pub classes: ClassTable,
    /// Images of the training set that the classes were counted in.
    pub total_images: u64,
    /// SHA-256 of the detector's frozen weights: all but `layer` and what is above it, with the last hidden layer that the
    /// box regression reads; none for features from elsewhere.
    pub frozen_sha256: Option<String>,
    /// Images in this part.
    pub images: usize,
    /// Images of a shard, each in all views; the last shard may have fewer.
    pub images_per_shard: usize,
    /// Views of every image.
    pub views: Vec<View>,
    /// How a training step samples these RoIs.
    pub sampling: RoiSampling,
    /// Most background RoIs kept of an image view; none: all are kept.
    pub background_budget: Option<usize>,
    /// Seed of the draws among background RoIs.
    pub seed: u64,
    /// Regressed boxes of a proposal: 1, or one a class; 0 in a training part.
    pub box_columns: usize,
    /// Width of the stored stage-1 logits; 0 if they are not stored.
    pub logit_columns: usize,
    /// How detections are made, in the words of the detector's `test` settings; proposals only.
    pub test: Option<Value>,
    /// What detections are scored against; proposals only.
    pub truths: Vec<TruthFile>,
    /// Share of the training images held out, and so missing from a training part.
    pub held_out: f64,
    /// Where the features come from, in words.
    pub source: String,
    /// RoIs counted over all shards.
    pub counts: Counts,
    /// Shards in order.
    pub shards: Vec<ShardRecord>,
}

impl Header {
    /// A header with one plain view and one shard, to be filled in.
    pub fn new(part: Part, width: usize, precision: Precision, classes: ClassTable, images: usize) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            complete: false,
            part,
            layer: FeatureLayer::default(),
            width,
            precision,
            classes,
            total_images: images as u64,
            frozen_sha256: None,
            images,
            images_per_shard: images.max(1),
            views: vec![View::PLAIN],
            sampling: RoiSampling { per_image: 512, positive_fraction: 0.25 },
            background_budget: None,
            seed: 0,
            box_columns: usize::from(part == Part::Proposals),
            logit_columns: 0,
            test: None,
            truths: Vec::new(),
            held_out: 0.0,
            source: String::new(),
            counts: Counts::default(),
            shards: Vec::new(),
        }
    }

    /// Number of shards that the bank has when it is complete.
    pub fn shard_count(&self) -> usize {
        self.images.div_ceil(self.images_per_shard.max(1))
    }

    /// Images of a shard, by index in the part.
    pub fn images_of(&self, shard: usize) -> std::ops::Range<usize> {
        let start = (shard * self.images_per_shard).min(self.images);
        start..(start + self.images_per_shard).min(self.images)
    }

    /// Bytes of a row on disk.
    pub fn row_bytes(&self) -> u64 {
        // Label, IoU, box, image id, view.
        let fixed = 4 + 4 + 16 + 8 + 4;
        let features = self.precision.row_bytes(self.width);
        (fixed + features + self.box_columns * 16 + self.logit_columns * 2) as u64
    }

    /// Fields, but for what grows while the bank is written, that differ in another header.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |header: &Self| serde_json::to_value(header).unwrap_or_default();
        let (Value::Object(ours), Value::Object(theirs)) = (fields(self), fields(other)) else {
            return Vec::new();
        };
        let grows = ["complete", "counts", "shards"];
        ours.iter()
            .filter(|(name, value)| !grows.contains(&name.as_str()) && theirs.get(*name) != Some(value))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Says what of the values cannot be.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("`format` is `{}`, expected `{FORMAT}`", self.format));
        }
        if self.version != VERSION {
            return Err(format!("has version {}, this program reads {VERSION}", self.version));
        }
        let positive = [
            ("width", self.width),
            ("classes", self.classes.len()),
            ("views", self.views.len()),
            ("images_per_shard", self.images_per_shard),
            ("sampling.per_image", self.sampling.per_image),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("`{name}` is 0 or empty; it must be at least 1"));
        }
        let fraction = self.sampling.positive_fraction;
        if !(0.0..=1.0).contains(&fraction) {
            return Err(format!("`sampling.positive_fraction` is {fraction}; it must lie in 0 to 1"));
        }
        let mut ids: Vec<i64> = self.classes.iter().map(|class| class.category_id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("`classes` names category id {} twice", pair[0]));
        }
        let counted =
            |class: &&crate::classes::Class| class.train_images.and(class.train_instances).is_some();
        if let Some(class) = self.classes.iter().find(|class| !counted(class)) {
            return Err(format!(
                "`classes` gives class `{}` no `train_images` or `train_instances`",
                class.name
            ));
        }
        if self.part == Part::Proposals && ![1, self.classes.len()].contains(&self.box_columns) {
            let (found, classes) = (self.box_columns, self.classes.len());
            return Err(format!("`box_columns` is {found}; it must be 1 or the {classes} classes"));
        }
        if self.complete && self.shards.len() != self.shard_count() {
            let (found, expected) = (self.shards.len(), self.shard_count());
            return Err(format!("lists {found} shards where {} images make {expected}", self.images));
        }
        let bad = |record: &&ShardRecord| {
            record.file.contains(['/', '\\']) || record.file.starts_with('.') || record.file.is_empty()
        };
        if let Some(record) = self.shards.iter().find(bad) {
            return Err(format!("names a shard `{}`; shards are files beside the header", record.file));
        }
        Ok(())
    }
}
