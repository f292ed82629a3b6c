//! Masks of objects as runs, bit for bit as `pycocotools` 2.0.11 has them, and their boundaries as the
//! Boundary IoU challenge's code has them.
//!
//! | module | purpose |
//! | --- | --- |
//! | `rle` | [`Rle`]: runs, area, box |
//! | `size` | [`Size`] of an image, refused where the arithmetic ends |
//! | `text` | compressed text ⇄ counts; [`TextSummary`]: text checked, its runs not kept |
//! | `bitmap` | bitmaps ⇄ runs |
//! | `merge` | [`merge()`]: union and intersection |
//! | `polygon` | polygons and boxes → runs |
//! | `outline` | runs → polygons |
//! | `spans` | [`Spans`]: a mask prepared for many overlaps |
//! | `overlap` | [`iou`] of masks, [`box_iou`] of boxes, with crowds |
//! | `boundary` | [`Rle::boundary`], [`boundary_iou`] |
//! | `segmentation` | [`Segmentation`]: the forms of COCO's and LVIS's files |
//! | `json` | reading them |
//! | `error` | [`MaskError`] |
//!
//! Everything but [`Rle::encode_columns`], [`Rle::decode_columns`] and their like works on runs and never on
//! pixels. All arithmetic is exact in whole numbers, but the slopes of polygons and the final division, which
//! are f64 as in the reference's builds for x86-64.
//!
//! ```
//! use longtail_mask::{Rle, Size, iou};
//!
//! let size = Size::new(10, 10)?;
//! let triangle = Rle::from_polygon(size, &[0.0, 0.0, 9.0, 0.0, 9.0, 9.0])?;
//! assert_eq!(triangle.to_text(), ":191O1O1O1O1O1O19");
//! assert_eq!((triangle.area(), triangle.to_bbox()), (36, [1, 0, 8, 8]));
//!
//! let square = Rle::from_box(size, [0.0, 0.0, 9.0, 9.0])?;
//! assert_eq!(iou(&[triangle.clone()], &[square], &[false])?, [36.0 / 81.0]);
//! assert_eq!(Rle::from_text(size, triangle.to_text())?, triangle);
//! # Ok::<(), longtail_mask::MaskError>(())
//! ```
//!
//! # Where the reference is not followed
//!
//! | input | reference | here |
//! | --- | --- | --- |
//! | counts that do not add up to the image | memory beyond the bitmap or a hang | [`MaskError::CountsOverrun`], [`MaskError::CountsShort`] |
//! | text that is cut off, or has other characters | memory beyond the text, or any number | [`MaskError::TextTruncated`], [`MaskError::TextByte`] |
//! | runs inside of length 0 only | a box with sides of about 2³² | an empty box |
//! | runs of length 0 in both of two masks | overlap and union may end there | what the pixels say |
//! | NaN, infinite or huge coordinates | a crash | [`MaskError::Coordinate`] |
//! | polygons of two points, odd numbers of coordinates | an empty mask, the last number left out | [`MaskError::TooFewPoints`], [`MaskError::OddCoordinates`] |
//! | masks of different sizes | an IoU of −1 or 0, a union of size 0 × 0 | [`MaskError::SizesDiffer`] |
//! | a bitmap with several values but 0 | each change is taken for one between outside and inside | all but 0 is inside |
//! | a polygon in an image without columns | runs longer than the image | an empty mask |

mod bitmap;
mod boundary;
mod error;
mod json;
mod merge;
mod outline;
mod overlap;
mod polygon;
mod rle;
mod segmentation;
mod size;
mod spans;
mod text;

pub use boundary::{
    BoundarySpans, DILATION_RATIO, MAX_PIECES, boundary_iou, boundary_iou_of_spans, boundary_width,
};
pub use error::MaskError;
pub use merge::{Merge, merge};
pub use outline::Outline;
pub use overlap::{box_iou, iou, iou_of_spans};
pub use rle::Rle;
pub use segmentation::{Counts, Runs, Segmentation};
pub use size::Size;
pub use spans::Spans;
pub use text::TextSummary;
