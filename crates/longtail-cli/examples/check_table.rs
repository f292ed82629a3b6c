//! Checks the JSON table of `longtail demo`: every method under both truths, metrics in range, and a detector
//! that learnt something.
//!
//! `cargo run -p longtail-cli --example check_table -- table.json`

use serde_json::Value;

const METHODS: usize = 7;
const TRUTHS: usize = 2;
const METRICS: [&str; 7] = ["AP", "AP50", "AP75", "APr", "APc", "APf", "AR@300"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the table's file")?;
    let table: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    if table.len() != METHODS * TRUTHS {
        return Err(format!("{} rows instead of {METHODS} methods under {TRUTHS} truths", table.len()).into());
    }
    for row in &table {
        for metric in METRICS {
            let value = row["metrics"][metric].as_f64();
            if !value.is_some_and(|v| (0.0..=1.0).contains(&v)) {
                return Err(format!("{}: {metric} is {:?}", row["method"], row["metrics"][metric]).into());
            }
        }
    }
    let frequent = table[0]["metrics"]["APf"].as_f64().unwrap_or(0.0);
    if frequent < 0.02 {
        return Err(format!("stage 1 has APf {frequent}: the detector learnt nothing").into());
    }
    println!("{} rows, stage 1 APf {:.1}", table.len(), 100.0 * frequent);
    Ok(())
}
