//! Detection metrics by the exact rules of the reference evaluators.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`report`] | [`EvalReport`], the only thing that reports, comparisons and tables read |

pub mod report;

pub use report::{CategoryResult, EvalReport, Metrics};
