//! Bad input: what is wrong and where, before anything is allocated.

use longtail_mask::{MaskError, Merge, Rle, Segmentation, Size, boundary_width, box_iou, iou, merge};

fn size(height: u32, width: u32) -> Size {
    Size::new(height, width).unwrap()
}

fn segmentation(json: &str) -> Result<Rle, MaskError> {
    serde_json::from_str::<Segmentation>(json).unwrap().to_rle(size(10, 10))
}

#[test]
fn images_that_are_too_large() {
    for (height, width) in [(1 << 16, 1 << 15), (u32::MAX, u32::MAX), (u32::MAX, 0), (0, 1 << 31)] {
        let error = Size::new(height, width).unwrap_err();
        assert!(matches!(error, MaskError::ImageTooLarge { .. }), "{error}");
    }
    assert_eq!(size(1, i32::MAX as u32).pixels(), i32::MAX as u32);
}

#[test]
fn counts_that_do_not_fit() {
    let ten = size(2, 5);
    assert_eq!(Rle::new(ten, vec![]), Err(MaskError::NoCounts));
    assert_eq!(Rle::new(ten, vec![3, 4]), Err(MaskError::CountsShort { size: ten, sum: 7 }));
    let overrun = |run, end| Err(MaskError::CountsOverrun { size: ten, run, end });
    assert_eq!(Rle::new(ten, vec![3, 4, 4]), overrun(2, 11));
    assert_eq!(Rle::new(ten, vec![u32::MAX; 9]), overrun(0, u32::MAX.into()));
    assert_eq!(
        Rle::new(ten, vec![3, 4, 4]).unwrap_err().to_string(),
        "counts overrun the image of 2 × 5: run 2 ends at pixel 11 of 10"
    );
}

#[test]
fn text_that_cannot_be_read() {
    let ten = size(2, 5);
    assert_eq!(Rle::from_text(ten, "3P"), Err(MaskError::TextTruncated { run: 1, at: 2 }));
    assert_eq!(Rle::from_text(ten, "3 4"), Err(MaskError::TextByte { at: 1, byte: b' ' }));
    assert_eq!(Rle::from_text(ten, b"3\x00"), Err(MaskError::TextByte { at: 1, byte: 0 }));
    assert_eq!(Rle::from_text(ten, "3\u{fc}"), Err(MaskError::TextByte { at: 1, byte: 0xc3 }));
    // −1 as a first run; a run of eight groups.
    assert_eq!(Rle::from_text(ten, "O"), Err(MaskError::TextRun { run: 0, at: 1 }));
    assert_eq!(Rle::from_text(ten, "PPPPPPPP0"), Err(MaskError::TextRun { run: 0, at: 7 }));
    assert_eq!(Rle::from_text(ten, ""), Err(MaskError::NoCounts));
    assert_eq!(Rle::from_text(ten, "34"), Err(MaskError::CountsShort { size: ten, sum: 7 }));
    assert_eq!(Rle::from_text(ten, "344"), Err(MaskError::CountsOverrun { size: ten, run: 2, end: 11 }));
    assert_eq!(Rle::from_text(ten, "343").unwrap().counts(), [3, 4, 3]);
}

#[test]
fn polygons_without_an_inside() {
    let ten = size(10, 10);
    assert_eq!(Rle::from_polygon(ten, &[]), Err(MaskError::TooFewPoints { points: 0 }));
    assert_eq!(Rle::from_polygon(ten, &[1.0; 4]), Err(MaskError::TooFewPoints { points: 2 }));
    assert_eq!(Rle::from_polygon(ten, &[1.0; 7]), Err(MaskError::OddCoordinates { numbers: 7 }));
    for value in [f64::INFINITY, f64::NEG_INFINITY, 1e300, 2.2e8, -2.2e8] {
        let error = Rle::from_polygon(ten, &[1.0, 2.0, 3.0, value, 5.0, 6.0]).unwrap_err();
        assert_eq!(error, MaskError::Coordinate { at: 3, value, limit: 214_748_363.0 });
    }
    assert!(matches!(
        Rle::from_box(ten, [0.0, 0.0, f64::NAN, 1.0]),
        Err(MaskError::Coordinate { at: 4, .. })
    ));
    let error = segmentation("[[0, 0, 9, 0, 9, 9], [1, 1, 4, 4]]").unwrap_err();
    assert_eq!(error.to_string(), "polygon 1: a polygon of 2 points: at least 3 are needed");
}

#[test]
fn what_would_be_absurdly_large() {
    let wide = size(3, 700_000_000);
    let polygon = [0.0, 0.0, 2e8, 0.0, 2e8, 3.0, 0.0, 3.0];
    assert!(matches!(Rle::from_polygon(wide, &polygon), Err(MaskError::TooComplex { .. })));
    let full = Rle::new(wide, vec![0, wide.pixels()]).unwrap();
    assert!(matches!(full.boundary(0.0), Err(MaskError::TooComplex { .. })));
    assert!(matches!(full.to_polygons(), Err(MaskError::TooComplex { .. })));
    // What needs no more than its runs is answered.
    assert_eq!(full.to_bbox(), [0, 0, 700_000_000, 3]);
    assert_eq!(iou(std::slice::from_ref(&full), std::slice::from_ref(&full), &[false]), Ok(vec![1.0]));
}

#[test]
fn lists_that_do_not_fit_together() {
    let (small, large) = (Rle::empty(size(2, 2)), Rle::empty(size(2, 3)));
    let differ = |index| MaskError::SizesDiffer { left: small.size(), right: large.size(), index };
    assert_eq!(merge(&[], Merge::Union), Err(MaskError::NothingToMerge));
    let three = [small.clone(), small.clone(), large.clone()];
    assert_eq!(merge(&three, Merge::Intersection), Err(differ(2)));
    assert_eq!(
        iou(&three[..1], &three[1..], &[false; 2]).unwrap_err().to_string(),
        "ground truth 1: masks of different sizes: 2 × 2, and 2 × 3 at index 1"
    );
    assert_eq!(iou(&three, &[], &[false]), Err(MaskError::CrowdFlags { flags: 1, truths: 0 }));
    assert_eq!(iou(&[], &[], &[]), Ok(vec![]));
    assert!(box_iou(&[[0.0, 0.0, f64::NAN, 1.0]], &[[0.0; 4]], &[false]).is_err());
    assert!(boundary_width(size(9, 9), f64::NAN).is_err());
    assert!(boundary_width(size(9, 9), -0.1).is_err());
}

#[test]
fn segmentations_that_are_none() {
    for text in [
        "null",
        "3",
        "\"abc\"",
        "[1, 2, 3, 4]",
        "{\"size\": [1, 2]}",
        "{\"counts\": [1]}",
        "[[[10, 10], [100]]]",
    ] {
        assert!(serde_json::from_str::<Segmentation>(text).is_err(), "{text}");
    }
    for text in ["[-1, 101]", "[3.5, 96.5]", "[4294967296]", "[null]"] {
        let text = format!("{{\"size\": [10, 10], \"counts\": {text}}}");
        assert!(serde_json::from_str::<Segmentation>(&text).is_err(), "{text}");
    }
    let mixed = r#"[[0, 0, 9, 0, 9, 9], {"size": [10, 10], "counts": [100]}]"#;
    let error = serde_json::from_str::<Segmentation>(mixed).unwrap_err();
    assert!(error.to_string().starts_with("polygons and runs in one list"), "{error}");
    let whole = segmentation(r#"{"size": [10, 10], "counts": [40.0, 60]}"#).unwrap();
    assert_eq!(whole.area(), 60);
    assert_eq!(segmentation("[]"), Err(MaskError::NothingToMerge));
    assert!(matches!(segmentation("[[]]"), Err(MaskError::At { index: 0, .. })));
    // A box where a mask is asked for.
    assert!(matches!(segmentation("[[1, 2, 3, 4]]"), Err(MaskError::At { index: 0, .. })));
    let error = segmentation(r#"{"size": [9, 10], "counts": [90]}"#).unwrap_err();
    assert_eq!(error.to_string(), "masks of different sizes: 10 × 10, and 9 × 10 at index 0");
    assert!(matches!(
        segmentation(r#"{"size": [4294967295, 2], "counts": "0"}"#),
        Err(MaskError::ImageTooLarge { .. })
    ));
}
