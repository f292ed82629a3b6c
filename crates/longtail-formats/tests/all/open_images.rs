//! Open Images' files, and their expansion by the tree of classes.

use std::{collections::BTreeSet, fs, path::PathBuf};

use longtail_formats::FormatError;
use longtail_formats::open_images::{
    ExpandedRows, Hierarchy, HierarchyNode, ImageLabel, OpenImagesBox, OpenImagesClass, TableKind,
    expand_boxes, expand_file, expand_image_labels, is_expanded, read_boxes, read_classes, read_image_labels,
    write_boxes, write_class_descriptions, write_image_labels, write_labelmap,
};
use proptest::prelude::*;

/// The tree of the challenge's own test (tensorflow/models, research/object_detection, Apache-2.0): d is below c, f, and
/// c > f.
const TREE: &str = r#"{"LabelName": "a", "Subcategory": [
    {"LabelName": "b"},
    {"LabelName": "c", "Part": [{"LabelName": "wheel"}], "Subcategory": [
        {"LabelName": "d"}, {"LabelName": "e"},
        {"LabelName": "f", "Subcategory": [{"LabelName": "d"}]}]},
    {"LabelName": "f", "Subcategory": [{"LabelName": "d"}]}]}"#;

const BOXES: &str = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n\
    123,xclick,b,1,0.1,0.2,0.1,0.2,1,1,0,0,0\n\
    123,xclick,d,1,0.2,0.3,0.1,0.2,1,1,0,0,0\n";

const LABELS: &str = "ImageID,Source,LabelName,Confidence\n\
    123,verification,b,0\n123,verification,c,0\n124,verification,d,1\n";

/// A file with this content; the folder goes with the first value.
fn file(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

fn tree(text: &str) -> Result<Hierarchy, FormatError> {
    Hierarchy::read(&file("tree.json", text).1)
}

/// The message has every part.
fn says<T: std::fmt::Debug>(result: Result<T, FormatError>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in `{error}`");
    }
}

#[test]
fn boxes_come_with_their_flags_whatever_the_line_ends() {
    let (folder, path) = file("boxes.csv", format!("\u{feff}{}", BOXES.replace('\n', "\r\n")));
    let boxes = read_boxes(&path).unwrap();
    assert_eq!(boxes.len(), 2);
    assert_eq!(
        (&*boxes[0].image_id, &*boxes[1].label, boxes[1].source.as_deref()),
        ("123", "d", Some("xclick"))
    );
    assert_eq!([boxes[1].x_min, boxes[1].x_max, boxes[1].y_min, boxes[1].y_max], [0.2, 0.3, 0.1, 0.2]);
    assert_eq!((boxes[0].is_occluded, boxes[0].is_group_of), (Some(true), Some(false)));
    let copy = folder.path().join("copy.csv");
    write_boxes(&copy, &boxes).unwrap();
    assert_eq!(fs::read_to_string(&copy).unwrap(), BOXES);
}

#[test]
fn columns_come_in_any_order_and_unknown_flags_are_none() {
    let text = "IsGroupOf,YMax,YMin,XMax,XMin,Extra,LabelName,ImageID,IsInside\n1,4,3,2,1,x,/m/1, 7 ,-1\n\n";
    let boxes = read_boxes(&file("boxes.csv", text).1).unwrap();
    assert_eq!((&*boxes[0].image_id, boxes[0].x_min, boxes[0].y_max), ("7", 1.0, 4.0));
    let b = &boxes[0];
    assert_eq!((b.is_group_of, b.is_inside, b.is_depiction, b.confidence), (Some(true), None, None, None));
}

#[test]
fn broken_tables_are_named_with_their_line() {
    for (text, parts) in [
        ("", vec!["boxes.csv, line 1", "empty"]),
        ("ImageID,LabelName,XMin\n", vec!["line 1", "column `XMax` is missing", "ImageID, LabelName, XMin"]),
        ("ImageID;LabelName;XMin\n", vec!["line 1", "not semicolons"]),
        (
            "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,b,0,1,0,1\n1,b,0,5,0,1,0,1\n",
            vec!["line 3", "8 fields, the header has 6", "decimal commas"],
        ),
        (
            "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,b,\"0,5\",1,0,1\n",
            vec!["line 2", "`XMin` is `0,5`", "with a point"],
        ),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,b,0,1,0\n", vec!["line 2", "5 fields"]),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,b,0,1,0,nan\n", vec!["line 2", "`YMax` is `nan`"]),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax\n1,,0,1,0,1\n", vec!["line 2", "`LabelName` is empty"]),
        (
            "ImageID,LabelName,XMin,XMax,YMin,YMax,IsGroupOf\n1,b,0,1,0,1,yes\n",
            vec!["line 2", "`IsGroupOf` is `yes`", "1, 0, or -1"],
        ),
    ] {
        says(read_boxes(&file("boxes.csv", text).1), &parts);
    }
    let (_folder, path) = file("boxes.csv", b"ImageID,LabelName,XMin,XMax,YMin,YMax\n1,\xff\xfe,0,1,0,1\n");
    says(read_boxes(&path), &["line 2", "`LabelName` is not UTF-8"]);
    says(
        read_boxes(&file("boxes.csv", BOXES.replace(",0.3,", ",x,").replace('\n', "\r\n")).1),
        &["line 3", "`XMax` is `x`"],
    );
    let text = "ImageID,LabelName,Confidence\n1,b,1\n1,b,1.5\n";
    says(read_image_labels(&file("labels.csv", text).1), &["line 3", "`Confidence` is `1.5`"]);
    says(read_boxes(&file("x", "").1.with_file_name("none.csv")), &["cannot read", "none.csv"]);
}

#[test]
fn classes_come_from_descriptions_or_a_label_map() {
    let classes = vec![
        OpenImagesClass { id: 1, label: "/m/01".into(), name: "Cat".into() },
        OpenImagesClass { id: 2, label: "/m/02".into(), name: "Dog, \"big\"".into() },
    ];
    for header in ["", "LabelName,DisplayName\n"] {
        let text = format!("{header}/m/01,Cat\r\n/m/02,\"Dog, \"\"big\"\"\"\r\n");
        assert_eq!(read_classes(&file("class-descriptions.csv", text).1).unwrap(), classes);
    }
    let text = "# classes\nitem {\n  name: \"/m/01\" id: 1, display_name: \"Cat\"\n}\n\
                item: < name: '/m/02'; display_name: 'Dog, \\\"big\\\"' frequency: RARE id: 2 >";
    assert_eq!(read_classes(&file("labelmap.pbtxt", text).1).unwrap(), classes);
    let folder = tempfile::tempdir().unwrap();
    let (csv, map) = (folder.path().join("a.csv"), folder.path().join("a.pbtxt"));
    write_class_descriptions(&csv, &classes).unwrap();
    write_labelmap(&map, &classes).unwrap();
    assert_eq!((read_classes(&csv).unwrap(), read_classes(&map).unwrap()), (classes.clone(), classes));
}

#[test]
fn broken_classes_are_named_with_their_line() {
    for (name, text, parts) in [
        ("c.csv", "", vec!["no class"]),
        ("c.csv", "/m/01,Cat\n/m/01,Dog\n", vec!["line 2", "`/m/01` is repeated"]),
        ("c.csv", "/m/01,Cat,3\n", vec!["line 1", "3 fields"]),
        ("c.pbtxt", "", vec!["line 1", "no class"]),
        ("c.pbtxt", "item {\n name: \"a\"\n}\n", vec!["line 3", "without `name` or `id`"]),
        ("c.pbtxt", "item {\n name: \"a\" id: 0 }\n", vec!["line", "id 0", "count from 1"]),
        (
            "c.pbtxt",
            "item { name: \"a\" id: 1 }\nitem { name: \"b\" id: 1 }",
            vec!["line 2", "id 1 is repeated"],
        ),
        (
            "c.pbtxt",
            "item { name: \"a\" id: 1 }\nitem { name: \"a\" id: 2 }",
            vec!["line 2", "`a` is repeated"],
        ),
        ("c.pbtxt", "item {\n name: \"a", vec!["line 2", "cut short"]),
        ("c.pbtxt", "item {\n name: \"a\"", vec!["line 2", "cut short"]),
        ("c.pbtxt", "item {\n id: 1.5 }", vec!["line 2", "`id` is 1.5"]),
        ("c.pbtxt", "node { }", vec!["line 1", "expected `item"]),
        ("c.pbtxt", "item { name: \"\\x\" }", vec!["escape"]),
        ("c.pbtxt", "item { name: \u{fc} }", vec!["a character"]),
    ] {
        says(read_classes(&file(name, text).1), &parts);
    }
}

#[test]
fn ancestors_and_descendants_are_unions_without_root_and_parts() {
    let tree = tree(TREE).unwrap();
    let set = |labels: Option<&[std::sync::Arc<str>]>| -> BTreeSet<String> {
        labels.unwrap().iter().map(|l| l.to_string()).collect()
    };
    let expected = |labels: &[&str]| labels.iter().map(|l| (*l).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(tree.labels(), ["b", "c", "d", "e", "f", "wheel"]);
    assert_eq!(set(tree.ancestors("d")), expected(&["c", "f"]));
    assert_eq!(set(tree.descendants("c")), expected(&["d", "e", "f"]));
    assert_eq!(set(tree.ancestors("wheel")), expected(&[]));
    assert_eq!((tree.ancestors("a"), tree.ancestors("x")), (None, None));
}

#[test]
fn trees_with_a_cycle_or_of_another_shape_are_refused() {
    let below = |label: &str| {
        format!(
            r#"{{"LabelName": "a", "Subcategory": [{{"LabelName": "b", "Subcategory": [
            {{"LabelName": "c", "Subcategory": [{{"LabelName": "{label}"}}]}}]}}]}}"#
        )
    };
    says(tree(&below("b")), &["tree.json", "`b` lies below itself (b > c > b)"]);
    says(tree(&below("a")), &["`a` lies below itself"]);
    says(tree(&below("")), &["`LabelName` is empty"]);
    says(tree(r#"{"LabelName": "a", "Subcategory": [{"Subcategory": []}]}"#), &["missing field `LabelName`"]);
    says(tree(r#"{"LabelName": "a", "Children": []}"#), &["unknown field `Children`", "Subcategory"]);
    says(tree(r#"{"LabelName": "a", "Subcategory": ["#), &["EOF", "line 1"]);
    says(tree(&r#"{"LabelName": "a", "Subcategory": ["#.repeat(100_000)), &["recursion limit"]);
    let written = tempfile::tempdir().unwrap();
    let path = written.path().join("tree.json");
    let whole = tree(TREE).unwrap();
    whole.write(&path).unwrap();
    assert_eq!(Hierarchy::read(&path).unwrap(), whole);
}

/// Rows of a file in any order.
fn rows(text: &str) -> Vec<&str> {
    let mut rows: Vec<&str> = text.lines().skip(1).collect();
    rows.sort_unstable();
    rows
}

#[test]
fn files_expand_as_the_challenges_own_tool_does() {
    let tree = tree(TREE).unwrap();
    let (folder, path) = file("in.csv", BOXES);
    let out = folder.path().join("out.csv");
    let expanded = expand_file(&tree, &path, &out, &|_| {}).unwrap();
    assert_eq!(expanded, ExpandedRows { kind: TableKind::Boxes, read: 2, written: 4 });
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("ImageID,Source,LabelName"));
    assert_eq!(
        rows(&text),
        [
            "123,xclick,b,1,0.1,0.2,0.1,0.2,1,1,0,0,0",
            "123,xclick,c,1,0.2,0.3,0.1,0.2,1,1,0,0,0",
            "123,xclick,d,1,0.2,0.3,0.1,0.2,1,1,0,0,0",
            "123,xclick,f,1,0.2,0.3,0.1,0.2,1,1,0,0,0",
        ]
    );
    assert_eq!([&path, &out].map(|file| is_expanded(&tree, &read_boxes(file).unwrap())), [false, true]);
    assert_eq!(read_boxes(&out).unwrap(), expand_boxes(&tree, &read_boxes(&path).unwrap()).unwrap());

    let (folder, path) = file("in.csv", LABELS);
    let out = folder.path().join("out.csv");
    let expanded = expand_file(&tree, &path, &out, &|_| {}).unwrap();
    assert_eq!(expanded, ExpandedRows { kind: TableKind::ImageLabels, read: 3, written: 8 });
    assert_eq!(
        rows(&fs::read_to_string(&out).unwrap()),
        [
            "123,verification,b,0",
            "123,verification,c,0",
            "123,verification,d,0",
            "123,verification,e,0",
            "123,verification,f,0",
            "124,verification,c,1",
            "124,verification,d,1",
            "124,verification,f,1",
        ]
    );
    let labels = read_image_labels(&path).unwrap();
    assert_eq!(read_image_labels(&out).unwrap(), expand_image_labels(&tree, &labels).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_expanded_leaves_no_file() {
    let tree = tree(TREE).unwrap();
    for (text, parts) in [
        (BOXES.replace(",d,", ",a,"), ["line 3", "`LabelName` is `a`", "not a class of the hierarchy"]),
        (LABELS.replace(",d,1", ",d,0.7"), ["line 4", "`Confidence` is 0.7", "machines"]),
        ("ImageID,LabelName\n1,b\n".into(), ["line 1", "column `Confidence`", "missing"]),
    ] {
        let (folder, path) = file("in.csv", text);
        says(expand_file(&tree, &path, &folder.path().join("out.csv"), &|_| {}), &parts);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    let row = ImageLabel { image_id: "1".into(), label: "x".into(), source: None, confidence: 1.0 };
    let error = expand_image_labels(&tree, std::slice::from_ref(&row));
    says(error, &["image label 0 (counted from 0)", "`x` is not a class"]);
    let error = expand_image_labels(&tree, &[ImageLabel { label: "b".into(), confidence: 0.5, ..row }]);
    says(error, &["confidence 0.5"]);
}

/// A tree of up to 40 nodes in which labels repeat, and are never below themselves: a child's number is larger.
fn any_tree() -> impl Strategy<Value = HierarchyNode> {
    let node = |label: u32, subcategories| HierarchyNode {
        label: format!("n{label}"),
        subcategories,
        parts: vec![],
    };
    prop::collection::vec((any::<prop::sample::Index>(), 1..4_u32), 0..40).prop_map(move |choices| {
        // Each node is put below an earlier one.
        let (mut above, mut labels) = (vec![0], vec![0]);
        for (parent, step) in choices {
            let parent = parent.index(labels.len());
            above.push(parent);
            labels.push(labels[parent] + step);
        }
        let mut children: Vec<Vec<HierarchyNode>> = vec![Vec::new(); labels.len()];
        for place in (1..labels.len()).rev() {
            let own = std::mem::take(&mut children[place]);
            children[above[place]].push(node(labels[place], own));
        }
        node(0, std::mem::take(&mut children[0]))
    })
}

/// Whether some place of `below` in the tree has `above` on its way from the root.
fn lies_below(node: &HierarchyNode, above: &str, below: &str, inside: bool) -> bool {
    node.subcategories.iter().any(|child| {
        (inside && child.label == below) || lies_below(child, above, below, inside || child.label == above)
    })
}

proptest! {
    #[test]
    fn relations_are_those_of_the_ways_from_the_root(root in any_tree()) {
        let tree = Hierarchy::new(root.clone()).unwrap();
        for a in tree.labels() {
            for b in tree.labels() {
                let expected = lies_below(&root, a, b, false);
                prop_assert_eq!(tree.ancestors(b).unwrap().iter().filter(|l| &***l == a).count(), usize::from(expected));
                prop_assert_eq!(tree.descendants(a).unwrap().iter().filter(|l| &***l == b).count(), usize::from(expected));
            }
        }
    }

    #[test]
    fn written_boxes_read_back_the_same(
        corners in prop::collection::vec(any::<[i32; 4]>(), 0..8), scale in 1e-3..1e9_f64,
        flag in prop::option::of(any::<bool>()), confidence in prop::option::of(0.0..1.0_f64),
    ) {
        let row = |[a, b, c, d]: [i32; 4]| OpenImagesBox {
            image_id: format!("i\"{a},").into(), label: format!("/m/{b}").into(), source: None, confidence,
            x_min: f64::from(a) / scale, x_max: f64::from(b) / scale, y_min: f64::from(c) / scale, y_max: f64::from(d),
            is_occluded: flag, is_truncated: None, is_group_of: flag.map(|f| !f), is_depiction: None, is_inside: flag,
        };
        let boxes: Vec<OpenImagesBox> = corners.into_iter().map(row).collect();
        let (_folder, path) = file("boxes.csv", "");
        write_boxes(&path, &boxes).unwrap();
        prop_assert_eq!(read_boxes(&path).unwrap(), boxes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), map in any::<bool>()) {
        let (_folder, path) = file(if map { "c.pbtxt" } else { "c.csv" }, &bytes);
        let _ = (read_classes(&path).is_ok(), read_boxes(&path).is_ok(), read_image_labels(&path).is_ok());
    }

    #[test]
    fn written_labels_read_back_the_same(confidences in prop::collection::vec(0.0..=1.0_f64, 0..8), source in "[a-z, \"]{0,5}") {
        let source = Some(source.trim()).filter(|s| !s.is_empty()).map(Into::into);
        let row = |confidence| ImageLabel { image_id: "1".into(), label: "/m/1".into(), source: source.clone(), confidence };
        let labels: Vec<ImageLabel> = confidences.into_iter().map(row).collect();
        let (_folder, path) = file("labels.csv", "");
        write_image_labels(&path, &labels).unwrap();
        prop_assert_eq!(read_image_labels(&path).unwrap(), labels);
    }
}
