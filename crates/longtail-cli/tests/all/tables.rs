//! The tables that people read most, kept as snapshots at the width of a terminal.

use crate::common::succeed_at;

fn fixture(name: &str) -> String {
    format!("{}/../longtail-eval/tests/fixtures/lvis/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn tables_of_an_evaluation_are_as_reviewed() {
    let (truth, ties) = (fixture("gt_val100_boxes.json"), fixture("dt_b_score_ties.json"));
    let arguments = ["eval", "--protocol", "lvis", "--ground-truth", &truth, "--detections", &ties];
    insta::assert_snapshot!("eval", succeed_at(100, &arguments));
    let markdown = [&arguments[..], &["--format", "markdown"]].concat();
    insta::assert_snapshot!("eval-markdown", succeed_at(100, &markdown));
    let compare =
        ["compare", &ties, &ties, "--protocol", "lvis", "--ground-truth", &truth, "--resamples", "20"];
    insta::assert_snapshot!("compare", succeed_at(100, &compare));
}

#[test]
fn tables_of_a_data_set_are_as_reviewed() {
    let truth = fixture("gt_val100_boxes.json");
    insta::assert_snapshot!("data-stats", succeed_at(100, &["data", "stats", &truth, "--no-index"]));
    insta::assert_snapshot!("data-check", succeed_at(100, &["data", "check", &truth, "--no-index"]));
}
