//! C2 to C5 of an imported backbone for given pixels, for `scripts/check_efficientnet.py`.
//!
//! backbone_features WEIGHTS PIXELS OUT: all safetensors; `pixels [N, 3, H, W]` are normalised already.

use std::{collections::BTreeMap, error::Error, path::PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use longtail_detect::layers::Initializer;
use longtail_train::{checkpoint::Checkpoint, parameters::restore};
use longtail_weights::{Array, Arrays, WeightFile, write::to_bytes};

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [weights, pixels, out] = paths.as_slice() else {
        return Err("usage: backbone_features WEIGHTS PIXELS OUT".into());
    };
    let device = Device::flex();
    let checkpoint = Checkpoint::read(weights)?;
    let description = checkpoint.description.ok_or("was not written by `longtail weights import`")?;
    let backbone = description.detector.backbone.init(&mut Initializer::new(0, &device));
    let own = checkpoint.model.into_iter();
    let own =
        own.filter_map(|(path, data)| Some((path.strip_prefix("backbone.")?.to_owned(), data))).collect();
    let backbone = restore(backbone, &own)?;

    let file = WeightFile::read(pixels)?;
    let tensors = file.weights()?;
    let pixels = tensors.get("pixels").ok_or("holds no `pixels`")?;
    let shape: [usize; 4] = pixels.shape().try_into()?;
    let images = Tensor::from_data(TensorData::new(pixels.to_f32(), shape), &device);
    let mut features = Arrays::new();
    for (level, feature) in backbone.forward(images).into_iter().enumerate() {
        let (shape, data) = (feature.dims().to_vec(), feature.into_data());
        features.insert(format!("c{}", level + 2), Array { shape, values: data.try_to_vec::<f32>()? });
    }
    std::fs::write(out, to_bytes(&features, &BTreeMap::new())?)?;
    Ok(())
}
