//! Reads `[primary]`, and fills in which levels it compares.
use super::before::{default_reference, in_order};
use super::{ConditionChoice, Source, factorial::Factorial};
use crate::Factors;
use crate::deserialize::deserialize;
use crate::issues::{Issues, Path};
use crate::sections::PrimarySection;
use std::collections::btree_map::Entry;

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
    resolve(&mut primary, factorial, conditions);
    Some(primary)
}

/// Fills in what follows from the conditions: the levels that are compared, in order, and the one that is subtracted, so that
/// the lock says what the sign of the estimate means.
fn resolve(primary: &mut PrimarySection, factorial: Option<&Factorial>, conditions: &[ConditionChoice]) {
    for factor in primary.contrast.factors().to_vec() {
        if let Entry::Vacant(place) = primary.levels.entry(factor) {
            let levels = ordered(place.key(), factorial, conditions);
            if levels.len() > 1 {
                place.insert(levels);
            }
        }
    }
    if primary.reference.is_none() && !primary.contrast.is_trend() {
        let all: Vec<&Factors> = conditions.iter().map(|c| &c.factors).collect();
        primary.reference = default_reference(primary.contrast.first(), &primary.levels, &all);
    }
}

/// The levels of a factor as its `[[factor]]` table lists them, or in the order of the conditions.
fn ordered(factor: &str, factorial: Option<&Factorial>, conditions: &[ConditionChoice]) -> Vec<String> {
    if let Some(levels) = factorial.and_then(|f| f.levels.get(factor)) {
        return levels.clone();
    }
    in_order(factor, &conditions.iter().map(|c| &c.factors).collect::<Vec<_>>())
}
