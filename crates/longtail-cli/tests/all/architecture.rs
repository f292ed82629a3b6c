//! Dependencies between the crates point one way, as ARCHITECTURE.md says.

use std::{collections::BTreeMap, path::Path};

/// Crates that every other one may depend on.
const FOUNDATIONS: [&str; 3] = ["longtail-annotations", "longtail-draw", "longtail-files"];

/// Crates in order: each may depend on the foundations and on those that are listed.
fn allowed() -> BTreeMap<&'static str, &'static [&'static str]> {
    BTreeMap::from([
        ("longtail-annotations", &[] as &[_]),
        ("longtail-bank", &["longtail-files"]),
        ("longtail-curate", &["longtail-data", "longtail-formats"]),
        ("longtail-data", &["longtail-formats"]),
        ("longtail-draw", &[]),
        ("longtail-emoji", &["longtail-data", "longtail-formats"]),
        ("longtail-eval", &["longtail-formats", "longtail-mask"]),
        ("longtail-files", &[]),
        ("longtail-formats", &[]),
        ("longtail-loss", &[]),
        ("longtail-mask", &[]),
        ("longtail-weights", &[]),
        ("longtail-ops", &["longtail-loss"]),
        ("longtail-detect", &["longtail-data", "longtail-loss", "longtail-ops"]),
        (
            "longtail-run",
            &[
                "longtail-bank",
                "longtail-data",
                "longtail-eval",
                "longtail-files",
                "longtail-formats",
                "longtail-loss",
            ],
        ),
        (
            "longtail-head",
            &[
                "longtail-bank",
                "longtail-data",
                "longtail-draw",
                "longtail-eval",
                "longtail-files",
                "longtail-formats",
                "longtail-loss",
                "longtail-run",
            ],
        ),
        (
            "longtail-train",
            &[
                "longtail-bank",
                "longtail-data",
                "longtail-detect",
                "longtail-draw",
                "longtail-emoji",
                "longtail-eval",
                "longtail-formats",
                "longtail-head",
                "longtail-loss",
                "longtail-ops",
                "longtail-run",
                "longtail-weights",
            ],
        ),
        ("longtail-report", &["longtail-bank", "longtail-eval", "longtail-loss", "longtail-run"]),
        (
            "longtail-cli",
            &[
                "longtail-bank",
                "longtail-curate",
                "longtail-data",
                "longtail-detect",
                "longtail-emoji",
                "longtail-eval",
                "longtail-files",
                "longtail-formats",
                "longtail-head",
                "longtail-loss",
                "longtail-report",
                "longtail-run",
                "longtail-train",
                "longtail-weights",
            ],
        ),
    ])
}

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let name = |line: &str| line.split(['.', '=', ' ']).next().unwrap_or_default().to_owned();
    section.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).map(name).collect()
}

#[test]
fn dependencies_point_one_way() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let allowed = allowed();
    let mut found = 0;
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap();
        let name = folder.file_name().into_string().unwrap();
        let expected =
            allowed.get(name.as_str()).unwrap_or_else(|| panic!("{name} is not in the order of crates"));
        let manifest = std::fs::read_to_string(folder.path().join("Cargo.toml")).unwrap();
        let dependencies = dependencies(&manifest);
        assert!(!dependencies.is_empty(), "{name}: no dependencies read");
        for dependency in &dependencies {
            if dependency.starts_with("longtail-") {
                let foundation =
                    FOUNDATIONS.contains(&dependency.as_str()) && !FOUNDATIONS.contains(&name.as_str());
                let may = foundation || expected.contains(&dependency.as_str());
                assert!(may, "{name} must not depend on {dependency}");
            }
            let burn = dependency.starts_with("burn");
            let free = [
                "longtail-annotations",
                "longtail-bank",
                "longtail-curate",
                "longtail-data",
                "longtail-draw",
                "longtail-emoji",
                "longtail-eval",
                "longtail-files",
                "longtail-formats",
                "longtail-head",
                "longtail-loss",
                "longtail-mask",
                "longtail-report",
                "longtail-run",
                "longtail-weights",
            ]
            .contains(&name.as_str());
            assert!(!(burn && free), "{name} must not see Burn");
            // What the evaluator stands on; `longtail-data` decodes.
            let blind =
                ["longtail-annotations", "longtail-eval", "longtail-formats"].contains(&name.as_str());
            let decodes = ["image", "jpeg-decoder", "fast_image_resize", "longtail-data"];
            assert!(!(blind && decodes.contains(&dependency.as_str())), "{name} must not decode images");
        }
        found += 1;
    }
    assert_eq!(found, allowed.len());
}

#[test]
fn only_the_command_line_prints() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut folders: Vec<_> =
        std::fs::read_dir(crates).unwrap().map(|e| e.unwrap().path().join("src")).collect();
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                files += 1;
                for word in ["println!", "eprintln!", "print!(", "dbg!("] {
                    assert!(!text.contains(word), "{} uses {word}", path.display());
                }
            }
        }
    }
    assert!(files > 40, "{files}");
}
