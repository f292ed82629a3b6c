//! Which column is what.

/// A column that has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    ImageId,
    FileName,
    Width,
    Height,
    AnnotationId,
    CategoryId,
    Class,
    X,
    Y,
    BoxWidth,
    BoxHeight,
    XMin,
    YMin,
    XMax,
    YMax,
    Area,
    IsCrowd,
    Ignore,
    Verified,
    Frequency,
}

/// Names of the columns, the one that is written first; compared without case, spaces, `_` and `-`.
const NAMES: [(Column, &[&str]); 20] = [
    (Column::ImageId, &["image_id"]),
    (
        Column::FileName,
        &["file_name", "file", "image", "image_name", "image_path", "img", "img_path", "path"],
    ),
    (Column::Width, &["width", "image_width", "img_width"]),
    (Column::Height, &["height", "image_height", "img_height"]),
    (Column::AnnotationId, &["annotation_id", "id"]),
    (Column::CategoryId, &["category_id", "class_id", "label_id"]),
    (Column::Class, &["class", "class_name", "label", "label_name", "category", "category_name"]),
    (Column::X, &["x", "bbox_x", "box_x"]),
    (Column::Y, &["y", "bbox_y", "box_y"]),
    (Column::BoxWidth, &["box_width", "bbox_width", "bbox_w", "box_w", "w"]),
    (Column::BoxHeight, &["box_height", "bbox_height", "bbox_h", "box_h", "h"]),
    (Column::XMin, &["xmin", "x1", "left", "bbox_xmin"]),
    (Column::YMin, &["ymin", "y1", "top", "bbox_ymin"]),
    (Column::XMax, &["xmax", "x2", "right", "bbox_xmax"]),
    (Column::YMax, &["ymax", "y2", "bottom", "bbox_ymax"]),
    (Column::Area, &["area"]),
    (Column::IsCrowd, &["iscrowd", "crowd"]),
    (Column::Ignore, &["ignore"]),
    (Column::Verified, &["verified"]),
    (Column::Frequency, &["frequency"]),
];

/// Columns that are written, in order; `Verified` and `Frequency` for LVIS only.
pub(super) const WRITTEN: [Column; 14] = [
    Column::ImageId,
    Column::FileName,
    Column::Width,
    Column::Height,
    Column::AnnotationId,
    Column::CategoryId,
    Column::Class,
    Column::X,
    Column::Y,
    Column::BoxWidth,
    Column::BoxHeight,
    Column::Area,
    Column::IsCrowd,
    Column::Ignore,
];

impl Column {
    /// The column of a heading.
    pub fn of(heading: &str) -> Option<Self> {
        let plain = |name: &str| name.to_lowercase().replace(['_', ' ', '-'], "");
        let wanted = plain(heading.trim());
        NAMES
            .iter()
            .find(|(_, names)| names.iter().any(|name| plain(name) == wanted))
            .map(|(column, _)| *column)
    }

    /// The heading that is written.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(column, _)| *column == self).map_or("", |(_, names)| names[0])
    }
}

/// What separates the cells: comma, semicolon or tab, whichever the first line has most of.
pub(super) fn delimiter(text: &str) -> u8 {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
    // The last of equals wins.
    [b'\t', b';', b','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_delimiters_are_recognised() {
        assert_eq!(Column::of(" FileName "), Some(Column::FileName));
        assert_eq!(Column::of("X_Min"), Some(Column::XMin));
        assert_eq!(Column::of("Image Width"), Some(Column::Width));
        assert_eq!(Column::of("pose"), None);
        for column in WRITTEN {
            assert_eq!(Column::of(column.name()), Some(column));
        }
        assert_eq!([delimiter("a,b"), delimiter("\n a;b,c;d"), delimiter("a\tb"), delimiter("a")], *b",;\t,");
    }
}
