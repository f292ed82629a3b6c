//! Parameters of a module by dotted path: snapshot, restore and the stochastic gradient descent step.
//!
//! Burn's own records are keyed by random parameter ids; checkpoints that outlive a process need names.

use std::collections::BTreeMap;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Tensor, TensorData},
};

use crate::error::TrainError;

/// Host copies of float tensors by dotted path. Ordered, so that files come out the same every time.
pub type TensorMap = BTreeMap<String, TensorData>;

/// Enters a module on the way to its parameters. The variant of an enum has no part in a path: a backbone's parameters
/// are called the same whatever it is.
pub fn enter(path: &mut Vec<String>, name: &str, container: &str) {
    if !container.starts_with(ENUM) {
        path.push(name.to_owned());
    }
}

/// Leaves what [`enter`] entered.
pub fn leave(path: &mut Vec<String>, container: &str) {
    if !container.starts_with(ENUM) {
        path.pop();
    }
}

/// How Burn marks the container of an enum's variant.
const ENUM: &str = "Enum:";

/// Copies every float parameter and buffer of a module to the host.
pub fn snapshot<M: Module>(module: &M) -> TensorMap {
    struct Snapshot {
        path: Vec<String>,
        tensors: TensorMap,
    }
    impl ModuleVisitor for Snapshot {
        fn enter_module(&mut self, name: &str, container: &str) {
            enter(&mut self.path, name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            leave(&mut self.path, container);
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.tensors.insert(self.path.join("."), param.val().inner().into_data());
        }
    }
    let mut visitor = Snapshot { path: Vec::new(), tensors: TensorMap::new() };
    module.visit(&mut visitor);
    visitor.tensors
}

/// Puts tensors back into a module by dotted path.
///
/// # Errors
/// Names the parameters that are missing, left over, or of another shape; the module is unusable then.
pub fn restore<M: Module>(module: M, tensors: &TensorMap) -> Result<M, String> {
    struct Restore<'a> {
        path: Vec<String>,
        tensors: &'a TensorMap,
        used: usize,
        problems: Vec<String>,
    }
    impl ModuleMapper for Restore<'_> {
        fn enter_module(&mut self, name: &str, container: &str) {
            enter(&mut self.path, name, container);
        }
        fn exit_module(&mut self, _name: &str, container: &str) {
            leave(&mut self.path, container);
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let path = self.path.join(".");
            let Some(data) = self.tensors.get(&path) else {
                self.problems.push(format!("`{path}` is missing"));
                return param;
            };
            let expected: Vec<usize> = param.lazy_shape().to_vec();
            let found: Vec<usize> = data.shape().to_vec();
            if expected != found {
                self.problems.push(format!("`{path}` has shape {found:?}, the model needs {expected:?}"));
                return param;
            }
            self.used += 1;
            let require_grad = param.is_require_grad();
            param.map(|tensor| {
                let value = Tensor::from_data(data.clone(), &tensor.device().inner());
                if tensor.is_autodiff() {
                    Tensor::from_inner(value).set_require_grad(require_grad)
                } else {
                    value
                }
            })
        }
    }
    let mut mapper = Restore { path: Vec::new(), tensors, used: 0, problems: Vec::new() };
    let module = module.map(&mut mapper);
    if mapper.used < tensors.len() && mapper.problems.is_empty() {
        mapper.problems.push(format!("{} tensors belong to no parameter", tensors.len() - mapper.used));
    }
    if mapper.problems.is_empty() {
        Ok(module)
    } else {
        let more = mapper.problems.len().saturating_sub(5);
        mapper.problems.truncate(5);
        let suffix = if more > 0 { format!(" and {more} more") } else { String::new() };
        Err(format!("{}{suffix}", mapper.problems.join("; ")))
    }
}

/// Names of the last classification layer's weight and bias in a checkpoint.
pub const CLASSIFIER: [&str; 2] = ["roi_head.classifier.weight", "roi_head.classifier.bias"];
/// Names of the parameters of the last hidden layer.
pub const HIDDEN: [&str; 2] = ["roi_head.hidden.1.weight", "roi_head.hidden.1.bias"];
/// Names of the parameters of the box regression's own last hidden layer.
pub const REGRESSION_HIDDEN: [&str; 2] =
    ["roi_head.regression_hidden.weight", "roi_head.regression_hidden.bias"];

/// Values of a tensor; `what` names it.
///
/// # Errors
/// If they are not f32.
pub(crate) fn floats(what: &str, data: &TensorData) -> Result<Vec<f32>, TrainError> {
    let other = |_| TrainError::Dtype { what: what.to_owned(), dtype: format!("{:?}", data.dtype()) };
    data.try_to_vec::<f32>().map_err(other)
}
