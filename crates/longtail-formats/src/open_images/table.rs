//! CSV with named columns. A byte-order mark and both kinds of line ends are accepted, as is any order of columns.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use csv::ByteRecord;
use longtail_files::write_file_with;
use rustc_hash::FxHashSet;

use crate::error::FormatError;

/// Most bytes of a value that a message repeats.
const SHOWN: usize = 40;

/// A CSV file being read, row by row.
pub(super) struct Table {
    path: PathBuf,
    reader: csv::Reader<File>,
    header: ByteRecord,
    record: ByteRecord,
}

/// Place of a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    place: usize,
    name: &'static str,
}

impl Column {
    /// Place in the row.
    pub fn place(self) -> usize {
        self.place
    }
}

impl Table {
    /// Opens a file; with `header`, its first row names the columns.
    pub fn open(path: &Path, header: bool) -> Result<Self, FormatError> {
        let file = File::open(path).map_err(FormatError::io("read", path))?;
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            // The number of fields is checked here, with a hint.
            .flexible(true)
            .buffer_capacity(1 << 18)
            .from_reader(file);
        let mut table =
            Self { path: path.to_owned(), reader, header: ByteRecord::new(), record: ByteRecord::new() };
        if header {
            if !table.advance()? {
                return Err(table.error_at(1, "the file is empty; expected a row of column names".into()));
            }
            table.record.trim();
            table.header = table.record.clone();
        }
        Ok(table)
    }

    /// A column that the file may lack.
    pub fn optional(&self, name: &'static str) -> Option<Column> {
        self.header.iter().position(|field| field == name.as_bytes()).map(|place| Column { place, name })
    }

    /// A column that the file must have.
    pub fn column(&self, name: &'static str) -> Result<Column, FormatError> {
        self.optional(name).ok_or_else(|| {
            let found: Vec<String> = self.header.iter().map(shown).collect();
            let hint = match found.as_slice() {
                [only] if only.contains(';') => "; fields must be separated by commas, not semicolons",
                [only] if only.contains('\t') => "; fields must be separated by commas, not tabs",
                _ => "",
            };
            self.error_at(
                1,
                format!("column `{name}` is missing; the columns are {}{hint}", found.join(", ")),
            )
        })
    }

    /// Goes to the next row; `false` at the end. Rows without any text are skipped.
    pub fn next_row(&mut self) -> Result<bool, FormatError> {
        if !self.advance()? {
            return Ok(false);
        }
        let (found, expected) = (self.record.len(), self.header.len());
        if found != expected && !self.header.is_empty() {
            let hint = if found > expected { "; are numbers written with decimal commas?" } else { "" };
            return Err(self.error(format!("{found} fields, the header has {expected}{hint}")));
        }
        Ok(true)
    }

    fn advance(&mut self) -> Result<bool, FormatError> {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(false),
                Ok(true) if self.record.len() == 1 && self.record[0].trim_ascii().is_empty() => {}
                Ok(true) => return Ok(true),
                Err(error) => match error.into_kind() {
                    csv::ErrorKind::Io(source) => return Err(FormatError::io("read", &self.path)(source)),
                    kind => return Err(self.error(format!("{kind:?}"))),
                },
            }
        }
    }

    /// Column names.
    pub fn header(&self) -> &ByteRecord {
        &self.header
    }

    /// The row as it is.
    pub fn record(&self) -> &ByteRecord {
        &self.record
    }

    /// Number of fields of the row.
    pub fn fields(&self) -> usize {
        self.record.len()
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }

    /// A field's text, without spaces around it; not empty.
    pub fn text(&self, column: Column) -> Result<&str, FormatError> {
        match self.optional_text(column)? {
            Some(text) => Ok(text),
            None => Err(self.error(format!("`{}` is empty", column.name))),
        }
    }

    /// A field's text, without spaces around it; `None` if empty.
    pub fn optional_text(&self, column: Column) -> Result<Option<&str>, FormatError> {
        let bytes = self.record.get(column.place).unwrap_or_default();
        let text = std::str::from_utf8(bytes)
            .map_err(|_| self.error(format!("`{}` is not UTF-8: {}", column.name, shown(bytes))))?
            .trim();
        Ok((!text.is_empty()).then_some(text))
    }

    /// A field by its place, for files without column names.
    pub fn at(&self, place: usize, name: &'static str) -> Result<&str, FormatError> {
        self.text(Column { place, name })
    }

    /// A finite number.
    pub fn number(&self, column: Column) -> Result<f64, FormatError> {
        let text = self.text(column)?;
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => {
                let hint = if text.contains(',') { "; decimals are written with a point" } else { "" };
                Err(self.wrong(column, &format!("expected a finite number{hint}")))
            }
        }
    }

    /// 1 or 0; `None` for -1, which the published files write for unknown, or where nothing is written.
    pub fn flag(&self, column: Column) -> Result<Option<bool>, FormatError> {
        match self.optional_text(column)? {
            Some("1" | "1.0" | "true" | "True") => Ok(Some(true)),
            Some("0" | "0.0" | "false" | "False") => Ok(Some(false)),
            None | Some("-1" | "-1.0") => Ok(None),
            Some(_) => Err(self.wrong(column, "expected 1, 0, or -1 for unknown")),
        }
    }

    /// An error about a field's value.
    pub fn wrong(&self, column: Column, reason: &str) -> FormatError {
        let value = shown(self.record.get(column.place).unwrap_or_default());
        self.error(format!("`{}` is `{value}`, {reason}", column.name))
    }

    /// An error about the row.
    pub fn error(&self, reason: String) -> FormatError {
        let line = self.line().unwrap_or(self.reader.position().line());
        self.error_at(line, reason)
    }

    /// Line in which the row starts. The parser's own count is off after empty lines and with some line ends, so the file is
    /// read again up to the row's end.
    fn line(&self) -> std::io::Result<u64> {
        let mut bytes = BufReader::new(File::open(&self.path)?).take(self.bytes());
        let (mut lines, mut last, mut buffer) = (1, 0, vec![0; 1 << 16]);
        loop {
            let read = bytes.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            for &byte in &buffer[..read] {
                lines += u64::from(byte == b'\n' || last == b'\r');
                last = byte;
            }
        }
        let inside: usize =
            self.record.iter().map(|field| field.iter().filter(|&&b| b == b'\n').count()).sum();
        Ok((lines - u64::from(last == b'\n')).saturating_sub(inside as u64).max(1))
    }

    fn error_at(&self, line: u64, reason: String) -> FormatError {
        FormatError::Table { path: self.path.clone(), line, reason }
    }
}

/// Bytes as text for a message.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).trim().escape_debug().to_string();
    if bytes.len() > SHOWN { format!("{text}…") } else { text }
}

/// Names that repeat, each kept once.
#[derive(Default)]
pub(super) struct Names(FxHashSet<Arc<str>>);

impl Names {
    pub fn share(&mut self, name: &str) -> Arc<str> {
        if let Some(name) = self.0.get(name) {
            return name.clone();
        }
        let name: Arc<str> = name.into();
        self.0.insert(name.clone());
        name
    }
}

/// Writes a table whole, or not at all.
pub(super) fn write_whole<T>(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<T, FormatError>,
) -> Result<T, FormatError> {
    write_file_with(path, write, |error| FormatError::io("write", path)(error))
}

/// Writes rows of text as CSV: whole, or not at all.
pub(super) fn write_rows(path: &Path, rows: impl Iterator<Item = Vec<String>>) -> Result<(), FormatError> {
    write_whole(path, |file| {
        let mut writer = csv::Writer::from_writer(file);
        for row in rows {
            writer.write_record(&row).map_err(csv_error(path))?;
        }
        writer.flush().map_err(FormatError::io("write", path))
    })
}

/// A failed write of CSV.
pub(super) fn csv_error(path: &Path) -> impl Fn(csv::Error) -> FormatError {
    move |error| FormatError::io("write", path)(std::io::Error::other(error))
}
