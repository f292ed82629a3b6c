//! `longtail emoji`

use longtail_emoji::{World, WorldConfig};
use longtail_run::{Event, Observer};

use crate::{
    Outcome,
    args::{Emoji, EmojiExport, ExportLayout},
    printer::Printer,
    progress::Progress,
};

/// Runs a subcommand.
pub fn run(command: &Emoji, printer: &Printer) -> anyhow::Result<Outcome> {
    match command {
        Emoji::Export(arguments) => export(arguments, printer),
    }
}

fn export(arguments: &EmojiExport, printer: &Printer) -> anyhow::Result<Outcome> {
    let default = WorldConfig::default();
    let config = WorldConfig {
        seed: arguments.seed,
        classes: arguments.classes.unwrap_or(default.classes),
        images: arguments.images.unwrap_or(default.images),
        validation_images: arguments.validation_images.unwrap_or(default.validation_images),
        image_size: arguments.image_size.unwrap_or(default.image_size),
        layout: arguments.layout.into(),
        ..default
    };
    let world = World::new(&config)?;
    let mut progress = Progress::new(*printer)?;
    longtail_emoji::export(&world, &arguments.folder, &mut |done, total| {
        let (done, total) = (done as u64, total as u64);
        progress.observe(Event::Progress { task: "drawing and writing images", done, total });
    })?;
    let folder = arguments.folder.display();
    printer.note(&match arguments.layout {
        ExportLayout::Lvis => format!(
            "wrote {folder}/lvis_train.json, lvis_val.json, lvis_val_exhaustive.json with images under {folder}/train and {folder}/val"
        ),
        ExportLayout::OpenImages => format!(
            "wrote tables of boxes and image labels, class descriptions and the class tree into {folder}, with images under {folder}/train and {folder}/validation"
        ),
    });
    Ok(Outcome::Done)
}
