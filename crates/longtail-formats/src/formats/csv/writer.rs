//! Writes tables.

use std::{io, path::Path};

use longtail_files::write_file;
use rustc_hash::{FxHashMap, FxHashSet};

use super::columns::{Column, WRITTEN};
use crate::{
    document::{Document, Losses, Members},
    error::FormatError,
    formats::losses::{Held, count},
};
use longtail_annotations::{Annotation, Category, ImageRecord, Layout, check_file_name};

/// Writes a document as a table: whole, or not at all.
pub(crate) fn write(document: &Document, path: &Path) -> Result<Losses, FormatError> {
    let set = &document.set;
    let held = Held { federated: true, area: true, ids: true, ..Held::default() };
    // Fields of annotations become columns, unless a column has that name.
    let mut carried: Vec<&str> = Vec::new();
    let mut losses = count(document, held);
    let mut known: FxHashSet<&str> = FxHashSet::default();
    for (name, _) in document.extras.annotations.iter().flat_map(Members::iter) {
        if known.insert(name) && Column::of(name).is_none() && name.trim() == name && !name.is_empty() {
            carried.push(name);
        }
    }
    for name in &carried {
        losses.remove(&format!("annotation field `{name}`"));
    }
    let fail = |entry: String, reason: String| FormatError::Entry { set: set.label(), entry, reason };
    let mut names = FxHashSet::default();
    for category in &set.categories {
        let name = &category.name;
        if name.trim() != name || name.is_empty() || !names.insert(name) {
            let reason = format!(
                "its name {name:?} is empty, repeated or has spaces around it; a table has only names"
            );
            return Err(fail(format!("category {}", category.id), reason));
        }
    }
    let mut names = FxHashSet::default();
    for image in &set.images {
        let entry = || format!("image {}: file_name {:?}", image.id, image.file_name);
        check_file_name(&image.file_name).map_err(|reason| fail(entry(), reason.into()))?;
        if !names.insert(&image.file_name) || image.file_name.trim() != image.file_name {
            return Err(fail(entry(), "it is repeated or has spaces around it".into()));
        }
    }
    let classes: FxHashMap<i64, &Category> = set.categories.iter().map(|c| (c.id, c)).collect();
    if let Some(annotation) = set.annotations.iter().find(|a| !classes.contains_key(&a.category_id)) {
        return Err(fail(
            format!("annotation {}", annotation.id),
            "its category_id is not a category".into(),
        ));
    }
    write_file(path, |out| {
        let mut rows =
            Rows { writer: csv::Writer::from_writer(out), carried, lvis: set.layout == Layout::Lvis };
        rows.write(document, &classes).map_err(io::Error::other)
    })?;
    Ok(losses)
}

struct Rows<'a, W: io::Write> {
    writer: csv::Writer<W>,
    carried: Vec<&'a str>,
    lvis: bool,
}

impl<W: io::Write> Rows<'_, W> {
    fn write(&mut self, document: &Document, classes: &FxHashMap<i64, &Category>) -> Result<(), csv::Error> {
        let mut heading: Vec<&str> = WRITTEN.iter().map(|column| column.name()).collect();
        if self.lvis {
            heading.extend([Column::Verified.name(), Column::Frequency.name()]);
        }
        heading.extend(&self.carried);
        self.writer.write_record(heading)?;
        let (set, lvis) = (&document.set, self.lvis);
        let with_boxes: FxHashSet<i64> = set.annotations.iter().map(|a| a.category_id).collect();
        for category in set.categories.iter().filter(|c| lvis || !with_boxes.contains(&c.id)) {
            self.row(None, Some(category), None, "")?;
        }
        for (image, places) in set.images.iter().zip(document.annotations_by_image()) {
            let mut alone = places.is_empty();
            for (list, word) in
                [(&image.neg_category_ids, "absent"), (&image.not_exhaustive_category_ids, "not-exhaustive")]
            {
                for category in list.iter().flatten().filter_map(|id| classes.get(id)).filter(|_| lvis) {
                    self.row(Some(image), Some(category), None, word)?;
                    alone = false;
                }
            }
            if alone {
                self.row(Some(image), None, None, "")?;
            }
            for place in places {
                let annotation = &set.annotations[place];
                let boxed = Some((annotation, &document.extras.annotations[place]));
                self.row(Some(image), classes.get(&annotation.category_id).copied(), boxed, "")?;
            }
        }
        self.writer.flush()?;
        Ok(())
    }

    fn row(
        &mut self,
        image: Option<&ImageRecord>,
        category: Option<&Category>,
        boxed: Option<(&Annotation, &Members)>,
        verified: &str,
    ) -> Result<(), csv::Error> {
        let flag = |set: bool| u8::from(set).to_string();
        let cell = |column: Column| -> Option<String> {
            let annotation = boxed.map(|(annotation, _)| annotation);
            let side = |place: usize| annotation.map(|a| a.bbox[place].to_string());
            match column {
                Column::ImageId => image.map(|i| i.id.to_string()),
                Column::FileName => image.map(|i| i.file_name.clone()),
                Column::Width => image.map(|i| i.width.to_string()),
                Column::Height => image.map(|i| i.height.to_string()),
                Column::AnnotationId => annotation.map(|a| a.id.to_string()),
                Column::CategoryId => category.map(|c| c.id.to_string()),
                Column::Class => category.map(|c| c.name.clone()),
                Column::X => side(0),
                Column::Y => side(1),
                Column::BoxWidth => side(2),
                Column::BoxHeight => side(3),
                Column::Area => annotation.and_then(|a| a.area).map(|area| area.to_string()),
                Column::IsCrowd => annotation.map(|a| flag(a.iscrowd)),
                Column::Ignore => annotation.map(|a| flag(a.ignore)),
                Column::Verified => Some(verified.to_owned()),
                Column::Frequency => {
                    let group = category.filter(|_| image.is_none()).and_then(|c| c.frequency);
                    group.map(|group| group.letter().to_owned())
                }
                Column::XMin | Column::YMin | Column::XMax | Column::YMax => None,
            }
        };
        let mut cells: Vec<String> = WRITTEN.iter().map(|column| cell(*column).unwrap_or_default()).collect();
        if self.lvis {
            cells
                .extend([Column::Verified, Column::Frequency].map(|column| cell(column).unwrap_or_default()));
        }
        let members = boxed.map(|(_, members)| members);
        let value =
            |name: &str| members.and_then(|m| m.get(name)).map_or(String::new(), |v| v.as_str().to_owned());
        cells.extend(self.carried.iter().map(|name| value(name)));
        self.writer.write_record(cells)
    }
}
