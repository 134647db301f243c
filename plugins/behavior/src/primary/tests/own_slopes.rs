//! A difference of slopes is a degradation only where the compared level falls itself.
use super::*;
use friction_core::Says;

fn primary(direction: &str) -> PrimarySection {
    let v = json!({"contrast": "completion × turn", "direction": direction, "smallest": 0.5, "first_turn": 2});
    serde_json::from_value(v).unwrap()
}

/// Scores by turn, from 0.5 at turn 1, that change by these at each turn: of interrupted conversations and of others. Groups
/// differ a little.
fn changing(interrupt: f64, complete: f64) -> Vec<TurnRow> {
    let mut rows = vec![];
    for g in 0..10u32 {
        let own = 0.001 * f64::from(g % 3);
        for turn in 1..=6 {
            let at = |change: f64| 0.5 + (change + own) * f64::from(turn - 1);
            rows.push(row(g, "interrupt", "plain", turn, at(interrupt)));
            rows.push(row(g, "complete", "plain", turn, at(complete) + 0.0001 * f64::from(g * turn % 5)));
        }
    }
    rows
}

/// What is said, the reasons, and the guard of the own slope.
fn told(rows: &[TurnRow], direction: &str) -> (Says, String, Value, Value) {
    let out = under(rows, None, 2, None, 1, Some(&primary(direction)));
    let v = out.verdicts().next().unwrap();
    let guards = out.values["verdict"]["guards"].as_array().unwrap();
    let guard = guards.iter().find(|g| g["name"] == "own slope").cloned().unwrap_or_default();
    (v.says, v.evidence.join("; "), guard, out.values["primary"].clone())
}

#[test]
fn what_falls_itself_is_reached_with_both_slopes_and_the_shift() {
    let (says, why, guard, value) = told(&changing(-0.03, 0.0), "falls");
    assert_eq!((says, &guard["holds"]), (Says::Reached, &json!(true)), "{why}");
    // Groups 0 to 9 add 0, 0.1 or 0.2 points in turn: 0.09 on average.
    let slopes = value["own_slopes"].as_array().unwrap();
    assert_eq!((slopes[0]["at"].as_str(), slopes[1]["at"].as_str()), (Some("interrupt"), Some("complete")));
    let of = |v: &Value, key: &str| v[key].as_f64().unwrap();
    assert!((of(&slopes[0], "slope") + 2.91).abs() < 1e-9, "{value}");
    assert!(of(&slopes[0], "low") <= of(&slopes[0], "slope") && of(&slopes[0], "high") < 0.0, "{value}");
    // The contrast is the one minus the other.
    let between = of(&slopes[0], "slope") - of(&slopes[1], "slope");
    assert!((between - of(&value, "estimate")).abs() < 1e-9, "{value}");
    // Turns 2 to 6 are 1 to 5 steps of 3 points below: 9 on average.
    let shift = &value["level_shift"];
    assert!(
        (of(shift, "estimate") + 9.0).abs() < 0.1 && of(shift, "high") < 0.0 && shift["unit"] == "points",
        "{shift}"
    );
    assert!(why.contains("own slopes: -2.91 points/turn (95 % interval "), "{why}");
    assert!(why.contains("at completion = interrupt, ") && why.contains("level shift, beside the slope: "), "{why}");
    assert!(why.contains("guard holds: own slope: at completion = interrupt it is -2.91 points/turn"), "{why}");
}

#[test]
fn what_diverges_because_the_other_side_improves_cannot_be_told() {
    let (says, why, guard, value) = told(&changing(0.0, 0.03), "falls");
    assert_eq!((says, &guard["holds"]), (Says::CannotBeTold, &json!(false)), "{why}");
    let reason = "diverges without degradation: the own slope at completion = interrupt is +0.09 points/turn";
    assert!(why.contains(reason) && value["verdict"] == "cannot be told", "{why}");
    // For an effect that is expected to rise it is the other way round.
    let (says, why, ..) = told(&changing(-0.01, -0.04), "rises");
    assert!(says == Says::CannotBeTold && why.contains("diverges without improvement"), "{why}");
    assert_eq!(told(&changing(0.03, 0.0), "rises").0, Says::Reached);
}

#[test]
fn the_guard_asks_only_where_the_verdict_would_be_reached() {
    // Both rise alike: there is no effect, and that the first does not fall takes nothing from it.
    let (says, why, guard, _) = told(&changing(0.02, 0.02), "falls");
    assert_eq!((says, &guard["holds"]), (Says::NotReached, &json!(true)), "{why}");
    assert!(why.contains("where the contrast would be reached, which it is not"), "{why}");
    // Without an expected direction there is no guard, and the slopes are told.
    let (says, why, guard, _) = told(&changing(0.0, 0.03), "either");
    assert!(says == Says::Reached && guard.is_null() && why.contains("own slopes: "), "{why}");
    // A contrast of means has none.
    let out = found(&changing(-0.03, 0.0), "completion", 2, None, 1);
    assert!(out.values["primary"].get("own_slopes").is_none());
    // An exploratory one has the values and no verdict.
    let out = found(&changing(-0.03, 0.0), "completion × turn", 2, None, 1);
    assert!(out.values["primary"]["own_slopes"].is_array() && out.verdicts().count() == 0);
}

#[test]
fn of_several_levels_the_one_that_diverges_alone_cannot_be_told() {
    let mut rows = changing(0.0, 0.03);
    let at = |t: &TurnRow, level: &str| t.factors["completion"] == level;
    let falling = changing(-0.03, 0.03).into_iter().filter(|t| at(t, "interrupt"));
    rows.extend(falling.map(|t| row(t.group, "jump", "plain", t.turn, t.score.unwrap())));
    let locked = PrimarySection { reference: Some("complete".into()), ..primary("falls") };
    let out = under(&rows, None, 2, None, 1, Some(&locked));
    let each: Vec<_> = out.estimates().map(|e| (e.what.as_str(), e.says.as_deref().unwrap())).collect();
    assert_eq!(each, [("interrupt - complete", "cannot be told"), ("jump - complete", "reached")]);
    let v = out.verdicts().next().unwrap();
    let why = v.evidence.join("; ");
    let reason = "diverges without degradation: the own slope at completion = interrupt is +0.09 points/turn";
    assert!(v.says == Says::Reached && why.contains(reason), "{:?} {why}", v.says);
    let slopes = &out.values["primary"]["contrasts"][1]["own_slopes"];
    assert!((slopes[0]["slope"].as_f64().unwrap() + 2.91).abs() < 1e-9, "{slopes}");
    // Without the level that falls nothing is reached.
    let flat: Vec<TurnRow> = rows
        .iter()
        .map(|t| if at(t, "jump") { row(t.group, "jump", "plain", t.turn, 0.5) } else { t.clone() })
        .collect();
    let out = under(&flat, None, 2, None, 1, Some(&locked));
    assert_eq!(out.verdicts().next().unwrap().says, Says::CannotBeTold);
}

#[test]
fn the_question_asks_for_what_the_lock_expects() {
    for (direction, asks) in [("falls", "fall faster"), ("rises", "rise faster"), ("either", "change otherwise")] {
        let out = under(&changing(-0.03, 0.0), None, 2, None, 1, Some(&primary(direction)));
        let asked = out.question.unwrap_or_default();
        assert!(asked.contains(&format!("Does accuracy {asks} if completion = interrupt")), "{asked}");
    }
}

#[test]
fn questions_of_means_and_of_several_levels_ask_for_it_too() {
    let asked = |rows: &[TurnRow], contrast: &str, direction: &str| {
        let locked = json!({"contrast": contrast, "direction": direction, "smallest": 0.5, "reference": "complete"});
        let locked: PrimarySection = serde_json::from_value(locked).unwrap();
        under(rows, None, locked.contrast.first_turn(), None, 1, Some(&locked)).question.unwrap_or_default()
    };
    let two = changing(-0.03, 0.0);
    for (direction, asks) in [("falls", "Is the accuracy lower at"), ("rises", "Is the accuracy higher at")] {
        let q = asked(&two, "completion", direction);
        assert_eq!(q, format!("{asks} completion = interrupt than at completion = complete?"));
    }
    assert!(asked(&two, "completion", "either").starts_with("Does the accuracy differ between "));
    let mut three = two.clone();
    three.extend(
        two.iter()
            .filter(|t| t.factors["completion"] == "interrupt")
            .map(|t| row(t.group, "jump", "plain", t.turn, t.score.unwrap())),
    );
    let q = asked(&three, "completion × turn", "falls");
    assert_eq!(q, "Does the accuracy fall faster with turns than if completion = complete?");
    let q = asked(&three, "completion", "rises");
    assert_eq!(q, "At which completion is the accuracy higher than at completion = complete?");
}
