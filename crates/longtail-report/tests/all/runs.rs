//! Runs as folders: what is held against what, and which runs go together.

use std::path::{Path, PathBuf};

use longtail_loss::{AcslConfig, Background, LossConfig, SigmoidBceConfig, SoftmaxConfig};
use longtail_report::{
    Cell, ReportError,
    run::{compared, intervals::Runs, page_data, remark, table},
};
use longtail_run::{ClassifierResult, Results, RunFolder};

use crate::report;

fn classifier(name: &str, stage: &str, loss: LossConfig, rare: f64) -> ClassifierResult {
    let metrics = [("AP", Some(0.2)), ("APr", Some(rare)), ("APc", Some(0.2)), ("APf", Some(0.4))];
    ClassifierResult {
        name: name.to_owned(),
        stage: stage.to_owned(),
        iterations: 10,
        loss,
        correction: None,
        reports: [("lvis".to_owned(), report("lvis", &metrics))].into(),
        detections: "detections/missing.json".into(),
    }
}

fn softmax() -> LossConfig {
    LossConfig::SoftmaxCrossEntropy(SoftmaxConfig::default())
}

fn acsl(background: Background) -> LossConfig {
    LossConfig::Acsl(AcslConfig { background, ..AcslConfig::default() })
}

/// A run whose authors' ACSL has this APr; softmax of the same stage has 0.1.
fn results(rare: f64) -> Results {
    Results {
        truths: [("lvis".to_owned(), "LVIS".to_owned())].into(),
        classifiers: vec![
            classifier("stage 1", "one", softmax(), 0.0),
            classifier("softmax", "two", softmax(), 0.1),
            classifier("authors", "two", acsl(Background::FrequencySampled), rare),
            classifier("balanced", "two", acsl(Background::Balanced), 0.5),
        ],
        ..Results::default()
    }
}

fn write(folder: &Path, results: &Results) -> PathBuf {
    results.write(&RunFolder::open(folder, false).unwrap()).unwrap();
    folder.to_owned()
}

#[test]
fn the_authors_rule_is_held_against_softmax_of_the_same_steps() {
    assert_eq!(compared(&results(0.3).classifiers), Some((1, 2)));
    let sigmoid = LossConfig::SigmoidBce(SigmoidBceConfig::default());
    let others = [classifier("a", "one", sigmoid.clone(), 0.1), classifier("b", "two", sigmoid, 0.2)];
    assert_eq!(compared(&others), Some((0, 1)));
    assert_eq!(compared(&others[..1]), None);
    assert_eq!(compared(&[]), None);
}

#[test]
fn the_remark_is_of_the_compared_pair_and_a_mean_over_runs() {
    let one = remark(&[results(0.3)]).unwrap();
    assert!(
        one.starts_with("Against softmax, authors changes APr by +20.0, APc by +0.0 and APf by +0.0 points"),
        "{one}"
    );
    let two = remark(&[results(0.3), results(0.4)]).unwrap();
    assert!(two.contains("APr by +25.0 ± 7.1"), "{two}");
    assert_eq!(remark(&[]), None);
}

#[test]
fn a_table_is_read_from_folders_and_strangers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = [0.3, 0.4].map(|rare| write(&folder.path().join(rare.to_string()), &results(rare)));
    let single = table(std::slice::from_ref(&a)).unwrap();
    let both = table(&[a.clone(), b]).unwrap();
    assert_eq!((single.rows.len(), both.rows.len()), (4, 4));
    assert!(both.rows[2].cells.iter().any(|cell| matches!(cell, Cell::Spread { .. })));

    let mut other = results(0.3);
    other.classifiers[3].name = "another".into();
    let other = write(&folder.path().join("other"), &other);
    for error in
        [table(&[a.clone(), other.clone()]).unwrap_err(), Runs::read(&[a.clone(), other]).unwrap_err()]
    {
        assert!(matches!(error, ReportError::Mismatch { run: 2, .. }), "{error}");
    }
    let mut lone = results(0.3);
    lone.classifiers.truncate(1);
    let lone = write(&folder.path().join("lone"), &lone);
    assert!(Runs::read(&[lone]).unwrap_err().to_string().contains("has one classifier"));
    assert_eq!(Runs::read(&[a]).unwrap().names(), ["softmax", "stage 1", "authors", "balanced"]);
    assert!(table(&[folder.path().join("nothing")]).unwrap_err().to_string().contains("nothing"));
}

#[test]
fn a_page_without_a_log_says_which_file_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let run = write(&folder.path().join("run"), &results(0.3));
    let error = page_data(&run, None).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl"), "{error}");
}
