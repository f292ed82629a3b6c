//! Modules of a crate that need each other, directly or by way of others, form a circle: none of them can be read
//! or changed alone. Small ones happen; this test keeps large ones out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Most modules in a circle.
const LARGEST: usize = 3;

type Module = Vec<String>;

#[test]
fn no_circle_of_modules_is_larger_than_three() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut modules = 0;
    for entry in std::fs::read_dir(crates).unwrap() {
        let folder = entry.unwrap().path();
        let graph = imports(&folder.join("src"));
        modules += graph.len();
        for circle in circles(&graph) {
            let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
            assert!(
                names.len() <= LARGEST,
                "{}: {} modules need each other: {}",
                folder.display(),
                names.len(),
                names.join(", ")
            );
        }
    }
    assert!(modules > 150, "{modules}");
}

#[test]
fn imports_are_found() {
    let known: BTreeSet<Module> = ["a", "b", "b::c", "d", "e"].map(module).into();
    let text = "use crate::{a::X, b::{self, c::{Y, Z}}, W}; // crate::e\nfn f() { crate::d::g() }\n";
    assert_eq!(mentioned(text, &known), ["a", "b", "b::c", "d"].map(module).into());
    let graph = BTreeMap::from([
        (module("a"), BTreeSet::from([module("b")])),
        (module("b"), BTreeSet::from([module("c")])),
        (module("c"), BTreeSet::from([module("a")])),
        (module("d"), BTreeSet::from([module("a")])),
    ]);
    assert_eq!(circles(&graph), [["a", "b", "c"].map(module).to_vec()]);
}

fn module(path: &str) -> Module {
    path.split("::").map(str::to_owned).collect()
}

/// What each module of a crate names by `crate::`, tests left out; parents and children do not count.
fn imports(src: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut files = Vec::new();
    list(src, &mut files);
    let of_file = |file: &PathBuf| -> Module {
        let path = file.strip_prefix(src).unwrap().with_extension("");
        let mut names: Module =
            path.iter().map(|name| name.to_str().expect("module names are ASCII").to_owned()).collect();
        if names.last().is_some_and(|name| name == "mod") {
            names.pop();
        }
        names
    };
    let known: BTreeSet<Module> = files.iter().map(of_file).collect();
    let related = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
    files
        .iter()
        .map(|file| {
            let own = of_file(file);
            let text = std::fs::read_to_string(file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            let mut named = mentioned(text, &known);
            named.retain(|other| !related(&own, other));
            (own, named)
        })
        .filter(|(own, _)| own != &["lib"] && own != &["main"])
        .collect()
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a text names by paths or trees of imports after `crate::`, in code.
fn mentioned(text: &str, known: &BTreeSet<Module>) -> BTreeSet<Module> {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let code = code.join("\n");
    let mut found = BTreeSet::new();
    for (start, _) in code.match_indices("crate::") {
        let mut rest = &code[start + "crate::".len()..];
        tree(&mut rest, &Module::new(), known, &mut found);
    }
    found
}

/// Reads one path, or a list of them in braces, below `prefix`.
fn tree(rest: &mut &str, prefix: &Module, known: &BTreeSet<Module>, found: &mut BTreeSet<Module>) {
    if let Some(inside) = rest.strip_prefix('{') {
        *rest = inside;
        loop {
            *rest = rest.trim_start_matches([' ', '\n', ',']);
            if rest.is_empty() || rest.starts_with('}') {
                *rest = rest.get(1..).unwrap_or_default();
                return;
            }
            tree(rest, prefix, known, found);
            // What follows a name in a list: `as other`.
            let end = rest.find([',', '}']).unwrap_or(rest.len());
            *rest = &rest[end..];
        }
    }
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    *rest = after;
    let mut path = prefix.clone();
    path.push(name.to_owned());
    match rest.strip_prefix("::") {
        Some(below) => {
            *rest = below;
            tree(rest, &path, known, found);
        }
        None => {
            while !path.is_empty() && !known.contains(&path) {
                path.pop();
            }
            if !path.is_empty() {
                found.insert(path);
            }
        }
    }
}

/// Sets of two or more modules each of which reaches all others.
fn circles(graph: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = graph
        .keys()
        .map(|start| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
            while let Some(next) = open.pop() {
                let named = graph.get(next).into_iter().flatten();
                open.extend(named.filter(|other| seen.insert(*other)));
            }
            (start, seen)
        })
        .collect();
    let mut found: Vec<Vec<Module>> = Vec::new();
    for (start, reached) in &reach {
        let circle: Vec<Module> = reached
            .iter()
            .filter(|other| reach.get(**other).is_some_and(|back| back.contains(start)))
            .map(|module| (*module).clone())
            .collect();
        if circle.len() > 1 && !found.contains(&circle) {
            found.push(circle);
        }
    }
    found
}
