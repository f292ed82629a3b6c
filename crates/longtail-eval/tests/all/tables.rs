//! Tables say what the report says.

use std::{collections::BTreeMap, fs::File, path::Path};

use longtail_eval::{Detections, Evaluation, GroundTruth, Protocol, Settings, Shard, read_detections};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::{Field, Row},
};

fn rows(path: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn field(row: &Row, name: &str) -> Field {
    row.get_column_iter().find(|(found, _)| *found == name).unwrap().1.clone()
}

fn integer(row: &Row, name: &str) -> i64 {
    match field(row, name) {
        Field::Long(value) => value,
        other => panic!("{name} is {other}"),
    }
}

fn number(row: &Row, name: &str) -> Option<f64> {
    match field(row, name) {
        Field::Double(value) => Some(value),
        Field::Null => None,
        other => panic!("{name} is {other}"),
    }
}

#[test]
fn tables_agree_with_the_report_and_each_other() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lvis");
    let set = longtail_formats::read_annotations(&fixtures.join("gt_val100_boxes.json")).unwrap();
    let truth = GroundTruth::new(&set).unwrap();
    let mut detections = Detections::new(&truth, Shard::WHOLE);
    detections.extend(&read_detections(&fixtures.join("dt_b_score_ties.json")).unwrap()).unwrap();
    let evaluation = Evaluation::new(&detections, &Settings::strict(Protocol::Lvis)).unwrap();
    let report = evaluation.report(None);
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("new");
    evaluation.write_tables(&folder, &report).unwrap();

    let classes = rows(&folder.join("classes.parquet"));
    assert_eq!(classes.len(), report.per_category.len());
    for (row, class) in classes.iter().zip(&report.per_category) {
        assert_eq!(integer(row, "category_id"), class.category_id);
        assert_eq!(field(row, "name"), Field::Str(class.name.clone()));
        assert_eq!(field(row, "frequency"), Field::Str(class.frequency.unwrap().letter().to_owned()));
        let numbers = ["ap", "ap50", "ap75", "ar"].map(|name| number(row, name));
        assert_eq!(numbers, [class.ap, class.ap50, class.ap75, class.ar]);
        assert_eq!(integer(row, "ground_truth") as u64, class.ground_truth);
        assert_eq!(integer(row, "detections") as u64, class.detections);
    }

    let found = rows(&folder.join("detections.parquet"));
    assert_eq!(found.len() as u64, report.detections.scored);
    // Right, wrong and left out by image and class.
    let mut strict = 0;
    let mut outcomes: BTreeMap<(i64, i64), [i64; 3]> = BTreeMap::new();
    for row in &found {
        let kind = match field(row, "right@0.5") {
            Field::Bool(true) => 0,
            Field::Bool(false) => 1,
            _ => 2,
        };
        assert!(number(row, "score").is_some());
        strict += u32::from(field(row, "right@0.95") == Field::Bool(true));
        outcomes.entry((integer(row, "image_id"), integer(row, "category_id"))).or_default()[kind] += 1;
    }
    let images = rows(&folder.join("images.parquet"));
    let (mut ground_truth, mut right) = (BTreeMap::<i64, i64>::new(), 0);
    for row in &images {
        let cell = (integer(row, "image_id"), integer(row, "category_id"));
        let counts = ["right", "wrong", "ignored"].map(|name| integer(row, name));
        assert_eq!(counts, outcomes.remove(&cell).unwrap_or_default(), "{cell:?}");
        assert_eq!(integer(row, "missed"), integer(row, "ground_truth") - counts[0]);
        *ground_truth.entry(cell.1).or_default() += integer(row, "ground_truth");
        right += counts[0];
    }
    assert!(outcomes.is_empty() && strict > 10 && right > i64::from(strict));
    for class in &report.per_category {
        let counted = ground_truth.get(&class.category_id).copied().unwrap_or_default();
        assert_eq!(counted as u64, class.ground_truth, "{}", class.name);
    }
}
