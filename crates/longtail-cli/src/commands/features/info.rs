//! `longtail features info`

use longtail_bank::{Bank, Part, disk::size};
use serde_json::json;

use crate::{
    Outcome,
    args::{FeaturesInfo, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Prints what the parts of a bank hold.
pub fn run(arguments: &FeaturesInfo, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut parts = vec![("".to_owned(), Bank::open(&arguments.bank)?)];
    for name in ["holdout", "validation"] {
        let folder = arguments.bank.join(name);
        if folder.is_dir() {
            parts.push((name.to_owned(), Bank::open(&folder)?));
        }
    }
    if arguments.check {
        for (_, bank) in &parts {
            (0..bank.header().shards.len()).try_for_each(|shard| bank.shard(shard).map(|_| ()))?;
        }
        printer.note("every shard has its checksum, and all features are finite");
    }
    let heading = [
        "part",
        "images",
        "views",
        "RoIs",
        "foreground",
        "background kept",
        "layer",
        "width",
        "stored as",
        "on disk",
    ];
    let rows: Vec<Vec<String>> = parts.iter().map(|(name, bank)| row(name, bank)).collect();
    let output = match arguments.format {
        Format::Text => text(&heading, &rows),
        Format::Markdown => markdown(&heading, &rows),
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(heading)?;
            rows.iter().try_for_each(|row| writer.write_record(row))?;
            String::from_utf8(writer.into_inner()?)?
        }
        Format::Json => {
            let headers: Vec<_> =
                parts.iter().map(|(name, bank)| json!({"part": name, "header": bank.header()})).collect();
            serde_json::to_string_pretty(&headers)?
        }
    };
    printer.data(&output)?;
    Ok(Outcome::Done)
}

fn row(name: &str, bank: &Bank) -> Vec<String> {
    let header = bank.header();
    let sum = |of: fn(&longtail_bank::ShardRecord) -> u64| header.shards.iter().map(of).sum::<u64>();
    let training = header.part == Part::Training;
    let name = match (name, training) {
        ("", true) => "training",
        ("", false) => "proposals",
        (name, _) => name,
    };
    let counts = header.counts;
    let or_dash = |text: String| if training { text } else { "–".into() };
    vec![
        name.to_owned(),
        bank.images().len().to_string(),
        header.views.len().to_string(),
        sum(|shard| shard.rows).to_string(),
        or_dash(counts.foreground_kept.to_string()),
        or_dash(format!("{} of {}", counts.background_kept, counts.background)),
        header.layer.name().to_owned(),
        header.width.to_string(),
        format!("{:?}", header.precision).to_lowercase(),
        size(sum(|shard| shard.bytes)),
    ]
}
