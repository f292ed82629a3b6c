//! Tables on the terminal.

use comfy_table::{
    CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table as Terminal, TableStyle,
};
use longtail_report::Table;

use crate::{
    args::Format,
    printer::{Printer, columns},
};

const RULE: LineStyle = LineStyle::none().fill('─').junction('─');
/// Rules above, below and under the heading, as in print.
const RULED: TableStyle = TableStyle::new().top_border(RULE).header_separator(RULE).bottom_border(RULE);

/// A table for people, as wide as the terminal at most: columns of numbers are right-aligned.
pub fn text(heading: &[&str], rows: &[Vec<String>]) -> String {
    ruled(heading, rows, columns()).to_string()
}

/// A table of names and sentences in so many columns: names stay whole, sentences wrap.
pub fn sentences(heading: &[&str], rows: &[Vec<String>], columns: usize) -> String {
    let mut table = ruled(heading, rows, Some(columns));
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.to_string()
}

fn ruled(heading: &[&str], rows: &[Vec<String>], columns: Option<usize>) -> Terminal {
    let mut table = Terminal::new();
    table.load_style(RULED).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(columns) = columns {
        table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    }
    if heading.iter().any(|h| !h.is_empty()) {
        table.set_header(heading);
    }
    for row in rows {
        table.add_row(row);
    }
    for index in 0..heading.len() {
        let numbers = rows.iter().all(|row| row[index].starts_with(|c: char| c.is_ascii_digit() || c == '–'));
        if let Some(column) = table.column_mut(index).filter(|_| numbers && !rows.is_empty()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A table for documents.
pub fn markdown(heading: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
    let mut lines = vec![line(heading.to_vec()), line(vec!["---"; heading.len()])];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// Prints the metrics table.
pub fn print_table(table: &Table, format: Format, printer: &Printer) -> anyhow::Result<()> {
    let output = match format {
        Format::Json => serde_json::to_string_pretty(&table.json())?,
        Format::Csv => table.csv(),
        Format::Markdown => table.markdown(),
        Format::Text => {
            let (heading, rows) = table.text_cells();
            // The truth heads a block of its own instead of filling a column.
            let heading: Vec<&str> = heading[1..].iter().map(String::as_str).collect();
            let mut parts = Vec::new();
            for block in rows.chunk_by(|a, b| a[0] == b[0]) {
                let rows: Vec<Vec<String>> = block.iter().map(|row| row[1..].to_vec()).collect();
                parts.push(format!("{}\n{}", block[0][0], text(&heading, &rows)));
            }
            parts.join("\n\n")
        }
    };
    printer.data(&output)?;
    Ok(())
}
