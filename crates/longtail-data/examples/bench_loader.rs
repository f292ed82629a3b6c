//! Images a second and memory of the loader on a folder of photographs, one JSON line at each of the asked
//! counts.
//!
//! `cargo run --release -p longtail-data --example bench_loader -- FOLDER --workers 2 --batch 8 --report
//! 64,1000`
//!
//! Each image is decoded, scaled to 800 × 1333, mirrored half of the time, normalised and joined to a batch;
//! images come again as often as the counts need. With `--recipe FILE`, a JSON file with a `transform` of a
//! recipe, that is measured instead. The rate is that since the count before, so that the first one is the
//! warm-up.

use std::{
    hint::black_box,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use longtail_annotations::{Annotation, AnnotationSet, Category, ImageRecord, Layout};
use longtail_data::{BatchPlan, Dataset, ImageFolder, Loader, Sampler, Transform};

// As in the program itself.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut folder = None;
    let (mut workers, mut batch, mut counts) = (2, 8, vec![64, 1000]);
    let mut transform = Transform::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--workers" => workers = value()?.parse()?,
            "--batch" => batch = value()?.parse()?,
            "--report" => counts = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
            "--recipe" => transform = serde_json::from_slice(&std::fs::read(value()?)?)?,
            _ => folder = Some(PathBuf::from(argument)),
        }
    }
    let dataset = Arc::new(photographs(&folder.ok_or("give a folder of images")?)?);
    let plan = BatchPlan::new(&dataset, &Sampler::Shuffled, batch, 0)?;
    let loader = Loader::train(dataset, plan, transform, 0, workers)?;
    let (mut done, mut pixels) = (0_usize, 0_usize);
    let (mut last, mut since) = (0, Instant::now());
    for joined in loader {
        let joined = joined?;
        done += joined.images.len();
        pixels += black_box(&joined.pixels).len();
        if let Some(&count) = counts.first().filter(|count| **count <= done) {
            let seconds = since.elapsed().as_secs_f64();
            let line = serde_json::json!({
                "images": done,
                "images_per_second": (done - last) as f64 / seconds,
                "resident_mb": resident_mb(),
                "mean_padded_pixels": pixels / 3 / done,
            });
            println!("{line}");
            counts.retain(|c| *c > count);
            (last, since) = (done, Instant::now());
            if counts.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

/// The images of a folder with a box each.
fn photographs(folder: &Path) -> Result<Dataset, Failure> {
    let mut names: Vec<String> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| [".jpg", ".jpeg", ".png", ".webp"].iter().any(|end| name.ends_with(end)))
        .collect();
    names.sort();
    let mut images = Vec::new();
    let mut annotations = Vec::new();
    for (place, file_name) in names.into_iter().enumerate() {
        let (width, height) = image::image_dimensions(folder.join(&file_name))?;
        let id = place as i64 + 1;
        let (neg_category_ids, not_exhaustive_category_ids) = (None, None);
        images.push(ImageRecord {
            id,
            file_name,
            width,
            height,
            neg_category_ids,
            not_exhaustive_category_ids,
        });
        let bbox = [0.2, 0.2, 0.5, 0.4];
        let bbox = [0, 1, 2, 3].map(|i| bbox[i] * f64::from([width, height][i % 2]));
        annotations.push(Annotation {
            id,
            image_id: id,
            category_id: 1,
            bbox,
            area: None,
            iscrowd: false,
            ignore: false,
        });
    }
    let categories = vec![Category { id: 1, name: "photograph".into(), frequency: None }];
    let set = AnnotationSet { path: None, layout: Layout::Coco, images, annotations, categories };
    Ok(Dataset::new(set, Arc::new(ImageFolder::new(folder)))?)
}

/// Resident memory of this process in MB, where the system tells it.
fn resident_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kb| kb / 1024)
}
