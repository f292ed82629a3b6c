//! Losses and corrections: what the methods of a recipe say of themselves, in words.

use anyhow::{Context, anyhow};
use longtail_loss::{Description, LossConfig, PostHoc};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Serialize;
use serde_json::Value;

use super::{nearest, page_text, plain};
use crate::{
    Outcome,
    printer::{Hint, Printer},
};

/// A method of a recipe.
struct Method {
    /// Its name there.
    kind: String,
    about: Description,
    /// Default of each setting, as TOML.
    defaults: toml::Table,
}

/// A key of a recipe with the methods that it takes.
struct Choice {
    /// Key of the recipe.
    key: &'static str,
    what: &'static str,
    methods: Vec<Method>,
    /// Schema of the key's value.
    schema: Value,
}

/// All losses, or one.
pub fn losses(name: Option<&str>, printer: &Printer) -> anyhow::Result<Outcome> {
    choice("loss", "outputs", &LossConfig::defaults(), LossConfig::description)?.print(name, printer)
}

/// All corrections, or one.
pub fn corrections(name: Option<&str>, printer: &Printer) -> anyhow::Result<Outcome> {
    choice("correction", "takes", &PostHoc::defaults(), PostHoc::description)?.print(name, printer)
}

fn choice<T: Serialize + JsonSchema>(
    key: &'static str,
    what: &'static str,
    values: &[T],
    about: impl Fn(&T) -> Description,
) -> anyhow::Result<Choice> {
    let method = |value: &T| -> anyhow::Result<Method> {
        let mut defaults = toml::Table::try_from(value).context("a method is plain values")?;
        let kind = defaults.remove("kind").and_then(|kind| kind.as_str().map(str::to_owned));
        Ok(Method { kind: kind.context("a method has a kind")?, about: about(value), defaults })
    };
    let mut generator = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true).into_generator();
    Ok(Choice {
        key,
        what,
        methods: values.iter().map(method).collect::<Result<_, _>>()?,
        schema: generator.root_schema_for::<T>().to_value(),
    })
}

impl Choice {
    fn print(&self, name: Option<&str>, printer: &Printer) -> anyhow::Result<Outcome> {
        match name {
            None => self.all(printer),
            Some(name) => self.one(self.find(name)?, printer),
        }
    }

    /// The method of a name: its kind in any case, the beginning of one, or its name in words.
    fn find(&self, name: &str) -> anyhow::Result<&Method> {
        let asked = name.trim().to_lowercase().replace([' ', '_'], "-");
        let exact = |method: &&Method| {
            method.kind == asked || method.about.name.to_lowercase().replace(' ', "-") == asked
        };
        if let Some(method) = self.methods.iter().find(exact) {
            return Ok(method);
        }
        let mut begun = self.methods.iter().filter(|method| method.kind.starts_with(&asked));
        if let (Some(method), None) = (begun.next(), begun.next()) {
            return Ok(method);
        }
        let known: Vec<&str> = self.methods.iter().map(|method| method.kind.as_str()).collect();
        let error = anyhow!("`{name}` is not a {}; there are {}", self.key, known.join(", "));
        Err(match nearest(&asked, &known) {
            Some(kind) => {
                error.context(Hint(format!("did you mean `longtail explain {} {kind}`?", self.key)))
            }
            None => error,
        })
    }

    fn all(&self, printer: &Printer) -> anyhow::Result<Outcome> {
        let row = |method: &Method| {
            let about = method.about;
            [method.kind.as_str(), about.source, about.outputs, about.reads.name(), about.when]
                .map(str::to_owned)
                .to_vec()
        };
        let rows: Vec<Vec<String>> = self.methods.iter().map(row).collect();
        printer.data(&page_text(&["kind", "source", self.what, "reads", "when to use it"], &rows))?;
        printer.note(&format!("`longtail explain {} KIND` prints formula and settings", self.key));
        Ok(Outcome::Done)
    }

    fn one(&self, method: &Method, printer: &Printer) -> anyhow::Result<Outcome> {
        let about = method.about;
        let recipe = format!("{} = {{ kind = \"{}\" }}", self.key, method.kind);
        let rows: Vec<Vec<String>> = [
            ("name", about.name),
            ("source", about.source),
            (if self.key == "loss" { "loss of a RoI" } else { "score of a class" }, about.formula),
            (self.what, about.outputs),
            ("reads", about.reads.name()),
            ("when to use it", about.when),
            ("in a recipe", &recipe),
        ]
        .into_iter()
        .map(|(key, value)| vec![key.to_owned(), value.to_owned()])
        .collect();
        printer.data(&page_text(&["", ""], &rows))?;
        let settings = self.settings(method);
        if !settings.is_empty() {
            printer.data(&format!("\n{}", page_text(&["setting", "default", "meaning"], &settings)))?;
        }
        Ok(Outcome::Done)
    }

    /// Key, default and meaning of each setting.
    fn settings(&self, method: &Method) -> Vec<Vec<String>> {
        let variants = self.schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        let variant = variants.iter().find(|v| v["properties"]["kind"]["const"] == method.kind.as_str());
        let row = |(key, default): (&String, &toml::Value)| {
            let property = variant.map_or(&Value::Null, |variant| &variant["properties"][key]);
            vec![key.clone(), default.to_string(), meaning(property)]
        };
        method.defaults.iter().map(row).collect()
    }
}

/// The description of a setting, with those of its choices where it has some.
fn meaning(property: &Value) -> String {
    let words = |value: &Value| plain(value["description"].as_str().unwrap_or_default());
    let mut lines = vec![words(property)];
    for choice in property["oneOf"].as_array().into_iter().flatten() {
        let name = match (choice["const"].as_str(), choice["properties"].as_object()) {
            (Some(name), _) => name.to_owned(),
            (None, Some(properties)) => properties.keys().map(|key| format!("{{ {key} = … }}")).collect(),
            (None, None) => continue,
        };
        lines.push(format!("{name}: {}", words(choice)));
    }
    lines.join("\n")
}
