//! Reads `[primary]`, and fills in which levels it compares.
use super::{ConditionChoice, Source, factorial::Factorial};
use crate::deserialize::deserialize;
use crate::issues::{Issues, Path};
use crate::sections::PrimarySection;

/// The table `[primary]` with its defaults, so that the lock holds all of it.
pub(super) fn read(
    source: &Source,
    factorial: Option<&Factorial>,
    conditions: &[ConditionChoice],
    issues: &mut Issues,
) -> Option<PrimarySection> {
    let path = Path::default().key("primary");
    let table = match source.value.get("primary")? {
        table @ toml::Value::Table(_) => table.clone(),
        _ => {
            issues.push(path, "`primary` must be a table", Some("write `[primary]`".into()));
            return None;
        }
    };
    let mut primary: PrimarySection = deserialize(table, &path, issues)?;
    // The order of a trend's levels is locked too, and says in which unit it is.
    if primary.contrast.is_trend() && !primary.levels.contains_key(primary.contrast.first()) {
        let levels = ordered(primary.contrast.first(), factorial, conditions);
        if levels.len() > 1 {
            primary.levels.insert(primary.contrast.first().to_string(), levels);
        }
    }
    primary.settle(&path, issues);
    if let Some(factorial) = factorial {
        for (factor, levels) in &factorial.levels {
            primary.levels.entry(factor.clone()).or_insert_with(|| levels.clone());
        }
    }
    Some(primary)
}

/// The levels of a factor as its `[[factor]]` table lists them, or in the order of the conditions.
fn ordered(factor: &str, factorial: Option<&Factorial>, conditions: &[ConditionChoice]) -> Vec<String> {
    if let Some(levels) = factorial.and_then(|f| f.levels.get(factor)) {
        return levels.clone();
    }
    let mut levels: Vec<String> = vec![];
    for level in conditions.iter().filter_map(|c| c.factors.get(factor)) {
        if !levels.contains(level) {
            levels.push(level.clone());
        }
    }
    levels
}
