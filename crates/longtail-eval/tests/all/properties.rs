//! What holds for any input.

use crate::common::{annotation, detection, federated_image, named, set};
use longtail_annotations::AnnotationSet;
use longtail_eval::{Detection, Detections, Evaluation, GroundTruth, Protocol, Settings, Shard, evaluate};
use proptest::prelude::*;

/// Boxes on a coarse grid, so that many overlap, equally too.
fn any_box() -> impl Strategy<Value = [f64; 4]> {
    (0..6, 0..6, 0..6, 0..6).prop_map(|(x, y, w, h)| [x, y, w, h].map(|v: i32| 16.0 * f64::from(v)))
}

fn any_truth() -> impl Strategy<Value = AnnotationSet> {
    let lists = prop::collection::vec(1..4_i64, 0..3);
    let images = prop::collection::vec((lists.clone(), lists), 3);
    let boxes = prop::collection::vec((0..3_i64, 1..4_i64, any_box(), any::<bool>(), any::<bool>()), 0..12);
    (images, boxes).prop_map(|(images, boxes)| {
        let images = images.iter().zip(0..).map(|((n, e), id)| federated_image(id, n, e)).collect();
        let annotations = boxes.into_iter().zip(-2..).map(|((image, class, bbox, iscrowd, ignore), id)| {
            let mut annotation = annotation(id, image, class, bbox);
            (annotation.iscrowd, annotation.ignore) = (iscrowd, ignore);
            annotation
        });
        set(images, annotations.collect())
    })
}

fn any_detections() -> impl Strategy<Value = Vec<Detection>> {
    let one = (0..3_i64, 1..5_i64, any_box(), 0..10);
    let one =
        one.prop_map(|(image, class, bbox, score)| detection(image, class, bbox, f64::from(score) / 10.0));
    prop::collection::vec(one, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn metrics_lie_between_zero_and_one(truth in any_truth(), detections in any_detections()) {
        for protocol in [Protocol::Lvis, Protocol::Coco] {
            let report = evaluate(protocol, &truth, &detections).unwrap();
            for (name, value) in &report.metrics {
                prop_assert!(value.is_none_or(|v| (0.0..=1.0).contains(&v)), "{name} is {value:?}");
            }
            let countable: u64 = report.per_category.iter().map(|c| c.ground_truth).sum();
            prop_assert_eq!(report.metric(&named("AP")).is_some(), countable > 0);
        }
    }

    #[test]
    fn the_order_of_images_and_classes_in_the_file_is_of_no_account(
        truth in any_truth(), detections in any_detections()
    ) {
        let mut turned = truth.clone();
        turned.images.reverse();
        turned.categories.reverse();
        for protocol in [Protocol::Lvis, Protocol::Coco] {
            let reports = [&truth, &turned].map(|t| evaluate(protocol, t, &detections).unwrap());
            prop_assert_eq!(&reports[0], &reports[1]);
        }
    }

    #[test]
    fn the_number_of_threads_and_the_batches_are_of_no_account(
        truth in any_truth(), detections in any_detections(), cut in 0..40_usize
    ) {
        let truth = GroundTruth::new(&truth).unwrap();
        let score = |threads: usize, protocol: Protocol| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut all = Detections::new(&truth, Shard::WHOLE);
                let cut = cut.min(detections.len());
                all.extend(&detections[..cut]).unwrap();
                all.extend(&detections[cut..]).unwrap();
                let evaluation = Evaluation::new(&all, &Settings::strict(protocol)).unwrap();
                (evaluation.report(None), evaluation.arrays())
            })
        };
        for protocol in Protocol::ALL {
            prop_assert_eq!(score(1, protocol), score(5, protocol));
        }
    }

    #[test]
    fn detections_of_different_images_can_change_places(
        truth in any_truth(), detections in any_detections()
    ) {
        let mut sorted = detections.clone();
        sorted.sort_by_key(|d| -d.image_id);
        for protocol in Protocol::ALL {
            prop_assert_eq!(evaluate(protocol, &truth, &detections).unwrap(), evaluate(protocol, &truth, &sorted).unwrap());
        }
    }
}
