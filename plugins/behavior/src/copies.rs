//! Groups that repeat other groups: with greedy replies the same items in the same order give the same conversations, and
//! what is counted twice is no evidence of its own.
use crate::guards::Guard;
use friction_core::{TurnRow, plural};
use std::collections::{BTreeMap, BTreeSet};

/// The item and the reply at each condition, sample and turn of a group.
type Said<'a> = BTreeMap<(&'a str, u32, u32), [&'a str; 2]>;

/// Whether no group is a copy of another: the same items and the same replies in every conversation. `None` if no reply's
/// text is known.
pub fn copies(turns: &[&TurnRow]) -> Option<Guard> {
    let mut said: BTreeMap<u32, Said> = BTreeMap::new();
    for t in turns.iter().filter(|t| !t.item_id.is_empty()) {
        let reply = t.reply_text()?;
        let place = (t.condition.as_str(), t.sample, t.turn);
        said.entry(t.group).or_default().insert(place, [&t.item_id, reply]);
    }
    let different: BTreeSet<_> = said.values().collect();
    let (n, distinct) = (said.len(), different.len());
    let told = if distinct == n {
        format!("copies: no group repeats another's items and replies, of {}", plural(n, "group"))
    } else {
        format!(
            "copies: only {distinct} of {} differ in their items and replies; the others repeat them, and a test that counts them is too sure: lower `study.groups`, or give the dataset more items",
            plural(n, "group")
        )
    };
    (n > 0).then_some(Guard { name: "copies", told, holds: distinct == n })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_repeat_others_are_counted() {
        let row = |group: u32, turn: u32, item: &str, reply: &str| TurnRow {
            group,
            turn,
            condition: "x".into(),
            item_id: item.into(),
            reply: reply.into(),
            reply_tokens: 1,
            ..TurnRow::default()
        };
        let of = |rows: &[TurnRow]| copies(&rows.iter().collect::<Vec<_>>());
        let mut all = vec![row(0, 1, "a", "A"), row(0, 2, "b", "B"), row(1, 1, "b", "B"), row(1, 2, "a", "A")];
        // The same items in another order are another conversation.
        assert!(of(&all).is_some_and(|g| g.holds));
        all.extend([row(2, 1, "a", "A"), row(2, 2, "b", "B")]);
        let told = of(&all).filter(|g| !g.holds).map(|g| g.told);
        assert!(told.as_ref().is_some_and(|t| t.contains("only 2 of 3 groups differ")), "{told:?}");
        // Another reply to the same items is another draw.
        all[5].reply = "C".into();
        assert!(of(&all).is_some_and(|g| g.holds));
        assert!(of(&[]).is_none());
    }
}
