//! A set as bytes: lists by column, little-endian, each with its length before it.

use rayon::prelude::*;

use longtail_annotations::{Annotation, AnnotationSet, Category, FrequencyGroup, ImageRecord, Layout};

/// Bytes of an annotation: ids of itself, image and class, box, area, flags.
const ANNOTATION: usize = 3 * 8 + 4 * 8 + 8 + 1;
/// Annotations that a thread decodes in one go.
const CHUNK: usize = 1 << 15;

const CROWD: u8 = 1;
const IGNORE: u8 = 2;
const AREA: u8 = 4;

/// A length and as many bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The whole set but its path.
pub fn put_set(out: &mut Vec<u8>, set: &AnnotationSet) {
    // Named one by one, so that a new field cannot be forgotten here.
    let AnnotationSet { path: _, layout, images, annotations, categories } = set;
    out.push(match layout {
        Layout::Coco => 0,
        Layout::Lvis => 1,
    });
    put_length(out, categories.len());
    for Category { id, name, frequency } in categories {
        out.extend_from_slice(&id.to_le_bytes());
        out.push(match frequency {
            None => 0,
            Some(FrequencyGroup::Rare) => 1,
            Some(FrequencyGroup::Common) => 2,
            Some(FrequencyGroup::Frequent) => 3,
        });
        put_bytes(out, name.as_bytes());
    }
    put_length(out, images.len());
    for image in images {
        let ImageRecord { id, file_name, width, height, neg_category_ids, not_exhaustive_category_ids } =
            image;
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&width.to_le_bytes());
        out.extend_from_slice(&height.to_le_bytes());
        put_bytes(out, file_name.as_bytes());
        put_ids(out, neg_category_ids.as_deref());
        put_ids(out, not_exhaustive_category_ids.as_deref());
    }
    put_length(out, annotations.len());
    for Annotation { id, image_id, category_id, bbox, area, iscrowd, ignore } in annotations {
        for id in [id, image_id, category_id] {
            out.extend_from_slice(&id.to_le_bytes());
        }
        for value in bbox.iter().chain([&area.unwrap_or(0.0)]) {
            out.extend_from_slice(&value.to_le_bytes());
        }
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        out.push(flag(*iscrowd, CROWD) | flag(*ignore, IGNORE) | flag(area.is_some(), AREA));
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend_from_slice(&(length as u64).to_le_bytes());
}

/// 0 for no list, else its length and 1.
fn put_ids(out: &mut Vec<u8>, ids: Option<&[i64]>) {
    put_length(out, ids.map_or(0, |ids| ids.len() + 1));
    for id in ids.into_iter().flatten() {
        out.extend_from_slice(&id.to_le_bytes());
    }
}

/// Reads what was put; `None` where the bytes are none of ours. Memory is bounded by the bytes that are there.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// A number of entries that need at least so many bytes each.
    fn length(&mut self, least: usize) -> Option<usize> {
        let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
        (length <= self.rest.len() / least).then_some(length)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length(1)?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn id(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.array()?))
    }

    #[expect(clippy::option_option, reason = "the list may be absent, and the bytes may be wrong")]
    fn ids(&mut self) -> Option<Option<Vec<i64>>> {
        let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
        let Some(length) = length.checked_sub(1) else { return Some(None) };
        let bytes = self.take(length.checked_mul(8)?)?;
        Some(Some(bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()))
    }

    /// A whole set, which must end the bytes.
    pub fn set(&mut self) -> Option<AnnotationSet> {
        let layout = match self.array()? {
            [0] => Layout::Coco,
            [1] => Layout::Lvis,
            _ => return None,
        };
        let count = self.length(17)?;
        let categories = (0..count).map(|_| self.category()).collect::<Option<Vec<_>>>()?;
        let count = self.length(40)?;
        let images = (0..count).map(|_| self.image()).collect::<Option<Vec<_>>>()?;
        let count = self.length(ANNOTATION)?;
        let bytes = self.take(count * ANNOTATION)?;
        let (entries, _) = bytes.as_chunks::<ANNOTATION>();
        let annotations = entries.par_iter().with_min_len(CHUNK).map(annotation_of).collect();
        self.rest.is_empty().then_some(AnnotationSet { path: None, layout, images, annotations, categories })
    }

    fn category(&mut self) -> Option<Category> {
        let id = self.id()?;
        let frequency = match self.array()? {
            [0] => None,
            [1] => Some(FrequencyGroup::Rare),
            [2] => Some(FrequencyGroup::Common),
            [3] => Some(FrequencyGroup::Frequent),
            _ => return None,
        };
        Some(Category { id, frequency, name: self.text()? })
    }

    fn image(&mut self) -> Option<ImageRecord> {
        Some(ImageRecord {
            id: self.id()?,
            width: u32::from_le_bytes(self.array()?),
            height: u32::from_le_bytes(self.array()?),
            file_name: self.text()?,
            neg_category_ids: self.ids()?,
            not_exhaustive_category_ids: self.ids()?,
        })
    }
}

fn annotation_of(bytes: &[u8; ANNOTATION]) -> Annotation {
    let (words, _) = bytes.as_chunks::<8>();
    let (id, number) =
        (|place: usize| i64::from_le_bytes(words[place]), |place: usize| f64::from_le_bytes(words[place]));
    let flags = bytes[ANNOTATION - 1];
    Annotation {
        id: id(0),
        image_id: id(1),
        category_id: id(2),
        bbox: [number(3), number(4), number(5), number(6)],
        area: (flags & AREA != 0).then(|| number(7)),
        iscrowd: flags & CROWD != 0,
        ignore: flags & IGNORE != 0,
    }
}
