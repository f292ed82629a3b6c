//! Arguments of `longtail emoji`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use longtail_emoji::WorldLayout;

/// `longtail emoji`
#[derive(Debug, Subcommand)]
pub enum Emoji {
    /// Write the benchmark as images and annotation files, for any other tool
    #[command(after_help = "\
The layout open-images has a tree of classes (emoji, subgroup, group), boxes around groups and \
classes verified absent, in files named as the published ones.

Examples:
  longtail emoji export emoji --classes 60 --images 2500 --seed 0
  longtail emoji export emoji-oi --layout open-images --classes 40 --images 3000")]
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
    /// Number of validation images
    #[arg(long)]
    pub validation_images: Option<usize>,
    /// Side of the square images in pixels
    #[arg(long)]
    pub image_size: Option<u32>,
    /// Seed of the world
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Annotation files to write
    #[arg(long, value_enum, default_value_t = ExportLayout::Lvis)]
    pub layout: ExportLayout,
}

/// Annotation files of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportLayout {
    /// LVIS JSON
    Lvis,
    /// Open Images tables
    OpenImages,
}

impl From<ExportLayout> for WorldLayout {
    fn from(layout: ExportLayout) -> Self {
        match layout {
            ExportLayout::Lvis => Self::Lvis,
            ExportLayout::OpenImages => Self::OpenImages,
        }
    }
}
