//! Which classes lie in which image.

use longtail_draw::{Purpose, generator};
use rand::seq::SliceRandom;

use crate::{classes::Class, random::chance};

/// Classes in a validation image.
const VALIDATION_CLASSES: usize = 4;

/// Labels of the objects of every image, each class's objects side by side.
pub type Plan = Vec<Vec<u32>>;

/// Training images: each class in exactly as many images as its count says.
pub fn train(classes: &[Class], images: usize, seed: u64) -> Plan {
    let mut plan: Plan = vec![Vec::new(); images];
    for (label, class) in classes.iter().enumerate() {
        let mut generator = generator(seed, Purpose::WorldTrainPlan.at(label as u64));
        let mut order: Vec<u32> = (0..images as u32).collect();
        let (chosen, _) = order.partial_shuffle(&mut generator, class.images as usize);
        for &mut image in chosen {
            let objects = objects_in(class, &mut generator);
            plan[image as usize].extend(std::iter::repeat_n(label as u32, objects));
        }
    }
    plan
}

/// Validation images: every class in as many images as any other, give or take one.
pub fn validation(classes: &[Class], images: usize, seed: u64) -> Plan {
    let mut generator = generator(seed, Purpose::WorldValidationPlan);
    let mut queue: Vec<u32> = Vec::new();
    (0..images)
        .map(|_| {
            let mut labels: Vec<u32> = Vec::new();
            while labels.len() < VALIDATION_CLASSES.min(classes.len()) {
                if queue.is_empty() {
                    queue = (0..classes.len() as u32).collect();
                    queue.shuffle(&mut generator);
                }
                // A class that is in the image already waits for the next one.
                let place = queue.iter().rposition(|label| !labels.contains(label));
                match place {
                    Some(place) => labels.push(queue.remove(place)),
                    None => queue.clear(),
                }
            }
            let with_objects = labels.iter().map(|&label| {
                let objects = objects_in(&classes[label as usize], &mut generator);
                std::iter::repeat_n(label, objects)
            });
            with_objects.flatten().collect()
        })
        .collect()
}

/// Objects of a class in an image: the class's mean, rounded at random.
fn objects_in(class: &Class, generator: &mut rand_chacha::ChaCha8Rng) -> usize {
    let extra = class.objects_per_image - 1.0;
    // A geometric tail: some images hold many.
    let mut objects = 1;
    while objects < 4 && chance(generator, (extra / (1.0 + extra)) as f32) {
        objects += 1;
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WorldConfig, classes::choose};

    #[test]
    fn training_counts_are_exact_and_validation_is_balanced() {
        let config =
            WorldConfig { classes: 20, images: 3000, validation_images: 100, ..WorldConfig::default() };
        let classes = choose(&config).unwrap();
        let images_of =
            |plan: &Plan, label: u32| plan.iter().filter(|image| image.contains(&label)).count() as u64;
        let plan = train(&classes, config.images, 1);
        for (label, class) in classes.iter().enumerate() {
            assert_eq!(images_of(&plan, label as u32), class.images);
        }
        let plan = validation(&classes, config.validation_images, 1);
        for label in 0..20 {
            assert!((19..=21).contains(&images_of(&plan, label)), "{}", images_of(&plan, label));
        }
    }
}
