//! Masks as an evaluation holds them: compressed, and decoded where an overlap asks for it.

use std::{borrow::Cow, cell::OnceCell};

use longtail_mask::{Counts, MAX_PIECES, MaskError, Runs, Segmentation, Size, Spans, TextSummary};

/// A checked mask of its image's size.
#[derive(Debug, Clone)]
pub(crate) struct Mask {
    /// Compressed counts.
    text: Box<[u8]>,
    area: u32,
}

impl Mask {
    /// Checks a mask.
    ///
    /// # Errors
    /// If it is none, or of another size.
    pub(crate) fn new(segmentation: Cow<'_, Segmentation>, size: Size) -> Result<Self, MaskError> {
        let text = match segmentation {
            Cow::Owned(Segmentation::Runs(Runs { size: [height, width], counts: Counts::Text(text) }))
                if [height, width] == [size.height(), size.width()] =>
            {
                text
            }
            other => other.to_rle(size)?.to_text(),
        };
        let TextSummary { runs, area, .. } = TextSummary::of(size, &text)?;
        // So that its boundary can be made.
        let pieces = runs as u64 + u64::from(size.width());
        if pieces > MAX_PIECES {
            return Err(MaskError::TooComplex { what: "a mask", pieces, limit: MAX_PIECES });
        }
        Ok(Self { text: text.into_bytes().into(), area })
    }

    /// Pixels inside.
    pub(crate) fn area(&self) -> f64 {
        f64::from(self.area)
    }

    /// The compressed counts.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// A mask that is decoded when it is asked for.
struct Decoded<'a> {
    mask: &'a Mask,
    spans: OnceCell<Spans>,
    boundary: OnceCell<Spans>,
}

impl<'a> Decoded<'a> {
    fn new(mask: &'a Mask) -> Self {
        Self { mask, spans: OnceCell::new(), boundary: OnceCell::new() }
    }

    fn spans(&self, size: Size) -> &Spans {
        let decode = || Spans::from_text(size, &self.mask.text).expect("checked when it was made");
        self.spans.get_or_init(decode)
    }

    fn boundary(&self, size: Size, ratio: f64) -> &Spans {
        let decode = || self.spans(size).boundary(ratio).expect("checked when both were made");
        self.boundary.get_or_init(decode)
    }
}

/// Overlaps of the masks of an image and class.
pub(crate) struct MaskOverlaps<'a> {
    size: Size,
    /// The least IoU threshold.
    least: f64,
    /// Of boundaries.
    ratio: Option<f64>,
    found: Vec<Decoded<'a>>,
    truths: Vec<Decoded<'a>>,
}

impl<'a> MaskOverlaps<'a> {
    /// Decodes nothing yet. `least` is the least IoU threshold, `ratio` that of boundaries.
    pub(crate) fn new(
        size: Size,
        least: f64,
        ratio: Option<f64>,
        found: impl Iterator<Item = &'a Mask>,
        truths: impl Iterator<Item = &'a Mask>,
    ) -> Self {
        Self {
            size,
            least,
            ratio,
            found: found.map(Decoded::new).collect(),
            truths: truths.map(Decoded::new).collect(),
        }
    }

    /// The overlap of a detection and a ground truth; some number below the least threshold where it is below
    /// that.
    pub(crate) fn of(&self, detection: usize, truth: usize, crowd: bool) -> f64 {
        let (found, truth) = (&self.found[detection], &self.truths[truth]);
        let [a, b] = [found.mask.area(), truth.mask.area()];
        // The overlap is at most this quotient, and division rounds larger numbers no lower.
        if !crowd && a.min(b) / a.max(b) < self.least {
            return 0.0;
        }
        let overlap = found.spans(self.size).overlap(truth.spans(self.size), crowd);
        match self.ratio {
            Some(ratio) if !crowd && overlap >= self.least => {
                let boundary = found.boundary(self.size, ratio);
                overlap.min(boundary.overlap(truth.boundary(self.size, ratio), false))
            }
            _ => overlap,
        }
    }
}
