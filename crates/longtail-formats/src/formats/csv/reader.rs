//! Reads tables.

use std::path::Path;

use csv::StringRecord;
use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::columns::{Column, delimiter};
use crate::image_files::ImageFiles;
use crate::{
    document::{Document, Members, RawJson},
    error::FormatError,
    formats::{
        ReadOptions,
        image_files::image_size,
        text::{integer, number, read_text},
    },
    remarks::{RemarkKind, Remarks},
};
use longtail_annotations::{
    Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout, check_file_name, name_below,
};

/// Reads a table.
pub(crate) fn read(
    path: &Path,
    options: &ReadOptions,
    extras: bool,
) -> Result<(Document, Remarks), FormatError> {
    let mut remarks = Remarks::default();
    let text = read_text(path)?;
    let at = |line: u64, reason: String| FormatError::malformed(path, line, reason);
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(delimiter(&text))
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut table: Option<Table> = None;
    let mut record = StringRecord::new();
    let mut line = 1;
    let add = |table: &mut Table, record: &StringRecord, line: u64, remarks: &mut Remarks| {
        if let Err(reason) = table.add(record, options) {
            remarks.add(RemarkKind::Unreadable, || at(line, reason).to_string());
        }
    };
    loop {
        match rows.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => return Err(at(line, format!("it is not CSV: {error}"))),
        }
        line = record.position().map_or(line, csv::Position::line);
        if record.iter().all(str::is_empty) {
            continue;
        }
        match &mut table {
            None => {
                let (columns, is_data) = columns(&record).map_err(|reason| at(line, reason))?;
                let mut new = Table::new(columns, extras, options.images.as_deref());
                if is_data {
                    add(&mut new, &record, line, &mut remarks);
                }
                table = Some(new);
            }
            Some(table) => add(table, &record, line, &mut remarks),
        }
    }
    let table = table.ok_or_else(|| FormatError::malformed(path, None, "it is empty"))?;
    Ok((table.finish(path, options)?, remarks))
}

/// A column with its place.
enum Meaning {
    Known(Column),
    /// A field of the annotation.
    Carried(String),
}

/// The columns of the first row, and whether it is a row of data already: tables as `keras-retinanet` has them,
/// `path,x1,y1,x2,y2,class`, have no headings; SKU-110K's add width and height of the image.
fn columns(first: &StringRecord) -> Result<(Vec<Meaning>, bool), String> {
    let corners = || (1..5).filter_map(|i| first.get(i));
    if first.len() == 6 && (corners().all(str::is_empty) || corners().all(|cell| number(cell).is_ok())) {
        use Column::{Class, FileName, XMax, XMin, YMax, YMin};
        return Ok(([FileName, XMin, YMin, XMax, YMax, Class].map(Meaning::Known).into(), true));
    }
    let numbers = |cells: std::ops::Range<usize>| {
        cells.into_iter().all(|cell| first.get(cell).is_some_and(|cell| number(cell).is_ok()))
    };
    if first.len() == 8 && numbers(1..5) && numbers(6..8) {
        use Column::{Class, FileName, Height, Width, XMax, XMin, YMax, YMin};
        let columns = [FileName, XMin, YMin, XMax, YMax, Class, Width, Height];
        return Ok((columns.map(Meaning::Known).into(), true));
    }
    let mut seen = Vec::new();
    let mut columns = Vec::new();
    for heading in first {
        columns.push(match Column::of(heading) {
            Some(column) if seen.contains(&column) => {
                return Err(format!("two columns are {}; the second is `{heading}`", column.name()));
            }
            Some(column) => {
                seen.push(column);
                Meaning::Known(column)
            }
            None => Meaning::Carried(heading.to_owned()),
        });
    }
    let has = |wanted: &[Column]| wanted.iter().all(|column| seen.contains(column));
    if !has(&[Column::FileName, Column::Class]) {
        let headings = first.iter().collect::<Vec<_>>().join(", ");
        return Err(format!("the first row needs the headings `file_name` and `class`, found: {headings}"));
    }
    let sizes = has(&[Column::X, Column::Y, Column::BoxWidth, Column::BoxHeight]);
    if !sizes && !has(&[Column::XMin, Column::YMin, Column::XMax, Column::YMax]) {
        let hint =
            if has(&[Column::X, Column::Y]) { "; `width` and `height` are those of the image" } else { "" };
        return Err(format!(
            "the first row needs the headings `x`, `y`, `box_width`, `box_height` or `xmin`, `ymin`, `xmax`, `ymax`{hint}"
        ));
    }
    Ok((columns, false))
}

/// What was read so far.
struct Table {
    columns: Vec<Meaning>,
    /// Place of each known column.
    places: FxHashMap<u8, usize>,
    extras: bool,
    images: Vec<ImageRecord>,
    place_of_image: FxHashMap<String, usize>,
    image_ids: FxHashSet<i64>,
    /// Class names with their ids, where given.
    classes: FxHashMap<String, (Option<i64>, Option<FrequencyGroup>)>,
    names: FxHashMap<i64, String>,
    /// Boxes with the names of their classes, and their ids where given.
    boxes: Vec<(Annotation, String, Option<i64>)>,
    members: Vec<Members>,
    /// Index of image, class, whether absent.
    verified: Vec<(usize, String, bool)>,
    /// The images, where their folder is given, and the names that were looked up there.
    files: Option<ImageFiles>,
    found: FxHashMap<String, Option<String>>,
}

impl Table {
    fn new(columns: Vec<Meaning>, extras: bool, images: Option<&Path>) -> Self {
        let known = |(place, meaning): (usize, &Meaning)| match meaning {
            Meaning::Known(column) => Some((*column as u8, place)),
            Meaning::Carried(_) => None,
        };
        Self {
            places: columns.iter().enumerate().filter_map(known).collect(),
            columns,
            extras,
            images: Vec::new(),
            place_of_image: FxHashMap::default(),
            image_ids: FxHashSet::default(),
            classes: FxHashMap::default(),
            names: FxHashMap::default(),
            boxes: Vec::new(),
            members: Vec::new(),
            verified: Vec::new(),
            files: images.map(ImageFiles::new),
            found: FxHashMap::default(),
        }
    }

    fn has(&self, column: Column) -> bool {
        self.places.contains_key(&(column as u8))
    }

    /// A cell that is there and not empty.
    fn cell<'r>(&self, record: &'r StringRecord, column: Column) -> Option<&'r str> {
        self.places.get(&(column as u8)).and_then(|&place| record.get(place)).filter(|cell| !cell.is_empty())
    }

    fn integer(&self, record: &StringRecord, column: Column) -> Result<Option<i64>, String> {
        let cell = self.cell(record, column);
        cell.map(|cell| integer(cell).map_err(|reason| format!("`{}`: {reason}", column.name()))).transpose()
    }

    fn number(&self, record: &StringRecord, column: Column) -> Result<Option<f64>, String> {
        let cell = self.cell(record, column);
        cell.map(|cell| number(cell).map_err(|reason| format!("`{}`: {reason}", column.name()))).transpose()
    }

    fn flag(&self, record: &StringRecord, column: Column) -> Result<bool, String> {
        match self.cell(record, column).map(str::to_ascii_lowercase).as_deref() {
            None | Some("0" | "false" | "no") => Ok(false),
            Some("1" | "true" | "yes") => Ok(true),
            Some(other) => Err(format!("`{}` is `{other}`, expected 0 or 1", column.name())),
        }
    }

    fn add(&mut self, record: &StringRecord, options: &ReadOptions) -> Result<(), String> {
        if record.len() != self.columns.len() {
            return Err(format!(
                "it has {} cells, the first row {}; does a number have a decimal comma?",
                record.len(),
                self.columns.len()
            ));
        }
        let class = self.cell(record, Column::Class).map(str::to_owned);
        if let Some(class) = &class {
            self.add_class(record, class)?;
        }
        let Some(file_name) = self.cell(record, Column::FileName) else {
            return match class {
                Some(_) => Ok(()),
                None => Err("it has neither `file_name` nor `class`".into()),
            };
        };
        let place = self.image(record, file_name, options)?;
        let corners = [Column::XMin, Column::YMin, Column::XMax, Column::YMax];
        let sizes = [Column::X, Column::Y, Column::BoxWidth, Column::BoxHeight];
        let used = if self.has(Column::X) && self.has(Column::BoxWidth) { sizes } else { corners };
        let mut numbers = [None; 4];
        for (number, column) in numbers.iter_mut().zip(used) {
            *number = self.number(record, column)?;
        }
        let verified = self.cell(record, Column::Verified);
        let [Some(a), Some(b), Some(c), Some(d)] = numbers else {
            if let Some(place) = numbers.iter().position(Option::is_some) {
                let missing = numbers.iter().position(Option::is_none).unwrap_or(place);
                return Err(format!("`{}` is missing", used[missing].name()));
            }
            return match (class, verified) {
                (None, None) => Ok(()),
                (Some(class), Some("absent")) => {
                    self.verified.push((place, class, true));
                    Ok(())
                }
                (Some(class), Some("not-exhaustive")) => {
                    self.verified.push((place, class, false));
                    Ok(())
                }
                (Some(_), None) => Err("it has a class but no box".into()),
                (_, Some(other)) => Err(format!(
                    "`verified` is `{other}`, expected `absent` or `not-exhaustive` with a class"
                )),
            };
        };
        if verified.is_some() {
            return Err("`verified` stands in rows without a box".into());
        }
        let class = class.ok_or("it has a box but no `class`")?;
        let id = self.integer(record, Column::AnnotationId)?;
        let annotation = Annotation {
            id: 0,
            image_id: self.images[place].id,
            category_id: 0,
            bbox: if used == sizes { [a, b, c, d] } else { [a, b, c - a, d - b] },
            area: self.number(record, Column::Area)?,
            iscrowd: self.flag(record, Column::IsCrowd)?,
            ignore: self.flag(record, Column::Ignore)?,
        };
        self.boxes.push((annotation, class, id));
        self.members.push(if self.extras { self.carried(record) } else { Members::default() });
        Ok(())
    }

    /// Cells of columns without a meaning: JSON as it is, anything else as text.
    fn carried(&self, record: &StringRecord) -> Members {
        let mut members = Members::default();
        for (meaning, cell) in self.columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
            if let Meaning::Carried(name) = meaning {
                members.push(name, RawJson::new(cell).unwrap_or_else(|_| RawJson::of(cell)));
            }
        }
        members
    }

    fn add_class(&mut self, record: &StringRecord, class: &str) -> Result<(), String> {
        let id = self.integer(record, Column::CategoryId)?;
        let frequency = match self.cell(record, Column::Frequency) {
            None => None,
            Some(letter) => Some(
                FrequencyGroup::ALL
                    .into_iter()
                    .find(|group| group.letter() == letter)
                    .ok_or_else(|| format!("`frequency` is `{letter}`, expected r, c or f"))?,
            ),
        };
        let known = self.classes.entry(class.to_owned()).or_insert((id, frequency));
        known.1 = known.1.or(frequency);
        match (known.0, id) {
            (Some(known), Some(id)) if known != id => {
                return Err(format!("class `{class}` has `category_id` {id} here and {known} above"));
            }
            (None, Some(_)) => known.0 = id,
            _ => {}
        }
        if let Some(id) = id {
            let name = self.names.entry(id).or_insert_with(|| class.to_owned());
            if name != class {
                return Err(format!("`category_id` {id} is class `{class}` here and `{name}` above"));
            }
        }
        Ok(())
    }

    /// Place of a row's image.
    fn image(&mut self, record: &StringRecord, name: &str, options: &ReadOptions) -> Result<usize, String> {
        let side = |column| match self.integer(record, column)? {
            None => Ok(0),
            Some(side) => u32::try_from(side).map_err(|_| format!("`{}` is {side}", column.name())),
        };
        let (width, height) = (side(Column::Width)?, side(Column::Height)?);
        let id = self.integer(record, Column::ImageId)?;
        let mut name = name.replace('\\', "/");
        if let Some(folder) = &options.images
            && let Ok(below) = name_below(folder, Path::new(&name))
        {
            name = below;
        }
        if let Some(files) = &self.files {
            // Two rows may name one picture in two ways.
            let found = self.found.entry(name.clone()).or_insert_with_key(|name| {
                let path = files.find(name).ok()?;
                files.name_of(&path)
            });
            name = found.clone().unwrap_or(name);
        }
        // Absolute paths are of the machine that wrote the table.
        let name = name.strip_prefix("./").unwrap_or(&name).trim_start_matches('/').to_owned();
        if let Some(&place) = self.place_of_image.get(&name) {
            let image = &mut self.images[place];
            if let Some(id) = id.filter(|id| *id != image.id) {
                return Err(format!("image `{name}` has `image_id` {id} here and {} above", image.id));
            }
            for (known, side, column) in
                [(&mut image.width, width, "width"), (&mut image.height, height, "height")]
            {
                if *known == 0 {
                    *known = side;
                } else if side != 0 && side != *known {
                    return Err(format!("image `{name}` has `{column}` {side} here and {known} above"));
                }
            }
            return Ok(place);
        }
        check_file_name(&name).map_err(|reason| format!("`file_name` `{name}` {reason}"))?;
        let id = id.unwrap_or(self.images.len() as i64 + 1);
        if !self.image_ids.insert(id) {
            return Err(format!("`image_id` {id} is used by two images"));
        }
        let image = ImageRecord {
            id,
            file_name: name.clone(),
            width,
            height,
            neg_category_ids: None,
            not_exhaustive_category_ids: None,
        };
        self.images.push(image);
        self.place_of_image.insert(name, self.images.len() - 1);
        Ok(self.images.len() - 1)
    }

    fn finish(mut self, path: &Path, options: &ReadOptions) -> Result<Document, FormatError> {
        self.measure(path, options);
        let with_ids = self.classes.values().filter(|(id, _)| id.is_some()).count();
        if with_ids > 0 && with_ids < self.classes.len() {
            let without = self.classes.iter().filter(|(_, (id, _))| id.is_none()).map(|(name, _)| name).min();
            let reason = format!("class `{}` has no `category_id`, others do", without.map_or("", |n| n));
            return Err(FormatError::malformed(path, None, reason));
        }
        let mut names: Vec<&String> = self.classes.keys().collect();
        names.sort();
        let ids: FxHashMap<&str, i64> = (1..)
            .zip(names)
            .map(|(number, name)| (name.as_str(), self.classes[name].0.unwrap_or(number)))
            .collect();
        let mut categories: Vec<Category> = self
            .classes
            .iter()
            .map(|(name, (_, frequency))| Category {
                id: ids[name.as_str()],
                name: name.clone(),
                frequency: *frequency,
            })
            .collect();
        categories.sort_by_key(|category| category.id);
        let mut used: FxHashSet<i64> = self.boxes.iter().filter_map(|(.., id)| *id).collect();
        let mut next = 1;
        let mut annotations = Vec::with_capacity(self.boxes.len());
        for (annotation, class, id) in &self.boxes {
            let id = id.unwrap_or_else(|| {
                while !used.insert(next) {
                    next += 1;
                }
                next
            });
            annotations.push(Annotation { id, category_id: ids[class.as_str()], ..annotation.clone() });
        }
        let federated = self.has(Column::Verified);
        if federated {
            for image in &mut self.images {
                image.neg_category_ids = Some(Vec::new());
                image.not_exhaustive_category_ids = Some(Vec::new());
            }
            for (place, class, absent) in &self.verified {
                let image = &mut self.images[*place];
                let list = if *absent {
                    &mut image.neg_category_ids
                } else {
                    &mut image.not_exhaustive_category_ids
                };
                list.get_or_insert_default().push(ids[class.as_str()]);
            }
        }
        let mut document = Document::new(AnnotationSet {
            path: Some(path.to_owned()),
            layout: if federated { Layout::Lvis } else { Layout::Coco },
            images: self.images,
            annotations,
            categories,
        });
        document.extras.annotations = self.members;
        Ok(document)
    }

    /// Sizes of images that the table gives none of, where their files are found.
    fn measure(&mut self, path: &Path, options: &ReadOptions) {
        let own = path.parent().filter(|own| !own.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let files = ImageFiles::new(options.images.as_deref().unwrap_or(own));
        let unknown = |image: &&mut ImageRecord| image.width == 0 || image.height == 0;
        self.images.iter_mut().filter(unknown).collect::<Vec<_>>().into_par_iter().for_each(|image| {
            let size = files.find(&image.file_name).and_then(|file| image_size(&file));
            if let Ok([width, height]) = size {
                (image.width, image.height) = (width, height);
            }
        });
    }
}
