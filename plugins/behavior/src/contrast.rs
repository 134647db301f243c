//! The primary contrast: factor × turn, paired within groups.
use friction_core::{Findings, Result, TurnRow};
use friction_stats::{mean_t, p_words, sign_flip, slope::scale, slope_sum};
use std::collections::{BTreeMap, BTreeSet};

/// A conversation's outcomes from the first turn that counts, by turn.
type Outcomes = BTreeMap<u32, bool>;

/// Tells the difference of per-conversation slopes between the two levels of `factor`.
///
/// Within a group, conversations that agree in every other factor form a pair: the same questions in
/// the same order, one at each level. d = slope₂ − slope₁ for each pair; a group's value is the mean
/// over its pairs, the interval is Student's over groups, and p comes from exchanging the members of
/// each pair in every possible way.
pub fn primary(turns: &[&TurnRow], factor: &str, first: u32, level: f64, out: &mut Findings) -> Result<()> {
    let levels: BTreeSet<&String> = turns.iter().filter_map(|t| t.factors.get(factor)).collect();
    let levels: Vec<&String> = levels.into_iter().collect();
    let [a, b] = levels[..] else {
        out.warn(format!("the primary contrast needs two levels of `{factor}`; the run has {}", levels.len()));
        return Ok(());
    };
    // (group, other factors) → level → outcomes
    let mut pairs: BTreeMap<(u32, String), BTreeMap<&String, Vec<Outcomes>>> = BTreeMap::new();
    let mut books: BTreeMap<(u32, &String), (String, &String, Outcomes)> = BTreeMap::new();
    for t in turns.iter().filter(|t| t.turn >= first) {
        let Some(l) = t.factors.get(factor) else { continue };
        let rest: Vec<String> =
            t.factors.iter().filter(|(k, _)| *k != factor).map(|(k, v)| format!("{k}={v}")).collect();
        let book = books.entry((t.group, &t.condition)).or_insert_with(|| (rest.join(","), l, Outcomes::new()));
        book.2.insert(t.turn, t.correct);
    }
    for ((group, _), (rest, l, outcomes)) in books {
        pairs.entry((group, rest)).or_default().entry(l).or_default().push(outcomes);
    }
    let (mut differences, mut groups): (Vec<i64>, BTreeMap<u32, Vec<f64>>) = (vec![], BTreeMap::new());
    let mut left_out = 0;
    for ((group, _), by_level) in &pairs {
        let one = |l: &String| by_level.get(l).filter(|v| v.len() == 1).map(|v| &v[0]);
        let (Some(x), Some(y)) = (one(a), one(b)) else {
            left_out += 1;
            continue;
        };
        if x.len() < 2 || !x.keys().eq(y.keys()) {
            left_out += 1;
            continue;
        }
        let sum = |o: &Outcomes| slope_sum(&o.values().copied().collect::<Vec<_>>());
        let d = sum(y) - sum(x);
        differences.push(d);
        groups.entry(*group).or_default().push(d as f64 / scale(x.len()));
    }
    if left_out > 0 {
        out.warn(format!("{left_out} pairs were left out of the primary contrast: the design has no single partner at the other level of `{factor}`"));
    }
    let values: Vec<f64> = groups.values().map(|v| 100.0 * v.iter().sum::<f64>() / v.len() as f64).collect();
    let question = format!("Does accuracy fall faster with turns under {factor} = {b} than under {factor} = {a}?");
    match mean_t(&values, level) {
        Ok(i) => {
            let test = sign_flip(&differences);
            out.say(format!("Primary: {question}"));
            out.say(format!(
                "  slope difference {:+.2} points per turn ({:.0} % interval {:+.2} to {:+.2}), exact permutation {}, {} groups, {} pairs of which {} differ",
                i.estimate, 100.0 * level, i.low, i.high, p_words(test.p), values.len(), differences.len(), test.informative
            ));
            out.value("primary", serde_json::json!({
                "factor": factor, "levels": [a, b], "points_per_turn": i.estimate, "low": i.low, "high": i.high, "level": level,
                "p": test.p, "groups": values.len(), "pairs": differences.len(), "informative_pairs": test.informative, "first_turn": first,
            }));
        }
        Err(e) => out.warn(format!("the primary contrast ({question}) cannot be told: {e} (groups with at least two turns from turn {first} on)")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(group: u32, completion: &str, tone: &str, turn: u32, correct: bool) -> TurnRow {
        TurnRow {
            group,
            condition: format!("{completion}_{tone}"),
            factors: [("completion".to_string(), completion.to_string()), ("tone".into(), tone.into())].into(),
            turn,
            correct,
            ..TurnRow::default()
        }
    }

    #[test]
    fn a_planted_slope_is_found_and_signed() {
        let mut rows = vec![];
        for g in 0..8 {
            for tone in ["blunt", "polite"] {
                for turn in 1..=6 {
                    // Interrupted conversations are right up to turn 3 (one group to 4), whole ones always.
                    rows.push(row(g, "interrupt", tone, turn, turn <= 3 + u32::from(g == 0)));
                    rows.push(row(g, "complete", tone, turn, true));
                }
            }
        }
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let mut out = Findings::default();
        primary(&rows, "completion", 2, 0.95, &mut out).unwrap();
        let v = &out.values["primary"];
        assert_eq!(v["levels"], serde_json::json!(["complete", "interrupt"]));
        // Turns 2…6: 1,1,0,0,0 has slope −0.3; 1,1,1,0,0 −0.3 too.
        assert!((v["points_per_turn"].as_f64().unwrap() + 30.0).abs() < 1e-9, "{v}");
        assert!((v["p"].as_f64().unwrap() - 2f64.powi(-15)).abs() < 1e-12);
        let mut none = Findings::default();
        primary(&rows, "tone", 2, 0.95, &mut none).unwrap();
        assert_eq!(none.values["primary"]["p"], 1.0);
    }
}
