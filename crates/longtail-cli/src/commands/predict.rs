//! `longtail predict`

use std::fs;

use anyhow::Context;
use burn::tensor::Device;
use longtail_data::read_image;
use longtail_train::{Predictor, run_folder::write_atomically};
use serde::Serialize;
use std::io::Write;

use crate::{
    Outcome,
    args::Predict,
    draw::{Labelled, draw_boxes},
    printer::Printer,
};

#[derive(Serialize)]
struct Prediction {
    image: String,
    category_id: i64,
    category: String,
    bbox: [f32; 4],
    score: f32,
}

/// Detects objects and draws them.
pub fn run(arguments: &Predict, printer: &Printer) -> anyhow::Result<Outcome> {
    let predictor = Predictor::load(&arguments.run, arguments.classifier.as_deref(), &Device::flex())?;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot create {}", arguments.out.display()))?;
    printer.note(&format!("classifier: {}", predictor.classifier));
    let mut all = Vec::new();
    for path in &arguments.images {
        let image = read_image(path)?;
        let found = predictor.detect(image.clone());
        let shown: Vec<Labelled> = found
            .boxes
            .iter()
            .zip(&found.labels)
            .zip(&found.scores)
            .filter(|(_, score)| **score >= arguments.score_threshold)
            .take(arguments.max_boxes)
            .map(|((xyxy, &label), &score)| {
                let class = &predictor.classes[label as usize];
                all.push(Prediction {
                    image: path.display().to_string(),
                    category_id: class.category_id,
                    category: class.name.clone(),
                    bbox: [xyxy[0], xyxy[1], xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]],
                    score,
                });
                Labelled { xyxy: *xyxy, label, text: format!("{} {:.0}", class.name, 100.0 * score) }
            })
            .collect();
        let name = path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy());
        let target = arguments.out.join(format!("{name}.png"));
        let count = shown.len();
        draw_boxes(image, &shown, &target)?;
        printer.note(&format!("{}: {count} boxes → {}", path.display(), target.display()));
    }
    let file = arguments.out.join("detections.json");
    let json = serde_json::to_vec_pretty(&all)?;
    write_atomically(&file, |f| f.write_all(&json))?;
    Ok(Outcome::Done)
}
