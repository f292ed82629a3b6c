//! `longtail data stats`

mod page;
mod words;

use longtail_curate::{Statistics, statistics::ClassStatistics};
use longtail_data::ImageFolder;

use super::{open, rewrite::print_remarks};
use crate::{
    Outcome,
    args::{DataStats, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Classes shown at each end.
const ENDS: usize = 10;
/// Pairs of classes shown.
const PAIRS: usize = 8;

/// Prints counts of images, boxes and classes.
pub fn run(arguments: &DataStats, printer: &Printer) -> anyhow::Result<Outcome> {
    let (part, images) = (arguments.part.as_deref(), arguments.images.as_deref());
    let (set, remarks) = open(&arguments.annotations, part, images, arguments.no_index, printer)?;
    remarks.refuse_unreadable(&arguments.annotations)?;
    let statistics = Statistics::of(&set);
    let missing = arguments.images.as_ref().map(|folder| {
        let folder = ImageFolder::new(folder);
        set.images.iter().filter(|image| !folder.path(&image.file_name).exists()).count()
    });
    if let Some(path) = &arguments.html {
        page::write(arguments, &statistics, missing, path, printer)?;
    }
    let output = match arguments.format {
        Format::Json => {
            let mut value = serde_json::to_value(&statistics)?;
            if let Some(missing) = missing {
                value["missing_images"] = missing.into();
            }
            value["remarks"] = serde_json::to_value(&remarks)?;
            serde_json::to_string_pretty(&value)?
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["category_id", "name", "frequency", "images", "boxes"])?;
            for c in &statistics.classes {
                writer.serialize((c.category_id, &c.name, c.frequency.letter(), c.images, c.boxes))?;
            }
            String::from_utf8(writer.into_inner()?)?
        }
        Format::Text => tables(&statistics, missing, text),
        Format::Markdown => tables(&statistics, missing, markdown),
    };
    printer.data(&output)?;
    print_remarks(&remarks, printer);
    Ok(Outcome::Done)
}

fn tables(
    statistics: &Statistics,
    missing: Option<usize>,
    table: fn(&[&str], &[Vec<String>]) -> String,
) -> String {
    let rows = |rows: Vec<(String, String)>| -> Vec<Vec<String>> {
        rows.into_iter().map(|(name, value)| vec![name, value]).collect()
    };
    let groups: Vec<Vec<String>> = statistics
        .groups
        .iter()
        .map(|g| {
            let name = g.frequency.name().into();
            vec![name, g.classes.to_string(), g.boxes.to_string(), words::percent(g.boxes, statistics.boxes)]
        })
        .collect();
    let class_rows = |classes: &[ClassStatistics]| -> Vec<Vec<String>> {
        let row = |c: &ClassStatistics| {
            vec![c.name.clone(), c.frequency.name().into(), c.images.to_string(), c.boxes.to_string()]
        };
        classes.iter().map(row).collect()
    };
    let class_heading = ["class", "group", "images", "boxes"];
    let classes = &statistics.classes;
    let largest = &classes[..classes.len().min(ENDS)];
    let smallest = &classes[classes.len().saturating_sub(ENDS).max(largest.len())..];
    let mut parts = vec![
        table(&["", ""], &rows(words::summary(statistics, missing))),
        table(&["group", "classes", "boxes", "share"], &groups),
        "largest classes".into(),
        table(&class_heading, &class_rows(largest)),
    ];
    if !smallest.is_empty() {
        parts.push("smallest classes".into());
        parts.push(table(&class_heading, &class_rows(smallest)));
    }
    let distributions: Vec<Vec<String>> = words::distributions(statistics)
        .iter()
        .filter_map(|d| {
            let quantiles = d.histogram.quantiles?.map(d.number);
            Some(std::iter::once(d.title.to_owned()).chain(quantiles).collect())
        })
        .collect();
    if !distributions.is_empty() {
        parts.push("distributions, by percentile".into());
        parts.push(table(&["", "5 %", "25 %", "median", "75 %", "95 %"], &distributions));
    }
    for (title, pairs) in words::pairs(statistics) {
        let row = |p: &longtail_curate::statistics::ClassPair| {
            vec![p.classes[0].clone(), p.classes[1].clone(), p.images.to_string(), format!("{:.1}", p.lift)]
        };
        if !pairs.is_empty() {
            parts.push(title.into());
            let rows: Vec<Vec<String>> = pairs.iter().take(PAIRS).map(row).collect();
            parts.push(table(&["class", "with", "images", "lift"], &rows));
        }
    }
    let shares = words::shares(statistics);
    if !shares.is_empty() {
        parts.push("crowds and lists".into());
        parts.push(table(&["", ""], &rows(shares)));
    }
    parts.join("\n\n")
}
