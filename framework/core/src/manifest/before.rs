//! What a lock holds of `[primary]` that follows from the conditions, and locks of before did not hold.
use crate::contrast::reference;
use crate::{Contrast, Factors};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The level with which others of `factor` are compared if the manifest names none. `levels` are those that are compared, by
/// factor. `None` with fewer than two levels, and where naming it would choose another reference for another factor that
/// has a level of the same name.
pub(super) fn default_reference(
    factor: &str,
    levels: &BTreeMap<String, Vec<String>>,
    conditions: &[&Factors],
) -> Option<String> {
    let of = |factor: &str| -> Vec<String> {
        let there = in_order(factor, conditions);
        match levels.get(factor) {
            Some(listed) => listed.iter().filter(|l| there.contains(l)).cloned().collect(),
            None => there,
        }
    };
    let own = of(factor);
    let first = reference(&own, None).filter(|_| own.len() > 1)?;
    let factors: BTreeSet<&String> = conditions.iter().flat_map(|c| c.keys()).collect();
    let same = |factor: &&String| {
        let all = of(factor);
        reference(&all, Some(first)) == reference(&all, None)
    };
    factors.iter().all(same).then(|| first.to_string())
}

/// The levels of a factor in the order of the conditions.
pub(super) fn in_order(factor: &str, conditions: &[&Factors]) -> Vec<String> {
    let mut levels: Vec<String> = vec![];
    for level in conditions.iter().filter_map(|c| c.get(factor)) {
        if !levels.contains(level) {
            levels.push(level.clone());
        }
    }
    levels
}

/// Takes out of the lock `now` what of its primary contrast follows from its conditions and the lock `stored` does not hold,
/// because it is of before: the levels that are compared and the reference. What a manifest names otherwise stays, and
/// differs.
pub fn primary_as_before(stored: &Value, now: &mut Value) {
    let then = &stored["primary"];
    if !then.is_object() {
        return;
    }
    let conditions: Vec<Factors> = now["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| serde_json::from_value(c["factors"].clone()).unwrap_or_default())
        .collect();
    let conditions: Vec<&Factors> = conditions.iter().collect();
    let levels: BTreeMap<String, Vec<String>> =
        serde_json::from_value(now["primary"]["levels"].clone()).unwrap_or_default();
    let follows: BTreeSet<String> = levels
        .iter()
        .filter(|(factor, all)| then["levels"].get(factor.as_str()).is_none() && **all == in_order(factor, &conditions))
        .map(|(factor, _)| factor.clone())
        .collect();
    let contrast = now["primary"]["contrast"].as_str().and_then(|c| c.parse::<Contrast>().ok());
    let default = contrast.and_then(|c| default_reference(c.first(), &levels, &conditions));
    let Some(primary) = now.get_mut("primary").and_then(Value::as_object_mut) else { return };
    if then.get("reference").is_none()
        && default.is_some()
        && primary.get("reference").and_then(Value::as_str) == default.as_deref()
    {
        primary.shift_remove("reference");
    }
    let Some(listed) = primary.get_mut("levels").and_then(Value::as_object_mut) else { return };
    listed.retain(|factor, _| !follows.contains(factor));
    if listed.is_empty() {
        primary.shift_remove("levels");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lock(primary: Value) -> Value {
        let condition = |completion: &str| json!({"factors": {"completion": completion}});
        json!({"primary": primary, "conditions": [condition("whole"), condition("cut")]})
    }

    #[test]
    fn locks_of_before_are_equal_unless_something_else_is_named() {
        let stored = lock(json!({"contrast": "completion × turn", "direction": "falls"}));
        let now = |reference: &str, levels: &[&str]| {
            let levels = json!({"completion": levels});
            let primary = json!({"contrast": "completion × turn", "direction": "falls", "reference": reference, "levels": levels});
            let mut now = lock(primary);
            primary_as_before(&stored, &mut now);
            now
        };
        assert_eq!(now("cut", &["whole", "cut"]), stored);
        // Another reference or another order is another contrast.
        assert_eq!(now("whole", &["whole", "cut"])["primary"]["reference"], "whole");
        assert_eq!(now("cut", &["cut", "whole"])["primary"]["levels"], json!({"completion": ["cut", "whole"]}));
        // A lock that holds them is compared as it is.
        let mut same = now("whole", &["whole", "cut"]);
        let before = same.clone();
        primary_as_before(&before, &mut same);
        assert_eq!(same, before);
    }

    #[test]
    fn a_reference_is_named_where_it_means_one_factor() {
        let design = |cells: &[(&str, &str)]| -> Vec<Factors> {
            let of = |(a, b): &(&str, &str)| [("a".to_string(), a.to_string()), ("b".into(), b.to_string())].into();
            cells.iter().map(of).collect()
        };
        let of = |all: &[Factors]| default_reference("a", &BTreeMap::new(), &all.iter().collect::<Vec<_>>());
        assert_eq!(of(&design(&[("x", "m"), ("z", "n")])).as_deref(), Some("x"));
        assert_eq!(of(&design(&[("q", "m"), ("z", "n"), ("c", "n")])).as_deref(), Some("q"));
        // Of `b`, whose own default is `c`, `x` would be the reference too.
        assert_eq!(of(&design(&[("x", "x"), ("z", "c")])), None);
        assert_eq!(of(&design(&[("x", "m")])), None);
    }
}
