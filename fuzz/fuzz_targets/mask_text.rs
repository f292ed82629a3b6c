//! Compressed counts: never a panic, and what is accepted is written as it was read and answers every
//! question.

#![no_main]

use libfuzzer_sys::fuzz_target;
use longtail_mask::{DILATION_RATIO, Merge, Rle, Size, iou, merge};

fuzz_target!(|data: (u16, u16, &[u8], &[u8])| {
    let (height, width, text, other) = data;
    let size = Size::new(height.into(), width.into()).unwrap();
    let Ok(mask) = Rle::from_text(size, text) else { return };
    let again = Rle::from_text(size, mask.to_text()).unwrap();
    assert_eq!(again, mask);
    assert!(mask.area() <= size.pixels());
    let [x, y, w, h] = mask.to_bbox();
    assert!(x + w <= size.width() && y + h <= size.height());
    let boundary = mask.boundary(DILATION_RATIO).unwrap();
    assert!(boundary.area() <= mask.area());
    if size.pixels() < 1 << 20 {
        let bitmap = mask.decode_columns().unwrap();
        let canonical = Rle::encode_columns(size, &bitmap).unwrap();
        assert_eq!(canonical.area(), mask.area());
        let polygons = mask.to_polygons().unwrap();
        let parts: Vec<Rle> = polygons.iter().map(|p| Rle::from_polygon(size, p).unwrap()).collect();
        match merge(&parts, Merge::Union) {
            Ok(whole) => assert_eq!(whole, canonical),
            Err(_) => assert_eq!(mask.area(), 0),
        }
    }
    if let Ok(other) = Rle::from_text(size, other) {
        let common = merge(&[mask.clone(), other.clone()], Merge::Intersection).unwrap().area();
        let union = merge(&[mask.clone(), other.clone()], Merge::Union).unwrap().area();
        assert_eq!(common + union, mask.area() + other.area());
        let expected = if common == 0 { 0.0 } else { f64::from(common) / f64::from(union) };
        assert_eq!(iou(&[mask], &[other], &[false]).unwrap(), [expected]);
    }
});
