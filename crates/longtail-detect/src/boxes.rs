//! Boxes as x1, y1, x2, y2, and the deltas between them.

/// A box: x1, y1, x2, y2 in pixels.
pub type Xyxy = [f32; 4];

/// Largest log-ratio of sides that is decoded: a delta above would make a box 62 times as large.
const MAX_LOG_RATIO: f32 = 4.135_166_6; // ln(1000 / 16), as the reference implementations

/// Area; 0 for an empty box.
pub fn area(b: &Xyxy) -> f32 {
    (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0)
}

/// Area that two boxes share.
pub fn intersection(a: &Xyxy, b: &Xyxy) -> f32 {
    area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])])
}

/// Intersection over union; 0 if both are empty.
pub fn iou(a: &Xyxy, b: &Xyxy) -> f32 {
    let shared = intersection(a, b);
    let union = area(a) + area(b) - shared;
    if union > 0.0 { shared / union } else { 0.0 }
}

/// The box inside an image of `[height, width]`.
pub fn clip(b: &Xyxy, size: [u32; 2]) -> Xyxy {
    let (height, width) = (size[0] as f32, size[1] as f32);
    [b[0].clamp(0.0, width), b[1].clamp(0.0, height), b[2].clamp(0.0, width), b[3].clamp(0.0, height)]
}

/// Box deltas (Girshick et al., R-CNN, CVPR 2014): centre shifts in sides, log-ratios of sides, each divided
/// by a standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxCoder {
    /// Standard deviations of dx, dy, dw, dh.
    pub deviations: [f32; 4],
}

impl BoxCoder {
    /// Deltas from `reference` to `target`. Both must have positive sides.
    pub fn encode(&self, reference: &Xyxy, target: &Xyxy) -> [f32; 4] {
        let (rx, ry, rw, rh) = centre(reference);
        let (tx, ty, tw, th) = centre(target);
        let deltas = [(tx - rx) / rw, (ty - ry) / rh, (tw / rw).ln(), (th / rh).ln()];
        std::array::from_fn(|i| deltas[i] / self.deviations[i])
    }

    /// The box at `deltas` from `reference`.
    pub fn decode(&self, reference: &Xyxy, deltas: &[f32]) -> Xyxy {
        let (rx, ry, rw, rh) = centre(reference);
        let d: [f32; 4] = std::array::from_fn(|i| deltas[i] * self.deviations[i]);
        let (x, y) = (rx + d[0] * rw, ry + d[1] * rh);
        let (w, h) = (rw * d[2].min(MAX_LOG_RATIO).exp(), rh * d[3].min(MAX_LOG_RATIO).exp());
        [x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h]
    }
}

fn centre(b: &Xyxy) -> (f32, f32, f32, f32) {
    let (w, h) = (b[2] - b[0], b[3] - b[1]);
    (b[0] + 0.5 * w, b[1] + 0.5 * h, w, h)
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use proptest::prelude::*;

    use super::*;

    fn boxes() -> impl Strategy<Value = Xyxy> {
        (0.0_f32..500.0, 0.0_f32..500.0, 1.0_f32..300.0, 1.0_f32..300.0)
            .prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(a in boxes(), b in boxes()) {
            prop_assume!(((b[2] - b[0]) / (a[2] - a[0])).ln() < MAX_LOG_RATIO);
            prop_assume!(((b[3] - b[1]) / (a[3] - a[1])).ln() < MAX_LOG_RATIO);
            let coder = BoxCoder { deviations: [0.1, 0.1, 0.2, 0.2] };
            let found = coder.decode(&a, &coder.encode(&a, &b));
            for (f, e) in found.iter().zip(b) {
                prop_assert!((f - e).abs() < 0.05, "{found:?} is not {b:?}");
            }
        }
    }

    #[test]
    fn overlap_of_known_boxes() {
        assert_relative_eq!(iou(&[0.0, 0.0, 2.0, 2.0], &[1.0, 1.0, 3.0, 3.0]), 1.0 / 7.0);
        assert_eq!(iou(&[0.0; 4], &[0.0; 4]), 0.0);
        assert_eq!(iou(&[0.0, 0.0, 1.0, 1.0], &[1.0, 0.0, 2.0, 1.0]), 0.0);
    }

    #[test]
    fn huge_deltas_stay_finite() {
        let coder = BoxCoder { deviations: [1.0; 4] };
        let found = coder.decode(&[0.0, 0.0, 10.0, 10.0], &[0.0, 0.0, 1e9, 1e9]);
        assert!(found.iter().all(|v| v.is_finite()) && found[2] < 400.0);
    }
}
