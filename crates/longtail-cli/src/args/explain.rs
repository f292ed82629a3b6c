//! Arguments of `longtail explain`.

use clap::{Subcommand, ValueEnum};

/// `longtail explain`
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Classification losses: all as a table, or one with its settings
    #[command(after_help = "\
Examples:
  longtail explain loss
  longtail explain loss acsl")]
    Loss {
        /// Name, such as `acsl`, in any case, or its beginning
        name: Option<String>,
    },
    /// Corrections of a trained softmax classifier: all as a table, or one with its settings
    #[command(after_help = "\
Examples:
  longtail explain correction
  longtail explain correction norcal")]
    Correction {
        /// Name in a recipe, such as `norcal`
        name: Option<String>,
    },
    /// The keys of a recipe: an overview, one key with everything below it, or the whole reference
    #[command(after_help = "\
Keys are dotted as in `--set`; the number of a stage may be left out.

Examples:
  longtail explain recipe
  longtail explain recipe detector.rpn
  longtail explain recipe stages.0.optimizer.learning_rate
  longtail explain recipe --format json > recipe.schema.json")]
    Recipe {
        /// Dotted key, such as `stages.optimizer`
        key: Option<String>,
        /// A table for people, the whole reference as Markdown, or the JSON Schema
        #[arg(long, value_enum, default_value_t = RecipeFormat::Text, conflicts_with = "key")]
        format: RecipeFormat,
    },
}

/// How the reference of the recipe is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecipeFormat {
    /// Tables for people
    Text,
    /// The reference page
    Markdown,
    /// The JSON Schema
    Json,
}
