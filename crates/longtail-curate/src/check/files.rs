//! Image files: whether they can be read, their size and orientation, and which are the same.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Findings, Kind, records::box_kind};
use crate::similarity::{Fingerprint, Likeness, near_duplicates};
use longtail_annotations::{Annotation, AnnotationSet};
use longtail_data::{DataError, ImageFolder, read_image};
use longtail_formats::{FormatError, ImageHeader, Orientation};

/// What one image file is.
pub(super) struct Look {
    /// Width and height of the upright pixels, and what they look like.
    pub seen: Result<([u32; 2], Fingerprint), DataError>,
    /// How EXIF turns what the file holds; `Upright` where it cannot be told.
    pub orientation: Orientation,
}

/// Decodes every image of a set, in the set's order.
pub(super) fn look(set: &AnnotationSet, folder: &ImageFolder, progress: &(dyn Fn() + Sync)) -> Vec<Look> {
    let look = |file_name: &String| {
        let seen = folder.find(file_name).and_then(|path| {
            let image = read_image(&path)?;
            let turned = ImageHeader::read(&path).map_or(Orientation::Upright, |header| header.orientation);
            Ok(([image.width, image.height], Fingerprint::of(&image), turned))
        });
        let (seen, orientation) = match seen {
            Ok((size, fingerprint, turned)) => (Ok((size, fingerprint)), turned),
            Err(error) => (Err(error), Orientation::Upright),
        };
        progress();
        Look { seen, orientation }
    };
    set.images.par_iter().map(|image| look(&image.file_name)).collect()
}

pub(super) fn report(
    set: &AnnotationSet,
    folder: &ImageFolder,
    files: &[Look],
    findings: &mut Findings,
    sizes: &mut BTreeMap<i64, [u32; 2]>,
) {
    let mut boxes: FxHashMap<i64, Vec<&Annotation>> = FxHashMap::default();
    let unusual: FxHashSet<i64> = set
        .images
        .iter()
        .zip(files)
        .filter(|(image, file)| {
            let same = file.seen.as_ref().is_ok_and(|(size, _)| *size == [image.width, image.height]);
            !same || file.orientation != Orientation::Upright
        })
        .map(|(image, _)| image.id)
        .collect();
    for annotation in set.annotations.iter().filter(|a| unusual.contains(&a.image_id)) {
        boxes.entry(annotation.image_id).or_default().push(annotation);
    }
    for (image, file) in set.images.iter().zip(files) {
        let found = match &file.seen {
            Ok((found, _)) => *found,
            Err(error) => {
                let missing = |source: &std::io::Error| source.kind() == std::io::ErrorKind::NotFound;
                let kind = match error {
                    DataError::Decode { .. } | DataError::TooManyPixels { .. } => Kind::ImageUndecodable,
                    DataError::Format(FormatError::Io { source, .. }) | DataError::Io { source, .. }
                        if missing(source) =>
                    {
                        Kind::ImageMissing
                    }
                    _ => Kind::ImageUnreadable,
                };
                findings.add(kind, || error.to_string());
                continue;
            }
        };
        let said = [image.width, image.height];
        let here = boxes.get(&image.id).map_or(&[][..], Vec::as_slice);
        let fit = |[width, height]: [u32; 2]| here.iter().all(|a| box_kind(&a.bbox, width, height).is_none());
        let unturned = if file.orientation.swaps_sides() { [found[1], found[0]] } else { found };
        if found != said {
            let kind = if unturned == said { Kind::ExifSizeUnturned } else { Kind::SizeMismatch };
            let (path, expected) = (folder.path(&image.file_name), said);
            findings.add(kind, || DataError::SizeMismatch { path, found, expected }.to_string());
            if kind == Kind::SizeMismatch && fit(found) {
                sizes.insert(image.id, found);
            }
        } else if file.orientation != Orientation::Upright {
            let kind = if unturned != found && !fit(found) && fit(unturned) {
                Kind::ExifBoxesUnturned
            } else {
                Kind::ExifTurned
            };
            findings.add(kind, || format!("{} ({})", image.file_name, name(file.orientation)));
        }
    }
}

fn name(orientation: Orientation) -> &'static str {
    match orientation {
        Orientation::Upright => "upright",
        Orientation::Rotate90 => "90° clockwise",
        Orientation::Rotate180 => "180°",
        Orientation::Rotate270 => "90° counter-clockwise",
        Orientation::FlipHorizontal => "mirrored",
        Orientation::FlipVertical => "upside down and mirrored",
        Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => "lying and mirrored",
    }
}

/// Pictures of one set that are the same or nearly.
pub(super) fn check_duplicates(set: &AnnotationSet, files: &[Look], findings: &mut Findings) {
    let (places, pictures) = pictures(files);
    for pair in near_duplicates(&pictures) {
        let [first, second] = pair.places.map(|place| &set.images[places[place]].file_name);
        // One file under two records is told as such.
        if first == second {
            continue;
        }
        match pair.likeness {
            Likeness::Same => findings.add(Kind::SamePicture, || format!("{second} is {first}")),
            Likeness::Near(likeness) => {
                let example = || format!("{second} is like {first} (correlation {likeness:.3})");
                findings.add(Kind::NearDuplicate, example);
            }
        }
    }
}

/// Fingerprints of the images that could be read, and their places.
pub(super) fn pictures(files: &[Look]) -> (Vec<usize>, Vec<Fingerprint>) {
    let good = files
        .iter()
        .enumerate()
        .filter_map(|(place, file)| Some((place, file.seen.as_ref().ok()?.1.clone())));
    good.unzip()
}
