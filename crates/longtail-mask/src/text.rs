//! The compressed text of counts.
//!
//! A number is written in groups of five bits, lowest first, one character a group: 48 + bits, and 32 more if
//! another group follows. The highest bit of the last group is the sign. From the fourth run on, the number
//! is the difference to the run two before.

use crate::{MaskError, Rle, Size};

impl Rle {
    /// The compressed text. O(runs).
    pub fn to_text(&self) -> String {
        let counts = self.counts();
        let mut text = Vec::with_capacity(counts.len() * 2 + 8);
        for (run, &count) in counts.iter().enumerate() {
            let before = if run > 2 { counts[run - 2] } else { 0 };
            let mut number = i64::from(count) - i64::from(before);
            loop {
                let bits = (number & 31) as u8;
                number >>= 5;
                // The sign bit of this group must agree with all that is left out.
                let more = number != if bits & 16 != 0 { -1 } else { 0 };
                text.push(48 + bits + if more { 32 } else { 0 });
                if !more {
                    break;
                }
            }
        }
        String::from_utf8(text).expect("the code is a part of ASCII")
    }

    /// Reads compressed text, as characters or bytes. O(bytes).
    ///
    /// # Errors
    /// If the text has other bytes than the code's, ends within a run, has a run that is negative or longer
    /// than any image, or its runs do not add up to the image's pixels.
    pub fn from_text(size: Size, text: impl AsRef<[u8]>) -> Result<Self, MaskError> {
        let text = text.as_ref();
        let mut counts: Vec<u32> = Vec::with_capacity(text.len().min(1 << 20));
        let (mut at, mut sum) = (0, 0_u64);
        while at < text.len() {
            let run = counts.len();
            let (mut number, mut shift) = (0_i64, 0);
            loop {
                let &byte = text.get(at).ok_or(MaskError::TextTruncated { run, at })?;
                if !(48..112).contains(&byte) {
                    return Err(MaskError::TextByte { at, byte });
                }
                at += 1;
                let bits = i64::from(byte - 48);
                number |= (bits & 31) << shift;
                shift += 5;
                if bits & 32 == 0 {
                    if bits & 16 != 0 {
                        number |= -1 << shift;
                    }
                    break;
                }
                // Seven groups hold the difference of any two runs.
                if shift >= 35 {
                    return Err(MaskError::TextRun { run, at });
                }
            }
            if run > 2 {
                number += i64::from(counts[run - 2]);
            }
            let count = u32::try_from(number).map_err(|_| MaskError::TextRun { run, at })?;
            sum += u64::from(count);
            if sum > size.pixels().into() {
                return Err(MaskError::CountsOverrun { size, run, end: sum });
            }
            counts.push(count);
        }
        Self::new(size, counts)
    }
}
