//! `longtail features import`

use std::{collections::BTreeMap, fs};

use anyhow::{Context, anyhow, bail, ensure};
use longtail_annotations::{ClassCounts, LabelMap};
use longtail_bank::{
    BankWriter, Class, ClassTable, FeatureLayer, Header, ImageRows, Part, RoiSampling, TruthFile,
    npy::{Array, Values, read_arrays},
};
use longtail_eval::Protocol;
use longtail_head::{Head, HeadFile, HeadRecipe, Hidden};

use crate::{
    Outcome,
    args::{BackgroundPlace, FeaturesImport},
    printer::Printer,
};

/// Bytes of features that a shard aims at.
const SHARD_BYTES: u64 = 64 << 20;

/// Makes a bank of arrays.
pub fn run(arguments: &FeaturesImport, printer: &Printer) -> anyhow::Result<Outcome> {
    let mut arrays = BTreeMap::new();
    for path in &arguments.files {
        for (name, array) in read_arrays(path)? {
            if arrays.insert(name.clone(), array).is_some() {
                bail!("array `{name}` is in more than one file; give it once");
            }
        }
    }
    let set = longtail_formats::read_annotations(&arguments.classes)?;
    let labels = LabelMap::new(&set.categories);
    let counts = ClassCounts::of(&set, &labels);
    let class = |label: u32| {
        let (images, instances) = (counts.images[label as usize], counts.instances[label as usize]);
        Class::counted(labels.category_id(label), labels.name(label), images, instances)
    };
    let classes: ClassTable = (0..labels.len() as u32).map(class).collect();
    let (rows, width, features) = matrix(&mut arrays, "features")?.context("there is no array `features`")?;
    let images = images(arguments, &mut arrays, classes.len(), rows, width, features, printer)?;
    let part = if arguments.proposals { Part::Proposals } else { Part::Training };
    let box_columns = match images.first() {
        Some(image) if arguments.proposals => image.regressed.len() / 4 / image.len().max(1),
        _ => 0,
    };
    let mut header = Header {
        layer: layer(arguments, &arrays)?,
        total_images: counts.total_images,
        sampling: RoiSampling {
            per_image: arguments.rois_per_image,
            positive_fraction: arguments.positive_fraction,
        },
        box_columns,
        test: arguments.proposals.then(|| {
            serde_json::json!({
                "score_threshold": arguments.score_threshold,
                "nms_iou": arguments.nms_iou,
                "max_detections": arguments.max_detections,
            })
        }),
        source: "imported".into(),
        ..Header::new(part, width, arguments.precision.into(), classes, images.len())
    };
    let per_image = header.row_bytes() * rows as u64 / images.len().max(1) as u64;
    header.images_per_shard = (SHARD_BYTES / per_image.max(1)).max(1) as usize;
    fs::create_dir_all(&arguments.out)
        .with_context(|| format!("cannot create {}", arguments.out.display()))?;
    longtail_bank::disk::check_space(&arguments.out, header.row_bytes() * rows as u64)?;
    if let (Some(truth), Some(protocol)) = (&arguments.truth, &arguments.protocol) {
        let protocol: Protocol = protocol.parse()?;
        let set = longtail_formats::read_annotations(truth)?;
        let file = format!("truth-{protocol}.json");
        longtail_formats::write_annotations(&set, &arguments.out.join(&file))?;
        header.truths = vec![TruthFile {
            name: protocol.to_string(),
            label: format!("{} protocol", protocol.to_string().to_uppercase()),
            protocol: protocol.to_string(),
            file,
        }];
    }
    write_classifier(arguments, &mut arrays, &header)?;
    if !arrays.is_empty() {
        let names = arrays.keys().cloned().collect::<Vec<_>>().join("`, `");
        printer.note(&format!("not used: `{names}`"));
    }
    let mut writer = BankWriter::open(&arguments.out, header.clone())?;
    for shard in writer.missing() {
        writer.write(shard, &images[header.images_of(shard)])?;
    }
    writer.finish()?;
    printer.note(&format!("bank: {} ({rows} RoIs of {} images)", arguments.out.display(), images.len()));
    Ok(Outcome::Done)
}

/// The layer whose inputs the features are, by the arguments or by the arrays that come with them.
fn layer(arguments: &FeaturesImport, arrays: &BTreeMap<String, Array>) -> anyhow::Result<FeatureLayer> {
    let brought = arrays.contains_key("hidden.weight") || arrays.contains_key("hidden.bias");
    let asked = arguments.layer.map(FeatureLayer::from);
    let layer = asked.unwrap_or(if brought { FeatureLayer::Hidden } else { FeatureLayer::Classifier });
    if layer == FeatureLayer::Hidden && !brought && !arguments.proposals {
        bail!(
            "there are no arrays `hidden.weight` and `hidden.bias`, which training with --layer hidden starts from"
        );
    }
    Ok(layer)
}

/// The rows by image, in the order that images first come.
fn images(
    arguments: &FeaturesImport,
    arrays: &mut BTreeMap<String, Array>,
    classes: usize,
    rows: usize,
    width: usize,
    features: Vec<f32>,
    printer: &Printer,
) -> anyhow::Result<Vec<ImageRows>> {
    let image_ids = match integers(arrays, "image_ids", rows)? {
        Some(ids) => ids,
        None if arguments.proposals => {
            bail!("there is no array `image_ids`, which tells proposals of images apart")
        }
        None => {
            let per_image = arguments.rois_per_image.max(1);
            printer.note(&format!(
                "there is no array `image_ids`: every {per_image} rows count as an image, and samplers draw those"
            ));
            (0..rows).map(|row| (row / per_image) as i64).collect()
        }
    };
    let labels = match integers(arrays, "labels", rows)? {
        _ if arguments.proposals => Vec::new(),
        Some(labels) => labels,
        None => bail!("there is no array `labels`; proposals to make detections from need --proposals"),
    };
    let labels = labels
        .into_iter()
        .enumerate()
        .map(|(row, label)| {
            to_label(label, classes, arguments.background).map_err(|e| anyhow!("row {row}: {e}"))
        })
        .collect::<anyhow::Result<Vec<u32>>>()?;
    let floats =
        |arrays: &mut BTreeMap<String, Array>, name: &str| -> anyhow::Result<Option<(usize, Vec<f32>)>> {
            let Some((found, columns, values)) = matrix(arrays, name)? else { return Ok(None) };
            ensure!(found == rows, "`{name}` has {found} rows, `features` has {rows}");
            Ok(Some((columns, values)))
        };
    let boxes = floats(arrays, "boxes")?.unwrap_or((4, vec![0.0; 4 * rows]));
    ensure!(boxes.0 == 4, "`boxes` has {} columns, expected x1, y1, x2, y2", boxes.0);
    let ious = floats(arrays, "ious")?.map_or_else(|| vec![0.0; rows], |(_, values)| values);
    let regressed = floats(arrays, "regressed")?;
    let columns = match (&regressed, arguments.proposals) {
        (None, true) => bail!("there is no array `regressed`: boxes of each proposal, [R, 4] or [R, C, 4]"),
        (Some((columns, _)), true) => *columns,
        (_, false) => 0,
    };
    ensure!(
        columns == 0 || columns == 4 || columns == 4 * classes,
        "`regressed` has {columns} numbers a proposal; expected 4, or 4 for each of the {classes} classes"
    );
    let mut index_of: BTreeMap<i64, usize> = BTreeMap::new();
    let mut images: Vec<ImageRows> = Vec::new();
    for row in 0..rows {
        let index = *index_of.entry(image_ids[row]).or_insert_with(|| {
            images.push(ImageRows { image_id: image_ids[row], ..ImageRows::default() });
            images.len() - 1
        });
        let image = &mut images[index];
        image.features.extend_from_slice(&features[row * width..(row + 1) * width]);
        image.boxes.push(std::array::from_fn(|side| boxes.1[4 * row + side]));
        if arguments.proposals {
            let values = regressed.as_ref().map_or(&[][..], |(_, values)| values.as_slice());
            image.regressed.extend_from_slice(&values[row * columns..(row + 1) * columns]);
        } else {
            image.labels.push(labels[row]);
            image.ious.push(ious[row]);
        }
    }
    if !arguments.proposals {
        images = images.into_iter().map(|image| image.foreground_first(width)).collect();
    }
    Ok(images)
}

/// The label of ours: 0 for background.
fn to_label(label: i64, classes: usize, background: BackgroundPlace) -> anyhow::Result<u32> {
    let fits = (0..=classes as i64).contains(&label);
    match background {
        BackgroundPlace::First if fits => Ok(label as u32),
        BackgroundPlace::Last if fits => Ok(if label == classes as i64 { 0 } else { label as u32 + 1 }),
        BackgroundPlace::First => {
            bail!("label {label} is not a class: 0 is background, 1 to {classes} the classes of --classes")
        }
        BackgroundPlace::Last => {
            bail!(
                "label {label} is not a class: 0 to {} are the classes of --classes, {classes} background",
                classes.max(1) - 1
            )
        }
    }
}

/// The trained classifier, with the hidden layer of a bank of its inputs, so that training can start from it.
fn write_classifier(
    arguments: &FeaturesImport,
    arrays: &mut BTreeMap<String, Array>,
    header: &Header,
) -> anyhow::Result<()> {
    let hidden = match header.layer {
        FeatureLayer::Hidden => linear(arrays, "hidden", header.width)?,
        // Named among what was not used.
        FeatureLayer::Classifier => None,
    };
    let below = hidden.as_ref().map_or(header.width, |(_, bias)| bias.len());
    let Some((mut weight, mut bias)) = linear(arrays, "classifier", below)? else {
        ensure!(
            hidden.is_none(),
            "`hidden.weight` is there without `classifier.weight` and `classifier.bias`; give all four"
        );
        return Ok(());
    };
    ensure!(
        hidden.is_some() == (header.layer == FeatureLayer::Hidden),
        "`classifier.weight` is there without the hidden layer below it; give `hidden.weight` and `hidden.bias` too"
    );
    let (outputs, width) = (bias.len(), below);
    let hidden = hidden.map(|(weight, bias)| Hidden { weight, bias, width: header.width });
    let loss = HeadRecipe::of(&arguments.classifier_loss)?.classifier.loss;
    let file = HeadFile::new("stage 1", loss, header);
    let expected = file.build_loss()?.num_outputs(header.classes.len());
    ensure!(
        outputs == expected,
        "`classifier.weight` has {outputs} columns; {} with {} classes has {expected}",
        arguments.classifier_loss,
        header.classes.len()
    );
    if arguments.background == BackgroundPlace::Last && outputs == header.classes.len() + 1 {
        weight.rotate_right(width);
        bias.rotate_right(1);
    }
    let head = Head { weight, bias, width, unit_inputs: false, hidden };
    head.write(&arguments.out.join("stage1.safetensors"), &file)?;
    Ok(())
}

/// Weights and bias of a layer over features of `inputs`.
fn linear(
    arrays: &mut BTreeMap<String, Array>,
    name: &str,
    inputs: usize,
) -> anyhow::Result<Option<(Vec<f32>, Vec<f32>)>> {
    let weight = matrix(arrays, &format!("{name}.weight"))?;
    let bias = matrix(arrays, &format!("{name}.bias"))?;
    let ((outputs, width, weight), bias) = match (weight, bias) {
        (Some(weight), Some((_, _, bias))) => (weight, bias),
        (None, None) => return Ok(None),
        _ => bail!("`{name}.weight` and `{name}.bias` belong together; give both"),
    };
    ensure!(
        width == inputs,
        "`{name}.weight` takes features of width {width}, what is below it has {inputs}"
    );
    ensure!(bias.len() == outputs, "`{name}.bias` has {} values for {outputs} columns", bias.len());
    Ok(Some((weight, bias)))
}

/// An array as rows: its first side, and the product of the others.
fn matrix(
    arrays: &mut BTreeMap<String, Array>,
    name: &str,
) -> anyhow::Result<Option<(usize, usize, Vec<f32>)>> {
    let Some(array) = arrays.remove(name) else { return Ok(None) };
    let rows = *array.shape.first().with_context(|| format!("`{name}` is a single number, expected rows"))?;
    let columns = array.shape[1..].iter().product::<usize>();
    if rows == 0 || columns == 0 {
        bail!("`{name}` has shape {:?}: there is nothing in it", array.shape);
    }
    Ok(Some((rows, columns, array.into_floats())))
}

/// Whole numbers, one a row.
fn integers(
    arrays: &mut BTreeMap<String, Array>,
    name: &str,
    rows: usize,
) -> anyhow::Result<Option<Vec<i64>>> {
    let Some(array) = arrays.remove(name) else { return Ok(None) };
    match array.values {
        Values::Integer(values) if values.len() == rows => Ok(Some(values)),
        Values::Integer(values) => bail!("`{name}` has {} values, `features` has {rows} rows", values.len()),
        Values::Float(_) => bail!("`{name}` holds fractions; save it as int64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_the_place_of_background() {
        let first = |label| to_label(label, 3, BackgroundPlace::First).ok();
        let last = |label| to_label(label, 3, BackgroundPlace::Last).ok();
        assert_eq!([first(0), first(3), first(4), first(-1)], [Some(0), Some(3), None, None]);
        assert_eq!([last(0), last(2), last(3), last(4)], [Some(1), Some(3), Some(0), None]);
    }
}
