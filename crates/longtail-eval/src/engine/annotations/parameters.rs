//! What the references call `params`: thresholds, area ranges and classes, as values.

use serde::{Deserialize, Serialize};

use crate::{error::EvalError, numerics::linspace};

/// An area range in pixels², both ends inclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AreaRange {
    /// Name: letters, digits, `-` and `_`, a letter first. Metrics of `small`, `medium` and `large` are
    /// written `APs`, `APm`, `APl`; those of `tiny` are written `AP[tiny]`.
    pub name: String,
    /// Smallest area.
    pub least: f64,
    /// Largest area.
    pub most: f64,
}

impl AreaRange {
    /// Name of the range that `AP`, `AP50`, the groups and the classes go by.
    pub const ALL: &'static str = "all";

    /// A range by its name and ends.
    pub fn new(name: &str, least: f64, most: f64) -> Self {
        Self { name: name.to_owned(), least, most }
    }
}

/// Reads `name:least-most`, such as `tiny:0-256`.
impl std::str::FromStr for AreaRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(name, ends)| {
            let (least, most) = ends.split_once('-')?;
            Some(Self::new(name, least.parse().ok()?, most.parse().ok()?))
        });
        parts
            .ok_or_else(|| format!("`{text}` is not an area range; give name:least-most, such as tiny:0-256"))
    }
}

/// Thresholds, area ranges and whether classes matter; the default is that of the references, to the bit.
///
/// # Source
/// `pycocotools` 2.0.11 `Params`, `lvis` 0.5.3 `Params`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// IoU thresholds in `0..=1`, one or more, in any order. `AP50` and `AP75` are read at those that are
    /// exactly 0.5 and 0.75, and are undefined without.
    pub iou_thresholds: Vec<f64>,
    /// Recalls in `0..=1` at which precision is read, ascending, one or more.
    pub recall_thresholds: Vec<f64>,
    /// Area ranges of different names, one of them `all`.
    pub areas: Vec<AreaRange>,
    /// Whether all classes are matched as one (`useCats = 0`); COCO alone has it.
    pub class_agnostic: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        let area = |name, least, most| AreaRange::new(name, least, most);
        Self {
            iou_thresholds: linspace(0.5, 0.95, 10),
            recall_thresholds: linspace(0.0, 1.0, 101),
            areas: vec![
                area(AreaRange::ALL, 0.0, 1e10),
                area("small", 0.0, 1024.0),
                area("medium", 1024.0, 9216.0),
                area("large", 9216.0, 1e10),
            ],
            class_agnostic: false,
        }
    }
}

impl Parameters {
    /// The values that are not the references', with their names, for the report.
    pub(super) fn not_default(&self) -> Vec<(String, String)> {
        let (default, mut others) = (Self::default(), Vec::new());
        let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
        if self.iou_thresholds != default.iou_thresholds {
            others.push(("iou_thresholds".to_owned(), list(&self.iou_thresholds)));
        }
        if self.recall_thresholds != default.recall_thresholds {
            others.push(("recall_thresholds".to_owned(), list(&self.recall_thresholds)));
        }
        if self.areas != default.areas {
            let area = |area: &AreaRange| format!("{}:{}-{}", area.name, area.least, area.most);
            others.push(("areas".to_owned(), self.areas.iter().map(area).collect::<Vec<_>>().join(",")));
        }
        if self.class_agnostic {
            others.push(("class_agnostic".to_owned(), "true".to_owned()));
        }
        others
    }

    /// Refuses values that have no meaning.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        let fail = |name: &'static str, reason: String| Err(EvalError::Parameter { name, reason });
        for (name, values) in
            [("iou_thresholds", &self.iou_thresholds), ("recall_thresholds", &self.recall_thresholds)]
        {
            if values.is_empty() {
                return fail(name, "the list is empty; give one value or more".into());
            }
            if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
                return fail(name, format!("{value} is not in 0 to 1"));
            }
        }
        if !self.recall_thresholds.is_sorted() {
            return fail("recall_thresholds", "they do not ascend; sort them".into());
        }
        for (index, area) in self.areas.iter().enumerate() {
            let AreaRange { name, least, most } = area;
            let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(word) {
                let rule = "use letters, digits, - and _, a letter first";
                return fail("areas", format!("`{name}` cannot name an area range; {rule}"));
            }
            if self.areas[..index].iter().any(|other| other.name == *name) {
                return fail("areas", format!("`{name}` is there twice"));
            }
            if least.is_nan() || most.is_nan() || least > most {
                return fail("areas", format!("`{name}` goes from {least} to {most}; the ends must ascend"));
            }
        }
        if !self.areas.iter().any(|area| area.name == AreaRange::ALL) {
            let reason =
                "none is named `all`, which AP, AP50 and the numbers of classes go by; add all:0-1e10";
            return fail("areas", reason.into());
        }
        Ok(())
    }
}

/// How outcomes are laid out: for each area range a plane for every 16 IoU thresholds, a bit a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Planes {
    pub thresholds: usize,
    pub areas: usize,
}

impl Planes {
    const WIDTH: usize = u16::BITS as usize;

    /// Planes of an area range.
    pub(crate) fn chunks(self) -> usize {
        self.thresholds.div_ceil(Self::WIDTH)
    }

    /// All planes.
    pub(crate) fn count(self) -> usize {
        self.areas * self.chunks()
    }

    /// Thresholds of the planes of an area range.
    pub(crate) fn thresholds(self, chunk: usize) -> std::ops::Range<usize> {
        chunk * Self::WIDTH..self.thresholds.min((chunk + 1) * Self::WIDTH)
    }

    /// A bit for each of a chunk's thresholds.
    pub(crate) fn every(self, chunk: usize) -> u16 {
        u16::MAX >> (Self::WIDTH - self.thresholds(chunk).len())
    }

    /// Plane and bit of a threshold in an area range.
    pub(crate) fn at(self, area: usize, threshold: usize) -> (usize, u16) {
        (area * self.chunks() + threshold / Self::WIDTH, 1 << (threshold % Self::WIDTH))
    }
}
