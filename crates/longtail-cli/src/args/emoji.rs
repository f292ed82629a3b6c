//! Arguments of `longtail emoji`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
