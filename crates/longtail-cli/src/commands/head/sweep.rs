//! `longtail head sweep`

use std::path::Path;

use anyhow::{Context, bail};
use longtail_bank::Bank;
use longtail_head::{
    Head, HeadRecipe, Inputs,
    sweep::{HeadResult, Setting, best, head_of},
};
use longtail_report::{Table, aggregate};
use longtail_train::{
    bank::truth::Truths,
    head::{detect, sweep, test_rules},
};
use serde_json::json;

use crate::{
    Outcome,
    args::{Format, HeadSweep},
    commands::{again::with_repeat_hint, head::report_of, report::write_page, sweep::parse},
    printer::Printer,
    progress::SweepProgress,
    tables::print_table,
};

/// Trains every combination of the varied values for every seed on the bank; the best by held-out images is
/// kept.
pub fn run(arguments: &HeadSweep, printer: &Printer) -> anyhow::Result<Outcome> {
    let vary = arguments.vary.iter().map(|text| parse(text)).collect::<anyhow::Result<Vec<_>>>()?;
    let bank = Bank::open(&arguments.bank)?;
    let held_out = Bank::open(&arguments.bank.join("holdout")).context(
        "a sweep chooses by held-out training images; extract the bank with --holdout above 0, or import proposals of \
         training images into its `holdout` folder",
    )?;
    let base = HeadRecipe::of("acsl")?.with(&arguments.overrides)?;
    let settings = settings(&base, &vary)?;
    let out = arguments.out.clone().unwrap_or_else(|| arguments.bank.join("sweep"));
    let live = SweepProgress::new(&settings, &arguments.seeds, *printer)?;
    let results = with_repeat_hint(sweep(&bank, &held_out, &settings, &arguments.seeds, &out, &live))?;
    live.clear();

    let truths = Truths::of(&held_out)?.names();
    let table = table(&results, &arguments.seeds, &truths, &out)?;
    print_table(&table, arguments.format, printer)?;
    let metric = &arguments.metric;
    let Some(chosen) = best(&results, metric) else {
        bail!(
            "no head has a defined {metric} on the held-out images; hold out more of them or choose another --metric"
        );
    };
    let (path, head, file) = head_of(&out, chosen)?;
    head.write(&out.join("best.safetensors"), &file)?;
    let mut lines = vec![format!(
        "chosen by held-out {metric}: {}, seed {} → {}",
        chosen.setting,
        chosen.seed,
        out.join("best.safetensors").display()
    )];
    let mut record = json!({
        "metric": metric,
        "chosen": {"setting": chosen.setting, "seed": chosen.seed, "head": path.display().to_string()},
        "results": results,
    });
    let validation = arguments.bank.join("validation");
    if validation.is_dir() {
        // After the choice, and for nothing but the report.
        let bank = Bank::open(&validation)?;
        let truths = Truths::of(&bank)?;
        let rules = test_rules(&bank)?;
        let mut rows = Vec::new();
        let stage1 = arguments.bank.join("stage1.safetensors");
        let mut heads = Vec::new();
        if stage1.exists() {
            heads.push(Head::read(&stage1)?);
        }
        heads.push((head, file));
        for (head, file) in &heads {
            file.check(&path, head.inputs(), &Inputs::of(&validation.display().to_string(), bank.header()))?;
            let found = detect(&bank, head, file.build_loss()?.as_ref(), &rules)?;
            rows.push((file.name.clone(), file, truths.score(&found)?));
        }
        let data = report_of("validation", truths.names(), rows);
        record["validation"] = Table::of(&data).json();
        lines.push("validation images, after the choice:".into());
        if matches!(arguments.format, Format::Text | Format::Markdown) {
            printer.data(&lines.join("\n"))?;
            lines.clear();
            print_table(&Table::of(&data), arguments.format, printer)?;
        }
    }
    let path = out.join("sweep.json");
    let json = serde_json::to_vec_pretty(&record)?;
    longtail_files::write_bytes(&path, &json)?;
    for line in lines {
        printer.note(&line);
    }
    page(&results, &arguments.seeds, &truths, &out, printer)?;
    Ok(Outcome::Done)
}

/// Every combination of the values.
fn settings(base: &HeadRecipe, vary: &[(String, Vec<String>)]) -> anyhow::Result<Vec<Setting>> {
    let mut settings = vec![Setting { name: String::new(), recipe: base.clone() }];
    // A loss first: its settings are varied after it.
    let mut order: Vec<&(String, Vec<String>)> = vary.iter().collect();
    order.sort_by_key(|(key, _)| key != "loss");
    for (key, values) in order {
        let mut next = Vec::new();
        for setting in &settings {
            for value in values {
                let recipe = setting.recipe.with(&[format!("{key}={value}")])?;
                let part = if key == "loss" {
                    value.clone()
                } else {
                    format!("{} {value}", key.rsplit('.').next().unwrap_or(key))
                };
                let parts: Vec<&str> =
                    [setting.name.as_str(), &part].into_iter().filter(|p| !p.is_empty()).collect();
                next.push(Setting { name: parts.join(", "), recipe });
            }
        }
        settings = next;
    }
    if settings.len() == 1 && settings[0].name.is_empty() {
        settings[0].name = base.classifier.name.clone();
    }
    Ok(settings)
}

/// Mean and standard deviation over seeds.
fn table(
    results: &[HeadResult],
    seeds: &[u64],
    truths: &[(String, String)],
    out: &Path,
) -> anyhow::Result<Table> {
    let mut of_seeds = Vec::new();
    for &seed in seeds {
        let mut files = Vec::new();
        for result in results.iter().filter(|result| result.seed == seed) {
            files.push((result, head_of(out, result)?.2));
        }
        let rows = files.iter().map(|(r, file)| (r.setting.clone(), file, r.reports.clone())).collect();
        of_seeds.push(report_of("sweep", truths.to_vec(), rows));
    }
    Ok(if let [one] = of_seeds.as_slice() { Table::of(one) } else { aggregate(&of_seeds)? })
}

/// The page of the first seed.
fn page(
    results: &[HeadResult],
    seeds: &[u64],
    truths: &[(String, String)],
    out: &Path,
    printer: &Printer,
) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for result in results.iter().filter(|result| Some(&result.seed) == seeds.first()) {
        files.push((result, head_of(out, result)?.2));
    }
    let rows = files.iter().map(|(r, file)| (r.setting.clone(), file, r.reports.clone())).collect();
    let mut data = report_of("longtail: heads on a feature bank", truths.to_vec(), rows);
    data.facts = vec![("seed".into(), seeds.first().map(u64::to_string).unwrap_or_default())];
    data.remarks = vec!["Scores on held-out training images, by which the head is chosen.".into()];
    write_page(&data, &out.join("report.html"), printer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_a_setting() {
        let values = |list: &[&str]| list.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>();
        let vary = [
            ("loss.threshold".to_owned(), values(&["0.5", "0.7"])),
            ("learning_rate".to_owned(), values(&["0.01", "0.02"])),
        ];
        let made = settings(&HeadRecipe::of("acsl").unwrap(), &vary).unwrap();
        let names: Vec<&str> = made.iter().map(|setting| setting.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "threshold 0.5, learning_rate 0.01",
                "threshold 0.5, learning_rate 0.02",
                "threshold 0.7, learning_rate 0.01",
                "threshold 0.7, learning_rate 0.02"
            ]
        );
        let by_loss =
            settings(&HeadRecipe::of("acsl").unwrap(), &[("loss".into(), values(&["bags", "acsl"]))])
                .unwrap();
        assert_eq!(by_loss[0].name, "bags");
    }
}
