//! The verdict: are there features that differ between the conditions and also predict the answers? Features are
//! picked on one half of the groups and tested on the other.
//!
//! A feature has two links: its difference between the factor's levels, and its association with right answers, or another
//! outcome of the turns, within a question. Discovery picks at most `discover` features for which both links have p ≤ 0.05 by Student's t. On the
//! confirmation groups each link is tested by sign flips with one sign per group. p-values are adjusted for all links
//! of all picked features by max-T, because picked features correlate and Holm's correction would cost too much power;
//! a feature's p is the larger one of its two links. A feature is confirmed if p ≤ 0.05, both links have the signs of
//! discovery and reach the smallest effects of interest, and the product of their signs is the sign of the condition's
//! own effect on the outcome.
use crate::features::{Feature, d_z};
use crate::halves::Halves;
use crate::limits::Limits;
use friction_core::{Error, Outcome, Result, Says};
use friction_stats::{Flips, groups_needed, max_t, p_words, sign_flips, t_critical, t_statistic};

/// The smallest confirmation half, in groups, that can support a verdict.
pub const FEWEST: usize = 8;
/// Level of the tests: each test of discovery, and family-wise in confirmation.
const ALPHA: f64 = 0.05;

/// A feature that discovery picked, with its test on the confirmation groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// Number of the feature in the autoencoder.
    pub index: u32,
    /// Difference of its mean activation between the levels, with a 95 % interval.
    pub difference: Flips,
    /// That difference divided by its standard deviation across groups (Cohen's d_z).
    pub d_z: f64,
    /// Points of accuracy (or the outcome's unit) per standard deviation of the feature within questions, with a 95 %
    /// interval.
    pub answers: Flips,
    /// The same with a 90 % interval, for the test of equivalence.
    pub narrow: Flips,
    /// The larger p-value of the two links, unadjusted.
    pub p: f64,
    /// The larger p-value of the two links, adjusted for all links of all picked features.
    pub family: f64,
    /// Whether both signs are those of discovery, and their product is the sign of the condition's effect.
    pub agrees: bool,
    /// Number of groups with which 80 % of studies would confirm the feature, if its effects are those seen here.
    pub needed: Option<usize>,
}

impl Tested {
    fn confirmed(&self, limits: &Limits) -> bool {
        self.agrees
            && self.family <= ALPHA
            && self.d_z.abs() >= limits.effect
            && self.answers.estimate.abs() >= limits.points
    }
}

/// The result of discovery and confirmation.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The picked features, in order of their adjusted p-value.
    pub tested: Vec<Tested>,
    /// The condition's effect on the outcome in the confirmation groups, shares in points.
    pub performance: Option<Flips>,
    /// The verdict.
    pub says: Says,
    /// The reason for the verdict: a sentence without a full stop.
    pub why: String,
}

/// Picks features on the discovery half and tests them on the confirmation half. `performance` is the condition's
/// effect on the outcome for each group, shares in points; `halves` holds groups that have one.
///
/// # Errors
/// When a feature's values are not finite.
pub fn judge(all: &[Feature], performance: &[f64], halves: &Halves, limits: &Limits, seed: u64) -> Result<Judgement> {
    let groups = halves.confirmation.len();
    let mut out = Judgement { tested: vec![], performance: None, says: Says::CannotBeTold, why: String::new() };
    if groups < FEWEST || halves.discovery.len() < 2 {
        out.why = format!(
            "only {groups} groups are left for confirmation and {} for discovery: confirmation needs at least {FEWEST}, {} in all",
            halves.discovery.len(),
            2 * FEWEST - 1
        );
        return Ok(out);
    }
    let flips = |values: &[f64], level| sign_flips(values, level, seed).map_err(Error::other);
    let effect = flips(&Halves::take(performance, &halves.confirmation), 0.95)?;
    out.performance = Some(effect);
    let mut rows: (Vec<Vec<f64>>, Vec<Vec<f64>>) = (vec![], vec![]);
    for f in discovered(all, halves, limits.discover) {
        let [follows, answers] = [&f.links.difference, &f.links.answers].map(|v| Halves::take(v, &halves.confirmation));
        let before = [&f.links.difference, &f.links.answers].map(|v| sum(&Halves::take(v, &halves.discovery)));
        let (a, b) = (flips(&follows, 0.95)?, flips(&answers, 0.95)?);
        out.tested.push(Tested {
            index: f.index,
            difference: a,
            d_z: d_z(&follows),
            answers: b,
            narrow: flips(&answers, 0.90)?,
            p: a.p.max(b.p),
            family: 1.0,
            agrees: a.estimate * before[0] > 0.0
                && b.estimate * before[1] > 0.0
                && a.estimate * b.estimate * effect.estimate > 0.0,
            // Counts all groups, of which half are used for discovery.
            needed: groups_needed(&follows, 0.8).zip(groups_needed(&answers, 0.8)).map(|(a, b)| 2 * a.max(b)),
        });
        rows.0.push(follows);
        rows.1.push(answers);
    }
    if !out.tested.is_empty() {
        let adjusted = max_t(&[rows.0, rows.1].concat(), seed).map_err(Error::other)?;
        let (first, second) = adjusted.split_at(out.tested.len());
        out.tested.iter_mut().zip(first.iter().zip(second)).for_each(|(t, (a, b))| t.family = a.max(*b));
    }
    out.tested.sort_by(|a, b| a.family.total_cmp(&b.family).then(a.p.total_cmp(&b.p)).then(a.index.cmp(&b.index)));
    (out.says, out.why) = verdict(&out.tested, groups, limits);
    Ok(out)
}

/// Features for which both links have p ≤ 0.05 in the discovery half, the largest |t| first, at most `most`.
fn discovered<'a>(all: &'a [Feature], halves: &Halves, most: usize) -> Vec<&'a Feature> {
    let critical = t_critical(halves.discovery.len(), 1.0 - ALPHA);
    let t = |values: &[f64]| t_statistic(&Halves::take(values, &halves.discovery)).abs();
    let mut sure: Vec<(f64, &Feature)> = all
        .iter()
        .map(|f| (t(&f.links.difference).min(t(&f.links.answers)), f))
        .filter(|(least, _)| *least >= critical)
        .collect();
    sure.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.index.cmp(&b.1.index)));
    sure.into_iter().take(most).map(|(_, f)| f).collect()
}

fn sum(values: &[f64]) -> f64 {
    values.iter().sum()
}

fn verdict(tested: &[Tested], groups: usize, limits: &Limits) -> (Says, String) {
    let Some(first) = tested.first() else {
        return (
            Says::CannotBeTold,
            format!("in the discovery groups no feature differs between the conditions and also {}", limits.goes()),
        );
    };
    if let Some(t) = tested.iter().find(|t| t.confirmed(limits)) {
        let why = format!(
            "feature {} differs between the conditions (d_z {:+.2}) and {} within a question ({} per standard deviation, {} to {}) on {groups} groups that were not used to pick it; {} adjusted for both tests of {} features",
            t.index,
            t.d_z,
            if *limits.outcome == Outcome::Score { "predicts right answers".to_string() } else { limits.goes() },
            limits.amount(t.answers.estimate),
            limits.bound(t.answers.low),
            limits.bound(t.answers.high),
            p_words(t.family),
            tested.len()
        );
        return (Says::Reached, why);
    }
    if tested.iter().all(|t| t.narrow.low > -limits.points && t.narrow.high < limits.points) {
        let why = format!(
            "each of the {} picked features {} by less than {} per standard deviation (90 % intervals on {groups} groups)",
            tested.len(),
            limits.goes(),
            limits.least()
        );
        return (Says::NotReached, why);
    }
    let needed = match first.needed {
        Some(n) => {
            format!(
                "; if the effects of feature {} are those seen here, {n} groups would confirm it in 80 % of studies",
                first.index
            )
        }
        None => String::new(),
    };
    let why = format!(
        "none of the {} features that discovery picked is confirmed on {groups} groups (smallest adjusted {}{}){needed}",
        tested.len(),
        p_words(first.family),
        if first.family <= ALPHA {
            format!(
                ", but the effects are below the limits, or their signs contradict discovery or the condition's effect on {}",
                limits.effect_on()
            )
        } else {
            String::new()
        },
    );
    (Says::CannotBeTold, why)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::features::features;
    use crate::questions::Questions;
    use friction_core::TurnRow;
    use friction_stats::Rng;
    use std::collections::BTreeMap;

    const LIMITS: Limits = Limits { discover: 20, effect: 0.5, points: 1.0, outcome: &Outcome::Score };
    const TURNS: u32 = 8;
    const FEATURES: u32 = 24;

    /// How the simulated answers come about.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Rule {
        /// By the question's difficulty; one answer in ten is random.
        Difficulty,
        /// At random for each conversation and turn.
        Coin,
        /// By difficulty, with random changes in one condition or the other. The effect varies by group around 0 and
        /// both pairs of a group share it.
        Varying,
        /// By difficulty; level 1 lowers accuracy.
        Planted,
    }

    /// A simulated study with two tones × two levels. A third of the features depend on the condition *and* on the
    /// question's difficulty (as in the model organism), a third on the difficulty alone, and the rest are noise.
    fn study(groups: u32, outcome: Rule, seed: u64) -> (Vec<TurnRow>, Vec<BTreeMap<u32, f64>>) {
        let mut rng = Rng::new(seed);
        let (mut rows, mut values) = (vec![], vec![]);
        for group in 0..groups {
            let effect = 0.4 * rng.normal();
            let style: Vec<f64> = (0..FEATURES).map(|_| 0.3 * rng.normal()).collect();
            let hard: Vec<f64> = (0..TURNS).map(|_| rng.unit()).collect();
            for (level, tone) in [(0, "x"), (1, "x"), (0, "y"), (1, "y")] {
                for (turn, hard) in (2..).zip(&hard) {
                    let by_question = if rng.unit() < 0.1 { rng.unit() < 0.1 } else { *hard < 0.6 };
                    let lost = if level == 1 { effect } else { -effect };
                    let correct = match outcome {
                        Rule::Difficulty => by_question,
                        Rule::Coin => rng.unit() < 0.5,
                        Rule::Varying => by_question != (rng.unit() < lost),
                        Rule::Planted => *hard < if level == 1 { 0.5 } else { 0.7 },
                    };
                    let value = |f: u32| {
                        let follows = if f < 8 { 1.5 * level as f64 } else { 0.0 };
                        let difficulty = if f < 16 { 2.0 * (1.0 - hard) } else { 0.0 };
                        2.0 + follows + difficulty + style[f as usize]
                    };
                    values.push((0..FEATURES).map(|f| (f, (value(f) + 0.5 * rng.normal()).max(0.0))).collect());
                    let levels = [("completion", ["complete", "interrupt"][level]), ("tone", tone)];
                    rows.push(TurnRow {
                        group,
                        turn,
                        score: Some(f64::from(u8::from(correct))),
                        condition: format!("{level}{tone}"),
                        factors: levels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
                        ..TurnRow::default()
                    });
                }
            }
        }
        (rows, values)
    }

    fn judged(groups: u32, outcome: Rule, seed: u64) -> Judgement {
        let (rows, values) = study(groups, outcome, seed);
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let q = Questions::new(&rows, "completion", "interrupt", &Outcome::Score);
        assert!(q.paired && q.groups.len() == groups as usize);
        let all = features(&rows, &values, &q, ("completion", "interrupt"), 0.05);
        judge(&all, &q.performance, &Halves::of(q.groups.len(), seed), &LIMITS, seed).unwrap()
    }

    /// The former test of the first feature's association with the answers: centred by turn, not by question.
    fn p_centred_by_turn(rows: &[TurnRow], values: &[BTreeMap<u32, f64>], feature: u32) -> f64 {
        let mut means: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
        let right = |r: &TurnRow| f64::from(u8::from(r.right() == Some(true)));
        for (r, v) in rows.iter().zip(values) {
            let m = means.entry(r.turn).or_default();
            *m = (m.0 + 1.0, m.1 + v[&feature], m.2 + right(r));
        }
        let mut groups: BTreeMap<u32, f64> = BTreeMap::new();
        for (r, v) in rows.iter().zip(values) {
            let (n, sum, rights) = means[&r.turn];
            *groups.entry(r.group).or_default() += (v[&feature] - sum / n) * (right(r) - rights / n);
        }
        sign_flips(&groups.into_values().collect::<Vec<_>>(), 0.95, 1).unwrap().p
    }

    #[test]
    fn null_studies_reach_the_verdict_in_at_most_five_percent() {
        for outcome in [Rule::Difficulty, Rule::Coin, Rule::Varying] {
            let studies = 200;
            let (mut reached, mut alone, mut before) = (0, 0, 0);
            for s in 0..studies {
                let j = judged(16, outcome, s);
                reached += usize::from(j.says == Says::Reached);
                // The second link alone, for one feature that depends on the condition and was named beforehand.
                let (rows, values) = study(16, outcome, s);
                let all: Vec<&TurnRow> = rows.iter().collect();
                let column: Vec<(usize, f64)> = values.iter().enumerate().map(|(i, v)| (i, v[&0])).collect();
                let links = Questions::new(&all, "completion", "interrupt", &Outcome::Score).links(&column);
                alone += usize::from(sign_flips(&links.answers, 0.95, s).unwrap().p <= 0.05);
                before += usize::from(p_centred_by_turn(&rows, &values, 0) <= 0.05);
            }
            // At 5 %, more than 18 of 200 has a probability below 0.01.
            assert!(
                reached <= 18 && alone <= 18,
                "{outcome:?}: verdict in {reached}, one link in {alone} of {studies}"
            );
            // The reason for this test: centred by turn, a question's difficulty alone looks like an effect.
            if outcome != Rule::Coin {
                assert!(before > 100, "{outcome:?}: centred by turn only {before} of {studies}");
            }
        }
    }

    #[test]
    fn planted_studies_of_32_groups_reach_it() {
        let studies = 20;
        let reached = (0..studies).filter(|s| judged(32, Rule::Planted, 900 + s).says == Says::Reached).count();
        assert!(reached >= 18, "{reached} of {studies}");
        let j = judged(32, Rule::Planted, 900);
        let first = j.tested.first().unwrap();
        assert!(first.index < 8 && first.difference.estimate > 0.0 && first.answers.high < 0.0, "{first:?}");
        assert!(j.performance.unwrap().high < -5.0 && j.why.contains("16 groups"), "{j:?}");
    }

    #[test]
    fn few_groups_and_small_effects_are_no_verdict() {
        let j = judged(14, Rule::Planted, 1);
        assert!(
            j.says == Says::CannotBeTold
                && j.why.contains("only 7 groups are left for confirmation")
                && j.why.contains("15 in all")
        );
        // Features that follow the condition, and answers that never change: nothing is picked.
        let flat = |d: f64, a: f64| {
            let values = |m: f64| (0..20).map(|g| m + 0.01 * f64::from(g % 3)).collect::<Vec<_>>();
            let links = crate::questions::Links { difference: values(d), answers: values(a), sd: 1.0 };
            vec![Feature { index: 5, rate: 1.0, auc: 1.0, links }]
        };
        let halves = Halves::of(20, 1);
        let of = |a: f64, perf: f64| judge(&flat(1.0, a), &[perf; 20], &halves, &LIMITS, 1).unwrap();
        assert!(of(0.0, 0.0).says != Says::Reached);
        // An association of 0.5 points is below the limit of 1, however certain it is.
        assert_eq!(of(0.5, 3.0).says, Says::NotReached);
        assert_eq!(of(2.5, 3.0).says, Says::Reached);
        // The feature rises and answers rise with it, but the condition lowers accuracy: the signs contradict.
        let against = of(2.5, -3.0);
        assert!(against.says == Says::CannotBeTold && against.why.contains("contradict"), "{against:?}");
    }

    #[test]
    fn another_outcome_is_judged_in_its_unit() {
        // Replies of right answers are 40 tokens shorter; half of the groups have no count at all.
        let (mut rows, values) = study(64, Rule::Planted, 900);
        for r in rows.iter_mut() {
            let n = if r.right() == Some(true) { 60.0 } else { 100.0 };
            r.metrics.extend((r.group % 2 == 0).then(|| ("n".to_string(), n)));
        }
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let outcome: Outcome = "metric.n".parse().unwrap();
        let q = Questions::new(&rows, "completion", "interrupt", &outcome);
        let all = features(&rows, &values, &q, ("completion", "interrupt"), 0.05);
        let halves = Halves::of(64, 900).only(|g| q.has_outcome(g));
        assert_eq!(halves.discovery.len() + halves.confirmation.len(), 32);
        let j = judge(&all, &q.performance, &halves, &Limits { outcome: &outcome, ..LIMITS }, 900).unwrap();
        assert!(j.says == Says::Reached && j.why.contains("goes with the n within a question ("), "{}", j.why);
        assert!(!j.why.contains("points") && !j.why.contains("answers"), "{}", j.why);
        // Interrupted replies are wrong more often, by about 0.2, and so longer by about 8.
        assert!((4.0..14.0).contains(&j.performance.unwrap().estimate), "{:?}", j.performance);
        // The same without a group that lacks the count: a number for each group, or an error.
        let whole = Halves::of(64, 900);
        assert!(judge(&all, &q.performance, &whole, &Limits { outcome: &outcome, ..LIMITS }, 900).is_err());
    }
}
