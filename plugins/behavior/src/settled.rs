//! What options of `behavior` come to that its table leaves out.
use super::Behavior;
use serde_json::{Map, Value, json};

/// The options that depend on the contrast. What comes of `[primary]` is locked there, and amended there.
pub(crate) fn options(o: &Behavior) -> Map<String, Value> {
    if o.locked.is_some() {
        return Map::new();
    }
    let default = Behavior { outcome: None, turns: None, first_turn: None, ..o.clone() };
    let mut out = Map::new();
    out.insert("outcome".into(), json!(default.outcome().to_string()));
    out.insert("turns".into(), json!(default.turns()));
    out.insert("first_turn".into(), json!(default.first()));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_left_out_follows_the_contrast() {
        let of = |table: Value| Value::Object(options(&serde_json::from_value(table).unwrap()));
        assert_eq!(of(json!({})), json!({"outcome": "score", "turns": "all", "first_turn": 1}));
        let slope = of(json!({"primary": "tone × turn", "first_turn": 4, "outcome": "log_odds"}));
        assert_eq!(slope, json!({"outcome": "score", "turns": "all", "first_turn": 2}));
    }
}
