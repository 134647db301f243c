//! Readings of a patched run that are made up, so that the share of each fork is known. In the null organism the condition
//! changes no answer, and there is nothing to share.
//!
//! The condition takes [`TOTAL`] nats. `state` and its controls do the same but for chance: each is a share that is drawn for
//! the fork and the site, the same in all groups. Log-odds vary by group and turn, and so does what a fork does. The two
//! directions mirror each other, so that a verdict about both errs as often as one about one.
use friction_core::seed::derive;
use friction_core::{Outcome, TurnRow};
use friction_stats::Rng;

/// Nats that the condition takes.
const TOTAL: f64 = 2.0;
/// The site that carries half of it. The other carries [`SMALLEST`], the smallest share of interest.
const SITE: &str = "attn_out.1";
const SMALLEST: f64 = 0.2;
/// Standard deviation of each part that varies by group and by turn, in nats.
const VARIES: f64 = 0.4;
/// Mean and standard deviation of the shares of `state` and of its controls.
const PUSHED: [f64; 2] = [0.5, 0.15];

/// The share of the total effect that a fork passes at a site, where it is the same in all studies.
fn share(fork: &str, site: &str) -> Option<f64> {
    Some(match fork {
        "partner" if site == SITE => 0.5,
        "subspace" if site == SITE => 0.4,
        "complement" if site == SITE => 0.1,
        "partner" => SMALLEST,
        "subspace" | "complement" | "placebo" => 0.0,
        _ => return None,
    })
}

/// The true value at a place of the findings of `mediation`, in the direction that restores: a share
/// (`sites[attn_out.1].partner`), or the total effect.
pub fn truth(at: &str) -> Option<f64> {
    if at == "totals[complete into interrupt]" {
        return Some(TOTAL);
    }
    let (site, fork) = at.strip_prefix("sites[")?.split_once("].")?;
    match fork.split_once("_over_") {
        Some((more, less)) => Some(share(more, site)? - share(less, site)?),
        None => share(fork, site),
    }
}

/// A number of the standard normal distribution that depends on `parts` alone.
fn normal(parts: &[&[u8]]) -> f64 {
    Rng::new(derive(parts)).normal()
}

/// A turn's log-odds if its completion were `level`.
fn odds(t: &TurnRow, seed: &[u8], level: &str) -> f64 {
    let (group, turn) = (t.group.to_le_bytes(), t.turn.to_le_bytes());
    let varies = |what: &[u8]| VARIES * (normal(&[what, seed, &group]) + normal(&[what, seed, &group, &turn]));
    let effect = if level == "interrupt" { TOTAL + varies(b"total") } else { 0.0 };
    1.0 + varies(b"odds") - effect
}

/// Gives the letters of a turn these log-odds of the right one; wrong letters are equally likely. Returns the log-odds as
/// they are read from it.
fn put(t: &mut TurnRow, odds: f64) -> Option<f64> {
    let (right, n) = (t.target_choice()?, t.choices as usize);
    let [own, others] = [-(-odds).exp().ln_1p(), -odds.exp().ln_1p() - (n as f64 - 1.0).ln()];
    t.choice_logprobs = (0..n).map(|l| if l == right { own } else { others } as f32).collect();
    t.outcome(&Outcome::LogOdds)
}

/// Replaces what the forks of a turn measured; turns without forks stay as they are.
pub fn replace(t: &mut TurnRow, seed: &[u8]) {
    let (group, turn) = (t.group.to_le_bytes(), t.turn.to_le_bytes());
    let own_level = t.factors.get("completion").cloned().unwrap_or_default();
    let other = if own_level == "interrupt" { "complete" } else { "interrupt" };
    let towards = if own_level == "interrupt" { 1.0 } else { -1.0 };
    let (there, here) = (odds(t, seed, other), odds(t, seed, &own_level));
    let (Some(donor), Some(own)) = (put(t, there), put(t, here)) else { return };
    for (name, value) in &mut t.readings {
        let Some((fork, site)) = name.strip_prefix("patch.").and_then(|n| n.split_once('_')) else { continue };
        *value = match fork {
            "self" | "test-embed" => own,
            "test-last" => donor,
            _ => {
                let drawn = || PUSHED[0] + PUSHED[1] * normal(&[b"share", seed, name.as_bytes()]);
                let share = share(fork, &site.replace('-', ".")).unwrap_or_else(drawn);
                let varies = normal(&[seed, &group, name.as_bytes()]) + normal(&[seed, &group, &turn, name.as_bytes()]);
                own + share * (donor - own) + towards * VARIES * varies
            }
        };
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(group: u32, level: &str) -> TurnRow {
        let names = ["self", "partner", "state", "control-00"].map(|f| (format!("patch.{f}_attn_out-1"), 9.0));
        let tests =
            [("patch.test-last_resid_post-3".into(), 9.0), ("patch.drift".into(), 0.0), ("other.x".into(), 9.0)];
        TurnRow {
            group,
            turn: 2,
            choices: 4,
            target: Some("C".into()),
            factors: [("completion".to_string(), level.to_string())].into(),
            readings: names.into_iter().chain(tests).collect(),
            ..TurnRow::default()
        }
    }

    #[test]
    fn what_must_be_exact_is_and_shares_are_those_that_are_named() {
        let [mut total, mut partner, mut state] = [0.0; 3];
        for group in 0..2000 {
            let [mut a, mut b] = [row(group, "interrupt"), row(group, "complete")];
            replace(&mut a, b"5");
            replace(&mut b, b"5");
            let own = |t: &TurnRow| t.outcome(&Outcome::LogOdds).unwrap();
            let at = |name: &str| a.readings[&format!("patch.{name}")];
            assert_eq!((at("self_attn_out-1"), at("test-last_resid_post-3")), (own(&a), own(&b)));
            assert_eq!((at("drift"), a.readings["other.x"]), (0.0, 9.0));
            total += own(&b) - own(&a);
            partner += at("partner_attn_out-1") - own(&a);
            state += at("state_attn_out-1") - own(&a);
        }
        // Standard errors are 0.013 nats.
        assert!((total / 2000.0 - TOTAL).abs() < 0.06, "{total}");
        assert!((partner / total - 0.5).abs() < 0.03, "{partner}");
        assert!(((state / total - PUSHED[0]) / PUSHED[1]).abs() < 4.0, "{state}");
    }

    #[test]
    fn places_have_their_truth() {
        assert_eq!(truth("totals[complete into interrupt]"), Some(2.0));
        assert_eq!(truth("totals[interrupt into complete]"), None);
        assert_eq!(truth("sites[attn_out.1].partner"), Some(0.5));
        assert_eq!(truth("sites[attn_out.1].partner_over_complement"), Some(0.4));
        assert_eq!(truth("sites[resid_post.0].partner_over_placebo"), Some(0.2));
        assert_eq!(truth("sites[resid_post.0].subspace"), Some(0.0));
        assert_eq!(truth("sites[resid_post.0].state"), None);
    }
}
