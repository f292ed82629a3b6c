//! `longtail explain`: methods by name, keys of the recipe, and the reference that is made from them.

use std::{collections::BTreeSet, fs};

use toml::Value;

use crate::{
    common::{output, refuses, succeed, succeed_at},
    documents::repository,
};

#[test]
fn a_method_is_found_in_any_case_by_its_beginning_and_by_its_name() {
    for (name, kind) in [
        ("ACSL", "acsl"),
        ("softmax", "softmax-cross-entropy"),
        ("EQL v2", "eql-v2"),
        ("balanced_softmax", "balanced-softmax"),
        ("DropLoss", "drop-loss"),
    ] {
        let text = succeed(&["explain", "loss", name]);
        assert!(text.contains(&format!("loss = {{ kind = \"{kind}\" }}")), "{name}: {text}");
    }
    assert!(succeed(&["explain", "correction", "NorCal"]).contains("gamma"));
    refuses(
        &["explain", "loss", "ascl"],
        &["`ascl` is not a loss", "hint: did you mean `longtail explain loss acsl`?"],
    );
    refuses(&["explain", "loss", "hinge"], &["`hinge` is not a loss; there are softmax-cross-entropy, "]);
}

#[test]
fn explanations_fit_the_terminal() {
    for columns in [60, 80, 120] {
        for arguments in
            [&["explain", "loss"][..], &["explain", "loss", "acsl"], &["explain", "recipe", "detector.rpn"]]
        {
            for line in succeed_at(columns, arguments).lines() {
                assert!(line.chars().count() <= columns, "{columns}: {line}");
            }
        }
    }
    // A file or a pipe gets lines that can be read too.
    let text = succeed(&["explain", "loss", "acsl"]);
    assert!(text.lines().all(|line| line.chars().count() <= 110), "{text}");
}

#[test]
fn tables_of_methods_and_keys_are_as_reviewed() {
    insta::assert_snapshot!("explain-loss", succeed_at(100, &["explain", "loss"]));
    insta::assert_snapshot!("explain-loss-acsl", succeed_at(100, &["explain", "loss", "acsl"]));
    insta::assert_snapshot!(
        "explain-correction-norcal",
        succeed_at(100, &["explain", "correction", "norcal"])
    );
    insta::assert_snapshot!(
        "explain-recipe-schedule",
        succeed_at(100, &["explain", "recipe", "stages.schedule"])
    );
    let key = succeed_at(100, &["explain", "recipe", "stages.0.optimizer.learning_rate"]);
    insta::assert_snapshot!("explain-recipe-learning-rate", key);
}

#[test]
fn an_unknown_key_is_answered_with_one_that_is_alike() {
    refuses(
        &["explain", "recipe", "detector.rpn.nms_iuo"],
        &[
            "`detector.rpn.nms_iuo` is not a key",
            "hint: did you mean `longtail explain recipe detector.rpn.nms_iou`?",
        ],
    );
    refuses(&["explain", "recipe", "learning_rate"], &["did you mean", "learning_rate`?"]);
}

/// Dotted keys of a recipe, without the numbers of lists.
fn keys(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                keys(value, &path, found);
                found.insert(path);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| keys(value, path, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_every_recipe_is_explained() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(repository().join("configs")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        keys(&Value::Table(text.parse().unwrap()), "", &mut found);
    }
    assert!(found.len() > 60, "{found:?}");
    for key in found {
        let output = output(&["explain", "recipe", &key]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// `just reference` writes both.
#[test]
fn the_reference_of_the_recipe_is_what_its_types_say() {
    for (file, format) in [("recipe.md", "markdown"), ("recipe.schema.json", "json")] {
        let path = repository().join("docs/reference").join(file);
        let made = succeed(&["explain", "recipe", "--format", format]);
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert!(made == kept, "{} is not what the types say; run `just reference`", path.display());
    }
}
