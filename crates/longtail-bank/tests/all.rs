//! Banks written, read, interrupted and damaged.

use std::{fs, path::Path};

use longtail_bank::{
    Bank, BankError, BankWriter, Class, ClassTable, FeatureLayer, Header, ImageRows, Part, Precision, View,
    npy::read_arrays,
};

const WIDTH: usize = 3;

fn classes(count: i64) -> ClassTable {
    (0..count).map(|c| Class::counted(10 + 2 * c, format!("class {c}"), 1, 1)).collect()
}

/// Five images in two views, two images a shard.
fn header(precision: Precision) -> Header {
    Header {
        images_per_shard: 2,
        views: vec![View::PLAIN, View { flip: true, scale: 1.0 }],
        logit_columns: 2,
        ..Header::new(Part::Training, WIDTH, precision, classes(2), 5)
    }
}

/// One foreground and two background RoIs whose features tell where they belong.
fn rows(image: usize, view: usize) -> ImageRows {
    let value = |row: usize, column: usize| (image * 100 + view * 10 + row) as f32 + column as f32 * 0.25;
    ImageRows {
        image_id: 1000 + image as i64,
        view,
        size: [48, 64],
        features: (0..3).flat_map(|row| (0..WIDTH).map(move |column| value(row, column))).collect(),
        labels: vec![1 + image as u32 % 2, 0, 0],
        ious: vec![0.75, 0.25, 0.0],
        boxes: vec![[1.0, 2.0, 3.0, 4.0]; 3],
        logits: vec![0.5; 6],
        found: longtail_bank::Counts { background: 9, ..Default::default() },
        ..ImageRows::default()
    }
}

fn shard_rows(header: &Header, shard: usize) -> Vec<ImageRows> {
    header.images_of(shard).flat_map(|image| [rows(image, 0), rows(image, 1)]).collect()
}

fn write(folder: &Path, precision: Precision) -> Header {
    let mut writer = BankWriter::open(folder, header(precision)).unwrap();
    for shard in writer.missing() {
        writer.write(shard, &shard_rows(&header(precision), shard)).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn what_is_written_is_read() {
    for precision in [Precision::F32, Precision::F16, Precision::Int8] {
        let folder = tempfile::tempdir().unwrap();
        let written = write(folder.path(), precision);
        assert_eq!(
            (written.shards.len(), written.counts.background, written.counts.background_kept),
            (3, 90, 20)
        );
        let bank = Bank::open(folder.path()).unwrap();
        assert_eq!(bank.images().len(), 5);
        let image = &bank.images()[3];
        assert_eq!((image.image_id, image.shard, &image.classes[..], image.rows), (1003, 1, &[1][..], 6));
        let shard = bank.shard(1).unwrap();
        let view = &image.views[1];
        assert_eq!((view.image_id, view.view, view.size), (1003, 1, [48, 64]));
        let mut found = vec![0.0; 3 * WIDTH];
        shard.features(view.rows.clone(), &mut found);
        let expected = rows(3, 1).features;
        let tolerance = if precision == Precision::Int8 { 1.3 } else { 0.13 };
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= tolerance, "{precision:?}: {found} is not {expected}");
        }
        if precision == Precision::F32 {
            assert_eq!(found, expected);
        }
        assert_eq!(shard.labels(view.rows.clone()), [2, 0, 0]);
        assert_eq!(shard.ious(view.rows.clone()), [0.75, 0.25, 0.0]);
        assert_eq!(shard.logits(view.rows.clone()), [0.5; 6]);
        assert_eq!(shard.boxes(view.rows.clone())[..4], [1.0, 2.0, 3.0, 4.0]);
    }
}

#[test]
fn a_bank_that_was_begun_goes_on_and_keeps_whole_shards() {
    let folder = tempfile::tempdir().unwrap();
    let whole = tempfile::tempdir().unwrap();
    write(whole.path(), Precision::F16);
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    for shard in [2, 0] {
        writer.write(shard, &shard_rows(&header(Precision::F16), shard)).unwrap();
    }
    assert!(matches!(BankWriter::open(folder.path(), header(Precision::F16)), Err(BankError::Locked { .. })));
    drop(writer);
    let error = Bank::open(folder.path()).unwrap_err();
    assert!(matches!(error, BankError::Unfinished { done: 2, shards: 3, .. }), "{error}");
    // A line of the journal cut short, a temporary file: what a kill leaves.
    let journal = folder.path().join("shards.jsonl");
    let mut text = fs::read_to_string(&journal).unwrap();
    text.push_str("{\"index\": 1, \"fi");
    fs::write(&journal, text).unwrap();
    fs::write(folder.path().join("shard-00001.safetensors.77.partial"), b"half").unwrap();
    let before = fs::metadata(folder.path().join("shard-00000.safetensors")).unwrap().modified().unwrap();
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    assert_eq!(writer.missing(), [1]);
    writer.write(1, &shard_rows(&header(Precision::F16), 1)).unwrap();
    let finished = writer.finish().unwrap();
    assert_eq!(
        before,
        fs::metadata(folder.path().join("shard-00000.safetensors")).unwrap().modified().unwrap()
    );
    assert_eq!(finished, Bank::open(whole.path()).unwrap().header().clone());
    assert!(matches!(BankWriter::open(folder.path(), header(Precision::F16)), Err(BankError::Exists { .. })));
}

#[test]
fn a_shard_damaged_before_the_end_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    writer.write(0, &shard_rows(&header(Precision::F16), 0)).unwrap();
    drop(writer);
    let path = folder.path().join("shard-00000.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(BankWriter::open(folder.path(), header(Precision::F16)).unwrap().missing(), [0, 1, 2]);
}

/// Shards whose header is gone could be of any settings.
#[test]
fn a_journal_without_its_header_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    writer.write(0, &shard_rows(&header(Precision::F16), 0)).unwrap();
    drop(writer);
    fs::remove_file(folder.path().join("bank.json")).unwrap();
    drop(BankWriter::open(folder.path(), header(Precision::F16)).unwrap());
    let writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    assert_eq!(writer.missing(), [0, 1, 2]);
}

#[test]
fn other_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(BankWriter::open(folder.path(), header(Precision::F16)).unwrap());
    let other = Header { seed: 1, ..header(Precision::F32) };
    let message = BankWriter::open(folder.path(), other).unwrap_err().to_string();
    assert!(message.contains("precision, seed"), "{message}");
}

#[test]
fn what_a_kill_left_half_written_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    writer.write(1, &shard_rows(&header(Precision::F16), 1)).unwrap();
    drop(writer);
    let ours = [
        "shard-00000.safetensors.77.partial",
        "shard-00123.safetensors.77.partial",
        "bank.json.77.partial",
        "shards.jsonl.77.partial",
    ];
    let others = [
        "notes.77.partial",
        "shard-1.safetensors.77.partial",
        "shard-0000x.safetensors.77.partial",
        "shard-00000.safetensors.77.partial.old",
    ];
    let exists = |name: &str| folder.path().join(name).exists();
    let put =
        || ours.iter().chain(&others).for_each(|name| fs::write(folder.path().join(name), b"half").unwrap());
    put();
    // Another bank's folder is left as it is.
    assert!(BankWriter::open(folder.path(), header(Precision::F32)).is_err());
    assert!(ours.iter().all(|name| exists(name)));
    let writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    assert_eq!(writer.missing(), [0, 2]);
    assert!(!ours.iter().any(|name| exists(name)) && others.iter().all(|name| exists(name)));
    drop(writer);
    // A header that was never renamed: the folder begins anew.
    fs::remove_file(folder.path().join("bank.json")).unwrap();
    put();
    BankWriter::open(folder.path(), header(Precision::F32)).unwrap();
    assert!(!ours.iter().any(|name| exists(name)) && others.iter().all(|name| exists(name)));
}

#[test]
fn banks_from_before_there_was_a_layer_are_read() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Precision::F16);
    let path = folder.path().join("bank.json");
    let text = fs::read_to_string(&path).unwrap();
    let old = text.replacen("  \"layer\": \"classifier\",\n", "", 1);
    assert_ne!(old, text);
    fs::write(&path, old).unwrap();
    assert_eq!(Bank::open(folder.path()).unwrap().header().layer, FeatureLayer::Classifier);
    fs::write(&path, text.replacen("\"classifier\"", "\"neck\"", 1)).unwrap();
    assert!(Bank::open(folder.path()).unwrap_err().to_string().contains("neck"));
}

#[test]
fn an_unfinished_bank_has_no_final_header() {
    let folder = tempfile::tempdir().unwrap();
    let writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    assert!(matches!(writer.finish(), Err(BankError::Unfinished { done: 0, shards: 3, .. })));
}

#[test]
fn damage_is_found_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Precision::F16);
    let path = folder.path().join("shard-00001.safetensors");
    let whole = fs::read(&path).unwrap();
    for length in [0, 7, 300, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let message = Bank::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("shard-00001") && message.contains("cut short"), "{message}");
    }
    // A bit anywhere: in the safetensors header, in a table, in a feature.
    for place in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[place] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let message = match Bank::open(folder.path()) {
            Ok(bank) => bank.shard(1).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(message.contains("shard-00001"), "{place}: {message}");
    }
    fs::remove_file(&path).unwrap();
    assert!(Bank::open(folder.path()).unwrap_err().to_string().contains("cannot read shard"));
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Bank::open(folder.path()), Err(BankError::NoBank { .. })));
    write(folder.path(), Precision::F16);
    let path = folder.path().join("bank.json");
    let text = fs::read_to_string(&path).unwrap();
    for (from, to, part) in [
        ("\"version\": 1", "\"version\": 9", "version 9"),
        ("\"category_id\": 12", "\"category_id\": 10", "category id 10 twice"),
        ("shard-00000.safetensors", "../secret", "files beside the header"),
        ("\"images\": 5,", "\"images\": 500,", "shards"),
        ("\"format\"", "\"form\"", "not the header"),
        ("\"width\": 3", "\"width\": 0", "`width` is 0"),
        ("\"width\": 3", "\"width\": 4", "[12, 4]"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let message = Bank::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn rows_that_cannot_be_kept_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = BankWriter::open(folder.path(), header(Precision::F16)).unwrap();
    let mut refuse = |change: &dyn Fn(&mut ImageRows), part: &str| {
        let mut bad = rows(0, 0);
        change(&mut bad);
        let message = writer.write(0, &[bad, rows(0, 1)]).unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
    };
    refuse(&|rows| rows.features[4] = f32::NAN, "image 1000, RoI 1, is NaN");
    refuse(&|rows| rows.features[8] = 70_000.0, "feature 2 of image 1000, RoI 2, is 70000");
    refuse(&|rows| rows.labels[0] = 3, "label 3");
    refuse(&|rows| rows.ious.truncate(1), "ious has 1 values, expected 3");
    refuse(&|rows| rows.boxes[2][3] = f32::INFINITY, "a box");
    assert!(!folder.path().join("shard-00000.safetensors").exists());
}

#[test]
fn archives_of_arrays_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npz");
    fs::write(&path, b"PK\x03\x04 no archive").unwrap();
    assert!(read_arrays(&path).unwrap_err().to_string().contains("damaged archive"));
    let error = read_arrays(&folder.path().join("a.txt")).unwrap_err().to_string();
    assert!(error.contains(".npz"), "{error}");
}
