//! The HTML page: one file, nothing loaded from elsewhere.

use askama::Template;
use base64::{Engine, engine::general_purpose::STANDARD};
use longtail_eval::Metric;

use crate::{
    ReportError,
    data::{DrawnBox, Panel, ReportData},
    groups::ranges,
    plots,
    table::Table,
};

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    data: &'a ReportData,
    ranges: String,
    columns: &'a [Metric],
    blocks: Vec<Block>,
    signatures: Vec<(String, String)>,
    losses: Vec<(String, String)>,
    validation: Vec<(String, String)>,
    kept: Vec<(String, String)>,
    galleries: Vec<(String, Vec<Picture>)>,
}

/// Rows of one truth.
struct Block {
    truth: String,
    rows: Vec<(String, String, Vec<MarkedCell>)>,
}

/// A cell, marked if it is the best of its column.
struct MarkedCell {
    text: String,
    best: bool,
}

struct Picture {
    caption: String,
    source: String,
    width: u32,
    height: u32,
    panels: Vec<(String, Vec<Overlay>)>,
}

/// A box with the position of its text.
struct Overlay {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    text_y: f64,
    font: f64,
    label: String,
    kind: String,
}

/// Renders the page. Names from the data are escaped.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn html(data: &ReportData) -> Result<String, ReportError> {
    let table = Table::of(data);
    let mut signatures = Vec::new();
    for truth in &data.truths {
        if let Some(svg) = plots::signature(data, &truth.name)? {
            signatures.push((truth.label.clone(), svg));
        }
    }
    let page = Page {
        data,
        ranges: ranges(),
        columns: &table.columns,
        blocks: data.truths.iter().map(|truth| block(&table, &truth.label)).collect(),
        signatures,
        losses: plots::curves(&data.losses, "iteration")?,
        validation: plots::curves(&data.validation, "iteration")?,
        kept: plots::curves(&data.kept_negatives, "iteration")?,
        galleries: data
            .galleries
            .iter()
            .map(|g| (g.title.clone(), g.images.iter().map(picture).collect()))
            .collect(),
    };
    Ok(page.render()?)
}

fn block(table: &Table, truth: &str) -> Block {
    let marked = |r: usize| {
        let cells = table.rows[r].cells.iter().enumerate();
        cells.map(|(c, cell)| MarkedCell { text: cell.text(), best: table.is_best(r, c) }).collect()
    };
    let rows = table.rows.iter().enumerate().filter(|(_, row)| row.truth == truth);
    Block {
        truth: truth.to_owned(),
        rows: rows.map(|(r, row)| (row.method.clone(), row.background.clone(), marked(r))).collect(),
    }
}

fn picture(image: &crate::data::GalleryImage) -> Picture {
    let font = f64::from(image.width.max(image.height)) / 27.0;
    let overlay = |b: &DrawnBox| {
        let [x, y, width, height] = b.bbox;
        let text_y = if y > font { y - 0.25 * font } else { y + height + 0.9 * font };
        Overlay { x, y, width, height, text_y, font, label: b.label.clone(), kind: b.kind.clone() }
    };
    let panel = |panel: &Panel| (panel.title.clone(), panel.boxes.iter().map(overlay).collect());
    Picture {
        caption: image.caption.clone(),
        source: format!("data:{};base64,{}", image.mime, STANDARD.encode(&image.bytes)),
        width: image.width,
        height: image.height,
        panels: image.panels.iter().map(panel).collect(),
    }
}
