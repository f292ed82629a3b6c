//! A finished bank.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::prelude::*;

use crate::{
    error::BankError,
    header::{Counts, Header, Part},
    shard::{Shard, ShardImage, sha256},
    writer::{HEADER, count_finished, read_header},
};

/// An image of a bank in all its views.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankImage {
    /// The annotation file's image id.
    pub image_id: i64,
    /// Shard that holds it.
    pub shard: usize,
    /// Its views, with their rows in the shard.
    pub views: Vec<ShardImage>,
    /// Rows over all views.
    pub rows: usize,
    /// Labels of its foreground RoIs, each once, ascending, from 0 for the first class.
    pub classes: Vec<u32>,
    /// RoIs counted over all views.
    pub counts: Counts,
}

/// A bank that was opened: its header, and which images it has. Rows stay on disk.
#[derive(Debug)]
pub struct Bank {
    folder: PathBuf,
    header: Header,
    images: Vec<BankImage>,
    /// Shards whose checksum and numbers were looked at.
    checked: Arc<[AtomicBool]>,
}

impl Bank {
    /// Opens a bank and reads the tables of its images.
    ///
    /// # Errors
    /// If the folder holds no finished bank, or a shard is missing, cut short or not laid out as the header says.
    pub fn open(folder: &Path) -> Result<Self, BankError> {
        let path = folder.join(HEADER);
        if !path.exists() {
            return Err(BankError::NoBank { path: folder.to_owned() });
        }
        let header = read_header(&path)?;
        let shards = header.shard_count();
        if !header.complete {
            let done = count_finished(folder, shards);
            return Err(BankError::Unfinished { path: folder.to_owned(), done, shards });
        }
        let of_shard: Vec<Vec<BankImage>> = header
            .shards
            .par_iter()
            .enumerate()
            .map(|(index, record)| {
                let shard = Shard::open(folder, &header, record)?;
                images_of(&shard, index, &header)
                    .map_err(|reason| BankError::shard(folder.join(&record.file), reason))
            })
            .collect::<Result<_, _>>()?;
        let images: Vec<BankImage> = of_shard.into_iter().flatten().collect();
        let mut ids: Vec<i64> = images.iter().map(|image| image.image_id).collect();
        ids.sort_unstable();
        if let Some(pair) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(BankError::Header { path, reason: format!("has image {} twice", pair[0]) });
        }
        let checked = (0..shards).map(|_| AtomicBool::new(false)).collect();
        Ok(Self { folder: folder.to_owned(), header, images, checked })
    }

    /// The same bank with some of its images: those of the others take no part in steps or detections. The header, with its
    /// counts of classes, stays that of all images.
    pub fn keeping(&self, keep: impl Fn(&BankImage) -> bool) -> Self {
        Self {
            folder: self.folder.clone(),
            header: self.header.clone(),
            images: self.images.iter().filter(|image| keep(image)).cloned().collect(),
            checked: Arc::clone(&self.checked),
        }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Images in the order of the bank.
    pub fn images(&self) -> &[BankImage] {
        &self.images
    }

    /// Maps a shard. The first time in a process its checksum is compared and its features are checked to be numbers.
    ///
    /// # Errors
    /// If the file is not what was written.
    ///
    /// # Panics
    /// If the bank has no shard of this index.
    pub fn shard(&self, index: usize) -> Result<Shard, BankError> {
        let record = &self.header.shards[index];
        let shard = Shard::open(&self.folder, &self.header, record)?;
        if !self.checked[index].load(Ordering::Relaxed) {
            let path = self.folder.join(&record.file);
            if sha256(shard.bytes()) != record.sha256 {
                return Err(BankError::shard(
                    path,
                    "has another checksum than when it was written: bits changed",
                ));
            }
            finite(&shard, self.header.width)?;
            self.checked[index].store(true, Ordering::Relaxed);
        }
        Ok(shard)
    }

    /// Refuses a part of another kind.
    ///
    /// # Errors
    /// If the rows are not of this kind.
    pub fn expect(&self, part: Part) -> Result<(), BankError> {
        if self.header.part == part {
            return Ok(());
        }
        let reason = match part {
            Part::Training => "holds proposals, which have no labels; give the bank of the training images",
            Part::Proposals => {
                "holds training RoIs; give a bank of proposals, such as its `validation` folder"
            }
        };
        Err(BankError::Header { path: self.folder.join(HEADER), reason: reason.into() })
    }
}

/// Rows looked at in one task.
const CHECK_ROWS: usize = 1024;

fn finite(shard: &Shard, width: usize) -> Result<(), BankError> {
    let bad = |first: usize| -> Option<(usize, f32)> {
        let rows = first..(first + CHECK_ROWS).min(shard.len());
        let mut features = vec![0.0; rows.len() * width];
        shard.features(rows, &mut features);
        // 0 · x is 0, or NaN where x is not a number.
        if features.iter().map(|value| value * 0.0).sum::<f32>() == 0.0 {
            return None;
        }
        let index = features.iter().position(|value| !value.is_finite())?;
        Some((first + index / width, features[index]))
    };
    let starts: Vec<usize> = (0..shard.len()).step_by(CHECK_ROWS).collect();
    match starts.into_par_iter().find_map_first(bad) {
        None => Ok(()),
        Some((row, value)) => {
            let image = shard.images().iter().find(|image| image.rows.contains(&row));
            let (image_id, first) = image.map_or((0, 0), |image| (image.image_id, image.rows.start));
            Err(BankError::NotFinite { what: "a feature", image_id, row: row - first, value })
        }
    }
}

/// Image views joined to images.
fn images_of(shard: &Shard, index: usize, header: &Header) -> Result<Vec<BankImage>, String> {
    let mut images: Vec<BankImage> = Vec::new();
    for view in shard.images() {
        let labels = shard.labels(view.rows.clone());
        if let Some(label) = labels.iter().find(|label| **label as usize > header.classes.len()) {
            return Err(format!("has label {label} in image {}, which is not a class", view.image_id));
        }
        let foreground = labels.iter().take_while(|label| **label > 0).count();
        if header.part == Part::Training
            && (foreground as u64 != view.counts.foreground_kept
                || labels[foreground..].iter().any(|l| *l > 0))
        {
            return Err(format!("does not have the foreground of image {} first", view.image_id));
        }
        if images.last().is_none_or(|last| last.image_id != view.image_id) {
            images.push(BankImage {
                image_id: view.image_id,
                shard: index,
                views: Vec::new(),
                rows: 0,
                classes: Vec::new(),
                counts: Counts::default(),
            });
        }
        if let Some(image) = images.last_mut() {
            image.views.push(view.clone());
            image.rows += view.rows.len();
            image.counts += view.counts;
            image.classes.extend(labels[..foreground].iter().map(|label| label - 1));
        }
    }
    for image in &mut images {
        image.classes.sort_unstable();
        image.classes.dedup();
    }
    Ok(images)
}
