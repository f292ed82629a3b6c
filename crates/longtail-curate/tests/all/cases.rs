//! Checks of files as people have them (`longtail-formats/tests/fixtures/cases`): each with the findings that its owner
//! expects.

use std::path::{Path, PathBuf};

use longtail_curate::{CheckOptions, Finding, Kind, Severity, check, fix};
use longtail_data::ImageFolder;
use longtail_formats::{BoxLayout, Document, ReadOptions, inspect_annotations};

fn case(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../longtail-formats/tests/fixtures/cases").join(path)
}

fn findings(path: &str, images: Option<&str>, part: Option<&str>) -> Vec<Finding> {
    let options =
        ReadOptions { images: images.map(case), part: part.map(str::to_owned), ..Default::default() };
    let (set, remarks) = inspect_annotations(&case(path), &options).unwrap();
    let folder = images.map(|images| ImageFolder::new(&case(images)));
    let options = CheckOptions { remarks: Some(&remarks), images: folder.as_ref(), ..Default::default() };
    check(&set, &options, &|| ()).findings
}

fn of(findings: &[Finding], kind: Kind) -> Option<&Finding> {
    findings.iter().find(|finding| finding.kind == kind)
}

fn counts(findings: &[Finding], kind: Kind) -> usize {
    of(findings, kind).map_or(0, |finding| finding.count)
}

fn errors(findings: &[Finding]) -> Vec<&Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).collect()
}

#[test]
fn c004_and_c006_names_and_sizes_of_tools_are_no_errors() {
    for (path, images) in [
        ("004-windows-paths/result.json", "004-windows-paths"),
        ("006-sizes-missing/missing.json", "006-sizes-missing"),
        ("006-sizes-missing/null.json", "006-sizes-missing"),
        ("006-sizes-missing/minus.json", "006-sizes-missing"),
        ("051-filename-without-ending", "051-filename-without-ending/JPEGImages"),
        ("102-formats-under-wrong-names/gt.json", "102-formats-under-wrong-names"),
        ("104-exif-turned/upright.json", "104-exif-turned"),
        ("105-colour-modes/gt.json", "105-colour-modes"),
        ("100-mpo-of-a-drone/gt.json", "100-mpo-of-a-drone"),
    ] {
        let found = findings(path, Some(images), None);
        assert!(errors(&found).is_empty(), "{path}: {found:?}");
    }
}

#[test]
fn c007_and_c016_what_cannot_be_read_is_a_finding_among_others() {
    for path in ["007-empty-bbox/empty.json", "007-empty-bbox/null.json"] {
        let found = findings(path, None, None);
        let unreadable = of(&found, Kind::EntryUnreadable).unwrap();
        assert!(unreadable.count == 1 && unreadable.examples[0].contains("annotation 3"), "{unreadable:?}");
    }
    let found = findings("016-annotation-without-id/one-of-300.json", None, None);
    assert_eq!(counts(&found, Kind::EntryUnreadable), 1);
    let found = findings("031-labels-out-of-range/data.yaml", None, Some("train"));
    assert!(of(&found, Kind::EntryUnreadable).unwrap().examples.len() >= 4, "{found:?}");
}

#[test]
fn c010_and_c011_a_root_class_and_a_shared_name_are_said() {
    let found = findings("010-root-class-zero/train/_annotations.coco.json", None, None);
    assert_eq!(of(&found, Kind::CategoryWithoutBoxes).unwrap().examples, ["harbour"]);
    let found = findings("011-colliding-names/gt.json", None, None);
    assert_eq!(of(&found, Kind::FileNameRepeated).unwrap().examples, ["frame_0042.png"]);
}

#[test]
fn c013_a_box_that_is_not_finite_is_found() {
    let found = findings("013-nan-literals/bbox.json", None, None);
    assert_eq!(counts(&found, Kind::BoxNotFinite), 1, "{found:?}");
}

#[test]
fn c019_corners_for_sizes_are_one_finding_that_no_repair_hides() {
    let found = findings("019-corners-for-sizes/gt.json", None, None);
    let misread = of(&found, Kind::CornersForSizes).unwrap();
    assert_eq!((misread.severity, misread.count), (Severity::Error, 1));
    let said = &misread.examples[0];
    assert!(said.contains("20 of 20 areas") && said.contains("15 of 20 boxes do not fit"), "{said}");
    assert!(said.contains("longtail data convert") && said.contains("--boxes corners"), "{said}");
    assert_eq!(counts(&found, Kind::BoxReachesOut), 0);
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("fixed.json");
    let error = fix(&case("019-corners-for-sizes/gt.json"), &Default::default(), &target).unwrap_err();
    assert!(error.to_string().contains("another layout") && !target.exists(), "{error}");
    // What the message says to do makes a good set.
    let options = ReadOptions { boxes: BoxLayout::Corners, ..Default::default() };
    let document = Document::open(&case("019-corners-for-sizes/gt.json"), &options).unwrap();
    let found = check(&document.set, &CheckOptions::default(), &|| ()).findings;
    assert!(errors(&found).is_empty() && counts(&found, Kind::BoxReachesOut) == 0, "{found:?}");
    let same = |a: &longtail_annotations::Annotation| a.area.is_none_or(|area| area == a.bbox[2] * a.bbox[3]);
    assert!(document.set.annotations.iter().all(same));
}

#[test]
fn c027_an_image_listed_twice_is_an_error() {
    let found = findings("027-image-listed-twice/gt.json", None, None);
    assert_eq!(of(&found, Kind::ImageIdRepeated).unwrap().examples, ["image 1"]);
}

#[test]
fn c032_and_c033_pictures_are_all_seen_and_files_of_the_system_counted() {
    let found =
        findings("032-bmp-among-jpg/data.yaml", Some("032-bmp-among-jpg/images/train"), Some("train"));
    assert!(errors(&found).is_empty(), "{found:?}");
    let found = findings("033-apple-double-files/data.yaml", None, Some("train"));
    assert_eq!(counts(&found, Kind::SystemFile), 3);
    assert!(errors(&found).is_empty(), "{found:?}");
}

#[test]
fn c047_and_c060_boxes_without_area_are_listed() {
    let found = findings("047-zero-size-labels/data.yaml", None, Some("train"));
    assert_eq!(counts(&found, Kind::BoxWithoutArea), 2);
    let found = findings("060-corners-exchanged", Some("060-corners-exchanged/JPEGImages"), None);
    assert_eq!(counts(&found, Kind::BoxWithoutArea), 1);
}

#[test]
fn c053_a_filename_of_another_picture_is_said() {
    let found = findings("053-filename-of-another", Some("053-filename-of-another/JPEGImages"), None);
    assert_eq!(counts(&found, Kind::FilenameOfAnother), 2);
    assert_eq!(counts(&found, Kind::FileNameRepeated), 0);
}

#[test]
fn c103_and_c107_pictures_that_cannot_be_used_are_named_for_what_they_are() {
    let found = findings("103-jpegs-of-cheap-cameras/gt.json", Some("103-jpegs-of-cheap-cameras"), None);
    assert_eq!(counts(&found, Kind::ImageUndecodable), 2, "{found:?}");
    let found = findings("107-empty-and-tiny-files/gt.json", Some("107-empty-and-tiny-files"), None);
    let said = of(&found, Kind::ImageUndecodable).unwrap().examples.join("\n");
    for part in
        ["zero.jpg: it is empty", "html.jpg: it is a web page", "Git LFS", "a HEIC picture of a phone"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn c104_boxes_of_an_unturned_picture_are_told() {
    let found = findings("104-exif-turned/as-stored.json", Some("104-exif-turned"), None);
    assert_eq!(counts(&found, Kind::ExifSizeUnturned), 2, "{found:?}");
}
