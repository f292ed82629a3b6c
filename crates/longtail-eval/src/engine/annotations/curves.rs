//! Curves of every class, by area range and cap.

use rayon::prelude::*;

use super::{
    accumulate::Curves,
    matches::{ByClass, Found, sorted},
    settings::Plan,
};

/// Curves of a class; `None` where there is no countable ground truth.
pub(crate) struct OfClass {
    /// By area range, at the full cap.
    pub areas: Vec<Option<Curves>>,
    /// Over all areas at the smaller caps an image and class.
    pub caps: Vec<Option<Curves>>,
}

/// Curves of every class.
pub(crate) struct ClassCurves {
    pub by_class: Vec<OfClass>,
}

impl ClassCurves {
    pub(crate) fn of(plan: &Plan, matches: &ByClass<'_>) -> Self {
        let smaller = &plan.caps[..plan.caps.len().saturating_sub(1)];
        let of_class = |class: usize| {
            let curves = |rows: &[Found<'_>], area: usize| {
                let countable = matches.countable[class][area];
                (countable > 0).then(|| Curves::of(plan, rows, area, countable))
            };
            let rows = sorted(matches.rows(class), usize::MAX);
            OfClass {
                areas: (0..plan.areas.len()).map(|area| curves(&rows, area)).collect(),
                caps: smaller
                    .iter()
                    .map(|&cap| curves(&sorted(matches.rows(class), cap), plan.whole))
                    .collect(),
            }
        };
        Self { by_class: (0..matches.classes()).into_par_iter().map(of_class).collect() }
    }

    /// Defined curves of an area range.
    pub(crate) fn in_area(&self, area: usize) -> impl Iterator<Item = &Curves> {
        self.by_class.iter().filter_map(move |class| class.areas[area].as_ref())
    }
}
