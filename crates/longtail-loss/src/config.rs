//! The choice of a loss, as a recipe spells it.

use serde::{Deserialize, Serialize};

use crate::{
    acsl::{Acsl, AcslConfig},
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
    sigmoid_bce::{SigmoidBce, SigmoidBceConfig},
    softmax::SoftmaxCrossEntropy,
};

/// A classification loss by name, `kind = "acsl"` in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossConfig {
    /// [`SoftmaxCrossEntropy`].
    SoftmaxCrossEntropy,
    /// [`SigmoidBce`].
    SigmoidBce(SigmoidBceConfig),
    /// [`Acsl`].
    Acsl(AcslConfig),
}

impl LossConfig {
    /// Builds the loss for the classes of a data set.
    ///
    /// # Errors
    /// If a setting is out of range, or the loss reads counts that are missing.
    pub fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(match self {
            Self::SoftmaxCrossEntropy => Box::new(SoftmaxCrossEntropy),
            Self::SigmoidBce(config) => Box::new(SigmoidBce::new(config)),
            Self::Acsl(config) => Box::new(Acsl::new(config, context)?),
        })
    }
}
