//! The step of [`longtail_head::sgd`] on the detector's tensors, where they are: one global norm over all of them.
//!
//! Burn's optimizer dampens by 0.1 and clips tensor by tensor; both change the published recipe.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Gradients, Tensor, TensorData},
};
use longtail_head::sgd::{NormNotFinite, SgdConfig};
use longtail_ops::device::is_processor;

use crate::parameters::{TensorMap, enter, leave};

/// Momentum of every trained parameter, by dotted path.
#[derive(Debug, Clone, Default)]
pub struct Sgd {
    momentum: BTreeMap<String, Tensor<1>>,
}

impl Sgd {
    /// One step over every parameter of `module` that requires a gradient and has one.
    /// Returns the module and the gradient norm before clipping.
    ///
    /// # Errors
    /// If the norm is not finite; no parameter is changed then.
    pub fn step<M: Module>(
        &mut self,
        config: &SgdConfig,
        learning_rate: f64,
        module: M,
        mut gradients: Gradients,
    ) -> Result<(M, f64), NormNotFinite> {
        let mut collect = Collect { path: Vec::new(), gradients: &mut gradients, flat: BTreeMap::new() };
        module.visit(&mut collect);
        let flat = collect.flat;
        let norm = NormNotFinite::check(squared_norms(&flat).into_iter().sum::<f64>().sqrt())?;
        let scale = config.clip_factor(norm);
        let mut apply =
            Apply { path: Vec::new(), flat, momentum: &mut self.momentum, config, learning_rate, scale };
        Ok((module.map(&mut apply), norm))
    }

    /// Host copies of the momentum, for a checkpoint.
    pub fn to_tensors(&self) -> TensorMap {
        self.momentum.iter().map(|(path, tensor)| (path.clone(), tensor.clone().into_data())).collect()
    }

    /// The momentum of a checkpoint.
    pub fn from_tensors(tensors: &TensorMap, device: &burn::tensor::Device) -> Self {
        let device = device.clone().inner();
        let load = |data: &TensorData| Tensor::<1>::from_data(data.clone(), &device);
        Self { momentum: tensors.iter().map(|(path, data)| (path.clone(), load(data))).collect() }
    }
}

/// Sum of squares of every tensor. On the processor in f64 and in memory order, so that the norm does not hang on the thread count; on a
/// GPU there, and read in one go.
fn squared_norms(tensors: &BTreeMap<String, Tensor<1>>) -> Vec<f64> {
    let on_processor = tensors.values().next().is_none_or(|first| is_processor(&first.device()));
    if on_processor {
        let squares = |data: TensorData| data.iter::<f32>().map(|x| f64::from(x) * f64::from(x)).sum();
        return tensors.values().map(|tensor| squares(tensor.clone().into_data())).collect();
    }
    // Sums of squares relative to the largest value, which alone may be too large for one.
    let parts = tensors.values().flat_map(|tensor| {
        let largest = tensor.clone().max_abs();
        let relative = tensor.clone() / largest.clone().clamp_min(f32::MIN_POSITIVE);
        [relative.powi_scalar(2).sum(), largest]
    });
    let parts: Vec<f64> = Tensor::cat(parts.collect(), 0).into_data().iter::<f32>().map(f64::from).collect();
    parts.chunks_exact(2).map(|part| part[0] * part[1] * part[1]).collect()
}

struct Collect<'a> {
    path: Vec<String>,
    gradients: &'a mut Gradients,
    flat: BTreeMap<String, Tensor<1>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }
    fn exit_module(&mut self, _name: &str, container: &str) {
        leave(&mut self.path, container);
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        if let Some(gradient) = param.val().grad_remove(self.gradients) {
            let length = gradient.shape().num_elements();
            self.flat.insert(self.path.join("."), gradient.reshape([length]));
        }
    }
}

struct Apply<'a> {
    path: Vec<String>,
    flat: BTreeMap<String, Tensor<1>>,
    momentum: &'a mut BTreeMap<String, Tensor<1>>,
    config: &'a SgdConfig,
    learning_rate: f64,
    scale: f64,
}

impl ModuleMapper for Apply<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        enter(&mut self.path, name, container);
    }
    fn exit_module(&mut self, _name: &str, container: &str) {
        leave(&mut self.path, container);
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let Some(mut gradient) = self.flat.remove(&path) else {
            return param;
        };
        if self.scale < 1.0 {
            gradient = gradient * self.scale;
        }
        param.map(|tensor| {
            let shape = tensor.shape();
            let weight = tensor.inner().reshape([shape.num_elements()]);
            if self.config.weight_decay > 0.0 {
                gradient = gradient + weight.clone() * self.config.weight_decay;
            }
            let velocity = match self.momentum.remove(&path) {
                Some(velocity) => velocity * self.config.momentum + gradient,
                None => gradient,
            };
            let weight = weight - velocity.clone() * self.learning_rate;
            self.momentum.insert(path, velocity);
            Tensor::from_inner(weight.reshape(shape)).require_grad()
        })
    }
}
