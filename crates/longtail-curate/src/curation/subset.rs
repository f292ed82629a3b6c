//! Fewer images, so that class counts come out as asked: a tail of choice for any set.
//!
//! Boxes are never taken from an image that stays, since their objects would still be seen in it. Images are
//! taken out one at a time, each time the one that brings the counts closest to what was asked, and put back
//! where that helps. The distance is the sum over classes of `|count - asked| / asked`. Taking an image out
//! helps the less the fewer are left, so that a queue of what each would have helped earlier finds the best
//! without trying all.

use std::{cmp::Ordering, collections::BinaryHeap};

use longtail_draw::{Purpose, generator};
use rand::RngExt;
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{classes_of_images, keep_categories, named_classes, recount};
use crate::error::CurateError;
use longtail_annotations::LabelMap;
use longtail_formats::Document;

/// Rounds of taking out and putting back; most sets are done after two.
const ROUNDS: usize = 10;
/// Least gain that is worth a change.
const LEAST: f64 = 1e-9;

/// What is counted of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CountUnit {
    /// Its boxes, without crowds.
    #[default]
    Boxes,
    /// Images with at least one.
    Images,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Selection {
    /// Only these classes, and images with them.
    Classes(Vec<String>),
    /// So many images, with every class in its share.
    Images(usize),
    /// Counts that fall exponentially over the classes, from the most frequent on: class i of C (from 0) has
    /// `largest * ratio^(-i / (C - 1))` (Cui et al., CVPR 2019), or all it has where that is less.
    LongTail {
        /// Count of the most frequent class over that of the rarest; at least 1.
        ratio: f64,
        /// Count of the most frequent class; none: what it has.
        largest: Option<u64>,
    },
    /// These counts; classes without one end up as they may.
    Counts(Vec<(String, u64)>),
}

/// A class before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    /// Its name.
    pub name: String,
    /// Count before.
    pub available: u64,
    /// Count asked for.
    pub asked: Option<u64>,
    /// Count after.
    pub got: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubsetReport {
    /// Images before and after.
    pub images: [usize; 2],
    /// Boxes before and after.
    pub boxes: [usize; 2],
    /// Classes by descending count before, then name.
    pub classes: Vec<ClassCount>,
    /// Classes whose count is what was asked for, and those with such a wish.
    pub met: [usize; 2],
    /// Mean of `|got - asked| / asked` over them.
    pub mean_deviation: Option<f64>,
}

/// Cuts a set down. The seed decides between equals.
///
/// # Errors
/// If the selection names an unknown class, or its numbers are out of range.
pub fn subset(
    document: &Document,
    selection: &Selection,
    unit: CountUnit,
    seed: u64,
) -> Result<(Document, SubsetReport), CurateError> {
    let labels = LabelMap::new(&document.set.categories);
    let mut classes = classes_of_images(document, &labels);
    if unit == CountUnit::Images {
        classes.iter_mut().flatten().for_each(|(_, count)| *count = 1);
    }
    let available = counts(&classes, labels.len(), |_| true);
    let out_of_range = |field, reason: String| Err(CurateError::Setting { field, reason });
    let (asked, images): (Vec<Option<f64>>, Option<usize>) = match selection {
        Selection::Classes(names) => {
            let ids = named_classes(&document.set, names)?;
            return Ok(of_classes(document, &ids, &labels, &available, unit));
        }
        Selection::Images(images) => {
            let total = document.set.images.len();
            if *images == 0 || *images > total {
                return out_of_range("images", format!("is {images}, expected 1 to the {total} of the set"));
            }
            let share = *images as f64 / total as f64;
            (available.iter().map(|&n| Some(n as f64 * share)).collect(), Some(*images))
        }
        Selection::LongTail { ratio, largest } => {
            if !(ratio.is_finite() && *ratio >= 1.0) {
                return out_of_range(
                    "long-tail",
                    format!("is {ratio}, expected the ratio of largest to smallest, 1 or more"),
                );
            }
            if *largest == Some(0) {
                return out_of_range("largest", "is 0".into());
            }
            (exponential(&available, &labels, *ratio, *largest), None)
        }
        Selection::Counts(wanted) => {
            let names: Vec<String> = wanted.iter().map(|(name, _)| name.clone()).collect();
            named_classes(&document.set, &names)?;
            let wanted: FxHashMap<&str, u64> = wanted.iter().map(|(name, count)| (&**name, *count)).collect();
            let of_label = |label: usize| wanted.get(labels.name(label as u32)).map(|count| *count as f64);
            ((0..labels.len()).map(of_label).collect(), None)
        }
    };
    let kept = Thinning::new(&classes, &available, &asked, seed).run(images);
    let mut result = document.clone();
    result.retain_images(&kept);
    recount(&mut result);
    let got = counts(&classes, labels.len(), |place| kept[place]);
    // Shares of images are no wish for the count of a class.
    let asked = if images.is_some() { vec![None; labels.len()] } else { asked };
    let report = report(document, &result, &labels, &available, &asked, &got);
    Ok((result, report))
}

fn counts(classes: &[Vec<(usize, u64)>], labels: usize, kept: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut counts = vec![0; labels];
    for (_, classes) in classes.iter().enumerate().filter(|(place, _)| kept(*place)) {
        classes.iter().for_each(|&(label, count)| counts[label] += count);
    }
    counts
}

fn exponential(available: &[u64], labels: &LabelMap, ratio: f64, largest: Option<u64>) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..available.len()).filter(|&label| available[label] > 0).collect();
    let rank = |label: &usize| (std::cmp::Reverse(available[*label]), labels.name(*label as u32).to_owned());
    order.sort_by_key(rank);
    let mut asked = vec![None; available.len()];
    let most = order.first().map_or(0, |&label| available[label]);
    let most = largest.map_or(most, |largest| largest.min(most)) as f64;
    let last = order.len().saturating_sub(1).max(1) as f64;
    for (place, &label) in order.iter().enumerate() {
        let wish = (most * ratio.powf(-(place as f64) / last)).round().max(1.0);
        asked[label] = Some(wish.min(available[label] as f64));
    }
    asked
}

fn of_classes(
    document: &Document,
    ids: &rustc_hash::FxHashSet<i64>,
    labels: &LabelMap,
    available: &[u64],
    unit: CountUnit,
) -> (Document, SubsetReport) {
    let mut result = document.clone();
    result.retain_annotations(|annotation, _| ids.contains(&annotation.category_id));
    let kept: Vec<bool> = result.annotations_by_image().iter().map(|places| !places.is_empty()).collect();
    result.retain_images(&kept);
    let mut classes = classes_of_images(&result, labels);
    if unit == CountUnit::Images {
        classes.iter_mut().flatten().for_each(|(_, count)| *count = 1);
    }
    let got = counts(&classes, labels.len(), |_| true);
    keep_categories(&mut result, ids);
    recount(&mut result);
    let asked = vec![None; labels.len()];
    let report = report(document, &result, labels, available, &asked, &got);
    (result, report)
}

fn report(
    before: &Document,
    after: &Document,
    labels: &LabelMap,
    available: &[u64],
    asked: &[Option<f64>],
    got: &[u64],
) -> SubsetReport {
    let mut classes: Vec<ClassCount> = (0..labels.len())
        .map(|label| ClassCount {
            name: labels.name(label as u32).to_owned(),
            available: available[label],
            asked: asked[label].map(|asked| asked as u64),
            got: got[label],
        })
        .collect();
    classes.sort_by(|a, b| b.available.cmp(&a.available).then_with(|| a.name.cmp(&b.name)));
    let with_wish = || classes.iter().filter_map(|class| Some((class.asked?, class.got)));
    let wishes = with_wish().count();
    let deviation = |(asked, got): (u64, u64)| got.abs_diff(asked) as f64 / asked.max(1) as f64;
    SubsetReport {
        images: [before.set.images.len(), after.set.images.len()],
        boxes: [before.set.annotations.len(), after.set.annotations.len()],
        met: [with_wish().filter(|(asked, got)| asked == got).count(), wishes],
        mean_deviation: (wishes > 0).then(|| with_wish().map(deviation).sum::<f64>() / wishes as f64),
        classes,
    }
}

/// An image with what its change would have gained when it was last looked at; equals in random order.
#[derive(Debug, PartialEq)]
struct Candidate {
    gain: f64,
    order: u64,
    image: usize,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain
            .total_cmp(&other.gain)
            .then_with(|| self.order.cmp(&other.order))
            .then_with(|| self.image.cmp(&other.image))
    }
}

struct Thinning<'a> {
    classes: &'a [Vec<(usize, u64)>],
    asked: &'a [Option<f64>],
    counts: Vec<f64>,
    kept: Vec<bool>,
    order: Vec<u64>,
}

impl<'a> Thinning<'a> {
    fn new(classes: &'a [Vec<(usize, u64)>], counts: &[u64], asked: &'a [Option<f64>], seed: u64) -> Self {
        let mut random = generator(seed, Purpose::SubsetImages);
        Self {
            classes,
            asked,
            counts: counts.iter().map(|&count| count as f64).collect(),
            kept: vec![true; classes.len()],
            order: (0..classes.len()).map(|_| random.random()).collect(),
        }
    }

    /// The images to keep: what comes closest to the counts, or the number of images.
    fn run(mut self, images: Option<usize>) -> Vec<bool> {
        if let Some(images) = images {
            self.change(true, f64::NEG_INFINITY, self.classes.len() - images);
        } else {
            for _ in 0..ROUNDS {
                let out = self.change(true, LEAST, usize::MAX);
                let back = self.change(false, LEAST, usize::MAX);
                if out + back == 0 {
                    break;
                }
            }
        }
        self.kept
    }

    /// Takes images out (`kept` is set) or puts them back, as long as one gains more than `least`, and `most`
    /// times at most.
    fn change(&mut self, kept: bool, least: f64, most: usize) -> usize {
        let sign = if kept { -1.0 } else { 1.0 };
        let mut queue: BinaryHeap<Candidate> = (0..self.classes.len())
            .filter(|&image| self.kept[image] == kept)
            .map(|image| Candidate { gain: self.gain(image, sign), order: self.order[image], image })
            .collect();
        let mut changed = 0;
        while changed < most {
            let Some(candidate) = queue.pop() else { break };
            let gain = self.gain(candidate.image, sign);
            // Gains only shrink: the best of old ones that is still as good is the best.
            if gain < candidate.gain {
                queue.push(Candidate { gain, ..candidate });
                continue;
            }
            if gain <= least {
                break;
            }
            for &(label, count) in &self.classes[candidate.image] {
                self.counts[label] += sign * count as f64;
            }
            self.kept[candidate.image] = !kept;
            changed += 1;
        }
        changed
    }

    /// How much closer the counts come.
    fn gain(&self, image: usize, sign: f64) -> f64 {
        let of_class = |&(label, count): &(usize, u64)| {
            let asked = self.asked[label]?;
            let (before, after) = (self.counts[label], self.counts[label] + sign * count as f64);
            Some(((before - asked).abs() - (after - asked).abs()) / asked.max(1.0))
        };
        self.classes[image].iter().filter_map(of_class).sum()
    }
}
