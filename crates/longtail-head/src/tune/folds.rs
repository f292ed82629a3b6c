//! Training images in folds that hold every class alike, as far as it has images.

use std::collections::BTreeMap;

use longtail_bank::Bank;
use longtail_draw::{DrawKey, Purpose, hash};

use crate::{error::HeadError, settings::SettingError};

/// The fold of every training image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folds {
    /// By image id.
    of_image: BTreeMap<i64, usize>,
    /// Classes with fewer images than folds, by label from 0, with their images.
    pub sparse: Vec<(usize, usize)>,
}

impl Folds {
    /// Deals the images of a training bank to `count` folds: rarest classes first, each image to the fold
    /// that has fewest of its rarest class, then fewest images. Background images come last.
    ///
    /// # Errors
    /// If there are fewer than 2 folds or fewer images than folds.
    pub fn of(bank: &Bank, count: usize, seed: u64) -> Result<Self, SettingError> {
        if count < 2 {
            return Err(SettingError::new("folds", format!("is {count}; cross-validation takes at least 2")));
        }
        let images = bank.images();
        if images.len() < count {
            let reason = format!(
                "is {count}, and the bank has {} image{}; take fewer folds, or a bank of more training images",
                images.len(),
                if images.len() == 1 { "" } else { "s" }
            );
            return Err(SettingError::new("folds", reason));
        }
        let mut of_class = vec![0_usize; bank.header().classes.len()];
        images.iter().flat_map(|image| &image.classes).for_each(|class| of_class[*class as usize] += 1);
        let rarest = |classes: &[u32]| {
            let by_count = |class: &&u32| (of_class[**class as usize], **class);
            classes.iter().min_by_key(by_count).map(|class| *class as usize)
        };
        let key = DrawKey { seed, step: 0 };
        let mut order: Vec<(usize, u64, usize)> = images
            .iter()
            .enumerate()
            .map(|(index, image)| {
                let count = rarest(&image.classes).map_or(usize::MAX, |class| of_class[class]);
                (count, hash(key, Purpose::TuneFolds, image.image_id as u64), index)
            })
            .collect();
        order.sort_unstable();
        let mut dealt = vec![vec![0_usize; of_class.len()]; count];
        let mut sizes = vec![0_usize; count];
        let mut of_image = BTreeMap::new();
        for (_, draw, index) in order {
            let image = &images[index];
            let class = rarest(&image.classes);
            let load = |fold: usize| class.map_or(0, |class| dealt[fold][class]);
            // Between equals the draw decides: else the first fold would get every class of one image.
            let turn = |fold: usize| (fold as u64).wrapping_add(draw) % count as u64;
            let fold = (0..count).min_by_key(|&fold| (load(fold), sizes[fold], turn(fold))).unwrap_or(0);
            image.classes.iter().for_each(|class| dealt[fold][*class as usize] += 1);
            sizes[fold] += 1;
            of_image.insert(image.image_id, fold);
        }
        let sparse = of_class.into_iter().enumerate().filter(|(_, images)| (1..count).contains(images));
        Ok(Self { of_image, sparse: sparse.collect() })
    }

    /// Whether an image is in a fold.
    pub fn contains(&self, fold: usize, image_id: i64) -> bool {
        self.of_image.get(&image_id) == Some(&fold)
    }

    /// Ids of a fold's images, ascending.
    pub fn images(&self, fold: usize) -> Vec<i64> {
        self.of_image.iter().filter(|(_, of)| **of == fold).map(|(id, _)| *id).collect()
    }

    /// What is worth knowing about classes that a fold tests and no other trains, or the other way round.
    pub fn remark(&self, bank: &Bank, folds: usize) -> Option<String> {
        let (class, images) = self.sparse.first()?;
        let name = &bank.header().classes[*class].name;
        Some(format!(
            "{} of {} classes are in fewer images than the {folds} folds (the first is {name}, in {images}): a class of one \
             image is tested in the fold where it is not trained, and choices rest on the other classes; the chosen heads \
             train on all images",
            self.sparse.len(),
            bank.header().classes.len()
        ))
    }
}

/// Refuses a tuning without candidates.
///
/// # Errors
/// If `budget` is 0.
pub(crate) fn check_budget(budget: usize) -> Result<(), HeadError> {
    if budget == 0 {
        let reason = "is 0; it must be at least 1 candidate beside the published defaults";
        return Err(SettingError::new("budget", reason).into());
    }
    Ok(())
}
