#![allow(clippy::unwrap_used)]
use super::*;
use crate::guards::lenient;
use crate::question::{Locked, Reading};
use crate::values::{courses, courses_of};
use friction_core::manifest::PrimarySection;
use friction_core::{Cells, ComparedTurns, Outcome, Status};
use friction_stats::Rng;

mod lock;
mod own_slopes;

fn row(group: u32, completion: &str, tone: &str, turn: u32, score: f64) -> TurnRow {
    TurnRow {
        group,
        condition: format!("{completion}_{tone}"),
        factors: [("completion".to_string(), completion.to_string()), ("tone".into(), tone.into())].into(),
        turn,
        score: Some(score),
        ..TurnRow::default()
    }
}

/// The contrast of turns from `first` on, in a run whose lock holds `locked`.
fn under(
    rows: &[TurnRow],
    primary: Option<&str>,
    first: u32,
    reference: Option<&str>,
    seed: u64,
    locked: Option<&PrimarySection>,
) -> Findings {
    let all: Vec<&TurnRow> = rows.iter().collect();
    let read: Vec<&TurnRow> = all.iter().copied().filter(|t| t.turn >= first).collect();
    let courses = courses(&read, &Outcome::Score, |t| t.turn).all;
    let turns = format!("turns from {first} on");
    let reading = Reading { outcome: &Outcome::Score, first_turn: first, turns: ComparedTurns::All };
    let own = primary.map(|p| p.parse().unwrap());
    let named = reference.map(String::from);
    let locked = Locked { primary: locked, amended: None };
    let question = Question::new(own, named.as_ref(), locked, reading, &all).unwrap();
    let reference = question.reference.as_deref();
    let about = About { outcome: &Outcome::Score, reference, level: 0.95, seed, turns: &turns };
    let mut out = Findings::default();
    let lenient = courses_of(&read, lenient, |t| t.turn).all;
    Telling {
        question: &question,
        about: &about,
        planned: Some(8),
        read: &read,
        lenient: &lenient,
        given: vec![],
        scope: None,
    }
    .tell(&all, &courses, &mut out);
    out
}

/// The contrast of a run whose lock names none.
fn found(rows: &[TurnRow], primary: &str, first: u32, reference: Option<&str>, seed: u64) -> Findings {
    under(rows, Some(primary), first, reference, seed, None)
}

#[test]
fn a_planted_slope_is_found_and_signed() {
    let mut rows = vec![];
    for g in 0..8 {
        for tone in ["blunt", "polite"] {
            for turn in 1..=6 {
                // Interrupted conversations are right up to turn 3 (in group 0 up to turn 4), the others always.
                rows.push(row(g, "interrupt", tone, turn, f64::from(turn <= 3 + u32::from(g == 0))));
                rows.push(row(g, "complete", tone, turn, 1.0));
            }
        }
    }
    let out = found(&rows, "completion × turn", 2, None, 1);
    let v = &out.values["primary"];
    assert_eq!(v["levels"], serde_json::json!(["complete", "interrupt"]));
    // Slopes over turns 2 to 6: both 1,1,0,0,0 and 1,1,1,0,0 have −0.3.
    assert!((v["points_per_turn"].as_f64().unwrap() + 30.0).abs() < 1e-9, "{v}");
    // With one sign for each of eight groups, 2 of 2⁸ patterns are as extreme. One sign per pair would give 2⁻¹⁵.
    assert!((v["p"].as_f64().unwrap() - 2f64.powi(-7)).abs() < 1e-12);
    assert_eq!((v["groups"].as_u64(), v["unit"].as_str()), (Some(8), Some("points/turn")));
    let e = out.estimates().next().unwrap();
    assert_eq!((e.what.as_str(), e.n, e.null), ("interrupt - complete", Some(8), Some(0.0)));
    assert!(e.value.unwrap() < -29.0 && e.low <= e.value && e.value <= e.high && e.says.is_none(), "{e:?}");
    let asked = out.question.as_deref();
    assert_eq!(asked, Some("Does accuracy fall faster if completion = interrupt than if complete?"));
    assert_eq!(found(&rows, "tone × turn", 2, None, 1).values["primary"]["p"], 1.0);
    // Named the other way round, the sign is the other.
    let turned = found(&rows, "completion × turn", 2, Some("interrupt"), 1);
    assert!((turned.values["primary"]["points_per_turn"].as_f64().unwrap() - 30.0).abs() < 1e-9);
    // Means over turns 2 to 6: 0.4 in seven groups and 0.6 in one, against 1.
    let level = found(&rows, "completion", 2, None, 1);
    assert!((level.values["primary"]["estimate"].as_f64().unwrap() + 57.5).abs() < 1e-9, "{:?}", level.values);
    let e = level.estimates().next().unwrap();
    assert_eq!((e.unit.as_str(), e.what.as_str()), ("points", "interrupt - complete"));
}

/// Data with an effect that varies by group around 0, so that a group's two pairs agree. One sign per pair would
/// count them as independent and reject in some 14 % of such studies.
#[test]
fn pairs_of_a_group_have_one_sign() {
    let mut rng = Rng::new(9);
    let (mut found_in, mut covered, studies) = (0, 0, 400);
    for s in 0..studies {
        let mut rows = vec![];
        for g in 0..16 {
            let own = 0.3 * rng.normal();
            for tone in ["blunt", "polite"] {
                for turn in 1..=8u32 {
                    for completion in ["complete", "interrupt"] {
                        let tilt = if completion == "interrupt" { own * (f64::from(turn) - 5.0) / 2.0 } else { 0.0 };
                        rows.push(row(g, completion, tone, turn, f64::from(rng.unit() < 0.5 + tilt)));
                    }
                }
            }
        }
        let out = found(&rows, "completion × turn", 2, None, s);
        let of = |k: &str| out.values["primary"][k].as_f64().unwrap();
        found_in += usize::from(of("p") <= 0.05);
        covered += usize::from(of("low") <= 0.0 && 0.0 <= of("high"));
    }
    // Around 5 % and 95 % of 400; a correct test falls outside on either side once in 10,000 times.
    assert!((5..=38).contains(&found_in), "{found_in} of {studies} reject");
    assert!((362..=395).contains(&covered), "{covered} of {studies} cover");
}

#[test]
fn an_interaction_is_a_difference_of_differences() {
    // Interrupting costs 0.5 if blunt and nothing if polite.
    let mut rows = vec![];
    for g in 0..8 {
        for (completion, tone, score) in [
            ("complete", "polite", 0.75),
            ("complete", "blunt", 0.75),
            ("interrupt", "polite", 0.75),
            ("interrupt", "blunt", 0.25),
        ] {
            rows.push(row(g, completion, tone, 1, score));
        }
    }
    let out = found(&rows, "completion × tone", 1, None, 1);
    let v = &out.values["primary"];
    // At polite 0, at blunt −50: polite − blunt.
    assert!((v["estimate"].as_f64().unwrap() - 50.0).abs() < 1e-9 && v["across"] == "tone", "{v}");
    let e = out.estimates().next().unwrap();
    assert_eq!(e.what, "(interrupt - complete): polite - blunt");
    // A third level has no such contrast.
    rows.push(row(0, "half", "polite", 1, 0.5));
    let out = found(&rows, "completion × tone", 1, None, 1);
    assert!(out.warnings().any(|w| w.contains("needs two levels of each factor")), "{out:?}");
    assert_eq!(out.estimates().next().unwrap().value, None);
}

#[test]
fn of_more_levels_each_is_compared_with_the_reference() {
    let levels = ["none", "doubt", "against", "praise", "shout", "beg"];
    let mut rows = vec![];
    for g in 0..10 {
        for level in levels {
            for turn in 1..=2 {
                // Only doubt makes answers wrong at turn 2.
                rows.push(row(g, level, "plain", turn, f64::from(!(level == "doubt" && turn == 2))));
            }
        }
    }
    let out = found(&rows, "completion × turn", 1, None, 1);
    let v = &out.values["primary"];
    // The first level of the manifest is the reference.
    assert_eq!((v["reference"].as_str(), v["contrasts"].as_array().map(Vec::len)), (Some("none"), Some(5)));
    let of = |i: usize, k: &str| v["contrasts"][i][k].as_f64().unwrap();
    assert_eq!((of(0, "estimate"), of(0, "p"), of(1, "p")), (-100.0, 2f64.powi(-9), 1.0));
    assert!((of(0, "p_holm") - 5.0 * 2f64.powi(-9)).abs() < 1e-12);
    // Four estimates, with Holm's p; the table has all.
    let all: Vec<_> = out.estimates().collect();
    assert_eq!((all.len(), all[0].what.as_str(), all[0].p), (4, "doubt - none", Some(5.0 * 2f64.powi(-9))));
    assert_eq!(out.tables().next().map(Table::rows), Some(5));
    let named = found(&rows, "completion × turn", 1, Some("against"), 1);
    assert_eq!(named.values["primary"]["reference"], "against");
}

/// No level differs from the reference. The smallest of Holm's p-values is below 0.05 in at most 5 % of studies.
#[test]
fn of_several_levels_without_a_difference_one_is_found_in_five_percent() {
    let mut rng = Rng::new(21);
    let (mut found_in, studies) = (0, 400);
    for s in 0..studies {
        let mut rows = vec![];
        for g in 0..12 {
            for level in ["a", "b", "c", "d", "e"] {
                rows.push(row(g, level, "plain", 1, rng.unit()));
            }
        }
        let out = found(&rows, "completion", 1, None, s);
        let contrasts = out.values["primary"]["contrasts"].as_array().unwrap();
        let least = contrasts.iter().map(|c| c["p_holm"].as_f64().unwrap()).fold(1.0, f64::min);
        found_in += usize::from(least <= 0.05);
    }
    // Holm is conservative for contrasts with one reference; a correct test exceeds this once in 10,000 times.
    assert!((2..=38).contains(&found_in), "{found_in} of {studies} reject");
}

#[test]
fn one_turn_has_no_slope_and_unequal_conversations_are_compared_where_they_meet() {
    let mut rows = vec![];
    for g in 0..8u32 {
        for turn in 1..=4 {
            rows.push(row(g, "complete", "plain", turn, 1.0));
            // Ends after two turns in half of the groups, after one in group 0.
            if turn <= [1, 2, 4, 4, 2, 2, 4, 4][g as usize] {
                rows.push(row(g, "interrupt", "plain", turn, f64::from(turn == 1)));
            }
        }
    }
    let out = found(&rows, "completion × turn", 1, None, 1);
    assert!(out.warnings().any(|w| w.contains("1 pair without two turns in common")), "{out:?}");
    assert_eq!(out.values["primary"]["groups"], 7);
    // Slopes of 1,0 and of 1,0,0,0.
    let want = (3.0 * -100.0 + 4.0 * -30.0) / 7.0;
    assert!((out.values["primary"]["estimate"].as_f64().unwrap() - want).abs() < 1e-9);
    let one: Vec<TurnRow> = rows.into_iter().filter(|t| t.turn == 1).collect();
    let out = found(&one, "completion × turn", 1, None, 1);
    assert!(out.warnings().any(|w| w.contains("cannot be told")), "{out:?}");
    assert_eq!(out.estimates().next().unwrap().says.as_deref(), Some("cannot be told"));
}

/// Conditions with every level of two factors, whose scores are those of the oracle.
fn oracle(first: &[&str], second: &[&str]) -> Vec<TurnRow> {
    let mut rows = vec![];
    for g in 0..9u32 {
        for (c, level) in (0..).zip(first) {
            for (t, tone) in (0..).zip(second) {
                for turn in 1..=5u32 {
                    let n = 7 * g + 3 * c + 5 * t + 2 * turn + g * c * turn + 4 * c * t * turn + g * t * turn;
                    rows.push(row(g, level, tone, turn, f64::from(n % 11) / 10.0));
                }
            }
        }
    }
    rows
}

/// Estimates by scipy.stats.linregress within groups, p by scipy.stats.permutation_test with all sign flips, bounds by
/// bisection of that test.
#[test]
fn crossed_slopes_and_trends_are_those_of_scipy() {
    let two = oracle(&["complete", "interrupt"], &["blunt", "polite"]);
    let numbers = oracle(&["0", "5", "20"], &["blunt", "polite"]);
    let names = oracle(&["low", "middle", "high"], &["blunt", "polite"]);
    for (rows, contrast, estimate, p, low, high) in [
        (&two, "completion × tone × turn", -6.444444444444445, 0.4921875, -26.0, 14.333333333333333),
        (&two, "completion × tone", 23.888888888888896, 0.03515625, 2.5, 50.625),
        (&numbers, "trend(completion)", 0.23611111111111122, 0.39453125, -0.4206730769230769, 0.8653846153846154),
        (&names, "trend(completion) × turn", -2.0277777777777777, 0.40625, -7.5625, 3.6666666666666665),
    ] {
        let out = found(rows, contrast, 2, None, 1);
        let v = &out.values["primary"];
        for (key, want) in [("estimate", estimate), ("p", p), ("low", low), ("high", high)] {
            assert!((v[key].as_f64().unwrap() - want).abs() < 1e-6, "{contrast}, {key}: {want}, {v}");
        }
        let pairs = if contrast.contains("trend") { 18 } else { 9 };
        assert_eq!(
            (v["groups"].as_u64(), v["pairs"].as_u64(), v["contrast"].as_str()),
            (Some(9), Some(pairs), Some(contrast))
        );
    }
    let out = found(&numbers, "trend(completion) × turn", 2, None, 1);
    assert_eq!(out.values["primary"]["scores"], json!([0.0, 5.0, 20.0]));
    assert_eq!(out.estimates().next().unwrap().unit, "points/unit of completion/turn");
    assert_eq!(found(&names, "trend(completion)", 2, None, 1).estimates().next().unwrap().unit, "points/level");
    assert_eq!(
        out.question.as_deref(),
        Some("Does the trend of the accuracy over completion, from 0 to 20, change with turns?")
    );
    // A level is missing at one tone: the other tone's conversations are left out.
    let gap: Vec<TurnRow> = numbers.into_iter().filter(|r| r.condition != "5_polite").collect();
    let out = found(&gap, "trend(completion)", 2, None, 1);
    assert!(out.values["primary"]["pairs"] == 9 && out.warnings().count() == 1, "{out:?}");
    assert!(
        found(&gap, "completion × tone × turn", 2, None, 1).warnings().any(|w| w.contains("needs two levels of each"))
    );
}
