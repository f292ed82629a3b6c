//! What a COCO or LVIS file says beside the fields that are trained on, cut from its bytes.
//!
//! The reader has parsed the file before, so that its text is known to be JSON and only needs to be cut into members.

use crate::document::{Extras, Members, RawJson};

/// Members that typed fields hold.
const IMAGE: &[&str] =
    &["id", "file_name", "width", "height", "neg_category_ids", "not_exhaustive_category_ids"];
const ANNOTATION: &[&str] = &["id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore"];
const CATEGORY: &[&str] = &["id", "name", "frequency"];

/// Cuts a parsed file into what its typed fields do not hold; `None` if the text is no such JSON after all.
pub(super) fn extras(text: &str) -> Option<Extras> {
    let mut extras = Extras::default();
    let mut cursor = Cursor { text, at: 0 };
    cursor.object(|name, cursor| {
        match name {
            "images" => extras.images = cursor.list(IMAGE)?,
            "annotations" => extras.annotations = cursor.list(ANNOTATION)?,
            "categories" => extras.categories = cursor.list(CATEGORY)?,
            _ => extras.header.push(name, RawJson::trusted(cursor.value()?)),
        }
        Some(())
    })?;
    Some(extras)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Calls `member` at the value of every member.
    fn object(&mut self, mut member: impl FnMut(&str, &mut Self) -> Option<()>) -> Option<()> {
        self.take(b'{')?;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.peek()?;
            let quoted = self.string()?;
            self.take(b':')?;
            self.peek()?;
            if quoted.contains('\\') {
                member(&serde_json::from_str::<String>(quoted).ok()?, self)?;
            } else {
                member(&quoted[1..quoted.len() - 1], self)?;
            }
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Members of every entry but the `known` ones.
    fn list(&mut self, known: &[&str]) -> Option<Vec<Members>> {
        let mut entries = Vec::new();
        self.take(b'[')?;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(entries);
        }
        loop {
            let mut members = Members::default();
            self.object(|name, cursor| {
                let value = cursor.value()?;
                if !known.contains(&name) {
                    members.push(name, RawJson::trusted(value));
                }
                Some(())
            })?;
            entries.push(members);
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Some(entries);
                }
                _ => return None,
            }
        }
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<&'a str> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        if *bytes.get(self.at)? != b'"' {
            return None;
        }
        self.at += 1;
        loop {
            match bytes.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at)
    }

    /// Any value as its bytes.
    fn value(&mut self) -> Option<&'a str> {
        let (start, bytes) = (self.at, self.text.as_bytes());
        let mut depth = 0_usize;
        loop {
            match bytes.get(self.at)? {
                b'"' => {
                    self.string()?;
                }
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b']' | b'}' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                _ if depth > 0 => self.at += 1,
                // A number or a word, which ends before what separates it.
                _ => {
                    let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n' | b'\r' | b'\t');
                    let length = bytes[self.at..].iter().position(ends).unwrap_or(bytes.len() - self.at);
                    self.at += length;
                }
            }
            if depth == 0 {
                return self.text.get(start..self.at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_keep_their_bytes_and_their_order() {
        let text = r#" {"info": {"a": [1, "}]\""]} , "images": [{"id":1,"z":1.0e0 ,"a":null}, {}],
            "annotations" : [ {"segmentation": [[1.50, 2]],"bbox":[0,0,1,1]} ], "categories": [ ],"v":-0.10}"#;
        let extras = extras(text).unwrap();
        let list = |members: &Members| -> Vec<String> {
            members.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect()
        };
        assert_eq!(list(&extras.header), [r#"info={"a": [1, "}]\""]}"#, "v=-0.10"]);
        assert_eq!(list(&extras.images[0]), ["z=1.0e0", "a=null"]);
        assert!(extras.images[1].is_empty());
        assert_eq!(list(&extras.annotations[0]), ["segmentation=[[1.50, 2]]"]);
        assert!(extras.categories.is_empty());
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            (-1e9..1e9_f64).prop_map(Into::into),
            ".{0,8}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::btree_map(".{0,5}", inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_cut_whole(value in json(), key in ".{0,6}", pretty in any::<bool>()) {
            prop_assume!(!["images", "annotations", "categories"].contains(&key.as_str()));
            let whole = serde_json::json!({"images": [{&key: &value}], &key: &value});
            let text = if pretty { serde_json::to_string_pretty(&whole) } else { serde_json::to_string(&whole) };
            let extras = extras(&text.unwrap()).unwrap();
            let read = serde_json::from_str::<serde_json::Value>(extras.header.get(&key).unwrap().as_str());
            prop_assert_eq!(&read.unwrap(), &value);
            if !IMAGE.contains(&key.as_str()) {
                let image = serde_json::from_str::<serde_json::Value>(extras.images[0].get(&key).unwrap().as_str());
                prop_assert_eq!(&image.unwrap(), &value);
            }
        }
    }
}
