//! `longtail report --intervals`: how certain the differences between a run's classifiers are.

use std::path::PathBuf;

use anyhow::{Context, bail};
use longtail_eval::Scoring;
use longtail_report::run::intervals::Runs;
use longtail_run::Silent;

use crate::{
    Outcome,
    args::Format,
    printer::Printer,
    scenes::validation_of,
    tables::{markdown, text},
};

/// Prints a block for every truth of the runs.
pub fn print(paths: &[PathBuf], format: Format, printer: &Printer) -> anyhow::Result<Outcome> {
    let runs = Runs::read(paths)?;
    let mut validations = Vec::new();
    for run in runs.runs() {
        let validation = validation_of(&run.path, &run.results, &mut Silent)?;
        validations
            .push(validation.with_context(|| format!("{} has no validation images", run.path.display()))?);
    }
    let names = runs.names();
    let mut blocks = Vec::new();
    for (index, truth) in validations[0].truths.iter().enumerate() {
        let Scoring::Annotations(protocol) = truth.scoring else {
            bail!("intervals are of LVIS and COCO AP; there are none of the Open Images challenge metric");
        };
        printer.note(&format!("resampling the images of {}", truth.label));
        let truths: Vec<_> = validations.iter().map(|v| &v.truths[index].annotations).collect();
        blocks.push(runs.block(&truth.label, protocol, &truths)?);
    }
    match format {
        Format::Json => {
            let blocks: Vec<_> = blocks.iter().map(|block| block.json(&names)).collect();
            printer.data(&serde_json::to_string_pretty(&blocks)?)?;
        }
        Format::Csv => bail!("intervals have no CSV; use --format json"),
        Format::Text | Format::Markdown => {
            let table = if format == Format::Text { text } else { markdown };
            let parts: Vec<String> = blocks.iter().map(|block| block.table(&names, table)).collect();
            printer.data(&parts.join("\n\n"))?;
            printer.data(&format!("\n{}", runs.legend()))?;
        }
    }
    Ok(Outcome::Done)
}
