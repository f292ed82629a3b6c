//! `longtail explain`

use anyhow::{Context, bail};
use longtail_loss::LossConfig;

use crate::{Outcome, args::Explain, printer::Printer, tables::text};

/// Runs a subcommand.
pub fn run(command: &Explain, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Explain::Loss { name: None } => all(printer),
        Explain::Loss { name: Some(name) } => one(name, printer),
    }
}

/// A loss's name in a recipe, and its default settings as TOML lines.
fn recipe_form(config: &LossConfig) -> anyhow::Result<(String, Vec<String>)> {
    let table = toml::Table::try_from(config).context("a loss is plain values")?;
    let kind = table.get("kind").and_then(toml::Value::as_str).unwrap_or_default().to_owned();
    let settings = table.iter().filter(|(key, _)| *key != "kind");
    Ok((kind, settings.map(|(key, value)| format!("{key} = {value}")).collect()))
}

fn all(printer: &Printer) -> anyhow::Result<Outcome> {
    let mut rows = Vec::new();
    for config in LossConfig::defaults() {
        let about = config.description();
        let (kind, _) = recipe_form(&config)?;
        rows.push(vec![
            kind,
            about.source.into(),
            about.outputs.into(),
            about.reads.name().into(),
            about.when.into(),
        ]);
    }
    printer.data(&text(&["kind", "source", "outputs", "reads", "when to use it"], &rows))?;
    printer.note("`longtail explain loss KIND` prints formula and settings");
    Ok(Outcome::Done)
}

fn one(name: &str, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut known = Vec::new();
    for config in LossConfig::defaults() {
        let (kind, settings) = recipe_form(&config)?;
        if kind != name {
            known.push(kind);
            continue;
        }
        let about = config.description();
        let settings = match settings.as_slice() {
            [] => "none".to_owned(),
            settings => settings.join("\n"),
        };
        let recipe = format!("loss = {{ kind = \"{kind}\" }}");
        let rows: Vec<Vec<String>> = [
            ("name", about.name),
            ("source", about.source),
            ("loss of a RoI", about.formula),
            ("outputs", about.outputs),
            ("reads", about.reads.name()),
            ("when to use it", about.when),
            ("in a recipe", &recipe),
            ("settings and defaults", &settings),
        ]
        .into_iter()
        .map(|(key, value)| vec![key.to_owned(), value.to_owned()])
        .collect();
        printer.data(&text(&["", ""], &rows))?;
        return Ok(Outcome::Done);
    }
    bail!("there is no loss `{name}`; there are {}", known.join(", "))
}
