//! What a training run leaves behind, readable without the framework that computed it.
//!
//! A run's folder is `runs/<recipe>/<n>/`: `config.toml` (resolved), `environment.json`, `metrics.jsonl`,
//! `checkpoints/{last,<stage>}.safetensors`, `detections/*.json`, `results.json`, `report.html`.
//!
//! | module | purpose |
//! | --- | --- |
//! | `folder` | the folder: created, locked, every file written by rename |
//! | `results` | `results.json`: classes, classifiers, their evaluations |
//! | [`metrics`] | `metrics.jsonl`: training steps and evaluations in the order they happened |
//! | `observer` | how a run tells what it does, and is asked to stop |
//! | `position` | a stage and the iterations done in it |
//! | [`environment`] | what a run ran on |
//! | `error` | what can go wrong |
//!
//! ```
//! use longtail_run::{Results, RunFolder};
//!
//! # let parent = std::env::temp_dir().join(format!("longtail-run-doc-{}", std::process::id()));
//! let path = longtail_run::next_run_path(&parent);
//! let folder = RunFolder::open(&path, false)?;
//! Results { seed: 7, ..Results::default() }.write(&folder)?;
//! assert_eq!(Results::read(&path)?.seed, 7);
//! // The folder is locked as long as the value lives.
//! assert!(RunFolder::open(&path, false).is_err());
//! # std::fs::remove_dir_all(&parent).unwrap();
//! # Ok::<(), longtail_run::RunError>(())
//! ```

pub mod environment;
mod error;
mod folder;
pub mod metrics;
mod observer;
mod position;
mod results;

pub use error::RunError;
pub use folder::{RunFolder, next_run_path, write_atomically};
pub use metrics::{EvaluationRecord, MetricsLog, Record, StepRecord};
pub use observer::{Event, Observer, Silent};
pub use position::Position;
pub use results::{ClassifierResult, Results};
