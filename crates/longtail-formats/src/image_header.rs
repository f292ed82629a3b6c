//! Size and orientation of image files, from their headers alone: no decoder is needed, and no pixel is read.

use std::{
    fs::File,
    io::{BufRead, BufReader, Error, ErrorKind, Read, Result as IoResult, Seek, SeekFrom},
    path::Path,
};

use crate::error::FormatError;

/// Most bytes of an EXIF chunk that are looked at.
const MOST_EXIF: u64 = 1 << 20;

/// How EXIF turns the pixels of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orientation {
    /// They are upright.
    Upright,
    /// Mirrored from left to right.
    FlipHorizontal,
    /// Turned by half.
    Rotate180,
    /// Mirrored from top to bottom.
    FlipVertical,
    /// Turned by 90° clockwise, then mirrored from left to right.
    Rotate90FlipH,
    /// Turned by 90° clockwise.
    Rotate90,
    /// Turned by 270° clockwise, then mirrored from left to right.
    Rotate270FlipH,
    /// Turned by 270° clockwise.
    Rotate270,
}

impl Orientation {
    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Rotate90 | Self::Rotate270 | Self::Rotate90FlipH | Self::Rotate270FlipH)
    }

    /// The orientation of an EXIF chunk (TIFF, without `Exif` in front); upright where it says nothing valid.
    fn of_exif(chunk: &[u8]) -> Self {
        Self::find(chunk).unwrap_or(Self::Upright)
    }

    fn find(chunk: &[u8]) -> Option<Self> {
        let little = match chunk.first_chunk::<4>()? {
            b"II\x2A\0" => true,
            b"MM\0\x2A" => false,
            _ => return None,
        };
        let u16_at = |at: usize| {
            let bytes = *chunk.get(at..)?.first_chunk::<2>()?;
            Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
        };
        let u32_at = |at: usize| {
            let bytes = *chunk.get(at..)?.first_chunk::<4>()?;
            Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
        };
        let directory = u32_at(4)? as usize;
        for entry in 0..usize::from(u16_at(directory)?) {
            let at = directory.checked_add(2 + 12 * entry)?;
            // Tag 0x112 is the orientation, a single SHORT.
            if (u16_at(at)?, u16_at(at + 2)?, u32_at(at + 4)?) == (0x112, 3, 1) {
                return Self::of_code(u32::from(u16_at(at + 8)?));
            }
        }
        None
    }

    /// The orientation of a number from 1 to 8.
    fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Upright,
            2 => Self::FlipHorizontal,
            3 => Self::Rotate180,
            4 => Self::FlipVertical,
            5 => Self::Rotate90FlipH,
            6 => Self::Rotate90,
            7 => Self::Rotate270FlipH,
            8 => Self::Rotate270,
            _ => return None,
        })
    }
}

/// What the header of a JPEG, PNG, WebP, BMP, TIFF or GIF file says; of several pictures, the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageHeader {
    /// Width in pixels, as the file has them.
    pub width: u32,
    /// Height in pixels, as the file has them.
    pub height: u32,
    /// How EXIF turns them.
    pub orientation: Orientation,
}

impl ImageHeader {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// If the file cannot be read, is of another format, or its header is broken.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let file = File::open(path).map_err(FormatError::io("read", path))?;
        Self::parse(&mut BufReader::new(file)).map_err(|error| match error.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                FormatError::ImageHeader { path: path.to_owned(), reason: error.to_string() }
            }
            _ => FormatError::io("read", path)(error),
        })
    }

    /// Width and height of the image as it is seen.
    pub fn upright_size(&self) -> [u32; 2] {
        if self.orientation.swaps_sides() { [self.height, self.width] } else { [self.width, self.height] }
    }

    /// Parses a header.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] or [`ErrorKind::UnexpectedEof`] for what is not an image.
    pub fn parse(input: &mut (impl BufRead + Seek)) -> IoResult<Self> {
        let mut start = Vec::with_capacity(12);
        Read::by_ref(input).take(12).read_to_end(&mut start)?;
        let header = if start.starts_with(&[0xFF, 0xD8, 0xFF]) {
            input.seek(SeekFrom::Start(2))?;
            jpeg(input)?
        } else if start.starts_with(b"\x89PNG\r\n\x1A\n") {
            input.seek(SeekFrom::Start(8))?;
            png(input)?
        } else if start.starts_with(b"RIFF") && start.ends_with(b"WEBP") {
            webp(input)?
        } else if start.starts_with(b"BM") {
            input.seek(SeekFrom::Start(14))?;
            bmp(input)?
        } else if start.starts_with(b"GIF8") && start.len() >= 10 {
            let [w1, w2, h1, h2] = [start[6], start[7], start[8], start[9]];
            let [width, height] = [[w1, w2], [h1, h2]].map(|side| u32::from(u16::from_le_bytes(side)));
            Self { width, height, orientation: Orientation::Upright }
        } else if start.starts_with(b"II\x2A\0") || start.starts_with(b"MM\0\x2A") {
            tiff(input, start[0] == b'I')?
        } else {
            return Err(broken(&format!("it is {}", name_other(&start))));
        };
        if header.width == 0 || header.height == 0 {
            return Err(broken("its header says that it has no pixels"));
        }
        Ok(header)
    }
}

/// What a file is whose first bytes are not those of an image that is read, with what to do.
pub fn name_other(start: &[u8]) -> &'static str {
    let brand = start.get(4..12).unwrap_or_default();
    if let Some(brand) = brand.strip_prefix(b"ftyp") {
        return match brand {
            b"avif" | b"avis" => "an AVIF picture, which is not read; convert it to JPEG or PNG",
            b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1" => {
                "a HEIC picture of a phone, which is not read; convert it to JPEG or PNG"
            }
            _ => "a video, and not an image",
        };
    }
    match start {
        [] => "empty",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => {
            "a pointer of Git LFS, and not an image; fetch the file itself (git lfs pull)"
        }
        [b'<', ..] => "a web page or XML, and not an image; the download went wrong",
        [0, 0, 0, 12, b'j', b'P', ..] => "a JPEG 2000 picture, which is not read; convert it to JPEG or PNG",
        [0xFF, 0x0A, ..] | [0, 0, 0, 12, b'J', b'X', ..] => {
            "a JPEG XL picture, which is not read; convert it to JPEG or PNG"
        }
        [b'8', b'B', b'P', b'S', ..] => "a document of Photoshop, which is not read; export it as PNG",
        [b'%', b'P', b'D', b'F', ..] => "a PDF document, and not an image",
        [0, 5, 0x16, 7, ..] => "a file of macOS beside an image (AppleDouble), and not an image; remove it",
        _ => "not a JPEG, PNG, WebP, BMP, TIFF or GIF file",
    }
}

fn broken(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidData, reason)
}

fn read<const N: usize>(input: &mut impl Read) -> IoResult<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => Error::new(ErrorKind::UnexpectedEof, "it is cut short"),
        _ => error,
    })?;
    Ok(bytes)
}

/// The first bytes of a chunk, and no more than is looked at.
fn chunk(input: &mut impl Read, length: u64) -> IoResult<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(length.min(MOST_EXIF)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Segments up to the first scan: the first frame header has the size.
fn jpeg(input: &mut (impl BufRead + Seek)) -> IoResult<ImageHeader> {
    let mut size = None;
    let mut orientation = Orientation::Upright;
    loop {
        // A marker is 0xFF, any number of them, and a byte that is neither 0xFF nor 0.
        while read::<1>(input)? != [0xFF] {}
        let mut marker = 0xFF;
        while marker == 0xFF {
            [marker] = read(input)?;
        }
        if matches!(marker, 0 | 0x01 | 0xD0..=0xD8) {
            continue;
        }
        if marker == 0xD9 {
            return Err(broken("it has no frame"));
        }
        let length = u64::from(u16::from_be_bytes(read(input)?));
        let Some(length) = length.checked_sub(2) else { return Err(broken("a segment has no length")) };
        let end = input.stream_position()? + length;
        match marker {
            // Start of frame; 0xC4, 0xC8 and 0xCC are other segments.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) && size.is_none() => {
                let [_, h1, h2, w1, w2] = read(input)?;
                size = Some([u16::from_be_bytes([w1, w2]), u16::from_be_bytes([h1, h2])].map(u32::from));
            }
            0xE1 => {
                let bytes = chunk(input, length)?;
                if let Some(exif) = bytes.strip_prefix(b"Exif\0\0") {
                    orientation = Orientation::of_exif(exif);
                }
            }
            0xDA => {
                let [width, height] = size.ok_or_else(|| broken("it has no frame"))?;
                return Ok(ImageHeader { width, height, orientation });
            }
            _ => {}
        }
        input.seek(SeekFrom::Start(end))?;
    }
}

/// The header behind the file's own: 12 bytes of OS/2, or more of Windows, where a negative height is upside down.
fn bmp(input: &mut impl Read) -> IoResult<ImageHeader> {
    let length = u32::from_le_bytes(read(input)?);
    let [width, height] = if length == 12 {
        [read(input)?, read(input)?].map(|side| u32::from(u16::from_le_bytes(side)))
    } else {
        [read(input)?, read(input)?].map(|side| i32::from_le_bytes(side).unsigned_abs())
    };
    Ok(ImageHeader { width, height, orientation: Orientation::Upright })
}

/// The first directory of a TIFF file: width is tag 256, height 257, orientation 274.
fn tiff(input: &mut (impl Read + Seek), little: bool) -> IoResult<ImageHeader> {
    let u16_of = |bytes: [u8; 2]| if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let u32_of = |bytes: [u8; 4]| if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    input.seek(SeekFrom::Start(4))?;
    let directory = u32_of(read(input)?);
    input.seek(SeekFrom::Start(directory.into()))?;
    let (mut width, mut height, mut orientation) = (0, 0, Orientation::Upright);
    for _ in 0..u16_of(read(input)?) {
        let [t1, t2, k1, k2, _, _, _, _, a, b, c, d] = read(input)?;
        let value = match u16_of([k1, k2]) {
            3 => u32::from(u16_of([a, b])),
            _ => u32_of([a, b, c, d]),
        };
        match u16_of([t1, t2]) {
            256 => width = value,
            257 => height = value,
            274 => orientation = Orientation::of_code(value).unwrap_or(Orientation::Upright),
            _ => {}
        }
    }
    Ok(ImageHeader { width, height, orientation })
}

/// Chunks up to the first of pixels.
fn png(input: &mut (impl BufRead + Seek)) -> IoResult<ImageHeader> {
    let mut header: Option<ImageHeader> = None;
    loop {
        let length = u64::from(u32::from_be_bytes(read(input)?));
        let kind = read::<4>(input)?;
        let end = input.stream_position()? + length + 4;
        match (&kind, &mut header) {
            (b"IHDR", None) => {
                let [width, height] = [read(input)?, read(input)?].map(u32::from_be_bytes);
                header = Some(ImageHeader { width, height, orientation: Orientation::Upright });
            }
            (b"eXIf", Some(header)) => header.orientation = Orientation::of_exif(&chunk(input, length)?),
            (b"IDAT" | b"IEND", Some(header)) => return Ok(*header),
            (_, None) => return Err(broken("its first chunk is not its header")),
            _ => {}
        }
        input.seek(SeekFrom::Start(end))?;
    }
}

/// The frame's size, or in an extended file that of the canvas and the orientation of a later chunk.
fn webp(input: &mut (impl BufRead + Seek)) -> IoResult<ImageHeader> {
    let (kind, length) = webp_chunk(input)?;
    let orientation = Orientation::Upright;
    match &kind {
        b"VP8 " => {
            let [_, _, _, 0x9D, 0x01, 0x2A, w1, w2, h1, h2] = read(input)? else {
                return Err(broken("its frame has no start code"));
            };
            let [width, height] =
                [[w1, w2], [h1, h2]].map(|side| u32::from(u16::from_le_bytes(side) & 0x3FFF));
            Ok(ImageHeader { width, height, orientation })
        }
        b"VP8L" => {
            let [0x2F, a, b, c, d] = read(input)? else { return Err(broken("its frame has no signature")) };
            let bits = u32::from_le_bytes([a, b, c, d]);
            Ok(ImageHeader { width: (bits & 0x3FFF) + 1, height: ((bits >> 14) & 0x3FFF) + 1, orientation })
        }
        b"VP8X" => {
            let [_, _, _, _, w1, w2, w3, h1, h2, h3] = read(input)?;
            let [width, height] = [[w1, w2, w3, 0], [h1, h2, h3, 0]].map(|side| u32::from_le_bytes(side) + 1);
            let mut header = ImageHeader { width, height, orientation };
            // Chunks have even lengths; the size of this one counts from behind its own length.
            let mut next = 20 + length + length % 2;
            loop {
                input.seek(SeekFrom::Start(next))?;
                let Ok((kind, length)) = webp_chunk(input) else { return Ok(header) };
                if &kind == b"EXIF" {
                    header.orientation = Orientation::of_exif(&chunk(input, length)?);
                    return Ok(header);
                }
                next = next.saturating_add(8 + length + length % 2);
            }
        }
        _ => Err(broken("its first chunk is not a frame")),
    }
}

fn webp_chunk(input: &mut impl Read) -> IoResult<([u8; 4], u64)> {
    Ok((read(input)?, u64::from(u32::from_le_bytes(read(input)?))))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(start in 0..4_usize, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            let starts: [&[u8]; 4] =
                [b"", &[0xFF, 0xD8, 0xFF], b"\x89PNG\r\n\x1A\n", b"RIFF\0\0\0\0WEBPVP8X"];
            let _ = ImageHeader::parse(&mut Cursor::new([starts[start], &rest].concat()));
        }

        #[test]
        fn no_exif_makes_it_panic(little: bool, rest in proptest::collection::vec(any::<u8>(), 0..100)) {
            let start: &[u8] = if little { b"II\x2A\0" } else { b"MM\0\x2A" };
            let _ = Orientation::of_exif(&[start, &rest].concat());
        }
    }
}
