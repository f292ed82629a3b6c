//! Where the pixels of an image come from.

use crate::{error::DataError, sample::RgbImage};
use longtail_annotations::ImageRecord;

/// Gives the pixels of an image: a folder of files, or a world that draws them.
pub trait ImageSource: Send + Sync {
    /// Pixels of `record`, upright (EXIF orientation applied), RGB.
    ///
    /// # Errors
    /// If the image is missing, cannot be decoded, or its size disagrees with the record.
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError>;

    /// The same at a half, a quarter or an eighth of width and height, where that is faster, does not go
    /// below `least` pixels along x and y, and divides both without rest. Also returns the divisor, 1 for the
    /// whole image.
    ///
    /// # Errors
    /// As [`Self::load`].
    fn load_reduced(&self, record: &ImageRecord, least: [u32; 2]) -> Result<(RgbImage, u32), DataError> {
        let _ = least;
        Ok((self.load(record)?, 1))
    }
}
