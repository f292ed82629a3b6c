//! Compressed text and counts: never a panic, what is accepted is written as it was read, and area, box, overlap, union,
//! boundary and outlines of any runs agree with each other.

#![no_main]

use libfuzzer_sys::fuzz_target;
use longtail_mask::{DILATION_RATIO, Merge, Rle, Size, iou, merge};

fuzz_target!(|data: (u16, u16, &[u8], Vec<u16>, Vec<u16>)| {
    let (height, width, text, left, right) = data;
    if let Ok(size) = Size::new(height.into(), width.into())
        && let Ok(mask) = Rle::from_text(size, text)
    {
        assert_eq!(Rle::from_text(size, mask.to_text()).unwrap(), mask);
    }
    // Counts seldom fill an image by chance: here the image is made for them, and the last run fills it.
    let sum = |counts: &[u16]| counts.iter().map(|&count| u32::from(count)).sum::<u32>();
    let height = u32::from(height % 512) + 1;
    let Ok(size) = Size::new(height, sum(&left).max(sum(&right)).div_ceil(height)) else { return };
    let [mask, other] = [left, right].map(|counts| {
        let rest = size.pixels() - sum(&counts);
        Rle::new(size, counts.into_iter().map(u32::from).chain([rest]).collect()).unwrap()
    });
    check(&mask);
    let both = [mask, other];
    let common = merge(&both, Merge::Intersection).unwrap().area();
    let union = merge(&both, Merge::Union).unwrap().area();
    assert_eq!(common + union, both[0].area() + both[1].area());
    let expected = if common == 0 { 0.0 } else { f64::from(common) / f64::from(union) };
    assert_eq!(iou(&both[..1], &both[1..], &[false]).unwrap(), [expected]);
});

fn check(mask: &Rle) {
    let size = mask.size();
    assert_eq!(&Rle::from_text(size, mask.to_text()).unwrap(), mask);
    let [x, y, w, h] = mask.to_bbox();
    assert!(x + w <= size.width() && y + h <= size.height());
    assert!(w * h >= mask.area() && (mask.area() > 0) == (w * h > 0));
    assert!(mask.boundary(DILATION_RATIO).unwrap().area() <= mask.area());
    if size.pixels() < 1 << 18 {
        let canonical = Rle::encode_columns(size, &mask.decode_columns().unwrap()).unwrap();
        assert_eq!(canonical.area(), mask.area());
        let polygons = mask.to_polygons().unwrap();
        let parts: Vec<Rle> = polygons.iter().map(|p| Rle::from_polygon(size, p).unwrap()).collect();
        match merge(&parts, Merge::Union) {
            Ok(whole) => assert_eq!(whole, canonical),
            Err(_) => assert_eq!(mask.area(), 0),
        }
    }
}
