//! Polygons of any coordinates: never a panic, and what is rasterised is a mask of its image, whatever the
//! direction.

#![no_main]

use libfuzzer_sys::fuzz_target;
use longtail_mask::{Rle, Size};

fuzz_target!(|data: (u16, u16, u8, Vec<f32>)| {
    let (height, width, exponent, numbers) = data;
    let size = Size::new((height % 2048).into(), (width % 2048).into()).unwrap();
    // Bits of any float are seldom near an image: half of the cases are brought there.
    let near = |v: f32| {
        if exponent % 2 == 0 { f64::from(v) } else { f64::from(v.to_bits() as i32) / 2_f64.powi(16) }
    };
    let polygon: Vec<f64> = numbers.into_iter().map(near).collect();
    let Ok(mask) = Rle::from_polygon(size, &polygon) else { return };
    assert!(mask.is_canonical());
    assert_eq!(Rle::new(size, mask.counts().to_vec()).unwrap(), mask);
    let (points, _) = polygon.as_chunks::<2>();
    let reversed: Vec<f64> = points.iter().rev().flatten().copied().collect();
    assert_eq!(Rle::from_polygon(size, &reversed).unwrap(), mask);
});
