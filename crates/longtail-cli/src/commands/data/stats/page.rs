//! The page of `longtail data stats --html`.

use std::{io::Write, path::Path};

use longtail_curate::Statistics;
use longtail_report::dataset::{self, ClassRow, DatasetData, Distribution, PairRow, thousands};
use longtail_run::write_atomically;

use super::words;
use crate::{args::DataStats, printer::Printer};

/// Renders and writes the page.
pub fn write(
    arguments: &DataStats,
    statistics: &Statistics,
    missing: Option<usize>,
    path: &Path,
    printer: &Printer,
) -> anyhow::Result<()> {
    let page = dataset::html(&data(arguments, statistics, missing))?;
    write_atomically(path, |file| file.write_all(page.as_bytes()))?;
    printer.note(&format!("page: {}", path.display()));
    Ok(())
}

fn data(arguments: &DataStats, statistics: &Statistics, missing: Option<usize>) -> DatasetData {
    let name = arguments.annotations.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let distribution = |d: &words::Named<'_>| Distribution {
        title: d.title.to_owned(),
        axis: d.axis.to_owned(),
        edges: d.histogram.edges.iter().map(|&edge| edge_text(edge)).collect(),
        counts: d.histogram.counts.clone(),
        summary: d.histogram.quantiles.map_or_else(String::new, |q| {
            let [p5, _, median, _, p95] = q.map(d.number);
            format!("median {median}, 5–95 %: {p5}–{p95}")
        }),
    };
    let pairs = |pairs: &[longtail_curate::statistics::ClassPair]| -> Vec<PairRow> {
        pairs.iter().map(|p| PairRow { classes: p.classes.clone(), images: p.images, lift: p.lift }).collect()
    };
    let mut command = format!("longtail data stats {name} --html");
    if arguments.images.is_some() {
        command.push_str(" … --images …");
    }
    DatasetData {
        title: format!("{name}: a look at the data"),
        figures: figures(statistics, missing),
        remarks: remarks(statistics),
        classes: statistics
            .classes
            .iter()
            .map(|c| ClassRow { name: c.name.clone(), images: c.images, boxes: c.boxes })
            .collect(),
        distributions: words::distributions(statistics).iter().map(distribution).collect(),
        pairs: words::pairs(statistics).iter().map(|(title, rows)| (capital(title), pairs(rows))).collect(),
        shares: words::shares(statistics).into_iter().map(|(name, value)| (capital(&name), value)).collect(),
        facts: vec![
            ("file".into(), name),
            ("command".into(), command),
            ("version".into(), format!("longtail {}", env!("CARGO_PKG_VERSION"))),
        ],
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next();
    first.into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// The large numbers at the top.
fn figures(statistics: &Statistics, missing: Option<usize>) -> Vec<(String, String)> {
    let figure = |name: &str, value: String| (name.to_owned(), value);
    let mut figures = vec![
        figure("images", thousands(statistics.images as u64)),
        figure("boxes", thousands(statistics.boxes)),
        figure("classes", thousands(statistics.classes.len() as u64)),
        figure(
            "imbalance ratio",
            statistics
                .imbalance_ratio
                .map_or("–".into(), |r| format!("{} : 1", thousands(r.round() as u64))),
        ),
        figure("Gini coefficient", format!("{:.3}", statistics.gini)),
        figure("images without boxes", thousands(statistics.images_without_boxes as u64)),
    ];
    if let Some(missing) = missing {
        figures.push(figure("missing image files", thousands(missing as u64)));
    }
    figures
}

/// What the counts mean, where they mean something.
fn remarks(statistics: &Statistics) -> Vec<String> {
    let mut remarks = Vec::new();
    let classes = &statistics.classes;
    // Half of the boxes belong to the first classes in falling order.
    let mut sum = 0;
    let half = classes.iter().position(|class| {
        sum += class.boxes;
        2 * sum >= statistics.boxes
    });
    if let (Some(half), true) = (half, statistics.boxes > 0) {
        let without = classes.iter().filter(|class| class.boxes == 0).count();
        let mut text = match half {
            0 => format!("{} has half of all boxes or more", classes[0].name),
            _ => format!("The largest {} of {} classes have half of all boxes", half + 1, classes.len()),
        };
        if without > 0 {
            text.push_str(&format!("; {without} have none"));
        }
        remarks.push(text + ".");
    }
    let left_out = statistics.co_occurrence.images_left_out;
    if left_out > 0 {
        remarks.push(format!(
            "{left_out} images with more than 256 classes are left out of the pairs of classes."
        ));
    }
    remarks
}

/// An edge of a bin in few characters.
fn edge_text(edge: f64) -> String {
    let text = if edge >= 10.0 { format!("{edge:.0}") } else { format!("{edge:.2}") };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
