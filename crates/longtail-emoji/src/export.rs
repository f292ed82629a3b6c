//! A world as files, for any other tool.

use std::{fs, path::Path};

use rayon::prelude::*;

use crate::{
    error::EmojiError,
    world::{Progress, Split, World},
};

/// Writes `train/`, `val/`, `lvis_train.json`, `lvis_val.json` and `lvis_val_exhaustive.json` into a new or empty
/// folder. The annotation files come last, so that a folder with them is whole.
///
/// # Errors
/// If the folder holds something, or a file cannot be written.
pub fn export(world: &World, folder: &Path, progress: Progress<'_>) -> Result<(), EmojiError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| EmojiError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(io(folder))?;
    if fs::read_dir(folder).map_err(io(folder))?.next().is_some() {
        return Err(EmojiError::NotEmpty { path: folder.to_owned() });
    }
    let total = world.len(Split::Train) + world.len(Split::Validation);
    let mut done = 0;
    let mut objects_of = Vec::new();
    for split in [Split::Train, Split::Validation] {
        let images = folder.join(split.name());
        fs::create_dir(&images).map_err(io(&images))?;
        let mut objects = Vec::with_capacity(world.len(split));
        for block in world.blocks(split) {
            let count = block.len();
            let drawn: Result<Vec<_>, EmojiError> = block
                .into_par_iter()
                .map(|index| {
                    let scene = world.draw(split, index)?;
                    let path = images.join(format!("{:06}.png", index + 1));
                    let (width, height) = (scene.image.width, scene.image.height);
                    image::save_buffer(
                        &path,
                        &scene.image.pixels,
                        width,
                        height,
                        image::ExtendedColorType::Rgb8,
                    )
                    .map_err(|error| io(&path)(std::io::Error::other(error)))?;
                    Ok(scene.objects)
                })
                .collect();
            objects.extend(drawn?);
            done += count;
            progress(done, total);
        }
        objects_of.push((split, objects));
    }
    for (split, objects) in objects_of {
        let (annotations, exhaustive) = world.annotate(split, &objects);
        annotations.write(&folder.join(format!("lvis_{}.json", split.name())))?;
        if split == Split::Validation {
            exhaustive.write(&folder.join("lvis_val_exhaustive.json"))?;
        }
    }
    Ok(())
}
