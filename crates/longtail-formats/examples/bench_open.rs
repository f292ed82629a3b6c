//! Opens an annotation file and prints seconds, counts and the largest resident set as JSON. `LONGTAIL_INDEX` says where
//! its index is, or `off`.
//!
//! `cargo run --release -p longtail-data --example bench_open -- FILE`

use std::{path::Path, time::Instant};

use longtail_formats::IndexPlace;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("give the annotation file")?;
    let start = Instant::now();
    let (set, used) = longtail_formats::read_indexed(Path::new(&path), &IndexPlace::from_environment())?;
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0").replace("kB", "");
    println!(
        r#"{{"seconds": {seconds:.4}, "peak_mb": {:.1}, "images": {}, "boxes": {}, "index": "{}"}}"#,
        peak.trim().parse::<f64>()? / 1e3,
        set.images.len(),
        set.annotations.len(),
        format!("{used:?}").split('(').next().unwrap_or_default()
    );
    Ok(())
}
