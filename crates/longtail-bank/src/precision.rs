//! Features as they are stored.

use half::{f16, slice::HalfFloatSliceExt};
use serde::{Deserialize, Serialize};

/// How features are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Two bytes, relative error up to 2⁻¹¹.
    #[default]
    F16,
    /// Four bytes, exact.
    F32,
    /// One byte and a scale a row: the largest magnitude is 127 steps.
    Int8,
}

impl Precision {
    /// Bytes of a row of `width` features, with its scale.
    pub fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::F16 => 2 * width,
            Self::F32 => 4 * width,
            Self::Int8 => width + 4,
        }
    }
}

/// Largest finite float16.
pub const F16_MAX: f32 = 65_504.0;

/// Steps of int8 on each side of 0.
const STEPS: f32 = 127.0;

/// The bytes of finite features `[R × width]` and, for int8, a scale a row.
pub(crate) fn encode(precision: Precision, features: &[f32], width: usize) -> (Vec<u8>, Vec<f32>) {
    match precision {
        Precision::F32 => (bytemuck::cast_slice(features).to_vec(), Vec::new()),
        Precision::F16 => {
            let mut values = vec![f16::ZERO; features.len()];
            values.convert_from_f32_slice(features);
            (values.iter().flat_map(|value| value.to_le_bytes()).collect(), Vec::new())
        }
        Precision::Int8 => {
            let (mut bytes, mut scales) = (Vec::with_capacity(features.len()), Vec::new());
            for row in features.chunks_exact(width) {
                let largest = row.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
                // A row of zeros keeps a scale that can be divided by.
                let scale = if largest > 0.0 { largest / STEPS } else { 1.0 };
                bytes.extend(row.iter().map(|v| (v / scale).round().clamp(-STEPS, STEPS) as i8 as u8));
                scales.push(scale);
            }
            (bytes, scales)
        }
    }
}

/// Features from their bytes; `scales` has one a row for int8.
pub(crate) fn decode(precision: Precision, bytes: &[u8], scales: &[f32], width: usize, target: &mut [f32]) {
    match precision {
        Precision::F32 => {
            for (value, bytes) in target.iter_mut().zip(bytes.chunks_exact(4)) {
                *value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        }
        Precision::F16 => match bytemuck::try_cast_slice::<u8, u16>(bytes) {
            Ok(bits) if cfg!(target_endian = "little") => {
                let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(bits);
                halves.convert_to_f32_slice(target);
            }
            _ => {
                for (value, bytes) in target.iter_mut().zip(bytes.chunks_exact(2)) {
                    *value = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
                }
            }
        },
        Precision::Int8 => {
            let rows = target.chunks_exact_mut(width).zip(bytes.chunks_exact(width));
            for ((row, bytes), scale) in rows.zip(scales) {
                for (value, byte) in row.iter_mut().zip(bytes) {
                    *value = f32::from(*byte as i8) * scale;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(precision: Precision, features: &[f32], width: usize) -> Vec<f32> {
        let (bytes, scales) = encode(precision, features, width);
        assert_eq!(bytes.len() + 4 * scales.len(), features.len() / width * precision.row_bytes(width));
        let mut target = vec![0.0; features.len()];
        decode(precision, &bytes, &scales, width, &mut target);
        target
    }

    proptest! {
        #[test]
        fn features_come_back_within_their_precision(
            features in proptest::collection::vec(-100.0_f32..100.0, 12),
        ) {
            prop_assert_eq!(&there_and_back(Precision::F32, &features, 4), &features);
            for (found, expected) in there_and_back(Precision::F16, &features, 4).iter().zip(&features) {
                // Half a step of 11 bits, or of the smallest numbers.
                prop_assert!((found - expected).abs() <= expected.abs() * 2.0_f32.powi(-11) + 3e-8);
            }
            let found = there_and_back(Precision::Int8, &features, 4);
            for (found, expected) in found.chunks(4).zip(features.chunks(4)) {
                let step = expected.iter().fold(0.0_f32, |m, v| m.max(v.abs())) / 127.0;
                for (f, e) in found.iter().zip(expected) {
                    prop_assert!((f - e).abs() <= 0.5001 * step, "{} is not {}", f, e);
                }
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        for precision in [Precision::F16, Precision::F32, Precision::Int8] {
            assert_eq!(there_and_back(precision, &[0.0; 6], 3), [0.0; 6]);
        }
    }
}
