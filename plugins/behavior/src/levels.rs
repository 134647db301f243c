//! All levels of all factors: the outcome's mean with its interval, and the difference from a level of reference.
use crate::contrast::{Contrast, Measure, contrast};
use crate::values::{Course, Factor, differences, reference};
use friction_core::{Column, Findings, Outcome, Table, TurnRow, plural};
use friction_stats::{Interval, cite, holm, mean_of_numbers, mean_of_units, percent};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What all tables and tests of an analysis share.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The number that is compared.
    pub outcome: &'a Outcome,
    /// The level with which others are compared, if the manifest names one.
    pub reference: Option<&'a str>,
    /// Level of the intervals.
    pub level: f64,
    /// Seed of random sign patterns.
    pub seed: u64,
    /// Which turns are read, in words: `turns from 2 on`.
    pub turns: &'a str,
}

impl About<'_> {
    /// Mean of one value for each group, in the outcome's own unit; bounds of shares stay from 0 to 1.
    pub fn mean(&self, groups: &[f64]) -> Option<Interval> {
        // Numbers that happen to be 0 or 1 are no shares.
        let mean = if self.outcome.is_share() { mean_of_units } else { mean_of_numbers };
        let i = mean(groups, self.level)?;
        let of = |v: f64| if self.outcome.is_share() { v.clamp(0.0, 1.0) } else { v };
        Some(Interval { estimate: i.estimate, low: of(i.low), high: of(i.high) })
    }
    /// The same, as it is shown: shares in percent.
    pub fn shown(&self, groups: &[f64]) -> Option<Interval> {
        let scale = self.outcome.scale();
        self.mean(groups).map(|i| Interval { estimate: scale * i.estimate, low: scale * i.low, high: scale * i.high })
    }
}

/// A level of a factor.
struct Level {
    factor: String,
    level: String,
    /// Number of groups.
    n: usize,
    replies: usize,
    mean: Interval,
    /// The difference from the reference; `None` at the reference, and where there are no pairs.
    against: Option<Contrast>,
    /// Holm's p among the factor's levels.
    holm: Option<f64>,
    /// The level that it is compared with.
    reference: String,
}

/// The factors that have two levels in these turns; without any, the conditions.
pub fn factors(turns: &[&TurnRow]) -> Vec<Factor> {
    let names: BTreeSet<&String> = turns.iter().flat_map(|t| t.factors.keys()).collect();
    let all = names.into_iter().cloned().map(Factor::Named).chain([Factor::Condition]);
    let varied: Vec<Factor> = all.filter(|f| f.levels(turns).len() > 1).collect();
    let named = varied.iter().any(|f| *f != Factor::Condition);
    varied.into_iter().filter(|f| !named || *f != Factor::Condition).collect()
}

/// A group's value is the mean over its conditions of this level, each the mean over its turns.
fn by_group(courses: &[Course], factor: &Factor, level: &str) -> (Vec<f64>, usize) {
    let mut groups: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let mut replies = 0;
    for c in courses.iter().filter(|c| factor.of(c) == Some(level)) {
        if let Some(mean) = c.mean() {
            groups.entry(c.group).or_default().push(mean);
            replies += c.replies;
        }
    }
    (groups.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect(), replies)
}

/// Lists the levels of all factors, and warns of turns that only one of two compared conversations has. `turns` are all
/// that the run has, in the manifest's order.
pub fn tell(turns: &[&TurnRow], courses: &[Course], about: &About, out: &mut Findings) {
    let mut rows = vec![];
    let (mut uneven, mut unshared, mut pairs) = (0, 0, 0);
    for factor in factors(turns) {
        let levels = factor.levels(turns);
        let Some(first) = reference(&levels, about.reference) else { continue };
        let from = rows.len();
        let beside = factor.comparable(courses);
        for level in &levels {
            let (groups, replies) = by_group(courses, &factor, level);
            let Some(mean) = about.shown(&groups) else { continue };
            let compared = (level != first).then(|| differences(&beside, &factor, first, level));
            let against = compared.and_then(|d| {
                (uneven, unshared, pairs) = (uneven + d.uneven, unshared + d.unshared, pairs + d.all.len());
                contrast(&d.all, Measure::Mean, about.outcome.scale(), about.level, about.seed).contrast.ok()
            });
            let (factor, level, reference) = (factor.name().to_string(), level.clone(), first.to_string());
            rows.push(Level { factor, level, n: groups.len(), replies, mean, against, holm: None, reference });
        }
        let tested: Vec<usize> = (from..rows.len()).filter(|i| rows[*i].against.is_some()).collect();
        let p: Vec<f64> = tested.iter().filter_map(|i| rows[*i].against.as_ref()).map(|c| c.flips.p).collect();
        tested.into_iter().zip(holm(&p)).for_each(|(i, p)| rows[i].holm = Some(p));
    }
    if rows.is_empty() {
        return;
    }
    let groups = rows.iter().map(|r| r.n).max().unwrap_or(0);
    out.table(table(&rows, about)).over(groups, "group").method(method(about, &rows)).citation(format!(
        "{}; {}; {}; {}",
        cite::WILSON,
        cite::STUDENT,
        cite::SIGN_FLIPS,
        cite::HOLM
    ));
    let open = |r: &&Level| r.against.as_ref().is_some_and(|c| !c.flips.low.is_finite());
    if let Some(r) = rows.iter().find(open) {
        let n = r.against.as_ref().map_or(0, |c| c.flips.n);
        out.say(format!(
            "Differences have no {} interval: {} are too few for one",
            percent(about.level),
            plural(n, "group")
        ));
    }
    if uneven > 0 {
        out.warn(format!(
            "conversations that are compared differ in their turns: {} that only one of two has {} left out of differences, in {uneven} of {}. Where a conversation ends by what was answered, the turns that are left are a selection; `turns = \"last\"` compares ends",
            plural(unshared, "turn"),
            if unshared == 1 { "is" } else { "are" },
            plural(pairs, "pair")
        ));
    }
    out.value("levels", rows.iter().map(|r| json(r, about)).collect::<Vec<Value>>());
}

fn method(about: &About, rows: &[Level]) -> String {
    let several = rows.iter().map(|r| (&r.factor, &r.reference)).collect::<BTreeSet<_>>();
    let reference: Vec<String> = several.into_iter().map(|(f, r)| format!("{f} = {r}")).collect();
    format!(
        "{}; a group's value is the mean over samples, then turns, then conditions; {level} intervals of means: Wilson's score where each group's value is 0 or 1, otherwise Student's t over groups; differences from {} within groups, between conversations that agree in every other factor, on turns that both have: sign flips with one sign per group, inverted for the {level} interval, and Holm's p over a factor's levels",
        about.turns,
        reference.join(", "),
        level = percent(about.level),
    )
}

fn table(rows: &[Level], about: &About) -> Table {
    let (o, digits) = (about.outcome, about.outcome.digits());
    let number = |name: &str, f: &dyn Fn(&Level) -> f64| Column::number(name, rows.iter().map(f)).digits(digits);
    let mean = |name: &str, f: &dyn Fn(&Level) -> f64| number(name, f).unit(o.shown_unit());
    let flips = |name: &str, f: &dyn Fn(&Contrast) -> f64| {
        // An unbounded interval has no number.
        let of = |r: &Level| r.against.as_ref().map(f).filter(|v| v.is_finite()).unwrap_or(f64::NAN);
        number(name, &of).unit(o.difference_unit())
    };
    let p = |name: &str, f: &dyn Fn(&Level) -> Option<f64>| number(name, &|r| f(r).unwrap_or(f64::NAN)).digits(4);
    let caption = format!(
        "Levels of each factor: {}, and the difference from the level of reference, which has none; n counts groups",
        o.label()
    );
    Table::new("levels", caption)
        .column(Column::text("factor", rows.iter().map(|r| r.factor.as_str())))
        .column(Column::text("level", rows.iter().map(|r| r.level.as_str())))
        .column(Column::count("n", rows.iter().map(|r| r.n as i64)))
        .column(Column::count("replies", rows.iter().map(|r| r.replies as i64)))
        .column(mean("mean", &|r| r.mean.estimate))
        .column(mean("low", &|r| r.mean.low))
        .column(mean("high", &|r| r.mean.high))
        .column(flips("difference", &|c| c.flips.estimate))
        .column(flips("difference_low", &|c| c.flips.low).title("from"))
        .column(flips("difference_high", &|c| c.flips.high).title("to"))
        .column(p("p", &|r| Some(r.against.as_ref()?.flips.p)))
        .column(p("p_holm", &|r| r.holm).title("Holm's p"))
}

/// A level for programs; `low` and `high` are those of the difference.
fn json(r: &Level, about: &About) -> Value {
    let finite = |v: f64| v.is_finite().then_some(v);
    let f = r.against.as_ref().map(|c| &c.flips);
    json!({
        "factor": r.factor, "level": r.level, "n": r.n, "replies": r.replies, "unit": about.outcome.shown_unit(),
        "mean": r.mean.estimate, "mean_low": finite(r.mean.low), "mean_high": finite(r.mean.high),
        "reference": r.reference, "difference": f.map(|f| f.estimate), "low": f.and_then(|f| finite(f.low)),
        "high": f.and_then(|f| finite(f.high)), "p": f.map(|f| f.p), "p_holm": r.holm,
        "pairs": r.against.as_ref().map(|c| c.pairs),
    })
}
