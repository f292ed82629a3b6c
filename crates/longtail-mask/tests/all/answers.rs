//! The references' answers to 349 requests, by `scripts/golden/coco_masks.py`.

use std::collections::BTreeMap;

use serde_json::Value;

#[test]
fn answers_are_the_references() {
    let cases: Vec<(Value, Value)> =
        serde_json::from_str(include_str!("../fixtures/answers.json")).expect("the fixture is JSON");
    let mut counted = BTreeMap::new();
    for (request, expected) in &cases {
        *counted.entry(request["op"].as_str().expect("an operation")).or_insert(0) += 1;
        assert_eq!(super::answer::answer(request), *expected, "{request}");
    }
    assert_eq!(counted.len(), 10, "{counted:?}");
    assert!(counted.values().all(|&count| count >= 10), "{counted:?}");
}
