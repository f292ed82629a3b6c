//! `longtail features extract`

use anyhow::bail;
use longtail_bank::disk::size;
use longtail_train::bank::{ExtractOptions, FeatureSource, Plan, extract};

use crate::{Outcome, args::FeaturesExtract, printer::Printer, progress::Progress};

/// Makes the bank of a data set.
pub fn run(arguments: &FeaturesExtract, printer: &Printer) -> anyhow::Result<Outcome> {
    let most = 2 * (1 + arguments.scales.len());
    if arguments.views == 0 || arguments.views > most {
        bail!(
            "--views {} cannot be had from {} scales: there are 1 to {most} (plain and mirrored, at each); add --scales",
            arguments.views,
            arguments.scales.len()
        );
    }
    let source = FeatureSource::open(&arguments.source, arguments.stage.as_deref(), &overrides(arguments))?;
    printer.note(&format!("detector: {}", source.path.display()));
    let options = ExtractOptions {
        layer: arguments.layer.into(),
        precision: arguments.precision.into(),
        views: ExtractOptions::views(arguments.views, &arguments.scales),
        background: arguments.background,
        held_out: arguments.holdout,
        logits: arguments.store_logits,
        seed: arguments.seed,
        dry_run: arguments.dry_run,
    };
    let device = arguments.device.open(printer)?;
    let mut progress = Progress::new(*printer)?;
    let mut announce = |plan: &Plan| {
        let [training, held_out, validation] = plan.images;
        printer.note(&format!(
            "{training} training images in {} view{}, {held_out} held out, {validation} for validation: about {} at {}",
            plan.views,
            if plan.views == 1 { "" } else { "s" },
            size(plan.bytes),
            arguments.out.display()
        ));
    };
    let made = extract(&source, &options, &arguments.out, &device, &mut announce, &mut progress)?;
    let Some(made) = made else { return Ok(Outcome::Done) };
    let counts = made.training.counts;
    printer.note(&format!(
        "bank: {} ({} of {} foreground and {} of {} background RoIs kept)",
        arguments.out.display(),
        counts.foreground_kept,
        counts.foreground,
        counts.background_kept,
        counts.background
    ));
    Ok(Outcome::Done)
}

/// The overrides with the data that were given by name.
fn overrides(arguments: &FeaturesExtract) -> Vec<String> {
    let mut overrides = Vec::new();
    if let (Some(data), Some(images)) = (&arguments.data, &arguments.images) {
        let quoted = |path: &std::path::Path| toml::Value::from(path.display().to_string()).to_string();
        let mut table = format!(
            "data={{ kind = \"files\", train_annotations = {}, train_images = {}",
            quoted(data),
            quoted(images)
        );
        if let Some(validation) = &arguments.validation_data {
            let folder = arguments.validation_images.as_ref().unwrap_or(images);
            table += &format!(
                ", validation_annotations = {}, validation_images = {}",
                quoted(validation),
                quoted(folder)
            );
        }
        overrides.push(table + " }");
    }
    overrides.extend(arguments.overrides.iter().cloned());
    overrides
}
