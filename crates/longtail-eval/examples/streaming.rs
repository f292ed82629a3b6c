//! What feeding an evaluation batch by batch costs: `streaming PROTOCOL TRUTH DETECTIONS IMAGES` scores boxes in
//! one shot from memory, then in updates of so many images, and prints the seconds of both, the shortest of
//! five, without reading files.

use std::{collections::HashMap, error::Error, path::Path, time::Instant};

use longtail_eval::{
    Detection, Detections, EvalError, Evaluation, GroundTruth, Protocol, Settings, Shard,
    StreamingEvaluation, read_detections,
};

/// As in `longtail`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, truth, detections, images] = arguments.as_slice() else {
        return Err("expected a protocol, ground truth, detections and images an update".into());
    };
    let (protocol, images): (Protocol, usize) = (protocol.parse()?, images.parse()?);
    let settings = Settings::strict(protocol);
    let set = longtail_formats::read_annotations(Path::new(truth))?;
    let truth = GroundTruth::new(&set)?;
    let detections = read_detections(Path::new(detections))?;
    let mut of_image: HashMap<i64, Vec<Detection>> = HashMap::new();
    detections.iter().for_each(|found| of_image.entry(found.image_id).or_default().push(*found));
    let ids: Vec<i64> = set.images.iter().map(|image| image.id).collect();
    let batches: Vec<(&[i64], Vec<Detection>)> = ids
        .chunks(images)
        .map(|ids| (ids, ids.iter().filter_map(|id| of_image.get(id)).flatten().copied().collect()))
        .collect();

    let whole = || {
        let mut all = Detections::new(&truth, Shard::WHOLE);
        all.extend(&detections)?;
        Ok(Evaluation::new(&all, &settings)?.report(None))
    };
    let streamed = || {
        let mut evaluation = StreamingEvaluation::for_truth(&truth, &settings)?;
        for (ids, found) in &batches {
            evaluation.update_known(&truth, ids, found)?;
        }
        Ok(evaluation.finish()?.report(None))
    };
    let (one, first) = shortest(whole)?;
    let (many, second) = shortest(streamed)?;
    assert_eq!(first, second, "the bits differ");
    println!("one shot {one:.3} s, {} updates {many:.3} s, {:.2} times", batches.len(), many / one);
    Ok(())
}

/// Wall seconds of the shortest of five runs, and what it gave.
fn shortest<T>(run: impl Fn() -> Result<T, EvalError>) -> Result<(f64, T), EvalError> {
    let timed = || {
        let start = Instant::now();
        run().map(|found| (start.elapsed().as_secs_f64(), found))
    };
    let mut best = timed()?;
    for _ in 1..5 {
        let next = timed()?;
        if next.0 < best.0 {
            best = next;
        }
    }
    Ok(best)
}
