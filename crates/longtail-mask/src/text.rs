//! The compressed text of counts.
//!
//! A number is written in groups of five bits, lowest first, one character a group: 48 + bits, and 32 more if
//! another group follows. The highest bit of the last group is the sign. From the fourth run on, the number
//! is the difference to the run two before.

use crate::{MaskError, Rle, Size, Spans, rle::Toggles};

/// What compressed text says of its mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextSummary {
    /// Runs outside and inside.
    pub runs: usize,
    /// Pixels inside.
    pub area: u32,
    /// Pixels of all runs, which are the image's.
    pixels: u32,
}

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
        let summary = read_runs(size, text, |count| counts.push(count))?;
        summary.check(size)?;
        Ok(Self::from_counts(size, counts))
    }
}

impl TextSummary {
    /// Checks compressed text, as [`Rle::from_text`] does, and keeps none of its runs. O(bytes).
    ///
    /// # Errors
    /// As [`Rle::from_text`].
    pub fn of(size: Size, text: impl AsRef<[u8]>) -> Result<Self, MaskError> {
        let summary = read_runs(size, text.as_ref(), |_| ())?;
        summary.check(size)?;
        Ok(summary)
    }

    /// Refuses runs that end before the image does.
    fn check(&self, size: Size) -> Result<(), MaskError> {
        if self.runs == 0 {
            return Err(MaskError::NoCounts);
        }
        if self.pixels < size.pixels() {
            return Err(MaskError::CountsShort { size, sum: self.pixels.into() });
        }
        Ok(())
    }
}

impl Spans {
    /// Prepares a mask that is given as compressed text. O(bytes + columns).
    ///
    /// # Errors
    /// As [`Rle::from_text`].
    pub fn from_text(size: Size, text: impl AsRef<[u8]>) -> Result<Self, MaskError> {
        let text = text.as_ref();
        let mut toggles = Toggles::with_capacity(text.len().min(1 << 20));
        let summary = read_runs(size, text, |count| toggles.run(count))?;
        summary.check(size)?;
        Ok(Self::from_toggles(size, toggles.finish()))
    }
}

/// Decodes text run by run; the runs may end before the image.
#[inline]
fn read_runs(size: Size, text: &[u8], mut found: impl FnMut(u32)) -> Result<TextSummary, MaskError> {
    let pixels = u64::from(size.pixels());
    let mut summary = TextSummary { runs: 0, area: 0, pixels: 0 };
    // The last run and the one before; a run is the difference to the run two before.
    let (mut at, mut sum, mut last, mut before) = (0, 0_u64, 0_i64, 0_i64);
    while at < text.len() {
        let run = summary.runs;
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
            number += before;
        }
        let count = u32::try_from(number).map_err(|_| MaskError::TextRun { run, at })?;
        sum += u64::from(count);
        if sum > pixels {
            return Err(MaskError::CountsOverrun { size, run, end: sum });
        }
        found(count);
        if run % 2 == 1 {
            summary.area += count;
        }
        summary.runs += 1;
        (before, last) = (last, number);
    }
    // No sum is above the image's pixels.
    summary.pixels = sum as u32;
    Ok(summary)
}
