//! What a run ran on: written to `environment.json`, shown in the report.

use std::collections::BTreeMap;

/// Versions, machine and command line, in a fixed order. `framework` is the name and version of what computed, `device`
/// the readable name of where.
pub fn describe(command: &str, framework: (&str, &str), device: &str) -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let seconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |duration| duration.as_secs());
    BTreeMap::from([
        ("longtail".into(), env!("CARGO_PKG_VERSION").into()),
        (framework.0.into(), framework.1.into()),
        ("device".into(), device.into()),
        ("system".into(), format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("cores".into(), cores.to_string()),
        ("threads".into(), rayon::current_num_threads().to_string()),
        ("started (unix seconds)".into(), seconds.to_string()),
        ("command".into(), command.into()),
    ])
}
