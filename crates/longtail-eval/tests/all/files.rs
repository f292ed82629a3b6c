//! The same detections in every form of file.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    sync::Arc,
};

use flate2::{Compression, write::GzEncoder};
use longtail_eval::{
    Detection, Detections, Evaluation, GroundTruth, Protocol, Settings, Shard, read_detections,
    write_detections,
};
use parquet::{
    column::writer::ColumnWriter,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::{parser::parse_message_type, types::Type},
};

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lvis").join(name)
}

/// Enough for several blocks of the reader: 7 MB of JSON.
fn many() -> Vec<Detection> {
    let once = read_detections(&fixture("dt_b_score_ties.json")).unwrap();
    once.iter().cycle().take(25 * once.len()).copied().collect()
}

#[test]
fn every_form_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let detections = many();
    let list = serde_json::to_vec(&detections).unwrap();
    assert!(list.len() > 6_000_000);
    let entry = |d: &Detection| serde_json::to_string(d).unwrap();
    let lines: String = detections.iter().map(|d| entry(d) + "\r\n").collect();
    // Lists of objects inside an entry look like entries to who cuts the file there.
    let nested: Vec<String> = detections
        .iter()
        .map(|d| format!(r#"{{"parts": [{{"a": 1}}, {{"b": "}},{{"}}], {}"#, &entry(d)[1..]))
        .collect();
    fs::write(path("list.json"), &list).unwrap();
    fs::write(path("pretty.json"), serde_json::to_vec_pretty(&detections).unwrap()).unwrap();
    fs::write(path("lines.jsonl"), &lines).unwrap();
    fs::write(path("nested.json"), format!("[{}]", nested.join(" , "))).unwrap();
    let mut gzip = GzEncoder::new(File::create(path("list.json.gz")).unwrap(), Compression::fast());
    gzip.write_all(&list).unwrap();
    gzip.finish().unwrap();
    fs::write(path("lines.zst"), zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    let truth =
        GroundTruth::new(&longtail_formats::read_annotations(&fixture("gt_val100_boxes.json")).unwrap())
            .unwrap();
    for name in ["list.json", "pretty.json", "lines.jsonl", "nested.json", "list.json.gz", "lines.zst"] {
        assert_eq!(read_detections(&path(name)).unwrap(), detections, "{name}");
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.read(&path(name)).unwrap();
        assert_eq!(all.len(), detections.len(), "{name}");
    }
}

/// Image by image in any order of the images, the detections are matched while the file is read; scattered,
/// they are read first.
#[test]
fn matching_while_reading_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detections.json");
    let truth =
        GroundTruth::new(&longtail_formats::read_annotations(&fixture("gt_val100_boxes.json")).unwrap())
            .unwrap();
    let scattered = many();
    let mut ascending = scattered.clone();
    ascending.sort_by_key(|d| d.image_id);
    let mut descending = scattered.clone();
    descending.sort_by_key(|d| -d.image_id);
    // Images without detections still have boxes that are missed.
    let median = ascending[ascending.len() / 2].image_id;
    let some: Vec<Detection> = descending.iter().filter(|d| d.image_id > median).copied().collect();
    let one_late: Vec<Detection> = ascending[1..].iter().chain(&ascending[..1]).copied().collect();
    for detections in [ascending, descending, some, one_late, scattered, Vec::new()] {
        write_detections(&path, &detections).unwrap();
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.read(&path).unwrap();
        for protocol in Protocol::ALL {
            let settings = Settings::strict(protocol);
            let found = Evaluation::read(&truth, &path, &settings).unwrap();
            assert_eq!(found.detections().read, detections.len() as u64);
            let expected = Evaluation::new(&all, &settings).unwrap();
            assert_eq!(found.report(None), expected.report(None), "{protocol}");
            assert!(found.arrays() == expected.arrays(), "{protocol}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad");
    let detections = many();
    let fails = |bytes: &[u8], parts: &[&str]| {
        fs::write(&path, bytes).unwrap();
        let error = read_detections(&path).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    };
    let list = serde_json::to_vec(&detections).unwrap();
    fails(&list[..list.len() / 2], &["cut short"]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&list).unwrap();
    let gzip = gzip.finish().unwrap();
    fails(&gzip[..gzip.len() / 2], &["unpacked", "whole"]);
    let packed = zstd::encode_all(&list[..], 1).unwrap();
    fails(&packed[..packed.len() / 2], &["unpacked", "whole"]);
    let lines: Vec<String> = detections[..5].iter().map(|d| serde_json::to_string(d).unwrap()).collect();
    fails(
        format!("{}\n{{\"image_id\": 3}}\n", lines.join("\n")).as_bytes(),
        &["line 6", "`category_id` is missing"],
    );
    fails(format!("{}\n[1]\n", lines.join("\n")).as_bytes(), &["line 6", "not an object"]);
    fails(b"   \n ", &["the file is empty"]);
    fails(b"image_id,category_id\n1,2\n", &["line 1"]);
    let mut wrong: Vec<String> = detections.iter().map(|d| serde_json::to_string(d).unwrap()).collect();
    wrong[90_000] = wrong[90_000].replace("\"score\":", "\"score\":\"high\",\"_\":");
    fails(format!("[{}]", wrong.join(",")).as_bytes(), &["entry 90000", "`score`", "\"high\""]);
}

#[test]
#[cfg(unix)]
fn pipes_and_devices_are_refused() {
    let error = read_detections(Path::new("/dev/null")).unwrap_err().to_string();
    assert!(error.contains("/dev/null") && error.contains("write it to a file first"), "{error}");
    let error = read_detections(Path::new("/no/such.json")).unwrap_err().to_string();
    assert!(error.contains("/no/such.json") && !error.contains("pipe"), "{error}");
}

#[test]
fn a_bad_detection_deep_in_a_file_is_counted_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("detections.json");
    let mut detections = many();
    detections[80_000].image_id = 77;
    fs::write(&path, serde_json::to_vec(&detections).unwrap()).unwrap();
    let truth =
        GroundTruth::new(&longtail_formats::read_annotations(&fixture("gt_val100_boxes.json")).unwrap())
            .unwrap();
    let mut all = Detections::new(&truth, Shard::WHOLE);
    all.extend(&detections[..10]).unwrap();
    let error = all.read(&path).unwrap_err().to_string();
    assert!(error.contains("detection 80010") && error.contains("`image_id` 77"), "{error}");
    assert_eq!(all.len(), 10, "nothing of the file is left");
}

fn columns() -> Type {
    parse_message_type(
        "message m { required int64 image_id; optional int32 category_id; required double x; required double y; \
         required double w; required float h; required int64 score; }",
    )
    .unwrap()
}

/// A Parquet file of one group of rows; `None` is null.
fn parquet(path: &Path, schema: Type, categories: &[Option<i32>], width: f64) {
    let file = File::create(path).unwrap();
    let mut writer =
        SerializedFileWriter::new(file, Arc::new(schema), Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let rows = categories.len();
    let mut place = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::Int64ColumnWriter(c) => c.write_batch(&vec![397133; rows], None, None).map(|_| ()),
            ColumnWriter::Int32ColumnWriter(c) => {
                let levels: Vec<i16> = categories.iter().map(|c| i16::from(c.is_some())).collect();
                let values: Vec<i32> = categories.iter().flatten().copied().collect();
                c.write_batch(&values, Some(&levels), None).map(|_| ())
            }
            ColumnWriter::DoubleColumnWriter(c) => c.write_batch(&vec![width; rows], None, None).map(|_| ()),
            ColumnWriter::FloatColumnWriter(c) => c.write_batch(&vec![2.5; rows], None, None).map(|_| ()),
            _ => panic!("another type"),
        }
        .unwrap();
        column.close().unwrap();
        place += 1;
    }
    assert!(place >= 6);
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn parquet_tables_of_pyarrow_are_read() {
    let single = |v: f64| f64::from(v as f32);
    let expected: Vec<Detection> = read_detections(&fixture("dt_b_score_ties.json"))
        .unwrap()
        .into_iter()
        .take(200)
        .map(|d| Detection { bbox: d.bbox.map(single), ..d })
        .collect();
    let truth =
        GroundTruth::new(&longtail_formats::read_annotations(&fixture("gt_val100_boxes.json")).unwrap())
            .unwrap();
    for codec in ["snappy", "zstd", "gzip", "lz4"] {
        let path = fixture(&format!("../parquet/{codec}.parquet"));
        assert_eq!(read_detections(&path).unwrap(), expected, "{codec}");
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.read(&path).unwrap();
        assert_eq!(all.len(), 200);
    }
}

#[test]
fn wrong_parquet_tables_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.parquet");
    let says = |path: &Path, parts: &[&str]| {
        let error = read_detections(path).unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in `{error}`");
        }
    };
    parquet(&path, columns(), &[Some(3), Some(4), Some(5)], 1.0);
    let found = read_detections(&path).unwrap();
    let last = Detection { image_id: 397133, category_id: 5, bbox: [1.0, 1.0, 1.0, 2.5], score: 397133.0 };
    assert_eq!((found.len(), found[2]), (3, last));

    parquet(&path, columns(), &[Some(3), None, Some(5)], 1.0);
    says(&path, &["d.parquet", "column `category_id`: row 1 (counted from 0) is null"]);
    parquet(&path, columns(), &[Some(3)], f64::NAN);
    let truth =
        GroundTruth::new(&longtail_formats::read_annotations(&fixture("gt_val100_boxes.json")).unwrap())
            .unwrap();
    let error = Detections::new(&truth, Shard::WHOLE).read(&path).unwrap_err().to_string();
    assert!(error.contains("detection 0") && error.contains("not finite"), "{error}");
    let other = "message m { required int64 image_id; required double x; required double y; required double w; \
                 required float h; required int64 score; }";
    parquet(&path, parse_message_type(other).unwrap(), &[Some(3)], 1.0);
    says(&path, &["column `category_id` is missing", "image_id, x, y, w, h, score"]);
    let other = "message m { required int64 image_id; required double category_id; required double x; \
                 required double y; required double w; required float h; required int64 score; }";
    parquet(&path, parse_message_type(other).unwrap(), &[Some(3)], 1.0);
    says(&path, &["column `category_id` has values of type DOUBLE, expected integers"]);
    let whole = fs::read(fixture("../parquet/snappy.parquet")).unwrap();
    for length in [4, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        says(&path, &["d.parquet", "is the file whole?"]);
    }
}

/// Found by fuzzing: a column whose dictionary is missing, at which the library panics.
#[test]
fn a_table_that_the_library_panics_at_is_an_error() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet/damaged_dictionary.parquet");
    let error = read_detections(&path).unwrap_err().to_string();
    assert!(error.contains("damaged_dictionary.parquet") && error.contains("is the file whole?"), "{error}");
}
