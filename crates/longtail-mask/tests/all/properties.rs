//! Properties over random masks, each against pixels counted one by one.

use longtail_mask::{Merge, Rle, Segmentation, Size, Spans, boundary_width, iou, merge};
use proptest::prelude::*;

/// A bitmap in column order, of blobs so that runs are long, or of noise.
fn bitmap(height: u32, width: u32) -> impl Strategy<Value = Vec<u8>> {
    let pixels = (height * width) as usize;
    let noise = prop::collection::vec(prop::bool::weighted(0.4).prop_map(u8::from), pixels);
    let rectangle = (0..=height, 0..=height, 0..=width, 0..=width, any::<bool>());
    let blobs = prop::collection::vec(rectangle, 0..5).prop_map(move |rectangles| {
        let mut bitmap = vec![0; pixels];
        for (top, bottom, left, right, inside) in rectangles {
            for x in left..right {
                for y in top..bottom {
                    bitmap[(x * height + y) as usize] = u8::from(inside);
                }
            }
        }
        bitmap
    });
    prop_oneof![noise, blobs]
}

fn masks(count: usize) -> impl Strategy<Value = (Size, Vec<Vec<u8>>)> {
    (0_u32..20, 0_u32..20).prop_flat_map(move |(height, width)| {
        let size = Size::new(height, width).unwrap();
        (Just(size), prop::collection::vec(bitmap(height, width), count))
    })
}

/// What a square around each pixel leaves of a mask, pixel by pixel.
fn boundary(size: Size, bitmap: &[u8], width: i64) -> Vec<u8> {
    let (rows, columns) = (i64::from(size.height()), i64::from(size.width()));
    let at = |x: i64, y: i64| {
        (0..columns).contains(&x) && (0..rows).contains(&y) && bitmap[(x * rows + y) as usize] != 0
    };
    let kept = |x: i64, y: i64| {
        (x - width..=x + width).all(|column| (y - width..=y + width).all(|row| at(column, row)))
    };
    let pixels = (0..columns).flat_map(|x| (0..rows).map(move |y| (x, y)));
    pixels.map(|(x, y)| u8::from(at(x, y) && !kept(x, y))).collect()
}

proptest! {
    #[test]
    fn a_bitmap_is_encoded_and_decoded((size, bitmaps) in masks(1)) {
        let mask = Rle::encode_columns(size, &bitmaps[0])?;
        prop_assert!(mask.is_canonical());
        prop_assert_eq!(&mask.decode_columns()?, &bitmaps[0]);
        prop_assert_eq!(&Rle::encode_rows(size, &mask.decode_rows()?)?, &mask);
        prop_assert_eq!(&Rle::from_text(size, mask.to_text())?, &mask);
        prop_assert_eq!(&Rle::new(size, mask.counts().to_vec())?, &mask);
        prop_assert_eq!(mask.area(), bitmaps[0].iter().map(|&b| u32::from(b)).sum::<u32>());
        let seen: Vec<u8> = bitmaps[0].iter().map(|b| b * 255).collect();
        prop_assert_eq!(&Rle::encode_columns(size, &seen)?, &mask);
    }

    #[test]
    fn any_counts_are_written_and_read(counts in prop::collection::vec(0_u32..50_000_000, 1..40)) {
        let size = Size::new(1, counts.iter().sum()).unwrap();
        let mask = Rle::new(size, counts)?;
        prop_assert_eq!(&Rle::from_text(size, mask.to_text())?, &mask);
        let json = serde_json::to_string(&longtail_mask::Runs::from(&mask)).unwrap();
        let read: Segmentation = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(&read.to_rle(size)?, &mask);
    }

    #[test]
    fn polygons_of_a_mask_give_the_mask((size, bitmaps) in masks(1)) {
        let mask = Rle::encode_columns(size, &bitmaps[0])?;
        let polygons = mask.to_polygons()?;
        prop_assert_eq!(polygons.is_empty(), mask.area() == 0);
        if !polygons.is_empty() {
            prop_assert_eq!(Segmentation::Polygons(polygons).to_rle(size)?, mask.clone());
        }
        // Twice the area between the lines, those of holes being negative.
        let twice = |points: &[[u32; 2]]| -> i64 {
            let next = points.iter().cycle().skip(1);
            points.iter().zip(next).map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1])).sum()
        };
        let outlines = mask.outlines()?;
        prop_assert!(outlines.iter().all(|line| line.hole == (twice(&line.points) < 0)));
        prop_assert_eq!(outlines.iter().map(|line| twice(&line.points)).sum::<i64>(), i64::from(mask.area()) * 2);
    }

    #[test]
    fn overlaps_and_merges_are_those_of_pixels((size, bitmaps) in masks(3)) {
        let coded: Vec<Rle> = bitmaps.iter().map(|b| Rle::encode_columns(size, b).unwrap()).collect();
        let count = |inside: &dyn Fn(usize) -> bool| (0..bitmaps[0].len()).filter(|&at| inside(at)).count() as u32;
        let both = count(&|at| bitmaps[0][at] & bitmaps[1][at] != 0);
        let any = count(&|at| bitmaps[0][at] | bitmaps[1][at] != 0);
        prop_assert_eq!(Spans::new(&coded[0]).intersection(&Spans::new(&coded[1])), both);
        let over = |whole: u32| if both == 0 { 0.0 } else { f64::from(both) / f64::from(whole) };
        let expected = [over(any), over(coded[0].area())];
        let truths = [coded[1].clone(), coded[1].clone()];
        prop_assert_eq!(&iou(&coded[..1], &truths, &[false, true])?, &expected);
        for (how, all) in [(Merge::Union, false), (Merge::Intersection, true)] {
            let inside = |at| bitmaps.iter().filter(|b| b[at] != 0).count() >= if all { 3 } else { 1 };
            let expected: Vec<u8> = (0..bitmaps[0].len()).map(|at| u8::from(inside(at))).collect();
            prop_assert_eq!(merge(&coded, how)?, Rle::encode_columns(size, &expected)?);
        }
    }

    #[test]
    fn runs_of_no_length_change_nothing(
        (size, bitmaps) in masks(2),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let coded: Vec<Rle> = bitmaps.iter().map(|b| Rle::encode_columns(size, b).unwrap()).collect();
        let mut counts = coded[0].counts().to_vec();
        for place in places {
            let at = place.index(counts.len()) + 1;
            counts.splice(at..at, [0, 0]);
        }
        let mask = Rle::new(size, counts)?;
        prop_assert_eq!((mask.area(), mask.to_bbox()), (coded[0].area(), coded[0].to_bbox()));
        prop_assert_eq!(iou(std::slice::from_ref(&mask), &coded[1..], &[false])?, iou(&coded[..1], &coded[1..], &[false])?);
        prop_assert_eq!(merge(&[mask.clone(), coded[1].clone()], Merge::Union)?, merge(&coded, Merge::Union)?);
        prop_assert_eq!(mask.boundary(0.02)?, coded[0].boundary(0.02)?);
        prop_assert_eq!(mask.to_polygons()?, coded[0].to_polygons()?);
    }

    #[test]
    fn a_boundary_is_what_erosion_removes((size, bitmaps) in masks(1), ratio in 0.0..0.3) {
        let width = boundary_width(size, ratio)?;
        let expected = boundary(size, &bitmaps[0], width.into());
        let mask = Rle::encode_columns(size, &bitmaps[0])?;
        prop_assert_eq!(mask.boundary(ratio)?, Rle::encode_columns(size, &expected)?);
    }

    #[test]
    fn any_polygon_gives_a_mask_of_its_image(
        numbers in prop::collection::vec(-200.0..200.0, 6..40),
        (height, width) in (0_u32..60, 0_u32..60),
    ) {
        let size = Size::new(height, width).unwrap();
        let mask = Rle::from_polygon(size, &numbers[..numbers.len() / 2 * 2])?;
        prop_assert!(mask.is_canonical());
        prop_assert_eq!(&Rle::new(size, mask.counts().to_vec())?, &mask);
        // A mask has no direction.
        let reversed: Vec<f64> = numbers.chunks_exact(2).rev().flatten().copied().collect();
        prop_assert_eq!(&Rle::from_polygon(size, &reversed)?, &mask);
    }
}
