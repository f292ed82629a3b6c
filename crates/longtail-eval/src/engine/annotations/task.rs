//! Matches whole images, one after the other.

use longtail_annotations::boxes::overlap;

use super::{
    detections::{Row, Rows},
    ground_truth::{Federated, GroundTruth, NOT_CHOSEN, TruthBox, UNKNOWN},
    masks::MaskOverlaps,
    matches::{Block, Cell, Countable, Matched},
    matching::Matcher,
    settings::Plan,
};
use crate::{order::descending, report::DetectionCounts};

/// Matches images one after the other; holds the memory for it.
pub(crate) struct Task<'a> {
    truth: &'a GroundTruth,
    plan: &'a Plan,
    matcher: Matcher,
    pub found: Block,
    pub countable: Countable,
    pub counts: DetectionCounts,
    /// By class: the last image (plus 1) in which it is scored, and in which it is open.
    scored: Vec<u32>,
    open: Vec<u32>,
    truths: Vec<TruthBox>,
    rows: Vec<u32>,
    /// Class, score and index in the list of rows of what is scored.
    keys: Vec<(u32, f64, u32)>,
    boxes: Vec<[f64; 4]>,
    sizes: Vec<f64>,
}

impl<'a> Task<'a> {
    /// For images that have `most` detections together.
    pub(crate) fn new(truth: &'a GroundTruth, plan: &'a Plan, most: usize) -> Self {
        let classes = if plan.federated { truth.classes.list.len() } else { 0 };
        Self {
            truth,
            plan,
            matcher: Matcher::new(plan),
            found: Block {
                rows: Vec::with_capacity(most),
                outcomes: Vec::with_capacity(most * plan.planes.count()),
            },
            countable: Countable::default(),
            counts: DetectionCounts::default(),
            scored: vec![0; classes],
            open: vec![0; classes],
            truths: Vec::new(),
            rows: Vec::new(),
            keys: Vec::new(),
            boxes: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Matches an image whose detections are at the indices `rows` of `all`. Without `kept` all of them take
    /// part.
    pub(crate) fn match_image(
        &mut self,
        all: Rows<'_>,
        image: u32,
        rows: &[u32],
        kept: Option<&[bool]>,
        federated: Option<&Federated>,
    ) {
        let row = |index: u32| -> &Row { &all.rows[index as usize] };
        let lists = federated.map(|f| (&f.negative[image as usize], &f.not_exhaustive[image as usize]));
        let counts = |area: f64| lists.is_none() || (area > 0.0 && area.is_finite());
        let stamp = image + 1;
        let rank = &self.truth.classes.rank;

        self.truths.clear();
        let known = |t: &&TruthBox| t.class < NOT_CHOSEN && counts(t.area);
        self.truths.extend(self.truth.boxes_of(image as usize).iter().filter(known));
        match self.plan.class_agnostic {
            // As the reference puts the lists of classes one after the other.
            true => self.truths.sort_by_key(|t| rank[t.class as usize]),
            false => self.truths.sort_by_key(|t| t.class),
        }
        if let Some((negative, not_exhaustive)) = lists {
            self.truths.iter().for_each(|t| self.scored[t.class as usize] = stamp);
            negative.iter().for_each(|&class| self.scored[class as usize] = stamp);
            not_exhaustive.iter().for_each(|&class| self.open[class as usize] = stamp);
        }

        self.rows.clear();
        self.rows.extend_from_slice(rows);
        self.counts.read += rows.len() as u64;
        // All classes count towards the cap, also those that are not scored here.
        if let Some(cap) = self.plan.per_image.filter(|&cap| rows.len() > cap) {
            self.rows.sort_by(|&a, &b| descending(row(a).score, row(b).score));
            self.rows.truncate(cap);
            self.counts.over_cap += (rows.len() - cap) as u64;
        }
        if self.plan.class_agnostic {
            self.rows.sort_by_key(|&index| rank.get(row(index).class as usize));
        }
        let (scored, left_out) = (&self.scored, &mut self.counts);
        self.keys.clear();
        self.keys.extend((0u32..).zip(&self.rows).filter_map(|(index, &of_all)| {
            let Row { class, score, .. } = row(of_all);
            let reason = match *class {
                UNKNOWN => &mut left_out.unknown_category,
                NOT_CHOSEN => &mut left_out.not_chosen,
                _ if kept.is_some_and(|kept| !kept[of_all as usize]) => &mut left_out.over_cap,
                class if lists.is_some() && scored[class as usize] != stamp => &mut left_out.not_verified,
                _ if !counts(all.area(of_all as usize)) => &mut left_out.without_extent,
                class => return Some((if self.plan.class_agnostic { 0 } else { class }, *score, index)),
            };
            *reason += 1;
            None
        }));
        self.keys.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(descending(a.1, b.1)).then(a.2.cmp(&b.2)));

        let class_of = |truth: &TruthBox| if self.plan.class_agnostic { 0 } else { truth.class };
        let (mut d, mut t) = (0, 0);
        loop {
            let next_row = self.keys.get(d).map(|key| key.0);
            let next_truth = self.truths.get(t).map(class_of);
            let Some(class) = next_row.into_iter().chain(next_truth).min() else { break };
            let of_row = self.keys[d..].iter().take_while(|key| key.0 == class).count();
            let of_truth = self.truths[t..].iter().take_while(|truth| class_of(truth) == class).count();
            let cell = &self.keys[d..d + of_row.min(self.plan.per_cell())];
            self.counts.over_cap += (of_row - cell.len()) as u64;
            self.counts.scored += cell.len() as u64;
            let index = |key: &(u32, f64, u32)| self.rows[key.2 as usize] as usize;
            self.sizes.clear();
            self.sizes.extend(cell.iter().map(|key| all.area(index(key))));
            let open = lists.is_some() && self.open[class as usize] == stamp;
            let truths = &self.truths[t..t + of_truth];
            let counted = self.countable.counts.len();
            let (outcomes, countable) = (&mut self.found.outcomes, &mut self.countable.counts);
            match &self.truth.masks {
                None => {
                    self.boxes.clear();
                    self.boxes.extend(cell.iter().map(|key| all.rows[index(key)].bbox));
                    let boxes = &self.boxes;
                    let of_boxes = |d: usize, t: usize, crowd| overlap(&boxes[d], &truths[t].bbox, crowd);
                    self.matcher.match_cell(&self.sizes, truths, of_boxes, open, outcomes, countable);
                }
                Some(masks) => {
                    // Without a size there is no mask, and nothing to overlap.
                    let size = masks.size(image as usize).unwrap_or_default();
                    let found = cell.iter().map(|key| &all.masks[index(key)]);
                    let of_truths = truths.iter().map(|truth| masks.of(truth.mask));
                    let (least, ratio) = (self.matcher.least(), self.plan.dilation_ratio());
                    let overlaps = MaskOverlaps::new(size, least, ratio, found, of_truths);
                    let of_masks = |d: usize, t: usize, crowd| overlaps.of(d, t, crowd);
                    self.matcher.match_cell(&self.sizes, truths, of_masks, open, outcomes, countable);
                }
            }
            self.found.rows.extend(cell.iter().map(|&(_, score, _)| Matched { score, image, class }));
            if self.countable.counts[counted..].iter().any(|count| *count > 0) {
                self.countable.cells.push(Cell { image, class });
            } else {
                self.countable.counts.truncate(counted);
            }
            d += of_row;
            t += of_truth;
        }
    }
}
