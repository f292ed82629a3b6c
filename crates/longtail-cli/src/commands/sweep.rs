//! `longtail sweep`

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use longtail_head::{ClassifierRecipe, settings::changed};
use longtail_loss::LossConfig;
use longtail_run::{Results, RunFolder};
use longtail_train::{Recipe, branch, recipe::Trained};

use crate::{
    Outcome,
    args::{Format, Sweep},
    commands::{again::with_repeat_hint, train::command_line},
    printer::Printer,
    progress::Progress,
    tables::print_table,
};

/// Trains every value for every seed, and prints one table.
pub fn run(arguments: &Sweep, printer: &Printer) -> anyhow::Result<Outcome> {
    ensure!(
        !arguments.recipe.is_dir(),
        "{} is a folder, not a recipe; heads on a feature bank are swept by `longtail head sweep`",
        arguments.recipe.display()
    );
    let mut recipe = Recipe::read(&arguments.recipe, &arguments.overrides)?;
    if let Some(vary) = &arguments.vary {
        let (key, values) = parse(vary)?;
        recipe = expand(recipe, &key, &values)?;
    }
    let from = &arguments.from;
    if !from.is_empty() && from.len() != arguments.seeds.len() {
        bail!("--from names {} runs for {} seeds; give one a seed", from.len(), arguments.seeds.len());
    }
    let out =
        arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("{}-sweep", recipe.name)));
    let device = arguments.device.open(printer)?;
    let mut progress = Progress::new(*printer)?;
    let mut runs: Vec<PathBuf> = Vec::new();
    for (index, &seed) in arguments.seeds.iter().enumerate() {
        let path = out.join(format!("seed-{seed}"));
        let recipe = Recipe { seed, ..recipe.clone() };
        // An interrupted sweep goes on where it stopped; finished seeds are read.
        let mut resume = path.join("checkpoints/last.safetensors").exists();
        if let Some(from) = from.get(index).filter(|_| !resume) {
            branch(from, recipe.stages.len() - 1, &recipe, &RunFolder::open(&path, false)?)?;
            resume = true;
        }
        printer.note(&format!("run folder: {}{}", path.display(), if resume { " (goes on)" } else { "" }));
        let folder = RunFolder::open(&path, resume)?;
        let ran = longtail_train::run(&recipe, &folder, resume, &device, &command_line(), &mut progress);
        with_repeat_hint(ran)?;
        drop(folder);
        runs.push(path);
    }
    print_table(&longtail_report::run::table(&runs)?, arguments.format, printer)?;
    if matches!(arguments.format, Format::Text | Format::Markdown) {
        let results: Result<Vec<Results>, _> = runs.iter().map(|run| Results::read(run)).collect();
        let steps = results?[0].classifiers.last().map_or(0, |c| c.iterations);
        let seeds = arguments.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        printer.data(&format!("\n{steps} iterations of the last stage; seeds {seeds}"))?;
    }
    Ok(Outcome::Done)
}

/// The key and its values. Commas inside brackets or quotes do not separate.
pub(super) fn parse(text: &str) -> anyhow::Result<(String, Vec<String>)> {
    let (key, values) = text
        .split_once('=')
        .filter(|(key, values)| !key.is_empty() && !values.is_empty())
        .ok_or_else(|| anyhow!("`--vary {text}` is not `key=v1,v2,…`, as in `loss.threshold=0.5,0.7`"))?;
    // A list of lists is a list of values, each a list.
    let lists = values.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::trim);
    let values = lists.filter(|inner| inner.starts_with('[') && inner.ends_with(']')).unwrap_or(values);
    let (mut parts, mut depth, mut quoted) = (vec![String::new()], 0, false);
    for c in values.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 && !quoted {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    let parts = parts.iter().map(|part| part.trim().to_owned()).collect();
    Ok((key.to_owned(), parts))
}

/// The recipe with a classifier for each value instead of the last stage's.
fn expand(mut recipe: Recipe, key: &str, values: &[String]) -> anyhow::Result<Recipe> {
    let stage = recipe.stages.last_mut().context("a recipe has stages")?;
    if stage.train != Trained::Classifier {
        bail!("the last stage trains `all`; a sweep needs one that trains `classifier`");
    }
    let last = stage.classifiers.last().context("a stage has classifiers")?.clone();
    let mut classifiers = vec![ClassifierRecipe {
        name: "softmax, continued".into(),
        loss: LossConfig::default(),
        correction: None,
        ..last.clone()
    }];
    for value in values {
        let name = format!("{}, {} {value}", last.name, key.rsplit('.').next().unwrap_or(key));
        let varied =
            changed(&last, &[format!("{key}={value}")]).with_context(|| format!("--vary {key}={value}"))?;
        classifiers.push(ClassifierRecipe { name, ..varied });
    }
    stage.classifiers = classifiers;
    recipe.validate()?;
    Ok(recipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_brackets_do_not_separate() {
        let (key, values) = parse("loss.cuts=[5],[10,100],\"a,b\"").unwrap();
        assert_eq!(
            (key.as_str(), values),
            ("loss.cuts", vec!["[5]".into(), "[10,100]".into(), "\"a,b\"".into()])
        );
        let (_, values) = parse("loss.cuts=[[5], [10,100],[5000]]").unwrap();
        assert_eq!(values, ["[5]", "[10,100]", "[5000]"]);
        assert_eq!(parse("loss.cuts=[[5]]").unwrap().1, ["[5]"]);
        assert_eq!(parse("loss.cuts=[5]").unwrap().1, ["[5]"]);
        assert!(parse("loss.cuts").is_err() && parse("=3").is_err() && parse("a=").is_err());
    }
}
