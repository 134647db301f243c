//! Says where a condition's `keep` cut no reply, or few: a treatment that was hardly applied.
use friction_core::{TurnRow, plural};
use serde_json::Value;

/// One note for each condition of the lock whose option `keep` asks for replies to be cut to `tokens`, and that cut none,
/// or fewer than half of those that a turn follows. The last reply of a conversation is never cut and does not count.
/// Where `share` or `schedule` leaves turns out, only no cut at all is told. An imported run does not know what was cut.
pub(crate) fn uncut(lock: &Value, turns: &[TurnRow]) -> Vec<String> {
    if lock.get("imported").is_some() {
        return vec![];
    }
    let tables = lock["conditions"].as_array().into_iter().flatten().map(|c| &c["table"]);
    tables.filter(|t| t["plugin"] == "template").filter_map(|t| note(t, turns)).collect()
}

/// The note of one condition, by its table in the manifest.
fn note(table: &Value, turns: &[TurnRow]) -> Option<String> {
    let keep = &table["keep"];
    let name = table["name"].as_str().or(table["plugin"].as_str())?;
    // Without `tokens` a reply is kept whole, with the marker behind it.
    let tokens = keep["tokens"].as_u64()? as usize;
    let some = !keep["schedule"].is_null() || keep["share"].as_f64().is_some_and(|share| share < 1.0);
    let followed = turns.windows(2).filter(|w| w[0].condition == name && w[0].conversation() == w[1].conversation());
    let (mut all, mut cut) = (0, 0);
    for pair in followed {
        all += 1;
        cut += usize::from(pair[0].removed_tokens > 0);
    }
    let few = if some { cut == 0 } else { 2 * cut < all };
    if all == 0 || !few {
        return None;
    }
    let kept = plural(tokens, "token");
    let (only, why) = match (some, cut) {
        (true, _) => ("", format!("in the turns that `keep` draws, if any, none is longer than {kept}")),
        (false, 0) => ("", format!("none is longer than {kept}")),
        (false, _) => ("only ", format!("the others are not longer than {kept}")),
    };
    Some(format!(
        "condition `{name}`: {only}{cut} of {} were cut, though `keep` asks for it: {why}; see the column `removed_tokens`",
        plural(all, "reply")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Two conversations of one condition, with the tokens that were removed in each turn.
    fn told(keep: &Value, removed: [&[u32]; 2]) -> Vec<String> {
        let lock = json!({"conditions": [{"table": {"name": "cut", "plugin": "template", "keep": keep}}]});
        let mut rows = vec![];
        for (group, all) in (0..).zip(removed) {
            rows.extend((1..).zip(all).map(|(turn, removed)| TurnRow {
                group,
                condition: "cut".into(),
                turn,
                removed_tokens: *removed,
                ..TurnRow::default()
            }));
        }
        uncut(&lock, &rows)
    }

    #[test]
    fn a_condition_that_cuts_no_reply_or_few_is_told() {
        let keep = json!({"tokens": 10, "marker": "..."});
        let none = told(&keep, [&[0, 0, 0], &[0, 0, 0]]);
        let want =
            "condition `cut`: 0 of 4 replies were cut, though `keep` asks for it: none is longer than 10 tokens;";
        assert!(none.len() == 1 && none[0].starts_with(want), "{none:?}");
        let one = told(&keep, [&[3, 0, 0], &[0, 0, 0]]);
        let want =
            "condition `cut`: only 1 of 4 replies were cut, though `keep` asks for it: the others are not longer";
        assert!(one.len() == 1 && one[0].starts_with(want), "{one:?}");
        // Half of those that a turn follows; the last turns' are never cut.
        assert_eq!(told(&keep, [&[3, 1, 0], &[0, 0, 0]]), [""; 0]);
        assert_eq!(told(&keep, [&[0], &[0]]), [""; 0], "no reply that a turn follows");
    }

    #[test]
    fn turns_that_are_left_out_by_design_are_not_told() {
        for part in [json!({"tokens": 10, "share": 0.25}), json!({"tokens": 10, "schedule": {"share": 0.25}})] {
            assert_eq!(told(&part, [&[3, 0, 0], &[0, 0, 0]]), [""; 0]);
            let none = told(&part, [&[0, 0, 0], &[0, 0, 0]]);
            assert!(none.len() == 1 && none[0].contains("in the turns that `keep` draws"), "{none:?}");
        }
        // A marker alone removes nothing; nor does a condition without `keep`.
        assert_eq!(told(&json!({"marker": " -"}), [&[0, 0], &[0, 0]]), [""; 0]);
        assert_eq!(told(&Value::Null, [&[0, 0], &[0, 0]]), [""; 0]);
    }
}
