//! How often images and RoIs come: the same as when images are sampled and run through the detector.

use longtail_bank::{Bank, BankError, BankImage, RoiSampling, ShardImage};
use longtail_data::Sampler;
use longtail_draw::{DrawKey, Purpose, without_replacement};

use crate::{error::HeadError, settings::SettingError};

/// How often each image comes in an epoch, on average.
///
/// # Errors
/// If the sampler needs what a bank does not know, its threshold is out of range, or no image has a class.
pub fn factors(bank: &Bank, sampler: &Sampler) -> Result<Vec<f64>, SettingError> {
    let (header, images) = (bank.header(), bank.images());
    let total = header.total_images.max(1) as f64;
    // A bank's header is checked to have counts of all classes.
    let image_counts = header.classes.image_counts().unwrap_or_default();
    let box_counts = header.classes.instance_counts().unwrap_or_default();
    let boxes = box_counts.iter().sum::<u64>().max(1) as f64;
    let by_share = |threshold: f64, share: &dyn Fn(usize) -> f64| -> Result<Vec<f64>, SettingError> {
        if !(threshold.is_finite() && threshold > 0.0) {
            let reason = format!("is {threshold}; it must be above 0 (the paper's is 0.001)");
            return Err(SettingError::new("sampler.threshold", reason));
        }
        let of_class = |class: &u32| {
            let share = share(*class as usize);
            if share > 0.0 { (threshold / share).sqrt().max(1.0) } else { 1.0 }
        };
        Ok(images.iter().map(|image| image.classes.iter().map(of_class).fold(1.0, f64::max)).collect())
    };
    match sampler {
        Sampler::Shuffled | Sampler::Sequential => Ok(vec![1.0; images.len()]),
        Sampler::RepeatFactor { threshold } => {
            by_share(*threshold, &|class| image_counts[class] as f64 / total)
        }
        Sampler::InstanceAwareRepeatFactor { threshold } => by_share(*threshold, &|class| {
            (image_counts[class] as f64 / total * (box_counts[class] as f64 / boxes)).sqrt()
        }),
        Sampler::ClassAware => {
            let mut images_of_class = vec![0_u64; header.classes.len()];
            for class in images.iter().flat_map(|image| &image.classes) {
                images_of_class[*class as usize] += 1;
            }
            let present = images_of_class.iter().filter(|n| **n > 0).count();
            if present == 0 {
                return Err(SettingError::new(
                    "sampler.kind",
                    "draws classes, but the bank has no foreground",
                ));
            }
            // A class uniformly, then one of its images, as many times as there are images.
            let draws = images.len() as f64 / present as f64;
            let of_class = |class: &u32| draws / images_of_class[*class as usize] as f64;
            Ok(images.iter().map(|image| image.classes.iter().map(of_class).sum()).collect())
        }
        Sampler::InstanceBalanced => Err(SettingError::new(
            "sampler.kind",
            "is `instance-balanced`, but a bank does not know the boxes of an image; choose `shuffled`, `repeat-factor` or \
             `class-aware`",
        )),
    }
}

/// RoIs of an image view in an occurrence: how many are drawn, and the weight of background ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Foreground RoIs.
    pub foreground: usize,
    /// Background RoIs.
    pub background: usize,
    /// What a background RoI stands for: above 1 where fewer are kept than a step takes.
    pub background_weight: f64,
}

impl Drawn {
    /// By the rules of the detector's training.
    pub fn of(view: &ShardImage, sampling: RoiSampling) -> Self {
        let counts = view.counts;
        let most = sampling.most_foreground() as u64;
        let foreground = counts.foreground_kept.min(most);
        // The detector draws among all; of those dropped a share may be missing here.
        let wanted = counts.background.min(sampling.per_image as u64 - counts.foreground.min(most));
        let background = counts.background_kept.min(wanted);
        let background_weight = if background > 0 { wanted as f64 / background as f64 } else { 1.0 };
        Self { foreground: foreground as usize, background: background as usize, background_weight }
    }
}

/// Rows of a view drawn for occurrence `repeat` of image `image` in an epoch: foreground, then background; with the weight
/// of each.
pub fn draw_rows(
    view: &ShardImage,
    sampling: RoiSampling,
    key: DrawKey,
    image: usize,
    repeat: usize,
) -> Vec<(usize, f32)> {
    let drawn = Drawn::of(view, sampling);
    let (image, repeat) = (image as u64, repeat as u64);
    let (foreground, first) = (view.counts.foreground_kept as usize, view.rows.start);
    let background = view.rows.len() - foreground;
    let mut rows: Vec<(usize, f32)> =
        without_replacement(key, Purpose::bank_foreground_rows(image, repeat), foreground, drawn.foreground)
            .into_iter()
            .map(|row| (first + row, 1.0))
            .collect();
    let weight = drawn.background_weight as f32;
    rows.extend(
        without_replacement(key, Purpose::bank_background_rows(image, repeat), background, drawn.background)
            .into_iter()
            .map(|row| (first + foreground + row, weight)),
    );
    rows
}

/// How often a foreground and a background row of a view come in an epoch, on average, weighted.
pub fn expectation(image: &BankImage, view: &ShardImage, sampling: RoiSampling, factor: f64) -> [f64; 2] {
    let drawn = Drawn::of(view, sampling);
    let share = |drawn: usize, kept: u64| if kept > 0 { drawn as f64 / kept as f64 } else { 0.0 };
    let factor = factor / image.views.len() as f64;
    [
        factor * share(drawn.foreground, view.counts.foreground_kept),
        factor * share(drawn.background, view.counts.background_kept) * drawn.background_weight,
    ]
}

/// Refuses a bank that nothing can be learned from, and says what is odd about one.
///
/// # Errors
/// If it has no foreground at all.
pub fn remarks(bank: &Bank) -> Result<Vec<String>, HeadError> {
    let header = bank.header();
    if header.counts.foreground_kept == 0 {
        return Err(BankError::Header {
            path: bank.folder().join("bank.json"),
            reason: "holds no foreground RoI; a classifier cannot be trained on background alone".into(),
        }
        .into());
    }
    let mut remarks = Vec::new();
    if header.counts.background_kept == 0 {
        remarks.push(
            "the bank holds no background: classes are told apart from one another, not from background"
                .into(),
        );
    }
    let mut seen = vec![false; header.classes.len()];
    for class in bank.images().iter().flat_map(|image| &image.classes) {
        seen[*class as usize] = true;
    }
    let names: Vec<&str> =
        header.classes.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(c, _)| c.name.as_str()).collect();
    if !names.is_empty() {
        let shown = names.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = names.len().saturating_sub(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        remarks.push(format!(
            "{} of {} classes have no RoI in the bank and only learn what they are not: {shown}{more}",
            names.len(),
            seen.len()
        ));
    }
    Ok(remarks)
}
