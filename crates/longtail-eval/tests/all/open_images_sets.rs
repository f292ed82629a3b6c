//! The challenge's metric for annotation sets and detections in pixels.

use crate::common::named;
use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_eval::{Detection, EvalReport, OpenImagesSet, Protocol, Scoring, expand_detections};
use longtail_formats::{
    Document, RawJson,
    open_images::{Hierarchy, HierarchyNode},
};

const CAT: i64 = 4;
const DOG: i64 = 7;
const ANIMAL: i64 = 9;

fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4], group: bool) -> Annotation {
    Annotation { id, image_id, category_id, bbox, area: None, iscrowd: group, ignore: false }
}

fn image(id: i64, name: &str, absent: &[i64], open: &[i64]) -> ImageRecord {
    ImageRecord {
        id,
        file_name: format!("{name}.jpg"),
        width: 200,
        height: 50,
        neg_category_ids: Some(absent.to_vec()),
        not_exhaustive_category_ids: Some(open.to_vec()),
    }
}

/// A cat and a dog at one place, a group of cats, an image without animals, one with a cat that has no box.
fn set() -> AnnotationSet {
    let category = |id, name: &str, frequency| Category { id, name: name.into(), frequency };
    AnnotationSet {
        path: None,
        layout: Layout::Lvis,
        images: vec![image(12, "b", &[], &[]), image(11, "a", &[], &[]), image(13, "c", &[CAT], &[])],
        annotations: vec![
            annotation(1, 11, CAT, [0.0, 0.0, 100.0, 25.0], false),
            annotation(2, 11, DOG, [0.0, 0.0, 100.0, 25.0], false),
            annotation(3, 12, CAT, [0.0, 0.0, 200.0, 50.0], true),
        ],
        categories: vec![
            category(DOG, "dog", Some(FrequencyGroup::Rare)),
            category(CAT, "cat", Some(FrequencyGroup::Frequent)),
            category(ANIMAL, "animal", None),
        ],
    }
}

fn found(image_id: i64, category_id: i64, score: f64, bbox: [f64; 4]) -> Detection {
    Detection { image_id, category_id, bbox, score }
}

fn ap50(report: &EvalReport) -> Vec<Option<f64>> {
    assert_eq!(report.per_category.iter().map(|c| c.category_id).collect::<Vec<_>>(), [CAT, DOG, ANIMAL]);
    report.per_category.iter().map(|c| c.ap50).collect()
}

#[test]
fn groups_and_verified_classes_count_as_in_the_challenge() {
    let detections = [
        found(11, CAT, 0.9, [0.0, 0.0, 100.0, 25.0]),
        // In the group: found once, whatever its overlap.
        found(12, CAT, 0.8, [0.0, 0.0, 40.0, 10.0]),
        found(12, CAT, 0.7, [50.0, 10.0, 40.0, 10.0]),
        // Nobody looked for dogs in image 12.
        found(12, DOG, 0.99, [0.0, 0.0, 40.0, 10.0]),
        found(13, CAT, 0.85, [0.0, 0.0, 200.0, 50.0]),
        found(11, ANIMAL, 0.7, [0.0, 0.0, 100.0, 25.0]),
    ];
    let report = OpenImagesSet::new(&set()).unwrap().evaluate(&detections, None).unwrap();
    // Cats: right, wrong (image 13), the group: recall 1/2 at precision 1, 1 at 2/3.
    assert_eq!(ap50(&report), [Some(0.5 + 0.5 * (2.0 / 3.0)), Some(0.0), None]);
    assert_eq!(report.protocol, "open-images");
    let metric = |name| report.metric(&named(name)).unwrap();
    assert!((metric("mAP50") - 5.0 / 12.0).abs() < 1e-12);
    assert_eq!((metric("mAP50r"), metric("mAP50f")), (0.0, 0.5 + 0.5 * (2.0 / 3.0)));
    assert_eq!(report.per_category[0].ground_truth, 2);
    let again = Scoring::OpenImages.evaluate(&set(), &detections).unwrap();
    assert_eq!(again, report);
    assert_eq!("open-images".parse::<Scoring>().unwrap(), Scoring::OpenImages);
    assert_eq!("coco".parse::<Scoring>().unwrap(), Scoring::Annotations(Protocol::Coco));
    assert!("voc".parse::<Scoring>().unwrap_err().to_string().contains("open-images"));
}

#[test]
fn a_coco_set_has_verified_every_class() {
    let mut set = set();
    set.layout = Layout::Coco;
    set.images.iter_mut().for_each(|image| image.neg_category_ids = None);
    let detections =
        [found(11, DOG, 0.5, [0.0, 0.0, 100.0, 25.0]), found(12, DOG, 0.9, [0.0, 0.0, 40.0, 10.0])];
    let report = OpenImagesSet::new(&set).unwrap().evaluate(&detections, None).unwrap();
    assert_eq!(ap50(&report)[1], Some(0.5));
}

#[test]
fn what_does_not_belong_to_the_set_is_named() {
    let truth = OpenImagesSet::new(&set()).unwrap();
    for (detection, part) in [
        (found(99, CAT, 0.5, [0.0; 4]), "`image_id` 99"),
        (found(11, 99, 0.5, [0.0; 4]), "`category_id` 99"),
        (found(11, CAT, f64::NAN, [0.0; 4]), "not finite"),
    ] {
        let error = truth.evaluate(&[detection], None).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("detection 0"), "{error}");
    }
    let refused = |change: &dyn Fn(&mut AnnotationSet), part: &str| {
        let mut set = set();
        change(&mut set);
        let error = OpenImagesSet::new(&set).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&|set| set.images[0].file_name = "folder/a.png".into(), "ImageID a too");
    refused(&|set| set.images[0].width = 0, "image 12");
    refused(&|set| set.annotations[0].image_id = 1, "image_id 1");
    refused(&|set| set.annotations[0].category_id = 1, "category_id 1");
    refused(&|set| set.images[2].neg_category_ids = Some(vec![1]), "category_id 1");
}

#[test]
fn detections_are_repeated_for_the_classes_above() {
    let node =
        |label: &str, subcategories| HierarchyNode { label: label.into(), subcategories, parts: vec![] };
    let tree = |leaves: &[&str]| {
        let leaves = leaves.iter().map(|leaf| node(leaf, vec![])).collect();
        Hierarchy::new(node("/m/0", vec![node("/m/animal", leaves)])).unwrap()
    };
    let mut document = Document::new(set());
    for (members, label) in document.extras.categories.iter_mut().zip(["/m/dog", "/m/cat", "/m/animal"]) {
        members.push("label", RawJson::of(label));
    }
    let (here, there) = ([0.0, 0.0, 9.0, 9.0], [1.0, 0.0, 9.0, 9.0]);
    let detections = [found(11, CAT, 0.3, here), found(11, DOG, 0.6, here), found(11, DOG, 0.1, there)];
    let both = tree(&["/m/cat", "/m/dog"]);
    let expanded = expand_detections(&both, &document, &detections).unwrap();
    // One animal at each place, with the better score.
    let expected = [
        detections[0],
        found(11, ANIMAL, 0.6, here),
        detections[1],
        detections[2],
        found(11, ANIMAL, 0.1, there),
    ];
    assert_eq!(expanded, expected);
    let error = expand_detections(&tree(&["/m/cat"]), &document, &detections).unwrap_err().to_string();
    assert!(error.contains("detection 1") && error.contains("`/m/dog` is not in the hierarchy"), "{error}");
    document.set.categories.truncate(2);
    document.extras.categories.truncate(2);
    let error = expand_detections(&both, &document, &detections).unwrap_err().to_string();
    assert!(error.contains("`/m/animal`"), "{error}");
}
