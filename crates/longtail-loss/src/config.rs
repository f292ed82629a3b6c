//! The choice of a loss, as a recipe spells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
    methods::{
        acsl::{Acsl, AcslConfig},
        bags::{Bags, BagsConfig},
        balanced_softmax::{BalancedSoftmax, BalancedSoftmaxConfig},
        class_balanced::{ClassBalanced, ClassBalancedConfig},
        drop_loss::{DropLoss, DropLossConfig},
        eql::{Eql, EqlConfig},
        eql_v2::{EqlV2, EqlV2Config},
        equalized_focal::{EqualizedFocal, EqualizedFocalConfig},
        federated::{Federated, FederatedConfig},
        focal::{Focal, FocalConfig},
        ldam::{Ldam, LdamConfig},
        seesaw::{Seesaw, SeesawConfig},
        sigmoid_bce::{SigmoidBce, SigmoidBceConfig},
        softmax::SoftmaxCrossEntropy,
    },
};

/// A classification loss by name, `kind = "acsl"` in a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum LossConfig {
    /// [`SoftmaxCrossEntropy`].
    SoftmaxCrossEntropy,
    /// [`SigmoidBce`].
    SigmoidBce(SigmoidBceConfig),
    /// [`Focal`].
    Focal(FocalConfig),
    /// [`Acsl`].
    Acsl(AcslConfig),
    /// [`Bags`].
    Bags(BagsConfig),
    /// [`Eql`].
    Eql(EqlConfig),
    /// [`EqlV2`].
    EqlV2(EqlV2Config),
    /// [`Seesaw`].
    Seesaw(SeesawConfig),
    /// [`EqualizedFocal`].
    EqualizedFocal(EqualizedFocalConfig),
    /// [`DropLoss`].
    DropLoss(DropLossConfig),
    /// [`Federated`].
    Federated(FederatedConfig),
    /// [`ClassBalanced`].
    ClassBalanced(ClassBalancedConfig),
    /// [`Ldam`].
    Ldam(LdamConfig),
    /// [`BalancedSoftmax`], which is logit adjustment in training.
    BalancedSoftmax(BalancedSoftmaxConfig),
}

impl LossConfig {
    /// Every loss with its default settings.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::SoftmaxCrossEntropy,
            Self::SigmoidBce(SigmoidBceConfig::default()),
            Self::Focal(FocalConfig::default()),
            Self::Acsl(AcslConfig::default()),
            Self::Bags(BagsConfig::default()),
            Self::Eql(EqlConfig::default()),
            Self::EqlV2(EqlV2Config::default()),
            Self::Seesaw(SeesawConfig::default()),
            Self::EqualizedFocal(EqualizedFocalConfig::default()),
            Self::DropLoss(DropLossConfig::default()),
            Self::Federated(FederatedConfig::default()),
            Self::ClassBalanced(ClassBalancedConfig::default()),
            Self::Ldam(LdamConfig::default()),
            Self::BalancedSoftmax(BalancedSoftmaxConfig::default()),
        ]
    }

    /// Builds the loss for the classes of a data set.
    ///
    /// # Errors
    /// If a setting is out of range, or the loss reads counts that are missing or forbidden.
    pub fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        Ok(match self {
            Self::SoftmaxCrossEntropy => Box::new(SoftmaxCrossEntropy),
            Self::SigmoidBce(config) => Box::new(SigmoidBce::new(config)),
            Self::Focal(config) => Box::new(Focal::new(config)?),
            Self::Acsl(config) => Box::new(Acsl::new(config, context)?),
            Self::Bags(config) => Box::new(Bags::new(config, context)?),
            Self::Eql(config) => Box::new(Eql::new(config, context)?),
            Self::EqlV2(config) => Box::new(EqlV2::new(config)?),
            Self::Seesaw(config) => Box::new(Seesaw::new(config)?),
            Self::EqualizedFocal(config) => Box::new(EqualizedFocal::new(config)?),
            Self::DropLoss(config) => Box::new(DropLoss::new(config, context)?),
            Self::Federated(config) => Box::new(Federated::new(config, context)?),
            Self::ClassBalanced(config) => Box::new(ClassBalanced::new(config, context)?),
            Self::Ldam(config) => Box::new(Ldam::new(config, context)?),
            Self::BalancedSoftmax(config) => Box::new(BalancedSoftmax::new(config, context)?),
        })
    }
}
