//! Every format read and written: what comes back, what is lost and counted, and what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::{ImageFormat, RgbImage};
use longtail_data::{
    Annotation, AnnotationSet, Category, DataFormat, Document, FrequencyGroup, ImageRecord, Layout, Losses,
    Placement, RawJson, ReadOptions, WriteOptions,
};
use proptest::prelude::*;
use tempfile::TempDir;

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
    assert_eq!(read.set, AnnotationSet::open(&out, &ReadOptions::default()).unwrap());
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
            AnnotationSet::open(&out, &ReadOptions { part, ..Default::default() })
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
            AnnotationSet::open(&out.join(own), &ReadOptions::default()).unwrap().annotations.len(),
            1
        );
    }
}

/// A YOLO data set of one image.
fn yolo(labels: Option<&str>) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images/train");
    fs::create_dir_all(&images).unwrap();
    fs::create_dir_all(folder.path().join("labels/train")).unwrap();
    RgbImage::new(100, 50).save(images.join("a.png")).unwrap();
    fs::write(folder.path().join("data.yaml"), "\u{feff}train: images\\train\r\nnames: [cow, dog]\r\n")
        .unwrap();
    if let Some(text) = labels {
        fs::write(folder.path().join("labels/train/a.txt"), text).unwrap();
    }
    folder
}

fn open(path: &Path) -> Result<AnnotationSet, String> {
    AnnotationSet::open(path, &ReadOptions::default()).map_err(|error| error.to_string())
}

fn refused(path: &Path, parts: &[&str]) {
    let error = open(path).unwrap_err();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in `{error}`");
    }
}

#[test]
fn yolo_files_of_windows_and_without_labels_are_read() {
    let set = open(yolo(Some("\u{feff}1 0.5 0.5 0.5 0.5\r\n\r\n")).path()).unwrap();
    assert_eq!(set.annotations[0].bbox, [25.0, 12.5, 50.0, 25.0]);
    assert_eq!(set.annotations[0].category_id, 1);
    assert_eq!(set.images[0].file_name, "a.png");
    // Names are relative to the folder of images that is named.
    let folder = yolo(None);
    let options = ReadOptions { images: Some(folder.path().to_owned()), ..Default::default() };
    let set = AnnotationSet::open(folder.path(), &options).unwrap();
    assert_eq!(set.images[0].file_name, "images/train/a.png");
    let set = open(yolo(None).path()).unwrap();
    assert_eq!((set.images.len(), set.annotations.len(), set.categories.len()), (1, 0, 2));
    // Without a folder of labels, something else is meant.
    let folder = yolo(None);
    fs::remove_dir_all(folder.path().join("labels")).unwrap();
    refused(folder.path(), &["no label file", "a.txt"]);
}

#[test]
fn roboflow_paths_lists_and_labels_beside_images_are_found() {
    let folder = yolo(Some("0 0.5 0.5 0.1 0.1"));
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("data.yaml", "train: ../images/train\nval: val.txt\nnames: {0: cow}\n");
    write("val.txt", "\u{feff}./images/train/a.png\r\nimages\\train\\a.png\r\n");
    for part in ["train", "val"] {
        let options = ReadOptions { part: Some(part.into()), ..Default::default() };
        let set = AnnotationSet::open(folder.path(), &options).unwrap();
        assert_eq!((set.images.len(), set.annotations.len()), (1, 1), "{part}");
    }
    write("val.txt", "../../etc/passwd\n");
    refused(&folder.path().join("val.txt"), &["val.txt, line 1", ".."]);
    let beside = tempfile::tempdir().unwrap();
    RgbImage::new(10, 10).save(beside.path().join("a.png")).unwrap();
    fs::write(beside.path().join("a.txt"), "0 0.5 0.5 1 1").unwrap();
    fs::write(beside.path().join("classes.txt"), "cow\r\ndog\r\n").unwrap();
    let set = open(beside.path()).unwrap();
    assert_eq!((set.annotations.len(), set.categories[1].name.as_str()), (1, "dog"));
}

#[test]
fn wrong_yolo_labels_are_named_by_file_and_line() {
    for (text, parts) in [
        ("0 0.5 0.5 0.1 0.1\n0 50 20 10 10\n", &["a.txt, line 2", "outside of 0 to 1"][..]),
        ("0 0,5 0,5 0,1 0,1", &["a.txt, line 1", "decimal comma"]),
        ("7 0.5 0.5 0.1 0.1", &["a.txt", "class 7 is not among the 2 names"]),
        ("-1 0.5 0.5 0.1 0.1", &["a.txt", "class -1"]),
    ] {
        refused(yolo(Some(text)).path(), parts);
    }
    let folder = yolo(None);
    fs::write(folder.path().join("labels/train/a.txt"), b"0 0.5 0.5 0.1 0.1 \xE9").unwrap();
    refused(folder.path(), &["a.txt", "not UTF-8"]);
    let folder = yolo(None);
    fs::write(folder.path().join("images/train/b.png"), "no image").unwrap();
    refused(folder.path(), &["b.png"]);
}

#[cfg(unix)]
#[test]
fn symbolic_links_that_loop_and_names_that_are_not_utf8_are_refused() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, os::unix::fs::symlink};
    let folder = yolo(None);
    symlink(folder.path().join("images"), folder.path().join("images/train/again")).unwrap();
    refused(folder.path(), &["again", "leads back to"]);
    let folder = yolo(None);
    symlink("b.png", folder.path().join("images/train/b.png")).unwrap();
    refused(folder.path(), &["b.png"]);
    let folder = yolo(None);
    let images = folder.path().join("images/train");
    fs::copy(images.join("a.png"), images.join(OsStr::from_bytes(b"\xE9.png"))).unwrap();
    refused(folder.path(), &["not UTF-8", "rename"]);
    let voc = voc(&VOC.replace("FILE", "a.png"));
    symlink(voc.path(), voc.path().join("Annotations/again")).unwrap();
    refused(voc.path(), &["again", "leads back to"]);
}

const VOC: &str = "\u{feff}<annotation>\r\n<filename>FILE</filename><size><width>0</width><height>0</height></size>\r\n\
    <object><name>cow</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>\r\n\
    </annotation>";

/// A VOC folder of one image of 100 × 50 pixels.
fn voc(xml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["Annotations", "JPEGImages"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    RgbImage::new(100, 50).save(folder.path().join("JPEGImages/a.png")).unwrap();
    fs::write(folder.path().join("Annotations/a.xml"), xml).unwrap();
    folder
}

#[test]
fn voc_files_are_read_and_missing_sizes_measured() {
    let set = open(voc(&VOC.replace("FILE", "a.png")).path()).unwrap();
    assert_eq!((set.images[0].width, set.images[0].height), (100, 50));
    assert_eq!(set.annotations[0].bbox, [0.0, 0.0, 10.0, 20.0]);
    let folder = voc(&VOC.replace("FILE", "a.png"));
    assert_eq!(open(&folder.path().join("Annotations/a.xml")).unwrap().annotations.len(), 1);
    fs::create_dir_all(folder.path().join("ImageSets/Main")).unwrap();
    let list = folder.path().join("ImageSets/Main/train.txt");
    fs::write(&list, "a  1\r\n").unwrap();
    assert_eq!(open(&list).unwrap().images.len(), 1);
    fs::write(&list, "a\nb\n").unwrap();
    refused(&list, &["train.txt, line 2", "b.xml does not exist"]);
    fs::write(&list, "../../a\n").unwrap();
    refused(&list, &["train.txt, line 1", ".."]);
}

#[test]
fn voc_files_from_strangers_are_refused() {
    for (xml, parts) in [
        (VOC.replace("FILE", "../../etc/passwd"), &["a.xml", "leaves the image folder"][..]),
        (VOC.replace("FILE", "C:\\a.png"), &["a.xml", "absolute"]),
        (VOC.replace("FILE", "b.png"), &["<size>", "no image"]),
        (
            format!("<!DOCTYPE a [<!ENTITY x \"y\">]>{}", VOC.trim_start_matches('\u{feff}')),
            &["a.xml, line 1", "entities"],
        ),
        (VOC.replace("FILE", "&x;"), &["a.xml, line 2", "entities"]),
        (VOC.replace("<xmin>1", "<xmin>1,5"), &["a.xml, line 3", "decimal comma"]),
    ] {
        refused(voc(&xml).path(), parts);
    }
}

fn table(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("boxes.csv");
    fs::write(&path, text).unwrap();
    RgbImage::new(100, 50).save(folder.path().join("a.png")).unwrap();
    (folder, path)
}

#[test]
fn tables_of_other_tools_are_read() {
    // TensorFlow's object detection, by a program of Windows.
    let (_folder, path) = table(
        "\u{feff}filename;width;height;class;xmin;ymin;xmax;ymax\r\na.png;100;50;dog;1;2;11;12\r\na.png;100;50;cow;0;0;5;5\r\n",
    );
    let set = open(&path).unwrap();
    assert_eq!((set.images.len(), set.annotations[0].bbox), (1, [1.0, 2.0, 10.0, 10.0]));
    assert_eq!((set.categories[0].name.as_str(), set.annotations[0].category_id), ("cow", 2));
    // keras-retinanet, without headings; sizes are measured.
    let (_folder, path) = table("a.png,1,2,11,12,dog\na.png,,,,,\n");
    let set = open(&path).unwrap();
    assert_eq!((set.images[0].width, set.annotations.len()), (100, 1));
}

#[test]
fn wrong_tables_are_named_by_line() {
    let head = "file_name,width,height,class,xmin,ymin,xmax,ymax";
    for (text, parts) in [
        (String::new(), &["empty"][..]),
        ("a,b\n1,2".into(), &["line 1", "headings `file_name`"]),
        ("file_name,class,x,y,width,height\n".into(), &["`width` and `height` are those of the image"]),
        (format!("{head}\na.png,100,50,cow,1,2,3\n"), &["line 2", "7 cells"]),
        (format!("{head}\na.png,100,50,cow,1,5,2,3,4\n"), &["line 2", "decimal comma"]),
        (
            format!("{head}\na.png,100,50,cow,\"1,5\",2,3,4\n").replace(',', ";").replace("1;5", "1,5"),
            &["line 2", "decimal comma"],
        ),
        (format!("{head}\na.png,100,50,cow,1,2,3,\n"), &["line 2", "`ymax` is missing"]),
        (format!("{head}\na.png,100,50,cow,1,2,3,nan\n"), &["line 2", "finite"]),
        (format!("{head}\n../a.png,100,50,cow,1,2,3,4\n"), &["line 2", "leaves the image folder"]),
        (format!("{head}\n/etc/a.png,100,50,cow,1,2,3,4\n"), &["line 2", "absolute"]),
        (
            format!("{head}\na.png,100,50,cow,1,2,3,4\na.png,90,50,cow,1,2,3,4\n"),
            &["line 3", "`width` 90 here and 100"],
        ),
        (format!("{head}\na.png,100,-5,cow,1,2,3,4\n"), &["line 2", "-5"]),
        (format!("{head}\nb.png,,,cow,1,2,3,4\n"), &["b.png", "--images"]),
        (format!("{head}\na.png,100,50,,1,2,3,4\n"), &["line 2", "no `class`"]),
    ] {
        let (_folder, path) = table(&text);
        refused(&path, parts);
    }
    let (_folder, path) = table("");
    fs::write(&path, b"\xFF\xFEf\0").unwrap();
    refused(&path, &["UTF-16"]);
}

#[test]
fn names_that_lead_out_are_neither_written_nor_loaded() {
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
        let folder = tempfile::tempdir().unwrap();
        RgbImage::new(64, 48).save(folder.path().join("a.png")).unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let source = longtail_data::ImageFolder::new(&inner);
        let error =
            longtail_data::ImageSource::load(&source, &document.set.images[0]).unwrap_err().to_string();
        assert!(error.contains("file_name"), "{error}");
        assert!(source.path(name).starts_with(&inner));
        let data = longtail_data::Dataset::new(document.set.clone(), std::sync::Arc::new(source));
        assert!(data.err().unwrap().to_string().contains("image 1: file_name"));
        let findings =
            longtail_data::check(&document.set, &longtail_data::CheckOptions::default(), &|| {}).findings;
        assert!(findings.iter().any(|finding| finding.message.contains("lead out")));
    }
}

#[test]
fn formats_that_are_not_known_say_so() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["not recognised", "--from"]);
    refused(&folder.path().join("none"), &["cannot read"]);
    let file = folder.path().join("a.bin");
    fs::write(&file, "\u{1}").unwrap();
    refused(&file, &["a.bin", "not recognised"]);
    fs::write(folder.path().join("instances.json"), "{}").unwrap();
    refused(folder.path(), &["instances.json", "name a file"]);
    // JSON with a byte order mark, under any name.
    fs::write(&file, "\u{feff}{\"images\": [], \"categories\": []}").unwrap();
    assert!(open(&file).unwrap().images.is_empty());
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
