use super::*;

/// One entry of each kind of mistake, between entries that are right.
const TEXT: &str = r#"{"info": {"note": "kept, \u00e4"}, "annotations": [
  {"id": 1, "image_id": 9, "category_id": 5, "bbox": [0, 0, 1, 1], "segmentation": []},
  {"id": 2, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.50], "extra": {"a": [1, {}]}, "area": 7e0},
  {"id": 3, "image_id": 1, "category_id": 6, "bbox": [1, 2, 3, 4]},
  {"id": 4, "image_id": 1, "category_id": 5, "bbox": [1, 2, 0, 4]},
  {"id": 5, "image_id": 1, "category_id": 5, "bbox": [40, 2, 3, 4]},
  {"segmentation": [[1.0, 2.00, 3, 4]], "bbox": [15, -5, 10, 10], "id": 6, "image_id": 1, "category_id": 5, "area": 100},
  {"id": 6, "image_id": 1, "category_id": 5, "bbox": [15, -5, 10, 10.5], "area": 33.25, "x": null},
  {"id": 7, "extra": {"a": [1, {}]}, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.50], "area": 7e0},
  {"id": 8, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.50], "area": 7e0, "extra": 2},
  {"id": 0, "image_id": 2, "category_id": 4, "bbox": [1, 2, 3, 4]}
 ], "images": [{"id": 1, "width": 20, "height": 10, "file_name": "a.jpg", "neg_category_ids": [5, 77, 4, 4], "not_exhaustive_category_ids": [4]},
  {"id": 2, "width": 3, "height": 3, "file_name": "b.jpg", "neg_category_ids": [], "not_exhaustive_category_ids": [], "x": 1}],
 "categories": [{"id": 5, "name": "a", "frequency": "r"}, {"id": 4, "name": "b", "frequency": "f"}]}
"#;

const FIXED: &str = r#"{"info": {"note": "kept, \u00e4"}, "annotations": [
  
  {"id": 2, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.50], "extra": {"a": [1, {}]}, "area": 7e0},
  {"segmentation": [[1.0, 2.00, 3, 4]], "bbox": [15.0,0.0,5.0,5.0], "id": 6, "image_id": 1, "category_id": 5, "area": 25.0},
  {"id": 9, "image_id": 1, "category_id": 5, "bbox": [15.0,0.0,5.0,5.5], "area": 33.25, "x": null},
  {"id": 8, "image_id": 1, "category_id": 5, "bbox": [1, 2, 3, 4.50], "area": 7e0, "extra": 2},
  {"id": 10, "image_id": 2, "category_id": 4, "bbox": [1, 2, 3, 4]}
 ], "images": [{"id": 1, "width": 20, "height": 10, "file_name": "a.jpg", "neg_category_ids": [4], "not_exhaustive_category_ids": [4]},
  {"id": 2, "width": 30, "height": 40, "file_name": "b.jpg", "neg_category_ids": [], "not_exhaustive_category_ids": [], "x": 1}],
 "categories": [{"id": 5, "name": "a", "frequency": "r"}, {"id": 4, "name": "b", "frequency": "f"}]}
"#;

fn sizes() -> BTreeMap<i64, [u32; 2]> {
    BTreeMap::from([(2, [30, 40])])
}

#[test]
fn what_is_wrong_is_repaired_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("a.json"), folder.path().join("b.json"));
    fs::write(&source, TEXT).unwrap();
    let changes = fix(&source, &sizes(), &target).unwrap();
    let found = fs::read_to_string(&target).unwrap();
    assert_eq!(found, FIXED);
    assert_eq!(fs::read_to_string(&source).unwrap(), TEXT);
    let kinds: Vec<Kind> = changes.iter().map(|c| c.kind).collect();
    use Kind::*;
    let expected = [
        SizeMismatch,
        UnknownImage,
        UnknownCategory,
        BoxWithoutArea,
        BoxOutside,
        BoxReachesOut,
        BoxReachesOut,
        AnnotationIdRepeated,
        BoxTwice,
        AnnotationIdZero,
        AbsentButAnnotated,
        ListNamesUnknownCategory,
        ListRepeatsCategory,
    ];
    assert_eq!(kinds, expected);
    // Nothing is left to repair, and nothing is written then.
    let again = folder.path().join("c.json");
    assert_eq!(fix(&target, &BTreeMap::new(), &again).unwrap(), []);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let left =
        crate::check(&longtail_formats::read_annotations(&target).unwrap(), &Default::default(), &|| ())
            .findings;
    assert!(left.iter().all(|f| !f.fixable || f.kind == BoxTwice), "{left:?}");
}

#[test]
fn the_source_is_never_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.json");
    fs::write(&source, TEXT).unwrap();
    let linked = folder.path().join("linked.json");
    fs::hard_link(&source, &linked).unwrap();
    for target in
        [&source, &linked, &folder.path().join("../").join(folder.path().file_name().unwrap()).join("a.json")]
    {
        let error = fix(&source, &sizes(), target).unwrap_err().to_string();
        assert!(error.contains("another name"), "{error}");
    }
    let error = fix(&source, &sizes(), &folder.path().join("none/b.json")).unwrap_err().to_string();
    assert!(error.contains("cannot write"), "{error}");
    assert_eq!(fs::read_to_string(&source).unwrap(), TEXT);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no partial file stays");
}

#[test]
fn lists_that_lose_all_or_their_ends_stay_lists() {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("a.json"), folder.path().join("b.json"));
    let good =
        |id: i64| format!(r#"{{"id": {id}, "image_id": 1, "category_id": 1, "bbox": [{id}, 0, 1, 1]}}"#);
    let bad = good(3).replace("\"image_id\": 1", "\"image_id\": 7");
    for list in [
        vec![&bad],
        vec![&bad, &bad],
        vec![&good(1), &bad],
        vec![&bad, &good(1)],
        vec![&good(1), &bad, &good(2), &bad],
    ] {
        let text = format!(
            r#"{{"categories": [{{"id": 1, "name": "x"}}], "images": [{{"id": 1, "width": 9, "height": 9, "file_name": "a"}}],
            "annotations": [{}]}}"#,
            list.iter().map(|e| e.as_str()).collect::<Vec<_>>().join(" ,\n")
        );
        fs::write(&source, text).unwrap();
        let dropped = fix(&source, &BTreeMap::new(), &target).unwrap().len();
        assert_eq!(
            longtail_formats::read_annotations(&target).unwrap().annotations.len(),
            list.len() - dropped
        );
        fs::remove_file(&target).unwrap();
    }
}

/// Found by fuzzing: two boxes of which one repeats the other once both are clipped to the image.
#[test]
fn boxes_that_are_the_same_once_clipped_are_repaired_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let [source, once, twice] = ["a.json", "b.json", "c.json"].map(|name| folder.path().join(name));
    let text = r#"{"images": [{"id": 1, "width": 20, "height": 10, "file_name": "a.jpg"}], "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [12, 2, 11, 4], "area": 44, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [12, 2, 50, 4], "area": 200, "iscrowd": 0},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [12, 2, 8, 4], "area": 32, "iscrowd": 0},
        {"id": 4, "image_id": 1, "category_id": 1, "bbox": [12, 2, 50, 4], "area": 7, "iscrowd": 0},
        {"id": 5, "image_id": 1, "category_id": 1, "bbox": [12, 2, 60, 4], "area": 240, "iscrowd": 1}
        ], "categories": [{"id": 1, "name": "a"}]}"#;
    fs::write(&source, text).unwrap();
    let changes = fix(&source, &BTreeMap::new(), &once).unwrap();
    let twins: Vec<&str> =
        changes.iter().filter(|c| c.kind == Kind::BoxTwice).map(|c| c.entry.as_str()).collect();
    // The fourth has another area, the fifth another flag.
    assert_eq!(twins, ["annotation 2", "annotation 3"]);
    assert_eq!(fix(&once, &BTreeMap::new(), &twice).unwrap(), []);
}
