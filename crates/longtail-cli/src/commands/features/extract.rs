//! `longtail features extract`

use std::path::Path;

use anyhow::bail;
use longtail_bank::disk::size;
use longtail_train::{
    bank::{ExtractOptions, FeatureSource, Plan, extract},
    recipe::FileData,
};

use crate::{
    Outcome, args::FeaturesExtract, commands::again::with_repeat_hint, printer::Printer, progress::Progress,
};

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
    let (stage, data) = (arguments.stage.as_deref(), data(arguments));
    let source = FeatureSource::open(&arguments.source, stage, data.as_ref(), &arguments.overrides)?;
    printer.note(&format!("detector: {}", source.path.display()));
    let options = ExtractOptions {
        layer: arguments.layer.into(),
        precision: arguments.precision.into(),
        views: ExtractOptions::views(arguments.views, &arguments.scales),
        background: arguments.background,
        held_out: arguments.holdout,
        training_proposals: arguments.training_proposals,
        logits: arguments.store_logits,
        seed: arguments.seed,
        dry_run: arguments.dry_run,
    };
    let device = arguments.device.open(printer)?;
    let mut progress = Progress::new(*printer)?;
    let mut announce = |plan: &Plan| printer.note(&words(plan, &arguments.out));
    let made = extract(&source, &options, &arguments.out, &device, &mut announce, &mut progress);
    let made = with_repeat_hint(made)?;
    let Some(made) = made else { return Ok(Outcome::Done) };
    let counts = made.counts;
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

/// What will be made, in a sentence.
pub(crate) fn words(plan: &Plan, out: &Path) -> String {
    let [training, held_out, validation] = plan.images;
    format!(
        "{training} training images in {} view{}{}, {held_out} held out, {validation} for validation: about {} at {}",
        plan.views,
        if plan.views == 1 { "" } else { "s" },
        if plan.training_proposals { " and with their proposals" } else { "" },
        size(plan.bytes),
        out.display()
    )
}

/// The data that were given by name, instead of those of the run's recipe.
fn data(arguments: &FeaturesExtract) -> Option<FileData> {
    let (Some(annotations), Some(images)) = (&arguments.data, &arguments.images) else { return None };
    let mut data = FileData::new(annotations, images);
    data.validation_annotations = arguments.validation_data.clone();
    data.validation_images = arguments.validation_images.clone();
    Some(data)
}
