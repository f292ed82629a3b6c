//! Values of a recipe by dotted key, `stages.0.optimizer.learning_rate`: one dialect for every recipe of the program.
//!
//! `KEY=VALUE` sets the value at a key; the value is TOML, or a bare string. Two rules spare typing:
//! - a bare word for a table with a `kind` chooses that kind with its defaults: `loss=acsl`, `optimizer=lbfgs`;
//! - of `length` and `batch`, which hold one of two keys, the other key goes: `length.epochs=3`.

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

/// Tables that hold one key of several.
const CHOICES: [&str; 2] = ["length", "batch"];

/// A value of a recipe is out of range or does not fit another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("recipe: `{field}` {reason}")]
pub struct SettingError {
    /// Dotted key, such as `stages.0.optimizer.learning_rate`.
    pub field: String,
    /// What is wrong and what is accepted.
    pub reason: String,
}

impl SettingError {
    /// What is wrong with a key.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Refuses a value that is not finite or not above 0.
///
/// # Errors
/// Names the key.
pub fn positive(field: &str, value: f64) -> Result<(), SettingError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(SettingError::new(field, format!("is {value}; it must be greater than 0, or nothing is learned")))
}

/// A copy with values changed by entries `KEY=VALUE`.
///
/// # Errors
/// If there is no such key or a value does not fit it.
pub fn changed<T: Serialize + DeserializeOwned>(
    settings: &T,
    entries: &[impl AsRef<str>],
) -> Result<T, SettingError> {
    let keys = || entries.iter().map(|entry| key_of(entry.as_ref())).collect::<Vec<_>>().join(", ");
    let malformed = |reason: String| SettingError::new(keys(), format!("cannot be set: {reason}"));
    let mut table = Table::try_from(settings).map_err(|e| malformed(e.to_string()))?;
    for entry in entries {
        set(&mut table, entry.as_ref())?;
    }
    Value::Table(table).try_into().map_err(|e: toml::de::Error| malformed(e.to_string()))
}

fn key_of(entry: &str) -> &str {
    entry.split_once('=').map_or(entry, |(key, _)| key)
}

/// The leaves of a value by dotted key.
pub fn flatten(key: String, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    let inner = |part: &str| if key.is_empty() { part.to_owned() } else { format!("{key}.{part}") };
    match value {
        Value::Table(table) => table.iter().for_each(|(part, v)| flatten(inner(part), v, leaves)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| flatten(inner(&i.to_string()), v, leaves));
        }
        leaf => {
            leaves.insert(key, leaf.clone());
        }
    }
}

/// Applies an entry `a.b.0.c=value` to a table.
///
/// # Errors
/// If the entry has no `=`, or its key names a part that is not there.
pub fn set(table: &mut Table, entry: &str) -> Result<(), SettingError> {
    let (key, value) = entry
        .split_once('=')
        .ok_or_else(|| SettingError::new(entry, "is not a `key=value`, as in `seed=1`"))?;
    let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
    let parsed = parsed.and_then(|mut table| table.remove("value"));
    let parsed = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
    let unknown = |part: &str| SettingError::new(key, format!("has no part `{part}` in this recipe"));
    let mut segments: Vec<&str> = key.split('.').collect();
    let last = segments.pop().unwrap_or_default();
    let mut parent = table;
    let mut segments = segments.into_iter().peekable();
    while let Some(segment) = segments.next() {
        let mut found = parent.entry(segment).or_insert(Table::new().into());
        // Items of lists have numbers.
        while let Value::Array(items) = found {
            let index = segments.next().unwrap_or(last);
            let item = index.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            let item = item.ok_or_else(|| unknown(index))?;
            if std::ptr::eq(index, last) {
                *item = parsed;
                return Ok(());
            }
            found = item;
        }
        parent = found.as_table_mut().ok_or_else(|| unknown(segments.peek().unwrap_or(&last)))?;
        if CHOICES.contains(&segment) && segments.peek().is_none() {
            parent.clear();
        }
    }
    let has_kind = parent.get(last).and_then(Value::as_table).is_some_and(|t| t.contains_key("kind"));
    let parsed = match parsed {
        Value::String(kind) if has_kind => Table::from_iter([("kind".to_owned(), kind.into())]).into(),
        other => other,
    };
    parent.insert(last.to_owned(), parsed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(entry: &str) -> Result<Table, SettingError> {
        let mut table: Table = toml::from_str(
            r#"seed = 0
               loss = { kind = "focal", gamma = 2.0 }
               length = { iterations = 5 }
               stages = [{ name = "a", length = { epochs = 1.0 }, milestones = [0.5, 0.75] }]"#,
        )
        .unwrap();
        set(&mut table, entry)?;
        Ok(table)
    }

    #[test]
    fn keys_reach_into_tables_and_lists() {
        assert_eq!(after("seed=3").unwrap()["seed"], 3.into());
        assert_eq!(after("stages.0.name=b").unwrap()["stages"][0]["name"], "b".into());
        assert_eq!(after("stages.0.milestones.1=0.9").unwrap()["stages"][0]["milestones"][1], 0.9.into());
        assert_eq!(after("loss.gamma=1.5").unwrap()["loss"]["gamma"], 1.5.into());
        assert_eq!(after("new.part=1").unwrap()["new"]["part"], 1.into());
        assert_eq!(after("stages.0={ name = 'c' }").unwrap()["stages"][0]["name"], "c".into());
        for (entry, part) in [("stages.7.name=b", "`7`"), ("seed.part=1", "`part`"), ("seed", "key=value")] {
            let error = after(entry).unwrap_err().to_string();
            assert!(error.contains(part), "{entry}: {error}");
        }
    }

    #[test]
    fn a_bare_kind_and_one_of_two_keys_replace_what_was_there() {
        let loss = after("loss=acsl").unwrap()["loss"].clone();
        assert_eq!(loss, Table::from_iter([("kind".to_owned(), "acsl".into())]).into());
        assert_eq!(after("loss={ kind = 'bce' }").unwrap()["loss"]["kind"], "bce".into());
        let length = Table::from_iter([("epochs".to_owned(), 2.5.into())]);
        assert_eq!(after("length.epochs=2.5").unwrap()["length"], length.into());
        let length = Table::from_iter([("iterations".to_owned(), 9.into())]);
        assert_eq!(after("stages.0.length.iterations=9").unwrap()["stages"][0]["length"], length.into());
    }
}
