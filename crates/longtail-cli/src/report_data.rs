//! Turns a run folder into what a report shows.

use std::{collections::BTreeMap, path::Path};

use longtail_annotations::{Annotation, FrequencyGroup};
use longtail_bank::{Class, ClassTable};
use longtail_eval::{Detection, Metric, Scoring, confusions, metric, read_detections};
use longtail_loss::{Background, LossConfig};
use longtail_report::{
    Cell, ConfusedPair, Curve, DrawnBox, Gallery, GalleryImage, Method, Panel, ReportData, TruthName, spread,
};
use longtail_run::{ClassifierResult, MetricsLog, Observer, Record, Results};
use longtail_train::{Recipe, data::Validation};

use crate::draw::encode_png;

/// Images in each gallery.
const GALLERY: usize = 4;
/// Pairs of confused classes.
const PAIRS: usize = 10;
/// IoU from which a drawn box counts as right.
const RIGHT_IOU: f64 = 0.5;

/// Everything that a report shows about a run; without `pictures`, what its table needs.
///
/// # Errors
/// If the folder is not a finished run or its data is gone.
pub fn of_run(run: &Path, pictures: bool, observer: &mut dyn Observer) -> anyhow::Result<ReportData> {
    let results = Results::read(run)?;
    let compared = compared(&results.classifiers);
    let mut data = ReportData {
        title: title(run),
        facts: facts(&results),
        truths: truths(&results),
        methods: results.classifiers.iter().map(method).collect(),
        train_images: train_images(&results.classes),
        compared,
        ..ReportData::default()
    };
    data.remarks = remark(std::slice::from_ref(&results)).into_iter().collect();
    if pictures {
        let records = MetricsLog::read(&run.join("metrics.jsonl"))?;
        curves(&records, &mut data);
        data.facts.extend(step_times(&records));
        let recipe = Recipe::read(&run.join("config.toml"), &[])?;
        let validation = Validation::open(&recipe.data, results.seed, &results.classes, observer)?;
        if let (Some(validation), Some(pair)) = (validation, compared) {
            pictures_of(run, &results, &validation, pair, &mut data)?;
        }
    }
    Ok(data)
}

/// The baseline and the method that is held against it. The method: the last ACSL with the authors' background, else
/// the last classifier. The baseline: softmax trained for the same steps if the run has it, else the first classifier.
pub fn compared(classifiers: &[ClassifierResult]) -> Option<(usize, usize)> {
    let authors = |c: &ClassifierResult| matches!(&c.loss, LossConfig::Acsl(acsl) if acsl.background == Background::FrequencySampled);
    let last = classifiers.iter().rposition(authors).or(classifiers.len().checked_sub(1))?;
    let same_steps = |c: &ClassifierResult| {
        matches!(c.loss, LossConfig::SoftmaxCrossEntropy(_)) && c.stage == classifiers[last].stage
    };
    let first = classifiers.iter().position(same_steps).unwrap_or(0);
    (last != first).then_some((first, last))
}

/// The last two folders: the recipe's name and the number of the run, where nobody chose others.
fn title(run: &Path) -> String {
    let run = std::path::absolute(run).unwrap_or_else(|_| run.to_owned());
    let parts: Vec<_> = run.iter().map(|part| part.to_string_lossy()).collect();
    format!("longtail: {}", parts[parts.len().saturating_sub(2)..].join("/"))
}

fn truths(results: &Results) -> Vec<TruthName> {
    let mut truths: Vec<TruthName> = results
        .truths
        .iter()
        .map(|(name, label)| TruthName { name: name.clone(), label: label.clone() })
        .collect();
    // The protocol of the field first.
    truths.sort_by_key(|truth| truth.name == "exhaustive");
    truths
}

fn facts(results: &Results) -> Vec<(String, String)> {
    let mut facts = vec![("seed".to_owned(), results.seed.to_string())];
    facts.extend(results.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    facts
}

/// Time of a training step by stage, and the share of it outside the network's arithmetic.
fn step_times(records: &[Record]) -> Vec<(String, String)> {
    let mut stages: Vec<(&str, [f64; 3])> = Vec::new();
    let mut counts: Vec<f64> = Vec::new();
    for record in records {
        let Record::Step(step) = record else { continue };
        let place = stages.iter().position(|(name, _)| *name == step.stage).unwrap_or_else(|| {
            stages.push((&step.stage, [0.0; 3]));
            counts.push(0.0);
            stages.len() - 1
        });
        let seconds = [step.seconds.total, step.seconds.data, step.seconds.host];
        stages[place].1.iter_mut().zip(seconds).for_each(|(sum, value)| *sum += value);
        counts[place] += 1.0;
    }
    let fact = |((name, [total, data, host]), count): ((&str, [f64; 3]), f64)| {
        let share = |part: f64| 100.0 * part / total;
        let text = format!(
            "{:.3} s; waiting for data {:.1} %, work outside the network {:.1} %",
            total / count,
            share(data),
            share(host)
        );
        (format!("step of stage {name}"), text)
    };
    stages.into_iter().zip(counts).map(fact).collect()
}

/// Training images of each class by its category id.
pub fn train_images(classes: &ClassTable) -> BTreeMap<i64, u64> {
    classes.iter().map(|c| (c.category_id, c.train_images.unwrap_or_default())).collect()
}

/// A classifier as tables and pages show it.
pub fn method(result: &ClassifierResult) -> Method {
    Method {
        name: result.name.clone(),
        background: result.loss.method().background().into(),
        reports: result.reports.clone(),
    }
}

/// One sentence: what the compared method gains on the tail, what it costs elsewhere, and what remains of it when
/// every class is verified in every image. Over several runs of one recipe: mean ± standard deviation of the change.
pub fn remark(runs: &[Results]) -> Option<String> {
    let (from, to) = compared(&runs.first()?.classifiers)?;
    let change = |truth: &str, metric: &Metric| {
        let of_run = |run: &Results| {
            let value = |place: usize| run.classifiers.get(place)?.reports.get(truth)?.metric(metric);
            Some(100.0 * (value(to)? - value(from)?))
        };
        let changes: Option<Vec<f64>> = runs.iter().map(of_run).collect();
        Some(match spread(&changes?) {
            Cell::Missing => return None,
            Cell::Value(value) => format!("{value:+.1}"),
            Cell::Spread { mean, deviation } => format!("{mean:+.1} ± {deviation:.1}"),
        })
    };
    let names = &runs[0].classifiers;
    let challenge = names[to].reports.contains_key("open-images");
    let (truth, headline, rules) = match challenge {
        true => ("open-images", Metric::CHALLENGE_AP, "by the rules of the Open Images challenge"),
        false => ("lvis", Metric::AP, "under the LVIS protocol"),
    };
    let of_groups = |truth: &str| FrequencyGroup::ALL.map(|group| change(truth, &headline.of_group(group)));
    let [rare, common, frequent] = FrequencyGroup::ALL.map(|group| headline.of_group(group));
    let [r, c, f] = of_groups(truth);
    let mut sentence = format!(
        "Against {}, {} changes {rare} by {}, {common} by {} and {frequent} by {} points {rules}",
        names[from].name, names[to].name, r?, c?, f?
    );
    if let [Some(r), Some(c), Some(f)] = of_groups("exhaustive") {
        sentence.push_str(&format!(
            "; under exhaustive truth, where a false positive of any class in any image counts, by {r}, {c} and {f}"
        ));
    }
    Some(sentence + ".")
}

fn curves(records: &[Record], data: &mut ReportData) {
    for record in records {
        match record {
            Record::Step(step) => {
                let x = step.iteration as f64;
                for (name, value) in &step.losses {
                    extend(&mut data.losses, &format!("loss, stage {}", step.stage), name, (x, *value));
                }
                for (method, shares) in &step.kept_negatives {
                    for group in FrequencyGroup::ALL {
                        if let Some(share) = shares.get(group.letter()) {
                            extend(&mut data.kept_negatives, method, group.name(), (x, *share));
                        }
                    }
                }
            }
            Record::Evaluation(evaluation) => {
                let plot = format!("validation, stage {}, {}", evaluation.stage, evaluation.truth);
                for metric in metric::headline(evaluation.metrics.keys()).with_groups() {
                    if let Some(value) = evaluation.metrics.get(&metric).copied().flatten() {
                        let point = (evaluation.iteration as f64, value);
                        extend(&mut data.validation, &plot, &metric.to_string(), point);
                    }
                }
            }
        }
    }
    // A single evaluation is not a curve, nor are those of several classifiers at the end of a stage.
    data.validation.retain(|c| c.points.len() > 1 && c.points.windows(2).all(|p| p[0].0 < p[1].0));
}

/// Adds a point to a curve, which begins with it if it is new.
fn extend(curves: &mut Vec<Curve>, plot: &str, name: &str, point: (f64, f64)) {
    match curves.iter_mut().find(|c| c.plot == plot && c.name == name) {
        Some(curve) => curve.points.push(point),
        None => curves.push(Curve { plot: plot.to_owned(), name: name.to_owned(), points: vec![point] }),
    }
}

fn pictures_of(
    run: &Path,
    results: &Results,
    validation: &Validation,
    (from, to): (usize, usize),
    data: &mut ReportData,
) -> anyhow::Result<()> {
    // The last truth is the fullest.
    let Some(last) = validation.truths.last() else { return Ok(()) };
    let truth = &last.annotations;
    let classes: BTreeMap<i64, &Class> = results.classes.iter().map(|c| (c.category_id, c)).collect();
    let group = |id: i64| classes.get(&id).and_then(|c| c.train_images).map(FrequencyGroup::from_image_count);
    let mut detections = Vec::new();
    for place in [from, to] {
        let result = &results.classifiers[place];
        let found = read_detections(&run.join(&result.detections))?;
        let named = |id: i64| {
            classes.get(&id).map_or_else(
                || id.to_string(),
                |c| {
                    let images = c.train_images.unwrap_or_default();
                    format!("{} ({}, {images})", c.name, FrequencyGroup::from_image_count(images).letter())
                },
            )
        };
        // A class and those above it do claim each other's objects.
        let pairs = match last.scoring {
            Scoring::Annotations(_) => confusions(truth, &found),
            Scoring::OpenImages => Vec::new(),
        };
        data.confusions.extend(pairs.into_iter().take(PAIRS).map(|pair| ConfusedPair {
            method: result.name.clone(),
            truth: named(pair.truth),
            claimed: named(pair.claimed),
            count: pair.count,
            total: pair.total,
            across: group(pair.truth) != group(pair.claimed),
        }));
        let mut by_image: BTreeMap<i64, Vec<Detection>> = BTreeMap::new();
        for detection in found {
            by_image.entry(detection.image_id).or_default().push(detection);
        }
        detections.push((result.name.as_str(), by_image));
    }
    let mut truths: BTreeMap<i64, Vec<&Annotation>> = BTreeMap::new();
    for annotation in &truth.annotations {
        truths.entry(annotation.image_id).or_default().push(annotation);
    }
    // How well the compared method does on an image: right boxes among as many as there are objects.
    let mut ranked: Vec<(f64, usize)> = Vec::new();
    for (index, record) in truth.images.iter().enumerate() {
        let Some(objects) = truths.get(&record.id) else { continue };
        let best = best_boxes(&detections[1].1, record.id, objects.len());
        let right = best.iter().filter(|d| is_right(d, objects)).count();
        ranked.push((right as f64 / objects.len() as f64, index));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let worst: Vec<_> = ranked.iter().rev().take(GALLERY).copied().collect();
    ranked.truncate(GALLERY);
    let name = |id: i64| classes.get(&id).map_or_else(|| id.to_string(), |c| c.name.clone());
    for (title, chosen) in [("Best validation images", ranked), ("Worst validation images", worst)] {
        let mut images = Vec::new();
        for (share, index) in chosen {
            let record = &truth.images[index];
            let objects = &truths[&record.id];
            let truth_boxes = objects.iter().map(|a| DrawnBox {
                bbox: a.bbox,
                label: name(a.category_id),
                kind: "truth".into(),
            });
            let mut panels = vec![Panel { title: "ground truth".into(), boxes: truth_boxes.collect() }];
            for (method, by_image) in &detections {
                let boxes = best_boxes(by_image, record.id, objects.len()).into_iter().map(|d| DrawnBox {
                    bbox: d.bbox,
                    label: format!("{} {:.0}", name(d.category_id), 100.0 * d.score),
                    kind: if is_right(&d, objects) { "right".into() } else { "wrong".into() },
                });
                panels.push(Panel { title: (*method).to_owned(), boxes: boxes.collect() });
            }
            let image = validation.dataset.sample(index)?.image;
            images.push(GalleryImage {
                caption: format!(
                    "image {}: {:.0} % of the objects found by {}",
                    record.id,
                    100.0 * share,
                    detections[1].0
                ),
                width: image.width,
                height: image.height,
                bytes: encode_png(&image)?,
                mime: "image/png".into(),
                panels,
            });
        }
        data.galleries.push(Gallery { title: title.into(), images });
    }
    Ok(())
}

fn best_boxes(by_image: &BTreeMap<i64, Vec<Detection>>, image: i64, count: usize) -> Vec<Detection> {
    let mut boxes = by_image.get(&image).cloned().unwrap_or_default();
    boxes.sort_by(|a, b| b.score.total_cmp(&a.score));
    boxes.truncate(count);
    boxes
}

fn is_right(detection: &Detection, objects: &[&Annotation]) -> bool {
    objects
        .iter()
        .any(|a| a.category_id == detection.category_id && iou(&detection.bbox, &a.bbox) >= RIGHT_IOU)
}

/// Intersection over union of boxes given as x, y, width, height.
fn iou(a: &[f64; 4], b: &[f64; 4]) -> f64 {
    let shared =
        |axis: usize| ((a[axis] + a[axis + 2]).min(b[axis] + b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let both = shared(0) * shared(1);
    let union = a[2] * a[3] + b[2] * b[3] - both;
    if union > 0.0 { both / union } else { 0.0 }
}
