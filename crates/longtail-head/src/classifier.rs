//! The last classification layers with the loss that trains them: one, or one for each head of a cascade.
//!
//! Stage 2 through the detector and training on a bank take the same step: here. Weights live in slices, the loss gives all
//! gradients itself, and a loss that keeps few negatives never stores its logits.

use longtail_loss::{
    ClassificationLoss, KeptNegatives, LossError, LossState, Normalizer, Reduction, RoiTargets,
};

use crate::{
    layer::Layer,
    sgd::{NormNotFinite, Parameter, Sgd, SgdConfig},
};

/// A classifier in training: layers, loss, optimizer.
pub struct Classifier {
    /// Name in tables and files.
    pub name: String,
    /// Its loss.
    pub loss: Box<dyn ClassificationLoss>,
    /// One for each head of the detector.
    layers: Vec<Layer>,
    /// Running state of the loss, one for each head.
    states: Vec<LossState>,
    /// How the losses of the RoIs become one number.
    reduction: Reduction,
    /// Momentum of every layer: weight, bias, and those of the hidden layer if that is trained.
    sgd: Sgd,
    /// Learning rate after the warm-up.
    learning_rate: f64,
}

/// RoIs as a head's classifier sees them.
pub struct HeadInputs {
    /// `[N × D]`.
    pub features: Vec<f32>,
    /// What they are.
    pub targets: RoiTargets,
    /// How many RoIs they stand for, where that is not their number.
    pub stands_for: Option<f64>,
    /// Weight of the head's loss.
    pub loss_weight: f32,
}

/// What a step of a classifier gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The loss, summed over heads as they weigh.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// A step that was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The loss is NaN or infinite.
    #[error("loss_classifier = {value}")]
    Loss {
        /// The loss; NaN if it was a logit.
        value: f64,
    },
    /// The gradient is.
    #[error(transparent)]
    Norm(#[from] NormNotFinite),
    /// The inputs do not fit.
    #[error(transparent)]
    Refused(LossError),
}

impl Classifier {
    /// A classifier in training from `layers`, one for each head.
    pub fn new(
        name: impl Into<String>,
        loss: Box<dyn ClassificationLoss>,
        layers: Vec<Layer>,
        reduction: Reduction,
        learning_rate: f64,
    ) -> Self {
        let states = vec![LossState::default(); layers.len()];
        Self { name: name.into(), loss, layers, states, reduction, sgd: Sgd::default(), learning_rate }
    }

    /// A step on the RoIs of every head; `factor` scales the learning rate, `hidden_factor` that of hidden layers besides.
    ///
    /// # Errors
    /// If features or targets do not fit, or the loss or its gradient is not finite; nothing is changed then.
    pub fn step(
        &mut self,
        heads: &[HeadInputs],
        optimizer: &SgdConfig,
        factor: f64,
        hidden_factor: f64,
    ) -> Result<Step, StepError> {
        let (mut loss, mut found) = (0.0, Vec::with_capacity(heads.len()));
        for ((layer, state), head) in self.layers.iter().zip(&self.states).zip(heads) {
            let targets = head.targets.clone().with_reduction(self.reduction_of(head));
            let mut evaluated = match layer.evaluate(&head.features, &targets, self.loss.as_ref(), state) {
                Err(LossError::NotFinite { .. }) => return Err(StepError::Loss { value: f64::NAN }),
                other => other.map_err(StepError::Refused)?,
            };
            loss += evaluated.classifier.value * f64::from(head.loss_weight);
            if head.loss_weight != 1.0 {
                let own = [&mut evaluated.classifier.weight, &mut evaluated.classifier.bias];
                let gradients = own.into_iter().chain(evaluated.hidden.iter_mut().flatten()).flatten();
                gradients.for_each(|gradient| *gradient *= head.loss_weight);
            }
            found.push(evaluated);
        }
        if !loss.is_finite() {
            return Err(StepError::Loss { value: loss });
        }
        let learning_rate = self.learning_rate * factor;
        let (mut parameters, mut states) = (Vec::with_capacity(2 * heads.len()), Vec::new());
        for (layer, found) in self.layers.iter_mut().zip(found) {
            states.push(found.classifier.state);
            let gradients = [found.classifier.weight, found.classifier.bias];
            let own = [&mut layer.weight, &mut layer.bias].into_iter().zip(gradients);
            parameters.extend(own.map(|(values, gradient)| Parameter { values, gradient, learning_rate }));
            if let (Some(hidden), Some(gradients)) = (&mut layer.hidden, found.hidden) {
                let learning_rate = learning_rate * hidden_factor;
                let own = [&mut hidden.weight, &mut hidden.bias].into_iter().zip(gradients);
                parameters.extend(own.map(|(values, gradient)| Parameter {
                    values,
                    gradient,
                    learning_rate,
                }));
            }
        }
        let gradient_norm = self.sgd.step(optimizer, parameters)?;
        self.states = states;
        Ok(Step { loss, gradient_norm })
    }

    /// Where a RoI stands for several, the divisor is what they stand for.
    fn reduction_of(&self, head: &HeadInputs) -> Reduction {
        match (self.reduction.normalizer, head.stands_for) {
            (Normalizer::Rois, Some(count)) => {
                Reduction { normalizer: Normalizer::Constant(count.max(1.0)), ..self.reduction }
            }
            _ => self.reduction,
        }
    }

    /// Which negatives the next step on these RoIs keeps in the first head; `None` for losses that do not select.
    pub fn kept_negatives(&self, heads: &[HeadInputs]) -> Option<KeptNegatives> {
        let (layer, head) = self.layers.iter().zip(heads).next()?;
        self.loss.kept_negatives(&layer.outputs(&head.features), &head.targets, self.states.first()?)
    }

    /// The layers as they are.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Running states of the loss, one for each head.
    pub fn states(&self) -> &[LossState] {
        &self.states
    }

    /// Momentum of every trained parameter in the order of [`Self::trained`]; none before the first step.
    pub fn velocity(&self) -> &[Vec<f32>] {
        self.sgd.velocity()
    }

    /// Every trained parameter: of each layer weight and bias, and those of its hidden layer if that is trained.
    pub fn trained(&self) -> Vec<&[f32]> {
        self.layers.iter().flat_map(Layer::trained).collect()
    }

    /// Goes on from what [`Self::trained`], [`Self::velocity`] and [`Self::states`] gave.
    ///
    /// # Errors
    /// What does not fit.
    pub fn resume(
        &mut self,
        trained: Vec<Vec<f32>>,
        velocity: Vec<Vec<f32>>,
        states: Vec<LossState>,
    ) -> Result<(), String> {
        let name = &self.name;
        if states.len() != self.layers.len() {
            let (found, expected) = (states.len(), self.layers.len());
            return Err(format!("holds {found} heads of classifier `{name}`, not {expected}"));
        }
        let needed: Vec<usize> = self.trained().iter().map(|values| values.len()).collect();
        for (what, values) in [("parameters", &trained), ("momentum", &velocity)] {
            let found: Vec<usize> = values.iter().map(Vec::len).collect();
            if found != needed && !(what == "momentum" && found.is_empty()) {
                return Err(format!(
                    "holds {what} of classifier `{name}` with {found:?} values, the recipe needs {needed:?}"
                ));
            }
        }
        let mut trained = trained.into_iter();
        for slot in self.layers.iter_mut().flat_map(Layer::trained_mut) {
            *slot = trained.next().unwrap_or_default();
        }
        (self.sgd, self.states) = (Sgd::with_velocity(velocity), states);
        Ok(())
    }
}
