//! The reference of the recipe, made from its JSON Schema: what keys there are, what they take and what they
//! mean.

use serde_json::{Map, Value};

/// A table of a recipe, or one kind of it.
pub struct Section {
    /// Dotted key; a list of tables has `[]` behind it. Empty: the recipe itself.
    pub key: String,
    /// The `kind` that has these keys, where the table is a choice.
    pub kind: Option<String>,
    /// What it is.
    pub about: String,
    pub keys: Vec<Key>,
}

/// A key of a table.
pub struct Key {
    pub name: String,
    /// What it takes.
    pub takes: String,
    /// As TOML; none: there is no default.
    pub default: Option<String>,
    pub required: bool,
    pub about: String,
    /// Values to choose from, with their meanings.
    pub choices: Vec<(String, String)>,
}

impl Section {
    /// The dotted key of one of its keys.
    pub fn path_of(&self, key: &Key) -> String {
        if self.key.is_empty() { key.name.clone() } else { format!("{}.{}", self.key, key.name) }
    }
}

/// Every table of the recipe that `schema` describes: a table before those in it, in the order of the types.
pub fn sections(schema: &Value) -> Vec<Section> {
    let mut reader = Reader { schema, sections: Vec::new() };
    reader.tables(String::new(), schema, String::new());
    reader.sections
}

/// Makes numbers of `f32` settings what people wrote: 0.1 and not 0.10000000149011612.
pub fn shorten_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(shorten_numbers),
        Value::Object(fields) => fields.values_mut().for_each(shorten_numbers),
        Value::Number(number) => {
            let Some(wide) = number.as_f64().filter(|_| number.is_f64()) else { return };
            let narrow = wide as f32;
            if f64::from(narrow) == wide
                && let Ok(short) = narrow.to_string().parse::<f64>()
                && let Some(short) = serde_json::Number::from_f64(short)
            {
                *number = short;
            }
        }
        _ => {}
    }
}

struct Reader<'a> {
    schema: &'a Value,
    sections: Vec<Section>,
}

/// What a value of the recipe is.
enum Shape<'a> {
    /// One table, or a list of them.
    Tables { schema: &'a Value, list: bool },
    /// Anything else, in words, and its choices.
    Plain(String, Vec<(String, String)>),
}

impl<'a> Reader<'a> {
    /// Adds the sections of a table: one, or one a kind.
    fn tables(&mut self, key: String, schema: &'a Value, about: String) {
        let own = words(schema);
        let about = if own.is_empty() || own == about { about } else { own };
        let kinds = kinds(schema);
        if kinds.is_empty() {
            return self.table(key, None, about, vec![schema]);
        }
        for (kind, variant) in kinds {
            // Keys of the variant itself, and those of the settings that it holds.
            let mut parts = vec![variant];
            let mut about = words(variant);
            // A variant may say no more than the name of its type, which is not for readers of recipes.
            if !about.contains(' ') {
                about.clear();
            }
            if variant.get("$ref").is_some() {
                parts.push(self.resolved(variant));
            }
            self.table(key.clone(), Some(kind.to_owned()), about, parts);
        }
    }

    fn table(&mut self, key: String, kind: Option<String>, about: String, parts: Vec<&'a Value>) {
        let index = self.sections.len();
        self.sections.push(Section { key: key.clone(), kind, about, keys: Vec::new() });
        for part in parts {
            let required = part["required"].as_array().map(Vec::as_slice).unwrap_or_default();
            for (name, property) in part["properties"].as_object().into_iter().flatten() {
                // The kind heads the section.
                if property.get("const").is_some() {
                    continue;
                }
                let path = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                let about = words(property);
                let (takes, choices) = match self.shape(property) {
                    Shape::Plain(takes, choices) => (takes, choices),
                    Shape::Tables { schema, list } => {
                        let path = if list { format!("{path}[]") } else { path };
                        // The same settings under two kinds are said once.
                        if !self.sections.iter().any(|section| section.key == path) {
                            self.tables(path, schema, about.clone());
                        }
                        (if list { "list of tables" } else { "table" }.to_owned(), Vec::new())
                    }
                };
                let default = property.get("default").filter(|value| !value.is_null());
                self.sections[index].keys.push(Key {
                    name: name.clone(),
                    default: default.map(|value| match takes.as_str() {
                        "table" => "{ … }".to_owned(),
                        _ => toml_of(value),
                    }),
                    takes,
                    required: required.iter().any(|r| r == name.as_str()),
                    about,
                    choices,
                });
            }
        }
    }

    fn shape(&self, schema: &'a Value) -> Shape<'a> {
        let schema = self.resolved(schema);
        let alternatives = ["anyOf", "oneOf"].iter().find_map(|key| schema[key].as_array());
        if let Some([value, null]) = alternatives.map(Vec::as_slice)
            && null["type"] == "null"
        {
            return self.shape(value);
        }
        if !kinds(schema).is_empty() || schema["properties"].is_object() && alternatives.is_none() {
            return Shape::Tables { schema, list: false };
        }
        if let Some(alternatives) = alternatives {
            let choices: Vec<_> = alternatives.iter().flat_map(choices).collect();
            return Shape::Plain("a choice".to_owned(), choices);
        }
        let named = match &schema["type"] {
            Value::Array(types) => types.iter().find(|t| *t != "null").unwrap_or(&Value::Null),
            one => one,
        };
        match named.as_str().unwrap_or_default() {
            "array" => match self.shape(&schema["items"]) {
                Shape::Tables { schema, .. } => Shape::Tables { schema, list: true },
                Shape::Plain(item, choices) => {
                    let item = item.strip_prefix("a ").or_else(|| item.strip_prefix("an ")).unwrap_or(&item);
                    let count = schema["minItems"].as_u64().filter(|n| schema["maxItems"] == *n);
                    let list = match count {
                        Some(count) => format!("list of {count} {item}s"),
                        None => format!("list of {item}s"),
                    };
                    Shape::Plain(list, choices)
                }
            },
            "integer" => Shape::Plain("an integer".to_owned(), Vec::new()),
            "number" => Shape::Plain("a number".to_owned(), Vec::new()),
            "boolean" => Shape::Plain("true or false".to_owned(), Vec::new()),
            _ if schema["enum"].is_array() => Shape::Plain("a choice".to_owned(), choices(schema)),
            _ => Shape::Plain("a string".to_owned(), Vec::new()),
        }
    }

    /// The schema that a reference stands for.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/"));
        name.map_or(schema, |name| &self.schema["$defs"][name])
    }
}

/// The variants of a choice by `kind`, each with its kind.
fn kinds(schema: &Value) -> Vec<(&str, &Value)> {
    let variants = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    variants.iter().filter_map(|v| Some((v["properties"]["kind"]["const"].as_str()?, v))).collect()
}

/// Values of one alternative: a word, several words, or a table with one key.
fn choices(alternative: &Value) -> Vec<(String, String)> {
    let about = words(alternative);
    if let Some(word) = alternative["const"].as_str() {
        return vec![(word.to_owned(), about)];
    }
    if let Some(list) = alternative["enum"].as_array() {
        return list.iter().filter_map(|word| Some((word.as_str()?.to_owned(), String::new()))).collect();
    }
    let keys = alternative["properties"].as_object().into_iter().flat_map(Map::keys);
    keys.map(|key| (format!("{{ {key} = … }}"), about.clone())).collect()
}

/// The description as one paragraph.
fn words(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("[`", "`").replace("`]", "`")
}

/// A value as TOML.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key} = {}", toml_of(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};
    use serde::{Deserialize, Serialize};

    use super::*;

    /// A thing.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(default)]
    struct Thing {
        /// Share.
        share: f32,
        /// Names.
        names: Vec<String>,
        /// A part.
        part: Option<Part>,
        /// Which.
        which: Which,
    }

    impl Default for Thing {
        fn default() -> Self {
            Self { share: 0.1, names: Vec::new(), part: None, which: Which::This }
        }
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Part {
        /// Small.
        Small(Small),
        /// Nothing to set.
        Empty,
    }

    /// Settings of a small part.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Small {
        /// Sides.
        sides: [f32; 4],
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Which {
        /// This one.
        This,
        /// So many.
        Count(u64),
    }

    #[test]
    fn tables_kinds_choices_and_defaults_are_found() {
        let mut schema = schema_for!(Thing).to_value();
        shorten_numbers(&mut schema);
        let sections = sections(&schema);
        let names: Vec<_> = sections.iter().map(|s| (s.key.as_str(), s.kind.as_deref())).collect();
        assert_eq!(names, [("", None), ("part", Some("small")), ("part", Some("empty"))]);
        let key = |name: &str| sections[0].keys.iter().find(|key| key.name == name).unwrap();
        assert_eq!((key("share").takes.as_str(), key("share").default.as_deref()), ("a number", Some("0.1")));
        assert_eq!(key("names").takes, "list of strings");
        assert_eq!(key("part").takes, "table");
        let which: Vec<&str> = key("which").choices.iter().map(|(value, _)| value.as_str()).collect();
        assert_eq!(which, ["this", "{ count = … }"]);
        let sides = &sections[1].keys[0];
        assert_eq!((sides.takes.as_str(), sides.required), ("list of 4 numbers", true));
        assert_eq!(sections[1].path_of(sides), "part.sides");
    }
}
