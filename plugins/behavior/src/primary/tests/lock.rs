//! What the run's lock makes of a contrast: its status and its verdict.
use super::*;

/// Interrupted conversations fall by 30 points per turn, as in the planted slope above.
fn falling(groups: u32) -> Vec<TurnRow> {
    let mut rows = vec![];
    for g in 0..groups {
        for tone in ["blunt", "polite"] {
            for turn in 1..=6 {
                rows.push(row(g, "interrupt", tone, turn, f64::from(turn <= 3)));
                rows.push(row(g, "complete", tone, turn, 1.0));
            }
        }
    }
    rows
}

fn locked(v: Value) -> PrimarySection {
    serde_json::from_value(v).unwrap()
}

fn statuses(out: &Findings) -> Vec<Option<Status>> {
    let found = out.blocks.iter().filter(|b| matches!(b.body, Body::Estimate(_) | Body::Verdict(_) | Body::Table(_)));
    found.map(|b| b.status).collect()
}

#[test]
fn the_locked_contrast_is_confirmatory_and_has_a_verdict() {
    let primary =
        locked(json!({"contrast": "completion × turn", "direction": "falls", "smallest": 0.5, "first_turn": 2}));
    let out = under(&falling(8), None, 2, None, 1, Some(&primary));
    assert_eq!(statuses(&out), [Some(Status::Confirmatory); 2]);
    let v = out.verdicts().next().unwrap();
    assert_eq!((v.level.as_str(), v.says), ("Primary", friction_core::Says::Reached));
    assert_eq!(v.claim, "the slope of accuracy with turns at completion = interrupt minus that at complete is below 0");
    assert!(
        v.evidence[0].starts_with("interrupt - complete: -30.00 points/turn, 95 % interval -30.00 to -30.00"),
        "{v:?}"
    );
    assert_eq!(out.estimates().next().unwrap().says.as_deref(), Some("reached"));
    let told = (&out.values["primary"]["status"], &out.values["primary"]["verdict"], &out.values["verdict"]["says"]);
    assert_eq!(told, (&json!("confirmatory"), &json!("reached"), &json!("reached")));
    assert!(out.texts().all(|t| !t.contains("Exploratory")));
    // The same contrast, named by the analyzer too, is the locked one.
    let again = under(&falling(8), Some("completion × turn"), 2, Some("complete"), 1, Some(&primary));
    assert_eq!(again.values, out.values);
    // Expected to rise, it is not reached; with too few groups nothing is.
    let rises = PrimarySection { direction: friction_core::manifest::Direction::Rises, ..primary.clone() };
    let says =
        |p: &PrimarySection, groups| under(&falling(groups), None, 2, None, 1, Some(p)).verdicts().next().unwrap().says;
    assert_eq!(says(&rises, 8), friction_core::Says::NotReached);
    assert_eq!(says(&primary, 7), friction_core::Says::CannotBeTold);
}

#[test]
fn each_of_several_levels_has_its_own_verdict() {
    let mut rows = vec![];
    for g in 0..8 {
        for level in ["none", "doubt", "praise"] {
            rows.push(row(g, level, "plain", 1, f64::from(level != "doubt")));
        }
        // Praise helps as often as it harms, by little.
        let half = if g % 2 == 0 { 0.999 } else { 1.0 };
        rows.last_mut().unwrap().score = Some(half);
    }
    let primary = locked(json!({"contrast": "completion", "direction": "falls", "smallest": 5.0, "first_turn": 1}));
    let out = under(&rows, None, 1, Some("none"), 1, Some(&primary));
    let told: Vec<_> = out.estimates().map(|e| (e.what.as_str(), e.says.as_deref())).collect();
    assert_eq!(told, [("doubt - none", Some("reached")), ("praise - none", Some("not reached"))]);
    let table = out.tables().next().unwrap();
    let Some(Cells::Text(cells)) = table.columns.iter().find(|c| c.name == "verdict").map(|c| &c.cells) else {
        panic!()
    };
    assert_eq!(cells, &["reached", "not reached"]);
    // The study's verdict is that one level reached it.
    assert_eq!(out.values["primary"]["verdict"], "reached");
    // Without a lock there is no verdict, and rows show p.
    let open = found(&rows, "completion", 1, Some("none"), 1);
    assert!(open.estimates().all(|e| e.says.is_none() && e.p.is_some()), "{open:?}");
}

#[test]
fn what_departs_from_the_lock_is_exploratory_and_says_how() {
    let primary = locked(json!({"contrast": "completion × turn", "smallest": 0.5, "first_turn": 2}));
    let rows = falling(8);
    for (contrast, first, reference, how) in [
        (Some("completion"), 2, None, "the contrast is completion, not completion × turn"),
        (None, 3, None, "turns are read from 3 on, not from 2"),
        (None, 2, Some("interrupt"), "levels are compared with interrupt, not with complete"),
    ] {
        let out = under(&rows, contrast, first, reference, 1, Some(&primary));
        assert_eq!(statuses(&out), [Some(Status::Exploratory)], "{how}");
        assert!(out.texts().next().unwrap().ends_with(how), "{:?}", out.texts().collect::<Vec<_>>());
        assert_eq!((out.verdicts().count(), &out.values["primary"]["status"]), (0, &json!("exploratory")));
    }
    // A lock without a contrast.
    let out = found(&rows, "completion × turn", 2, None, 1);
    assert_eq!(statuses(&out), [Some(Status::Exploratory)]);
    assert!(out.texts().next().unwrap().contains("a table `[primary]` in the manifest locks it"));
    assert_eq!(out.warnings().count(), 0);
    // Of several levels, the table is too.
    let more: Vec<TurnRow> = oracle(&["a", "b", "c"], &["blunt"]);
    assert_eq!(statuses(&found(&more, "completion", 1, None, 1)), [Some(Status::Exploratory); 3]);
}

#[test]
fn only_the_levels_that_are_listed_are_compared() {
    let mut rows = falling(8);
    // An extra control, which no condition differs from in completion alone.
    for g in 0..8 {
        rows.extend((1..=6).map(|turn| row(g, "none", "extra", turn, 0.0)));
    }
    let levels = json!({"completion": ["complete", "interrupt"], "tone": ["blunt", "polite"]});
    let primary = locked(json!({"contrast": "completion × turn", "smallest": 0.5, "first_turn": 2, "levels": levels}));
    let out = under(&rows, None, 2, None, 1, Some(&primary));
    assert_eq!(out.values["primary"]["levels"], json!(["complete", "interrupt"]));
    assert!(out.warnings().count() == 0 && out.values["primary"]["pairs"] == 16, "{out:?}");
    // Without the list, the extra level is compared too, and has no partner.
    assert!(found(&rows, "completion × turn", 2, None, 1).warnings().any(|w| w.contains("left out")));
}

#[test]
fn a_fraction_is_compared_by_averages() {
    // I = completion × tone × size: interrupting costs 20 points, size large gives 10, and the rest nothing.
    let mut rows = vec![];
    for g in 0..8 {
        for (completion, tone, size) in [
            ("complete", "blunt", "large"),
            ("complete", "polite", "small"),
            ("interrupt", "blunt", "small"),
            ("interrupt", "polite", "large"),
        ] {
            let cost = if completion == "interrupt" { 0.2 } else { 0.0 };
            let gain = if size == "large" { 0.1 } else { 0.0 };
            let mut r = row(g, completion, tone, 1, 0.5 - cost + gain);
            r.factors.insert("size".into(), size.into());
            rows.push(r);
        }
    }
    let out = found(&rows, "completion", 1, None, 1);
    assert!(
        (out.values["primary"]["estimate"].as_f64().unwrap() + 20.0).abs() < 1e-9 && out.warnings().count() == 0,
        "{out:?}"
    );
    assert!(out.blocks.iter().any(|b| b.method.contains("averages over the conditions at each level")));
    let of = |name: &str| found(&rows, name, 1, None, 1).values["primary"]["estimate"].as_f64().unwrap();
    assert!((of("size") + 10.0).abs() < 1e-9 && of("tone").abs() < 1e-9);
    // What is said before the run is said again where the contrast is told.
    let said = "Aliased: the conditions are a fraction, in which completion cannot be told apart from size × tone";
    assert!(out.texts().any(|t| t == said), "{:?}", out.texts().collect::<Vec<_>>());
    assert_eq!(out.values["primary"]["aliases"], json!(["size × tone"]));
    assert!(found(&falling(8), "completion × turn", 2, None, 1).texts().all(|t| !t.contains("Aliased")));
}

#[test]
fn a_verdict_falls_with_its_guards() {
    let primary =
        locked(json!({"contrast": "completion × turn", "direction": "falls", "smallest": 0.5, "first_turn": 2}));
    let told = |rows: &[TurnRow]| {
        let out = under(rows, None, 2, None, 1, Some(&primary));
        let v = out.verdicts().next().unwrap().clone();
        let guards = out.values["verdict"]["guards"].as_array().unwrap();
        let fails = guards.iter().filter(|g| g["holds"] == false).map(|g| g["name"].to_string());
        (v.says, v.evidence.join("; ") + &fails.collect::<String>())
    };
    let mut rows = falling(8);
    for r in &mut rows {
        (r.target, r.finish_reason) = (Some("A".into()), "stop".into());
        r.answer = Some(if r.score == Some(1.0) { "A" } else { "B" }.into());
    }
    assert_eq!(told(&rows).0, friction_core::Says::Reached);
    // Every wrong answer is one that could not be read: counted as right, nothing falls.
    let mut unread = rows.clone();
    unread.iter_mut().filter(|r| r.score == Some(0.0)).for_each(|r| r.answer = None);
    let (says, why) = told(&unread);
    // Turns 4 to 6 of two conversations in each of eight groups.
    let guard = "guard fails: with 48 unread answers counted as right the estimate is +0.00 points/turn, and its sign must stay";
    assert!(says == friction_core::Says::CannotBeTold && why.contains(guard), "{why}");
    assert!(why.ends_with("\"unread\""), "{why}");
    // One condition's replies meet the limit.
    let cut = |r: &&mut TurnRow| r.condition == "interrupt_blunt" && r.turn == 6;
    rows.iter_mut().filter(cut).for_each(|r| r.finish_reason = "length".into());
    let (says, why) = told(&rows);
    assert!(says == friction_core::Says::CannotBeTold && why.contains("guard fails: at most 20.0 %"), "{why}");
    assert!(why.ends_with("\"ends\""), "{why}");
}

#[test]
fn a_trend_over_equal_outcomes_is_zero_and_not_a_rest_of_rounding() {
    for levels in [["1", "10", "3"], ["1", "2", "4"], ["1", "3", "9"]] {
        for contrast in ["trend(completion)", "trend(completion) × turn"] {
            let primary = locked(json!({"contrast": contrast, "direction": "falls", "smallest": 0.5, "first_turn": 1}));
            // At each level all outcomes are `raise` times the level's number higher.
            let told = |raise: f64| {
                let mut rows = vec![];
                for g in 0..10u32 {
                    for level in levels {
                        let higher = raise * level.parse::<f64>().unwrap();
                        let score = |turn: u32| f64::from(!(g + turn).is_multiple_of(9)) + higher * f64::from(turn);
                        rows.extend((1..=6).map(|turn| row(g, level, "plain", turn, score(turn))));
                    }
                }
                under(&rows, None, 1, None, 1, Some(&primary))
            };
            let out = told(0.0);
            let v = &out.values["primary"];
            for (key, want) in [("estimate", 0.0), ("low", 0.0), ("high", 0.0), ("p", 1.0), ("informative_groups", 0.0)]
            {
                assert_eq!(v[key].as_f64(), Some(want), "{levels:?}, {contrast}: {v}");
            }
            let verdict = out.verdicts().next().unwrap();
            assert_eq!(verdict.says, friction_core::Says::CannotBeTold);
            assert!(verdict.evidence.iter().any(|e| e.contains("no pair differs in any group")), "{verdict:?}");
            let most = levels.iter().max_by_key(|l| l.parse::<u32>().unwrap()).unwrap();
            assert!(out.question.as_deref().unwrap().contains(&format!("from 1 to {most}")), "{:?}", out.question);
            // A real effect is told, however small: 1e-7 points for each unit and turn, in each group.
            let v = told(1e-9).values["primary"].clone();
            let turns = if contrast.ends_with("turn") { 1.0 } else { 3.5 };
            assert!((v["estimate"].as_f64().unwrap() / (1e-7 * turns) - 1.0).abs() < 1e-4, "{contrast}: {v}");
            assert!(v["p"].as_f64().unwrap() < 0.01 && v["informative_groups"] == 10, "{v}");
        }
    }
}

#[test]
fn averages_of_samples_that_differ_by_rounding_do_not_differ() {
    let mut rows = vec![];
    for g in 0..8 {
        for (level, scores) in [("complete", [0.1, 0.2, 0.3]), ("interrupt", [0.3, 0.2, 0.1])] {
            for (sample, score) in (0..).zip(scores) {
                rows.extend((1..=3).map(|turn| TurnRow { sample, ..row(g, level, "plain", turn, score) }));
            }
        }
    }
    for contrast in ["completion", "completion × turn"] {
        let v = found(&rows, contrast, 1, None, 1).values["primary"].clone();
        assert_eq!((v["estimate"].as_f64(), v["p"].as_f64()), (Some(0.0), Some(1.0)), "{contrast}: {v}");
        assert_eq!(v["informative_groups"], 0);
    }
}
