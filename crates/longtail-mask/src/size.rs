//! Sizes of images.

use std::fmt;

use crate::MaskError;

/// Height and width of an image of at most [`Size::MAX_PIXELS`] pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    height: u32,
    width: u32,
}

impl Size {
    /// 2³¹ − 1: the reference rasterises polygons in signed 32-bit arithmetic.
    pub const MAX_PIXELS: u32 = i32::MAX as u32;

    /// Height and width in pixels; both may be 0.
    ///
    /// # Errors
    /// If the image has more than [`Size::MAX_PIXELS`] pixels, or a side is longer than that.
    pub fn new(height: u32, width: u32) -> Result<Self, MaskError> {
        let pixels = u64::from(height) * u64::from(width);
        if pixels.max(height.into()).max(width.into()) > Self::MAX_PIXELS.into() {
            let limit = Self::MAX_PIXELS.into();
            return Err(MaskError::ImageTooLarge { height: height.into(), width: width.into(), limit });
        }
        Ok(Self { height, width })
    }

    /// Rows.
    pub fn height(self) -> u32 {
        self.height
    }

    /// Columns.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Height × width.
    pub fn pixels(self) -> u32 {
        self.height * self.width
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.height, self.width)
    }
}
