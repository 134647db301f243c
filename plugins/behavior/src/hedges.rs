//! Hedging phrases and lengths of replies, counted in their texts or in the files that a run was imported from.
use friction_core::{TurnRow, plural};

/// Phrases that count as hedging, compared case-insensitively. The list is that of the published study.
pub const HEDGES: [&str; 15] = [
    "i think",
    "i believe",
    "perhaps",
    "maybe",
    "might",
    "could be",
    "possibly",
    "probably",
    "it seems",
    "it appears",
    "i'm not sure",
    "i'm not certain",
    "if i recall",
    "to my knowledge",
    "arguably",
];

/// Number of hedging phrases in a reply.
fn hedges(reply: &str) -> u64 {
    let text = reply.to_lowercase().replace('’', "'");
    HEDGES.iter().map(|h| text.matches(h).count() as u64).sum()
}

/// Hedging phrases of a turn's reply: counted in its text, or else the count that an imported file has of it. `None` if
/// neither is known.
pub fn hedging(t: &TurnRow) -> Option<u64> {
    t.reply_text().map(hedges).or_else(|| imported(t, "hedging"))
}

/// Characters of a turn's reply, in the same way.
pub fn characters(t: &TurnRow) -> Option<u64> {
    t.reply_text().map(|reply| reply.chars().count() as u64).or_else(|| imported(t, "characters"))
}

/// A count that an imported file has of a reply whose text it does not have.
fn imported(t: &TurnRow, name: &str) -> Option<u64> {
    t.metrics.get(name).filter(|n| n.is_finite() && **n >= 0.0).map(|n| *n as u64)
}

/// A sum over replies in which something is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The sum of the known values: occurrences of hedges, or characters.
    pub sum: u64,
    /// Number of replies in which it is known.
    pub of: u64,
}

impl Known {
    /// Adds a reply's value.
    pub fn add(&mut self, value: Option<u64>) {
        self.sum += value.unwrap_or(0);
        self.of += u64::from(value.is_some());
    }
}

/// Says of how many replies hedges are the imported file's own count, or are not known; empty if all were counted.
pub fn uncounted(turns: &[&TurnRow]) -> String {
    let silent = || turns.iter().filter(|t| t.reply_text().is_none());
    let unknown = silent().filter(|t| hedging(t).is_none()).count();
    let given = silent().count() - unknown;
    let of = plural(turns.len(), "reply");
    let told = [(given, "as the imported files count them"), (unknown, "not known, and left out")];
    told.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("; in {n} of {of} {how}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::levels::About;
    use crate::summary::{cells, table, tell};
    use crate::values::courses;
    use friction_core::{Cells, Findings, Outcome, Table};
    use std::collections::BTreeMap;

    #[test]
    fn markers_count_in_any_case() {
        assert_eq!(hedges("I think, maybe; It SEEMS. I’m not sure."), 4);
        assert_eq!(hedges("Certainly."), 0);
    }

    #[test]
    fn hedges_of_replies_without_text_are_those_of_the_file_or_none() {
        let told_of = |counts: &[(&str, f64)]| {
            let metrics: BTreeMap<String, f64> = counts.iter().map(|(name, n)| (name.to_string(), *n)).collect();
            let bare = TurnRow { condition: "a".into(), score: Some(1.0), metrics, ..TurnRow::default() };
            let said = TurnRow { condition: "b".into(), reply: "Maybe B.".into(), ..bare.clone() };
            let rows = [bare.clone(), TurnRow { group: 1, ..bare }, said];
            let refs: Vec<&TurnRow> = rows.iter().collect();
            let about = About { outcome: &Outcome::Score, reference: None, level: 0.95, seed: 1, turns: "all turns" };
            let cells = cells(&refs, &courses(&refs, &Outcome::Score, |t| t.turn).all, &about);
            let mut out = Findings::default();
            tell(&refs, &courses(&refs, &Outcome::Score, |t| t.turn).all, &about, &mut out);
            let shown = out.tables().next().unwrap().clone();
            let method = out.blocks.iter().map(|b| b.method.as_str()).find(|m| m.contains("hedges:"));
            let method = method.unwrap_or_default().to_string();
            (shown, table(&cells, &Outcome::Score), method)
        };
        let of = |table: &Table, name: &str| -> Vec<f64> {
            match &table.columns.iter().find(|c| c.name == name).unwrap().cells {
                Cells::Number(all) => all.clone(),
                Cells::Count(all) => all.iter().map(|n| *n as f64).collect(),
                Cells::Text(_) => panic!("{name}"),
            }
        };
        let (shown, stored, method) = told_of(&[("hedging", 3.0), ("characters", 50.0)]);
        assert_eq!((of(&shown, "hedges_per_reply"), of(&stored, "hedges")), (vec![3.0, 1.0], vec![6.0, 1.0]));
        assert_eq!(
            (of(&shown, "hedges_per_100_characters"), of(&stored, "characters")),
            (vec![6.0, 12.5], vec![100.0, 8.0])
        );
        assert!(method.contains("in 2 of 3 replies as the imported files count them"), "{method}");
        let (shown, stored, method) = told_of(&[]);
        for (table, name) in [(&shown, "hedges_per_reply"), (&stored, "hedges"), (&stored, "characters")] {
            let found = of(table, name);
            assert!(found.len() == 2 && found[0].is_nan() && found[1] > 0.0, "{name}: {found:?}");
        }
        assert!(of(&shown, "hedges_per_100_characters")[0].is_nan());
        assert!(method.contains("in 2 of 3 replies not known, and left out"), "{method}");
    }
}
