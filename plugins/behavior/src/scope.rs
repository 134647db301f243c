//! What a verdict speaks of: one model with one chat template, the items that were asked, and the wordings that were said.
use friction_core::manifest::ModelSection;
use friction_core::{TurnRow, plural};
use std::collections::{BTreeMap, BTreeSet};

/// Fewest wordings in a condition from which a result is more than one of these wordings (Clark 1973).
const WORDINGS: usize = 8;

/// The scope of a verdict about these turns, as a sentence.
pub fn scope(model: &ModelSection, turns: &[&TurnRow]) -> String {
    let items: BTreeSet<&str> = turns.iter().map(|t| t.item_id.as_str()).collect();
    let topics: BTreeSet<&str> = turns.iter().map(|t| t.topic.as_str()).collect();
    let mut by: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for t in turns {
        // A bare question, as of a first turn, is none of the wordings.
        by.entry(&t.condition).or_default().extend(t.phrase);
    }
    // A condition whose messages have no alternatives says them in one way.
    let fewest = by.iter().map(|(name, all)| (all.len().max(1), *name)).min();
    let wordings = match fewest {
        Some((n, name)) if n < WORDINGS => format!(
            "of these wordings alone, since of `{name}` {} said and {WORDINGS} are needed to say more",
            if n == 1 { "1 wording was".to_string() } else { format!("{n} wordings were") }
        ),
        Some((n, _)) => format!("of at least {n} wordings in each condition"),
        None => "of no wording".into(),
    };
    let template =
        model.chat_template.as_ref().map_or("its own chat template".into(), |t| format!("the chat template `{t}`"));
    format!(
        "scope: it speaks of `{}` with {template}, of {} in {}, {wordings}, and of all that the compared levels differ in",
        model.source,
        plural(items.len(), "item"),
        plural(topics.len(), "topic")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn few_wordings_limit_the_scope() {
        let model: ModelSection = serde_json::from_value(serde_json::json!({"source": "hf:a/b"})).unwrap();
        let row = |condition: &str, i: u32| TurnRow {
            condition: condition.into(),
            item_id: i.to_string(),
            topic: format!("t{}", i % 2),
            phrase: Some(i),
            ..TurnRow::default()
        };
        let mut rows: Vec<TurnRow> = (0..8).flat_map(|i| [row("x", i), row("y", i)]).collect();
        let told = scope(&model, &rows.iter().collect::<Vec<_>>());
        assert!(told.contains("`hf:a/b` with its own chat template, of 8 items in 2 topics"), "{told}");
        assert!(told.contains("at least 8 wordings in each condition"), "{told}");
        // A first turn without a wording adds none.
        let bare = TurnRow { phrase: None, ..row("y", 0) };
        let more: Vec<&TurnRow> = rows.iter().filter(|t| t.phrase != Some(7)).chain([&bare]).collect();
        assert!(scope(&model, &more).contains("7 wordings were said and 8 are needed"), "{}", scope(&model, &more));
        rows.retain(|t| t.condition == "x" || t.phrase < Some(3));
        let told = scope(&model, &rows.iter().collect::<Vec<_>>());
        assert!(told.contains("since of `y` 3 wordings were said and 8 are needed"), "{told}");
        rows.retain(|t| t.condition == "x" || t.phrase == Some(0));
        let told = scope(&model, &rows.iter().collect::<Vec<_>>());
        assert!(told.contains("since of `y` 1 wording was said"), "{told}");
    }
}
