//! Which emoji are classes, and how often each occurs.

use std::sync::OnceLock;

use longtail_annotations::FrequencyGroup;
use longtail_draw::{Purpose, generator};
use rand::seq::SliceRandom;
use serde::Deserialize;

use crate::{config::WorldConfig, error::EmojiError};

/// Classes of the whole benchmark, as many as LVIS v1 has.
pub const MAX_CLASSES: usize = 1203;
/// Classes taken side by side from a subgroup of look-alikes in a smaller world.
const NEIGHBOURS: usize = 5;
/// Largest share of the training images that a class may be in.
const MAX_IMAGE_SHARE: f64 = 0.7;

/// An emoji.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Emoji {
    /// CLDR name.
    pub name: String,
    /// Unicode group.
    pub group: String,
    /// Unicode subgroup: drawings alike.
    pub subgroup: String,
    /// Code points in hexadecimal, joined by `-`.
    pub codepoints: String,
    /// 1 for a class of the benchmark.
    class: u8,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct LvisCount {
    images: u64,
    instances: u64,
}

/// A class of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// What it looks like.
    pub emoji: Emoji,
    /// Training images that hold it: the count of an LVIS class.
    pub images: u64,
    /// Mean number of objects in an image that holds it.
    pub objects_per_image: f64,
}

struct Tables {
    emoji: Vec<Emoji>,
    counts: Vec<LvisCount>,
}

fn tables() -> Result<&'static Tables, EmojiError> {
    static TABLES: OnceLock<Result<Tables, String>> = OnceLock::new();
    fn read<T: for<'a> Deserialize<'a>>(text: &str) -> Result<Vec<T>, String> {
        csv::Reader::from_reader(text.as_bytes())
            .deserialize()
            .collect::<Result<_, _>>()
            .map_err(|e| e.to_string())
    }
    let tables = TABLES.get_or_init(|| {
        Ok(Tables {
            emoji: read(include_str!("../data/emoji_groups.csv"))?,
            counts: read(include_str!("../data/lvis_v1_train_counts.csv"))?,
        })
    });
    tables
        .as_ref()
        .map_err(|reason| EmojiError::Embedded { what: "class table".into(), reason: reason.clone() })
}

/// Emoji that are drawn in scenes and are of no class: flags and people.
///
/// # Errors
/// If the embedded table is damaged.
pub fn distractors() -> Result<Vec<&'static Emoji>, EmojiError> {
    let apart = |e: &&Emoji| e.group == "Flags" || e.group == "PeopleAndBody";
    Ok(tables()?.emoji.iter().filter(apart).collect())
}

/// The classes of a world, in the order of their labels. Counts are LVIS v1's own at equal steps of rank
/// among those that fit the number of images; they are dealt so that look-alikes of a subgroup lie far apart
/// in frequency.
///
/// # Errors
/// If the world is too small for three frequency groups, or the embedded table is damaged.
pub fn choose(config: &WorldConfig) -> Result<Vec<Class>, EmojiError> {
    config.validate()?;
    let tables = tables()?;
    let mut generator = generator(config.seed, Purpose::WorldClasses);
    let emoji = choose_emoji(&tables.emoji, config.classes, &mut generator);
    let most = (config.images as f64 * MAX_IMAGE_SHARE) as u64;
    let fitting: Vec<LvisCount> = tables.counts.iter().copied().filter(|c| c.images <= most).collect();
    let counts = choose_counts(&fitting, config.classes);
    // Multiples of the golden ratio: neighbours in a subgroup get ranks far apart, every rank is given once.
    let mut order: Vec<usize> = (0..emoji.len()).collect();
    order.sort_by_key(|&i| {
        (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(config.seed as u32 % 64)
    });
    let mut classes: Vec<Option<Class>> = vec![None; emoji.len()];
    for (rank, &place) in order.iter().enumerate() {
        let LvisCount { images, instances } = counts[rank];
        let objects_per_image = (instances as f64 / images as f64).clamp(1.0, 2.0);
        classes[place] = Some(Class { emoji: emoji[place].clone(), images, objects_per_image });
    }
    Ok(classes.into_iter().flatten().collect())
}

/// Counts at equal steps of rank within each frequency group, so that all three stay in the smallest world.
fn choose_counts(fitting: &[LvisCount], classes: usize) -> Vec<LvisCount> {
    let groups: Vec<&[LvisCount]> = fitting
        .chunk_by(|a, b| {
            FrequencyGroup::from_image_count(a.images) == FrequencyGroup::from_image_count(b.images)
        })
        .collect();
    let mut shares: Vec<usize> = groups.iter().map(|g| (classes * g.len() / fitting.len()).max(1)).collect();
    // Whatever rounding left over or overdrew, the largest groups take.
    while shares.iter().sum::<usize>() != classes {
        let over = shares.iter().sum::<usize>() > classes;
        let wanted =
            |g: usize| classes as f64 * groups[g].len() as f64 / fitting.len() as f64 - shares[g] as f64;
        let by_want = |a: &usize, b: &usize| wanted(*a).total_cmp(&wanted(*b));
        let candidates = 0..groups.len();
        let place = if over {
            candidates.filter(|&g| shares[g] > 1).min_by(by_want)
        } else {
            candidates.max_by(by_want)
        };
        let Some(place) = place else { break };
        shares[place] = if over { shares[place] - 1 } else { shares[place] + 1 };
    }
    let steps = |(group, share): (&&[LvisCount], usize)| -> Vec<LvisCount> {
        (0..share).map(|i| group[(2 * i + 1) * group.len() / (2 * share)]).collect()
    };
    groups.iter().zip(shares).flat_map(steps).collect()
}

/// Runs of neighbours in randomly chosen subgroups, until there are enough; all of them in the full world.
fn choose_emoji(table: &[Emoji], count: usize, generator: &mut rand_chacha::ChaCha8Rng) -> Vec<Emoji> {
    let all: Vec<&Emoji> = table.iter().filter(|e| e.class == 1).collect();
    let mut runs: Vec<&[&Emoji]> = all
        .chunk_by(|a, b| a.subgroup == b.subgroup)
        .flat_map(|subgroup| subgroup.chunks(NEIGHBOURS))
        .collect();
    runs.shuffle(generator);
    // Whole runs first: a lone class has no look-alike.
    runs.sort_by_key(|run| run.len() < NEIGHBOURS);
    runs.into_iter().flatten().take(count).map(|e| (*e).clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_full_world_is_lvis() {
        let config = WorldConfig { classes: MAX_CLASSES, images: 100_000, ..WorldConfig::default() };
        let classes = choose(&config).unwrap();
        assert_eq!(classes.len(), MAX_CLASSES);
        let names: BTreeSet<&str> = classes.iter().map(|c| c.emoji.name.as_str()).collect();
        assert_eq!(names.len(), MAX_CLASSES);
        let of = |g| classes.iter().filter(|c| FrequencyGroup::from_image_count(c.images) == g).count();
        assert_eq!(FrequencyGroup::ALL.map(of), [337, 461, 405]);
        assert_eq!(classes.iter().map(|c| c.images).sum::<u64>(), 360_952);
    }

    #[test]
    fn smaller_worlds_keep_all_groups_and_look_alikes_across_them() {
        for seed in 0..3 {
            let config = WorldConfig { seed, ..WorldConfig::default() };
            let classes = choose(&config).unwrap();
            let groups: Vec<_> = classes.iter().map(|c| FrequencyGroup::from_image_count(c.images)).collect();
            for group in FrequencyGroup::ALL {
                assert!(groups.iter().filter(|g| **g == group).count() >= 12, "{group:?}");
            }
            let largest = classes.iter().map(|c| c.images).max().unwrap();
            assert!(largest > 1900 && classes.iter().any(|c| c.images == 1));
            // Most runs of look-alikes span at least two groups.
            let spans = classes.chunks(NEIGHBOURS).zip(groups.chunks(NEIGHBOURS));
            let mixed = spans.filter(|(_, g)| g.iter().collect::<BTreeSet<_>>().len() > 1).count();
            assert!(mixed >= 8, "{mixed} of 10");
        }
    }

    #[test]
    fn worlds_that_cannot_be_are_refused() {
        for (config, field) in [
            (WorldConfig { classes: 2, ..WorldConfig::default() }, "classes"),
            (WorldConfig { classes: 1204, ..WorldConfig::default() }, "classes"),
            (WorldConfig { images: 100, ..WorldConfig::default() }, "images"),
            (WorldConfig { image_size: 10, ..WorldConfig::default() }, "image_size"),
        ] {
            let error = choose(&config).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
