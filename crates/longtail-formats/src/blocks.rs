//! The big arrays of a JSON file in blocks, parsed side by side.
//!
//! An array is cut where an entry seems to start, and every run between two cuts is parsed on its own. A cut may be
//! wrong, inside a string say, but no wrong cut goes unnoticed: the first run starts at an entry, and a run that starts
//! at an entry and parses as whole entries up to its end makes the next one start at an entry. Whatever is not of the
//! usual form is refused, and left to `serde_json`, which says what is wrong.

use rayon::prelude::*;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Bytes of a run: enough to make its start cheap, few enough that the last ones do not keep others waiting.
const RUN: usize = 1 << 20;
/// Runs a thread gets in one round.
const ROUND: usize = 4;

/// The file is not of the usual form, or not right; `serde_json` can tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusual;

/// Walks the fields of a JSON object, from its start to its end.
pub(crate) struct Blocks<'a> {
    bytes: &'a [u8],
    at: usize,
    run: usize,
    fields: usize,
    release: &'a dyn Fn(usize),
}

/// How a run of entries ended.
enum End {
    /// After a comma: the next run goes on.
    Open,
    /// With the array, at this place.
    Closed(usize),
}

impl<'a> Blocks<'a> {
    /// Starts at the object that `bytes` are. `release` is told up to where the bytes are no longer needed.
    pub fn new(bytes: &'a [u8], release: &'a dyn Fn(usize)) -> Result<Self, Unusual> {
        Self::with_run(bytes, RUN, release)
    }

    /// With another size of runs, for tests.
    pub fn with_run(bytes: &'a [u8], run: usize, release: &'a dyn Fn(usize)) -> Result<Self, Unusual> {
        let mut blocks = Self { bytes, at: 0, run, fields: 0, release };
        blocks.expect(b'{')?;
        Ok(blocks)
    }

    /// The name of the next field, whose value must be taken then; `None` at the end of the file.
    pub fn field(&mut self) -> Result<Option<&'a str>, Unusual> {
        match self.peek() {
            Some(b'}') => {
                self.at += 1;
                return if self.peek().is_none() { Ok(None) } else { Err(Unusual) };
            }
            Some(b',') if self.fields > 0 => self.at += 1,
            Some(b'"') if self.fields == 0 => {}
            _ => return Err(Unusual),
        }
        self.fields += 1;
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        // A name with escapes may be one of ours.
        let length = rest.iter().position(|&b| b == b'"' || b == b'\\' || b < b' ').ok_or(Unusual)?;
        if rest[length] != b'"' {
            return Err(Unusual);
        }
        let name = std::str::from_utf8(&rest[..length]).map_err(|_| Unusual)?;
        self.at += length + 1;
        self.expect(b':')?;
        Ok(Some(name))
    }

    /// Skips the value of a field.
    pub fn skip(&mut self) -> Result<(), Unusual> {
        self.value::<IgnoredAny>().map(drop)
    }

    /// The value of a field that is an array of objects; `convert` may refuse one.
    pub fn array<E: DeserializeOwned, T: Send>(
        &mut self,
        convert: impl Fn(E) -> Option<T> + Sync,
    ) -> Result<Vec<T>, Unusual> {
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        // Fresh memory costs more than parsing into it: what the runs find goes to the same places every time.
        let mut found_by_run: Vec<Vec<T>> = Vec::new();
        loop {
            let bounds = self.bounds();
            found_by_run.resize_with(found_by_run.len().max(bounds.len() - 1), Vec::new);
            let ends: Vec<Result<End, Unusual>> = bounds
                .par_windows(2)
                .zip(&mut found_by_run)
                .map(|(run, found)| {
                    found.clear();
                    parse_run(&self.bytes[..run[1]], run[0], &convert, found)
                })
                .collect();
            self.at = bounds[bounds.len() - 1];
            // Runs beyond the end of the array have met other things; nobody asks what they say.
            for (end, found) in ends.into_iter().zip(&mut found_by_run) {
                let end = end?;
                all.append(found);
                if let End::Closed(place) = end {
                    self.at = place;
                    (self.release)(place);
                    return Ok(all);
                }
            }
            if self.at == self.bytes.len() {
                return Err(Unusual);
            }
            (self.release)(self.at);
        }
    }

    /// Starts of a round of runs, and the end of the last.
    fn bounds(&self) -> Vec<usize> {
        let mut bounds = vec![self.at];
        let round = ROUND * rayon::current_num_threads();
        let mut searched = self.at + 1;
        while bounds.len() <= round {
            let guess = searched + self.run;
            if guess >= self.bytes.len() {
                bounds.push(self.bytes.len());
                break;
            }
            // An entry longer than a run makes the run longer.
            bounds.extend(
                cut(&self.bytes[self.at..], searched - self.at, guess - self.at).map(|b| b + self.at),
            );
            searched = guess;
        }
        bounds
    }

    fn value<E: DeserializeOwned>(&mut self) -> Result<E, Unusual> {
        let (value, length) = parse_value(&self.bytes[self.at..])?;
        self.at += length;
        Ok(value)
    }

    /// The next byte that is no space.
    fn peek(&mut self) -> Option<u8> {
        self.at = skip_space(self.bytes, self.at);
        self.bytes.get(self.at).copied()
    }

    /// Skips space, then takes the byte.
    fn expect(&mut self, byte: u8) -> Result<(), Unusual> {
        if self.peek() != Some(byte) {
            return Err(Unusual);
        }
        self.at += 1;
        Ok(())
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// A JSON value at the start of `bytes`, and its length.
fn parse_value<E: DeserializeOwned>(bytes: &[u8]) -> Result<(E, usize), Unusual> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<E>();
    match values.next() {
        Some(Ok(value)) => Ok((value, values.byte_offset())),
        _ => Err(Unusual),
    }
}

/// Entries from `at`, which must be the start of one, to the end of `bytes` or of the array.
fn parse_run<E: DeserializeOwned, T>(
    bytes: &[u8],
    at: usize,
    convert: &impl Fn(E) -> Option<T>,
    found: &mut Vec<T>,
) -> Result<End, Unusual> {
    let mut at = skip_space(bytes, at);
    loop {
        // serde reads structs from arrays too.
        if bytes.get(at) != Some(&b'{') {
            return Err(Unusual);
        }
        let (entry, length) = parse_value(&bytes[at..])?;
        found.push(convert(entry).ok_or(Unusual)?);
        at = skip_space(bytes, at + length);
        match bytes.get(at) {
            Some(b']') => return Ok(End::Closed(at + 1)),
            Some(b',') => at = skip_space(bytes, at + 1),
            _ => return Err(Unusual),
        }
        if at == bytes.len() {
            return Ok(End::Open);
        }
    }
}

/// The last place in `from..before` where an object starts that follows another.
fn cut(bytes: &[u8], from: usize, before: usize) -> Option<usize> {
    (from..before).rev().find(|&place| {
        if bytes[place] != b'{' {
            return false;
        }
        let mut back = bytes[..place].iter().rev().filter(|b| !b.is_ascii_whitespace());
        back.next() == Some(&b',') && back.next() == Some(&b'}')
    })
}
