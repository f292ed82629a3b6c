//! RoIAlign against torchvision's numbers; `scripts/golden/roi_align.py` made them.

use burn::tensor::{Tensor, TensorData};
use longtail_ops::{RoiAlignOptions, roi_align};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    aligned: bool,
    output: usize,
    sampling: usize,
    features: Vec<f32>,
    /// Image, x1, y1, x2, y2.
    regions: Vec<[f32; 5]>,
    pooled: Vec<f32>,
    weights: Vec<f32>,
    gradient: Vec<f32>,
}

const SHAPE: [usize; 4] = [2, 3, 9, 11];

fn assert_close(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (place, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() < 1e-5 * (1.0 + e.abs()), "value {place}: {f} is not {e}");
    }
}

#[test]
fn roi_align_equals_torchvision() {
    let device = crate::device().autodiff();
    let cases: Vec<Case> = serde_json::from_str(include_str!("../golden/roi_align.json")).unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let features = Tensor::<4>::from_data(TensorData::new(case.features, SHAPE), &device).require_grad();
        let other = || Tensor::<4>::zeros([2, 3, 1, 1], &device);
        // The features are the third level, so that levels are told apart.
        let rows: Vec<f32> = case.regions.iter().flat_map(|r| [2.0, r[0], r[1], r[2], r[3], r[4]]).collect();
        let regions = Tensor::<2>::from_data(TensorData::new(rows, [case.regions.len(), 6]), &device);
        let options = RoiAlignOptions {
            output: case.output,
            sampling: case.sampling,
            aligned: case.aligned,
            scales: [1.0, 0.5, 0.25, 0.125],
        };
        let pooled = roi_align([other(), other(), features.clone(), other()], regions, options);
        assert_close(&pooled.clone().inner().into_data().try_to_vec::<f32>().unwrap(), &case.pooled);
        let weights = Tensor::<4>::from_data(TensorData::new(case.weights, pooled.dims()), &device);
        let gradients = (pooled * weights).sum().backward();
        let gradient = features.grad(&gradients).unwrap().into_data();
        assert_close(&gradient.try_to_vec::<f32>().unwrap(), &case.gradient);
    }
}
