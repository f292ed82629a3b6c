//! `longtail tune`

use std::path::{Path, PathBuf};

use anyhow::bail;
use longtail_bank::{Bank, Precision};
use longtail_head::{
    HeadRecipe,
    tune::{
        TuneConfig, TuneResult,
        regret::{Regret, regrets},
        summary::{Block, Refused, summary, table},
    },
};
use longtail_train::{
    bank::{ExtractOptions, FeatureSource, Plan, extract},
    head::tune,
};
use serde_json::json;

use crate::{
    Outcome,
    args::{Format, Tune},
    commands::{again::with_repeat_hint, features::words},
    printer::Printer,
    progress::Progress,
    tables::{markdown, text},
};

/// Tunes every method on every source, and prints what the published and the chosen settings reach.
pub fn run(arguments: &Tune, printer: &Printer) -> anyhow::Result<Outcome> {
    if arguments.format == Format::Csv {
        bail!("a tuning has no CSV; use --format json");
    }
    let base = HeadRecipe::of("softmax-cross-entropy")?.with(&arguments.overrides)?;
    let config = TuneConfig {
        base,
        methods: arguments.methods.clone(),
        budget: arguments.budget,
        folds: arguments.folds,
        seed: arguments.seed,
        seeds: arguments.seeds.clone(),
        metric: arguments.metric.clone(),
        rule: arguments.rule.into(),
        study: arguments.study,
    };
    let mut progress = Progress::new(*printer)?;
    let mut tunings: Vec<(TuneResult, PathBuf)> = Vec::new();
    for (index, source) in arguments.sources.iter().enumerate() {
        let out = match &arguments.out {
            None => source.join("tune"),
            Some(out) if arguments.sources.len() == 1 => out.clone(),
            Some(out) => out.join(index.to_string()),
        };
        let bank = bank_of(source, &out, arguments, printer, &mut progress)?;
        printer.note(&format!("tuning on {}: {}", bank.folder().display(), out.display()));
        if bank.header().held_out > 0.0 {
            let share = 100.0 * bank.header().held_out;
            printer.note(&format!(
                "{share:.0} % of the training images were held out of this bank: they are not used"
            ));
        }
        let result = with_repeat_hint(tune(&bank, &config, &out, &mut progress))?;
        tunings.push((result, out));
    }
    let by_folder: Vec<(TuneResult, &Path)> =
        tunings.iter().map(|(result, out)| (result.clone(), out.as_path())).collect();
    let (blocks, refused) = summary(&by_folder)?;
    let results: Vec<TuneResult> = tunings.into_iter().map(|(result, _)| result).collect();
    print(&results, &blocks, &refused, arguments.format, printer)?;
    Ok(Outcome::Done)
}

/// The bank of a source; that of a run is made below the tuning's folder.
fn bank_of(
    source: &Path,
    out: &Path,
    arguments: &Tune,
    printer: &Printer,
    progress: &mut Progress,
) -> anyhow::Result<Bank> {
    if source.join("bank.json").exists() || !source.join("config.toml").exists() {
        return Ok(Bank::open(source)?);
    }
    let folder = out.join("bank");
    if folder.join("bank.json").exists()
        && let Ok(bank) = Bank::open(&folder)
    {
        return Ok(bank);
    }
    let detector = FeatureSource::open(source, None, None, &[])?;
    let options = ExtractOptions {
        layer: longtail_bank::FeatureLayer::Classifier,
        precision: Precision::F16,
        views: ExtractOptions::views(2, &[]),
        background: None,
        held_out: 0.0,
        training_proposals: true,
        logits: false,
        seed: arguments.seed,
        dry_run: false,
    };
    let device = arguments.device.open(printer)?;
    let mut announce = |plan: &Plan| printer.note(&words(plan, &folder));
    with_repeat_hint(extract(&detector, &options, &folder, &device, &mut announce, progress))?;
    Ok(Bank::open(&folder)?)
}

fn print(
    results: &[TuneResult],
    blocks: &[Block],
    refused: &[Refused],
    format: Format,
    printer: &Printer,
) -> anyhow::Result<()> {
    let regrets = regrets(results);
    if format == Format::Json {
        let record = json!({ "tunings": results, "truths": blocks, "refused": refused, "regrets": regrets });
        return Ok(printer.data(&serde_json::to_string_pretty(&record)?)?);
    }
    let draw = if format == Format::Markdown { markdown } else { text };
    let mut parts = Vec::new();
    for block in blocks {
        let (heading, rows) = table(block);
        let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
        parts.push(format!("{}\n{}", block.truth, draw(&heading, &rows)));
    }
    if let Some(block) = blocks.first() {
        let chosen = |(index, settings): (usize, &Vec<String>)| match settings.as_slice() {
            [] => format!("{}: the published ones", index + 1),
            settings => format!("{}: {}", index + 1, settings.join(", ")),
        };
        let row = |row: &longtail_head::tune::summary::Row| {
            let settings: Vec<String> = row.chosen.iter().enumerate().map(chosen).collect();
            vec![row.method.clone(), settings.join("; ")]
        };
        let rows: Vec<Vec<String>> = block.rows.iter().map(row).collect();
        parts.push(format!("chosen settings, by tuning\n{}", draw(&["method", "settings"], &rows)));
    }
    for (truth, regrets) in &regrets {
        let points = |value: f64| format!("{:.2}", 100.0 * value);
        let row = |regret: &Regret| {
            vec![
                regret.way.name().to_owned(),
                points(regret.mean),
                points(regret.largest),
                regret.rare.map_or("–".into(), points),
                regret.choices.to_string(),
            ]
        };
        let rows: Vec<Vec<String>> = regrets.iter().map(row).collect();
        let heading = ["chosen by", "AP behind the best", "at most", "APr behind it", "choices"];
        parts.push(format!("{truth}: what a way of choosing costs, in points\n{}", draw(&heading, &rows)));
    }
    for Refused { method, reason } in refused {
        parts.push(format!("{method} is left out: {reason}"));
    }
    printer.data(&parts.join("\n\n"))?;
    Ok(())
}
