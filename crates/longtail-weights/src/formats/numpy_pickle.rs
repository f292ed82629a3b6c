//! A single pickle that holds numpy arrays: detectron2's model zoo.

use std::sync::Arc;

use crate::{
    collect::collect,
    error::WeightsError,
    file::{Format, WeightFile},
    pickle,
};

/// Reads the pickle.
pub(crate) fn parse(bytes: Vec<u8>) -> Result<WeightFile, WeightsError> {
    let file = Arc::new(bytes);
    let pickle = pickle::read(&file, 0)?;
    if let Some(storage) = pickle.storages.first() {
        return Err(WeightsError::damaged(format!("storage `{}` of torch is not in the file", storage.key)));
    }
    collect(&pickle, &file, &[], Format::NumpyPickle)
}
