//! What each reported number promises, in data whose truth is known.
use crate::contrasts::LOCKED;
use crate::made;
use crate::told::{Place, Truth};
use crate::views::Outcome;

/// The outcomes with which an analysis is run. Combinations in which a real effect would be read are left out where
/// they say nothing about error rates.
pub fn outcomes(analysis: &str) -> &'static [Outcome] {
    match analysis {
        "probe-deal" | "probe-interruptions" | "features-deal" => &[Outcome::Dealt],
        "probe-correct" | "probe-number" => &[Outcome::Coin],
        "number-completion" | "number-features" => &[Outcome::Coin, Outcome::Effect],
        "mediation" => &[Outcome::Own, Outcome::Made],
        _ => &[Outcome::Own, Outcome::Coin, Outcome::Effect],
    }
}

/// How often an analysis is run with an outcome, each time with other random numbers. Where all that it reads is random, each
/// counts as a study: they have nothing in common.
pub fn draws(analysis: &str, outcome: Outcome) -> u64 {
    let primary = LOCKED.iter().any(|l| l.analysis == analysis) && outcome != Outcome::Own;
    if primary || outcome == Outcome::Made { 10 } else { 1 }
}

/// The true value of each reported number; `None` where there is a real effect that is not known, and nothing is promised.
/// `turns` is the length of a conversation.
pub fn truth(place: &Place, turns: usize) -> Option<Truth> {
    let (outcome, analysis, at, what) = place;
    match (analysis.as_str(), *what) {
        ("mediation", _) => return of_mediation(*outcome, at, what),
        // What letters, or the scale, do to a contrast is asked where it differs from 0 alone: without an effect in 5 % of
        // studies. No other guard has a rate.
        (_, "guard") if outcome.has_effect() => return Some(Truth::Unpromised),
        (_, "guard") if at.contains("letters") || at.contains("scale") => {}
        (_, "guard") => return Some(Truth::Unpromised),
        (_, "not reached") if !outcome.has_effect() => return None,
        _ => {}
    }
    if let Some(locked) = LOCKED.iter().find(|l| l.analysis == analysis) {
        if at != "primary" && !at.starts_with("verdict") {
            return None;
        }
        return match (outcome.has_effect(), *what) {
            (true, "p" | "verdict") => None,
            (true, "interval") => Some(Truth::Known(-locked.effect(turns))),
            _ => Some(Truth::Known(0.0)),
        };
    }
    let read_out = at == "headline" || at.starts_with("read_from") || at.starts_with("sparse");
    // Whether a condition can be read does not depend on the answers, so one set of outcomes is enough.
    if read_out && analysis.ends_with("completion") && *outcome != Outcome::Own {
        return None;
    }
    // These differ from the analyses of `completion` in what they compare with the activations.
    if analysis.starts_with("number-") && !["next_answer", "confirmation", "verdict"].iter().any(|k| at.starts_with(k))
    {
        return None;
    }
    Some(match (analysis.as_str(), *what) {
        // A cut reply can be read from the activations, so a small p is right; how well is known only from many
        // studies.
        ("probe-completion", "p") if read_out => return None,
        ("features-completion", "p" | "interval") if at == "found" || at.starts_with("difference") => return None,
        ("features-completion" | "features-deal" | "number-features", "interval") if at.starts_with("confirmation") => {
            return None;
        }
        ("probe-deal" | "probe-correct" | "features-deal", "interval") if read_out => Truth::Known(0.5),
        // R² of held-out rows is below 0 where nothing can be read; how far is known only from many studies.
        ("probe-completion" | "probe-interruptions" | "probe-number" | "features-completion", "interval")
            if read_out =>
        {
            Truth::Median
        }
        _ => Truth::Known(0.0),
    })
}

/// Of the null organism, whose conditions change no answer, the verdict alone is known: they do change its log-odds a little (by
/// some 0.1 nats), and p and shares are told only in studies in which that passes for a total effect. Made readings have one.
fn of_mediation(outcome: Outcome, at: &str, what: &str) -> Option<Truth> {
    // The other direction mirrors the one that restores.
    if at.contains(" back]") || at.ends_with("into complete]") {
        return None;
    }
    match (outcome, what) {
        (_, "verdict") if at == "verdict" => Some(Truth::Known(0.0)),
        // This site carries exactly the smallest share of interest.
        (Outcome::Made, "not reached") if at == "sites[resid_post.0]" => Some(Truth::Known(0.0)),
        (Outcome::Made, "interval") => made::truth(at).map(Truth::Known),
        (Outcome::Made, "p") => Some(Truth::Known(0.0)),
        _ => None,
    }
}

/// Whether the promise is an upper bound of 5 %: for verdicts, ranks among few controls, p of several conditions, and
/// guards that need a contrast which differs from 0.
pub fn at_most(place: &Place) -> bool {
    let (_, analysis, at, what) = place;
    match (analysis.as_str(), *what) {
        (_, "verdict" | "not reached" | "guard") | ("steering", "p") => true,
        // One site of several: max-T.
        ("mediation", "p") => at != "sites[smallest]",
        _ => at.starts_with("confirmation"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(outcome: Outcome, analysis: &str, at: &str, what: &'static str) -> Place {
        (outcome, analysis.into(), at.into(), what)
    }
    fn known(p: &Place) -> Option<f64> {
        match truth(p, 8) {
            Some(Truth::Known(v)) => Some(v),
            _ => None,
        }
    }

    #[test]
    fn not_reached_is_an_error_where_the_effect_is_as_large_as_the_smallest() {
        let at = |outcome, what| truth(&place(outcome, "primary-slope", "verdict", what), 8).is_some();
        assert!(at(Outcome::Slope, "not reached") && !at(Outcome::Slope, "verdict"));
        assert!(at(Outcome::Coin, "verdict") && !at(Outcome::Coin, "not reached"));
        assert!(truth(&place(Outcome::Coin, "steering", "verdict", "not reached"), 8).is_none());
        // 24 points from turn 2 to turn 8 in each of two conditions, against each other.
        let interval = known(&place(Outcome::Slope, "primary-slope", "primary", "interval"));
        assert!(interval.is_some_and(|v| (v + 8.0).abs() < 1e-9), "{interval:?}");
        assert_eq!(known(&place(Outcome::Coin, "primary-slope", "primary", "interval")), Some(0.0));
        assert!(truth(&place(Outcome::Coin, "primary-slope", "levels[1]", "p"), 8).is_none());
    }

    #[test]
    fn a_guard_has_a_rate_where_it_asks_about_a_contrast_that_differs() {
        let of =
            |outcome, name: &str| truth(&place(outcome, "behavior", &format!("verdict, guard {name}"), "guard"), 8);
        assert!(matches!(of(Outcome::Own, "letters"), Some(Truth::Known(_))));
        assert!(matches!(of(Outcome::Own, "scale"), Some(Truth::Known(_))));
        assert!(matches!(of(Outcome::Own, "cells"), Some(Truth::Unpromised)));
        assert!(matches!(of(Outcome::Slope, "letters"), Some(Truth::Unpromised)));
    }

    #[test]
    fn the_smallest_p_of_all_sites_errs_as_often_as_one() {
        let at = |at: &str| at_most(&place(Outcome::Made, "mediation", at, "p"));
        assert!(at("sites[attn_out.1]") && !at("sites[smallest]"));
        let p = |outcome| truth(&place(outcome, "mediation", "sites[attn_out.1]", "p"), 8).is_some();
        assert!(p(Outcome::Made) && !p(Outcome::Own));
    }
}
