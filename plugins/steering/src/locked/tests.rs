#![allow(clippy::unwrap_used)]
use super::*;
use crate::arms::ArmName;
use crate::effects::{Effect, Replies};
use friction_stats::{Rng, mean_t};

const QUESTION: Question<'static> = Question {
    outcome: &Outcome::Score,
    tested: Kind::Direction,
    expect: Some(Expect::Falls),
    zero: 0.0,
    smallest: 1.0,
    level: 0.95,
    seed: 1,
};

fn arm(kind: Kind, dose: f32, groups: &[f64]) -> Arm {
    let effect = Effect {
        change: mean_t(groups, 0.95).unwrap(),
        groups: groups.iter().enumerate().map(|(g, v)| (g as u32, *v)).collect(),
        rose: 0,
        fell: 0,
        changed: 0.0,
    };
    let replies = Replies { mean: 50.0, parsed: 1.0, tokens: 7.0, cut: 0.0, repetition: 0.0, perplexity: None };
    Arm { name: ArmName { kind, dose }, effect, replies }
}

/// A direction and `random` controls at two doses. `effect` is the tested direction's effect at −8; at 4 it has half of
/// it with the opposite sign. All arms share the untouched control's random answers, as in a run.
fn study(groups: usize, random: usize, effect: f64, seed: u64) -> Vec<Arm> {
    let mut rng = Rng::new(seed);
    let untouched: Vec<f64> = (0..groups).map(|_| 5.0 * rng.normal()).collect();
    let kinds = std::iter::once(Kind::Direction).chain((0..random).map(Kind::Random));
    let mut out = vec![];
    for kind in kinds {
        let of = if kind == Kind::Direction { effect } else { 0.0 };
        // The effect of any direction varies by group.
        let own: Vec<f64> = (0..groups).map(|_| 3.0 * rng.normal()).collect();
        for (dose, share) in [(-8.0, 1.0), (4.0, -0.5)] {
            let values: Vec<f64> =
                (0..groups).map(|g| share * (of + own[g]) + untouched[g] + 5.0 * rng.normal()).collect();
            out.push(arm(kind, dose, &values));
        }
    }
    out
}

#[test]
fn any_direction_of_no_meaning_reaches_it_in_at_most_five_percent() {
    // Each of 21 directions without an effect is tested in turn, as `tested = "random-03"` does on a stored run.
    let (mut reached, mut flips, mut rank, mut all) = (0, 0, 0, 0);
    for s in 0..60 {
        let arms = study(12, 21, 0.0, s);
        for n in 0..21 {
            let a = ask(&Question { tested: Kind::Random(n), seed: s, ..QUESTION }, &arms).unwrap();
            assert_eq!(a.controls.len(), 20);
            all += 1;
            reached += usize::from(a.says == Says::Reached);
            flips += usize::from(a.change.unwrap().p <= 0.05);
            rank += usize::from(a.p_rank.unwrap() <= 0.05);
        }
    }
    // In each of 60 studies exactly one of 21 directions has the largest change: at most 60 of 1,260 ranks.
    assert!(rank <= 60, "{rank} of {all}");
    assert!(reached <= 60 && (30..=100).contains(&flips), "{reached} reached, {flips} flips of {all}");
}

#[test]
fn what_was_planted_is_found_in_the_locked_direction_only() {
    let found =
        |q: &Question| (0..40).filter(|s| ask(q, &study(32, 20, 8.0, *s)).unwrap().says == Says::Reached).count();
    assert!(found(&QUESTION) >= 36, "{}", found(&QUESTION));
    let other = Question { expect: Some(Expect::Rises), ..QUESTION };
    assert_eq!(found(&other), 0);
    let a = ask(&other, &study(32, 20, 8.0, 1)).unwrap();
    assert!(a.says == Says::NotReached && a.why.contains("the other way"), "{a:?}");
}

#[test]
fn doses_are_signed_and_averaged_by_group() {
    let mut arms = study(8, 20, 0.0, 3);
    arms.retain(|a| a.name.kind != Kind::Direction);
    let at = |d: f32, v: f64| arm(Kind::Direction, d, &[v, v + 2.0, v, v, v, v, v, v]);
    // No control ran at dose 2: the dose is reported and not used.
    arms.extend([at(-8.0, 30.0), at(4.0, -10.0), at(2.0, 50.0)]);
    let a = ask(&QUESTION, &arms).unwrap();
    assert_eq!((a.doses.as_slice(), a.left_out.as_slice()), (&[-8.0, 4.0][..], &[2.0][..]));
    // The group values are (30 + 10) / 2 in seven groups and (32 + 8) / 2 in one.
    assert!((a.change.unwrap().estimate - 20.0).abs() < 1e-12, "{a:?}");
    // A feature is at 10 untouched. Clamping it to 4 pushes down: (30 − 10) / 2 in seven groups, (32 − 8) / 2 in one.
    let clamp = Question { zero: 10.0, ..QUESTION };
    assert!((ask(&clamp, &arms).unwrap().change.unwrap().estimate - 10.25).abs() < 1e-12);
    assert_eq!(ask(&Question { zero: 4.0, ..QUESTION }, &arms).unwrap().doses, [-8.0]);
}

#[test]
fn what_cannot_be_told_says_what_is_missing() {
    let says = |q: &Question, arms: &[Arm]| {
        let a = ask(q, arms).unwrap();
        assert_eq!(a.says, Says::CannotBeTold, "{a:?}");
        a.why
    };
    let arms = study(32, 20, 8.0, 5);
    assert!(says(&Question { expect: None, ..QUESTION }, &arms).contains("`expect`"));
    assert!(says(&QUESTION, &study(32, 18, 8.0, 5)).contains("18 random directions: at least 19"));
    assert!(says(&QUESTION, &study(7, 20, 8.0, 5)).contains("7 groups: at least 8"));
    assert!(says(&Question { smallest: 6.0, ..QUESTION }, &arms).contains("smaller than the 6 points"));
    assert_eq!(ask(&Question { smallest: 30.0, ..QUESTION }, &arms).unwrap().says, Says::NotReached);
    // One random direction did not run at the direction's doses.
    let mut lone = study(32, 20, 8.0, 5);
    lone.retain(|a| a.name.dose < 0.0 && a.name.kind != Kind::Random(3));
    lone.push(arm(Kind::Random(3), -2.0, &[0.0; 32]));
    assert!(says(&QUESTION, &lone).contains("(doses of the direction: -8)"));
    // Nothing changes: the effect is certainly below one point.
    let still: Vec<Arm> =
        std::iter::once(Kind::Direction).chain((0..20).map(Kind::Random)).map(|k| arm(k, -8.0, &[0.0; 9])).collect();
    let a = ask(&QUESTION, &still).unwrap();
    assert_eq!((a.says, a.p), (Says::NotReached, Some(1.0)), "{a:?}");
}

#[test]
fn the_summary_has_the_verdict_the_controls_and_the_strongest_doses() {
    let arms = study(16, 20, 12.0, 3);
    let answer = ask(&QUESTION, &arms).unwrap();
    let mut out = friction_core::Findings::default();
    crate::headline::tell(&QUESTION, &answer, &arms, "completion = interrupt", &mut out);
    assert_eq!(out.question.as_deref(), Some("Does accuracy fall as the dose grows, where completion = interrupt?"));
    let what: Vec<&str> = out.estimates().map(|e| e.what.as_str()).collect();
    assert_eq!(what, ["expected change, 2 doses", "largest of 20 random", "dose -8", "dose 4"]);
    let [all, largest, below, above] = out.estimates().collect::<Vec<_>>()[..] else { panic!("{what:?}") };
    assert_eq!((all.says.as_deref(), all.n, all.p), (Some("reached"), Some(16), answer.p));
    assert!(largest.value.unwrap() < all.value.unwrap() && largest.low.is_none());
    assert!(below.value.unwrap() > 5.0 && above.value.unwrap() < 0.0 && above.low < above.value);
    // Of one tested dose the verdict's row is enough.
    let one: Vec<Arm> = study(16, 20, 12.0, 3).into_iter().filter(|a| a.name.dose == -8.0).collect();
    let mut out = friction_core::Findings::default();
    crate::headline::tell(&QUESTION, &ask(&QUESTION, &one).unwrap(), &one, "", &mut out);
    let what: Vec<&str> = out.estimates().map(|e| e.what.as_str()).collect();
    assert_eq!(what, ["expected change, dose -8", "largest of 20 random"]);
    // Directions of shuffled labels are told beside the random ones, whichever way they move answers.
    let mut shuffled = study(16, 20, 12.0, 3);
    shuffled.extend([(0, -30.0), (1, 10.0)].map(|(n, change)| arm(Kind::Shuffled(n), -8.0, &[change; 16])));
    let mut out = friction_core::Findings::default();
    crate::headline::tell(&QUESTION, &ask(&QUESTION, &shuffled).unwrap(), &shuffled, "", &mut out);
    let row = out.estimates().nth(2).unwrap();
    assert_eq!((row.what.as_str(), row.value), ("largest |change| of 2 shuffled", Some(30.0)));
    // Nothing was named before the run, and nothing ran beside the controls.
    let none = Question { expect: None, tested: Kind::Random(3), ..QUESTION };
    let answer = Answer { change: None, controls: vec![], says: Says::CannotBeTold, ..answer };
    let mut out = friction_core::Findings::default();
    crate::headline::tell(&none, &answer, &[], "", &mut out);
    assert_eq!(out.question.as_deref(), Some("Does accuracy change as the dose grows along random-03?"));
    let [row] = out.estimates().collect::<Vec<_>>()[..] else { panic!("{out:?}") };
    assert_eq!((row.value, row.says.as_deref()), (None, Some("cannot be told")));
}

#[test]
fn another_outcome_is_told_in_its_own_words_and_unit() {
    let odds = Question { outcome: &Outcome::LogOdds, smallest: 0.5, ..QUESTION };
    let arms = study(32, 20, 8.0, 5);
    let answer = ask(&odds, &arms).unwrap();
    assert_eq!((answer.says, answer.p), (Says::Reached, ask(&QUESTION, &arms).unwrap().p));
    assert!(answer.why.contains("the log-odds of the right choice changes as expected"), "{}", answer.why);
    assert!(answer.why.contains(" nats (") && !answer.why.contains("points"), "{}", answer.why);
    let mut out = friction_core::Findings::default();
    crate::headline::tell(&odds, &answer, &arms, "", &mut out);
    crate::report::verdict(&odds, &answer, &mut out);
    assert_eq!(out.question.as_deref(), Some("Does the log-odds of the right choice fall as the dose grows?"));
    assert!(out.estimates().all(|e| e.unit == "nats" && e.digits == 2), "{out:?}");
    assert!(out.values["test"]["change"].is_number() && out.values["test"]["points"].is_null(), "{:?}", out.values);
    assert_eq!(out.values["test"]["outcome"], "log_odds");
}
