//! The command line, from which help and completions are made too.

mod calibrate;
mod compare;
mod data;
mod data_sets;
mod demo;
mod device;
mod emoji;
mod eval;
mod explain;
mod features;
mod head;
mod predict;
mod report;
mod sweep;
mod train;
mod tune;
mod weights;

use clap::{Parser, Subcommand, ValueEnum};

pub use calibrate::{Calibrate, CalibrationMethod};
pub use compare::Compare;
pub use data::{Data, DataCheck, DataExpandHierarchy, DataStats};
pub use data_sets::{
    DataConvert, DataConvertDetections, DataFilter, DataMerge, DataSplit, DataSubset, Duplicated, Place,
    Reading, Unit, Writing,
};
pub use demo::Demo;
pub use device::OnDevice;
pub use emoji::{Emoji, EmojiExport, ExportLayout};
pub use eval::Eval;
pub use explain::{Explain, RecipeFormat};
pub use features::{BackgroundPlace, Features, FeaturesExtract, FeaturesImport, FeaturesInfo};
pub use head::{Framework, Head, HeadApply, HeadEval, HeadSweep, HeadTrain};
pub use predict::Predict;
pub use report::Report;
pub use sweep::Sweep;
pub use train::Train;
pub use tune::Tune;
pub use weights::{Weights, WeightsExport, WeightsImport, WeightsInspect};

/// Train, repair and measure object detectors whose classes are long-tailed.
#[derive(Debug, Parser)]
#[command(
    name = "longtail",
    version,
    after_help = "\
Start with `longtail demo`."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a detector on the embedded benchmark and compare classifiers for its tail
    Demo(Demo),
    /// The embedded benchmark: 1,203 classes of emoji with the class counts of LVIS v1
    #[command(subcommand)]
    Emoji(Emoji),
    /// Look at a data set before training on it
    #[command(subcommand)]
    Data(Data),
    /// Train a detector by a recipe
    Train(Train),
    /// Keep a detector's RoI features: computed once, any classifier is trained on them in minutes
    #[command(subcommand)]
    Features(Features),
    /// Train, compare, score and put back classifiers on kept features
    #[command(subcommand)]
    Head(Head),
    /// Train the last stage's classifier with several values of its settings, and compare them over seeds
    Sweep(Sweep),
    /// Tune every method alike on kept features, chosen by cross-validation over the training images
    Tune(Tune),
    /// Explain a loss, a correction, or the keys of a recipe
    #[command(subcommand)]
    Explain(Explain),
    /// Detect objects in images and draw them on copies
    Predict(Predict),
    /// Score detections against ground truth
    Eval(Box<Eval>),
    /// Fit a map of logged scores, class by class, for a detector that is out of reach
    Calibrate(Calibrate),
    /// Hold detectors against each other: differences with intervals, winning and losing classes
    Compare(Compare),
    /// Weights of other frameworks: look into files, read them, write them
    #[command(subcommand)]
    Weights(Weights),
    /// Write the report of a run as one HTML file
    Report(Report),
    /// Print shell completions
    #[command(after_help = "\
Example:
  longtail completions bash > \\
      ~/.local/share/bash-completion/completions/longtail")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people
    Text,
    /// Full precision, every field
    Json,
    /// One row a class or method
    Csv,
    /// A table for documents
    Markdown,
}
