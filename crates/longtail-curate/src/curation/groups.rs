//! Images that belong together: frames of a video, photographs of one scene, near duplicates.

use std::path::Path;

use rayon::prelude::*;
use regex::Regex;
use rustc_hash::FxHashMap;

use crate::{
    error::CurateError,
    similarity::{Fingerprint, groups},
};
use longtail_data::{ImageFolder, read_image};
use longtail_formats::{Document, FormatError, read_text};

/// The group of every image, by its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// Number of each image's group.
    pub of_image: Vec<usize>,
    /// How many groups there are.
    pub count: usize,
    /// Images that no rule put into a group, and that are one each.
    pub alone: usize,
}

impl Groups {
    /// Every image for itself.
    pub fn single(document: &Document) -> Self {
        let count = document.set.images.len();
        Self { of_image: (0..count).collect(), count, alone: count }
    }

    /// Images with equal keys; those without a key are alone.
    pub fn of_keys(keys: impl Iterator<Item = Option<String>>) -> Self {
        let mut known: FxHashMap<String, usize> = FxHashMap::default();
        let (mut count, mut alone) = (0, 0);
        let mut new = || {
            count += 1;
            count - 1
        };
        let of_image = keys
            .map(|key| match key {
                Some(key) => *known.entry(key).or_insert_with(&mut new),
                None => {
                    alone += 1;
                    new()
                }
            })
            .collect();
        Self { of_image, count, alone }
    }

    /// Images whose names match alike: by the first group in parentheses of the pattern, or the whole match.
    ///
    /// # Errors
    /// If the pattern is not a regular expression, or matches no image.
    pub fn by_pattern(document: &Document, pattern: &str) -> Result<Self, CurateError> {
        let fail = |reason: String| CurateError::Setting { field: "group-by", reason };
        let pattern =
            Regex::new(pattern).map_err(|error| fail(format!("is not a regular expression: {error}")))?;
        let key = |name: &str| {
            let captures = pattern.captures(name)?;
            captures.get(1).or_else(|| captures.get(0)).map(|found| found.as_str().to_owned())
        };
        let groups = Self::of_keys(document.set.images.iter().map(|image| key(&image.file_name)));
        match document.set.images.first() {
            Some(image) if groups.alone == groups.of_image.len() => {
                Err(fail(format!("matches no file name, not even {:?}", image.file_name)))
            }
            _ => Ok(groups),
        }
    }

    /// Images with the same value of a field, such as `video_id`.
    ///
    /// # Errors
    /// If no image has the field.
    pub fn by_field(document: &Document, field: &str) -> Result<Self, CurateError> {
        let value = |members: &longtail_formats::Members| members.get(field).map(|v| v.as_str().to_owned());
        let groups = Self::of_keys(document.extras.images.iter().map(value));
        if groups.alone == groups.of_image.len() {
            let reason = format!("names `{field}`, which no image has");
            return Err(CurateError::Setting { field: "group-field", reason });
        }
        Ok(groups)
    }

    /// Images that look the same or nearly, by their pixels: see [`crate::similarity`]. `progress` is called
    /// after each image.
    ///
    /// # Errors
    /// If an image cannot be found or read: it could be a copy of any other.
    pub fn by_picture(
        document: &Document,
        folder: &ImageFolder,
        progress: &(dyn Fn() + Sync),
    ) -> Result<Self, CurateError> {
        let pictures: Vec<Fingerprint> = document
            .set
            .images
            .par_iter()
            .map(|image| {
                let picture = Fingerprint::of(&read_image(&folder.find(&image.file_name)?)?);
                progress();
                Ok(picture)
            })
            .collect::<Result<_, CurateError>>()?;
        let of_image = groups(&pictures);
        let mut sizes = vec![0_usize; of_image.len()];
        of_image.iter().for_each(|&group| sizes[group] += 1);
        let key = |group: usize| (sizes[group] > 1).then(|| group.to_string());
        Ok(Self::of_keys(of_image.iter().map(|&group| key(group))))
    }

    /// Groups of a table with the columns `file_name` and `group`.
    ///
    /// # Errors
    /// If the file is no such table, or names no image of the set.
    pub fn from_table(document: &Document, path: &Path) -> Result<Self, CurateError> {
        let text = read_text(path)?;
        let at = |line: u64, reason: String| CurateError::from(FormatError::malformed(path, line, reason));
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
        let heading = rows.headers().map_err(|error| at(1, error.to_string()))?.clone();
        let column = |name: &str| heading.iter().position(|h| h.eq_ignore_ascii_case(name));
        let (Some(file), Some(group)) = (column("file_name"), column("group")) else {
            return Err(at(1, "the first row needs the headings `file_name` and `group`".into()));
        };
        let mut keys: FxHashMap<String, String> = FxHashMap::default();
        for row in rows.records() {
            let row = row.map_err(|error| {
                let line = error.position().map_or(1, csv::Position::line);
                at(line, format!("it is not CSV: {error}"))
            })?;
            let cell = |column: usize| row.get(column).unwrap_or_default().to_owned();
            if !cell(group).is_empty() {
                keys.insert(cell(file), cell(group));
            }
        }
        let key = |name: &str| keys.get(name).cloned();
        let groups = Self::of_keys(document.set.images.iter().map(|image| key(&image.file_name)));
        if groups.alone == groups.of_image.len() && !groups.of_image.is_empty() {
            return Err(FormatError::malformed(path, None, "it names no image of the set").into());
        }
        Ok(groups)
    }
}
