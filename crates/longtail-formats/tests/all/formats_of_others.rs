//! Data sets as other tools and people leave them: what is read, and what is refused with file and line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use image::RgbImage;
use longtail_annotations::AnnotationSet;
use longtail_formats::{DataFormat, Document, ReadOptions, WriteOptions};
use tempfile::TempDir;

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
    longtail_formats::open_annotations(path, &ReadOptions::default()).map_err(|error| error.to_string())
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
    let set = longtail_formats::open_annotations(folder.path(), &options).unwrap();
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
        let set = longtail_formats::open_annotations(folder.path(), &options).unwrap();
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
        (
            format!("<!DOCTYPE a [<!ENTITY x \"y\">]>{}", VOC.trim_start_matches('\u{feff}')),
            &["a.xml, line 1", "entities"][..],
        ),
        (VOC.replace("FILE", "&x;"), &["a.xml, line 2", "entities"]),
        (VOC.replace("<xmin>1", "<xmin>1,5"), &["a.xml, line 3", "decimal comma"]),
    ] {
        refused(voc(&xml).path(), parts);
    }
    // The file's own name decides where there is such a picture, whatever a stranger wrote.
    for name in ["../../etc/passwd", "C:\\a.png", "b.png"] {
        assert_eq!(open(voc(&VOC.replace("FILE", name)).path()).unwrap().images[0].file_name, "a.png");
    }
    let folder = voc(&VOC.replace("FILE", "../../etc/passwd"));
    fs::remove_file(folder.path().join("JPEGImages/a.png")).unwrap();
    refused(folder.path(), &["a.xml", "leaves the image folder"]);
}

/// Found by fuzzing: what lists and XML files could not be named by.
#[test]
fn names_that_a_voc_list_would_read_otherwise_are_not_written() {
    for (name, part) in
        [("sub/...jpg", "without its ending leaves the image folder"), ("a&#13;b.jpg", "line break")]
    {
        let folder = voc(&format!(
            "<annotation><filename>{name}</filename><size><width>9</width><height>9</height></size></annotation>"
        ));
        fs::remove_file(folder.path().join("JPEGImages/a.png")).unwrap();
        let document = Document::open(folder.path(), &ReadOptions::default()).unwrap();
        let out = folder.path().join("out");
        let error = document.write(&out, DataFormat::Voc, &WriteOptions::default()).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
        assert!(!out.exists());
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
        (
            format!("{head}\na.png,100,50,cow,1,2,3,4\na.png,90,50,cow,1,2,3,4\n"),
            &["line 3", "`width` 90 here and 100"],
        ),
        (format!("{head}\na.png,100,-5,cow,1,2,3,4\n"), &["line 2", "-5"]),
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
