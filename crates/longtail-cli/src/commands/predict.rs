//! `longtail predict`

use std::{collections::BTreeSet, fs, io::Write, iter, path::Path};

use anyhow::{Context, ensure};
use longtail_data::read_image;
use longtail_run::write_atomically;
use longtail_train::Predictor;
use serde::Serialize;

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

/// Detects objects and draws them. An image that cannot be read is named and left out; the exit code tells.
pub fn run(arguments: &Predict, printer: &Printer) -> anyhow::Result<Outcome> {
    let predictor =
        Predictor::load(&arguments.run, arguments.classifier.as_deref(), &arguments.device.open(printer)?)?;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot create {}", arguments.out.display()))?;
    printer.note(&format!("classifier: {}", predictor.classifier));
    let (mut all, mut taken, mut failed) = (Vec::new(), BTreeSet::new(), 0);
    for path in &arguments.images {
        let image = match read_image(path) {
            Ok(image) => image,
            Err(error) => {
                failed += 1;
                printer.error(&error.into());
                continue;
            }
        };
        let found = predictor.detect(image.clone());
        let mut shown = Vec::new();
        for ((&xyxy, &label), &score) in found.boxes.iter().zip(&found.labels).zip(&found.scores) {
            if score < arguments.score_threshold || shown.len() == arguments.max_boxes {
                break;
            }
            let class = &predictor.classes[label as usize];
            all.push(Prediction {
                image: path.display().to_string(),
                category_id: class.category_id,
                category: class.name.clone(),
                bbox: [xyxy[0], xyxy[1], xyxy[2] - xyxy[0], xyxy[3] - xyxy[1]],
                score,
            });
            shown.push(Labelled { xyxy, label, text: format!("{} {:.0}", class.name, 100.0 * score) });
        }
        let target = arguments.out.join(unused_name(path, &mut taken));
        let count = shown.len();
        draw_boxes(image, &shown, &target)?;
        printer.note(&format!("{}: {count} boxes → {}", path.display(), target.display()));
    }
    let file = arguments.out.join("detections.json");
    let json = serde_json::to_vec_pretty(&all)?;
    write_atomically(&file, |f| f.write_all(&json))?;
    printer.note(&format!("detections: {}", file.display()));
    ensure!(
        failed == 0,
        "{failed} of {} images could not be read; the others are done",
        arguments.images.len()
    );
    Ok(Outcome::Done)
}

/// A name for the drawn copy: images of different folders can share theirs.
fn unused_name(path: &Path, taken: &mut BTreeSet<String>) -> String {
    let stem = path.file_stem().map_or_else(|| "image".into(), |stem| stem.to_string_lossy());
    let numbered = (2..).map(|n: u32| format!("{stem}-{n}.png"));
    let mut names = iter::once(format!("{stem}.png")).chain(numbered);
    names.find(|name| taken.insert(name.clone())).unwrap_or_default()
}
