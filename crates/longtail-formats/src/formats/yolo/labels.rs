//! Lines of a label file: `class x y w h`, or `class` and the corners of a polygon; all relative to the image.

use crate::formats::text::{integer, lines, number};

/// What rounding may add to a coordinate at the edge.
const ROUNDING: f64 = 1e-4;

/// One object of a label file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// Index of the class.
    pub class: i64,
    /// Place and size.
    pub shape: Shape,
}

/// Where an object lies, relative to width and height of the image.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    /// Centre x, y, width, height.
    Box([f64; 4]),
    /// x and y of every corner.
    Polygon(Vec<f64>),
}

/// Parses a label file: the label of each line, or why there is none.
pub(super) fn parse(text: &str) -> Vec<(u64, Result<Label, String>)> {
    let mut labels = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for (line, content) in lines(text) {
        let fields: Vec<&str> = content.split_whitespace().collect();
        // The same line twice is the same object; trainers drop it too.
        if seen.insert(fields.clone()) {
            labels.push((line, label(&fields)));
        }
    }
    labels
}

fn label(fields: &[&str]) -> Result<Label, String> {
    let count = fields.len();
    // A class, and 4 numbers or at least 3 pairs.
    if count != 5 && (count < 7 || count.is_multiple_of(2)) {
        let commas =
            if fields.iter().any(|f| f.contains(',')) { "; numbers are separated by spaces" } else { "" };
        let score = if count == 6 { "; is the last a score? labels have none" } else { "" };
        return Err(format!(
            "it has {count} fields, expected `class x y width height` or `class` and three or more pairs x y{commas}\
             {score}"
        ));
    }
    // Some exports write classes as `3.0`.
    let class = match integer(fields[0]) {
        Ok(class) => class,
        Err(reason) => match number(fields[0]) {
            Ok(value) if value.fract() == 0.0 && value.abs() < 1e9 => value as i64,
            _ => return Err(format!("class {reason}")),
        },
    };
    let numbers = fields[1..].iter().map(|field| number(field)).collect::<Result<Vec<f64>, String>>()?;
    if let Some(outside) = numbers.iter().find(|v| !(-ROUNDING..=1.0 + ROUNDING).contains(*v)) {
        // What lies a little outside was drawn over the edge; pixels are far away.
        let hint = if outside.abs() < 2.0 {
            "the object reaches over the edge of its image: cut it there"
        } else {
            "coordinates are relative: divide pixels by width and height of the image"
        };
        return Err(format!("{outside} lies outside of 0 to 1; {hint}"));
    }
    let shape = match <[f64; 4]>::try_from(numbers.as_slice()) {
        Ok(bbox) => Shape::Box(bbox),
        Err(_) => Shape::Polygon(numbers),
    };
    Ok(Label { class, shape })
}

impl Shape {
    /// x, y, width, height in pixels of an image of `[width, height]`.
    pub fn pixels(&self, size: [f64; 2]) -> [f64; 4] {
        match self {
            Self::Box([cx, cy, w, h]) => {
                let (w, h) = (w * size[0], h * size[1]);
                [cx * size[0] - w / 2.0, cy * size[1] - h / 2.0, w, h]
            }
            Self::Polygon(points) => {
                let extent = |first: usize| {
                    let values = points.iter().skip(first).step_by(2).map(|v| v * size[first]);
                    values.fold([f64::INFINITY, f64::NEG_INFINITY], |[a, b], v| [a.min(v), b.max(v)])
                };
                let ([x1, x2], [y1, y2]) = (extent(0), extent(1));
                [x1, y1, x2 - x1, y2 - y1]
            }
        }
    }

    /// COCO's `segmentation` of a polygon: one list of x and y in pixels.
    pub fn segmentation(&self, size: [f64; 2]) -> Option<[Vec<f64>; 1]> {
        match self {
            Self::Box(_) => None,
            Self::Polygon(points) => {
                Some([points.iter().zip((0..2).cycle()).map(|(v, i)| v * size[i]).collect()])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_and_polygons_become_pixels() {
        let labels =
            parse("1 0.5 0.5 0.5 0.25\r\n\r\n1 0.5 0.5 0.5 0.25\n0 0 0 0.5 0.25 0.25 1\n3.0 1 1 0 0");
        let labels: Vec<Label> = labels.into_iter().map(|(_, label)| label.unwrap()).collect();
        assert_eq!(labels.len(), 3);
        assert_eq!(labels[0].shape.pixels([80.0, 40.0]), [20.0, 15.0, 40.0, 10.0]);
        assert_eq!(labels[1].shape.pixels([80.0, 40.0]), [0.0, 0.0, 40.0, 40.0]);
        assert_eq!(
            labels[1].shape.segmentation([80.0, 40.0]),
            Some([vec![0.0, 0.0, 40.0, 10.0, 20.0, 40.0]])
        );
        assert_eq!(labels[2].class, 3);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, line, part) in [
            ("0 0.5 0.5 0.1 0.1\n0 12 0.5 0.1 0.1", 2, "outside of 0 to 1"),
            ("0 0.5 -0.5 0.1 0.1", 1, "over the edge"),
            ("0 0,5 0,5 0,1 0,1", 1, "decimal comma"),
            ("0,0.5,0.5,0.1,0.1", 1, "separated by spaces"),
            ("cat 0.5 0.5 0.1 0.1", 1, "not an integer"),
            ("0 0.5 0.5 0.1", 1, "4 fields"),
            ("0 0.5 0.5 0.1 0.1 0.9", 1, "is the last a score?"),
            ("0 0.5 0.5 0.1 nan", 1, "not finite"),
            ("0 0.1 0.2 0.3 0.4 0.5 0.6 0.7", 1, "8 fields"),
        ] {
            let wrong = parse(text).into_iter().find_map(|(line, label)| Some((line, label.err()?)));
            let (found, reason) = wrong.unwrap();
            assert!(found == line && reason.contains(part), "{text:?}: line {found}: {reason}");
        }
    }
}
