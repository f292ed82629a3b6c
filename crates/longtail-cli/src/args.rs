//! The command line, from which help and completions are made too.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use longtail_eval::{MaxDetections, Protocol, Shard};

/// Train, repair and measure object detectors whose classes are long-tailed.
#[derive(Debug, Parser)]
#[command(name = "longtail", version, after_help = "Start with `longtail demo`.")]
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
    /// Train the last stage's classifier with several values of its settings, and compare them over seeds
    Sweep(Sweep),
    /// Explain a method: formula, settings, what it reads, when to use it
    #[command(subcommand)]
    Explain(Explain),
    /// Detect objects in images and draw them on copies
    Predict(Predict),
    /// Score detections against ground truth
    Eval(Eval),
    /// Hold detectors against each other: differences with intervals, winning and losing classes
    Compare(Compare),
    /// Write the report of a run as one HTML file
    Report(Report),
    /// Print shell completions
    #[command(
        after_help = "Example:\n  longtail completions bash > ~/.local/share/bash-completion/completions/longtail"
    )]
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

/// `longtail demo`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  longtail demo                    the whole comparison, up to 10 minutes on 2 cores
  longtail demo --quick            a smaller world, under 2 minutes
  longtail demo --seed 1 --format json > seed-1.json")]
pub struct Demo {
    /// A smaller world and a shorter training, for a first look
    #[arg(long)]
    pub quick: bool,
    /// Number of classes [default: the recipe's]
    #[arg(long)]
    pub classes: Option<usize>,
    /// Number of training images [default: the recipe's]
    #[arg(long)]
    pub images: Option<usize>,
    /// Side of the square images in pixels [default: the recipe's]
    #[arg(long)]
    pub image_size: Option<u32>,
    /// Seed of the world and of every random choice in training
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Run folder; the report is written there too [default: runs/demo/N]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Go on with an interrupted demo in `--out`
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Format of the table on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print the recipe that would run, and do nothing
    #[arg(long)]
    pub print_recipe: bool,
}

/// `longtail emoji`
#[derive(Debug, Subcommand)]
pub enum Emoji {
    /// Write the benchmark as images and LVIS annotation files, for any other tool
    #[command(after_help = "Example:\n  longtail emoji export emoji --classes 60 --images 2500 --seed 0")]
    Export(EmojiExport),
}

/// `longtail emoji export`
#[derive(Debug, Args)]
pub struct EmojiExport {
    /// Folder to write; must not exist or be empty
    pub folder: PathBuf,
    /// Number of classes
    #[arg(long)]
    pub classes: Option<usize>,
    /// Number of training images
    #[arg(long)]
    pub images: Option<usize>,
    /// Side of the square images in pixels
    #[arg(long)]
    pub image_size: Option<u32>,
    /// Seed of the world
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// `longtail data`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Count images, boxes and classes; show how long the tail is
    #[command(after_help = "Example:\n  longtail data stats lvis_v1_train.json")]
    Stats(DataStats),
    /// List everything that is wrong with a data set; exit code 1 if there is an error
    #[command(after_help = "Example:\n  longtail data check instances_train.json --images train2017")]
    Check(DataCheck),
}

/// `longtail data stats`
#[derive(Debug, Args)]
pub struct DataStats {
    /// COCO or LVIS annotation file
    pub annotations: PathBuf,
    /// Image folder; given, missing images are counted
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail data check`
#[derive(Debug, Args)]
pub struct DataCheck {
    /// COCO or LVIS annotation file
    pub annotations: PathBuf,
    /// Image folder; given, every image is decoded and measured
    #[arg(long)]
    pub images: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail train`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  longtail train configs/lvis.toml
  longtail train configs/lvis.toml --set stages.0.optimizer.learning_rate=0.005 --set seed=1
  longtail train configs/lvis.toml --out runs/lvis/1 --resume")]
pub struct Train {
    /// Recipe file (TOML)
    pub recipe: PathBuf,
    /// Override a value of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Run folder [default: runs/RECIPE/N]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint in `--out`, to the same bits
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Device to train on
    #[arg(long, value_enum, default_value_t = DeviceChoice::Cpu)]
    pub device: DeviceChoice,
}

/// Devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeviceChoice {
    /// The processor, all cores (set RAYON_NUM_THREADS for fewer)
    Cpu,
}

/// `longtail sweep`
#[derive(Debug, Args)]
#[command(after_help = "\
The last classifier of the recipe's last stage is the one that varies; softmax trained for the same steps is added.
All values start from the same stage-1 weights and see the same batches.

Examples:
  longtail sweep configs/demo.toml --vary loss.threshold=0.01,0.1,0.3,0.5,0.7,0.9 --seeds 0,1,2
  longtail sweep configs/demo.toml --from runs/demo/1 --vary 'loss.cuts=[5],[50],[500]' \\
      --set 'stages.1.classifiers=[{ name = \"BAGS\", loss = { kind = \"bags\" } }]'")]
pub struct Sweep {
    /// Recipe file (TOML)
    pub recipe: PathBuf,
    /// Setting of the classifier and its values, separated by commas; without it the classifiers are the recipe's
    #[arg(long, value_name = "KEY=V1,V2,…")]
    pub vary: Option<String>,
    /// Override a value of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seeds, separated by commas
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Finished runs to take the stages before the last from, one a seed, separated by commas; their recipes must agree
    #[arg(long, value_delimiter = ',')]
    pub from: Vec<PathBuf>,
    /// Folder with a run for each seed [default: runs/RECIPE-sweep]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Format of the table on standard output
    #[arg(long, default_value = "text")]
    pub format: Format,
}

/// `longtail explain`
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Classification losses: all as a table, or one with its settings
    #[command(after_help = "Examples:\n  longtail explain loss\n  longtail explain loss acsl")]
    Loss {
        /// Name in a recipe, such as `acsl`
        name: Option<String>,
    },
}

/// `longtail predict`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  longtail predict runs/lvis/1 photo.jpg --classifier ACSL --out predictions"
)]
pub struct Predict {
    /// Run folder of the trained detector
    pub run: PathBuf,
    /// Images
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// Which classifier of the run to use [default: the last trained]
    #[arg(long)]
    pub classifier: Option<String>,
    /// Draw boxes with at least this score (evaluation uses its own threshold)
    #[arg(long, default_value_t = 0.5)]
    pub score_threshold: f32,
    /// Draw at most so many boxes an image
    #[arg(long, default_value_t = 100)]
    pub max_boxes: usize,
    /// Folder for the drawn copies and `detections.json`
    #[arg(long, default_value = "predictions")]
    pub out: PathBuf,
}

/// `longtail eval`
#[derive(Debug, Args)]
#[command(after_help = "\
Detections may be a JSON list or JSON Lines of image_id, category_id, bbox [x, y, width, height] and score, as they are
or compressed (.gz, .zst).

Examples:
  longtail eval --protocol lvis --ground-truth lvis_v1_val.json --detections results.json.gz --format json
  longtail eval --protocol lvis-fixed --ground-truth lvis_v1_val.json --detections results.jsonl
  longtail eval --protocol lvis --ground-truth lvis_v1_val.json --detections results.json \\
      --errors --look-alikes --calibration
  longtail eval --protocol coco --ground-truth val.json --detections results.json \\
      --frequencies-from train.json --bins 10,100,1000
  longtail eval --protocol lvis --ground-truth val.json --detections results.json --shard 1/2 --partial 1.safetensors
  longtail eval --merge 1.safetensors 2.safetensors")]
pub struct Eval {
    /// Rules to score by: lvis, lvis-fixed, lvis-pooled or coco
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub protocol: Option<Protocol>,
    /// COCO or LVIS annotation file
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub ground_truth: Option<PathBuf>,
    /// Detections
    #[arg(long, required_unless_present = "merge", conflicts_with = "merge")]
    pub detections: Option<PathBuf>,
    /// Score only the images of one part, to be joined by --merge; such as 1/4
    #[arg(long, value_name = "I/N", requires = "partial")]
    pub shard: Option<Shard>,
    /// File for the part's outcomes
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub partial: Option<PathBuf>,
    /// Also say what is wrong with the detections and what each kind of error costs (TIDE), by frequency group
    #[arg(long, conflicts_with_all = ["merge", "shard"])]
    pub errors: bool,
    /// Also list the pairs of classes of which one claims the other's objects, those across frequency groups first
    #[arg(long, conflicts_with_all = ["merge", "shard"])]
    pub look_alikes: bool,
    /// Also compare scores with the share of detections that are right, by frequency group
    #[arg(long, conflicts_with = "shard")]
    pub calibration: bool,
    /// Also write the precision, recall and score arrays of the reference implementations (safetensors, f64)
    #[arg(long, value_name = "FILE", conflicts_with = "shard")]
    pub arrays: Option<PathBuf>,
    /// Join all parts of an evaluation, to the same bits as one run
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub merge: Vec<PathBuf>,
    /// Most detections of an image under the lvis protocol: a number, or none [default: 300]
    #[arg(long, value_name = "N|none", conflicts_with = "merge")]
    pub max_detections: Option<MaxDetections>,
    /// Count matches of the annotation with id 0, which the reference implementations overlook
    #[arg(long, conflicts_with = "merge")]
    pub corrected_ids: bool,
    /// Training annotations: classes are rare, common or frequent by the images there, whatever the ground truth says
    #[arg(long, value_name = "TRAIN.json", conflicts_with = "merge")]
    pub frequencies_from: Option<PathBuf>,
    /// AP of classes with at most so many training images, such as 10,100,1000
    #[arg(long, value_delimiter = ',', requires = "frequencies_from")]
    pub bins: Vec<u64>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail compare`
#[derive(Debug, Args)]
#[command(after_help = "\
The first file is the baseline. Intervals hold 95 % of a paired bootstrap over images. Exit code 1 with --fail-if-worse
if a detector is certainly worse: its difference is below 0 and the interval leaves out 0.

Examples:
  longtail compare softmax.json acsl.json --protocol lvis --ground-truth lvis_v1_val.json
  longtail compare main.json branch.json --protocol lvis --ground-truth lvis_v1_val.json --fail-if-worse APr")]
pub struct Compare {
    /// Files of detections, two or more
    #[arg(required = true, num_args = 2..)]
    pub detections: Vec<PathBuf>,
    /// Rules to score by: lvis, lvis-fixed or coco
    #[arg(long)]
    pub protocol: Protocol,
    /// COCO or LVIS annotation file
    #[arg(long)]
    pub ground_truth: PathBuf,
    /// Training annotations that decide which classes are rare, common or frequent
    #[arg(long, value_name = "TRAIN.json")]
    pub frequencies_from: Option<PathBuf>,
    /// Number of resamples
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..))]
    pub resamples: u64,
    /// Decides which images are drawn
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Classes to list at either end
    #[arg(long, default_value_t = 5)]
    pub classes: usize,
    /// Metrics that must not be worse, separated by commas: AP, APr, APc, APf
    #[arg(long, value_delimiter = ',', value_parser = ["AP", "APr", "APc", "APf"])]
    pub fail_if_worse: Vec<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `longtail report`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  longtail report runs/demo/1
  longtail report runs/demo/1 runs/demo/2 runs/demo/3 --format markdown   mean ± std over seeds
  longtail report runs/demo/1 runs/demo/2 runs/demo/3 --intervals         how certain the differences are")]
pub struct Report {
    /// Run folders; several give a table of mean ± standard deviation instead of a page
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Instead of the table: every classifier's difference to the baseline with its 95 % interval (1,000 resamples of
    /// the validation images), fixed AP, and false positives an image
    #[arg(long, conflicts_with = "out")]
    pub intervals: bool,
    /// Report file [default: report.html in the run folder]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Format of the table on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
