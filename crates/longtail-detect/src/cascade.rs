//! What a cascade of heads adds: boxes handed from head to head, and logits averaged over heads.

use burn::{module::Param, tensor::Tensor};

use crate::layers::Linear;

use crate::boxes::{BoxCoder, Xyxy, clip};

/// The boxes that a head makes of its RoIs, inside their images of `sizes`; `deltas [R × 4]`. A box whose
/// deltas are not finite stays, so that training ends with its loss, not here.
pub(crate) fn refine(
    coder: BoxCoder,
    rois: &[(usize, Xyxy)],
    deltas: &[f32],
    sizes: &[[u32; 2]],
) -> Vec<(usize, Xyxy)> {
    let pairs = rois.iter().zip(deltas.as_chunks::<4>().0);
    pairs
        .map(|(&(image, roi), deltas)| {
            let decoded = coder.decode(&roi, deltas);
            let finite = decoded.iter().all(|value| value.is_finite());
            (image, if finite { clip(&decoded, sizes[image]) } else { roi })
        })
        .collect()
}

/// The one layer over the features of all heads, side by side, whose logits are the average over the heads'
/// classifiers: that is how a cascade scores (as mmdetection; detectron2 averages probabilities).
pub fn averaged(classifiers: &[Linear]) -> Linear {
    if let [only] = classifiers {
        return only.clone();
    }
    let share = 1.0 / classifiers.len() as f32;
    let weights = classifiers.iter().map(|layer| layer.weight.val() * share).collect();
    let bias = classifiers.iter().map(|layer| layer.bias.val() * share).reduce(|sum, bias| sum + bias);
    Linear {
        weight: Param::from_tensor(Tensor::cat(weights, 0)),
        bias: Param::from_tensor(bias.expect("a detector has a classifier")),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tolerance};

    use super::*;

    #[test]
    fn boxes_are_refined_inside_their_image() {
        let coder = BoxCoder { deviations: [0.1, 0.1, 0.2, 0.2] };
        let rois = [(0, [10.0, 10.0, 30.0, 30.0]), (1, [10.0, 10.0, 30.0, 30.0]), (1, [0.0, 0.0, 4.0, 4.0])];
        let mut deltas = [0.0; 12];
        // A quarter of the side to the right.
        (deltas[0], deltas[4], deltas[8]) = (2.5, 2.5, f32::NAN);
        let refined = refine(coder, &rois, &deltas, &[[100, 100], [20, 30]]);
        assert_eq!(refined, [(0, [15.0, 10.0, 35.0, 30.0]), (1, [15.0, 10.0, 30.0, 20.0]), rois[2]]);
    }

    #[test]
    fn one_layer_gives_the_average_of_the_heads() {
        let device = Device::flex();
        let layer = |values: [[f32; 2]; 3], bias: [f32; 2]| Linear {
            weight: Param::from_tensor(Tensor::from_floats(values, &device)),
            bias: Param::from_tensor(Tensor::from_floats(bias, &device)),
        };
        let heads = [
            layer([[1.0, 2.0], [-3.0, 0.5], [0.0, 1.0]], [0.1, -0.2]),
            layer([[0.5, -1.0], [2.0, 0.0], [1.5, 1.0]], [0.3, 0.4]),
        ];
        let inputs = [
            Tensor::<2>::from_floats([[1.0, 2.0, 3.0], [0.0, -1.0, 0.5]], &device),
            Tensor::<2>::from_floats([[-1.0, 0.5, 2.0], [4.0, 0.0, 1.0]], &device),
        ];
        let apart = heads[0].forward(inputs[0].clone()) + heads[1].forward(inputs[1].clone());
        let together = averaged(&heads).forward(Tensor::cat(inputs.to_vec(), 1));
        together.into_data().assert_approx_eq::<f32>(&(apart / 2.0).into_data(), Tolerance::default());
        assert_eq!(averaged(&heads[..1]).weight.dims(), [3, 2]);
    }
}
