//! Parquet tables of detections: columns `image_id`, `category_id`, `x`, `y`, `w`, `h` and `score`, in any
//! order, among others.

use std::{fs::File, panic::AssertUnwindSafe, path::Path};

use bytes::Bytes;
use parquet::{
    basic::{ConvertedType, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    file::reader::{FileReader, SerializedFileReader},
    schema::types::SchemaDescriptor,
};
use rayon::prelude::*;

use super::entry::Unusual;
use crate::{detection::Detection, error::EvalError};

/// Columns of integers, then those of numbers.
const COLUMNS: [&str; 7] = ["image_id", "category_id", "x", "y", "w", "h", "score"];
const INTEGERS: usize = 2;
/// Rows read at once.
const BATCH: usize = 1 << 16;

/// Reads a file batch by batch and hands on what is found in order, until `convert` refuses a row or `found`
/// a batch.
pub(super) fn stream<T: Send>(
    path: &Path,
    convert: impl Fn(&Detection) -> Option<T> + Sync,
    found: impl FnMut(&[T]) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    // The library panics on some damaged files. What was found before is dropped by the caller, as after any
    // error.
    std::panic::catch_unwind(AssertUnwindSafe(|| read_batches(path, convert, found))).unwrap_or_else(|_| {
        let reason = "its pages or its footer contradict themselves; is the file whole?".into();
        Err(EvalError::Table { path: path.to_owned(), reason })
    })
}

fn read_batches<T: Send>(
    path: &Path,
    convert: impl Fn(&Detection) -> Option<T> + Sync,
    mut found: impl FnMut(&[T]) -> Result<(), Unusual>,
) -> Result<Result<(), Unusual>, EvalError> {
    let fail = |reason: String| EvalError::Table { path: path.to_owned(), reason };
    let damaged = |error: parquet::errors::ParquetError| fail(format!("{error}; is the file whole?"));
    let io = |source| EvalError::io("read", path, source);
    let file = File::open(path).map_err(io)?;
    // SAFETY: the map is read-only and dropped with the reader; a file that shrinks meanwhile is the caller's
    // to avoid.
    let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    // Columns are read side by side, which they cannot be from a file with its one position.
    let reader = SerializedFileReader::new(Bytes::from_owner(mapped)).map_err(damaged)?;
    let metadata = reader.metadata().file_metadata();
    let places = places(metadata.schema_descr()).map_err(fail)?;
    let mut first = 0;
    let (mut rows, mut values) = (Vec::new(), vec![Values::default(); COLUMNS.len()]);
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(damaged)?;
        let mut columns = Vec::new();
        for (name, place) in COLUMNS.into_iter().zip(places) {
            let descriptor = metadata.schema_descr().column(place);
            let unsigned =
                matches!(descriptor.converted_type(), ConvertedType::UINT_32 | ConvertedType::UINT_64);
            let reader = group.get_column_reader(place).map_err(damaged)?;
            columns.push(Column { name, unsigned, reader });
        }
        let expected = group.metadata().num_rows();
        let mut left = usize::try_from(expected).map_err(|_| fail(format!("{expected} rows in a group")))?;
        while left > 0 {
            let count = left.min(BATCH);
            columns
                .par_iter_mut()
                .zip(&mut values)
                .map(|(column, values)| column.read(count, first, values))
                .collect::<Result<(), String>>()
                .map_err(fail)?;
            let batch: Vec<Option<T>> =
                (0..count).into_par_iter().map(|row| convert(&detection(&values, row))).collect();
            rows.clear();
            for row in batch {
                let Some(row) = row else { return Ok(Err(Unusual)) };
                rows.push(row);
            }
            if found(&rows).is_err() {
                return Ok(Err(Unusual));
            }
            left -= count;
            first += count as u64;
        }
    }
    Ok(Ok(()))
}

/// Places of the columns in the file.
fn places(schema: &SchemaDescriptor) -> Result<[usize; COLUMNS.len()], String> {
    let names: Vec<String> = schema.columns().iter().map(|column| column.path().string()).collect();
    let mut places = [0; COLUMNS.len()];
    for (at, name) in COLUMNS.into_iter().enumerate() {
        let Some(place) = names.iter().position(|found| found == name) else {
            return Err(format!("column `{name}` is missing; the columns are {}", names.join(", ")));
        };
        let column = schema.column(place);
        let kind = column.physical_type();
        let fits = match kind {
            Type::INT32 | Type::INT64 => true,
            Type::FLOAT | Type::DOUBLE => at >= INTEGERS,
            _ => false,
        };
        let plain = !matches!(column.converted_type(), ConvertedType::DECIMAL);
        if !fits || !plain || column.max_rep_level() > 0 {
            let expected = if at < INTEGERS { "integers" } else { "numbers" };
            return Err(format!("column `{name}` has values of type {kind}, expected {expected}"));
        }
        places[at] = place;
    }
    Ok(places)
}

fn detection(values: &[Values], row: usize) -> Detection {
    let number = |place: usize| values[place].numbers[row];
    Detection {
        image_id: values[0].integers[row],
        category_id: values[1].integers[row],
        bbox: [number(2), number(3), number(4), number(5)],
        score: number(6),
    }
}

/// Values of a column in the current batch, as what it was read.
#[derive(Debug, Clone, Default)]
struct Values {
    integers: Vec<i64>,
    numbers: Vec<f64>,
}

/// A column of a group of rows.
struct Column {
    name: &'static str,
    unsigned: bool,
    reader: ColumnReader,
}

impl Column {
    /// Reads the next `count` values; `first` is the number of the first row in the file.
    fn read(&mut self, count: usize, first: u64, found: &mut Values) -> Result<(), String> {
        let (unsigned, name) = (self.unsigned, self.name);
        let fail = |reason: String| format!("column `{name}`: {reason}");
        found.integers.clear();
        found.numbers.clear();
        match &mut self.reader {
            ColumnReader::Int32ColumnReader(reader) => {
                let values = values(reader, count, first).map_err(fail)?;
                let value = |v: i32| if unsigned { i64::from(v as u32) } else { i64::from(v) };
                found.integers.extend(values.into_iter().map(value));
            }
            ColumnReader::Int64ColumnReader(reader) => {
                let values = values(reader, count, first).map_err(fail)?;
                if unsigned && let Some(row) = values.iter().position(|&v| v < 0) {
                    return Err(fail(format!("row {} (counted from 0) is too large", first + row as u64)));
                }
                found.integers.extend(values);
            }
            ColumnReader::FloatColumnReader(reader) => {
                let values = values(reader, count, first).map_err(fail)?;
                found.numbers.extend(values.into_iter().map(f64::from));
            }
            ColumnReader::DoubleColumnReader(reader) => {
                found.numbers.extend(values(reader, count, first).map_err(fail)?);
            }
            _ => return Err(fail("values of another type".into())),
        }
        if found.numbers.is_empty() {
            found.numbers.extend(found.integers.iter().map(|&v| v as f64));
        }
        Ok(())
    }
}

/// The next `count` values of a column, none of them null.
fn values<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    count: usize,
    first: u64,
) -> Result<Vec<T::T>, String> {
    let (mut values, mut levels) = (Vec::with_capacity(count), Vec::new());
    let mut rows = 0;
    while rows < count {
        let (read, ..) = reader
            .read_records(count - rows, Some(&mut levels), None, &mut values)
            .map_err(|error| error.to_string())?;
        if read == 0 {
            return Err(format!(
                "it ends before row {} (counted from 0); is the file whole?",
                first + rows as u64
            ));
        }
        rows += read;
    }
    if values.len() != count {
        let most = levels.iter().copied().max().unwrap_or(0);
        let row = levels.iter().position(|&level| level < most || most == 0).unwrap_or(0);
        return Err(format!("row {} (counted from 0) is null", first + row as u64));
    }
    Ok(values)
}
