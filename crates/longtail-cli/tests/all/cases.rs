//! Data sets as people have them (`longtail-formats/tests/fixtures/cases`), given to the binary as they would.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{output_in, refuses_in, succeed_in};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../longtail-formats/tests/fixtures/cases").join(name)
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let output = output_in(folder, arguments);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Exit code of a check, and its findings: kind, count, examples.
fn check(folder: &str, arguments: &[&str]) -> (i32, Vec<(String, u64, String)>) {
    let arguments = [&["data", "check"], arguments, &["--format", "json"]].concat();
    let code = output_in(&case(folder), &arguments).status.code().unwrap();
    let findings = json(&case(folder), &arguments);
    let finding = |finding: &Value| {
        let kind = finding["kind"].as_str().unwrap().to_owned();
        (kind, finding["count"].as_u64().unwrap(), finding["examples"].to_string())
    };
    (code, findings.as_array().unwrap().iter().map(finding).collect())
}

#[test]
fn what_cannot_be_read_is_listed_at_once_and_refused_elsewhere() {
    let (code, findings) = check("031-labels-out-of-range", &["data.yaml", "--part", "train"]);
    let (kind, _, examples) = &findings[0];
    assert_eq!((code, kind.as_str()), (1, "entry-unreadable"));
    assert!(examples.contains("b.txt, line 1"), "{examples}");
    let arguments = ["data", "stats", "data.yaml", "--part", "train"];
    refuses_in(&case("031-labels-out-of-range"), &arguments, &["more cannot be read", "longtail data check"]);
    for file in ["empty.json", "null.json"] {
        let (code, findings) = check("007-empty-bbox", &[file]);
        assert!(code == 1 && findings[0].2.contains("annotation 3"), "{findings:?}");
    }
}

#[test]
fn a_misread_set_is_one_finding_and_the_command_that_it_names_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let fixed = folder.path().join("fixed.json").display().to_string();
    let (code, findings) = check("019-corners-for-sizes", &["gt.json", "--fix", &fixed]);
    assert_eq!((code, findings[0].0.as_str(), findings[0].1), (1, "corners-for-sizes", 1));
    assert!(findings[0].2.contains("--boxes corners"), "{findings:?}");
    assert!(!Path::new(&fixed).exists());
    succeed_in(&case("019-corners-for-sizes"), &["data", "convert", "gt.json", &fixed, "--boxes", "corners"]);
    let (code, findings) = check("019-corners-for-sizes", &[&fixed]);
    assert_eq!((code, findings.len()), (0, 0), "{findings:?}");
}

#[test]
fn what_was_looked_up_or_left_out_is_said_in_text_and_json() {
    let folder = case("053-filename-of-another");
    let out = tempfile::tempdir().unwrap();
    let target = out.path().join("out.csv").display().to_string();
    let arguments = ["data", "convert", ".", &target, "--images", "JPEGImages", "--force"];
    let said = output_in(&folder, &arguments);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("2 × XML files whose <filename> names another picture"), "{said}");
    let report = json(&folder, &[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(report["remarks"][0]["kind"], "filename-of-another");
    let stats = json(
        &case("033-apple-double-files"),
        &["data", "stats", "data.yaml", "--part", "train", "--format", "json"],
    );
    assert_eq!((&stats["images"], &stats["remarks"][0]["count"]), (&2.into(), &3.into()));
}

#[test]
fn a_file_of_this_folder_needs_no_dot() {
    let folder = case("062-xml-in-this-folder");
    let stats = |name: &str| succeed_in(&folder, &["data", "stats", name]);
    assert_eq!(stats("a.xml"), stats("./a.xml"));
}

#[test]
fn names_of_windows_and_sizes_of_via_are_no_errors() {
    for (folder, file) in [
        ("004-windows-paths", "result.json"),
        ("006-sizes-missing", "missing.json"),
        ("006-sizes-missing", "null.json"),
        ("006-sizes-missing", "minus.json"),
        ("074-retinanet-table", "annotations.csv"),
    ] {
        let images = if folder.starts_with("074") { "images" } else { "." };
        let (code, findings) = check(folder, &[file, "--images", images]);
        assert_eq!(code, 0, "{folder}/{file}: {findings:?}");
    }
}
