//! Open Images tables as annotation sets and back.

use std::{fs, path::Path};

use image::RgbImage;
use longtail_annotations::{FrequencyGroup, Layout};
use longtail_formats::{DataFormat, Document, OpenImagesLabels, Placement, ReadOptions, WriteOptions};
use tempfile::TempDir;

const BOXES: &str = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\r\n\
    b01,xclick,/m/cat,1,0.25,0.75,0.5,1,1,0,0,0,0\r\n\
    b01,xclick,/m/animal,1,0,0.5,0,0.5,-1,-1,1,0,0\r\n\
    a01,xclick,/m/cat,1,0,1,0,1,0,0,0,1,0\r\n";
const LABELS: &str = "ImageID,Source,LabelName,Confidence\n\
    a01,verification,/m/cat,1\na01,verification,/m/dog,0\na01,machine,/m/animal,0.7\n\
    c01,verification,/m/dog,1\nc01,verification,/m/snow,1\n";
const HIERARCHY: &str = r#"{"LabelName": "/m/entity", "Subcategory": [
    {"LabelName": "/m/animal", "Subcategory": [{"LabelName": "/m/cat"}, {"LabelName": "/m/dog"}]}]}"#;

/// A part as it is published, with its images.
fn published() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("train-annotations-bbox.csv", BOXES);
    write("train-annotations-human-imagelabels-boxable.csv", LABELS);
    write("class-descriptions-boxable.csv", "/m/cat,Cat\n/m/dog,Dog\n/m/animal,Animal\n");
    write("bbox_labels_600_hierarchy.json", HIERARCHY);
    fs::create_dir(folder.path().join("train")).unwrap();
    for (name, width, height) in [("a01", 40, 20), ("b01", 100, 50), ("c01", 10, 10)] {
        RgbImage::new(width, height).save(folder.path().join(format!("train/{name}.jpg"))).unwrap();
    }
    folder
}

fn open(path: &Path, labels: OpenImagesLabels) -> Document {
    Document::open(path, &ReadOptions { labels, ..Default::default() }).unwrap()
}

#[test]
fn tables_become_a_federated_set() {
    let folder = published();
    assert_eq!(DataFormat::detect(folder.path()).unwrap(), DataFormat::OpenImages);
    let table = folder.path().join("train-annotations-bbox.csv");
    assert_eq!(DataFormat::detect(&table).unwrap(), DataFormat::OpenImages);
    let document = open(&table, OpenImagesLabels::Plain);
    let set = &document.set;
    assert_eq!(set.layout, Layout::Lvis);
    let names: Vec<(&str, u32)> = set.images.iter().map(|i| (&*i.file_name, i.width)).collect();
    assert_eq!(names, [("a01.jpg", 40), ("b01.jpg", 100), ("c01.jpg", 10)]);
    assert_eq!(set.annotations[0].bbox, [25.0, 25.0, 50.0, 25.0]);
    assert_eq!((set.annotations[0].image_id, set.annotations[0].category_id), (2, 1));
    assert!(set.annotations[1].iscrowd, "a group");
    let flags: Vec<&str> = document.extras.annotations[0].iter().map(|(name, _)| name).collect();
    assert_eq!(flags, ["occluded", "truncated", "depiction", "inside", "source"]);
    assert!(document.extras.annotations[1].get("occluded").is_none(), "unknown");
    // Absent is what people said, not what nobody said and not what machines guess.
    assert_eq!(set.images[0].neg_category_ids, Some(vec![2]));
    assert_eq!(set.images[1].neg_category_ids, Some(vec![]));
    assert_eq!(set.images[2].not_exhaustive_category_ids, Some(vec![2]));
    assert_eq!(set.categories[0].frequency, Some(FrequencyGroup::Rare));
    assert_eq!(document.extras.categories[2].get("label").unwrap().as_str(), "\"/m/animal\"");
    let plain = longtail_formats::open_annotations(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(plain.annotations, set.annotations);
}

#[test]
fn boxes_are_expanded_and_copies_taken_back() {
    let folder = published();
    let expanded = open(folder.path(), OpenImagesLabels::Expanded);
    // The tree's root is not a class of the set's boxes.
    let of = |document: &Document| document.set.annotations.iter().map(|a| a.category_id).collect::<Vec<_>>();
    assert_eq!(of(&expanded), [1, 3, 3, 1, 3]);
    let mut copies = expanded.clone();
    copies.set.images.truncate(2);
    copies.extras.images.truncate(2);
    let out = tempfile::tempdir().unwrap();
    let images = Some((folder.path().join("train"), Placement::Link));
    copies.write(out.path(), DataFormat::OpenImages, &WriteOptions { images, ..Default::default() }).unwrap();
    fs::write(out.path().join("hierarchy.json"), HIERARCHY).unwrap();
    assert_eq!(of(&open(out.path(), OpenImagesLabels::Plain)), [1, 3, 1, 3, 3]);
    assert_eq!(of(&open(out.path(), OpenImagesLabels::Leaf)), [1, 1, 3]);
}

#[test]
fn tables_come_back() {
    let folder = published();
    let document = open(folder.path(), OpenImagesLabels::Plain);
    let out = tempfile::tempdir().unwrap();
    let images = Some((folder.path().join("train"), Placement::Copy));
    let options = WriteOptions { images, ..Default::default() };
    let losses = document.write(out.path(), DataFormat::OpenImages, &options).unwrap();
    assert!(losses.is_empty(), "{losses:?}");
    let mut read = open(out.path(), OpenImagesLabels::Plain);
    // Boxes are written by image.
    let mut expected = document.clone();
    expected.set.annotations.rotate_right(1);
    expected.extras.annotations.rotate_right(1);
    (1..).zip(&mut expected.set.annotations).for_each(|(id, annotation)| annotation.id = id);
    (read.set.path, expected.set.path) = (None, None);
    assert_eq!(read, expected);
    let error = document.write(out.path(), DataFormat::OpenImages, &WriteOptions::default()).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    let mut other = document.clone();
    other.set.categories.swap(0, 1);
    other.extras.categories.swap(0, 1);
    let options = WriteOptions { part: "val".into(), ..Default::default() };
    let error = other.write(out.path(), DataFormat::OpenImages, &options).unwrap_err().to_string();
    assert!(error.contains("other classes"), "{error}");
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 4);
}

#[test]
fn what_is_missing_is_named() {
    let refused = |folder: &Path, labels, part: &str| {
        let error =
            Document::open(folder, &ReadOptions { labels, ..Default::default() }).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let folder = published();
    fs::remove_file(folder.path().join("train/b01.jpg")).unwrap();
    refused(folder.path(), OpenImagesLabels::Plain, "1 of 3 images are not there, such as b01.jpg");
    let folder = published();
    fs::remove_file(folder.path().join("bbox_labels_600_hierarchy.json")).unwrap();
    refused(folder.path(), OpenImagesLabels::Expanded, "no class tree");
    let folder = published();
    fs::write(folder.path().join("class-descriptions-boxable.csv"), "/m/dog,Dog\n").unwrap();
    refused(folder.path(), OpenImagesLabels::Plain, "class /m/cat of a box is not among the classes");
    let folder = published();
    let text = BOXES.replace("a01", "../a01");
    fs::write(folder.path().join("train-annotations-bbox.csv"), text).unwrap();
    refused(folder.path(), OpenImagesLabels::Plain, "leaves the image folder");
    let folder = published();
    fs::copy(
        folder.path().join("train-annotations-bbox.csv"),
        folder.path().join("test-annotations-bbox.csv"),
    )
    .unwrap();
    refused(folder.path(), OpenImagesLabels::Plain, "several parts");
}
