//! The outcome of each conversation by turn, and differences of it between conversations that are paired.
use friction_core::contrast::is_fraction;
pub use friction_core::contrast::reference;
use friction_core::{ConversationId, Factors, Outcome, TurnRow, other_factors};
use friction_stats::{settled, settled_sum};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A condition in a group: the outcome by turn, averaged over samples. Also a difference between two of them.
#[derive(Debug, Clone)]
pub struct Course {
    /// Index of the group.
    pub group: u32,
    /// Name of the condition; empty for a difference.
    pub condition: String,
    /// The levels of all factors; of a difference, of those in which its conversations agree.
    pub factors: Factors,
    /// The outcome by turn, in its own unit: shares from 0 to 1.
    pub turns: BTreeMap<u32, f64>,
    /// Number of replies that have the outcome.
    pub replies: usize,
}

impl Course {
    /// Mean over turns; `None` without turns.
    pub fn mean(&self) -> Option<f64> {
        let n = self.turns.len();
        (n > 0).then(|| self.turns.values().sum::<f64>() / n as f64)
    }
}

/// The conversations of a run, by group and condition.
#[derive(Debug)]
pub struct Courses {
    /// One for each condition of each group.
    pub all: Vec<Course>,
    /// Number of turns without the outcome, which are left out.
    pub without: usize,
}

/// The outcome of each condition in each group. `place` is the number of a turn under which it is compared.
pub fn courses(turns: &[&TurnRow], outcome: &Outcome, place: impl Fn(&TurnRow) -> u32) -> Courses {
    courses_of(turns, |t| t.outcome(outcome), place)
}

/// The same of any number of a turn.
pub fn courses_of(
    turns: &[&TurnRow],
    value: impl Fn(&TurnRow) -> Option<f64>,
    place: impl Fn(&TurnRow) -> u32,
) -> Courses {
    type Sums<'a> = (&'a Factors, BTreeMap<u32, (f64, usize)>);
    let mut by: BTreeMap<(u32, &str), Sums> = BTreeMap::new();
    let mut without = 0;
    for t in turns {
        let (_, sums) = by.entry((t.group, &t.condition)).or_insert_with(|| (&t.factors, BTreeMap::new()));
        let Some(value) = value(t) else {
            without += 1;
            continue;
        };
        let sum = sums.entry(place(t)).or_default();
        *sum = (sum.0 + value, sum.1 + 1);
    }
    let course = |((group, condition), (factors, sums)): ((u32, &str), Sums)| Course {
        group,
        condition: condition.into(),
        factors: factors.clone(),
        replies: sums.values().map(|s| s.1).sum(),
        turns: sums.into_iter().map(|(t, (sum, n))| (t, sum / n as f64)).collect(),
    };
    Courses { all: by.into_iter().map(course).collect(), without }
}

/// The last turn of each conversation.
pub fn last<'a>(turns: &[&'a TurnRow]) -> Vec<&'a TurnRow> {
    let mut by: BTreeMap<ConversationId, &TurnRow> = BTreeMap::new();
    for t in turns {
        let held = by.entry(t.conversation()).or_insert(t);
        if t.turn > held.turn {
            *held = t;
        }
    }
    by.into_values().collect()
}

/// What conditions are told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Factor {
    /// A factor of the manifest.
    Named(String),
    /// The condition itself, where no factor has two levels.
    Condition,
}

impl Factor {
    /// The factor's name.
    pub fn name(&self) -> &str {
        match self {
            Factor::Named(name) => name,
            Factor::Condition => "condition",
        }
    }
    fn level<'a>(&self, condition: &'a str, factors: &'a Factors) -> Option<&'a str> {
        match self {
            Factor::Named(name) => factors.get(name).map(String::as_str),
            Factor::Condition => Some(condition),
        }
    }
    /// The level of a course.
    pub fn of<'a>(&self, c: &'a Course) -> Option<&'a str> {
        self.level(&c.condition, &c.factors)
    }
    /// The levels that turns have, in the manifest's order of conditions, which is that of a group's turns.
    pub fn levels(&self, turns: &[&TurnRow]) -> Vec<String> {
        let mut out: Vec<String> = vec![];
        for level in turns.iter().filter_map(|t| self.level(&t.condition, &t.factors)) {
            if !out.iter().any(|l| l == level) {
                out.push(level.into());
            }
        }
        out
    }
    /// The conversations as levels of this factor are compared.
    pub fn comparable<'a>(&self, courses: &'a [Course]) -> Cow<'a, [Course]> {
        match self {
            Factor::Named(name) => comparable(courses, std::slice::from_ref(name)).0,
            Factor::Condition => Cow::Borrowed(courses),
        }
    }
    fn others(&self, c: &Course) -> Factors {
        match self {
            Factor::Named(name) => other_factors(&c.factors, &[name]),
            Factor::Condition => Factors::new(),
        }
    }
}

/// Differences between two levels of a factor, and what was left out of them.
#[derive(Debug, Default)]
pub struct Differences {
    /// Level `b` minus level `a` by turn, for each pair of conversations of a group that agree in every other factor.
    pub all: Vec<Course>,
    /// Number of pairs that are none: no single conversation at each of the levels.
    pub lone: usize,
    /// Number of pairs of which one conversation has turns that the other lacks.
    pub uneven: usize,
    /// Number of such turns.
    pub unshared: usize,
}

/// The conversations of a group at the levels `a` and `b` that agree in every other factor, and the number of those that have
/// no single partner.
pub fn pairs<'a>(courses: &'a [Course], factor: &Factor, a: &str, b: &str) -> (Vec<(&'a Course, &'a Course)>, usize) {
    let mut cells: BTreeMap<(u32, Factors), [Vec<&'a Course>; 2]> = BTreeMap::new();
    for c in courses {
        let at = match factor.of(c) {
            Some(l) if l == a => 0,
            Some(l) if l == b => 1,
            _ => continue,
        };
        cells.entry((c.group, factor.others(c))).or_default()[at].push(c);
    }
    let (mut out, mut lone) = (vec![], 0);
    for [x, y] in cells.into_values() {
        match (&x[..], &y[..]) {
            ([x], [y]) => out.push((*x, *y)),
            _ => lone += 1,
        }
    }
    (out, lone)
}

/// Pairs conversations and subtracts the turns that both have. Of differences it makes differences of differences.
pub fn differences(courses: &[Course], factor: &Factor, a: &str, b: &str) -> Differences {
    let (all, lone) = pairs(courses, factor, a, b);
    let mut out = Differences { lone, ..Differences::default() };
    for (x, y) in all {
        let (group, factors) = (x.group, factor.others(x));
        // Averages of equal samples may differ by rounding.
        let less = |v: f64, other: f64| settled(other - v, v.abs() + other.abs());
        let turns: BTreeMap<u32, f64> =
            x.turns.iter().filter_map(|(t, v)| Some((*t, less(*v, *y.turns.get(t)?)))).collect();
        let unshared = x.turns.len() + y.turns.len() - 2 * turns.len();
        out.uneven += usize::from(unshared > 0);
        out.unshared += unshared;
        out.all.push(Course { group, condition: String::new(), factors, turns, replies: x.replies + y.replies });
    }
    out
}

/// The least-squares slope on the scores of a factor's levels, at each turn that all levels have: of conversations of a
/// group, one at each level, that agree in every other factor.
pub fn trend(courses: &[Course], factor: &Factor, levels: &[String], scores: &[f64]) -> Differences {
    let mut cells: BTreeMap<(u32, Factors), Vec<(usize, &Course)>> = BTreeMap::new();
    for c in courses {
        if let Some(at) = factor.of(c).and_then(|own| levels.iter().position(|l| l == own)) {
            cells.entry((c.group, factor.others(c))).or_default().push((at, c));
        }
    }
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
    let mut out = Differences::default();
    for ((group, factors), mut own) in cells {
        own.sort_by_key(|(at, _)| *at);
        if own.iter().map(|(at, _)| *at).ne(0..levels.len()) {
            out.lone += 1;
            continue;
        }
        let at = |turn: &u32| -> Option<f64> {
            let terms = own.iter().map(|(at, c)| Some((scores[*at] - mean) * c.turns.get(turn)?));
            // Equal outcomes leave a rest, since the scores less their mean do not sum to 0 exactly.
            terms.collect::<Option<Vec<f64>>>().map(settled_sum)
        };
        let turns: BTreeMap<u32, f64> = own[0].1.turns.keys().filter_map(|t| Some((*t, at(t)? / squares))).collect();
        let unshared = own.iter().map(|(_, c)| c.turns.len() - turns.len()).sum::<usize>();
        out.uneven += usize::from(unshared > 0);
        out.unshared += unshared;
        let replies = own.iter().map(|(_, c)| c.replies).sum();
        out.all.push(Course { group, condition: String::new(), factors, turns, replies });
    }
    out
}

/// The conversations as levels of these factors are compared: as they are where pairs of them differ in the factors alone.
/// In a fraction of a factorial there are none; then, of each group, the average over the conditions of each combination
/// of levels, on the turns that all of them have. The second value says whether these are averages.
pub fn comparable<'a>(courses: &'a [Course], factors: &[String]) -> (Cow<'a, [Course]>, bool) {
    let designs: BTreeMap<&str, &Factors> = courses.iter().map(|c| (c.condition.as_str(), &c.factors)).collect();
    if !is_fraction(designs.into_values(), factors) {
        return (Cow::Borrowed(courses), false);
    }
    let mut cells: BTreeMap<(u32, Factors), Vec<&Course>> = BTreeMap::new();
    for c in courses {
        let own = c.factors.iter().filter(|(k, _)| factors.contains(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
        cells.entry((c.group, own)).or_default().push(c);
    }
    // A group in which a condition is missing is not balanced.
    let most = cells.values().map(Vec::len).max().unwrap_or(0);
    let whole = cells.into_iter().filter(|(_, all)| all.len() == most);
    let average = |((group, factors), all): ((u32, Factors), Vec<&Course>)| {
        let at = |turn: &u32| all.iter().map(|c| c.turns.get(turn).copied()).sum::<Option<f64>>();
        let turns = all[0].turns.keys().filter_map(|t| Some((*t, at(t)? / all.len() as f64))).collect();
        let replies = all.iter().map(|c| c.replies).sum();
        Course { group, condition: String::new(), factors, turns, replies }
    };
    (Cow::Owned(whole.map(average).collect()), true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn row(group: u32, condition: &str, sample: u32, turn: u32, score: Option<f64>) -> TurnRow {
        let factors = [("tone".to_string(), condition.to_string())].into();
        TurnRow { group, condition: condition.into(), factors, sample, turn, score, ..TurnRow::default() }
    }

    #[test]
    fn samples_are_averaged_and_turns_without_the_outcome_counted() {
        let rows = [
            row(0, "b", 0, 1, Some(1.0)),
            row(0, "b", 1, 1, Some(0.0)),
            row(0, "b", 0, 2, Some(1.0)),
            row(0, "b", 1, 2, None),
            row(0, "a", 0, 1, Some(1.0)),
        ];
        let rows: Vec<&TurnRow> = rows.iter().collect();
        let found = courses(&rows, &Outcome::Score, |t| t.turn);
        assert_eq!(found.without, 1);
        let [a, b] = &found.all[..] else { panic!("{found:?}") };
        assert_eq!((a.turns.clone(), a.replies), ([(1, 1.0)].into(), 1));
        assert_eq!((b.turns.clone(), b.replies, b.mean()), ([(1, 0.5), (2, 1.0)].into(), 3, Some(0.75)));
        // The manifest's order is kept.
        assert_eq!(Factor::Named("tone".into()).levels(&rows), ["b", "a"]);
        let ends: Vec<u32> = last(&rows).iter().map(|t| t.turn).collect();
        assert_eq!(ends, [1, 2, 2]);
        let d = differences(&found.all, &Factor::Condition, "a", "b");
        assert_eq!((d.lone, d.uneven, d.unshared), (0, 1, 1));
        assert_eq!(d.all[0].turns, [(1, -0.5)].into());
    }

    #[test]
    fn levels_are_compared_with_the_one_that_is_named() {
        let of = |levels: &[&str], wanted| {
            let levels: Vec<String> = levels.iter().map(|l| l.to_string()).collect();
            reference(&levels, wanted).map(String::from)
        };
        assert_eq!(of(&["z", "a"], None).as_deref(), Some("a"));
        assert_eq!(of(&["z", "a", "m"], None).as_deref(), Some("z"));
        assert_eq!(of(&["z", "a", "m"], Some("m")).as_deref(), Some("m"));
        assert_eq!(of(&["z", "a", "m"], Some("other")).as_deref(), Some("z"));
        assert_eq!(of(&[], None), None);
    }

    fn course(group: u32, levels: &[(&str, &str)], turns: &[f64]) -> Course {
        let factors: Factors = levels.iter().map(|(f, l)| (f.to_string(), l.to_string())).collect();
        let condition = factors.values().cloned().collect::<Vec<_>>().join("_");
        let turns: BTreeMap<u32, f64> = (1..).zip(turns.iter().copied()).collect();
        Course { group, condition, factors, replies: turns.len(), turns }
    }

    #[test]
    fn a_trend_is_the_least_squares_slope_over_levels() {
        // numpy.polyfit([0, 1, 3], [0.2, 0.6, 0.3], 1)[0] and ([0, 1, 3], [0.9, 0.1, 0.4]).
        let rows = [("0", 0.2, 0.9), ("1", 0.6, 0.1), ("3", 0.3, 0.4)];
        let all: Vec<Course> = rows.iter().map(|(l, x, y)| course(4, &[("size", l)], &[*x, *y])).collect();
        let levels: Vec<String> = rows.iter().map(|(l, ..)| l.to_string()).collect();
        let factor = Factor::Named("size".into());
        let found = trend(&all, &factor, &levels, &[0.0, 1.0, 3.0]);
        let [only] = &found.all[..] else { panic!("{found:?}") };
        assert!((only.turns[&1] - 0.007142857142857143).abs() < 1e-12, "{only:?}");
        assert!((only.turns[&2] + 0.12142857142857141).abs() < 1e-12, "{only:?}");
        assert_eq!((only.group, only.replies, found.lone, found.unshared), (4, 6, 0, 0));
        // A level is missing: the cell is left out. A turn that one lacks is not compared.
        assert_eq!(trend(&all[..2], &factor, &levels, &[0.0, 1.0, 3.0]).lone, 1);
        let short = [all[0].clone(), all[1].clone(), course(4, &[("size", "3")], &[0.3])];
        let found = trend(&short, &factor, &levels, &[0.0, 1.0, 3.0]);
        assert_eq!((found.all[0].turns.len(), found.uneven, found.unshared), (1, 1, 2));
    }

    #[test]
    fn only_the_conditions_of_a_fraction_are_averaged() {
        let levels = ["-", "+"];
        let full: Vec<Course> = (0..8)
            .map(|i: usize| {
                let of = |bit: usize| levels[(i >> bit) & 1];
                course(0, &[("a", of(2)), ("b", of(1)), ("c", of(0))], &[i as f64])
            })
            .collect();
        assert!(!comparable(&full, &["a".into()]).1);
        // I = ABC: --+, -+-, +--, +++, which are 1, 2, 4 and 7.
        let half: Vec<Course> = [1, 2, 4, 7].map(|i| full[i].clone()).into();
        let (averages, averaged) = comparable(&half, &["a".into()]);
        let of: Vec<(&str, f64)> = averages.iter().map(|c| (c.factors["a"].as_str(), c.turns[&1])).collect();
        assert_eq!((averaged, of), (true, vec![("+", 5.5), ("-", 1.5)]));
        let d = differences(&averages, &Factor::Named("a".into()), "-", "+");
        assert_eq!((d.all.len(), d.all[0].turns[&1]), (1, 4.0));
        // In a group that lacks a condition, the levels of the other factors do not cancel.
        let uneven = [half.clone(), vec![Course { group: 1, ..half[0].clone() }]].concat();
        assert_eq!(comparable(&uneven, &["a".into()]).0.len(), 2);
    }
}
