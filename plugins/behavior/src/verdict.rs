//! The verdict about the locked contrast: reached, not reached, or cannot be told.
use crate::contrast::{Measure, contrast};
use crate::guards::Guard;
use crate::values::Course;
use friction_core::manifest::PrimarySection;
use friction_core::{Says, brief, plural};
use friction_stats::{p_words, signed, t_critical};

/// Fewest groups of which a verdict is given.
pub const GROUPS: usize = 8;
/// Level of the test.
const ALPHA: f64 = 0.05;
/// The 0.8 quantile of the normal distribution.
const Z_POWER: f64 = 0.841_621_233_572_914_2;

/// What a verdict about one estimate rests on. Numbers are in the estimate's unit.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// What was compared, such as `interrupt - complete`.
    pub what: String,
    /// The estimate.
    pub estimate: f64,
    /// Its 95 % interval.
    pub wide: [f64; 2],
    /// Its 90 % interval: two one-sided tests at 5 % of whether the effect is as large as the smallest of interest
    /// (Schuirmann 1987; Lakens 2017).
    pub narrow: [f64; 2],
    /// p-value, Holm's of several.
    pub p: f64,
    /// Number of groups.
    pub groups: usize,
}

impl Evidence {
    /// Tests differences between two levels again, at the levels that a verdict needs. `None` without a test.
    pub fn new(what: &str, differences: &[Course], measure: Measure, scale: f64, p: f64, seed: u64) -> Option<Self> {
        let at = |level: f64| contrast(differences, measure, scale, level, seed).contrast.ok();
        let (wide, narrow) = (at(0.95)?.flips, at(0.9)?.flips);
        Some(Self {
            what: what.into(),
            estimate: wide.estimate,
            wide: [wide.low, wide.high],
            narrow: [narrow.low, narrow.high],
            p,
            groups: wide.n,
        })
    }

    /// Whether no pair differs at all. Then nothing is known of how rarely one would.
    fn is_still(&self) -> bool {
        self.wide == [0.0, 0.0]
    }

    /// What it says of an effect in the direction `sign` that is at least `smallest`; `None` stands for both directions.
    pub fn says(&self, sign: Option<f64>, smallest: f64) -> Says {
        let side = sign.unwrap_or(self.estimate.signum());
        let beyond = |s: f64| (s * self.wide[0]).min(s * self.wide[1]) > 0.0;
        let opposite = sign.is_some_and(|s| beyond(-s));
        if self.groups < GROUPS || self.is_still() {
            Says::CannotBeTold
        } else if beyond(side) && self.p <= ALPHA && side * self.estimate >= smallest {
            Says::Reached
        } else if opposite || (-smallest <= self.narrow[0] && self.narrow[1] <= smallest) {
            Says::NotReached
        } else {
            Says::CannotBeTold
        }
    }

    /// The smallest true effect that a study of this size and spread finds in 80 % of its runs: (t + z₀.₈) standard errors,
    /// where the 95 % interval is t₀ of them wide on either side, and t is t₀ corrected for a number of `tests`. `None` where
    /// the interval has no bounds or no width.
    fn detectable(&self, tests: usize) -> Option<f64> {
        let t = |alpha: f64| t_critical(self.groups, 1.0 - alpha);
        let half = (self.wide[1] - self.wide[0]) / 2.0;
        let effect = half * (t(ALPHA / tests as f64) + Z_POWER) / t(ALPHA);
        Some(effect).filter(|e| e.is_finite() && *e > 0.0)
    }

    /// How many groups would tell, if the estimate stayed as it is and the interval's half width h shrank with the root of
    /// their number n: n · (h / d)², where d is how far the interval must end from the estimate. `None` where no number
    /// would.
    fn needed(&self, smallest: f64) -> Option<usize> {
        let half = |[low, high]: [f64; 2]| (high - low) / 2.0;
        let size = self.estimate.abs();
        // An estimate below the smallest effect is told by its 90 % interval, another by its 95 % interval.
        let (half, distance) =
            if size < smallest { (half(self.narrow), smallest - size) } else { (half(self.wide), size) };
        let n = self.groups as f64 * (half / distance).powi(2);
        (n.is_finite() && n < 1e9).then(|| ((n * (1.0 - 1e-9)).ceil() as usize).max(GROUPS).max(self.groups + 1))
    }
}

/// What was judged of one or several estimates.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The verdict over all estimates.
    pub says: Says,
    /// What it is of each estimate by itself.
    pub each: Vec<Says>,
    /// The reasons of `says`: sentences without a full stop.
    pub why: Vec<String>,
}

/// The verdict with its reasons. A guard that fails leaves none. Several estimates are those of several levels beside the
/// reference: the effect is reached if it is at one level (p is Holm's), and not reached if it is at none.
pub fn verdict(
    primary: &PrimarySection,
    all: &[Evidence],
    guards: &[Guard],
    planned: Option<usize>,
    (unit, digits): (&str, usize),
) -> Judged {
    let untold = |why| Judged { says: Says::CannotBeTold, each: vec![Says::CannotBeTold; all.len()], why };
    let Some(smallest) = primary.smallest else { return untold(vec![]) };
    let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let sign = primary.direction.sign();
    let each: Vec<Says> = all.iter().map(|e| e.says(sign, smallest)).collect();
    let groups = all.iter().map(|e| e.groups).max().unwrap_or(0);
    let says = if each.contains(&Says::Reached) {
        Says::Reached
    } else if !each.is_empty() && each.iter().all(|s| *s == Says::NotReached) {
        Says::NotReached
    } else {
        Says::CannotBeTold
    };
    let number = |v: f64| signed(v, digits);
    let interval = |[low, high]: [f64; 2]| match low.is_finite() && high.is_finite() {
        true => format!("{} to {}", number(low), number(high)),
        false => "without bounds".into(),
    };
    let mut why: Vec<String> = all
        .iter()
        .map(|e| {
            format!(
                "{}: {}{unit}, 95 % interval {}, 90 % interval {}, {}{}, n = {}",
                e.what,
                number(e.estimate),
                interval(e.wide),
                interval(e.narrow),
                if all.len() > 1 { "Holm's " } else { "" },
                p_words(e.p),
                plural(e.groups, "group")
            )
        })
        .collect();
    why.push(format!("the smallest effect of interest is {}{unit}, which was named before the run", brief(smallest)));
    if let Some(most) = all
        .iter()
        .map(|e| e.detectable(all.len()))
        .collect::<Option<Vec<_>>>()
        .and_then(|all| all.into_iter().reduce(f64::max))
    {
        why.push(format!(
            "a study of this size and spread finds a true effect of {most:.digits$}{unit} in 80 % of its runs"
        ));
    }
    let held = |g: &Guard| format!("guard {}: {}", if g.holds { "holds" } else { "fails" }, g.told);
    why.extend(guards.iter().map(held));
    if guards.iter().any(|g| !g.holds) {
        return untold(why);
    }
    if let Some(planned) = planned.filter(|planned| groups < *planned) {
        why.push(format!("the run is not finished: {groups} of {} are there", plural(planned, "group")));
        return untold(why);
    }
    if says == Says::CannotBeTold && groups < GROUPS {
        why.push(format!("a verdict needs {GROUPS} groups, there are {groups}"));
    } else if says == Says::CannotBeTold && all.iter().any(Evidence::is_still) {
        why.push("no pair differs in any group: how rarely one would is not known, and no interval can be told".into());
    } else if says == Says::CannotBeTold {
        let open = all.iter().zip(&each).filter(|(_, s)| **s == Says::CannotBeTold);
        let needed: Option<Vec<usize>> = open.map(|(e, _)| e.needed(smallest)).collect();
        why.push(match needed.and_then(|all| all.into_iter().max()) {
            Some(n) => format!(
                "if the estimate stayed as it is, about {n} groups would tell: n · (h / d)², where h is the interval's half width and d how far from the estimate it must end"
            ),
            None => "the estimate is so near to the smallest effect of interest that no number of groups would tell".into(),
        });
    }
    Judged { says, each, why }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn primary(direction: &str) -> PrimarySection {
        serde_json::from_value(json!({"contrast": "a × turn", "direction": direction, "smallest": 0.5})).unwrap()
    }

    fn evidence(estimate: f64, wide: [f64; 2], narrow: [f64; 2]) -> Evidence {
        let p = if wide[0] > 0.0 || wide[1] < 0.0 { 0.01 } else { 0.3 };
        Evidence { what: "b - a".into(), estimate, wide, narrow, p, groups: 40 }
    }

    fn says(direction: &str, e: Evidence) -> (Says, String) {
        let Judged { says, why, .. } = verdict(&primary(direction), &[e], &[], Some(40), ("points/turn", 2));
        (says, why.join("; "))
    }

    #[test]
    fn an_effect_is_reached_beyond_zero_and_of_the_smallest_size() {
        let large = evidence(-1.0, [-1.5, -0.5], [-1.4, -0.6]);
        assert_eq!(says("falls", large.clone()).0, Says::Reached);
        assert_eq!(says("either", large.clone()).0, Says::Reached);
        // The other direction was expected: the interval lies wholly on the other side.
        assert_eq!(says("rises", large).0, Says::NotReached);
        // Significant, but smaller than what is of interest: 90 % within 0.5 of 0, and not within.
        assert_eq!(says("falls", evidence(-0.25, [-0.45, -0.05], [-0.4, -0.1])).0, Says::NotReached);
        let (small, why) = says("falls", evidence(-0.45, [-0.75, -0.15], [-0.7, -0.2]));
        assert_eq!(small, Says::CannotBeTold);
        // h = 0.25 at 90 %, d = 0.5 - 0.45: 40 · (0.25 / 0.05)² = 1000.
        assert!(why.contains("about 1000 groups would tell"), "{why}");
    }

    #[test]
    fn no_difference_is_found_by_equivalence_and_never_by_a_large_p() {
        let narrow = evidence(0.1, [-0.3, 0.5], [-0.2, 0.4]);
        assert_eq!(says("falls", narrow.clone()).0, Says::NotReached);
        assert_eq!(says("either", narrow).0, Says::NotReached);
        let (open, why) = says("falls", evidence(-0.8, [-2.0, 0.4], [-1.8, 0.2]));
        assert_eq!(open, Says::CannotBeTold);
        // h = 1.2 at 95 %, d = 0.8: 40 · 1.5² = 90.
        assert!(why.contains("about 90 groups would tell") && why.contains("n = 40 groups"), "{why}");
        let (edge, why) = says("falls", evidence(-0.5, [-2.0, 1.0], [-1.8, 0.8]));
        // 40 · (1.5 / 0.5)² = 360.
        assert!(edge == Says::CannotBeTold && why.contains("about 360 groups"), "{why}");
    }

    #[test]
    fn what_could_be_found_is_told() {
        // t of 39 degrees of freedom is 2.0227: 0.5 · (1 + 0.8416 / 2.0227) = 0.708.
        let (_, why) = says("falls", evidence(-1.0, [-1.5, -0.5], [-1.4, -0.6]));
        assert!(why.contains("finds a true effect of 0.71 points/turn in 80 %"), "{why}");
        // Of four levels, t at 0.05 / 4 is 2.6189 (scipy.stats.t.ppf(1 - 0.0125 / 2, 39)): 0.5 · (2.6189 + 0.8416) / 2.0227.
        let four = vec![evidence(-1.0, [-1.5, -0.5], [-1.4, -0.6]); 4];
        let why = verdict(&primary("falls"), &four, &[], None, ("points/turn", 2)).why.join("; ");
        assert!(why.contains("finds a true effect of 0.86 points/turn") && why.contains("Holm's p = "), "{why}");
        let (_, why) = says("falls", evidence(-1.0, [f64::NEG_INFINITY, f64::INFINITY], [-1.4, -0.6]));
        assert!(!why.contains("true effect"), "{why}");
    }

    #[test]
    fn where_nothing_differs_no_number_of_groups_is_named() {
        let (says, why) = says("falls", evidence(0.0, [0.0, 0.0], [0.0, 0.0]));
        assert!(says == Says::CannotBeTold && why.contains("no pair differs in any group"), "{why}");
        assert!(!why.contains("groups would tell"), "{why}");
    }

    #[test]
    fn few_groups_and_unfinished_runs_have_no_verdict() {
        let large = evidence(-1.0, [-1.5, -0.5], [-1.4, -0.6]);
        let few = Evidence { groups: 7, ..large.clone() };
        let Judged { says, why, .. } = verdict(&primary("falls"), &[few], &[], Some(7), ("points/turn", 2));
        assert!(
            says == Says::CannotBeTold && why.iter().any(|w| w == "a verdict needs 8 groups, there are 7"),
            "{why:?}"
        );
        let Judged { says, why, .. } =
            verdict(&primary("falls"), std::slice::from_ref(&large), &[], Some(50), ("points/turn", 2));
        assert!(says == Says::CannotBeTold && why.iter().any(|w| w.contains("40 of 50 groups are there")), "{why:?}");
        // A guard that fails is named.
        let guard = Guard { name: "ends", told: "cut".into(), holds: false };
        let Judged { says, each, why } = verdict(&primary("falls"), &[large], &[guard], None, ("points/turn", 2));
        assert_eq!(each, [Says::CannotBeTold]);
        assert!(says == Says::CannotBeTold && why.last().is_some_and(|w| w == "guard fails: cut"), "{why:?}");
    }

    #[test]
    fn of_several_levels_one_is_enough_and_none_needs_all() {
        let large = evidence(-1.0, [-1.5, -0.5], [-1.4, -0.6]);
        let none = evidence(0.1, [-0.3, 0.5], [-0.2, 0.4]);
        let open = evidence(-0.8, [-2.0, 0.4], [-1.8, 0.2]);
        let of = |all: &[&Evidence]| {
            let all: Vec<Evidence> = all.iter().map(|e| (*e).clone()).collect();
            verdict(&primary("falls"), &all, &[], None, ("", 2))
        };
        let first = of(&[&none, &large, &open]);
        assert_eq!(first.says, Says::Reached);
        // Each level has its own, by which rows of a summary tell which one reached it.
        assert_eq!(first.each, [Says::NotReached, Says::Reached, Says::CannotBeTold]);
        assert_eq!(of(&[&none, &none]).says, Says::NotReached);
        assert_eq!(of(&[&none, &open]).says, Says::CannotBeTold);
        // Holm's p counts beside the interval, which is of one level alone.
        let adjusted = Evidence { p: 0.06, ..large };
        assert_eq!(of(&[&none, &adjusted]).says, Says::CannotBeTold);
    }
}
