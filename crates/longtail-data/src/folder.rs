//! Images in a folder.

use std::{
    io::{Cursor, Read},
    path::{Path, PathBuf},
};

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};

use crate::{
    error::DataError,
    sample::RgbImage,
    scaled_jpeg::{self, divisor},
    source::ImageSource,
};
use longtail_annotations::ImageRecord;
use longtail_formats::{ImageFiles, image_header::name_other};

/// Most pixels of an image unless told otherwise: 400 MB as RGB. A file of a few kilobytes can claim
/// thousands of times that.
pub const MAX_PIXELS: u64 = 1 << 27;
/// Most bytes of a file for each pixel that it may have: 16-bit RGBA, not compressed.
const BYTES_PER_PIXEL: u64 = 8;

/// JPEG, PNG, WebP, BMP, TIFF and GIF files (of several pictures the first) under a folder, by the file names of the annotation file.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    files: ImageFiles,
    max_pixels: u64,
}

impl ImageFolder {
    /// Images under `root`.
    pub fn new(root: &Path) -> Self {
        Self { files: ImageFiles::new(root), max_pixels: MAX_PIXELS }
    }

    /// Refuses images with more pixels than this instead of [`MAX_PIXELS`].
    #[must_use]
    pub fn with_max_pixels(self, max_pixels: u64) -> Self {
        Self { max_pixels, ..self }
    }

    /// Where an image lies: under its name, or, for names with folders (LVIS v1's `train2017/x.jpg`), without
    /// the first ones. A name that leads out of the folder is taken without what leads out.
    pub fn path(&self, file_name: &str) -> PathBuf {
        self.files.path(file_name)
    }

    /// Where an image lies, if it is there.
    ///
    /// # Errors
    /// If the name leads out of the folder, or there is no such file.
    pub fn find(&self, file_name: &str) -> Result<PathBuf, DataError> {
        Ok(self.files.find(file_name)?)
    }
}

impl ImageFolder {
    /// An image with its sides divided by `divisor` where the file allows it, and what they were divided by.
    fn read(&self, record: &ImageRecord, divisor: u32) -> Result<(RgbImage, u32), DataError> {
        let path = self.find(&record.file_name)?;
        let (image, divisor) = read_limited(&path, self.max_pixels, divisor)?;
        let found = [image.width, image.height].map(|side| side * divisor);
        let expected = [record.width, record.height];
        if found != expected {
            return Err(DataError::SizeMismatch { path, found, expected });
        }
        Ok((image, divisor))
    }
}

impl ImageSource for ImageFolder {
    fn load(&self, record: &ImageRecord) -> Result<RgbImage, DataError> {
        Ok(self.read(record, 1)?.0)
    }

    fn load_reduced(&self, record: &ImageRecord, least: [u32; 2]) -> Result<(RgbImage, u32), DataError> {
        self.read(record, divisor([record.width, record.height], least))
    }
}

/// Decodes an image file to upright RGB: EXIF orientation applied, grey and CMYK converted, alpha dropped.
///
/// # Errors
/// If the file is missing, truncated, of another format, or its header claims more than [`MAX_PIXELS`].
pub fn read_image(path: &Path) -> Result<RgbImage, DataError> {
    Ok(read_limited(path, MAX_PIXELS, 1)?.0)
}

/// Decodes an image of at most `max_pixels`; the header is checked before anything is decoded. A JPEG whose
/// sides can be divided by `divisor` is decoded at that size. Also returns what the sides were divided by.
fn read_limited(path: &Path, max_pixels: u64, divisor: u32) -> Result<(RgbImage, u32), DataError> {
    let broken = |reason: String| DataError::Decode { path: path.to_owned(), reason };
    let decode = |error: ImageError| match error {
        ImageError::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            DataError::Io { action: "read", path: path.to_owned(), source }
        }
        other => broken(other.to_string()),
    };
    let bytes = read_bytes(path, max_pixels.saturating_mul(BYTES_PER_PIXEL))?;
    let reader =
        ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(DataError::io("read", path))?;
    let format = reader.format();
    match format {
        None => return Err(broken(format!("it is {}", name_other(&bytes[..bytes.len().min(16)])))),
        Some(format) if !format.reading_enabled() => {
            return Err(broken(format!("it is {}", name_other(&bytes[..bytes.len().min(16)]))));
        }
        Some(ImageFormat::Jpeg) if is_cut_short(&bytes) => {
            return Err(broken("it is cut short: its end-of-image marker is missing".into()));
        }
        Some(_) => {}
    }
    let mut decoder = reader.into_decoder().map_err(decode)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(DataError::TooManyPixels { path: path.to_owned(), width, height, max_pixels });
    }
    let orientation = decoder.orientation().map_err(decode)?;
    let divides = divisor > 1 && width.is_multiple_of(divisor) && height.is_multiple_of(divisor);
    let reduced =
        (divides && format == Some(ImageFormat::Jpeg)).then(|| scaled_jpeg::decode(&bytes, divisor));
    let (mut image, divisor) = match reduced.flatten() {
        Some(image) => (image, divisor),
        None => (DynamicImage::from_decoder(decoder).map_err(decode)?, 1),
    };
    image.apply_orientation(orientation);
    let rgb = image.into_rgb8();
    Ok((RgbImage { width: rgb.width(), height: rgb.height(), pixels: rgb.into_raw() }, divisor))
}

/// A file of at most so many bytes, also where it is a pipe or a device without end.
fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, DataError> {
    let io = || DataError::io("read", path);
    let file = std::fs::File::open(path).map_err(io())?;
    let size = file.metadata().map_err(io())?.len();
    let mut bytes = Vec::with_capacity(size.min(most) as usize + 1);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(io())?;
    if bytes.len() as u64 > most {
        let reason =
            format!("it has more than {most} bytes, which no image within the limit on pixels needs");
        return Err(DataError::Decode { path: path.to_owned(), reason });
    }
    Ok(bytes)
}

/// Whether a JPEG ends inside its last scan; the decoder would fill what is missing with grey. In a scan's
/// data 0xFF is followed by 0x00 or a restart marker, so the end-of-image marker cannot occur there by
/// chance.
fn is_cut_short(jpeg: &[u8]) -> bool {
    let last = |marker: [u8; 2]| jpeg.windows(2).rposition(|pair| pair == marker);
    let (start_of_scan, end_of_image) = (last([0xFF, 0xDA]), last([0xFF, 0xD9]));
    end_of_image.is_none() || end_of_image < start_of_scan
}
