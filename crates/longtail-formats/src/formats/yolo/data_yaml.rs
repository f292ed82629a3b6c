//! `data.yaml`: where the images of each part lie, and the names of the classes.

use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::{
    error::FormatError,
    formats::text::{integer, read_text},
};

/// Most levels of nesting; a data set has three.
const MAX_DEPTH: usize = 16;

/// Parts that a file may name.
const PARTS: [&str; 4] = ["train", "val", "test", "minival"];

/// What the file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct DataYaml {
    /// Folder that paths are relative to; none: the file's own.
    pub root: Option<PathBuf>,
    /// Parts with their image folders or lists of images.
    pub parts: Vec<(String, Vec<PathBuf>)>,
    /// Class names with their indices, ascending.
    pub names: Vec<(i64, String)>,
}

impl DataYaml {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is not YAML mapping, uses aliases, or its names are no list and no mapping from indices, or not as many
    /// as `nc` says.
    pub fn read(path: &Path) -> Result<Self, FormatError> {
        let text = read_text(path)?;
        Self::parse(&text).map_err(|(line, reason)| FormatError::malformed(path, line, reason))
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let Node::Mapping(members) = parse_yaml(text)? else {
            return Err((None, "it is not a mapping; expected `train:`, `val:` and `names:`".into()));
        };
        let mut data = Self::default();
        let mut count = None;
        let (mut named, mut poses) = (false, false);
        for (key, value) in members {
            match key.as_str() {
                "path" => match value {
                    Node::Scalar(text) if !text.is_empty() => data.root = Some(text.into()),
                    Node::Scalar(_) => {}
                    _ => return Err((None, "`path` is not text".into())),
                },
                "nc" => count = Some(value.integer("nc")?),
                "names" => {
                    data.names = names(value)?;
                    named = true;
                }
                "kpt_shape" => poses = true,
                part if PARTS.contains(&part) => {
                    let folders = match value {
                        Node::Scalar(text) if text.is_empty() => continue,
                        Node::Scalar(text) => vec![text],
                        Node::Sequence(items) => items
                            .into_iter()
                            .map(|item| item.text(part))
                            .collect::<Result<Vec<_>, Problem>>()?,
                        Node::Mapping(_) => {
                            return Err((None, format!("`{part}` is a mapping, expected a path")));
                        }
                    };
                    let paths = folders.into_iter().map(|folder| PathBuf::from(folder.replace('\\', "/")));
                    data.parts.push((part.to_owned(), paths.collect()));
                }
                _ => {}
            }
        }
        if poses {
            return Err((
                None,
                "`kpt_shape`: labels of poses are not read; give a data set of boxes or polygons".into(),
            ));
        }
        match count {
            Some(count) if !named => {
                if !(0..=1_000_000).contains(&count) {
                    return Err((None, format!("`nc` is {count}")));
                }
                data.names = (0..count).map(|index| (index, index.to_string())).collect();
            }
            Some(count) if count != data.names.len() as i64 => {
                let reason = format!("`nc` is {count}, but there are {} names", data.names.len());
                return Err((None, reason));
            }
            None if !named => return Err((None, "it has no `names`".into())),
            _ => {}
        }
        Ok(data)
    }
}

/// Class names as a list, or by index.
fn names(value: Node) -> Result<Vec<(i64, String)>, Problem> {
    let mut names: Vec<(i64, String)> = match value {
        Node::Sequence(items) => (0..)
            .zip(items)
            .map(|(index, item)| Ok((index, item.text("names")?)))
            .collect::<Result<_, Problem>>()?,
        Node::Mapping(members) => members
            .into_iter()
            .map(|(key, value)| {
                let index = integer(&key).map_err(|reason| (None, format!("`names`: {reason}")))?;
                if index < 0 {
                    return Err((None, format!("`names` has the index {index}")));
                }
                Ok((index, value.text("names")?))
            })
            .collect::<Result<_, Problem>>()?,
        Node::Scalar(_) => {
            return Err((None, "`names` is text, expected a list or a mapping from index to name".into()));
        }
    };
    names.sort_by_key(|(index, _)| *index);
    match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err((None, format!("`names` has the index {} twice", pair[0].0))),
        None => Ok(names),
    }
}

/// Line and reason.
type Problem = (Option<u64>, String);

/// YAML without aliases.
#[derive(Debug, PartialEq)]
enum Node {
    Scalar(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>),
}

impl Node {
    fn text(self, field: &str) -> Result<String, Problem> {
        match self {
            Self::Scalar(text) => Ok(text),
            _ => Err((None, format!("an entry of `{field}` is not text"))),
        }
    }

    fn integer(self, field: &str) -> Result<i64, Problem> {
        integer(&self.text(field)?).map_err(|reason| (None, format!("`{field}`: {reason}")))
    }
}

/// A list or mapping that is being read.
enum Open {
    Sequence(Vec<Node>),
    Mapping(Vec<(String, Node)>, Option<String>),
}

fn parse_yaml(text: &str) -> Result<Node, Problem> {
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            (Some(error.marker().line() as u64), format!("it is not YAML: {}", error.info()))
        })?;
        let line = Some(span.start.line() as u64);
        let complete = match event {
            Event::Alias(_) => {
                return Err((line, "it uses a YAML alias (`*name`); write the value out".into()));
            }
            Event::Scalar(text, style, ..) => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "~" | "null" | "Null" | "NULL");
                Node::Scalar(if null { String::new() } else { text.into_owned() })
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == MAX_DEPTH {
                    return Err((line, format!("it nests more than {MAX_DEPTH} levels")));
                }
                open.push(match event {
                    Event::SequenceStart(..) => Open::Sequence(Vec::new()),
                    _ => Open::Mapping(Vec::new(), None),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::Sequence(items)) => Node::Sequence(items),
                Some(Open::Mapping(members, _)) => Node::Mapping(members),
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            // The rest of the stream would be other documents.
            None => return Ok(complete),
            Some(Open::Sequence(items)) => items.push(complete),
            Some(Open::Mapping(members, key)) => match key.take() {
                Some(key) => members.push((key, complete)),
                None => match complete {
                    Node::Scalar(text) if members.iter().all(|(other, _)| *other != text) => {
                        *key = Some(text)
                    }
                    Node::Scalar(text) => return Err((line, format!("`{text}` is given twice"))),
                    _ => return Err((line, "a key is a list or mapping".into())),
                },
            },
        }
    }
    Err((None, "it is empty".into()))
}

/// The text of a file.
pub(super) fn to_text(parts: &[(String, Vec<PathBuf>)], names: &[String]) -> String {
    // A JSON string is a YAML string too, whatever the name holds.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::new();
    for (part, folders) in parts {
        match folders.as_slice() {
            [folder] => text.push_str(&format!("{part}: {}\n", quoted(&folder.to_string_lossy()))),
            folders => {
                text.push_str(&format!("{part}:\n"));
                for folder in folders {
                    text.push_str(&format!("  - {}\n", quoted(&folder.to_string_lossy())));
                }
            }
        }
    }
    text.push_str(&format!("nc: {}\n", names.len()));
    text.push_str(if names.is_empty() { "names: []\n" } else { "names:\n" });
    for (index, name) in names.iter().enumerate() {
        text.push_str(&format!("  {index}: {}\n", quoted(name)));
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_mappings_of_names_are_read() {
        let text = "path: ../coco # root\ntrain: images/train\r\nval: [a.txt, 'b c']\ntest:\nnames:\n  1: cat\n  0: \"a: b\"\n";
        let data = DataYaml::parse(text).unwrap();
        assert_eq!(data.root, Some("../coco".into()));
        assert_eq!(data.parts[1], ("val".into(), vec!["a.txt".into(), "b c".into()]));
        assert_eq!(data.parts.len(), 2);
        assert_eq!(data.names, [(0, "a: b".into()), (1, "cat".into())]);
        let list = DataYaml::parse("nc: 2\nnames: ['no', yes]\n").unwrap();
        assert_eq!(list.names, [(0, "no".into()), (1, "yes".into())]);
        assert_eq!(DataYaml::parse("nc: 2").unwrap().names.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let deep = format!("names: {}{}", "[".repeat(40), "]".repeat(40));
        for (text, part) in [
            ("", "empty"),
            ("- a", "not a mapping"),
            ("names: &a [x]\ntrain: *a", "alias"),
            ("nc: 3\nnames: [a]", "`nc` is 3"),
            ("train: x", "no `names`"),
            ("names: {a: b}", "not an integer"),
            ("names: {0: a, 00: b}", "twice"),
            ("names: [a\n", "not YAML"),
            ("names: [a]\nnames: [b]", "given twice"),
            ("nc: 99999999999\ntrain: x", "`nc` is"),
            ("names: [a]\nkpt_shape: [17, 3]", "poses"),
            (&deep, "nests"),
        ] {
            let (_, reason) = DataYaml::parse(text).unwrap_err();
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(names in prop::collection::vec(any::<String>(), 0..6)) {
            // What YAML itself cannot carry as it is.
            prop_assume!(names.iter().all(|name| name.chars().all(|c| !c.is_control() && c != '\u{feff}')));
            let text = to_text(&[("train".into(), vec!["images/train".into()])], &names);
            let data = DataYaml::parse(&text).unwrap();
            prop_assert_eq!(data.names.into_iter().map(|(_, name)| name).collect::<Vec<_>>(), names);
        }
    }
}
