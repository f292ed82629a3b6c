//! What `check` finds in a set.

use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
use longtail_curate::{CheckOptions, Severity, check};

fn image(id: i64) -> ImageRecord {
    ImageRecord {
        id,
        file_name: format!("{id}.png"),
        width: 40,
        height: 30,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    }
}

fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4]) -> Annotation {
    Annotation { id, image_id, category_id, bbox, area: None, iscrowd: false, ignore: false }
}

fn category(id: i64) -> Category {
    Category { id, name: format!("class {id}"), frequency: None }
}

/// Category ids with gaps, out of order.
fn set(annotations: Vec<Annotation>) -> AnnotationSet {
    AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: (1..=4).map(image).collect(),
        annotations,
        categories: vec![category(90), category(7), category(20)],
    }
}

const BOX: [f64; 4] = [1.0, 2.0, 10.0, 10.0];

#[test]
fn check_lists_everything_at_once() {
    let mut bad = set(vec![
        annotation(1, 1, 8, BOX),
        annotation(2, 9, 7, BOX),
        annotation(3, 1, 7, [f64::NAN, 0.0, 1.0, 1.0]),
        annotation(4, 1, 7, [5.0, 5.0, 0.0, 9.0]),
        annotation(5, 1, 7, [500.0, 5.0, 4.0, 9.0]),
        annotation(6, 1, 7, [35.0, 5.0, 40.0, 9.0]),
        annotation(7, 2, 7, BOX),
        annotation(8, 2, 7, BOX),
    ]);
    bad.categories.push(Category { id: 91, name: "Class 7".into(), frequency: None });
    let findings = check(&bad, &CheckOptions::default(), &|| {}).findings;
    let count =
        |part: &str| findings.iter().find(|f| f.message.contains(part)).map(|f| (f.severity, f.count));
    assert_eq!(count("unknown categories"), Some((Severity::Error, 1)));
    assert_eq!(count("unknown images"), Some((Severity::Error, 1)));
    assert_eq!(count("not finite"), Some((Severity::Error, 1)));
    assert_eq!(count("without area"), Some((Severity::Warning, 1)));
    assert_eq!(count("outside of their image"), Some((Severity::Warning, 1)));
    assert_eq!(count("reach out"), Some((Severity::Warning, 1)));
    assert_eq!(count("annotated twice"), Some((Severity::Warning, 1)));
    assert_eq!(count("differ at most by case"), Some((Severity::Warning, 1)));
    assert_eq!(count("have gaps"), Some((Severity::Note, 1)));
    assert_eq!(count("images without any box"), Some((Severity::Note, 2)));
    assert!(findings.windows(2).all(|pair| pair[0].severity <= pair[1].severity));
    assert!(
        check(&set(vec![annotation(1, 1, 7, BOX)]), &CheckOptions::default(), &|| {})
            .findings
            .iter()
            .all(|f| f.severity == Severity::Note)
    );
}
