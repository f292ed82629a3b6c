//! What is wrong with a mask, and where.

use crate::Size;

/// A mask, or a list of masks, that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The image has more pixels than the 31 bits of the run-length code's arithmetic can count.
    #[error("an image of {height} × {width} pixels is too large for a mask: give at most {limit} pixels")]
    ImageTooLarge {
        /// Height in pixels.
        height: u64,
        /// Width in pixels.
        width: u64,
        /// Most pixels that an image may have.
        limit: u64,
    },
    /// There are no counts at all; an empty mask has one, the number of pixels.
    #[error("the list of counts is empty: an empty mask has one count, the number of pixels")]
    NoCounts,
    /// The runs go on beyond the image's last pixel.
    #[error("counts overrun the image of {size}: run {run} ends at pixel {end} of {}", size.pixels())]
    CountsOverrun {
        /// Size of the image.
        size: Size,
        /// Index of the first run that ends outside.
        run: usize,
        /// Where it ends.
        end: u64,
    },
    /// The runs end before the image does.
    #[error("counts add up to {sum} of the {} pixels of an image of {size}", size.pixels())]
    CountsShort {
        /// Size of the image.
        size: Size,
        /// Sum of all counts.
        sum: u64,
    },
    /// The compressed text ends within a run.
    #[error("the text of counts is cut off: run {run} has no end at byte {at}")]
    TextTruncated {
        /// Index of the run.
        run: usize,
        /// Bytes in the text.
        at: usize,
    },
    /// The compressed text has a byte that the code does not use.
    #[error("byte {at} of the text of counts is {byte:#04x}: the code uses 0x30 to 0x6f only")]
    TextByte {
        /// Offset of the byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// A run of the compressed text is negative or longer than any image.
    #[error(
        "run {run} of the text of counts, which ends before byte {at}, is negative or longer than any image"
    )]
    TextRun {
        /// Index of the run.
        run: usize,
        /// Offset behind the run's last byte.
        at: usize,
    },
    /// A bitmap has not one byte for each pixel.
    #[error("a bitmap of {size} has {} bytes, this one has {length}", size.pixels())]
    BitmapLength {
        /// Size of the image.
        size: Size,
        /// Bytes given.
        length: usize,
    },
    /// Masks of different sizes cannot be compared or merged.
    #[error("masks of different sizes: {left}, and {right} at index {index}")]
    SizesDiffer {
        /// Size of the first mask, or of the image.
        left: Size,
        /// Size of the mask that differs.
        right: Size,
        /// Index of the mask that differs in its list.
        index: usize,
    },
    /// A list of masks to merge is empty, so the size of the result is unknown.
    #[error("there is no mask to merge")]
    NothingToMerge,
    /// There is not one crowd flag for each ground truth.
    #[error("{flags} crowd flags for {truths} ground truths: give one for each")]
    CrowdFlags {
        /// Flags given.
        flags: usize,
        /// Ground truths given.
        truths: usize,
    },
    /// A polygon of fewer than three points has no inside.
    #[error("a polygon of {points} points: at least 3 are needed")]
    TooFewPoints {
        /// Points given.
        points: usize,
    },
    /// A polygon is a list x, y, x, y, … and so has an even number of coordinates.
    #[error("a polygon of {numbers} numbers: x and y come in pairs")]
    OddCoordinates {
        /// Numbers given.
        numbers: usize,
    },
    /// A coordinate is NaN, infinite, or too large for the arithmetic.
    #[error("number {at} is {value}: coordinates lie within ±{limit}")]
    Coordinate {
        /// Index in the list of numbers.
        at: usize,
        /// The coordinate.
        value: f64,
        /// Largest magnitude.
        limit: f64,
    },
    /// The result would be absurdly large for what was given; refused before it is allocated.
    #[error("{what} of {pieces} pieces are refused: at most {limit}")]
    TooComplex {
        /// What has so many pieces.
        what: &'static str,
        /// How many.
        pieces: u64,
        /// At most.
        limit: u64,
    },
    /// There is not enough memory for a bitmap.
    #[error("no memory for a bitmap of {size}")]
    Memory {
        /// Size of the image.
        size: Size,
    },
    /// The ratio of the boundary's width to the image's diagonal is negative or not finite.
    #[error("a dilation ratio of {ratio}: give a number from 0 on, the challenge uses 0.02")]
    DilationRatio {
        /// The ratio.
        ratio: f64,
    },
    /// One entry of a list is wrong.
    #[error("{what} {index}: {source}")]
    At {
        /// What the list holds, such as "polygon".
        what: &'static str,
        /// Index in the list, from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<MaskError>,
    },
}

impl MaskError {
    /// The same error with the entry it belongs to.
    pub(crate) fn at(self, what: &'static str, index: usize) -> Self {
        Self::At { what, index, source: Box::new(self) }
    }
}
