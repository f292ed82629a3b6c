//! The metrics table.

use std::collections::BTreeSet;

use longtail_eval::{Metric, metric};
use serde_json::{Map, Value, json};

use crate::data::ReportData;

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
            Self::Value(value) => percent(value),
            Self::Spread { mean, deviation } => format!("{} ± {}", percent(mean), percent(deviation)),
        }
    }

    /// The value or mean in tenths of a percent, as it is shown.
    fn tenths(self) -> Option<i64> {
        match self {
            Self::Missing => None,
            Self::Value(value) | Self::Spread { mean: value, .. } => Some(tenths(value)),
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

/// A share in tenths of a percent.
fn tenths(value: f64) -> i64 {
    (1000.0 * value).round() as i64
}

/// A share in percent with one digit.
fn percent(value: f64) -> String {
    format!("{:.1}", tenths(value) as f64 / 10.0)
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
    /// The metrics, in their order.
    pub columns: Vec<Metric>,
    /// Rows, truth by truth.
    pub rows: Vec<Row>,
}

impl Table {
    /// The table of one run.
    pub fn of(data: &ReportData) -> Self {
        let reports = || data.methods.iter().flat_map(|m| m.reports.values());
        let main: BTreeSet<Metric> =
            reports().flat_map(|report| metric::main(report.metrics.keys())).collect();
        let columns: Vec<Metric> = main.into_iter().collect();
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
        heading.extend(self.columns.iter().map(Metric::to_string));
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![row.truth.clone(), row.method.clone(), row.background.clone()];
            cells.extend(row.cells.iter().map(|cell| cell.text()));
            cells
        });
        (heading, rows.collect())
    }

    /// Whether a cell is the best of its column under its truth, as shown: differences below the shown digit
    /// mark both.
    pub fn is_best(&self, row: usize, column: usize) -> bool {
        let of_column = self.rows.iter().filter(|other| other.truth == self.rows[row].truth);
        let best = of_column.filter_map(|other| other.cells[column].tenths()).max();
        best.is_some() && self.rows[row].cells[column].tenths() == best
    }

    /// A Markdown table; values in percent, the best of each column under its truth in bold.
    pub fn markdown(&self) -> String {
        let (heading, mut rows) = self.text_cells();
        for (r, cells) in rows.iter_mut().enumerate() {
            for c in (0..self.columns.len()).filter(|&c| self.is_best(r, c)) {
                cells[c + 3] = format!("**{}**", cells[c + 3]);
            }
        }
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
            heading.push(column.to_string());
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
                metrics.insert(column.to_string(), cell.json());
            }
            json!({"truth": row.truth, "method": row.method, "background": row.background, "metrics": metrics})
        });
        rows.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_is_found_by_value_as_it_is_shown_and_by_mean() {
        let row = |truth: &str, cell| Row {
            truth: truth.into(),
            method: String::new(),
            background: String::new(),
            cells: vec![cell],
        };
        let spread = |mean| Cell::Spread { mean, deviation: 0.05 };
        let rows = vec![
            row("a", Cell::Value(0.09)),
            row("a", Cell::Value(0.1001)),
            row("a", Cell::Value(0.1004)),
            row("b", spread(0.2)),
            row("b", spread(0.3)),
            row("b", Cell::Missing),
            row("c", Cell::Missing),
        ];
        let table = Table { columns: vec![Metric::AP], rows };
        let best: Vec<bool> = (0..table.rows.len()).map(|row| table.is_best(row, 0)).collect();
        assert_eq!(best, [false, true, true, false, true, false, false]);
        assert!(table.markdown().contains("| **30.0 ± 5.0** |"));
    }
}
