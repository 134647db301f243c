//! What is true of each condition, and of factors that make no difference by design.
use super::{GroundTruth, Seen, holds, level_of, said};
use friction_core::{Column, Estimate, Factors, Findings, Outcome, Table, other_factors};
use friction_stats::{Interval, cite, mean_t, percent};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Largest difference between two conditions' mean numbers of interruptions that counts as none.
const ALIKE: f64 = 0.01;

/// A condition and what its turns read.
struct Cell<'a> {
    factors: &'a Factors,
    turns: Vec<&'a Seen<'a>>,
    /// Mean number of interruptions that a turn reads; `None` if one reads what the training never had.
    interruptions: Option<f64>,
}

/// The conditions by name.
fn cells<'a>(seen: &'a [Seen<'a>]) -> BTreeMap<&'a str, Cell<'a>> {
    let mut out: BTreeMap<&str, Cell> = BTreeMap::new();
    for s in seen {
        let new = || Cell { factors: &s.turn.factors, turns: vec![], interruptions: None };
        out.entry(&s.turn.condition).or_insert_with(new).turns.push(s);
    }
    for cell in out.values_mut() {
        let all: Option<Vec<usize>> = cell.turns.iter().map(|s| s.interruptions).collect();
        cell.interruptions = all.map(|k| k.iter().sum::<usize>() as f64 / k.len() as f64);
    }
    out
}

impl Cell<'_> {
    /// Whether two conditions differ in one factor alone, and read equally many interruptions.
    fn beside(&self, other: &Cell, factor: &str) -> bool {
        let rest = |f: &Factors| other_factors(f, &[factor]);
        let alike = self.interruptions.zip(other.interruptions).is_some_and(|(a, b)| (a - b).abs() <= ALIKE);
        alike && rest(self.factors) == rest(other.factors)
    }

    fn is(&self, factor: &str, level: &str) -> bool {
        self.factors.get(factor).is_some_and(|v| v == level)
    }

    /// The mean outcome in each group that has one.
    fn means(&self, outcome: &Outcome) -> BTreeMap<u32, f64> {
        let mut all: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
        for (group, v) in self.turns.iter().filter_map(|s| Some((s.turn.group, s.turn.outcome(outcome)?))) {
            let (sum, n) = all.entry(group).or_default();
            (*sum, *n) = (*sum + v, *n + 1.0);
        }
        all.into_iter().map(|(g, (sum, n))| (g, sum / n)).collect()
    }
}

/// For each group, the difference of the outcome between pairs of conditions, averaged over the pairs that it has.
fn differences(pairs: &[(&Cell, &Cell)], outcome: &Outcome) -> Vec<f64> {
    let mut all: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (a, b) in pairs {
        let of_a = a.means(outcome);
        for (group, of_b) in b.means(outcome) {
            if let Some(of_a) = of_a.get(&group) {
                all.entry(group).or_default().push(outcome.scale() * (of_b - of_a));
            }
        }
    }
    all.values().map(|d| d.iter().sum::<f64>() / d.len() as f64).collect()
}

impl GroundTruth {
    /// Reports factors that must make no difference: two levels of conditions that differ in that factor alone, and read
    /// equally many interruptions.
    pub(super) fn factors(&self, seen: &[Seen], out: &mut Findings) {
        let cells = cells(seen);
        let names: BTreeSet<&String> = cells.values().flat_map(|c| c.factors.keys()).collect();
        for factor in names {
            let levels: BTreeSet<&String> = cells.values().filter_map(|c| c.factors.get(factor)).collect();
            let levels: Vec<&String> = levels.into_iter().collect();
            for (i, a) in levels.iter().enumerate() {
                for b in &levels[i + 1..] {
                    let mut pairs = vec![];
                    for x in cells.values().filter(|x| x.is(factor, a)) {
                        pairs.extend(cells.values().filter(|y| y.is(factor, b) && x.beside(y, factor)).map(|y| (x, y)));
                    }
                    let key = match levels.len() {
                        2 => format!("factor_{factor}"),
                        _ => format!("factor_{factor}_{b}-{a}"),
                    };
                    self.nothing(&pairs, (&format!("{factor}: {b} - {a}"), &key), out);
                }
            }
        }
    }

    /// Reports a difference that must be none.
    fn nothing(&self, pairs: &[(&Cell, &Cell)], (what, key): (&str, &str), out: &mut Findings) {
        let differences = differences(pairs, &self.outcome);
        let Ok(i) = mean_t(&differences, self.level) else { return };
        let e = Estimate::new(what, self.unit(), i.estimate).digits(self.digits());
        let e = e.interval(i.low, i.high, self.level).over(differences.len(), "group").null(0.0);
        out.add(self.truth(said(e, self.holds(&i, 0.0)), 0.0))
            .method(format!(
                "difference of {} between the levels within each group; Student's {} interval over groups",
                self.outcome.label(),
                percent(self.level)
            ))
            .citation(cite::STUDENT);
        out.value(key, self.told(&i, 0.0));
    }

    /// Stores accuracy beside the planted one, by condition.
    pub(super) fn arms(&self, seen: &[Seen], out: &mut Findings) {
        let rows: Vec<Row> = cells(seen).into_iter().map(|(name, cell)| self.row(name, &cell)).collect();
        let number = |name: &str, f: fn(&Row) -> f64| Column::number(name, rows.iter().map(f));
        let table = Table::new("arms", "What was planted in each condition and what it shows, 0 to 1")
            .stored()
            .column(Column::text("condition", rows.iter().map(|r| r.name)))
            .column(Column::count("n", rows.iter().map(|r| r.n as i64)))
            .column(number("exact", |r| r.exact))
            .column(number("planted", |r| r.planted))
            .column(number("accuracy", |r| r.accuracy))
            .column(number("difference", |r| r.difference.estimate))
            .column(number("low", |r| r.difference.low))
            .column(number("high", |r| r.difference.high));
        let method = format!(
            "turns whose planted accuracy is known; accuracy minus the planted one in each group, with Student's {} interval over groups",
            percent(self.level)
        );
        out.table(table).method(method).citation(cite::STUDENT);
        let values: Map<String, Value> = rows.iter().map(|r| (r.name.into(), r.value())).collect();
        out.value("conditions", values);
    }

    fn row<'a>(&self, name: &'a str, cell: &Cell) -> Row<'a> {
        let mut groups: BTreeMap<u32, Vec<(f64, f64, bool)>> = BTreeMap::new();
        for s in cell.turns.iter().filter(|s| s.turn.score.is_some()) {
            let (Some(k), Some(level)) = (s.interruptions, level_of(&s.turn.user)) else { continue };
            let right = s.turn.right() == Some(true);
            let exact = right == (level >= self.expect.errs_below(k));
            let seen = (f64::from(u8::from(right)), self.expect.accuracy(k), exact);
            groups.entry(s.turn.group).or_default().push(seen);
        }
        let all: Vec<&(f64, f64, bool)> = groups.values().flatten().collect();
        let mean = |f: &dyn Fn(&(f64, f64, bool)) -> f64| all.iter().map(|s| f(s)).sum::<f64>() / all.len() as f64;
        let differences: Vec<f64> =
            groups.values().map(|g| g.iter().map(|s| s.0 - s.1).sum::<f64>() / g.len() as f64).collect();
        let untold = Interval { estimate: f64::NAN, low: f64::NAN, high: f64::NAN };
        Row {
            name,
            n: all.len(),
            exact: mean(&|s| f64::from(u8::from(s.2))),
            planted: mean(&|s| s.1),
            accuracy: mean(&|s| s.0),
            difference: mean_t(&differences, self.level).unwrap_or(untold),
        }
    }
}

/// A condition's row. Everything is NaN where no turn has a truth.
struct Row<'a> {
    name: &'a str,
    n: usize,
    exact: f64,
    planted: f64,
    accuracy: f64,
    difference: Interval,
}

impl Row<'_> {
    fn value(&self) -> Value {
        let Self { n, exact, planted, accuracy, difference: d, .. } = self;
        let agrees = holds(d, 0.0) == "agrees";
        json!({"n": n, "exact": exact, "planted": planted, "accuracy": accuracy, "low": d.low, "high": d.high, "agrees": agrees})
    }
}
