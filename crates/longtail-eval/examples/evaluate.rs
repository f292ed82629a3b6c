//! The evaluator alone, as a program of a few lines: `evaluate PROTOCOL TRUTH DETECTIONS` prints the report
//! as JSON, and the seconds of each phase on standard error. `longtail eval` does the same and more; this one
//! builds in a minute.

use std::{error::Error, path::Path, time::Instant};

use longtail_eval::{Evaluation, GroundTruth, Protocol, Settings};

/// As in `longtail`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, truth, detections] = arguments.as_slice() else {
        return Err("expected a protocol, ground truth and detections".into());
    };
    let protocol: Protocol = protocol.parse()?;
    let mut last = Instant::now();
    let mut lap = |phase: &str| {
        eprint!("{phase} {:.3} s, ", last.elapsed().as_secs_f64());
        last = Instant::now();
    };
    let truth = GroundTruth::new(&longtail_formats::read_annotations(Path::new(truth))?)?;
    lap("read ground truth");
    let evaluation = Evaluation::read(&truth, Path::new(detections), &Settings::strict(protocol))?;
    lap("read and match detections");
    eprint!("of that match {:.3} s, ", evaluation.matching().as_secs_f64());
    let report = evaluation.report(None);
    lap("accumulate");
    eprintln!();
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
