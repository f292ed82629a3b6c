//! Files as people have them, in the shape of public bug reports (`tests/fixtures/cases`, one folder each): each with the
//! values or the message that its owner expects.

use std::path::{Path, PathBuf};

use longtail_annotations::AnnotationSet;
use longtail_formats::{
    DataFormat, Document, ReadOptions, RemarkKind, Remarks, WriteOptions, inspect_annotations,
    open_annotations,
};

fn case(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(path)
}

/// Reads a file or folder of a case with everything that was remarked; `images` and `part` where they are given.
fn inspect(path: &str, images: Option<&str>, part: Option<&str>) -> Result<(AnnotationSet, Remarks), String> {
    let options =
        ReadOptions { images: images.map(case), part: part.map(str::to_owned), ..Default::default() };
    inspect_annotations(&case(path), &options).map_err(|error| error.to_string())
}

fn read(path: &str) -> AnnotationSet {
    open_annotations(&case(path), &ReadOptions::default()).unwrap()
}

fn refused(path: &str) -> String {
    open_annotations(&case(path), &ReadOptions::default()).unwrap_err().to_string()
}

fn count(remarks: &Remarks, kind: RemarkKind) -> usize {
    remarks.of(kind).map_or(0, |remark| remark.count)
}

fn examples(remarks: &Remarks, kind: RemarkKind) -> String {
    remarks.of(kind).map_or_else(String::new, |remark| remark.examples.join("\n"))
}

fn names(set: &AnnotationSet) -> Vec<&str> {
    set.images.iter().map(|image| image.file_name.as_str()).collect()
}

/// File name and corners of every box, in order.
fn boxes(set: &AnnotationSet) -> Vec<(&str, [f64; 4])> {
    let name = |id: i64| set.images.iter().find(|image| image.id == id).unwrap().file_name.as_str();
    set.annotations.iter().map(|annotation| (name(annotation.image_id), annotation.bbox)).collect()
}

#[test]
fn c001_ids_of_images_that_are_text_are_read() {
    let set = read("001-ids-as-text/gt.json");
    assert!(set.images.iter().map(|image| image.id).eq(0..set.images.len() as i64), "{:?}", set.images);
    assert!(set.annotations.iter().all(|a| set.images.iter().any(|image| image.id == a.image_id)));
}

#[test]
fn c004_backslashes_are_separators() {
    let (set, remarks) = inspect("004-windows-paths/result.json", Some("004-windows-paths"), None).unwrap();
    assert_eq!(names(&set), ["images/5a01-a.png", "images/5a02-b.png"]);
    assert!(remarks.is_empty(), "{remarks:?}");
    let options = ReadOptions { images: Some(case("004-windows-paths")), ..Default::default() };
    let document = Document::open(&case("004-windows-paths/result.json"), &options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("yolo");
    document.write(&out, DataFormat::Yolo, &WriteOptions::default()).unwrap();
    assert!(out.join("labels/train/5a01-a.txt").is_file());
}

#[test]
fn c006_sizes_are_measured_where_the_images_are_and_not_asked_for_elsewhere() {
    for file in ["missing", "null", "minus"] {
        let path = format!("006-sizes-missing/{file}.json");
        let (set, remarks) = inspect(&path, Some("006-sizes-missing"), None).unwrap();
        assert_eq!(set.images.iter().map(|i| [i.width, i.height]).collect::<Vec<_>>(), [[120, 80]; 2]);
        let (measured, unknown) =
            (count(&remarks, RemarkKind::SizeMeasured), count(&remarks, RemarkKind::SizeUnknown));
        assert!(measured > 0 && unknown == 0, "{remarks:?}");
        let set = read(&path);
        assert_eq!(set.annotations[1].bbox, [20.0, 5.0, 50.0, 60.0]);
        let (_, remarks) = inspect(&path, None, None).unwrap();
        assert!(examples(&remarks, RemarkKind::SizeUnknown).contains("image 1"), "{remarks:?}");
    }
}

#[test]
fn c007_a_box_without_numbers_is_named_and_the_others_read() {
    for file in ["empty", "null"] {
        let path = format!("007-empty-bbox/{file}.json");
        let (set, remarks) = inspect(&path, None, None).unwrap();
        assert!(!set.annotations.is_empty());
        let said = examples(&remarks, RemarkKind::Unreadable);
        assert!(said.contains("annotation 3 (entry 2 of `annotations`") && said.contains("`bbox`"), "{said}");
        let said = refused(&path);
        assert!(said.contains("annotation 3") && said.contains("longtail data check"), "{said}");
        assert!(!said.contains("column") && !said.contains("i64"), "{said}");
    }
}

#[test]
fn c013_a_nan_that_nothing_reads_is_passed_over_and_one_in_a_box_kept_for_the_check() {
    let set = read("013-nan-literals/unused-field.json");
    assert_eq!(set.annotations.len(), 2);
    let set = read("013-nan-literals/area.json");
    assert_eq!(set.annotations.iter().map(|a| a.area).collect::<Vec<_>>(), [None, Some(3000.0)]);
    let set = read("013-nan-literals/bbox.json");
    assert!(set.annotations.iter().any(|a| a.bbox.iter().any(|value| value.is_nan())));
}

#[test]
fn c014_byte_order_marks_are_dropped_and_other_encodings_named() {
    assert!(!read("014-byte-order-marks/utf8-bom.json").annotations.is_empty());
    for (file, said) in [("utf16.json", "it is UTF-16"), ("cp932.json", "is not UTF-8")] {
        let error = refused(&format!("014-byte-order-marks/{file}"));
        assert!(error.contains(said) && error.contains("save it as UTF-8"), "{error}");
        assert!(!error.contains("NaN"), "{error}");
    }
}

#[test]
fn c015_flags_and_areas_need_not_be_there() {
    let set = read("015-minimal-fields/gt.json");
    assert!(set.annotations.iter().all(|a| !a.iscrowd && a.area.is_none()));
}

#[test]
fn c016_an_entry_without_id_is_named_and_the_others_read() {
    let (set, remarks) = inspect("016-annotation-without-id/one-of-300.json", None, None).unwrap();
    assert_eq!((set.annotations.len(), count(&remarks, RemarkKind::Unreadable)), (299, 1));
    let said = examples(&remarks, RemarkKind::Unreadable);
    assert!(
        said.contains("of `annotations`, counted from 0, of image") && said.contains("`id` is missing"),
        "{said}"
    );
    let (set, remarks) = inspect("016-annotation-without-id/caption-mixed.json", None, None).unwrap();
    assert_eq!(set.annotations.len(), 2);
    let said = examples(&remarks, RemarkKind::Unreadable);
    assert!(said.contains("annotation 9 (entry 2"), "{said}");
}

#[test]
fn c023_flags_that_are_text_are_read_by_meaning() {
    let set = read("023-flags-as-text/gt.json");
    assert!(set.annotations.iter().any(|a| !a.iscrowd));
    read("023-flags-as-text/null.json");
    let text = std::fs::read_to_string(case("023-flags-as-text/gt.json")).unwrap();
    let crowds = text.matches("\"iscrowd\": \"1\"").count();
    assert_eq!(set.annotations.iter().filter(|a| a.iscrowd).count(), crowds);
}

#[test]
fn c025_files_of_other_tools_are_named_with_the_export_to_choose() {
    for (file, tool, export) in [
        ("labelme/a.json", "labelme", "labelme2coco"),
        ("label-studio-tasks.json", "Label Studio", "`COCO`"),
        ("create-ml.json", "CreateML", "`COCO`"),
        ("via.json", "VIA", "`COCO format`"),
        ("cvat.xml", "CVAT", "`Pascal VOC`"),
        ("metadata.jsonl", "Hugging Face", "COCO JSON"),
    ] {
        let error = refused(&format!("025-exports-of-other-tools/{file}"));
        assert!(error.contains(tool) && error.contains(export), "{error}");
        assert!(!error.contains("column"), "{error}");
    }
}

#[test]
fn c029_empty_headers_and_lists_are_read() {
    for file in ["gt", "annotations-null", "no-annotations"] {
        assert!(!read(&format!("029-info-null/{file}.json")).images.is_empty(), "{file}");
    }
}

#[test]
fn c031_every_wrong_label_is_listed_with_file_and_line() {
    let (set, remarks) = inspect("031-labels-out-of-range/data.yaml", None, Some("train")).unwrap();
    assert_eq!(set.images.len(), 6);
    let said = examples(&remarks, RemarkKind::Unreadable);
    let files =
        ["a", "b", "c", "d", "e", "f"].iter().filter(|f| said.contains(&format!("{f}.txt, line"))).count();
    assert_eq!(files, 4, "{said}");
    let over = said.lines().find(|line| line.contains("1.0243")).unwrap();
    assert!(over.contains("over the edge") && !over.contains("divide pixels"), "{over}");
}

#[test]
fn c032_bmp_and_tiff_are_images() {
    let (set, remarks) = inspect("032-bmp-among-jpg/data.yaml", None, Some("train")).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.bmp", "c.tif", "d.JPG", "e.jpeg"]);
    assert_eq!(set.annotations.len(), 5);
    assert!(remarks.is_empty(), "{remarks:?}");
}

/// The sibling of case 032: what is not read is counted.
#[test]
fn labels_and_pictures_that_are_not_used_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(case(&format!("032-bmp-among-jpg/{from}")), to).unwrap();
    };
    copy("data.yaml", "data.yaml");
    copy("images/train/a.jpg", "images/train/a.jpg");
    copy("images/train/a.jpg", "images/train/b.heic");
    for name in ["a", "b", "c"] {
        copy(&format!("labels/train/{name}.txt"), &format!("labels/train/{name}.txt"));
    }
    let options = ReadOptions { part: Some("train".into()), ..Default::default() };
    let (set, remarks) = inspect_annotations(folder.path(), &options).unwrap();
    assert_eq!(names(&set), ["a.jpg"]);
    assert_eq!(count(&remarks, RemarkKind::LabelWithoutImage), 2);
    assert!(examples(&remarks, RemarkKind::PictureNotRead).contains("b.heic; convert it to JPEG or PNG"));
}

#[test]
fn c033_files_of_the_system_are_skipped_and_counted() {
    let (set, remarks) = inspect("033-apple-double-files/data.yaml", None, Some("train")).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.jpg"]);
    assert_eq!(count(&remarks, RemarkKind::SystemFile), 3, "{remarks:?}");
    assert_eq!(count(&remarks, RemarkKind::Unreadable), 0);
}

#[test]
fn c034_an_archive_of_darknet_is_read_from_each_of_its_files() {
    for path in ["034-darknet-archive", "034-darknet-archive/obj.data", "034-darknet-archive/train.txt"] {
        let set = read(path);
        assert_eq!((set.images.len(), set.categories.len()), (2, 2), "{path}");
        assert!(!set.annotations.is_empty(), "{path}");
        assert_eq!(set.categories[0].name, "gull");
    }
}

#[test]
fn c035_labels_beside_images_are_found_inside_of_a_folder_named_images() {
    let (set, _) = inspect("035-labels-inside-images/data.yaml", None, Some("train")).unwrap();
    assert_eq!(names(&set), ["one/a.jpg", "two/images/b.jpg"]);
    assert_eq!(set.annotations.len(), 2);
}

#[test]
fn c037_and_c038_scores_and_commas_are_named() {
    for (path, said) in [
        ("037-labels-with-scores/data.yaml", "6 fields"),
        ("038-labels-with-commas/data.yaml", "separated by spaces"),
    ] {
        let (_, remarks) = inspect(path, None, Some("train")).unwrap();
        let found = examples(&remarks, RemarkKind::Unreadable);
        assert!(found.contains("a.txt, line 1") && found.contains(said), "{found}");
    }
}

#[test]
fn c039_polygons_become_enclosing_boxes() {
    let (set, _) = inspect("039-boxes-polygons-obb/data.yaml", None, Some("train")).unwrap();
    let expected = [[48.0, 24.0, 24.0, 32.0], [12.0, 8.0, 36.0, 40.0], [24.0, 16.0, 48.0, 24.0]];
    for (annotation, expected) in set.annotations.iter().zip(expected) {
        assert!(annotation.bbox.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{annotation:?}");
    }
}

#[test]
fn c041_to_c044_folders_of_yolo_are_read_or_named() {
    let set = read("041-label-studio-yolo");
    assert_eq!((set.images.len(), set.annotations.len()), (2, 3));
    let (set, _) = inspect("042-several-train-folders/data.yaml", None, Some("train")).unwrap();
    assert_eq!(names(&set), ["images/day/0001.jpg", "images/night/0001.jpg"]);
    for (file, said) in [("cp1252", "not UTF-8"), ("gbk", "not UTF-8"), ("utf16", "UTF-16")] {
        let error = refused(&format!("043-yaml-encodings/{file}.yaml"));
        assert!(error.contains(said) && error.contains("save it as UTF-8"), "{error}");
    }
    let error = inspect("044-yaml-absolute-paths/data.yaml", None, Some("train")).unwrap_err();
    assert!(error.contains("/content/Harbour-3/train/images"), "{error}");
    assert_eq!(read("044-yaml-absolute-paths/train/images").annotations.len(), 1);
}

#[test]
fn c046_and_c047_empty_labels_are_background_and_empty_boxes_kept_for_the_check() {
    let (set, remarks) = inspect("046-empty-label-files/data.yaml", None, Some("train")).unwrap();
    assert_eq!((set.images.len(), set.annotations.len()), (4, 1));
    assert!(remarks.is_empty());
    let (set, _) = inspect("047-zero-size-labels/data.yaml", None, Some("train")).unwrap();
    assert!(set.annotations.iter().any(|a| a.bbox[2] == 0.0));
}

#[test]
fn c050_parts_of_xml_are_read_and_the_folder_above_names_them() {
    assert_eq!(read("050-xml-beside-images/train").images.len(), 2);
    let error = refused("050-xml-beside-images");
    assert!(error.contains("/train") && error.contains("/valid") && error.contains("name one"), "{error}");
}

#[test]
fn c051_the_image_that_is_there_is_taken() {
    let set = read("051-filename-without-ending");
    assert_eq!(names(&set), ["n02_5.JPEG", "n02_6.png", "n02_7.jpg"]);
}

#[test]
fn c053_the_xml_s_own_name_decides_and_the_disagreement_is_said() {
    let images = Some("053-filename-of-another/JPEGImages");
    let (set, remarks) = inspect("053-filename-of-another", images, None).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.jpg", "c.jpg"]);
    let of: Vec<&str> = boxes(&set).into_iter().map(|(name, _)| name).collect();
    assert_eq!(of, ["a.jpg", "b.jpg", "c.jpg"]);
    assert_eq!(count(&remarks, RemarkKind::FilenameOfAnother), 2);
    let said = examples(&remarks, RemarkKind::FilenameOfAnother);
    assert!(said.contains("b.xml says \"a.jpg\" and belongs to \"b.jpg\""), "{said}");
    // Where no picture can be seen, three files still do not share one.
    let folder = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        std::fs::copy(
            case(&format!("053-filename-of-another/Annotations/{name}.xml")),
            folder.path().join(format!("{name}.xml")),
        )
        .unwrap();
    }
    let set = open_annotations(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.jpg", "c.jpg"]);
}

#[test]
fn c055_a_rotated_box_is_named_with_file_and_class() {
    let (set, remarks) = inspect("055-rotated-boxes", None, None).unwrap();
    assert_eq!(set.annotations.len(), 1);
    let said = examples(&remarks, RemarkKind::Unreadable);
    assert!(
        said.contains("a.xml, line 1") && said.contains("\"gull\"") && said.contains("<robndbox>"),
        "{said}"
    );
}

/// The sibling of case 055: a second box of one object.
#[test]
fn a_second_box_of_an_object_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let bndbox = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>";
    let text = format!(
        "<annotation><size><width>20</width><height>20</height></size><object><name>gull</name>{bndbox}{bndbox}\
         </object></annotation>"
    );
    std::fs::write(folder.path().join("a.xml"), text).unwrap();
    let (set, remarks) = inspect_annotations(folder.path(), &ReadOptions::default()).unwrap();
    assert_eq!((set.annotations.len(), count(&remarks, RemarkKind::FurtherBox)), (1, 1));
}

#[test]
fn c056_flags_in_all_forms_are_read() {
    let set = read("056-difficult-in-all-forms");
    let ignored: Vec<bool> = set.annotations.iter().map(|a| a.ignore).collect();
    assert_eq!(ignored, [false, false, false, true, false]);
}

#[test]
fn c058_encodings_that_are_declared_are_read() {
    assert!(!read("058-declared-encodings/a").categories[0].name.is_ascii());
    assert_eq!(read("058-declared-encodings/b").annotations.len(), 1);
    let error = refused("058-declared-encodings/c");
    assert!(error.contains("gb2312") && error.contains("save it as UTF-8"), "{error}");
}

#[test]
fn c062_a_lone_file_of_this_folder_is_found() {
    let folder = case("062-xml-in-this-folder");
    let expected = open_annotations(&folder.join("a.xml"), &ReadOptions::default()).unwrap();
    // A path without a folder is relative to the current one, which a test must not change for others.
    let program = std::env::current_exe().unwrap();
    if std::env::var_os("CASE_062").is_some() {
        let found = open_annotations(Path::new("a.xml"), &ReadOptions::default()).unwrap();
        assert_eq!(found.annotations, expected.annotations);
        return;
    }
    let status = std::process::Command::new(program)
        .args(["--exact", "cases::c062_a_lone_file_of_this_folder_is_found"])
        .env("CASE_062", "1")
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn c070_and_c072_tables_of_open_images_are_read_or_named() {
    use longtail_formats::open_images::{read_boxes, read_classes};
    let boxes =
        read_boxes(&case("070-challenge-tables/challenge-2019-validation-detection-bbox.csv")).unwrap();
    assert_eq!(boxes.len(), 2);
    let classes =
        read_classes(&case("070-challenge-tables/challenge-2019-classes-description-500.csv")).unwrap();
    assert_eq!(classes[1].name, "Buoy, red");
    assert!(refused("072-open-images-slips/a").contains("class /m/01z of a box is not among the classes"));
    assert!(refused("072-open-images-slips/b").contains("0c01.jpg"));
    assert_eq!(read("072-open-images-slips/c").annotations.len(), 2);
}

#[test]
fn c073_eight_columns_without_headings_are_read() {
    let set = read("073-eight-columns-no-heading/annotations_train.csv");
    assert_eq!((set.images.len(), set.annotations.len()), (2, 3));
    assert_eq!((set.images[0].width, set.images[0].height), (120, 80));
    assert_eq!(set.annotations[0].bbox, [10.0, 10.0, 40.0, 30.0]);
    assert_eq!(set.categories[0].name, "object");
}

#[test]
fn c074_absolute_names_are_looked_up_below_the_images() {
    let path = "074-retinanet-table/annotations.csv";
    let (set, _) = inspect(path, Some("074-retinanet-table/images"), None).unwrap();
    assert_eq!(names(&set), ["a.jpg", "b.jpg"]);
    assert!(set.images.iter().all(|image| image.width == 120 && image.height == 80));
    assert_eq!(set.annotations.len(), 2);
    // Statistics of boxes need no image.
    assert_eq!(read(path).annotations[0].bbox, [10.0, 10.0, 40.0, 30.0]);
}

#[test]
fn c075_a_box_in_one_cell_is_refused_by_its_headings() {
    let error = refused("075-box-in-one-cell/train.csv");
    assert!(error.contains("line 1") && error.contains("image_id, width, height, bbox, source"), "{error}");
}

#[test]
fn c076_a_table_of_detections_is_not_ground_truth() {
    let folder = "076-predictions-beside-tables";
    assert_eq!(read(folder).annotations.len(), 2);
    let error = refused(&format!("{folder}/preds.csv"));
    assert!(error.contains("a table of detections (it has a column `Score`)"), "{error}");
    let error = longtail_formats::open_images::read_boxes(&case(&format!("{folder}/preds.csv"))).unwrap_err();
    assert!(error.to_string().contains("table of detections"), "{error}");
}
