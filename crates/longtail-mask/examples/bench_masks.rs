//! Times what `scripts/bench_masks.py` wrote to a file; prints seconds by operation as JSON.
//!
//! ```text
//! python scripts/bench_masks.py --program target/release/examples/bench_masks
//! ```

use std::{hint::black_box, time::Instant};

use longtail_mask::{
    DILATION_RATIO, MaskError, Merge, Rle, Size, Spans, boundary_iou, iou, iou_of_spans, merge,
};
use serde::Deserialize;

/// One image's masks.
#[derive(Deserialize)]
struct Image {
    size: [u32; 2],
    /// Compressed texts.
    detections: Vec<String>,
    truths: Vec<String>,
    /// Polygons of each detection.
    polygons: Vec<Vec<Vec<f64>>>,
}

/// The shortest time of several.
fn seconds(repeats: usize, mut run: impl FnMut() -> Result<(), MaskError>) -> Result<f64, MaskError> {
    let mut best = f64::INFINITY;
    for _ in 0..repeats {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the file that the script wrote")?;
    let repeats: usize = arguments.next().unwrap_or_else(|| "5".into()).parse()?;
    let images: Vec<Image> = serde_json::from_slice(&std::fs::read(path)?)?;
    let size_of = |image: &Image| Size::new(image.size[0], image.size[1]);
    let mut read = Vec::new();
    for image in &images {
        let size = size_of(image)?;
        let masks =
            |texts: &[String]| texts.iter().map(|t| Rle::from_text(size, t)).collect::<Result<Vec<_>, _>>();
        read.push((masks(&image.detections)?, masks(&image.truths)?));
    }
    let mut bitmaps = Vec::new();
    for (detections, _) in read.iter().take(20) {
        for mask in detections {
            bitmaps.push((mask.size(), mask.decode_columns()?));
        }
    }
    let texts = seconds(repeats, || {
        for image in &images {
            for text in &image.detections {
                black_box(Rle::from_text(size_of(image)?, text)?.to_text());
            }
        }
        Ok(())
    })?;
    let overlaps = seconds(repeats, || {
        for image in &images {
            let size = size_of(image)?;
            let masks = |texts: &[String]| {
                texts.iter().map(|t| Rle::from_text(size, t)).collect::<Result<Vec<_>, _>>()
            };
            black_box(iou(
                &masks(&image.detections)?,
                &masks(&image.truths)?,
                &vec![false; image.truths.len()],
            )?);
        }
        Ok(())
    })?;
    let prepared: Vec<[Vec<Spans>; 2]> =
        read.iter().map(|(d, g)| [d, g].map(|masks| masks.iter().map(Spans::new).collect())).collect();
    let pairs = seconds(repeats, || {
        for [detections, truths] in &prepared {
            black_box(iou_of_spans(detections, truths, &vec![false; truths.len()])?);
        }
        Ok(())
    })?;
    let encoding = seconds(repeats, || {
        for (size, bitmap) in &bitmaps {
            black_box(Rle::encode_columns(*size, bitmap)?.to_text());
        }
        Ok(())
    })?;
    let decoding = seconds(repeats, || {
        for (detections, _) in read.iter().take(20) {
            for mask in detections {
                black_box(mask.decode_columns()?);
            }
        }
        Ok(())
    })?;
    let polygons = seconds(repeats, || {
        for image in &images {
            for polygons in &image.polygons {
                let parts: Vec<Rle> = polygons
                    .iter()
                    .map(|p| Rle::from_polygon(size_of(image)?, p))
                    .collect::<Result<_, _>>()?;
                black_box(merge(&parts, Merge::Union)?.to_text());
            }
        }
        Ok(())
    })?;
    let boundaries = seconds(repeats, || {
        for (detections, truths) in read.iter().take(20) {
            black_box(boundary_iou(detections, truths, &vec![false; truths.len()], DILATION_RATIO)?);
        }
        Ok(())
    })?;
    let crowd = seconds(repeats, || {
        for (detections, _) in &read {
            black_box(merge(detections, Merge::Union)?);
        }
        Ok(())
    })?;
    let times = serde_json::json!({
        "text": texts, "iou": overlaps, "iou, masks prepared": pairs, "encode": encoding, "decode": decoding,
        "polygons": polygons, "boundary iou": boundaries, "merge": crowd,
    });
    serde_json::to_writer(std::io::stdout().lock(), &times)?;
    Ok(())
}
