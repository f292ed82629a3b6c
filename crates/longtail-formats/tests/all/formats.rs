//! Every format read and written: what comes back, what is lost and counted, and what is refused.

use std::{fs, path::Path};

use image::{ImageFormat, RgbImage};
use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};
use longtail_formats::{DataFormat, Document, Losses, Placement, RawJson, ReadOptions, WriteOptions};
use proptest::prelude::*;

fn image(id: i64, file_name: &str, width: u32, height: u32) -> ImageRecord {
    ImageRecord {
        id,
        file_name: file_name.into(),
        width,
        height,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    }
}

fn annotation(id: i64, image_id: i64, category_id: i64, bbox: [f64; 4]) -> Annotation {
    Annotation { id, image_id, category_id, bbox, area: None, iscrowd: false, ignore: false }
}

fn category(id: i64, name: &str) -> Category {
    Category { id, name: name.into(), frequency: None }
}

/// Two images, one without boxes; three classes, one without boxes.
fn plain(first_class: i64) -> Document {
    Document::new(AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: vec![image(1, "a.png", 64, 48), image(2, "sub/b.png", 32, 32)],
        annotations: vec![
            annotation(1, 1, first_class, [1.0, 2.0, 30.0, 40.0]),
            annotation(2, 1, first_class + 2, [0.0, 0.0, 64.0, 48.0]),
            annotation(3, 1, first_class, [10.0, 11.0, 12.0, 13.0]),
        ],
        categories: vec![
            category(first_class, "cow"),
            category(first_class + 1, "a \"b\", c: <d> & ü"),
            category(first_class + 2, "zebra"),
        ],
    })
}

/// The same with everything that only COCO and LVIS files have.
fn rich(layout: Layout) -> Document {
    let mut document = plain(1);
    let json = |text: &str| RawJson::new(text).unwrap();
    document.set.layout = layout;
    document.set.annotations[0].area = Some(700.125);
    document.set.annotations[1].iscrowd = layout == Layout::Coco;
    document.set.annotations[2].ignore = true;
    document.extras.header.push("info", json(r#"{"year": 2020, "x": [1.50]}"#));
    document.extras.images[0].push("license", json("3"));
    document.extras.annotations[0].push("segmentation", json("[[1.0, 2.50, 31, 2, 31, 42.0]]"));
    document.extras.annotations[1].push("segmentation", json(r#"{"size": [48, 64], "counts": "Zk1\\0"}"#));
    document.extras.annotations[2].push("occluded", json("true"));
    document.extras.annotations[2].push("note", json(r#""left, \"right\"""#));
    document.extras.categories[0].push("synset", json(r#""cow.n.01""#));
    if layout == Layout::Lvis {
        for image in &mut document.set.images {
            image.neg_category_ids = Some(vec![2]);
            image.not_exhaustive_category_ids = Some(Vec::new());
        }
        document.set.images[1].not_exhaustive_category_ids = Some(vec![3, 1]);
        for category in &mut document.set.categories {
            category.frequency = Some(FrequencyGroup::Rare);
        }
        for members in &mut document.extras.categories {
            members.push("image_count", json("7"));
            members.push("instance_count", json("9"));
        }
    }
    document
}

/// Pictures of a document's sizes.
fn draw(document: &Document, folder: &Path) {
    for image in &document.set.images {
        let path = folder.join(&image.file_name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::new(image.width, image.height).save_with_format(path, ImageFormat::Png).unwrap();
    }
}

/// Writes and reads back.
fn through(document: &Document, format: DataFormat) -> (Document, Losses) {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("source");
    draw(document, &images);
    let name = if format.is_folder() {
        "out"
    } else if format == DataFormat::Csv {
        "out.csv"
    } else {
        "out.json"
    };
    let out = folder.path().join(name);
    let options = WriteOptions { images: Some((images, Placement::Copy)), ..WriteOptions::default() };
    let losses = document.write(&out, format, &options).unwrap();
    let detected = DataFormat::detect(&out).unwrap();
    assert!(detected == format || format == DataFormat::Lvis && detected == DataFormat::Coco);
    let mut read = Document::open(&out, &ReadOptions::default()).unwrap();
    assert_eq!(read.set, longtail_formats::open_annotations(&out, &ReadOptions::default()).unwrap());
    assert_no_leftovers(folder.path());
    read.set.path = None;
    (read, losses)
}

/// No partial files or folders.
fn assert_no_leftovers(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert!(!path.display().to_string().contains(".partial"), "{}", path.display());
        if path.is_dir() {
            assert_no_leftovers(&path);
        }
    }
}

#[test]
fn coco_and_lvis_carry_everything_untouched() {
    for layout in [Layout::Coco, Layout::Lvis] {
        let format = if layout == Layout::Coco { DataFormat::Coco } else { DataFormat::Lvis };
        let mut document = rich(layout);
        let (read, losses) = through(&document, format);
        assert!(losses.is_empty(), "{losses:?}");
        // The file must have an area.
        for annotation in &mut document.set.annotations {
            annotation.area.get_or_insert(annotation.bbox[2] * annotation.bbox[3]);
        }
        assert_eq!(read, document);
        // And from that file, the same bytes again.
        let folder = tempfile::tempdir().unwrap();
        let paths = ["1.json", "2.json"].map(|name| folder.path().join(name));
        document.write(&paths[0], format, &WriteOptions::default()).unwrap();
        let again = Document::open(&paths[0], &ReadOptions::default()).unwrap();
        again.write(&paths[1], format, &WriteOptions::default()).unwrap();
        assert_eq!(fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    }
}

#[test]
fn tables_carry_all_but_fields_of_file_images_and_categories() {
    for layout in [Layout::Coco, Layout::Lvis] {
        let mut document = rich(layout);
        let (read, losses) = through(&document, DataFormat::Csv);
        assert_eq!(losses.count("file field `info`"), 1);
        assert_eq!(losses.count("image field `license`"), 1);
        assert_eq!(losses.count("category field `synset`"), 1);
        document.extras.header = Default::default();
        document.extras.images = vec![Default::default(); 2];
        document.extras.categories = vec![Default::default(); 3];
        assert_eq!(read, document);
    }
    let (read, losses) = through(&plain(5), DataFormat::Csv);
    assert!(losses.is_empty(), "{losses:?}");
    assert_eq!(read, plain(5));
}

#[test]
fn yolo_and_voc_hold_boxes_and_classes() {
    let (read, losses) = through(&plain(0), DataFormat::Yolo);
    assert!(losses.is_empty(), "{losses:?}");
    assert_close(&read, &plain(0));
    let (read, losses) = through(&plain(1), DataFormat::Voc);
    assert!(losses.is_empty(), "{losses:?}");
    let difficult = RawJson::new("0").unwrap();
    let mut expected = plain(1);
    expected.extras.annotations.iter_mut().for_each(|members| members.push("difficult", difficult.clone()));
    assert_eq!(read, expected);
}

fn assert_close(found: &Document, expected: &Document) {
    assert_eq!(found.set.images, expected.set.images);
    assert_eq!(found.set.categories, expected.set.categories);
    assert_eq!(found.set.annotations.len(), expected.set.annotations.len());
    for (a, b) in found.set.annotations.iter().zip(&expected.set.annotations) {
        assert_eq!((a.id, a.image_id, a.category_id), (b.id, b.image_id, b.category_id));
        for (a, b) in a.bbox.iter().zip(b.bbox) {
            assert!((a - b).abs() < 1e-9, "{a} {b}");
        }
    }
}

#[test]
fn what_yolo_and_voc_cannot_hold_is_counted() {
    let (read, losses) = through(&rich(Layout::Coco), DataFormat::Yolo);
    assert_eq!(read.set.annotations.len(), 1, "neither crowds nor boxes to be ignored become objects");
    for (what, count) in [
        ("crowd boxes (left out)", 1),
        ("boxes to be ignored (left out)", 1),
        ("annotation areas (of masks)", 1),
        ("annotation field `occluded`", 1),
        ("category ids (numbered from 0)", 3),
        ("file field `info`", 1),
    ] {
        assert_eq!(losses.count(what), count, "{what}: {losses:?}");
    }
    let (read, losses) = through(&rich(Layout::Lvis), DataFormat::Voc);
    assert!(read.set.annotations[2].ignore, "difficult");
    assert!(read.extras.annotations[2].is_set("occluded"));
    let lists = "image lists of verified absent and not exhaustively annotated classes";
    assert_eq!((losses.count(lists), losses.count("annotation field `segmentation`")), (2, 2));
}

#[test]
fn polygons_stay_polygons_in_yolo() {
    let mut document = plain(0);
    for (place, points) in
        ["[[1,2,31,2,31,42]]", "[[0,0,64,0,64,48,0,48]]", "[[10,11,22,11,22,24]]"].iter().enumerate()
    {
        document.extras.annotations[place].push("segmentation", RawJson::new(points).unwrap());
    }
    let (read, losses) = through(&document, DataFormat::Yolo);
    assert!(losses.is_empty(), "{losses:?}");
    assert_close(&read, &document);
    let polygon: Vec<Vec<f64>> =
        serde_json::from_str(read.extras.annotations[0].get("segmentation").unwrap().as_str()).unwrap();
    let expected = [1.0, 2.0, 31.0, 2.0, 31.0, 42.0];
    assert!(polygon[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{polygon:?}");
}

#[test]
fn coco_becomes_federated_and_lvis_loses_its_lists() {
    let (read, losses) = through(&rich(Layout::Coco), DataFormat::Lvis);
    assert_eq!(read.set.layout, Layout::Lvis);
    assert_eq!(read.set.images[0].neg_category_ids, Some(vec![2]));
    assert_eq!(read.set.images[0].not_exhaustive_category_ids, Some(vec![3]), "the class of the crowd");
    assert_eq!(read.set.images[1].neg_category_ids, Some(vec![1, 2, 3]));
    assert_eq!(losses.iter().map(|(_, count)| count).sum::<u64>(), 1, "{losses:?}");
    let (read, losses) = through(&rich(Layout::Lvis), DataFormat::Coco);
    assert_eq!((read.set.layout, &read.set.images[0].neg_category_ids), (Layout::Coco, &None));
    assert_eq!(losses.count("category frequency letters"), 3);
}

#[test]
fn parts_are_added_to_folders_and_chosen_from_them() {
    for format in [DataFormat::Yolo, DataFormat::Voc] {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("source");
        let first = if format == DataFormat::Yolo { 0 } else { 1 };
        let mut val = plain(first);
        val.set.images.iter_mut().for_each(|image| image.file_name = format!("v{}", image.file_name));
        val.retain_annotations(|annotation, _| annotation.category_id == first + 2);
        draw(&plain(first), &images);
        draw(&val, &images);
        let out = folder.path().join("out");
        let write = |document: &Document, part: &str| {
            let images = Some((images.clone(), Placement::Link));
            document.write(&out, format, &WriteOptions { part: part.into(), images, ..Default::default() })
        };
        write(&plain(first), "train").unwrap();
        write(&val, "val").unwrap();
        let error = write(&val, "val").unwrap_err().to_string();
        assert!(error.contains("already"), "{error}");
        assert_no_leftovers(folder.path());
        let open = |part: Option<&str>| {
            let part = part.map(str::to_owned);
            longtail_formats::open_annotations(&out, &ReadOptions { part, ..Default::default() })
        };
        let error = open(None).unwrap_err().to_string();
        assert!(error.contains("`train`, `val`") && error.contains("--part"), "{error}");
        assert!(open(Some("test")).unwrap_err().to_string().contains("no part `test`"));
        let found = open(Some("validation")).unwrap();
        assert_eq!((found.annotations.len(), found.annotations[0].category_id), (1, first + 2));
        assert_eq!(found.categories, plain(first).set.categories, "every part has the same classes");
        assert_eq!(open(Some("all")).unwrap().images.len(), 4);
        // A part is also its own folder or list.
        let own = if format == DataFormat::Yolo { "images/val" } else { "ImageSets/Main/val.txt" };
        assert_eq!(
            longtail_formats::open_annotations(&out.join(own), &ReadOptions::default())
                .unwrap()
                .annotations
                .len(),
            1
        );
    }
}

#[test]
fn names_that_lead_out_are_not_written() {
    for name in ["../a.png", "/a.png", "b/../../a.png", "..\\a.png"] {
        let mut document = plain(1);
        document.set.images[0].file_name = name.into();
        for format in [DataFormat::Yolo, DataFormat::Voc, DataFormat::Csv] {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("inner/out.csv");
            fs::create_dir(folder.path().join("inner")).unwrap();
            let error = document.write(&out, format, &WriteOptions::default()).unwrap_err().to_string();
            assert!(error.contains("image 1: file_name"), "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{format} {name}");
        }
    }
}

#[test]
fn a_document_that_cannot_be_written_leaves_nothing() {
    let mut document = plain(1);
    document.set.images[1].file_name = "a.jpg".into();
    for format in [DataFormat::Yolo, DataFormat::Voc] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let error = document.write(&out, format, &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.contains("image 2") && error.contains("the same"), "{error}");
        let images = Some((folder.path().to_owned(), Placement::Copy));
        let error = plain(1).write(&out, format, &WriteOptions { images, ..Default::default() }).unwrap_err();
        assert!(error.to_string().contains("a.png"), "{error}");
        assert_no_leftovers(folder.path());
        assert!(!out.join("data.yaml").exists() && !out.join("ImageSets").exists());
    }
}

/// Documents as any file may have them, in the order in which every format keeps them.
fn documents() -> impl Strategy<Value = Document> {
    let names = prop::collection::btree_set("[a-zA-Z0-9 _.,;:'\"&<>#-]{1,8}", 1..4)
        .prop_map(|names| -> Vec<String> {
            names.into_iter().filter(|n| n.trim() == n && !n.is_empty()).collect()
        })
        .prop_filter("no names", |names| !names.is_empty());
    let files = prop::collection::btree_set("[a-z]{1,3}(/[a-z]{1,3})?", 1..5);
    (names, files).prop_flat_map(|(names, files)| {
        let classes = names.len() as i64;
        let boxes = prop::collection::vec(
            (0..files.len(), 1..=classes, 0..30_u32, 0..30_u32, 1..30_u32, 1..30_u32),
            0..8,
        );
        (Just(names), Just(files), boxes).prop_map(|(names, files, mut boxes)| {
            boxes.sort();
            boxes.dedup();
            let mut document = Document::new(AnnotationSet {
                path: None,
                layout: Layout::Coco,
                images: (1..)
                    .zip(files)
                    .map(|(id, name)| image(id, &format!("{name}.png"), 60, 60))
                    .collect(),
                annotations: Vec::new(),
                categories: (1..).zip(&names).map(|(id, name)| category(id, name)).collect(),
            });
            document.set.images.sort_by(|a, b| a.file_name.cmp(&b.file_name));
            (1..).zip(&mut document.set.images).for_each(|(id, image)| image.id = id);
            document.set.annotations = (1..)
                .zip(boxes)
                .map(|(id, (image, class, x, y, w, h))| {
                    annotation(id, image as i64 + 1, class, [x, y, w, h].map(f64::from))
                })
                .collect();
            document.extras.annotations.resize_with(document.set.annotations.len(), Default::default);
            document
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_pair_of_formats_keeps_images_boxes_and_classes(document in documents()) {
        let formats = [DataFormat::Coco, DataFormat::Csv, DataFormat::Voc, DataFormat::Yolo];
        for from in formats {
            let (first, _) = through(&document, from);
            for to in formats {
                let (second, _) = through(&first, to);
                prop_assert_eq!(second.set.images.len(), document.set.images.len());
                prop_assert_eq!(second.set.categories.len(), document.set.categories.len());
                prop_assert_eq!(second.set.annotations.len(), document.set.annotations.len());
                let name = |set: &AnnotationSet, id| set.categories.iter().find(|c| c.id == id).unwrap().name.clone();
                for (a, b) in second.set.annotations.iter().zip(&document.set.annotations) {
                    prop_assert_eq!(name(&second.set, a.category_id), name(&document.set, b.category_id));
                    prop_assert_eq!(a.image_id, b.image_id);
                    prop_assert!(a.bbox.iter().zip(b.bbox).all(|(a, b)| (a - b).abs() < 1e-9), "{from} {to}");
                }
                for (a, b) in second.set.images.iter().zip(&document.set.images) {
                    prop_assert_eq!(&a.file_name, &b.file_name);
                    prop_assert_eq!((a.width, a.height), (b.width, b.height));
                }
            }
        }
    }

    #[test]
    fn numbers_of_json_and_tables_come_back_bit_for_bit(
        bbox in prop::array::uniform4(-1e6..1e6_f64), area in 0.0..1e9_f64, id in 1..i64::MAX,
    ) {
        let mut document = plain(3);
        document.set.annotations[1].bbox = bbox;
        document.set.annotations[1].area = Some(area);
        document.set.annotations[1].id = id;
        document.set.images[1].id = i64::MAX;
        prop_assume!(![1, 3].contains(&id));
        for format in [DataFormat::Coco, DataFormat::Csv] {
            let (read, _) = through(&document, format);
            prop_assert_eq!(read.set.annotations[1].bbox.map(f64::to_bits), bbox.map(f64::to_bits));
            prop_assert_eq!(read.set.annotations[1].area.map(f64::to_bits), Some(area.to_bits()));
            prop_assert_eq!((read.set.annotations[1].id, read.set.images[1].id), (id, i64::MAX));
        }
    }
}
