//! The primary contrast: the interaction factor × turn on accuracy, paired within groups.
use friction_core::{Estimate, Findings, Result, TurnRow, plural};
use friction_stats::{cite, percent, sign_flip, sign_flips, slope::scale, slope_sum};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the answers of a conversation were right, by turn, from the first turn that counts.
type Outcomes = BTreeMap<u32, bool>;

/// Writes the difference between the two levels of `factor` in how accuracy changes with turns.
///
/// Within a group, conversations that agree in every other factor form a pair: the same questions in the same order,
/// one conversation at each level. For each pair, d is the difference of the least-squares slopes of right (1 or 0) on
/// the turn, second level minus first, in points per turn. A group's value is the mean over its pairs. The p-value and
/// the interval come from sign flips with one sign per group, because the pairs of a group share its questions.
pub fn primary(turns: &[&TurnRow], factor: &str, first: u32, level: f64, seed: u64, out: &mut Findings) -> Result<()> {
    let levels: BTreeSet<&String> = turns.iter().filter_map(|t| t.factors.get(factor)).collect();
    let levels: Vec<&String> = levels.into_iter().collect();
    let [a, b] = levels[..] else {
        out.warn(format!("the primary contrast needs two levels of `{factor}`; the run has {}", levels.len()));
        untold(factor, out);
        return Ok(());
    };
    // Key: group and levels of the other factors. Value: for each level, its conversations.
    let mut pairs: BTreeMap<(u32, String), BTreeMap<&String, Vec<Outcomes>>> = BTreeMap::new();
    let mut books: BTreeMap<(u32, &String), (String, &String, Outcomes)> = BTreeMap::new();
    for t in turns.iter().filter(|t| t.turn >= first) {
        let Some(l) = t.factors.get(factor) else { continue };
        let rest: Vec<String> =
            t.factors.iter().filter(|(k, _)| *k != factor).map(|(k, v)| format!("{k}={v}")).collect();
        let book = books.entry((t.group, &t.condition)).or_insert_with(|| (rest.join(","), l, Outcomes::new()));
        book.2.insert(t.turn, t.right() == Some(true));
    }
    for ((group, _), (rest, l, outcomes)) in books {
        pairs.entry((group, rest)).or_default().entry(l).or_default().push(outcomes);
    }
    // For each pair of a group: the difference of slope sums (an integer), and the number of turns.
    let mut groups: BTreeMap<u32, Vec<(i64, usize)>> = BTreeMap::new();
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
        groups.entry(*group).or_default().push((d, x.len()));
    }
    if left_out > 0 {
        out.warn(format!(
            "left out of the primary contrast: {}, which have no single partner at the other level of `{factor}`",
            plural(left_out, "pair")
        ));
    }
    let points = |(d, turns): &(i64, usize)| 100.0 * *d as f64 / scale(*turns);
    let values: Vec<f64> = groups.values().map(|v| v.iter().map(points).sum::<f64>() / v.len() as f64).collect();
    let question = format!("Does accuracy fall faster with turns under {factor} = {b} than under {factor} = {a}?");
    let flips = match sign_flips(&values, level, seed) {
        Ok(flips) => flips,
        Err(e) => {
            out.warn(format!("the primary contrast ({question}) cannot be told: {e} (groups with at least two turns from turn {first} on)"));
            untold(factor, out);
            return Ok(());
        }
    };
    // If all groups have the same numbers of pairs and turns, sums are integers on one scale and p can be exact.
    let like: BTreeSet<(usize, usize)> = groups.values().flat_map(|v| v.iter().map(|d| (v.len(), d.1))).collect();
    let sums: Vec<i64> = groups.values().map(|v| v.iter().map(|d| d.0).sum()).collect();
    let exact = like.len() <= 1;
    let p = if exact { sign_flip(&sums).p } else { flips.p };
    let differ = sums.iter().filter(|d| **d != 0).count();
    out.ask(format!("Does accuracy fall faster if {factor} = {b} than if {a}?"));
    out.say(format!(
        "Primary: {question} {} in {}, of which {differ} differ",
        plural(groups.values().map(Vec::len).sum(), "pair"),
        plural(values.len(), "group"),
    ));
    let slope = Estimate::new(format!("{b} - {a}"), UNIT, flips.estimate);
    out.add(slope.interval(flips.low, flips.high, level).over(values.len(), "group").p(p).null(0.0))
        .method(format!(
            "difference of the least-squares slopes of right (1 or 0) on the turn, in pairs of conversations that agree in every other factor, from turn {first} on; mean over a group's pairs; {}sign flips with one sign per group, inverted for the {} interval",
            if exact { "exact " } else { "" },
            percent(level)
        ))
        .citation(cite::SIGN_FLIPS)
        .confirmatory();
    out.value(
        "primary",
        serde_json::json!({
            "factor": factor, "levels": [a, b], "points_per_turn": flips.estimate, "low": flips.low, "high": flips.high, "level": level,
            "p": p, "groups": values.len(), "informative_groups": differ, "pairs": groups.values().map(Vec::len).sum::<usize>(), "first_turn": first,
        }),
    );
    Ok(())
}

const UNIT: &str = "points/turn";

/// Writes the estimate's row if the contrast cannot be computed.
pub fn untold(factor: &str, out: &mut Findings) {
    out.ask(format!("Does accuracy fall faster at one level of {factor} than at the other?"));
    out.add(Estimate::untold("difference of slopes", UNIT).says("cannot be told")).confirmatory();
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
            score: Some(f64::from(u8::from(correct))),
            ..TurnRow::default()
        }
    }

    #[test]
    fn a_planted_slope_is_found_and_signed() {
        let mut rows = vec![];
        for g in 0..8 {
            for tone in ["blunt", "polite"] {
                for turn in 1..=6 {
                    // Interrupted conversations are right up to turn 3 (in group 0 up to turn 4), the others always.
                    rows.push(row(g, "interrupt", tone, turn, turn <= 3 + u32::from(g == 0)));
                    rows.push(row(g, "complete", tone, turn, true));
                }
            }
        }
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let mut out = Findings::default();
        primary(&rows, "completion", 2, 0.95, 1, &mut out).unwrap();
        let v = &out.values["primary"];
        assert_eq!(v["levels"], serde_json::json!(["complete", "interrupt"]));
        // Slopes over turns 2 to 6: both 1,1,0,0,0 and 1,1,1,0,0 have −0.3.
        assert!((v["points_per_turn"].as_f64().unwrap() + 30.0).abs() < 1e-9, "{v}");
        // With one sign for each of eight groups, 2 of 2⁸ patterns are as extreme. One sign per pair would give 2⁻¹⁵.
        assert!((v["p"].as_f64().unwrap() - 2f64.powi(-7)).abs() < 1e-12);
        assert_eq!(v["groups"], 8);
        let e = out.estimates().next().unwrap();
        assert_eq!((e.what.as_str(), e.n, e.null), ("interrupt - complete", Some(8), Some(0.0)));
        assert!(e.value.unwrap() < -29.0 && e.low <= e.value && e.value <= e.high && e.says.is_none(), "{e:?}");
        let asked = out.question.as_deref();
        assert_eq!(asked, Some("Does accuracy fall faster if completion = interrupt than if complete?"));
        let mut none = Findings::default();
        primary(&rows, "tone", 2, 0.95, 1, &mut none).unwrap();
        assert_eq!(none.values["primary"]["p"], 1.0);
    }

    /// Data with an effect that varies by group around 0, so that a group's two pairs agree. One sign per pair would
    /// count them as independent and reject in some 14 % of such studies.
    #[test]
    fn pairs_of_a_group_have_one_sign() {
        let mut rng = friction_stats::Rng::new(9);
        let (mut found, mut covered, studies) = (0, 0, 400);
        for s in 0..studies {
            let mut rows = vec![];
            for g in 0..16 {
                let own = 0.3 * rng.normal();
                for tone in ["blunt", "polite"] {
                    for turn in 1..=8u32 {
                        for completion in ["complete", "interrupt"] {
                            let tilt =
                                if completion == "interrupt" { own * (f64::from(turn) - 5.0) / 2.0 } else { 0.0 };
                            rows.push(row(g, completion, tone, turn, rng.unit() < 0.5 + tilt));
                        }
                    }
                }
            }
            let rows: Vec<&TurnRow> = rows.iter().collect();
            let mut out = Findings::default();
            primary(&rows, "completion", 2, 0.95, s, &mut out).unwrap();
            let v = &out.values["primary"];
            let of = |k: &str| v[k].as_f64().unwrap();
            found += usize::from(of("p") <= 0.05);
            covered += usize::from(of("low") <= 0.0 && 0.0 <= of("high"));
        }
        // Around 5 % and 95 % of 400; a correct test falls outside on either side once in 10,000 times.
        assert!((5..=38).contains(&found), "{found} of {studies} reject");
        assert!((362..=395).contains(&covered), "{covered} of {studies} cover");
    }
}
