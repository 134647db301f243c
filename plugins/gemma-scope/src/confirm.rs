//! Good: features that follow the condition and go with the answers. Picked on one half of the groups, tested
//! on the other.
//!
//! Discovery takes at most `discover` features whose links both have p ≤ 0.05 by Student's t. On the
//! confirmation groups each link is tested by sign flips, one sign per group; a feature's p is the larger of
//! its two, each adjusted for all links of all features taken by the largest |t| of the same flips (max-T): picked
//! features resemble each other, for which Holm pays in full. A feature also has to agree with discovery in both signs,
//! to reach the smallest effects of interest, and to point the way that the answers went: following × going with
//! the answers has the sign of the condition's own effect on accuracy.
use crate::features::{Feature, d_z};
use crate::halves::Halves;
use friction_core::{Error, Result};
use friction_stats::{Flips, Says, groups_needed, max_t, p_words, sign_flips, t_critical, t_statistic};

/// Fewer groups than these in the confirmation half can tell nothing.
pub const FEWEST: usize = 8;
/// Level of tests: of discovery, and family-wise of confirmation.
const ALPHA: f64 = 0.05;

/// What the manifest asks of a feature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Most features that discovery may take.
    pub discover: usize,
    /// Smallest |d_z| of a feature's difference between the levels.
    pub effect: f64,
    /// Smallest points of accuracy per standard deviation of the feature.
    pub points: f64,
}

/// A feature taken by discovery, on the confirmation groups.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tested {
    /// The feature.
    pub index: u32,
    /// Its difference between the levels.
    pub difference: Flips,
    /// That over its standard deviation across groups.
    pub d_z: f64,
    /// Points of accuracy per standard deviation within questions.
    pub answers: Flips,
    /// The same with a 90 % interval, for equivalence.
    pub narrow: Flips,
    /// The larger of the two p.
    pub p: f64,
    /// The same of p that allow for all links of all features tested.
    pub family: f64,
    /// Whether both signs are discovery's, and their product the sign of the condition's effect.
    pub agrees: bool,
    /// Groups with which 80 % of studies would confirm it, if it is as it is here.
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

/// What the two halves say.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Features that discovery took, the surest first.
    pub tested: Vec<Tested>,
    /// The condition's effect on accuracy on the confirmation groups, in points.
    pub performance: Option<Flips>,
    /// The verdict.
    pub says: Says,
    /// Its reason, a sentence without its full stop.
    pub why: String,
}

/// Judges features. `performance` is the condition's effect on accuracy by group, in points.
///
/// # Errors
/// When a feature's values are not finite.
pub fn judge(all: &[Feature], performance: &[f64], halves: &Halves, limits: &Limits, seed: u64) -> Result<Judgement> {
    let groups = halves.confirmation.len();
    let mut out = Judgement { tested: vec![], performance: None, says: Says::CannotBeTold, why: String::new() };
    if groups < FEWEST {
        out.why = format!(
            "{groups} groups confirm and {} discover: at least {FEWEST} must confirm, {} in all",
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
            // Of all groups: half of them discover.
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

/// Features whose links both have p ≤ 0.05 in the discovery half, the surest first.
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
            "no feature follows the condition and goes with the answers in the discovery groups".into(),
        );
    };
    if let Some(t) = tested.iter().find(|t| t.confirmed(limits)) {
        let why = format!(
            "feature {} follows the condition (d_z {:+.2}) and goes with the answers to a question ({:+.1} points per standard deviation, {:+.1} to {:+.1}) on {groups} groups that did not pick it; {} over the links of {} features",
            t.index,
            t.d_z,
            t.answers.estimate,
            t.answers.low,
            t.answers.high,
            p_words(t.family),
            tested.len()
        );
        return (Says::Reached, why);
    }
    if tested.iter().all(|t| t.narrow.low > -limits.points && t.narrow.high < limits.points) {
        let why = format!(
            "each of the {} features picked goes with the answers by less than {} points per standard deviation (90 % intervals on {groups} groups)",
            tested.len(),
            limits.points
        );
        return (Says::NotReached, why);
    }
    let needed = match first.needed {
        Some(n) => {
            format!("; if feature {} is as it looks here, {n} groups would tell in 80 % of studies", first.index)
        }
        None => String::new(),
    };
    let why = format!(
        "of the {} features that discovery picked none is confirmed on {groups} groups (least {} over all links{}){needed}",
        tested.len(),
        p_words(first.family),
        if first.family <= ALPHA {
            ", but it is smaller than asked for, or its signs contradict discovery or the condition's effect"
        } else {
            ""
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

    const LIMITS: Limits = Limits { discover: 20, effect: 0.5, points: 1.0 };
    const TURNS: u32 = 8;
    const FEATURES: u32 = 24;

    /// How answers come about.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Outcome {
        /// By the question's difficulty, a tenth of them at random.
        Difficulty,
        /// A coin per conversation and turn.
        Coin,
        /// By difficulty, flipped in one condition or the other: the effect varies by group around 0 and is
        /// shared by both pairs of a group.
        Varying,
        /// By difficulty, and the second level lowers it.
        Planted,
    }

    /// Two tones × two levels. A third of the features follow the condition *and* the difficulty of the
    /// question (the organism's do), a third the difficulty alone, the rest is noise.
    fn study(groups: u32, outcome: Outcome, seed: u64) -> (Vec<TurnRow>, Vec<BTreeMap<u32, f64>>) {
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
                        Outcome::Difficulty => by_question,
                        Outcome::Coin => rng.unit() < 0.5,
                        Outcome::Varying => by_question != (rng.unit() < lost),
                        Outcome::Planted => *hard < if level == 1 { 0.5 } else { 0.7 },
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
                        correct,
                        condition: format!("{level}{tone}"),
                        factors: levels.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
                        ..TurnRow::default()
                    });
                }
            }
        }
        (rows, values)
    }

    fn judged(groups: u32, outcome: Outcome, seed: u64) -> Judgement {
        let (rows, values) = study(groups, outcome, seed);
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let q = Questions::new(&rows, "completion", "interrupt");
        assert!(q.paired && q.groups.len() == groups as usize);
        let all = features(&rows, &values, &q, ("completion", "interrupt"), 0.05);
        judge(&all, &q.performance, &Halves::of(q.groups.len(), seed), &LIMITS, seed).unwrap()
    }

    /// The first feature's link with the answers as it was tested before: centred by turn, not by question.
    fn p_centred_by_turn(rows: &[TurnRow], values: &[BTreeMap<u32, f64>], feature: u32) -> f64 {
        let mut means: BTreeMap<u32, (f64, f64, f64)> = BTreeMap::new();
        let right = |r: &TurnRow| f64::from(u8::from(r.correct));
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
        for outcome in [Outcome::Difficulty, Outcome::Coin, Outcome::Varying] {
            let studies = 200;
            let (mut reached, mut alone, mut before) = (0, 0, 0);
            for s in 0..studies {
                let j = judged(16, outcome, s);
                reached += usize::from(j.says == Says::Reached);
                // One feature, named beforehand, that follows the condition: its second link alone.
                let (rows, values) = study(16, outcome, s);
                let all: Vec<&TurnRow> = rows.iter().collect();
                let column: Vec<(usize, f64)> = values.iter().enumerate().map(|(i, v)| (i, v[&0])).collect();
                let links = Questions::new(&all, "completion", "interrupt").links(&column);
                alone += usize::from(sign_flips(&links.answers, 0.95, s).unwrap().p <= 0.05);
                before += usize::from(p_centred_by_turn(&rows, &values, 0) <= 0.05);
            }
            // P(more than 18 of 200 at 5 %) is below 0.01.
            assert!(
                reached <= 18 && alone <= 18,
                "{outcome:?}: verdict in {reached}, one link in {alone} of {studies}"
            );
            // What this test is for: centred by turn, difficulty alone is an effect.
            if outcome != Outcome::Coin {
                assert!(before > 100, "{outcome:?}: centred by turn only {before} of {studies}");
            }
        }
    }

    #[test]
    fn planted_studies_of_32_groups_reach_it() {
        let studies = 20;
        let reached = (0..studies).filter(|s| judged(32, Outcome::Planted, 900 + s).says == Says::Reached).count();
        assert!(reached >= 18, "{reached} of {studies}");
        let j = judged(32, Outcome::Planted, 900);
        let first = j.tested.first().unwrap();
        assert!(first.index < 8 && first.difference.estimate > 0.0 && first.answers.high < 0.0, "{first:?}");
        assert!(j.performance.unwrap().high < -5.0 && j.why.contains("16 groups"), "{j:?}");
    }

    #[test]
    fn few_groups_and_small_effects_are_no_verdict() {
        let j = judged(14, Outcome::Planted, 1);
        assert!(j.says == Says::CannotBeTold && j.why.contains("7 groups confirm") && j.why.contains("15 in all"));
        // Features that follow, answers that do not move at all: nothing is picked.
        let flat = |d: f64, a: f64| {
            let values = |m: f64| (0..20).map(|g| m + 0.01 * f64::from(g % 3)).collect::<Vec<_>>();
            let links = crate::questions::Links { difference: values(d), answers: values(a), sd: 1.0 };
            vec![Feature { index: 5, rate: 1.0, auc: 1.0, links }]
        };
        let halves = Halves::of(20, 1);
        let of = |a: f64, perf: f64| judge(&flat(1.0, a), &[perf; 20], &halves, &LIMITS, 1).unwrap();
        assert!(of(0.0, 0.0).says != Says::Reached);
        // A link of 0.5 points, however sure, is smaller than 1.
        assert_eq!(of(0.5, 3.0).says, Says::NotReached);
        assert_eq!(of(2.5, 3.0).says, Says::Reached);
        // The feature rises, answers rise with it, and yet the condition lowers them: it is not why.
        let against = of(2.5, -3.0);
        assert!(against.says == Says::CannotBeTold && against.why.contains("contradict"), "{against:?}");
    }
}
