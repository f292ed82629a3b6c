//! The choice of a loss, as a recipe spells it: the one list of all losses.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    classification::{ClassContext, ClassificationLoss},
    error::LossError,
    method::{Description, LossMethod, Statistics},
    methods::{
        acsl::AcslConfig, bags::BagsConfig, balanced_softmax::BalancedSoftmaxConfig,
        class_balanced::ClassBalancedConfig, drop_loss::DropLossConfig, ecm::EcmConfig, eql::EqlConfig,
        eql_v2::EqlV2Config, equalized_focal::EqualizedFocalConfig, federated::FederatedConfig,
        focal::FocalConfig, gol::GolConfig, ldam::LdamConfig, seesaw::SeesawConfig,
        sigmoid_bce::SigmoidBceConfig, softmax::SoftmaxConfig,
    },
};

/// Makes [`LossConfig`] of a list: name in code and, in kebab case, in a recipe; and settings.
macro_rules! losses {
    ($($name:ident($config:ident),)*) => {
        /// A classification loss by name, `kind = "acsl"` in a recipe.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "kind", rename_all = "kebab-case")]
        pub enum LossConfig {
            $(
                #[doc = concat!("See [`", stringify!($config), "`].")]
                $name($config),
            )*
            /// A loss of another crate, which a program has put into the recipe.
            External(ExternalLoss),
        }

        impl LossConfig {
            /// Every loss of this crate with its default settings.
            pub fn defaults() -> Vec<Self> {
                vec![$(Self::$name($config::default())),*]
            }

            /// What the loss says of itself.
            pub fn method(&self) -> &dyn LossMethod {
                match self {
                    $(Self::$name(config) => config,)*
                    Self::External(external) => external,
                }
            }
        }
    };
}

losses! {
    SoftmaxCrossEntropy(SoftmaxConfig),
    SigmoidBce(SigmoidBceConfig),
    Focal(FocalConfig),
    Acsl(AcslConfig),
    Bags(BagsConfig),
    Eql(EqlConfig),
    EqlV2(EqlV2Config),
    Seesaw(SeesawConfig),
    EqualizedFocal(EqualizedFocalConfig),
    DropLoss(DropLossConfig),
    Federated(FederatedConfig),
    ClassBalanced(ClassBalancedConfig),
    Ldam(LdamConfig),
    BalancedSoftmax(BalancedSoftmaxConfig),
    Ecm(EcmConfig),
    Gol(GolConfig),
}

/// Softmax cross-entropy.
impl Default for LossConfig {
    fn default() -> Self {
        Self::SoftmaxCrossEntropy(SoftmaxConfig {})
    }
}

impl LossConfig {
    /// A loss of another crate, under a name that recipes and results keep.
    pub fn external(name: impl Into<String>, method: impl LossMethod + 'static) -> Self {
        Self::External(ExternalLoss { name: name.into(), method: Some(Arc::new(method)) })
    }

    /// The loss in words.
    pub fn description(&self) -> Description {
        self.method().description()
    }

    /// Builds the loss for the classes of a data set.
    ///
    /// # Errors
    /// If a setting is out of range, or the loss reads counts that are missing or forbidden.
    pub fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        self.method().build(context)
    }
}

/// A loss that a program defines and puts into a recipe by [`LossConfig::external`]. Files keep its name
/// alone: who reads them and does not define it can print what was found with it, and not build it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalLoss {
    /// Its name.
    pub name: String,
    #[serde(skip)]
    method: Option<Arc<dyn LossMethod>>,
}

/// By name.
impl PartialEq for ExternalLoss {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl LossMethod for ExternalLoss {
    fn description(&self) -> Description {
        self.method.as_ref().map_or(UNKNOWN, |method| method.description())
    }

    fn background(&self) -> &'static str {
        self.method.as_ref().map_or("defined elsewhere", |method| method.background())
    }

    fn is_convex(&self) -> bool {
        self.method.as_ref().is_some_and(|method| method.is_convex())
    }

    fn build(&self, context: &ClassContext<'_>) -> Result<Box<dyn ClassificationLoss>, LossError> {
        match &self.method {
            Some(method) => method.build(context),
            None => Err(LossError::External { name: self.name.clone() }),
        }
    }
}

/// An external loss of which the name alone is known.
const UNKNOWN: Description = Description {
    name: "a loss of another program",
    source: "–",
    formula: "–",
    outputs: "–",
    reads: Statistics::Nothing,
    when: "in the program that defines it",
};
