//! Arguments of `longtail tune`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use longtail_eval::Metric;
use longtail_head::tune::Rule;

use crate::args::{Format, OnDevice};

/// How a candidate is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RuleChoice {
    /// The best over all folds
    Best,
    /// As good as the best, with the least movement
    OneStandardError,
}

impl From<RuleChoice> for Rule {
    fn from(choice: RuleChoice) -> Self {
        match choice {
            RuleChoice::Best => Self::Best,
            RuleChoice::OneStandardError => Self::OneStandardError,
        }
    }
}

/// `longtail tune`
#[derive(Debug, Args)]
#[command(after_help = "\
Every method gets the same number of candidates over learning rate, steps, weight decay and one or \
two settings of its own. They are trained without one fold of the training images and scored on it, \
fold by fold; after each fold the better half goes on. The chosen settings and the published ones \
are trained on all images; the validation images score what was chosen and choose nothing. What is \
finished is read when the same command is given again.

Examples:
  longtail tune runs/demo/1
  longtail tune bank --methods softmax-cross-entropy,acsl,seesaw --budget 8
  longtail tune bank-0 bank-1 bank-2 --set length.iterations=600 \\
      --format markdown")]
pub struct Tune {
    /// Feature banks made with --training-proposals, or run folders, whose bank is made first
    #[arg(required = true)]
    pub sources: Vec<PathBuf>,
    /// Methods by name, separated by commas [default: every loss, and softmax with every correction]
    #[arg(long, value_delimiter = ',')]
    pub methods: Vec<String>,
    /// Candidates of each method beside its published settings
    #[arg(long, default_value_t = 12)]
    pub budget: usize,
    /// Folds of the training images, balanced by class
    #[arg(long, default_value_t = 3)]
    pub folds: usize,
    /// Seed of candidates, folds and the candidates' training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seeds that the chosen and the published settings are trained with, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// The metric on the folds that chooses
    #[arg(long, default_value = "AP")]
    pub metric: Metric,
    /// The rule that chooses
    #[arg(long, value_enum, default_value_t = RuleChoice::Best)]
    pub rule: RuleChoice,
    /// Train every candidate on every fold and on all images, and say what each way of choosing costs on
    /// the validation images
    #[arg(long)]
    pub study: bool,
    /// Override a value of all methods' recipes; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Folder of the tuning; with several sources one below it for each [default: SOURCE/tune]
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub device: OnDevice,
    /// Format of the tables on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
