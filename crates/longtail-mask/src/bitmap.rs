//! Bitmaps to runs and back.

use crate::{MaskError, Rle, Size};

/// Bytes compared at once.
const BLOCK: usize = 64;
/// Side of the squares in which a bitmap is turned.
const TILE: usize = 32;

impl Rle {
    /// Encodes a bitmap in column order (pixel (x, y) at `x * height + y`); every byte but 0 is inside.
    /// O(pixels), 64 at once where nothing changes.
    ///
    /// The reference takes 0 and one other value; it counts a change from 1 to 2 as one between outside and
    /// inside.
    ///
    /// # Errors
    /// If there is not one byte for each pixel.
    pub fn encode_columns(size: Size, bitmap: &[u8]) -> Result<Self, MaskError> {
        if bitmap.len() != size.pixels() as usize {
            return Err(MaskError::BitmapLength { size, length: bitmap.len() });
        }
        let mut counts = Vec::new();
        let (mut value, mut start, mut at) = (0_u8, 0_usize, 0_usize);
        while at < bitmap.len() {
            if let Some(block) = bitmap[at..].first_chunk::<BLOCK>()
                && block.iter().fold(0, |differs, &byte| differs | (byte ^ value)) == 0
            {
                at += BLOCK;
                continue;
            }
            for word in bitmap[at..(at + BLOCK).min(bitmap.len())].chunks(8) {
                if word.iter().all(|&byte| byte == value) {
                    at += word.len();
                    continue;
                }
                for &byte in word {
                    if (byte != 0) != (value != 0) {
                        counts.push((at - start) as u32);
                        start = at;
                    }
                    value = byte;
                    at += 1;
                }
            }
        }
        counts.push((at - start) as u32);
        Ok(Self::from_counts(size, counts))
    }

    /// Encodes a bitmap in row order (pixel (x, y) at `y * width + x`), as most libraries keep them.
    /// O(pixels).
    ///
    /// # Errors
    /// As [`Rle::encode_columns`], and if there is no memory for a second bitmap.
    pub fn encode_rows(size: Size, bitmap: &[u8]) -> Result<Self, MaskError> {
        if bitmap.len() != size.pixels() as usize {
            return Err(MaskError::BitmapLength { size, length: bitmap.len() });
        }
        Self::encode_columns(size, &turned(bitmap, size.height() as usize, size.width() as usize, size)?)
    }

    /// 0 or 1 a pixel in column order. O(pixels).
    ///
    /// # Errors
    /// If there is no memory for the bitmap.
    pub fn decode_columns(&self) -> Result<Vec<u8>, MaskError> {
        let mut bitmap = reserved(self.size())?;
        let mut value = 0;
        for &count in self.counts() {
            bitmap.resize(bitmap.len() + count as usize, value);
            value ^= 1;
        }
        Ok(bitmap)
    }

    /// 0 or 1 a pixel in row order. O(pixels).
    ///
    /// # Errors
    /// If there is no memory for the bitmap and its copy.
    pub fn decode_rows(&self) -> Result<Vec<u8>, MaskError> {
        let size = self.size();
        turned(&self.decode_columns()?, size.width() as usize, size.height() as usize, size)
    }
}

fn reserved(size: Size) -> Result<Vec<u8>, MaskError> {
    let mut bitmap = Vec::new();
    bitmap.try_reserve_exact(size.pixels() as usize).map_err(|_| MaskError::Memory { size })?;
    Ok(bitmap)
}

/// `rows` lines of `columns` bytes, turned into `columns` lines of `rows`.
fn turned(bitmap: &[u8], rows: usize, columns: usize, size: Size) -> Result<Vec<u8>, MaskError> {
    let mut result = reserved(size)?;
    result.resize(bitmap.len(), 0);
    for row in (0..rows).step_by(TILE) {
        let row_end = (row + TILE).min(rows);
        for column in (0..columns).step_by(TILE) {
            for c in column..(column + TILE).min(columns) {
                let line = &mut result[c * rows + row..c * rows + row_end];
                for (r, byte) in (row..).zip(line) {
                    *byte = bitmap[r * columns + c];
                }
            }
        }
    }
    Ok(result)
}
