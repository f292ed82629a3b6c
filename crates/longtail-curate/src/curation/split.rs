//! Parts of a set with every class in its share: iterative stratification (Sechidis, Tsoumakas and Vlahavas,
//! ECML PKDD 2011) over groups of images, rarest class first.

use std::collections::BTreeSet;

use longtail_draw::{Purpose, generator};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{Groups, classes_of_images, recount};
use crate::error::CurateError;
use longtail_annotations::{LabelMap, Layout};
use longtail_formats::{Document, set_frequencies};

/// How a set is split.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitOptions {
    /// Names of the parts with their shares of the images, which sum to 1.
    pub parts: Vec<(String, f64)>,
    /// Random choices between equals.
    pub seed: u64,
    /// A class in as many groups as there are parts, or more, comes into every part, however small its share.
    pub every_class: bool,
}

/// What a part got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartReport {
    /// Its name.
    pub name: String,
    /// Images.
    pub images: usize,
    /// Boxes, crowds too.
    pub boxes: usize,
    /// Classes with boxes.
    pub classes: usize,
}

/// A class that some parts lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LackingClass {
    /// Its name.
    pub name: String,
    /// Images of the whole set with it.
    pub images: u64,
    /// Parts without it.
    pub parts: Vec<String>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    /// The parts.
    pub parts: Vec<PartReport>,
    /// Groups that stayed together.
    pub groups: usize,
    /// Classes with boxes that some part lacks, the rarest first.
    pub lacking: Vec<LackingClass>,
    /// Of these, classes that were in enough groups for every part.
    pub lacking_by_choice: usize,
    /// Largest difference of a part's share of a class from the wanted share, in images.
    pub largest_deviation: f64,
}

/// Images that stay together.
#[derive(Debug, Clone, Default)]
struct Unit {
    images: usize,
    /// Label, and in how many of the images it is.
    classes: Vec<(usize, u64)>,
}

/// Splits a set. The parts have all categories, in LVIS layout with the letters of the first part.
///
/// # Errors
/// If there are fewer than two parts, or their shares are no shares.
pub fn split(
    document: &Document,
    groups: &Groups,
    options: &SplitOptions,
) -> Result<(Vec<Document>, SplitReport), CurateError> {
    let shares: Vec<f64> = options.parts.iter().map(|(_, share)| *share).collect();
    let sum: f64 = shares.iter().sum();
    if shares.len() < 2 || shares.iter().any(|s| !(*s > 0.0 && *s < 1.0)) || (sum - 1.0).abs() > 1e-6 {
        let reason = "needs two or more parts with shares between 0 and 1 that sum to 1".into();
        return Err(CurateError::Setting { field: "parts", reason });
    }
    let labels = LabelMap::new(&document.set.categories);
    let units = units(document, groups, &labels);
    let mut assignment = Assignment::new(&units, &shares, labels.len(), options);
    assignment.run();
    if options.every_class {
        assignment.repair();
    }
    let report = assignment.report(document, groups, options, &labels);
    let mut parts: Vec<Document> = (0..shares.len())
        .map(|part| {
            let kept: Vec<bool> =
                groups.of_image.iter().map(|&unit| assignment.part_of[unit] == Some(part)).collect();
            let mut document = document.clone();
            document.retain_images(&kept);
            document
        })
        .collect();
    parts.iter_mut().for_each(recount);
    if document.set.layout == Layout::Lvis {
        set_frequencies(&mut parts[0], true);
        let letters: Vec<_> = parts[0].set.categories.iter().map(|c| c.frequency).collect();
        for part in &mut parts[1..] {
            part.set.categories.iter_mut().zip(&letters).for_each(|(c, letter)| c.frequency = *letter);
        }
    }
    Ok((parts, report))
}

fn units(document: &Document, groups: &Groups, labels: &LabelMap) -> Vec<Unit> {
    let mut units = vec![Unit::default(); groups.count];
    for (&group, classes) in groups.of_image.iter().zip(classes_of_images(document, labels)) {
        let unit = &mut units[group];
        unit.images += 1;
        for (label, _) in classes {
            match unit.classes.iter_mut().find(|(known, _)| *known == label) {
                Some((_, images)) => *images += 1,
                None => unit.classes.push((label, 1)),
            }
        }
    }
    units
}

struct Assignment<'a> {
    units: &'a [Unit],
    shares: &'a [f64],
    every_class: bool,
    random: ChaCha8Rng,
    part_of: Vec<Option<usize>>,
    /// Images that a part still wants, `[parts]`.
    wanted: Vec<f64>,
    /// Images with a class that a part still wants, `[classes][parts]`.
    wanted_of: Vec<Vec<f64>>,
    /// Units of each part with a class, `[classes][parts]`.
    held: Vec<Vec<usize>>,
    /// Units with a class.
    units_of: Vec<Vec<usize>>,
}

impl<'a> Assignment<'a> {
    fn new(units: &'a [Unit], shares: &'a [f64], classes: usize, options: &SplitOptions) -> Self {
        let mut units_of = vec![Vec::new(); classes];
        let mut images_of = vec![0_u64; classes];
        for (place, unit) in units.iter().enumerate() {
            for &(label, images) in &unit.classes {
                units_of[label].push(place);
                images_of[label] += images;
            }
        }
        let mut random = generator(options.seed, Purpose::SplitImages);
        // Choices between equals fall to whoever comes first.
        units_of.iter_mut().for_each(|units| units.shuffle(&mut random));
        let total: usize = units.iter().map(|unit| unit.images).sum();
        Self {
            units,
            shares,
            every_class: options.every_class,
            random,
            part_of: vec![None; units.len()],
            wanted: shares.iter().map(|share| share * total as f64).collect(),
            wanted_of: images_of.iter().map(|&n| shares.iter().map(|s| s * n as f64).collect()).collect(),
            held: vec![vec![0; shares.len()]; classes],
            units_of,
        }
    }

    fn run(&mut self) {
        let mut remaining: Vec<usize> = self.units_of.iter().map(Vec::len).collect();
        let with_any = (0..remaining.len()).filter(|&label| remaining[label] > 0);
        let mut queue: BTreeSet<(usize, usize)> = with_any.map(|label| (remaining[label], label)).collect();
        while let Some(&(_, label)) = queue.first() {
            let units: Vec<usize> =
                self.units_of[label].iter().copied().filter(|&unit| self.part_of[unit].is_none()).collect();
            for (done, &unit) in units.iter().enumerate() {
                let part = self.choose(label, units.len() - done);
                self.assign(unit, part);
                for &(label, _) in &self.units[unit].classes {
                    queue.remove(&(remaining[label], label));
                    remaining[label] -= 1;
                    if remaining[label] > 0 {
                        queue.insert((remaining[label], label));
                    }
                }
            }
        }
        let mut rest: Vec<usize> = (0..self.units.len()).filter(|&u| self.part_of[u].is_none()).collect();
        rest.shuffle(&mut self.random);
        // Large groups first: small ones even out what they leave.
        rest.sort_by_key(|&unit| std::cmp::Reverse(self.units[unit].images));
        for unit in rest {
            let part = largest((0..self.shares.len()).map(|part| (part, [self.wanted[part], 0.0])));
            self.assign(unit, part);
        }
    }

    /// The part for a unit with a class, of which `left` units are still to be given out.
    fn choose(&self, label: usize, left: usize) -> usize {
        let lacking = |part: &usize| self.held[label][*part] == 0;
        let parts = 0..self.shares.len();
        let must = self.every_class && left <= parts.clone().filter(lacking).count();
        largest(
            parts
                .filter(|part| !must || lacking(part))
                .map(|part| (part, [self.wanted_of[label][part], self.wanted[part]])),
        )
    }

    fn assign(&mut self, unit: usize, part: usize) {
        self.change(unit, part, 1.0);
        self.part_of[unit] = Some(part);
    }

    fn change(&mut self, unit: usize, part: usize, sign: f64) {
        self.wanted[part] -= sign * self.units[unit].images as f64;
        for &(label, images) in &self.units[unit].classes {
            self.wanted_of[label][part] -= sign * images as f64;
            let held = &mut self.held[label][part];
            *held = if sign > 0.0 { *held + 1 } else { *held - 1 };
        }
    }

    /// Moves units so that classes in enough units come into every part, where no other class pays for it.
    fn repair(&mut self) {
        let enough = |label: &usize| self.units_of[*label].len() >= self.shares.len();
        let mut labels: Vec<usize> = (0..self.units_of.len()).filter(enough).collect();
        labels.sort_by_key(|&label| self.units_of[label].len());
        // Each move gives a class a part that it lacked and takes none away, so this ends.
        let mut moved = true;
        while moved {
            moved = false;
            for &label in &labels {
                for part in 0..self.shares.len() {
                    if self.held[label][part] > 0 {
                        continue;
                    }
                    let spare = |&&unit: &&usize| {
                        self.part_of[unit].is_some_and(|from| {
                            self.units[unit].classes.iter().all(|&(label, _)| self.held[label][from] > 1)
                        })
                    };
                    let smallest =
                        |&&unit: &&usize| (self.units[unit].images, self.units[unit].classes.len());
                    let found = self.units_of[label].iter().filter(spare).min_by_key(smallest).copied();
                    if let Some((unit, from)) = found.and_then(|unit| Some((unit, self.part_of[unit]?))) {
                        self.change(unit, from, -1.0);
                        self.assign(unit, part);
                        moved = true;
                    }
                }
            }
        }
    }

    fn report(
        &self,
        document: &Document,
        groups: &Groups,
        options: &SplitOptions,
        labels: &LabelMap,
    ) -> SplitReport {
        let of_image = document.annotations_by_image();
        let mut parts: Vec<PartReport> = options
            .parts
            .iter()
            .enumerate()
            .map(|(part, (name, _))| PartReport {
                name: name.clone(),
                images: 0,
                boxes: 0,
                classes: self.held.iter().filter(|held| held[part] > 0).count(),
            })
            .collect();
        for (unit, places) in groups.of_image.iter().zip(of_image) {
            if let Some(part) = self.part_of[*unit] {
                parts[part].images += 1;
                parts[part].boxes += places.len();
            }
        }
        let images = |label: usize| -> u64 {
            let of_class = |unit: &usize| self.units[*unit].classes.iter().find(|(l, _)| *l == label);
            self.units_of[label].iter().filter_map(of_class).map(|(_, images)| images).sum()
        };
        let mut lacking: Vec<(usize, LackingClass)> = Vec::new();
        for label in (0..labels.len()).filter(|&label| !self.units_of[label].is_empty()) {
            let without = (0..parts.len()).filter(|&part| self.held[label][part] == 0);
            let without: Vec<String> = without.map(|part| parts[part].name.clone()).collect();
            if !without.is_empty() {
                let name = labels.name(label as u32).to_owned();
                lacking.push((label, LackingClass { name, images: images(label), parts: without }));
            }
        }
        lacking.sort_by(|(_, a), (_, b)| a.images.cmp(&b.images).then_with(|| a.name.cmp(&b.name)));
        let enough = |(label, _): &&(usize, LackingClass)| self.units_of[*label].len() >= parts.len();
        SplitReport {
            lacking_by_choice: lacking.iter().filter(enough).count(),
            lacking: lacking.into_iter().map(|(_, class)| class).collect(),
            parts,
            groups: groups.count,
            largest_deviation: self
                .wanted_of
                .iter()
                .flatten()
                .fold(0.0, |most, left| f64::max(most, left.abs())),
        }
    }
}

/// The first of the parts with the largest wishes.
fn largest(parts: impl Iterator<Item = (usize, [f64; 2])>) -> usize {
    let mut best: Option<(usize, [f64; 2])> = None;
    for (part, wish) in parts {
        let better = best.is_none_or(|(_, known)| {
            wish[0].total_cmp(&known[0]).then_with(|| wish[1].total_cmp(&known[1])).is_gt()
        });
        if better {
            best = Some((part, wish));
        }
    }
    best.map_or(0, |(part, _)| part)
}
