//! The page about a data set: how long its tail is, how large its boxes are, which classes come together.

mod page;
mod plots;

pub use page::{html, thousands};

/// Everything that the page shows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DatasetData {
    /// Title of the page.
    pub title: String,
    /// Name and value of the large numbers at the top.
    pub figures: Vec<(String, String)>,
    /// Sentences under them.
    pub remarks: Vec<String>,
    /// Classes in any order.
    pub classes: Vec<ClassRow>,
    /// Distributions, with their heading.
    pub distributions: Vec<Distribution>,
    /// Tables of pairs of classes, with their heading.
    pub pairs: Vec<(String, Vec<PairRow>)>,
    /// Name and value of what is marked: crowds, lists.
    pub shares: Vec<(String, String)>,
    /// Facts about the page: file, command, version.
    pub facts: Vec<(String, String)>,
}

/// A class with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassRow {
    /// Name.
    pub name: String,
    /// Images that hold it.
    pub images: u64,
    /// Boxes.
    pub boxes: u64,
}

/// Values counted in bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// Heading.
    pub title: String,
    /// What is counted, under the axis.
    pub axis: String,
    /// A label for each edge of a bin: one more than bins.
    pub edges: Vec<String>,
    /// Values in each bin.
    pub counts: Vec<u64>,
    /// Quantiles in words; empty without values.
    pub summary: String,
}

/// Two classes that share images.
#[derive(Debug, Clone, PartialEq)]
pub struct PairRow {
    /// Names.
    pub classes: [String; 2],
    /// Images with both.
    pub images: u64,
    /// How many times more often than by chance.
    pub lift: f64,
}
