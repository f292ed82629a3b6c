//! What the documents promise: links lead somewhere, lines fit, and the first page stays a first page.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Most columns of a line, tables and addresses excepted.
const COLUMNS: usize = 110;

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

/// Files of the repository whose name ends so, without what was built.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![repository().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap_or_default();
            if path.is_dir() && !matches!(name, "target" | ".git" | "runs" | "shared") {
                folders.push(path);
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Lines outside of fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((number, line))
    })
}

/// Targets of `[text](target)` and `[label]: target`.
fn links(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let reference = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target);
    inline.chain(reference).collect()
}

#[test]
fn links_in_documents_lead_to_files() {
    let mut dead = Vec::new();
    let mut followed = 0;
    for path in files(&[".md"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in prose(&text) {
            for link in links(line) {
                let target = link.split('#').next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                followed += 1;
                if !path.parent().unwrap().join(target).exists() {
                    dead.push(format!("{}:{number}: {target}", path.display()));
                }
            }
        }
    }
    assert!(dead.is_empty(), "dead links:\n{}", dead.join("\n"));
    assert!(followed > 50, "only {followed} links were found");
}

#[test]
fn documents_named_in_code_exist() {
    let mut missing = Vec::new();
    for path in files(&[".rs", ".toml", ".sh", ".py", "justfile"]) {
        let text = fs::read_to_string(&path).unwrap();
        for (line, number) in text.lines().zip(1..) {
            for part in line.split("docs/").skip(1) {
                let name: String =
                    part.chars().take_while(|c| c.is_alphanumeric() || "/-_.".contains(*c)).collect();
                if let Some(end) = name.find(".md")
                    && !repository().join("docs").join(&name[..end + 3]).exists()
                {
                    missing.push(format!("{}:{number}: docs/{name}", path.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "no such document:\n{}", missing.join("\n"));
}

#[test]
fn lines_of_documents_fit() {
    let mut long = Vec::new();
    for path in files(&[".md"]) {
        for (line, number) in fs::read_to_string(&path).unwrap().lines().zip(1..) {
            let table = line.trim_start().starts_with('|');
            let address = line.starts_with('[') && line.contains("]: http");
            if !table && !address && line.chars().count() > COLUMNS {
                long.push(format!("{}:{number}: {} columns", path.display(), line.chars().count()));
            }
        }
    }
    assert!(long.is_empty(), "more than {COLUMNS} columns:\n{}", long.join("\n"));
}

#[test]
fn the_first_page_is_short_and_every_document_is_in_the_index() {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 90, "README.md has {} lines", readme.lines().count());
    for command in ["cargo run --release -- demo ", "cargo test --workspace "] {
        assert!(readme.contains(command), "README.md does not say `{command}`");
    }
    let index = fs::read_to_string(repository().join("docs/index.md")).unwrap();
    for path in files(&[".md"]) {
        let Ok(page) = path.strip_prefix(repository().join("docs")) else { continue };
        let page = page.to_str().unwrap().replace('\\', "/");
        assert!(
            page == "index.md" || index.contains(&format!("({page})")),
            "docs/index.md leaves out {page}"
        );
    }
}

#[test]
fn every_recipe_says_what_it_reaches_on_what_in_how_long_and_how() {
    let recipes: Vec<PathBuf> = files(&[".toml"])
        .into_iter()
        .filter(|path| path.parent() == Some(&repository().join("configs")))
        .collect();
    assert!(recipes.len() >= 10, "{recipes:?}");
    for path in recipes {
        let text = fs::read_to_string(&path).unwrap();
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        for entry in ["# Reaches: ", "# On:      ", "# Takes:   ", "# Command: "] {
            let found = header.iter().any(|line| line.starts_with(entry));
            assert!(found, "the header of {} has no line `{entry}`", path.display());
        }
        let wide = text.lines().find(|line| line.starts_with('#') && line.chars().count() > COLUMNS);
        assert_eq!(wide, None, "{}", path.display());
    }
}
