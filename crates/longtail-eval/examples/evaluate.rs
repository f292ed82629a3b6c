//! The evaluator alone, as a program of a few lines: `evaluate PROTOCOL TRUTH DETECTIONS [IOU_TYPE]` prints
//! the report as JSON, and the seconds of each phase on standard error. `longtail eval` does the same and
//! more; this one builds in a minute.

use std::{error::Error, path::Path, time::Instant};

use longtail_eval::{
    Chosen, Evaluation, GroundTruth, IouType, Protocol, Settings,
    reading::ground_truth::open_masked_ground_truth,
};

/// As in `longtail`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (protocol, truth, detections, iou_type) = match arguments.as_slice() {
        [protocol, truth, detections] => (protocol, truth, detections, IouType::Bbox),
        [protocol, truth, detections, iou_type] => (protocol, truth, detections, iou_type.parse()?),
        _ => return Err("expected a protocol, ground truth, detections and perhaps a type of IoU".into()),
    };
    let protocol: Protocol = protocol.parse()?;
    let settings = Settings { iou_type, ..Settings::strict(protocol) };
    let mut last = Instant::now();
    let mut lap = |phase: &str| {
        eprint!("{phase} {:.3} s, ", last.elapsed().as_secs_f64());
        last = Instant::now();
    };
    let truth = if iou_type.needs_masks() {
        GroundTruth::masked(
            &open_masked_ground_truth(Path::new(truth), &Default::default())?,
            &Chosen::default(),
        )?
    } else {
        GroundTruth::new(&longtail_formats::read_annotations(Path::new(truth))?)?
    };
    lap("read ground truth");
    let evaluation = Evaluation::read(&truth, Path::new(detections), &settings)?;
    lap("read and match detections");
    eprint!("of that match {:.3} s, ", evaluation.matching().as_secs_f64());
    let report = evaluation.report(None);
    lap("accumulate");
    eprintln!();
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
