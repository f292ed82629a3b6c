//! The map from an image's pixels to those of its transformed copy.

/// Where a point of the original image lies in the transformed one: `scale · x + offset`, along x and y. The
/// scale is negative along a mirrored axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PixelMap {
    /// Transformed pixels an original pixel, along x and y.
    pub scale: [f64; 2],
    /// Where the original's corner 0, 0 lies.
    pub offset: [f64; 2],
}

impl PixelMap {
    /// Every point stays where it is.
    pub const IDENTITY: Self = Self { scale: [1.0; 2], offset: [0.0; 2] };

    /// This map, then `scale · x + offset`.
    #[must_use]
    pub fn then(self, scale: [f64; 2], offset: [f64; 2]) -> Self {
        let axis = |i: usize| (self.scale[i] * scale[i], self.offset[i] * scale[i] + offset[i]);
        let ((sx, ox), (sy, oy)) = (axis(0), axis(1));
        Self { scale: [sx, sy], offset: [ox, oy] }
    }

    /// A box of the original, x1, y1, x2, y2, in transformed pixels; not clipped.
    pub fn forward(&self, b: [f32; 4]) -> [f32; 4] {
        self.map(b, |i, v| self.scale[i] * v + self.offset[i])
    }

    /// A box of the transformed image in original pixels.
    pub fn inverse(&self, b: [f32; 4]) -> [f32; 4] {
        self.map(b, |i, v| (v - self.offset[i]) / self.scale[i])
    }

    fn map(&self, b: [f32; 4], point: impl Fn(usize, f64) -> f64) -> [f32; 4] {
        let [x1, y1, x2, y2] = [(0, b[0]), (1, b[1]), (0, b[2]), (1, b[3])].map(|(i, v)| point(i, v.into()));
        [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)].map(|v| v as f32)
    }
}
