//! A world as files, for any other tool.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use longtail_data::open_images::{write_boxes, write_class_descriptions, write_image_labels};
use rayon::prelude::*;

use crate::{
    config::WorldLayout,
    error::EmojiError,
    scene::Object,
    world::{Progress, Split, World},
};

/// Folder inside the target in which everything is made.
const UNFINISHED: &str = ".unfinished";

/// Writes a world into a new or empty folder: everything, or nothing. What a killed export left there is removed.
///
/// In LVIS layout these are `train/`, `val/`, `lvis_train.json`, `lvis_val.json` and `lvis_val_exhaustive.json`. In Open
/// Images layout they are `train/` and `validation/` with a table of boxes and one of image labels each, under the names of
/// the published files, `class-descriptions-boxable.csv` and `bbox_labels_hierarchy.json`.
///
/// # Errors
/// If the folder holds something, or a file cannot be written.
pub fn export(world: &World, folder: &Path, progress: Progress<'_>) -> Result<(), EmojiError> {
    let is_new = !folder.exists();
    fs::create_dir_all(folder).map_err(io_error(folder))?;
    let unfinished = folder.join(UNFINISHED);
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(io_error(&unfinished))?;
    }
    if fs::read_dir(folder).map_err(io_error(folder))?.next().is_some() {
        return Err(EmojiError::NotEmpty { path: folder.to_owned() });
    }
    let written = fs::create_dir(&unfinished)
        .map_err(io_error(&unfinished))
        .and_then(|()| write(world, &unfinished, progress))
        .and_then(|()| publish(&unfinished, folder));
    if written.is_err() {
        // The message is about what failed; a leftover that cannot be removed changes nothing.
        let _ = fs::remove_dir_all(&unfinished);
        if is_new {
            let _ = fs::remove_dir(folder);
        }
    }
    written
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> EmojiError {
    let path = path.to_owned();
    move |source| EmojiError::Io { path: path.clone(), source }
}

/// Moves what is complete to its place, folders of images first: a folder with annotation files is whole.
fn publish(from: &Path, to: &Path) -> Result<(), EmojiError> {
    let entries: Result<Vec<PathBuf>, io::Error> =
        fs::read_dir(from).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries = entries.map_err(io_error(from))?;
    entries.sort_by_key(|path| (!path.is_dir(), path.clone()));
    for entry in entries {
        let target = to.join(entry.file_name().unwrap_or_default());
        fs::rename(&entry, &target).map_err(io_error(&target))?;
    }
    fs::remove_dir(from).map_err(io_error(from))
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
    annotations.write(&folder.join(format!("lvis_{}.json", split.name())))?;
    if split == Split::Validation {
        exhaustive.write(&folder.join("lvis_val_exhaustive.json"))?;
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
