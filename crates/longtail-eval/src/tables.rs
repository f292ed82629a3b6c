//! Tables of an evaluation as Parquet, for notebooks to go on from.
//!
//! - **classes**: a row a class; `category_id`, `name`, `frequency`, `ap`, `ap50`, `ap75`, `ar`,
//!   `ground_truth`, `detections`.
//! - **detections**: a row a detection that took part; `image_id`, `category_id`, `score`, and for each IoU
//!   threshold `right@0.5`, …, null where the rules leave the detection out of the count.
//! - **images**: a row an image and class with ground truth or detections, at IoU 0.5; `image_id`,
//!   `category_id`, `ground_truth`, `right`, `wrong`, `ignored`, `missed`.
//!
//! All are over all areas.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use longtail_files::write_bytes;
use parquet::{
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use crate::{
    engine::annotations::evaluation::Evaluation,
    error::EvalError,
    report::{CategoryResult, EvalReport},
};

/// A column; `None` is null.
enum Values {
    Integers(Vec<i64>),
    Numbers(Vec<Option<f64>>),
    Flags(Vec<Option<bool>>),
    Texts(Vec<Option<String>>),
}

impl Values {
    fn declaration(&self) -> &'static str {
        match self {
            Self::Integers(_) => "required int64",
            Self::Numbers(_) => "optional double",
            Self::Flags(_) => "optional boolean",
            Self::Texts(_) => "optional binary",
        }
    }

    fn annotation(&self) -> &'static str {
        if matches!(self, Self::Texts(_)) { " (STRING)" } else { "" }
    }

    fn write(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        match self {
            Self::Integers(values) => column::<Int64Type>(group, values.into_iter().map(Some), false),
            Self::Numbers(values) => column::<DoubleType>(group, values.into_iter(), true),
            Self::Flags(values) => column::<BoolType>(group, values.into_iter(), true),
            Self::Texts(values) => {
                let bytes = values.into_iter().map(|text| text.map(|text| ByteArray::from(text.as_str())));
                column::<ByteArrayType>(group, bytes, true)
            }
        }
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    cells: impl Iterator<Item = Option<T::T>>,
    optional: bool,
) -> Result<(), ParquetError> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    let mut column = group.next_column()?.ok_or_else(|| ParquetError::General("no column is left".into()))?;
    column.typed::<T>().write_batch(&values, optional.then_some(&levels[..]), None)?;
    column.close()
}

/// The bytes of a table.
fn table(columns: Vec<(String, Values)>) -> Result<Vec<u8>, ParquetError> {
    let fields: Vec<String> = columns
        .iter()
        .map(|(name, values)| format!("{} {name}{};", values.declaration(), values.annotation()))
        .collect();
    let schema = Arc::new(parse_message_type(&format!("message table {{ {} }}", fields.join(" ")))?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new()))?;
    let mut group = writer.next_row_group()?;
    for (_, values) in columns {
        values.write(&mut group)?;
    }
    group.close()?;
    writer.into_inner()
}

fn written(path: &Path, columns: Vec<(String, Values)>) -> Result<(), EvalError> {
    let bytes = table(columns).map_err(|error| EvalError::io("write", path, std::io::Error::other(error)))?;
    Ok(write_bytes(path, &bytes)?)
}

impl Evaluation {
    /// Writes the three tables into a folder, which is made if need be: `classes.parquet`,
    /// `detections.parquet` and `images.parquet`; each whole, or not at all.
    ///
    /// # Errors
    /// If a file cannot be written, or 0.5 is not among the IoU thresholds.
    pub fn write_tables(&self, folder: &Path, report: &EvalReport) -> Result<(), EvalError> {
        let images = self.images_table()?;
        std::fs::create_dir_all(folder).map_err(|source| EvalError::io("make", folder, source))?;
        written(&folder.join("classes.parquet"), classes_table(&report.per_category))?;
        written(&folder.join("detections.parquet"), self.detections_table())?;
        written(&folder.join("images.parquet"), images)
    }

    fn detections_table(&self) -> Vec<(String, Values)> {
        let plan = &self.plan;
        let rows = || self.matches.rows(plan);
        let ids =
            |id: &dyn Fn(u32, u32) -> i64| Values::Integers(rows().map(|r| id(r.image, r.class)).collect());
        let mut columns = vec![
            ("image_id".to_owned(), ids(&|image, _| self.image_ids[image as usize])),
            ("category_id".to_owned(), ids(&|_, class| self.classes[class as usize].id)),
            ("score".to_owned(), Values::Numbers(rows().map(|row| Some(row.score)).collect())),
        ];
        for (threshold, iou) in plan.iou_thresholds.iter().enumerate() {
            let (plane, bit) = plan.planes.at(plan.whole, threshold);
            let right = rows().map(|row| {
                let outcome = row.outcomes[plane];
                (outcome.ignored & bit == 0).then_some(outcome.hit & bit != 0)
            });
            columns.push((format!("right@{iou}"), Values::Flags(right.collect())));
        }
        columns
    }

    fn images_table(&self) -> Result<Vec<(String, Values)>, EvalError> {
        let plan = &self.plan;
        let (plane, bit) = plan.half("the table of images")?;
        // Ground truth, right, wrong and ignored by image and class.
        let mut cells: BTreeMap<(u32, u32), [i64; 4]> = BTreeMap::new();
        for (cell, counts) in self.matches.countable.iter(plan.areas.len()) {
            cells.entry((cell.image, cell.class)).or_default()[0] += i64::from(counts[plan.whole]);
        }
        for row in self.matches.rows(plan) {
            let outcome = row.outcomes[plane];
            let kind = match (outcome.ignored & bit != 0, outcome.hit & bit != 0) {
                (true, _) => 3,
                (false, true) => 1,
                (false, false) => 2,
            };
            cells.entry((row.image, row.class)).or_default()[kind] += 1;
        }
        let of = |value: &dyn Fn(u32, u32, &[i64; 4]) -> i64| {
            Values::Integers(
                cells.iter().map(|((image, class), counts)| value(*image, *class, counts)).collect(),
            )
        };
        let columns = [
            ("image_id", of(&|image, _, _| self.image_ids[image as usize])),
            ("category_id", of(&|_, class, _| self.classes[class as usize].id)),
            ("ground_truth", of(&|_, _, counts| counts[0])),
            ("right", of(&|_, _, counts| counts[1])),
            ("wrong", of(&|_, _, counts| counts[2])),
            ("ignored", of(&|_, _, counts| counts[3])),
            ("missed", of(&|_, _, counts| counts[0] - counts[1])),
        ];
        Ok(columns.map(|(name, values)| (name.to_owned(), values)).into())
    }
}

fn classes_table(classes: &[CategoryResult]) -> Vec<(String, Values)> {
    let integers = |value: fn(&CategoryResult) -> i64| Values::Integers(classes.iter().map(value).collect());
    let numbers =
        |value: fn(&CategoryResult) -> Option<f64>| Values::Numbers(classes.iter().map(value).collect());
    let texts =
        |value: fn(&CategoryResult) -> Option<String>| Values::Texts(classes.iter().map(value).collect());
    let columns = [
        ("category_id", integers(|class| class.category_id)),
        ("name", texts(|class| Some(class.name.clone()))),
        ("frequency", texts(|class| class.frequency.map(|group| group.letter().to_owned()))),
        ("ap", numbers(|class| class.ap)),
        ("ap50", numbers(|class| class.ap50)),
        ("ap75", numbers(|class| class.ap75)),
        ("ar", numbers(|class| class.ar)),
        ("ground_truth", integers(|class| class.ground_truth as i64)),
        ("detections", integers(|class| class.detections as i64)),
    ];
    columns.map(|(name, values)| (name.to_owned(), values)).into()
}
