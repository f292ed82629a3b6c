//! The objects that copy-paste may take, by class.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::dataset::Dataset;

/// Every box of a data set, to be drawn by class.
#[derive(Debug, Clone)]
pub struct PastePool {
    /// For each class with boxes: image and place among the image's boxes.
    classes: Vec<Vec<(u32, u32)>>,
    /// Sum of the weights up to and with each class.
    cumulative: Vec<f64>,
}

impl PastePool {
    /// The boxes of a data set. A class with n boxes is drawn in proportion to n^(1 − rarity): with 0 all
    /// boxes are alike, with 1 all classes, above that rare classes come most. `None` without boxes.
    pub fn new(dataset: &Dataset, rarity: f64) -> Option<Self> {
        let mut classes: Vec<Vec<(u32, u32)>> = vec![Vec::new(); dataset.labels().len()];
        for image in 0..dataset.len() {
            for (place, label) in dataset.labels_of_boxes(image).enumerate() {
                classes[label as usize].push((image as u32, place as u32));
            }
        }
        classes.retain(|boxes| !boxes.is_empty());
        let mut sum = 0.0;
        let weigh = |boxes: &Vec<(u32, u32)>| {
            sum += (boxes.len() as f64).powf(1.0 - rarity);
            sum
        };
        let cumulative = classes.iter().map(weigh).collect();
        (!classes.is_empty()).then_some(Self { classes, cumulative })
    }

    /// An object: the index of its image, and its place among the image's boxes.
    pub fn draw(&self, generator: &mut ChaCha8Rng) -> (usize, usize) {
        let sum = self.cumulative[self.cumulative.len() - 1];
        let point = generator.random::<f64>() * sum;
        let class = self.cumulative.partition_point(|c| *c <= point).min(self.classes.len() - 1);
        let boxes = &self.classes[class];
        let (image, place) = boxes[generator.random_range(0..boxes.len())];
        (image as usize, place as usize)
    }
}
