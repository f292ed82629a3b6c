//! Reports: tables in several formats, plots, and self-contained HTML pages.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`scores`], [`analyses`], [`comparison`] | what `longtail eval` and `longtail compare` say |
//! | [`run`] | the report of a training run, from its folder |
//! | [`data`] | what a report is made of |
//! | [`table`] | the metrics table as text cells, Markdown, CSV, JSON |
//! | [`mod@aggregate`] | mean ± standard deviation over runs |
//! | [`plots`] | the signature plot and training curves as SVG |
//! | [`page`] | the HTML page |
//! | [`dataset`] | the page about a data set |
//! | `groups` | the frequency groups in words |
//!
//! ```
//! use longtail_report::{ReportData, html};
//!
//! let data = ReportData { title: "recipe <1>".into(), ..ReportData::default() };
//! assert!(html(&data)?.contains("<h1>recipe &#60;1&#62;</h1>"));
//! # Ok::<(), longtail_report::ReportError>(())
//! ```

pub mod aggregate;
pub mod analyses;
pub mod comparison;
pub mod data;
pub mod dataset;
mod groups;
pub mod page;
pub mod plots;
pub mod run;
pub mod scores;
pub mod table;

pub use aggregate::{aggregate, spread};
pub use data::{ConfusedPair, Curve, DrawnBox, Gallery, GalleryImage, Method, Panel, ReportData, TruthName};
pub use page::html;
pub use table::{Cell, Table};

/// An error of making a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A plot cannot be drawn.
    #[error("cannot draw the {plot}: {reason}")]
    Plot {
        /// Which plot.
        plot: &'static str,
        /// The library's reason.
        reason: String,
    },
    /// The page cannot be rendered.
    #[error("cannot render the page: {0}")]
    Page(#[from] askama::Error),
    /// A table cannot be written as CSV.
    #[error("cannot write the table: {0}")]
    Csv(#[from] csv::Error),
    /// Detections cannot be scored.
    #[error(transparent)]
    Evaluation(#[from] longtail_eval::EvalError),
    /// A run cannot be read.
    #[error(transparent)]
    Run(#[from] longtail_run::RunError),
    /// A validation image cannot be had.
    #[error("cannot show image {image} of the validation set: {reason}")]
    Picture {
        /// Its id.
        image: i64,
        /// Why.
        reason: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is nothing to compare.
    #[error("{} has one classifier; there is nothing to compare", run.display())]
    OneClassifier {
        /// The run.
        run: std::path::PathBuf,
    },
    /// Runs that were made in different ways cannot be averaged.
    #[error("run {run} {reason}; only runs of one recipe with different seeds can be averaged or compared")]
    Mismatch {
        /// Index of the run among those given, from 1.
        run: usize,
        /// What differs.
        reason: String,
    },
}
