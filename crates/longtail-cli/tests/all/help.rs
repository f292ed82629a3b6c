//! What `--help` of every command says, kept as snapshots; `cargo insta review`, or `INSTA_UPDATE=always`,
//! takes changes.

use std::collections::BTreeMap;

use crate::common::succeed_at;

/// Columns of a usual terminal.
const COLUMNS: usize = 80;

fn help(command: &[String]) -> String {
    let arguments: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
    succeed_at(COLUMNS, &arguments)
}

/// Names under `Commands:`.
fn subcommands(help: &str) -> Vec<String> {
    let after = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let lines = after.lines().take_while(|line| !line.is_empty());
    // A second line of a description is indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Help of the program and of every command below it, by its words.
fn all() -> BTreeMap<String, String> {
    let (mut found, mut next) = (BTreeMap::new(), vec![Vec::<String>::new()]);
    while let Some(command) = next.pop() {
        let text = help(&command);
        for name in subcommands(&text) {
            next.push(command.iter().cloned().chain([name]).collect());
        }
        found.insert(command.join(" "), text);
    }
    found
}

#[test]
fn help_of_every_command_is_as_reviewed() {
    let all = all();
    assert!(all.len() > 30, "{:?}", all.keys());
    for (command, text) in &all {
        let name = if command.is_empty() { "longtail".to_owned() } else { command.replace(' ', "-") };
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn help_fits_a_usual_terminal_and_examples_can_be_pasted() {
    for (command, text) in all() {
        for line in text.lines() {
            // Examples are cut by hand; clap would cut them in the middle of a word of the shell.
            let columns = line.chars().count();
            let usage = line.starts_with("Usage: ");
            assert!(usage || columns <= COLUMNS, "longtail {command} --help, {columns} columns: {line}");
        }
        let leaf = subcommands(&text).is_empty();
        assert!(!leaf || text.contains("Example"), "longtail {command} --help has no example");
        let mut examples = text.lines().filter(|line| line.starts_with("  longtail "));
        let about_it = |line: &str| command.split(' ').all(|part| line.split_whitespace().any(|w| w == part));
        assert!(!leaf || examples.any(about_it), "no example of longtail {command} calls it");
    }
}
