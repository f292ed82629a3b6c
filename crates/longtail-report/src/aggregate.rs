//! Mean ± standard deviation over runs of one recipe with different seeds.

use crate::{
    ReportError,
    data::ReportData,
    table::{Cell, Table},
};

/// Averages the tables of several runs cell by cell.
///
/// # Errors
/// If the runs do not have the same methods, truths and metrics.
pub fn aggregate(runs: &[ReportData]) -> Result<Table, ReportError> {
    let tables: Vec<Table> = runs.iter().map(Table::of).collect();
    let Some((first, rest)) = tables.split_first() else {
        return Ok(Table { columns: vec![], rows: vec![] });
    };
    let names = |table: &Table| -> Vec<(String, String, String)> {
        table.rows.iter().map(|r| (r.truth.clone(), r.method.clone(), r.background.clone())).collect()
    };
    for (place, table) in rest.iter().enumerate() {
        if table.columns != first.columns || names(table) != names(first) {
            return Err(ReportError::Mismatch {
                run: place + 2,
                reason: "has other methods or metrics".into(),
            });
        }
    }
    let mut averaged = first.clone();
    for (r, row) in averaged.rows.iter_mut().enumerate() {
        for (c, cell) in row.cells.iter_mut().enumerate() {
            let values: Vec<f64> = tables
                .iter()
                .filter_map(|t| if let Cell::Value(value) = t.rows[r].cells[c] { Some(value) } else { None })
                .collect();
            *cell = spread(&values);
        }
    }
    Ok(averaged)
}

/// Mean and sample standard deviation (n - 1) of values; one value has no deviation.
pub fn spread(values: &[f64]) -> Cell {
    match values {
        [] => Cell::Missing,
        [value] => Cell::Value(*value),
        _ => {
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1.0);
            Cell::Spread { mean, deviation: variance.sqrt() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_is_the_sample_standard_deviation() {
        assert_eq!(spread(&[0.25]), Cell::Value(0.25));
        let Cell::Spread { mean, deviation } = spread(&[0.1, 0.2, 0.3]) else { panic!("a spread") };
        assert!((mean - 0.2).abs() < 1e-12 && (deviation - 0.1).abs() < 1e-12);
        assert_eq!(Cell::Spread { mean: 0.2, deviation: 0.0123 }.text(), "20.0 ± 1.2");
        assert_eq!(spread(&[]).text(), "–");
    }
}
