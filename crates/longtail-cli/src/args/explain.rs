//! Arguments of `longtail explain`.

use clap::Subcommand;

/// `longtail explain`
#[derive(Debug, Subcommand)]
pub enum Explain {
    /// Classification losses: all as a table, or one with its settings
    #[command(after_help = "Examples:\n  longtail explain loss\n  longtail explain loss acsl")]
    Loss {
        /// Name in a recipe, such as `acsl`
        name: Option<String>,
    },
    /// Corrections of a trained softmax classifier: all as a table, or one with its settings
    #[command(after_help = "Examples:\n  longtail explain correction\n  longtail explain correction norcal")]
    Correction {
        /// Name in a recipe, such as `norcal`
        name: Option<String>,
    },
}
