//! A world as files, for any other tool.

use std::{fs, io, path::Path};

use longtail_files::{NewFolder, remove_leftovers};
use longtail_formats::{
    open_images::{write_boxes, write_class_descriptions, write_image_labels},
    write_annotations,
};
use rayon::prelude::*;

use crate::{
    config::WorldLayout,
    error::EmojiError,
    scene::Object,
    world::{Progress, Split, World},
};

/// The folder inside the target in which everything is made, by its final name. The target may be a mounted
/// volume, beside which nothing can be made.
const MADE: &str = "world";

/// Writes a world into a new or empty folder: everything, or nothing. What a killed export left there is
/// removed.
///
/// In LVIS layout these are `train/`, `val/`, `lvis_train.json`, `lvis_val.json` and
/// `lvis_val_exhaustive.json`. In Open Images layout they are `train/` and `validation/` with a table of
/// boxes and one of image labels each, under the names of the published files,
/// `class-descriptions-boxable.csv` and `bbox_labels_hierarchy.json`.
///
/// # Errors
/// If the folder holds something, or a file cannot be written.
pub fn export(world: &World, folder: &Path, progress: Progress<'_>) -> Result<(), EmojiError> {
    let is_new = !folder.exists();
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    remove_leftovers(folder, |name| name == MADE)?;
    if fs::read_dir(folder).map_err(io_error(folder))?.next().is_some() {
        return Err(EmojiError::NotEmpty { path: folder.to_owned() });
    }
    let written = make(world, folder, progress);
    if written.is_err() && is_new {
        // The message is about what failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_dir(folder);
    }
    written
}

/// Annotation files come last: a folder with annotation files is whole.
fn make(world: &World, folder: &Path, progress: Progress<'_>) -> Result<(), EmojiError> {
    let made = NewFolder::begin(&folder.join(MADE))?;
    write(world, made.root(), progress)?;
    Ok(made.merge_into(folder)?)
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> EmojiError {
    let path = path.to_owned();
    move |source| EmojiError::Io { path: path.clone(), source }
}

fn write(world: &World, folder: &Path, progress: Progress<'_>) -> Result<(), EmojiError> {
    let layout = world.config().layout;
    let total = world.len(Split::Train) + world.len(Split::Validation);
    let mut done = 0;
    for split in [Split::Train, Split::Validation] {
        let images = folder.join(part(layout, split));
        fs::create_dir(&images).map_err(io_error(&images))?;
        let mut objects = Vec::with_capacity(world.len(split));
        for block in world.blocks(split) {
            let count = block.len();
            let drawn: Result<Vec<_>, EmojiError> = block
                .into_par_iter()
                .map(|index| {
                    let scene = world.draw(split, index)?;
                    let name = match layout {
                        WorldLayout::Lvis => format!("{:06}", index + 1),
                        WorldLayout::OpenImages => World::open_images_id(split, index),
                    };
                    let path = images.join(name + ".png");
                    let (width, height) = (scene.image.width, scene.image.height);
                    let colour = image::ExtendedColorType::Rgb8;
                    image::save_buffer(&path, &scene.image.pixels, width, height, colour)
                        .map_err(|error| io_error(&path)(io::Error::other(error)))?;
                    Ok(scene.objects)
                })
                .collect();
            objects.extend(drawn?);
            done += count;
            progress(done, total);
        }
        match layout {
            WorldLayout::Lvis => write_lvis(world, split, &objects, folder)?,
            WorldLayout::OpenImages => write_open_images(world, split, &objects, folder)?,
        }
    }
    Ok(())
}

/// Name of a part in the files of a layout.
fn part(layout: WorldLayout, split: Split) -> &'static str {
    match (layout, split) {
        (WorldLayout::OpenImages, Split::Validation) => "validation",
        _ => split.name(),
    }
}

fn write_lvis(world: &World, split: Split, objects: &[Vec<Object>], folder: &Path) -> Result<(), EmojiError> {
    let (annotations, exhaustive) = world.annotate(split, objects);
    write_annotations(&annotations, &folder.join(format!("lvis_{}.json", split.name())))?;
    if split == Split::Validation {
        write_annotations(&exhaustive, &folder.join("lvis_val_exhaustive.json"))?;
    }
    Ok(())
}

fn write_open_images(
    world: &World,
    split: Split,
    objects: &[Vec<Object>],
    folder: &Path,
) -> Result<(), EmojiError> {
    let part = part(WorldLayout::OpenImages, split);
    let tables = world.open_images_tables(split, objects, false);
    write_boxes(&folder.join(format!("{part}-annotations-bbox.csv")), &tables.boxes)?;
    let labels = folder.join(format!("{part}-annotations-human-imagelabels-boxable.csv"));
    write_image_labels(&labels, &tables.image_labels)?;
    if split == Split::Train {
        let classes = folder.join("class-descriptions-boxable.csv");
        write_class_descriptions(&classes, &world.open_images_classes())?;
        world.hierarchy()?.write(&folder.join("bbox_labels_hierarchy.json"))?;
    }
    Ok(())
}
