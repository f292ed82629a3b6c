//! Detections of 1,000 proposals × 1,203 classes: all classes at once against one NMS call a class, for
//! `scripts/bench_nms.py`.
//!
//! bench_nms FILE: raw little-endian f32, 1,000 boxes and then 1,000 × 1,203 scores. Prints seconds as JSON.

use std::{error::Error, time::Instant};

use longtail_detect::{
    TestConfig,
    nms::{descending, suppress},
    postprocess::{Kept, ScoredBoxes},
};

const ROIS: usize = 1000;
const CLASSES: usize = 1203;
const REPEATS: usize = 7;

/// One call a class, then the best of all.
fn loop_over_classes(boxes: &[[f32; 4]], scores: &[f32], test: &TestConfig) -> Vec<Kept> {
    let mut all: Vec<Kept> = Vec::new();
    for class in 0..CLASSES {
        let column: Vec<f32> = scores.iter().skip(class).step_by(CLASSES).copied().collect();
        let order: Vec<usize> =
            descending(&column).into_iter().filter(|&roi| column[roi] > test.score_threshold).collect();
        let kept = suppress(boxes, &order, |_| 0, test.nms_iou, ROIS);
        all.extend(kept.into_iter().map(|roi| (roi * CLASSES + class, column[roi])));
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(test.max_detections);
    all
}

fn fastest(mut work: impl FnMut() -> Vec<Kept>) -> (f64, Vec<Kept>) {
    let mut best = (f64::INFINITY, Vec::new());
    for _ in 0..REPEATS {
        let began = Instant::now();
        let found = work();
        let seconds = began.elapsed().as_secs_f64();
        if seconds < best.0 {
            best = (seconds, found);
        }
    }
    best
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: bench_nms FILE")?;
    let bytes = std::fs::read(path)?;
    let values: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let (boxes, scores) = values.split_at(ROIS * 4);
    let boxes = boxes.as_chunks::<4>().0;
    if boxes.len() != ROIS || scores.len() != ROIS * CLASSES {
        return Err("the file does not hold 1,000 boxes and 1,000 × 1,203 scores".into());
    }
    let test = TestConfig::default();
    let scored = ScoredBoxes { boxes, scores, classes: CLASSES };
    let (ours, found) = fastest(|| scored.select(&test));
    let (looped, expected) = fastest(|| loop_over_classes(boxes, scores, &test));
    if found != expected {
        return Err("the two ways differ".into());
    }
    let kept: Vec<usize> = found.iter().map(|(index, _)| *index).collect();
    let out = serde_json::json!({ "ours": ours, "loop": looped, "kept": kept });
    std::io::Write::write_all(&mut std::io::stdout(), out.to_string().as_bytes())?;
    Ok(())
}
