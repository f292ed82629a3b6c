//! Detections in the formats of other tools.

use std::{fs, path::Path};

use longtail_annotations::{AnnotationSet, Category, ImageRecord, Layout};
use longtail_eval::{Detection, ResultsFormat, read_results, write_results};
use longtail_formats::{Document, RawJson};
use proptest::prelude::*;

fn truth() -> Document {
    let image = |id, file_name: &str| ImageRecord {
        id,
        file_name: file_name.into(),
        width: 100,
        height: 50,
        neg_category_ids: None,
        not_exhaustive_category_ids: None,
    };
    let category = |id, name: &str| Category { id, name: name.into(), frequency: None };
    let mut document = Document::new(AnnotationSet {
        path: None,
        layout: Layout::Coco,
        images: vec![image(7, "a.jpg"), image(3, "sub/b.x.png"), image(4, "other/b.x.png")],
        annotations: Vec::new(),
        categories: vec![category(90, "dog"), category(5, "a, \"b\"")],
    });
    document.extras.categories[0].push("label", RawJson::of("/m/dog"));
    document
}

fn detection(image_id: i64, category_id: i64, bbox: [f64; 4], score: f64) -> Detection {
    Detection { image_id, category_id, bbox, score }
}

const FORMATS: [(ResultsFormat, &str); 3] =
    [(ResultsFormat::Json, "r.json"), (ResultsFormat::OpenImages, "r.csv"), (ResultsFormat::Yolo, "r")];

fn close(a: &Detection, b: &Detection) -> bool {
    (a.image_id, a.category_id, a.score.to_bits()) == (b.image_id, b.category_id, b.score.to_bits())
        && a.bbox.iter().zip(b.bbox).all(|(a, b)| (a - b).abs() < 1e-9)
}

proptest! {
    #[test]
    fn every_format_gives_detections_back(
        mut found in prop::collection::vec(
            (prop::sample::select(vec![3_i64, 4, 7]), prop::sample::select(vec![5_i64, 90]),
             prop::array::uniform4(0.0..50.0_f64), 0.0..1.0_f64), 1..20),
    ) {
        // Text files keep the order of an image only.
        found.sort_by(|a, b| (a.0, a.3).partial_cmp(&(b.0, b.3)).unwrap());
        let found: Vec<Detection> = found.into_iter().map(|(i, c, b, s)| detection(i, c, b, s)).collect();
        for (format, name) in FORMATS {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            prop_assert_eq!(write_results(&path, format, &truth(), &found).unwrap(), 0);
            prop_assert_eq!(ResultsFormat::detect(&path), format);
            let mut read = read_results(&path, format, &truth()).unwrap();
            read.sort_by(|a, b| (a.image_id, a.score).partial_cmp(&(b.image_id, b.score)).unwrap());
            prop_assert_eq!(read.len(), found.len());
            prop_assert!(read.iter().zip(&found).all(|(a, b)| close(a, b)), "{:?} {:?}", read, found);
            prop_assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}

fn read(name: &str, text: &str) -> Result<Vec<Detection>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let whole = if name.ends_with("csv") { path } else { folder.path().join("labels") };
    read_results(&whole, ResultsFormat::detect(&whole), &truth()).map_err(|error| error.to_string())
}

#[test]
fn files_of_other_tools_are_read() {
    let expected = detection(7, 90, [10.0, 5.0, 20.0, 10.0], 0.5);
    for (name, text) in [
        ("r.csv", "\u{feff}ImageID,LabelName,Conf,XMin,XMax,YMin,YMax\r\na,/m/dog,0.5,0.1,0.3,0.1,0.3\r\n"),
        ("r.csv", "ImageId,PredictionString\na,/m/dog 0.5 0.1 0.1 0.3 0.3\nsub/b.x,\n"),
        ("labels/a.txt", "\u{feff}1 0.2 0.2 0.2 0.2 0.5\r\n\r\n"),
    ] {
        let found = read(name, text).unwrap();
        assert!(found.len() == 1 && close(&found[0], &expected), "{name}: {found:?}");
    }
}

#[test]
fn wrong_files_say_where() {
    let head = "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\n";
    for (name, text, parts) in [
        ("r.csv", "ImageID,LabelName\n".to_owned(), &["line 1", "`Score` is missing"][..]),
        ("r.csv", format!("{head}z,/m/dog,1,0,1,0,1\n"), &["line 2", "`z` is not an image"]),
        ("r.csv", format!("{head}b.x,/m/dog,1,0,1,0,1\n"), &["line 2", "several images"]),
        ("r.csv", format!("{head}a,/m/cat,1,0,1,0,1\n"), &["line 2", "`/m/cat` is not a class"]),
        ("r.csv", format!("{head}a,/m/dog,1,1,0,0,1\n"), &["line 2", "ends before it starts"]),
        ("r.csv", format!("{head}a,/m/dog,\"0,5\",0,1,0,1\n"), &["line 2", "decimals have a point"]),
        ("r.csv", format!("{head}a,/m/dog,1,0,1\n"), &["line 2", "not CSV"]),
        ("r.csv", "ImageId,PredictionString\na,/m/dog 0.5 1\n".into(), &["line 2", "six a detection"]),
        ("labels/a.txt", "1 0.5 0.5 0.1 0.1\n".into(), &["a.txt, line 1", "without a score"]),
        ("labels/a.txt", "2 0.5 0.5 0.1 0.1 1\n".into(), &["a.txt, line 1", "not among 0 to 1"]),
        ("labels/a.txt", "1 0.5 0.5 0.1 nan 1\n".into(), &["a.txt, line 1", "not finite"]),
        ("labels/z.txt", String::new(), &["z.txt", "not an image"]),
    ] {
        let error = read(name, &text).unwrap_err();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let error = read_results(folder.path(), ResultsFormat::Yolo, &truth()).unwrap_err().to_string();
    assert!(error.contains("no .txt file"), "{error}");
}

#[test]
fn what_has_no_name_is_left_out_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &Path, format, found: &[Detection]| write_results(path, format, &truth(), found);
    for (format, name) in &FORMATS[1..] {
        let path = folder.path().join(name);
        let stranger = [detection(8, 90, [0.0, 0.0, 1.0, 1.0], 1.0)];
        let error = write(&path, *format, &stranger).unwrap_err().to_string();
        assert!(error.contains("`image_id` 8"), "{error}");
        assert!(!path.exists());
        let unknown =
            [detection(7, 1, [0.0, 0.0, 1.0, 1.0], 1.0), detection(7, 5, [0.0, 0.0, 1.0, 1.0], 1.0)];
        assert_eq!(write(&path, *format, &unknown).unwrap(), 1);
    }
    let error = write(&folder.path().join("r"), ResultsFormat::Yolo, &[]).unwrap_err().to_string();
    assert!(error.contains("exists already"), "{error}");
}
