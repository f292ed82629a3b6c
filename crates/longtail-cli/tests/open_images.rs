//! Open Images files from the outside.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const TREE: &str =
    r#"{"LabelName": "a", "Subcategory": [{"LabelName": "b", "Subcategory": [{"LabelName": "c"}]}]}"#;

fn output(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longtail")).current_dir(folder).args(arguments).output().unwrap()
}

#[test]
fn boxes_are_repeated_for_ancestors() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tree.json"), TREE).unwrap();
    fs::write(folder.path().join("in.csv"), "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,c,0,1,0,1\n").unwrap();
    let arguments = ["data", "expand-hierarchy", "--hierarchy", "tree.json", "in.csv", "out.csv"];
    let done = output(folder.path(), &arguments);
    let talk = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success() && talk.contains("1 boxes became 2 in out.csv"), "{talk}");
    let expected = "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,c,0,1,0,1\n1,b,0,1,0,1\n";
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).unwrap(), expected);

    fs::write(folder.path().join("in.csv"), "ImageID,LabelName,XMin,XMax,YMin,YMax\n1,x,0,1,0,1\n").unwrap();
    let failed = output(folder.path(), &arguments);
    let talk = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(2));
    assert!(talk.contains("in.csv, line 2: `LabelName` is `x`"), "{talk}");
    // The file that was whole before is still there.
    assert_eq!(fs::read_to_string(folder.path().join("out.csv")).unwrap(), expected);
}
