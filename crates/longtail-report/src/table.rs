//! The metrics table.

use serde_json::{Map, Value, json};

use crate::data::ReportData;

/// Columns in the order people read them; those that no report has are left out.
const COLUMNS: [&str; 12] =
    ["mAP50", "mAP50r", "mAP50c", "mAP50f", "AP", "AP50", "AP75", "APr", "APc", "APf", "AR@300", "AR@100"];

/// A value of a table: a number in `0..=1`, or a mean with its standard deviation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Undefined.
    Missing,
    /// A single run.
    Value(f64),
    /// Several runs.
    Spread {
        /// Mean.
        mean: f64,
        /// Sample standard deviation (n - 1).
        deviation: f64,
    },
}

impl Cell {
    /// Percent with one digit; a dash for undefined.
    pub fn text(self) -> String {
        match self {
            Self::Missing => "–".into(),
            Self::Value(value) => format!("{:.1}", 100.0 * value),
            Self::Spread { mean, deviation } => format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * deviation),
        }
    }

    fn json(self) -> Value {
        match self {
            Self::Missing => Value::Null,
            Self::Value(value) => value.into(),
            Self::Spread { mean, deviation } => json!({"mean": mean, "std": deviation}),
        }
    }
}

/// A row: a method under a truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Readable name of the truth.
    pub truth: String,
    /// Method.
    pub method: String,
    /// How background RoIs are treated.
    pub background: String,
    /// One cell a column.
    pub cells: Vec<Cell>,
}

/// Methods × metrics, under each truth.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the metrics.
    pub columns: Vec<String>,
    /// Rows, truth by truth.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of one run.
    pub fn of(data: &ReportData) -> Self {
        let reports = || data.methods.iter().flat_map(|m| m.reports.values());
        let columns: Vec<String> = COLUMNS
            .into_iter()
            .filter(|column| reports().any(|report| report.metrics.contains_key(*column)))
            .map(str::to_owned)
            .collect();
        let mut rows = Vec::new();
        for truth in &data.truths {
            for method in &data.methods {
                let Some(report) = method.reports.get(&truth.name) else { continue };
                let cells =
                    columns.iter().map(|c| report.metric(c).map_or(Cell::Missing, Cell::Value)).collect();
                rows.push(Row {
                    truth: truth.label.clone(),
                    method: method.name.clone(),
                    background: method.background.clone(),
                    cells,
                });
            }
        }
        Self { columns, rows }
    }

    /// Heading and rows as text.
    pub fn text_cells(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut heading = vec!["truth".to_owned(), "method".into(), "background".into()];
        heading.extend(self.columns.iter().cloned());
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![row.truth.clone(), row.method.clone(), row.background.clone()];
            cells.extend(row.cells.iter().map(|cell| cell.text()));
            cells
        });
        (heading, rows.collect())
    }

    /// A Markdown table; values in percent.
    pub fn markdown(&self) -> String {
        let (heading, rows) = self.text_cells();
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | ").replace('\n', " "));
        let rule: Vec<String> =
            (0..heading.len()).map(|i| if i < 3 { "---".into() } else { "---:".into() }).collect();
        let mut text = line(&heading);
        text.push_str(&line(&rule));
        rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }

    /// Comma-separated values at full precision; mean and standard deviation in columns of their own.
    pub fn csv(&self) -> String {
        let spread = self.rows.iter().flat_map(|r| &r.cells).any(|c| matches!(c, Cell::Spread { .. }));
        let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut heading = vec!["truth".to_owned(), "method".into(), "background".into()];
        for column in &self.columns {
            heading.push(column.clone());
            if spread {
                heading.push(format!("{column} std"));
            }
        }
        let mut text = heading.join(",") + "\n";
        for row in &self.rows {
            let mut cells = vec![quote(&row.truth), quote(&row.method), quote(&row.background)];
            for cell in &row.cells {
                let (value, deviation) = match cell {
                    Cell::Missing => (String::new(), String::new()),
                    Cell::Value(value) => (value.to_string(), String::new()),
                    Cell::Spread { mean, deviation } => (mean.to_string(), deviation.to_string()),
                };
                cells.push(value);
                if spread {
                    cells.push(deviation);
                }
            }
            text.push_str(&(cells.join(",") + "\n"));
        }
        text
    }

    /// A JSON list of rows at full precision.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let mut metrics = Map::new();
            for (column, cell) in self.columns.iter().zip(&row.cells) {
                metrics.insert(column.clone(), cell.json());
            }
            json!({"truth": row.truth, "method": row.method, "background": row.background, "metrics": metrics})
        });
        rows.collect()
    }
}
