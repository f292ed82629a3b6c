//! Boxes of a whole set that were written in another layout than they are read in: corners for sizes, centres for
//! corners, axes exchanged, shares for pixels. One finding with its evidence, in place of hundreds about single boxes.

use longtail_annotations::AnnotationSet;
use longtail_formats::BoxLayout;
use rustc_hash::FxHashMap;

use super::{Kind, box_kind};

/// Fewest boxes that prove anything.
const LEAST: usize = 5;
/// Share of the boxes that the right layout must explain.
const EXPLAINED: f64 = 0.99;
/// Share of the boxes that do not fit as they are read.
const MISFITS: f64 = 0.2;

/// What was found.
pub(crate) struct Misreading {
    /// Which layout the boxes have.
    pub(crate) layout: BoxLayout,
    /// Why.
    pub(crate) evidence: String,
}

impl Misreading {
    /// The kind of finding.
    pub(crate) fn kind(&self) -> Kind {
        match self.layout {
            BoxLayout::Sizes | BoxLayout::Corners => Kind::CornersForSizes,
            BoxLayout::Centres => Kind::CentresForCorners,
            BoxLayout::Swapped => Kind::AxesExchanged,
            BoxLayout::Relative => Kind::SharesForPixels,
        }
    }

    /// Evidence, and the command that reads the boxes as they are.
    pub(crate) fn describe(&self, set: &AnnotationSet) -> String {
        format!(
            "{}; `longtail data convert {} NEW.json --boxes {}` reads them so",
            self.evidence,
            set.label(),
            self.layout
        )
    }
}

/// The layout that explains a set whose boxes do not fit; none for a set that is right or wrong in other ways.
pub(crate) fn misreading(set: &AnnotationSet) -> Option<Misreading> {
    let sizes: FxHashMap<i64, [u32; 2]> =
        set.images.iter().map(|image| (image.id, [image.width, image.height])).collect();
    let boxes: Vec<([f64; 4], Option<f64>, [u32; 2])> = set
        .annotations
        .iter()
        .filter(|annotation| annotation.bbox.iter().all(|value| value.is_finite()))
        .filter_map(|annotation| {
            let size = *sizes.get(&annotation.image_id)?;
            let known = size[0] > 0 && size[1] > 0;
            known.then_some((annotation.bbox, annotation.area, size))
        })
        .collect();
    let count = boxes.len();
    if count < LEAST {
        return None;
    }
    let most = |right: usize, of: usize| right as f64 >= EXPLAINED * of as f64;
    let fits = |bbox: [f64; 4], [width, height]: [u32; 2]| box_kind(&bbox, width, height).is_none();
    let explained = |layout: BoxLayout| {
        boxes.iter().filter(|(bbox, _, size)| fits(layout.to_sizes(*bbox, *size), *size)).count()
    };

    // Shares fit everywhere, as specks in the upper left corner.
    let is_share = |([x, y, w, h], _, [width, height]): &([f64; 4], Option<f64>, [u32; 2])| {
        *width >= 16
            && *height >= 16
            && *x >= 0.0
            && *y >= 0.0
            && *w > 0.0
            && *h > 0.0
            && x + w <= 1.01
            && y + h <= 1.01
    };
    let shares = boxes.iter().filter(|entry| is_share(entry)).count();
    if most(shares, count) {
        let evidence = format!("{shares} of {count} boxes lie between 0 and 1");
        return Some(Misreading { layout: BoxLayout::Relative, evidence });
    }

    let misfits = count - explained(BoxLayout::Sizes);
    let reach = format!("{misfits} of {count} boxes do not fit into their image");
    let same = |area: f64, product: f64| (area - product).abs() <= 1e-3 * area.abs().max(1.0);
    let with_area: Vec<_> = boxes.iter().filter_map(|(bbox, area, _)| Some((bbox, (*area)?))).collect();
    let of_corners = with_area.iter().filter(|([a, b, c, d], area)| same(*area, (c - a) * (d - b))).count();
    let of_sizes = with_area.iter().filter(|([_, _, w, h], area)| same(*area, w * h)).count();
    if with_area.len() >= LEAST && most(of_corners, with_area.len()) && 2 * of_sizes < with_area.len() {
        let evidence = format!(
            "{of_corners} of {} areas are (third - first) × (fourth - second number); {reach}",
            with_area.len()
        );
        return Some(Misreading { layout: BoxLayout::Corners, evidence });
    }

    if (misfits as f64) < MISFITS * count as f64 {
        return None;
    }
    // Areas that are the products of the sizes speak against corners.
    let sizes_stand = with_area.len() >= LEAST && most(of_sizes, with_area.len());
    let layouts = [BoxLayout::Corners, BoxLayout::Centres, BoxLayout::Swapped];
    let layout = layouts
        .into_iter()
        .find(|layout| most(explained(*layout), count) && !(sizes_stand && *layout == BoxLayout::Corners))?;
    let what = match layout {
        BoxLayout::Centres => "all fit if the first two numbers are the centre",
        BoxLayout::Swapped => "all fit if x and y change places",
        _ => "all fit if the last two numbers are the lower right corner",
    };
    Some(Misreading { layout, evidence: format!("{reach}; {what}") })
}

#[cfg(test)]
mod tests {
    use longtail_annotations::{Annotation, Category, ImageRecord, Layout};
    use proptest::prelude::*;

    use super::*;

    fn set(boxes: Vec<[f64; 4]>, areas: bool) -> AnnotationSet {
        let image = ImageRecord {
            id: 1,
            file_name: "a.jpg".into(),
            width: 120,
            height: 80,
            neg_category_ids: None,
            not_exhaustive_category_ids: None,
        };
        let annotation = |(index, bbox): (usize, [f64; 4])| Annotation {
            id: index as i64,
            image_id: 1,
            category_id: 1,
            bbox,
            area: areas.then(|| bbox[2] * bbox[3]),
            iscrowd: false,
            ignore: false,
        };
        AnnotationSet {
            path: None,
            layout: Layout::Coco,
            images: vec![image],
            annotations: boxes.into_iter().enumerate().map(annotation).collect(),
            categories: vec![Category { id: 1, name: "x".into(), frequency: None }],
        }
    }

    /// Boxes of a good set, spread over the image.
    fn good() -> Vec<[f64; 4]> {
        (0..20).map(f64::from).map(|i| [5.0 + 4.0 * i, 2.0 + 2.0 * i, 20.0 + i, 12.0 + i]).collect()
    }

    #[test]
    fn each_layout_is_recognised_and_read() {
        let from = |layout: BoxLayout, [x, y, w, h]: [f64; 4]| match layout {
            BoxLayout::Sizes => [x, y, w, h],
            BoxLayout::Corners => [x, y, x + w, y + h],
            BoxLayout::Centres => [x + w / 2.0, y + h / 2.0, w, h],
            BoxLayout::Swapped => [y, x, h, w],
            BoxLayout::Relative => [x / 120.0, y / 80.0, w / 120.0, h / 80.0],
        };
        for layout in BoxLayout::ALL {
            let boxes: Vec<[f64; 4]> = good().into_iter().map(|bbox| from(layout, bbox)).collect();
            for (bbox, right) in boxes.iter().zip(good()) {
                let read = layout.to_sizes(*bbox, [120, 80]);
                assert!(read.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-9), "{layout}: {read:?}");
            }
            let found = misreading(&set(boxes, false)).map(|found| found.layout);
            assert_eq!(found, (layout != BoxLayout::Sizes).then_some(layout), "{layout}");
        }
        assert!(misreading(&set(good(), true)).is_none());
    }

    #[test]
    fn areas_prove_corners_even_where_all_boxes_fit() {
        let mut corners = set((0..6).map(f64::from).map(|i| [i, i, i + 9.0, i + 5.0]).collect(), false);
        corners.annotations.iter_mut().for_each(|annotation| annotation.area = Some(45.0));
        let found = misreading(&corners).unwrap();
        assert_eq!(found.layout, BoxLayout::Corners);
        assert!(found.evidence.contains("6 of 6 areas"), "{}", found.evidence);
        assert!(found.describe(&corners).contains("--boxes corners"));
    }

    proptest! {
        /// A set whose boxes fit and have their own areas is never called misread.
        #[test]
        fn good_sets_are_left_alone(
            raw in prop::collection::vec((0.0..60.0_f64, 0.0..40.0_f64, 2.0..60.0_f64, 2.0..40.0_f64), 0..40)
        ) {
            let boxes: Vec<[f64; 4]> = raw.into_iter().map(|(x, y, w, h)| [x, y, w, h]).collect();
            prop_assert!(misreading(&set(boxes, true)).is_none());
        }
    }
}
