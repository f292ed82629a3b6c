//! The bytes of a JSON file by entry, so that what is not changed is copied as it is.

use serde::de::IgnoredAny;

/// Where a value starts and ends.
pub(super) type Span = std::ops::Range<usize>;

/// A walk over the bytes of JSON that is known to be right; `None` where it is not.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    fn peek(&mut self) -> Option<u8> {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self) -> Option<Span> {
        self.peek()?;
        let start = self.at;
        let mut values = serde_json::Deserializer::from_slice(&self.bytes[start..]).into_iter::<IgnoredAny>();
        values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(start..self.at)
    }

    /// Names and values of the members of an object.
    pub fn members(&mut self) -> Option<Vec<(String, Span)>> {
        let mut members = Vec::new();
        self.take(b'{')?;
        if self.peek()? == b'}' {
            return Some(members);
        }
        loop {
            let name = self.value()?;
            let name = serde_json::from_slice(&self.bytes[name]).ok()?;
            self.take(b':')?;
            members.push((name, self.value()?));
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => return Some(members),
                _ => return None,
            }
        }
    }

    /// Entries of an array.
    pub fn entries(&mut self) -> Option<Vec<Span>> {
        let mut entries = Vec::new();
        self.take(b'[')?;
        if self.peek()? == b']' {
            return Some(entries);
        }
        loop {
            entries.push(self.value()?);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => return Some(entries),
                _ => return None,
            }
        }
    }
}

/// An annotation file by entry.
pub(super) struct Entries<'a> {
    pub bytes: &'a [u8],
    pub images: Vec<Span>,
    pub annotations: Vec<Span>,
}

impl<'a> Entries<'a> {
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let fields = Walk::new(bytes, 0).members()?;
        let list = |name: &str| match fields.iter().find(|(field, _)| field == name) {
            Some((_, span)) => Walk::new(bytes, span.start).entries(),
            None => Some(Vec::new()),
        };
        Some(Self { bytes, images: list("images")?, annotations: list("annotations")? })
    }

    /// Whether two annotations say the same but for some members.
    pub fn same_but(&self, left_out: &[&str], a: usize, b: usize) -> Option<bool> {
        let members = |place: usize| {
            let span = self.annotations.get(place)?;
            let mut members = Walk::new(self.bytes, span.start).members()?;
            members.retain(|(name, _)| !left_out.contains(&name.as_str()));
            members.sort_by(|a, b| a.0.cmp(&b.0));
            Some(members)
        };
        let (a, b) = (members(a)?, members(b)?);
        let text = |span: &Span| &self.bytes[span.clone()];
        Some(a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && text(&a.1) == text(&b.1)))
    }
}

/// An entry with other values of some members.
pub(super) fn with_members(entry: &[u8], changes: &[(&'static str, String)]) -> Option<Vec<u8>> {
    let mut spans: Vec<(Span, &str)> = Vec::new();
    let members = Walk::new(entry, 0).members()?;
    for (name, value) in changes {
        let (_, span) = members.iter().find(|(member, _)| member == name)?;
        spans.push((span.clone(), value));
    }
    spans.sort_by_key(|(span, _)| span.start);
    let (mut changed, mut done) = (Vec::with_capacity(entry.len() + 16), 0);
    for (span, value) in spans {
        changed.extend_from_slice(&entry[done..span.start]);
        changed.extend_from_slice(value.as_bytes());
        done = span.end;
    }
    changed.extend_from_slice(&entry[done..]);
    Some(changed)
}
