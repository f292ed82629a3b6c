//! `longtail weights`

use std::path::Path;

use anyhow::{Context, ensure};
use burn::tensor::Device;
use longtail_bank::{Class, ClassTable};
use longtail_train::{
    Predictor,
    weights::{Request, export, import},
};
use longtail_weights::{Fate, Naming, WeightFile, names::Unread};
use serde_json::json;

use crate::{
    Outcome,
    args::{Format, Weights, WeightsExport, WeightsImport, WeightsInspect},
    printer::Printer,
    tables::{markdown, text},
};

/// Lists, reads or writes weights.
pub fn run(command: &Weights, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Weights::Inspect(arguments) => inspect(arguments, printer),
        Weights::Import(arguments) => read(arguments, printer),
        Weights::Export(arguments) => write(arguments, printer),
    }
}

fn inspect(arguments: &WeightsInspect, printer: &Printer) -> anyhow::Result<Outcome> {
    let file = WeightFile::read(&arguments.file)?;
    let weights = file.weights().ok();
    let unread = weights.as_ref().and_then(|weights| Unread::detect(weights.keys().copied()));
    let naming = match unread {
        Some(_) => None,
        None => weights.and_then(|weights| Naming::detect(weights.keys().copied())),
    };
    let row = |named: &longtail_weights::Named| {
        let tensor = &named.tensor;
        vec![named.group.clone(), named.name.clone(), tensor.dtype().name().into(), shape(tensor.shape())]
    };
    let rows: Vec<Vec<String>> = file.tensors.iter().map(row).collect();
    let numbers: usize = file.tensors.iter().map(|named| named.tensor.elements()).sum();
    if arguments.format == Format::Json {
        let tensors: Vec<_> = file
            .tensors
            .iter()
            .map(|named| {
                let tensor = &named.tensor;
                json!({ "group": named.group, "name": named.name, "dtype": tensor.dtype(), "shape": tensor.shape() })
            })
            .collect();
        printer.data(&serde_json::to_string_pretty(&json!({
            "format": file.format,
            "naming": naming,
            "unread": unread,
            "weights": file.group,
            "classes": file.classes,
            "metadata": file.metadata,
            "skipped": file.skipped,
            "tensors": tensors,
        }))?)?;
        return Ok(Outcome::Done);
    }
    table(&["group", "tensor", "type", "shape"], &rows, arguments.format, printer)?;
    printer.note(&format!("format: {}", file.format.name()));
    match unread {
        Some(unread) => printer.note(&unread.to_string()),
        None => {
            printer.note(&format!("names: {}", naming.map_or("of no known convention", Naming::name)));
        }
    }
    if !file.group.is_empty() {
        printer.note(&format!("weights: under `{}`", file.group));
    }
    if let Some(classes) = &file.classes {
        let first: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
        printer.note(&format!("classes: {} ({}, …)", classes.len(), first.join(", ")));
    }
    printer.note(&format!("{} tensors, {numbers} numbers", file.tensors.len()));
    if !file.skipped.is_empty() {
        printer.note("skipped, nothing of it executed:");
    }
    for skipped in &file.skipped {
        let inside = match skipped.tensors {
            0 => String::new(),
            tensors => format!(", with {tensors} tensors inside"),
        };
        let (count, class, path) = (skipped.count, &skipped.class, &skipped.path);
        printer.note(&format!("  {count} × `{class}`, first at `{path}`{inside}"));
    }
    Ok(Outcome::Done)
}

fn read(arguments: &WeightsImport, printer: &Printer) -> anyhow::Result<Outcome> {
    let request = Request {
        naming: arguments.naming.map(Into::into),
        bgr: arguments.bgr,
        classes: arguments.classes.as_deref().map(class_names).transpose()?,
        overrides: arguments.overrides.clone(),
    };
    let imported = import(&arguments.file, &request)?;
    imported.checkpoint.write(&arguments.out)?;
    if arguments.format == Format::Json {
        let summary = json!({
            "naming": imported.naming,
            "description": imported.description,
            "notes": imported.notes,
            "tensors": imported.rows,
        });
        printer.data(&serde_json::to_string_pretty(&summary)?)?;
        return Ok(Outcome::Done);
    }
    let row = |row: &longtail_weights::Row| {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "–".into());
        vec![row.fate.name().into(), name(&row.theirs), name(&row.ours), shape(&row.shape), row.note.clone()]
    };
    let rows: Vec<Vec<String>> = imported.rows.iter().map(row).collect();
    table(&["", "in the file", "here", "shape", "note"], &rows, arguments.format, printer)?;
    printer.note(&format!("names: {}", imported.naming.name()));
    imported.notes.iter().for_each(|note| printer.note(note));
    let count = |fate| imported.rows.iter().filter(|row| row.fate == fate).count();
    let counts = [Fate::Loaded, Fate::Resized, Fate::Skipped, Fate::Missing].map(|f| (f.name(), count(f)));
    printer.note(&counts.map(|(name, count)| format!("{count} {name}")).join(", "));
    let use_it = if imported.description.complete {
        "predicts, and trains from it with the key `weights` of a recipe"
    } else {
        "a part of a detector: train from it with the key `weights` of a recipe"
    };
    printer.note(&format!("{}: {use_it}", arguments.out.display()));
    Ok(Outcome::Done)
}

fn write(arguments: &WeightsExport, printer: &Printer) -> anyhow::Result<Outcome> {
    let naming = Naming::from(arguments.naming);
    ensure!(
        !matches!(naming, Naming::TorchvisionResnet | Naming::EfficientnetLite),
        "--naming torchvision-resnet and efficientnet-lite name backbones; a detector is written as torchvision, mmdetection, mmdetection1 \
         or detectron2"
    );
    let predictor = Predictor::load(&arguments.source, arguments.classifier.as_deref(), &Device::flex())?;
    let exported = export(&predictor, naming, &arguments.out)?;
    let rows: Vec<Vec<String>> =
        exported.tensors.iter().map(|(name, sides)| vec![name.clone(), shape(sides)]).collect();
    if arguments.format == Format::Json {
        let tensors: Vec<_> =
            exported.tensors.iter().map(|(name, shape)| json!({ "name": name, "shape": shape })).collect();
        let summary = json!({ "naming": naming, "notes": exported.notes, "tensors": tensors });
        printer.data(&serde_json::to_string_pretty(&summary)?)?;
    } else {
        table(&["tensor", "shape"], &rows, arguments.format, printer)?;
    }
    exported.notes.iter().for_each(|note| printer.note(note));
    printer.note(&format!(
        "{}: {} tensors, classifier `{}`",
        arguments.out.display(),
        rows.len(),
        predictor.classifier
    ));
    Ok(Outcome::Done)
}

/// Classes of an annotation file, or a name a line.
fn class_names(path: &Path) -> anyhow::Result<ClassTable> {
    if path.extension().is_some_and(|extension| extension == "json") {
        let set = longtail_formats::read_annotations(path)?;
        let mut classes: Vec<Class> =
            set.categories.into_iter().map(|c| Class::named(c.id, c.name)).collect();
        classes.sort_by_key(|class| class.category_id);
        return Ok(classes.into());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok((1..).zip(names).map(|(category_id, name)| Class::named(category_id, name)).collect())
}

fn shape(sides: &[usize]) -> String {
    if sides.is_empty() {
        return "scalar".into();
    }
    sides.iter().map(usize::to_string).collect::<Vec<_>>().join(" × ")
}

fn table(heading: &[&str], rows: &[Vec<String>], format: Format, printer: &Printer) -> anyhow::Result<()> {
    match format {
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(heading)?;
            for row in rows {
                writer.write_record(row)?;
            }
            printer.data(&String::from_utf8(writer.into_inner()?)?)?;
        }
        Format::Markdown => printer.data(&markdown(heading, rows))?,
        Format::Text | Format::Json => printer.data(&text(heading, rows))?,
    }
    Ok(())
}
