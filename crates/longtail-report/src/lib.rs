//! Reports: tables in several formats, plots, and self-contained HTML pages. Reads evaluation results, and what it is given of a
//! data set, only.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`data`] | what a report is made of |
//! | [`table`] | the metrics table as text cells, Markdown, CSV, JSON |
//! | [`mod@aggregate`] | mean ± standard deviation over runs |
//! | [`plots`] | the signature plot and training curves as SVG |
//! | [`page`] | the HTML page |
//! | [`dataset`] | the page about a data set |

pub mod aggregate;
pub mod data;
pub mod dataset;
pub mod page;
pub mod plots;
pub mod table;

pub use aggregate::{aggregate, spread};
pub use data::{Curve, DrawnBox, Gallery, GalleryImage, LookAlikePair, Method, Panel, ReportData, TruthName};
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
    /// Runs that were made in different ways cannot be averaged.
    #[error("run {run} {reason}; only runs of one recipe with different seeds can be averaged")]
    Mismatch {
        /// Place of the run among those given, from 1.
        run: usize,
        /// What differs.
        reason: String,
    },
}
