//! Where a run stands.

use serde::{Deserialize, Serialize};

/// A position in a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Position {
    /// Index of the stage.
    pub stage: usize,
    /// Iterations done in it.
    pub iteration: u64,
}
