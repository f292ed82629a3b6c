//! Where the pixels of an image come from.

use crate::{annotation::ImageRecord, error::DataError, sample::RgbImage};

/// Gives the pixels of an image: a folder of files, or a world that draws them.
pub trait ImageSource: Send + Sync {
    /// Pixels of `record`, upright (EXIF orientation applied), RGB.
    ///
    /// # Errors
    /// If the image is missing, cannot be decoded, or its size disagrees with the record.
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError>;
}
