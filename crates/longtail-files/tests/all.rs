//! Whole files and folders, and what failures leave.

use std::{fs, io, path::Path};

use longtail_files::{NewFolder, final_name, remove_leftovers, temporary_path, write_bytes, write_file};

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_write_that_fails_leaves_what_was_there() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.json");
    write_bytes(&path, b"first").unwrap();
    let error = write_file(&path, |out| {
        io::Write::write_all(out, b"half")?;
        Err(io::Error::other("no more"))
    });
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("cannot write") && error.contains("a.json") && error.contains("no more"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"first");
    assert_eq!(names(home.path()), ["a.json"]);

    let error = write_bytes(&home.path().join("missing/a.json"), b"").unwrap_err().to_string();
    assert!(error.contains("missing/a.json"), "{error}");
}

#[test]
fn bytes_are_there_only_at_the_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a.json");
    write_file(&path, |out| {
        assert!(!path.exists());
        assert!(temporary_path(&path).exists());
        io::Write::write_all(out, b"whole")
    })
    .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");
    assert_eq!(names(home.path()), ["a.json"]);
}

#[test]
fn leftovers_are_told_by_their_name_and_removed() {
    let ours = temporary_path(Path::new("runs/1/a.json"));
    assert_eq!(final_name(ours.file_name().unwrap().to_str().unwrap()), Some("a.json"));
    for other in
        ["a.json", "a.partial", ".7.partial", "a.json.7.partial.old", "a.json.x7.partial", "a.json..partial"]
    {
        assert_eq!(final_name(other), None, "{other}");
    }

    let home = tempfile::tempdir().unwrap();
    for name in ["a.json.7.partial", "a.json", "b.json.7.partial", "a.json.x.partial"] {
        fs::write(home.path().join(name), "").unwrap();
    }
    fs::create_dir_all(home.path().join("a.json.8.partial/x")).unwrap();
    remove_leftovers(home.path(), |name| name == "a.json").unwrap();
    assert_eq!(names(home.path()), ["a.json", "a.json.x.partial", "b.json.7.partial"]);
}

#[test]
fn a_folder_is_there_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("sets/one");
    let folder = NewFolder::begin(&place).unwrap();
    folder.write("labels/1.txt", b"1").unwrap();
    assert!(!place.exists());
    drop(folder);
    assert!(names(&home.path().join("sets")).is_empty());

    fs::create_dir(&place).unwrap();
    let folder = NewFolder::begin(&place).unwrap();
    folder.write("labels/1.txt", b"1").unwrap();
    folder.finish().unwrap();
    assert_eq!(fs::read(place.join("labels/1.txt")).unwrap(), b"1");
    assert_eq!(names(&home.path().join("sets")), ["one"]);

    for held in [&place, &place.join("labels/1.txt")] {
        let error = NewFolder::begin(held).unwrap_err().to_string();
        assert!(error.contains("exists already"), "{error}");
    }
}

#[test]
fn files_are_merged_into_a_folder_unless_one_is_there() {
    let home = tempfile::tempdir().unwrap();
    let folder = || {
        let folder = NewFolder::begin(&home.path().join("new")).unwrap();
        folder.write("a/1.png", b"1").unwrap();
        folder.write("2.png", b"2").unwrap();
        folder
    };
    let target = home.path().join("target");
    fs::create_dir_all(target.join("a")).unwrap();
    fs::write(target.join("a/0.png"), "0").unwrap();
    folder().merge_into(&target).unwrap();
    assert_eq!(names(&target), ["2.png", "a"]);
    assert_eq!(names(&target.join("a")), ["0.png", "1.png"]);

    fs::remove_file(target.join("2.png")).unwrap();
    let error = folder().merge_into(&target).unwrap_err().to_string();
    assert!(error.contains("1.png") && error.contains("exists already"), "{error}");
    assert_eq!(names(&target), ["a"], "none is moved if one is there");
    assert_eq!(names(home.path()), ["target"], "nothing is left");
}
