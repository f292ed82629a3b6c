//! Values of a recipe by dotted key: `stages.0.optimizer.learning_rate`.

use std::collections::BTreeMap;

use crate::error::TrainError;

/// The leaves of a value by dotted key.
pub(crate) fn flatten(key: String, value: &toml::Value, leaves: &mut BTreeMap<String, toml::Value>) {
    let inner = |part: &str| if key.is_empty() { part.to_owned() } else { format!("{key}.{part}") };
    match value {
        toml::Value::Table(table) => table.iter().for_each(|(part, v)| flatten(inner(part), v, leaves)),
        toml::Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, v)| flatten(inner(&i.to_string()), v, leaves));
        }
        leaf => {
            leaves.insert(key, leaf.clone());
        }
    }
}

/// Applies `a.b.0.c=value` to a table; the value is TOML, or a bare string.
pub(crate) fn set(table: &mut toml::Table, entry: &str) -> Result<(), TrainError> {
    let (key, value) = entry
        .split_once('=')
        .ok_or_else(|| TrainError::recipe(entry, "is not `key=value`, as in `seed=1`"))?;
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
        .ok()
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| toml::Value::String(value.to_owned()));
    let mut segments = key.split('.').collect::<Vec<_>>();
    let last = segments.pop().unwrap_or_default();
    let unknown = |part: &str| TrainError::recipe(key, format!("has no part `{part}` in this recipe"));
    let mut place: &mut toml::Value =
        table.entry(segments.first().copied().unwrap_or(last)).or_insert(toml::Table::new().into());
    if segments.is_empty() {
        *place = parsed;
        return Ok(());
    }
    for segment in &segments[1..] {
        place = match place {
            toml::Value::Table(inner) => inner.entry(*segment).or_insert(toml::Table::new().into()),
            toml::Value::Array(items) => segment
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| unknown(segment))?,
            _ => return Err(unknown(segment)),
        };
    }
    match place {
        toml::Value::Table(inner) => {
            inner.insert(last.to_owned(), parsed);
        }
        toml::Value::Array(items) => {
            let slot = last.parse::<usize>().ok().and_then(|index| items.get_mut(index));
            *slot.ok_or_else(|| unknown(last))? = parsed;
        }
        _ => return Err(unknown(last)),
    }
    Ok(())
}
