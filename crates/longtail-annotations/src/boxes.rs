//! Areas, intersections and overlaps of boxes, in `f32` for training and in `f64` for evaluation.

use std::ops::{Add, Div, Mul, Sub};

/// A number type of coordinates: `f32` or `f64`.
pub trait Coordinate:
    Copy
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + private::Sealed
{
    /// 0.
    const ZERO: Self;

    /// The larger of two numbers; the other one if one is NaN.
    fn larger(self, other: Self) -> Self;

    /// The smaller of two numbers; the other one if one is NaN.
    fn smaller(self, other: Self) -> Self;
}

mod private {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! coordinate {
    ($number:ty) => {
        impl Coordinate for $number {
            const ZERO: Self = 0.0;

            #[inline]
            fn larger(self, other: Self) -> Self {
                self.max(other)
            }

            #[inline]
            fn smaller(self, other: Self) -> Self {
                self.min(other)
            }
        }
    };
}
coordinate!(f32);
coordinate!(f64);

/// Area of a box x1, y1, x2, y2; 0 if it is empty.
#[inline]
pub fn area<T: Coordinate>(b: &[T; 4]) -> T {
    (b[2] - b[0]).larger(T::ZERO) * (b[3] - b[1]).larger(T::ZERO)
}

/// What two boxes x1, y1, x2, y2 share; `None` if that has no area.
#[inline]
pub fn intersection<T: Coordinate>(a: &[T; 4], b: &[T; 4]) -> Option<[T; 4]> {
    let shared = shared(a, b);
    (shared[2] > shared[0] && shared[3] > shared[1]).then_some(shared)
}

/// Area that two boxes x1, y1, x2, y2 share.
#[inline]
pub fn intersection_area<T: Coordinate>(a: &[T; 4], b: &[T; 4]) -> T {
    area(&shared(a, b))
}

/// Intersection over union of two boxes x1, y1, x2, y2, in 0..=1; 0 if both are empty.
#[inline]
pub fn iou<T: Coordinate>(a: &[T; 4], b: &[T; 4]) -> T {
    let shared = intersection_area(a, b);
    let union = area(a) + area(b) - shared;
    if union > T::ZERO { shared / union } else { T::ZERO }
}

#[inline]
fn shared<T: Coordinate>(a: &[T; 4], b: &[T; 4]) -> [T; 4] {
    [a[0].larger(b[0]), a[1].larger(b[1]), a[2].smaller(b[2]), a[3].smaller(b[3])]
}

/// Overlap of a detection and a ground-truth box, x, y, width, height, as `pycocotools` has it: intersection
/// over union, and for a crowd the share of the detection that lies in it.
#[inline]
pub fn overlap<T: Coordinate>(detection: &[T; 4], truth: &[T; 4], crowd: bool) -> T {
    let [dx, dy, dw, dh] = *detection;
    let [gx, gy, gw, gh] = *truth;
    let width = (dx + dw).smaller(gx + gw) - dx.larger(gx);
    if width <= T::ZERO {
        return T::ZERO;
    }
    let height = (dy + dh).smaller(gy + gh) - dy.larger(gy);
    if height <= T::ZERO {
        return T::ZERO;
    }
    let shared = width * height;
    let union = if crowd { dw * dh } else { dw * dh + gw * gh - shared };
    shared / union
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Squares of a grid that lie in a box of whole numbers.
    fn squares([x1, y1, x2, y2]: [u8; 4]) -> Vec<(u8, u8)> {
        (x1..x2).flat_map(|x| (y1..y2).map(move |y| (x, y))).collect()
    }

    proptest! {
        /// The reference counts the squares of a grid.
        #[test]
        fn overlaps_are_those_of_counted_squares(a in any_box(), b in any_box()) {
            let (of_a, of_b) = (squares(a), squares(b));
            let both = of_a.iter().filter(|square| of_b.contains(square)).count();
            let union = of_a.len() + of_b.len() - both;
            let expected = if union == 0 { 0.0 } else { both as f64 / union as f64 };
            let [fa, fb] = [a, b].map(|b| b.map(f64::from));
            prop_assert_eq!(iou(&fa, &fb), expected);
            prop_assert_eq!(intersection(&fa, &fb).map_or(0.0, |shared| area(&shared)), both as f64);
            let [sa, sb] = [a, b].map(|b| b.map(f32::from));
            prop_assert_eq!(iou(&sa, &sb), (both as f32) / (union.max(1) as f32));
            let sides = |b: [f64; 4]| [b[0], b[1], b[2] - b[0], b[3] - b[1]];
            prop_assert_eq!(overlap(&sides(fa), &sides(fb), false), expected);
            let inside = if both == 0 { 0.0 } else { both as f64 / of_a.len() as f64 };
            prop_assert_eq!(overlap(&sides(fa), &sides(fb), true), inside);
        }
    }

    fn any_box() -> impl Strategy<Value = [u8; 4]> {
        (0..8_u8, 0..8_u8, 0..6_u8, 0..6_u8).prop_map(|(x, y, w, h)| [x, y, x + w, y + h])
    }
}
