//! `longtail tune` from the outside: tables and JSON, killed at random moments, two at once, and what is said when
//! something is wrong.

use std::{
    process::{Child, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use longtail_head::Head;
use serde_json::Value;

use crate::common::{Made, longtail, refuses, succeed};

/// A run and its bank with proposals of the training images.
fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| Made::new(&["--holdout", "0", "--training-proposals"]))
}

const SMALL: [&str; 8] = [
    "--methods",
    "softmax-cross-entropy,seesaw",
    "--budget",
    "3",
    "--set",
    "length.iterations=40",
    "--set",
    "schedule.warmup_iterations=5",
];

/// A small tuning; what `more` names again is as `more` says.
fn tuned<'a>(source: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let named_again = |pair: &&[&str]| pair[0] != "--set" && more.contains(&pair[0]);
    let small = SMALL.chunks(2).filter(|pair| !named_again(pair)).flatten().copied();
    ["tune", source].into_iter().chain(small).chain(more.iter().copied()).collect()
}

/// Without the seconds, which no two calls share.
fn timeless(text: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.remove("seconds");
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(text).unwrap();
    strip(&mut value);
    value
}

#[test]
fn killed_at_random_moments_it_goes_on_to_the_same_heads_and_numbers() {
    let made = made();
    let folder = tempfile::tempdir().unwrap();
    let (bank, whole, pieces) =
        (made.path("bank"), folder.path().join("whole"), folder.path().join("pieces"));
    let (of_whole, of_pieces) = (whole.display().to_string(), pieces.display().to_string());
    let began = Instant::now();
    let expected = succeed(&tuned(&bank, &["--format", "json", "--out", &of_whole]));
    let took = began.elapsed();
    let arguments = tuned(&bank, &["--format", "json", "--out", &of_pieces]);
    let start =
        || -> Child { longtail(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap() };
    // A generator of its own: the moments are others in every call.
    let mut state = u64::from(std::process::id()) ^ 0x9E37_79B9_7F4A_7C15;
    for _ in 0..8 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (state >> 40) as f64 / (1_u64 << 24) as f64;
        let mut child = start();
        thread::sleep(took.mul_f64(0.7 * share));
        // SIGKILL; it may have ended before.
        let _ = child.kill();
        child.wait().unwrap();
    }
    let found = succeed(&arguments);
    assert_eq!(timeless(&found), timeless(&expected));
    for head in ["seesaw/tuned", "seesaw/defaults", "softmax-cross-entropy/tuned"] {
        let of = |out: &std::path::Path| {
            Head::read(&out.join(format!("heads/{head}-seed-0.safetensors"))).unwrap().0
        };
        assert_eq!(of(&pieces), of(&whole), "{head}");
    }
}

#[test]
fn published_and_chosen_settings_stand_side_by_side() {
    let made = made();
    let (bank, run) = (made.path("bank"), made.path("run"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    // A bank and a run, whose own bank is made.
    let arguments = [&tuned(&bank, &["--out", &out, "--study"])[..], &[&run]].concat();
    let text = succeed(&[&arguments[..], &["--format", "markdown"]].concat());
    for part in ["| method | defaults AP / APr / APc / APf |", "| seesaw |", "chosen settings", "chosen by"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json: Value =
        serde_json::from_str(&succeed(&[&arguments[..], &["--format", "json"]].concat())).unwrap();
    assert_eq!(json["tunings"].as_array().unwrap().len(), 2);
    let truths: Vec<&str> =
        json["truths"].as_array().unwrap().iter().map(|block| block["truth"].as_str().unwrap()).collect();
    assert_eq!(truths, ["lvis", "exhaustive"]);
    let row = &json["truths"][0]["rows"][1];
    assert_eq!((&row["method"], row["chosen"].as_array().unwrap().len()), (&"seesaw".into(), 2));
    assert!(row["tuned"]["AP"]["deviation"].is_f64() && row["rank"].is_f64());
    assert!(folder.path().join("out/1/bank/training-proposals/bank.json").exists());
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let made = made();
    let (bank, run) = (made.path("bank"), made.path("run"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let refused =
        |more: &[&str], parts: &[&str]| refuses(&tuned(&bank, &[&["--out", &out], more].concat()), parts);
    refused(&["--budget", "0"], &["`budget` is 0", "at least 1"]);
    refused(&["--folds", "1"], &["`folds` is 1", "at least 2"]);
    refused(&["--folds", "900"], &["`folds` is 900", "fewer folds"]);
    refused(&["--set", "optimizer=lbfgs"], &["optimizer=sgd"]);
    refused(&["--format", "csv"], &["--format json"]);
    refused(&["--set", "learning_rat=1"], &["learning_rat"]);
    let nowhere = folder.path().join("nowhere").display().to_string();
    refuses(&["tune", &nowhere], &["nowhere"]);
    let plain = folder.path().join("plain").display().to_string();
    succeed(&["features", "extract", &run, "--out", &plain]);
    refuses(&["tune", &plain], &["training-proposals", "features extract"]);
}

#[test]
fn two_tunings_do_not_share_a_folder() {
    let made = made();
    let bank = made.path("bank");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let arguments = tuned(&bank, &["--out", &out, "--set", "length.iterations=4000"]);
    let mut first = longtail(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !folder.path().join("out/plan.json").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "the first never began");
        thread::sleep(Duration::from_millis(20));
    }
    refuses(&arguments, &["in use by another tuning", "--out"]);
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock went with it; another plan still needs another folder.
    let other = tuned(&bank, &["--out", &out]);
    refuses(&other, &["other settings", "--out"]);
}
