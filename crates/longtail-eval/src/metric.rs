//! The numbers of a report: what each is called, which comes first, and where tables list it.
//!
//! ```
//! use longtail_eval::{Metric, Metrics};
//!
//! let challenge: Metrics = [("mAP50r".parse()?, Some(0.25)), ("mAP50".parse()?, Some(0.5))].into();
//! // The mean that a line of progress shows, and the same over the rare classes.
//! let headline = longtail_eval::metric::headline(challenge.keys());
//! assert_eq!(headline, Metric::CHALLENGE_AP);
//! assert_eq!(challenge.keys().map(Metric::to_string).collect::<Vec<_>>(), ["mAP50", "mAP50r"]);
//! # Ok::<(), longtail_eval::metric::UnknownMetric>(())
//! ```

use std::{cmp::Ordering, collections::BTreeMap, fmt, str::FromStr};

use longtail_annotations::FrequencyGroup;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Metrics in the order of tables. `None` (JSON `null`) where one is undefined, because no class or box
/// counts; never 0 or -1 for that.
pub type Metrics = BTreeMap<Metric, Option<f64>>;

/// A number over the whole set: what is averaged, and over what. Written by its published name: `AP`, `AP50`,
/// `APr`, `AP[11-100]`, `mAP50`, `AR@300`, `ARs@100`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Metric {
    /// What is averaged.
    pub measure: Measure,
    /// Over which classes or boxes.
    pub subset: Subset,
}

/// What is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// Average precision of the Open Images challenge, at IoU 0.5.
    ChallengePrecision,
    /// Average precision, mean over the IoU thresholds.
    Precision,
    /// Average precision at IoU 0.5.
    Precision50,
    /// Average precision at IoU 0.75.
    Precision75,
    /// Largest recall, mean over the IoU thresholds, with so many detections.
    Recall(Cap),
}

/// Most detections, in the name of a recall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cap {
    /// So many an image (LVIS), or an image and class (COCO).
    Detections(u64),
    /// So many a class over all images.
    PerClass(u64),
    /// All of them.
    Unlimited,
}

/// Over which classes or boxes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subset {
    /// All of them.
    All,
    /// Boxes of an area range.
    Area(Area),
    /// Classes of a frequency group.
    Group(FrequencyGroup),
    /// Classes with so many training images.
    Bin {
        /// Fewest.
        least: u64,
        /// Most; `None` without a bound.
        most: Option<u64>,
    },
}

/// An area range other than `all`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// `s`.
    Small,
    /// `m`.
    Medium,
    /// `l`.
    Large,
    /// Another, by its name.
    Named(String),
}

impl Area {
    /// A range by its name.
    pub fn of(name: &str) -> Self {
        match name {
            "small" => Self::Small,
            "medium" => Self::Medium,
            "large" => Self::Large,
            _ => Self::Named(name.to_owned()),
        }
    }
}

impl Metric {
    /// `AP`, the headline of LVIS and COCO.
    pub const AP: Self = Self { measure: Measure::Precision, subset: Subset::All };
    /// `AP50`.
    pub const AP50: Self = Self { measure: Measure::Precision50, subset: Subset::All };
    /// `AP75`.
    pub const AP75: Self = Self { measure: Measure::Precision75, subset: Subset::All };
    /// `mAP50`, the headline of the Open Images challenge.
    pub const CHALLENGE_AP: Self = Self { measure: Measure::ChallengePrecision, subset: Subset::All };

    /// The same over the classes of a frequency group, such as `APr` of `AP`.
    pub fn of_group(&self, group: FrequencyGroup) -> Self {
        Self { measure: self.measure, subset: Subset::Group(group) }
    }

    /// The same over all classes, then over each frequency group: what a line of progress shows.
    pub fn with_groups(&self) -> [Self; 4] {
        let [rare, common, frequent] = FrequencyGroup::ALL.map(|group| self.of_group(group));
        [self.clone(), rare, common, frequent]
    }

    /// As the protocols list them: precisions, by area, by group, by bin, then recalls.
    fn rank(&self) -> (u8, &Subset, &Measure) {
        let rank = match (&self.measure, &self.subset) {
            (Measure::Recall(_), _) => 6,
            (_, Subset::Bin { .. }) => 5,
            (Measure::ChallengePrecision, _) => 0,
            (_, Subset::Group(_)) => 4,
            (_, Subset::Area(_)) => 3,
            (_, Subset::All) => 2,
        };
        (rank, &self.subset, &self.measure)
    }
}

/// The mean that says most in fewest words: that of the challenge where it is among `metrics`, else `AP`.
pub fn headline<'a>(mut metrics: impl Iterator<Item = &'a Metric>) -> Metric {
    let challenge = metrics.any(|metric| metric.measure == Measure::ChallengePrecision);
    if challenge { Metric::CHALLENGE_AP } else { Metric::AP }
}

/// What short tables list of a report's metrics: precisions, also by group, and the recall with most
/// detections.
pub fn main<'a>(metrics: impl Iterator<Item = &'a Metric> + Clone) -> impl Iterator<Item = Metric> {
    let over_all =
        |metric: &&Metric| matches!(metric.measure, Measure::Recall(_)) && metric.subset == Subset::All;
    let recall = metrics.clone().filter(over_all).max().cloned();
    let precisions = metrics.filter(|metric| {
        !matches!(metric.measure, Measure::Recall(_))
            && matches!(metric.subset, Subset::All | Subset::Group(_))
    });
    precisions.cloned().chain(recall).collect::<Vec<_>>().into_iter()
}

impl Ord for Metric {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detections(cap) => write!(f, "{cap}"),
            Self::PerClass(cap) => write!(f, "{cap}/class"),
            Self::Unlimited => f.write_str("all"),
        }
    }
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Area(Area::Small) => f.write_str("s"),
            Self::Area(Area::Medium) => f.write_str("m"),
            Self::Area(Area::Large) => f.write_str("l"),
            Self::Area(Area::Named(name)) => write!(f, "[{name}]"),
            Self::Group(group) => f.write_str(group.letter()),
            Self::Bin { least, most: Some(most) } => write!(f, "[{least}-{most}]"),
            Self::Bin { least, most: None } => write!(f, "[>{}]", least.saturating_sub(1)),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subset = &self.subset;
        match self.measure {
            Measure::ChallengePrecision => write!(f, "mAP50{subset}"),
            Measure::Precision => write!(f, "AP{subset}"),
            Measure::Precision50 => write!(f, "AP50{subset}"),
            Measure::Precision75 => write!(f, "AP75{subset}"),
            Measure::Recall(cap) => write!(f, "AR{subset}@{cap}"),
        }
    }
}

/// A name that no metric has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a metric; expected a name such as AP, AP50, APr, AP[11-100], mAP50 or AR@300")]
pub struct UnknownMetric {
    /// As given.
    pub name: String,
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        parse(name).ok_or_else(|| UnknownMetric { name: name.to_owned() })
    }
}

fn parse(name: &str) -> Option<Metric> {
    if let Some(rest) = name.strip_prefix("AR") {
        let (subset, cap) = rest.split_once('@')?;
        return Some(Metric { measure: Measure::Recall(parse_cap(cap)?), subset: parse_subset(subset)? });
    }
    let measures = [
        ("mAP50", Measure::ChallengePrecision),
        ("AP50", Measure::Precision50),
        ("AP75", Measure::Precision75),
        ("AP", Measure::Precision),
    ];
    let (rest, measure) =
        measures.into_iter().find_map(|(start, measure)| Some((name.strip_prefix(start)?, measure)))?;
    Some(Metric { measure, subset: parse_subset(rest)? })
}

fn parse_cap(text: &str) -> Option<Cap> {
    match text.strip_suffix("/class") {
        Some(cap) => Some(Cap::PerClass(cap.parse().ok()?)),
        None if text == "all" => Some(Cap::Unlimited),
        None => Some(Cap::Detections(text.parse().ok()?)),
    }
}

fn parse_subset(text: &str) -> Option<Subset> {
    if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        if let Some(bound) = inside.strip_prefix('>') {
            return Some(Subset::Bin { least: bound.parse::<u64>().ok()?.checked_add(1)?, most: None });
        }
        if inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Some(Subset::Area(Area::Named(inside.to_owned())));
        }
        let (least, most) = inside.split_once('-')?;
        return Some(Subset::Bin { least: least.parse().ok()?, most: Some(most.parse().ok()?) });
    }
    let group = FrequencyGroup::ALL.into_iter().find(|group| group.letter() == text);
    match text {
        "" => Some(Subset::All),
        "s" => Some(Subset::Area(Area::Small)),
        "m" => Some(Subset::Area(Area::Medium)),
        "l" => Some(Subset::Area(Area::Large)),
        _ => group.map(Subset::Group),
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_in_the_order_of_tables() {
        let names = [
            "mAP50",
            "mAP50r",
            "mAP50c",
            "mAP50f",
            "AP",
            "AP50",
            "AP75",
            "APs",
            "APm",
            "APl",
            "AP[tiny]",
            "APr",
            "APc",
            "APf",
            "mAP50[0-10]",
            "AP[0-10]",
            "AP[11-100]",
            "AP[>100]",
            "AR@1",
            "AR@10",
            "AR@300",
            "AR@10000/class",
            "AR@all",
            "ARs@300",
            "ARm@300",
            "ARl@300",
            "AR[tiny]@300",
        ];
        let metrics: Vec<Metric> = names.iter().map(|name| name.parse().unwrap()).collect();
        assert!(metrics.is_sorted());
        assert_eq!(metrics.iter().map(Metric::to_string).collect::<Vec<_>>(), names.map(str::to_owned));
        for name in
            ["", "ap", "APx", "AP[", "AP[]", "AP[3]", "AR", "AR@", "AR@-1", "AP[>18446744073709551615]"]
        {
            assert!(name.parse::<Metric>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_map_of_metrics_is_a_json_object() {
        let metrics =
            Metrics::from([(Metric::AP, Some(0.5)), (Metric::AP.of_group(FrequencyGroup::Rare), None)]);
        let json = serde_json::to_string(&metrics).unwrap();
        assert_eq!(json, r#"{"AP":0.5,"APr":null}"#);
        assert_eq!(serde_json::from_str::<Metrics>(&json).unwrap(), metrics);
    }
}
