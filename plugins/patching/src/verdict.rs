//! Whether a site mediates the state: what must hold in both directions, and what must hold of the run.
use crate::effects::{Effect, Exact, Total};
use crate::units::Units;
use friction_core::{Says, plural};
use friction_stats::{Interval, bounds, p_words, signed};

/// Fewest groups of a verdict.
pub const FEWEST_GROUPS: usize = 8;
/// Fewest controls of a verdict: with fewer, p cannot be [`ALPHA`] or less.
pub const FEWEST_CONTROLS: usize = 19;
const ALPHA: f64 = 0.05;

/// An answer with its reasons, sentences without a full stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether the site mediates.
    pub says: Says,
    /// The reasons.
    pub why: Vec<String>,
}

/// What keeps any site of the run from a verdict: sentences without a full stop. `names` are the directions, and `most` is the
/// largest value of an exact test that passes.
pub fn guards(
    units: &Units,
    totals: &[Total; 2],
    (exact, most): (&[Exact; 2], f64),
    names: &[String; 2],
) -> Vec<String> {
    let mut out = vec![];
    let groups = totals.iter().map(|t| t.groups).min().unwrap_or(0);
    if groups < FEWEST_GROUPS {
        out.push(format!("{} are too few: at least {FEWEST_GROUPS} are needed", plural(groups, "group")));
    }
    if units.controls == 0 {
        let what = "there is no arm `state`, which needs the other groups: give the hook `patch` a finished run, `run`, and controls";
        out.push(what.into());
    } else if units.controls < FEWEST_CONTROLS {
        out.push(format!(
            "{} of the state are too few for p of {ALPHA}: at least {FEWEST_CONTROLS} are needed",
            plural(units.controls, "control")
        ));
    }
    for (total, name) in totals.iter().zip(names).filter(|(t, _)| !t.told()) {
        let found = total.mean.as_ref().map_or("it has no interval".to_string(), |m| {
            format!("{} nats ({})", signed(m.estimate, 3), bounds(m.low, m.high, 3))
        });
        let least = total.least;
        out.push(format!("{name}: there is no total effect of {least} nats or more that can be told from 0: {found}"));
    }
    for (e, name) in exact.iter().zip(names).filter(|(e, _)| !e.pass(most)) {
        let missing = e.missing();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            out.push(format!("{name}: tests that must be 0 were not run in every turn that was patched: {missing}"));
            continue;
        }
        let told = |v: Option<f64>| v.map_or_else(String::new, |v| format!("{v:.2e}"));
        out.push(format!(
            "{name}: the tests that must be 0 are not: own activations {}, embeddings {}, last block {} nats; use `model.dtype = \"f32\"` and no `backend.batch` of 1; on a GPU they are small and not 0, which `tolerance` allows",
            told(e.own),
            told(e.embed),
            told(e.last)
        ));
    }
    out.extend(units.off.clone());
    out
}

fn above(i: Option<&Interval>) -> bool {
    i.is_some_and(|i| i.low > 0.0)
}

fn share(i: Option<&Interval>) -> String {
    i.map_or("not run".into(), |i| {
        format!("{:.0} % ({:.0} to {:.0})", 100.0 * i.estimate, 100.0 * i.low, 100.0 * i.high)
    })
}

/// What a site lacks in one direction; empty if it has all.
pub fn lacks(e: &Effect, smallest: f64) -> Vec<String> {
    let mut out = vec![];
    if e.p.is_none_or(|p| p > ALPHA) {
        let p = e.p.map_or("it was not run".into(), p_words);
        out.push(format!("`state` is not beyond its controls: {p}"));
    }
    // A state that changes next to nothing may still do so more steadily than its controls.
    if e.state.is_none_or(|i| i.estimate < smallest) {
        out.push(format!("`state` changes {}, not {:.0} % or more", share(e.state.as_ref()), 100.0 * smallest));
    }
    if !above(e.over_placebo.as_ref()) {
        out.push(format!("`partner` is not beyond `placebo`: {} more", share(e.over_placebo.as_ref())));
    }
    if !(above(e.subspace.as_ref()) && e.subspace.is_some_and(|s| s.estimate >= smallest)) {
        let (found, least) = (share(e.subspace.as_ref()), 100.0 * smallest);
        out.push(format!("the subspace of discovery groups carries {found}, not {least:.0} % or more"));
    }
    if !above(e.over_complement.as_ref()) {
        let found = share(e.over_complement.as_ref());
        out.push(format!("all but the subspace is not clearly less than `partner`: {found} less"));
    }
    out
}

/// Whether the whole of what a site carries is less than the smallest share of interest: an equivalence test at 5 %.
fn little(e: &Effect, smallest: f64) -> bool {
    e.narrow.is_some_and(|i| i.low > -smallest && i.high < smallest)
}

/// Whether a site mediates, by its effects in both directions. `guards` keep any site from a verdict.
pub fn decide(guards: &[String], effects: [&Effect; 2], names: &[String; 2], smallest: f64) -> Answer {
    if !guards.is_empty() {
        return Answer { says: Says::CannotBeTold, why: guards.to_vec() };
    }
    let both = || effects.iter().zip(names);
    if both().all(|(e, _)| lacks(e, smallest).is_empty()) {
        let told = |(e, name): (&&Effect, &String)| {
            format!(
                "{name}: `partner` changes {} of the total effect, `state` {} ({}), the subspace {}, all but it {}",
                share(e.partner.as_ref()),
                share(e.state.as_ref()),
                e.p.map_or(String::new(), p_words),
                share(e.subspace.as_ref()),
                share(e.complement.as_ref()),
            )
        };
        return Answer { says: Says::Reached, why: both().map(told).collect() };
    }
    if both().all(|(e, _)| little(e, smallest)) {
        let told = |(e, name): (&&Effect, &String)| {
            let most = 100.0 * smallest;
            format!("{name}: `partner` changes {}, surely less than {most:.0} %", share(e.partner.as_ref()))
        };
        return Answer { says: Says::NotReached, why: both().map(told).collect() };
    }
    let why =
        both().flat_map(|(e, name)| lacks(e, smallest).into_iter().map(move |w| format!("{name}: {w}"))).collect();
    Answer { says: Says::CannotBeTold, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_core::Site;

    fn effect() -> Effect {
        let i = |estimate: f64| Some(Interval { estimate, low: estimate - 0.05, high: estimate + 0.05 });
        Effect {
            site: Site::AttnOut(1),
            direction: 0,
            change: None,
            partner: i(0.9),
            narrow: i(0.9),
            placebo: i(0.0),
            over_placebo: i(0.9),
            state: i(0.8),
            p: Some(0.01),
            controls: vec![0.0; 99],
            subspace: i(0.7),
            complement: i(0.2),
            over_complement: i(0.7),
        }
    }
    fn names() -> [String; 2] {
        ["a into b".into(), "b into a".into()]
    }
    fn says(effects: [&Effect; 2]) -> Says {
        decide(&[], effects, &names(), 0.2).says
    }

    #[test]
    fn all_conditions_must_hold_in_both_directions() {
        let good = effect();
        assert_eq!(says([&good, &good]), Says::Reached);
        let i = |estimate: f64, low: f64| Some(Interval { estimate, low, high: 2.0 * estimate - low });
        for bad in [
            Effect { p: Some(0.06), ..good.clone() },
            Effect { p: None, ..good.clone() },
            Effect { state: i(0.1, 0.05), ..good.clone() },
            Effect { state: None, ..good.clone() },
            Effect { over_placebo: i(0.1, -0.01), ..good.clone() },
            Effect { over_placebo: None, ..good.clone() },
            Effect { subspace: i(0.19, 0.1), ..good.clone() },
            Effect { subspace: i(0.3, -0.1), ..good.clone() },
            Effect { over_complement: i(0.2, -0.1), ..good.clone() },
        ] {
            assert_eq!(lacks(&bad, 0.2).len(), 1, "{bad:?}");
            for pair in [[&good, &bad], [&bad, &good]] {
                assert_eq!(says(pair), Says::CannotBeTold, "{bad:?}");
            }
        }
    }

    #[test]
    fn a_site_that_carries_little_does_not_mediate_and_guards_come_first() {
        let none = Some(Interval { estimate: 0.0, low: -0.1, high: 0.1 });
        let little = Effect { partner: none, narrow: none, p: Some(0.7), over_placebo: none, ..effect() };
        assert_eq!(says([&little, &little]), Says::NotReached);
        assert_eq!(says([&little, &effect()]), Says::CannotBeTold);
        let wide = Effect { narrow: Some(Interval { estimate: 0.0, low: -0.3, high: 0.3 }), ..little.clone() };
        assert_eq!(says([&wide, &little]), Says::CannotBeTold);
        let guarded = decide(&["too few".into()], [&effect(), &effect()], &names(), 0.2);
        assert_eq!((guarded.says, guarded.why), (Says::CannotBeTold, vec!["too few".to_string()]));
    }
}
