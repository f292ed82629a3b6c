//! Outlines of objects: polygons and run-length codes, for copy-paste.

use rustc_hash::FxHashMap;
use serde::Deserialize;

use longtail_formats::{Document, RawJson};

/// The outline of one object in pixels of its image.
#[derive(Debug, Clone, PartialEq)]
pub enum Outline {
    /// Closed polygons as x, y, x, y, …; a pixel whose centre lies inside one belongs to the object.
    Polygons(Vec<Vec<f32>>),
    /// Runs outside and inside in turn, down the columns of an image of this height.
    Runs {
        /// Height of the image.
        height: u32,
        /// Lengths; the first run is outside.
        counts: Vec<u32>,
    },
}

impl Outline {
    /// Polygons or runs as COCO and LVIS write them; `None` for what is neither.
    pub fn parse(segmentation: &RawJson) -> Option<Self> {
        serde_json::from_str::<Segmentation>(segmentation.as_str()).ok()?.outline()
    }

    /// The part in the frame x, y, width, height as 0 or 255 a pixel, row by row.
    pub fn rasterize(&self, frame: [u32; 4]) -> Vec<u8> {
        let [x, y, width, height] = frame;
        let mut mask = vec![0; width as usize * height as usize];
        match self {
            Self::Polygons(polygons) => {
                polygons.iter().for_each(|polygon| fill(polygon, frame, &mut mask));
            }
            Self::Runs { height: column, counts } => {
                let column = u64::from(*column).max(1);
                let mut start = 0_u64;
                for (place, &count) in counts.iter().enumerate() {
                    let end = start + u64::from(count);
                    if place % 2 == 1 {
                        // Column by column, only those of the frame.
                        for px in (start / column).max(x.into())..end.div_ceil(column).min((x + width).into())
                        {
                            let first = start.max(px * column) - px * column;
                            let last = end.min((px + 1) * column) - px * column;
                            for py in first.max(y.into())..last.min((y + height).into()) {
                                let (px, py) = (px - u64::from(x), py - u64::from(y));
                                mask[(py * u64::from(width) + px) as usize] = 255;
                            }
                        }
                    }
                    start = end;
                }
            }
        }
        mask
    }
}

/// Even-odd filling at the centres of pixels.
fn fill(polygon: &[f32], [x, y, width, height]: [u32; 4], mask: &mut [u8]) {
    let (points, _) = polygon.as_chunks::<2>();
    let mut crossings = Vec::new();
    for row in 0..height {
        let center = (y + row) as f32 + 0.5;
        crossings.clear();
        for (place, &[x1, y1]) in points.iter().enumerate() {
            let [x2, y2] = points[(place + 1) % points.len()];
            if (y1 <= center) != (y2 <= center) {
                crossings.push(x1 + (center - y1) / (y2 - y1) * (x2 - x1));
            }
        }
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            // The first centre at or right of a crossing.
            let column = |v: f32| ((v - 0.5).ceil() - x as f32).clamp(0.0, width as f32) as usize;
            let start = row as usize * width as usize;
            mask[start + column(pair[0])..start + column(pair[1])].fill(255);
        }
    }
}

/// Outlines by annotation id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlines {
    of: FxHashMap<i64, Outline>,
}

impl Outlines {
    /// The `segmentation` members of a data set of any format; an annotation without one, or with one that is
    /// no outline, has none.
    pub fn of(document: &Document) -> Self {
        let outlines = document.set.annotations.iter().zip(&document.extras.annotations);
        outlines
            .filter_map(|(a, members)| Some((a.id, Outline::parse(members.get("segmentation")?)?)))
            .collect()
    }

    /// Outline of an annotation.
    pub fn get(&self, annotation_id: i64) -> Option<&Outline> {
        self.of.get(&annotation_id)
    }

    /// Annotations with an outline.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }
}

impl FromIterator<(i64, Outline)> for Outlines {
    fn from_iter<I: IntoIterator<Item = (i64, Outline)>>(outlines: I) -> Self {
        Self { of: outlines.into_iter().collect() }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Segmentation {
    Polygons(Vec<Vec<f32>>),
    Runs { size: [u32; 2], counts: Vec<u32> },
    Text { size: [u32; 2], counts: String },
}

impl Segmentation {
    fn outline(self) -> Option<Outline> {
        match self {
            Self::Polygons(polygons) => {
                let usable: Vec<Vec<f32>> = polygons
                    .into_iter()
                    .filter(|p| p.len() >= 6 && p.len() % 2 == 0 && p.iter().all(|v| v.is_finite()))
                    .collect();
                (!usable.is_empty()).then_some(Outline::Polygons(usable))
            }
            Self::Runs { size, counts } => Some(Outline::Runs { height: size[0], counts }),
            Self::Text { size, counts } => {
                Some(Outline::Runs { height: size[0], counts: decode_counts(counts.as_bytes())? })
            }
        }
    }
}

/// The COCO API's text form of runs: five bits a character from 48 on, the sixth says that more follow, the
/// fifth of the last is the sign; from the fourth run on the difference to the last but one is stored.
fn decode_counts(text: &[u8]) -> Option<Vec<u32>> {
    let mut counts: Vec<i64> = Vec::new();
    let mut bytes = text.iter();
    while bytes.len() > 0 {
        let (mut value, mut shift) = (0_i64, 0);
        loop {
            let bits = i64::from(bytes.next()?.checked_sub(48).filter(|b| *b < 64)?);
            value |= (bits & 31) << shift;
            shift += 5;
            if bits & 32 == 0 {
                if bits & 16 != 0 {
                    value |= -1 << shift;
                }
                break;
            }
            if shift > 50 {
                return None;
            }
        }
        if counts.len() > 2 {
            value += counts[counts.len() - 2];
        }
        counts.push(value);
    }
    counts.into_iter().map(|count| u32::try_from(count).ok()).collect()
}
