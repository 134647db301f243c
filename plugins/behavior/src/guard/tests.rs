#![allow(clippy::unwrap_used)]
use super::*;
use crate::primary::Telling;
use crate::values::courses;
use friction_stats::Rng;

fn row(group: u32, condition: &str, turn: u32, right: usize, logprobs: Vec<f32>) -> TurnRow {
    let best = (0..logprobs.len()).max_by(|a, b| logprobs[*a].total_cmp(&logprobs[*b])).unwrap();
    let letter = |i: usize| friction_core::Item::letter(i).to_string();
    TurnRow {
        group,
        condition: condition.into(),
        factors: [("completion".to_string(), condition.to_string())].into(),
        turn,
        choices: logprobs.len() as u32,
        target: Some(letter(right)),
        answer: Some(letter(best)),
        score: Some(f64::from(u8::from(best == right))),
        choice_logprobs: logprobs,
        ..TurnRow::default()
    }
}

/// Normalises log-probabilities, so that all letters together have the probability `mass`.
fn normal(y: &[f64], mass: f64) -> Vec<f32> {
    let most = y.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = most + y.iter().map(|v| (v - most).exp()).sum::<f64>().ln();
    y.iter().map(|v| (v - sum + mass.ln()) as f32).collect()
}

/// A study of 40 groups and 8 turns of four choices, whose right letters are balanced. `know` is how much more the right
/// choice has (nats), `drawn` how much `A` has, each for complete and for interrupt.
fn study(know: [f64; 2], drawn: [f64; 2], mass: f64) -> Vec<TurnRow> {
    let mut rng = Rng::new(11);
    let mut out = vec![];
    for group in 0..40u32 {
        for turn in 1..=8 {
            let right = ((group + turn) % 4) as usize;
            let noise: Vec<f64> = (0..4).map(|_| rng.normal()).collect();
            for (i, condition) in ["complete", "interrupt"].into_iter().enumerate() {
                let mut y: Vec<f64> = noise.iter().map(|v| v + 0.3 * rng.normal()).collect();
                y[right] += know[i];
                y[0] += drawn[i];
                out.push(row(group, condition, turn, right, normal(&y, mass)));
            }
        }
    }
    out
}

fn question() -> Question {
    Question {
        contrast: "completion".parse().unwrap(),
        reference: None,
        levels: BTreeMap::new(),
        numbers: false,
        standing: crate::question::Standing::Unlocked,
    }
}

fn judged(rows: &[TurnRow], outcome: &Outcome) -> (Says, Vec<Left>) {
    let turns: Vec<&TurnRow> = rows.iter().collect();
    let about = About { outcome, reference: None, level: 0.95, seed: 5, turns: "all turns" };
    let question = question();
    let judged = Guarded { question: &question, turns: &turns, about: &about, discovery: 0.5, last: false }.judge();
    judged.map(|j| (j.says, j.left)).unwrap()
}

/// The effects of letters beside turns and the right choice, of unbalanced turns, by numpy.linalg.lstsq.
#[test]
fn the_preference_is_that_of_least_squares() {
    let rows: [(usize, &[f32]); 11] = [
        (0, &[1.941, -4.056, -1.282]),
        (1, &[-1.468, -1.153, -1.916]),
        (2, &[-2.92, -1.732, -1.765, 1.423]),
        (0, &[0.126, -1.853, -1.981]),
        (3, &[-1.568, -2.555, -2.091, -0.618]),
        (1, &[-1.139, 0.258, -1.9, -1.876]),
        (2, &[0.646, -0.955, -1.405]),
        (2, &[-1.083, -0.959, 1.035, -2.17]),
        (1, &[-1.144, 0.302, -2.586]),
        (0, &[-0.392, -0.617, -1.12, -1.808]),
        (0, &[0.57, -4.328, -0.679]),
    ];
    let rows: Vec<TurnRow> = rows.iter().map(|(right, y)| row(0, "c", 1, *right, y.to_vec())).collect();
    let found = prior(&rows.iter().collect::<Vec<_>>()).unwrap();
    let want = [0.4499164691943114, -0.435828396524486, -0.2578283965244861, 0.24374032385466016];
    assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    // One right letter alone cannot be told from a preference for it.
    assert_eq!(prior(&rows.iter().filter(|t| t.target.as_deref() == Some("A")).collect::<Vec<_>>()), None);
}

#[test]
fn a_loss_of_knowledge_holds_and_a_preference_for_a_letter_fails() {
    for outcome in [Outcome::LogOdds, Outcome::Score] {
        let (says, left) = judged(&study([2.0, 1.0], [0.0, 0.0], 0.95), &outcome);
        assert_eq!(says, Says::Holds, "{outcome}: {left:?}");
        assert!(left[0].what == "interrupt - complete" && left[0].before < 0.0 && left[0].after < 0.0);
        // A preference that both share is no difference.
        let (says, left) = judged(&study([2.0, 1.0], [1.5, 1.5], 0.95), &outcome);
        assert_eq!(says, Says::Holds, "{outcome}: {left:?}");
        // Nothing is forgotten, but A is preferred under interruption.
        let (says, left) = judged(&study([2.0, 2.0], [0.0, 4.0], 0.95), &outcome);
        assert!(
            matches!(&says, Says::Fails(why) if why.starts_with("the contrast interrupt - complete")),
            "{says:?} {left:?}"
        );
        assert!(left[0].before < 0.0 && left[0].after.abs() < 0.5 * left[0].before.abs(), "{outcome}: {left:?}");
    }
}

#[test]
fn it_says_why_it_has_nothing_to_say() {
    let why = |rows: &[TurnRow], outcome: &Outcome| match judged(rows, outcome).0 {
        Says::CannotBeTold(why) => why,
        other => panic!("{other:?}"),
    };
    let rows = study([2.0, 1.0], [0.0, 0.0], 0.95);
    let bare: Vec<TurnRow> = rows.iter().map(|t| TurnRow { choice_logprobs: vec![], ..t.clone() }).collect();
    assert!(why(&bare, &Outcome::Score).contains("no turn has log-probabilities"));
    let off = study([2.0, 1.0], [0.0, 0.0], 0.2);
    assert!(why(&off, &Outcome::Score).contains("the letters have 20 % of the probability"));
    // Log-odds are compared all the same, and the table of letters warns.
    assert_eq!(judged(&off, &Outcome::LogOdds).0, Says::Holds);
    let otherwise: Vec<TurnRow> = rows.iter().map(|t| TurnRow { answer: Some("D".into()), ..t.clone() }).collect();
    assert!(why(&otherwise, &Outcome::Score).contains("is the one that is replied in"));
    let as_complete = |t: &TurnRow| t.condition == "complete";
    let twins = rows.iter().filter(|t| as_complete(t)).flat_map(|t| {
        let factors = [("completion".to_string(), "interrupt".to_string())].into();
        [t.clone(), TurnRow { condition: "interrupt".into(), factors, ..t.clone() }]
    });
    assert!(why(&twins.collect::<Vec<_>>(), &Outcome::LogOdds).contains("does not differ from 0"));
    let one: Vec<TurnRow> = rows.iter().filter(|t| t.target.as_deref() == Some("B")).cloned().collect();
    assert!(why(&one, &Outcome::LogOdds).contains("the same letter is right"));
}

#[test]
fn a_contrast_that_fails_cannot_be_told() {
    let told = |rows: &[TurnRow]| {
        let turns: Vec<&TurnRow> = rows.iter().collect();
        let outcome = Outcome::LogOdds;
        let about = About { outcome: &outcome, reference: None, level: 0.95, seed: 5, turns: "all turns" };
        let question = question();
        let guarded = Guarded { question: &question, turns: &turns, about: &about, discovery: 0.5, last: false };
        let judged = guarded.judge().unwrap();
        let given = judged.as_guard().into_iter().collect();
        let telling = Telling {
            question: &question,
            about: &about,
            planned: None,
            read: &turns,
            lenient: &[],
            given,
            scope: None,
        };
        let mut out = Findings::default();
        out.section("Primary contrast");
        telling.tell(&turns, &courses(&turns, &outcome, |t| t.turn).all, &mut out);
        guarded.tell(&judged, &mut out);
        out
    };
    let biased = told(&study([2.0, 2.0], [0.0, 4.0], 0.95));
    assert_eq!(biased.values["primary"]["verdict"], json!(BIAS));
    assert!(biased.estimates().all(|e| e.says.as_deref() == Some(BIAS)) && biased.estimates().count() == 1);
    assert!(biased.warnings().any(|w| w.starts_with(BIAS)));
    let sound = told(&study([2.0, 1.0], [0.0, 0.0], 0.95));
    assert_eq!(sound.values["primary"]["letter_guard"]["says"], json!("holds"));
    assert!(sound.values["primary"].get("verdict").is_none() && sound.estimates().all(|e| e.says.is_none()));
    assert_eq!(sound.tables().filter(|t| t.name == "letter_guard").count(), 1);
}
