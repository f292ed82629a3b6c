//! `longtail explain recipe`: every key of a recipe, from the types that read it.

use anyhow::anyhow;
use longtail_loss::{LossConfig, PostHoc};
use longtail_train::Recipe;
use schemars::schema_for;
use serde_json::json;

use super::{
    COLUMNS_ELSEWHERE, nearest, page_text, plain,
    reference::{Key, Section, sections, shorten_numbers},
    text_columns, wrapped,
};
use crate::{
    Outcome,
    args::RecipeFormat,
    printer::{Hint, Printer},
};

/// The head of the reference page.
const INTRODUCTION: &str = "\
# The recipe

A recipe is a TOML file. It says what a run trains on, which detector, in which stages, and how detections are
decoded. Unknown keys are errors. `--set stages.0.optimizer.learning_rate=0.02` overrides one value of a file.
Paths in a file are relative to its folder, and those of `--set` to the working folder.

This page is made from the types that read a recipe. `longtail explain recipe KEY` prints a part of it, and
[recipe.schema.json](recipe.schema.json) is the same as a JSON Schema for editors. After a change of a type:

```
cargo run -p longtail-cli -- explain recipe --format markdown > docs/reference/recipe.md
cargo run -p longtail-cli -- explain recipe --format json > docs/reference/recipe.schema.json
```

`stages[]` is a list of tables, `[[stages]]` in TOML. A default of `{ … }` means the defaults of that table. A
default of – means that the key may be left out and has no value then.
";

/// Prints an overview, one key with everything below it, or the whole reference.
pub fn run(key: Option<&str>, format: RecipeFormat, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut schema = schema_for!(Recipe).to_value();
    shorten_numbers(&mut schema);
    let mut sections = sections(&schema);
    name_methods(&mut sections);
    let text = match (format, key) {
        (RecipeFormat::Json, _) => serde_json::to_string_pretty(&schema)?,
        (RecipeFormat::Markdown, _) => page(&sections),
        (RecipeFormat::Text, Some(key)) => below(&sections, key)?,
        (RecipeFormat::Text, None) => overview(&sections),
    };
    printer.data(&text)?;
    if key.is_none() && format == RecipeFormat::Text {
        printer.note("`longtail explain recipe KEY` prints a key with everything below it");
    }
    Ok(Outcome::Done)
}

/// Losses and corrections under their names: their types say no more than that they are settings.
fn name_methods(sections: &mut [Section]) {
    let losses = LossConfig::defaults().into_iter().map(|loss| (json!(loss), loss.description()));
    let corrections = PostHoc::defaults().into_iter().map(|post| (json!(post), post.description()));
    for (key, methods) in [("loss", losses.collect::<Vec<_>>()), ("correction", corrections.collect())] {
        for (settings, about) in methods {
            let kind = settings["kind"].as_str();
            let of_method =
                |s: &&mut Section| s.key.rsplit('.').next() == Some(key) && s.kind.as_deref() == kind;
            for section in sections.iter_mut().filter(of_method) {
                let source = if about.source == "–" { "" } else { &format!(" ({})", about.source) };
                section.about = format!("{}{source}: `{}`.", about.name, about.formula);
            }
        }
    }
}

/// The keys of the recipe itself, and the names of all tables.
fn overview(sections: &[Section]) -> String {
    let mut names: Vec<&str> =
        sections.iter().map(|s| s.key.as_str()).filter(|key| !key.is_empty()).collect();
    names.dedup();
    let top = sections.iter().filter(|section| section.key.is_empty()).map(terminal_table);
    format!(
        "{}\n\n{}",
        top.collect::<Vec<_>>().join("\n"),
        wrapped(&format!("tables: {}", names.join(", ")), text_columns())
    )
}

/// The tables of a key and below it, or the key's own line.
fn below(sections: &[Section], asked: &str) -> anyhow::Result<String> {
    let asked_path = without_numbers(asked);
    let asked_path = asked_path.strip_suffix(".kind").unwrap_or(&asked_path);
    let inside = |section: &&Section| {
        let path = without_numbers(&section.key);
        path == asked_path || path.strip_prefix(asked_path).is_some_and(|rest| rest.starts_with('.'))
    };
    let tables: Vec<String> = sections.iter().filter(inside).map(terminal_table).collect();
    if !tables.is_empty() {
        return Ok(tables.join("\n\n"));
    }
    let mut lines = Vec::new();
    let mut known = Vec::new();
    for section in sections {
        for key in &section.keys {
            let path = without_numbers(&section.path_of(key));
            // A choice may be a table itself, as in `length = { epochs = 12 }`.
            let of_choice = asked_path.strip_prefix(&path).and_then(|rest| rest.strip_prefix('.'));
            let chosen = of_choice.is_some_and(|choice| {
                key.choices
                    .iter()
                    .any(|(value, _)| value.strip_prefix("{ ") == Some(&format!("{choice} = … }}")))
            });
            if path == asked_path || chosen {
                lines.push(terminal_rows(&section_name(section), std::slice::from_ref(key)));
            }
            known.push(path);
        }
    }
    if !lines.is_empty() {
        return Ok(lines.join("\n\n"));
    }
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    // A last part alone is enough to find the rest.
    let ends = |path: &&&str| path.rsplit('.').next() == Some(asked_path);
    let meant = nearest(asked_path, &known).or_else(|| known.iter().find(ends).copied());
    let error = anyhow!("`{asked}` is not a key of a recipe");
    Err(error.context(Hint(match meant {
        Some(key) => format!("did you mean `longtail explain recipe {key}`?"),
        None => "`longtail explain recipe` lists the keys".to_owned(),
    })))
}

/// `stages[].optimizer` and `stages.0.optimizer` are `stages.optimizer`.
fn without_numbers(key: &str) -> String {
    let key = key.replace("[]", "");
    let parts: Vec<&str> = key.split('.').filter(|part| part.parse::<usize>().is_err()).collect();
    parts.join(".")
}

fn section_name(section: &Section) -> String {
    match &section.kind {
        Some(kind) => format!("{}, kind = \"{kind}\"", section.key),
        None => section.key.clone(),
    }
}

fn terminal_table(section: &Section) -> String {
    let about = wrapped(&plain(&section.about), text_columns());
    let name = section_name(section);
    let heading = if name.is_empty() { about } else { format!("{name}\n{about}") };
    if section.keys.is_empty() { heading } else { terminal_rows(&heading, &section.keys) }
}

fn terminal_rows(heading: &str, keys: &[Key]) -> String {
    let row = |key: &Key| {
        let mut lines = vec![plain(&key.about)];
        lines.extend(key.choices.iter().map(|(value, about)| plain(&format!("{value}: {about}"))));
        vec![key.name.clone(), key.takes.clone(), default_of(key), lines.join("\n")]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(row).collect();
    format!("{heading}\n{}", page_text(&["key", "takes", "default", "meaning"], &rows))
}

fn default_of(key: &Key) -> String {
    match &key.default {
        Some(default) => default.clone(),
        None if key.required => "required".to_owned(),
        None => "–".to_owned(),
    }
}

/// The reference page.
fn page(sections: &[Section]) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut last = None;
    for section in sections {
        if last != Some(&section.key) {
            let title =
                if section.key.is_empty() { "The recipe itself" } else { &format!("`{}`", section.key) };
            page.push_str(&format!("\n## {title}\n"));
            last = Some(&section.key);
        }
        if let Some(kind) = &section.kind {
            page.push_str(&format!("\n### kind = \"{kind}\"\n"));
        }
        if !section.about.is_empty() {
            page.push_str(&format!("\n{}\n", wrapped(&section.about, COLUMNS_ELSEWHERE)));
        }
        if !section.keys.is_empty() {
            page.push_str("\n| key | takes | default | meaning |\n| --- | --- | --- | --- |\n");
        }
        for key in &section.keys {
            let mut meaning = key.about.clone();
            for (value, about) in &key.choices {
                meaning.push_str(&format!("<br>`{value}`: {about}"));
            }
            let default = default_of(key);
            let default = if key.default.is_some() { format!("`{default}`") } else { default };
            let cells = [format!("`{}`", key.name), key.takes.clone(), default, meaning];
            page.push_str(&format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | ")));
        }
    }
    page
}
