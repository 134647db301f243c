//! Collects the p-values, intervals and verdicts of the analyses, and compares their rates with the promised ones.
use crate::views::Outcome;
use friction_core::Findings;
use friction_stats::{holm, quantile};
use serde_json::{Value, json};
use statrs::distribution::{Binomial, Discrete, DiscreteCDF};
use std::collections::{BTreeMap, BTreeSet};

/// One p-value, interval or verdict of one study.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// A p-value.
    P(f64),
    /// A 95 % interval: estimate, lower bound, upper bound.
    Interval(f64, f64, f64),
    /// Whether a verdict was reached, whether it was "not reached", or whether a guard failed.
    Verdict(bool),
}

/// Where a value comes from: outcome, analysis, path within its findings, kind (`p`, `interval`, `verdict`,
/// `not reached` or `guard`).
pub type Place = (Outcome, String, String, &'static str);
/// All collected values by place, one for each study that reported it.
pub type All = BTreeMap<Place, Vec<Told>>;

/// Collects from findings every object with a `p`, with `low` and `high`, or with a verdict and its guards. Of a list of sites
/// it also collects the smallest p, in the direction that restores.
pub fn collect(all: &mut All, outcome: Outcome, analysis: &str, findings: &Findings) {
    for (name, value) in &findings.values {
        walk(all, outcome, analysis, name, value);
    }
    let sites = findings.values.get("sites").and_then(Value::as_array).into_iter().flatten();
    let ps = sites.filter(|s| s["restores"] == true).filter_map(|s| s["p"].as_f64());
    if let Some(p) = ps.reduce(f64::min) {
        all.entry((outcome, analysis.into(), "sites[smallest]".into(), "p")).or_default().push(Told::P(p));
    }
}

/// What an element of a list is called, at place `i`.
fn name(v: &Value, i: usize) -> String {
    let text = |k: &str| {
        v.get(k).map(|n| match n {
            Value::String(s) => s.clone(),
            other => other.to_string(),
        })
    };
    let back = if v.get("restores") == Some(&Value::Bool(false)) { " back" } else { "" };
    let named = ["name", "arm", "dose"].iter().find_map(|k| text(k));
    named.or_else(|| text("site").map(|s| s + back)).or_else(|| text("direction")).unwrap_or_else(|| i.to_string())
}

fn walk(all: &mut All, outcome: Outcome, analysis: &str, place: &str, value: &Value) {
    let number = |k: &str| value.get(k).and_then(Value::as_f64);
    let mut put = |what: &'static str, told: Told| {
        all.entry((outcome, analysis.into(), place.into(), what)).or_default().push(told);
    };
    if let Some(p) = number("p") {
        put("p", Told::P(p));
    }
    let estimate = ["estimate", "points_per_turn", "points", "shift", "difference", "auc", "share", "nats"]
        .iter()
        .find_map(|k| number(k));
    // JSON has null for an infinite bound.
    let open = |k: &str, end: f64| value.get(k).map(|v| v.as_f64().unwrap_or(end));
    if let (Some(e), Some(low), Some(high)) = (estimate, open("low", f64::NEG_INFINITY), open("high", f64::INFINITY)) {
        put("interval", Told::Interval(e, low, high));
    }
    if let Some(agrees) = value.get("agrees").and_then(Value::as_bool) {
        put("verdict", Told::Verdict(!agrees));
    }
    if let Some(says) = value.get("says").and_then(Value::as_str) {
        put("verdict", Told::Verdict(says == "reached"));
        put("not reached", Told::Verdict(says == "not reached"));
    }
    for guard in value.get("guards").and_then(Value::as_array).into_iter().flatten() {
        if let (Some(name), Some(holds)) = (guard["name"].as_str(), guard["holds"].as_bool()) {
            let place = (outcome, analysis.into(), format!("{place}, guard {name}"), "guard");
            all.entry(place).or_default().push(Told::Verdict(!holds));
        }
    }
    for (i, v) in value.as_array().into_iter().flatten().enumerate() {
        let place = format!("{place}[{}]", name(v, i));
        walk(all, outcome, analysis, &place, v);
        for (key, share) in v.as_object().into_iter().flatten().filter(|(_, v)| v.get("share").is_some()) {
            walk(all, outcome, analysis, &format!("{place}.{key}"), share);
        }
    }
}

/// The value that an interval should contain where nothing was planted.
pub enum Truth {
    /// A value known by construction.
    Known(f64),
    /// The median estimate of all studies: how well a real difference can be read is known only from many studies.
    Median,
    /// Nothing is promised: the rate is told, and not tested.
    Unpromised,
}

/// The columns of `rates.tsv`.
pub const HEAD: &str = "outcome\tanalysis\tfinding\twhat\tstudies\tcount\tpromised\tbinomial p\tHolm's p";

/// One row of the table.
pub struct Line {
    /// Where the values come from.
    pub place: Place,
    /// Number of studies that reported the value.
    pub n: u64,
    /// Number of studies with p at or below 0.05, with the truth in the interval, with a verdict that was reached or not, or
    /// with a guard that failed.
    pub k: u64,
    /// The promised rate; `None` if nothing is promised.
    pub nominal: Option<f64>,
    /// Whether only one direction is a fault: exact or discrete tests and verdicts may err less often than promised,
    /// and discrete intervals may contain the truth more often.
    pub at_most: bool,
    /// The true value of an interval, and the quartiles of the estimates.
    pub about: Option<(f64, [f64; 3])>,
    /// Binomial p-value of the null hypothesis that the rate is the promised one; 1 if nothing is promised.
    pub p: f64,
    /// The same, adjusted by Holm over the table.
    pub adjusted: f64,
}

/// Compares each rate with the promised one, with Holm's correction over the table. Values that few studies reported
/// are included; the caller decides about them.
pub fn table(all: &All, truth: impl Fn(&Place) -> Option<Truth>, at_most: impl Fn(&Place) -> bool) -> Vec<Line> {
    let mut lines: Vec<Line> = vec![];
    for (place, told) in all {
        let Some(truth) = truth(place) else { continue };
        let estimates: Vec<f64> =
            told.iter().filter_map(|t| if let Told::Interval(e, ..) = t { Some(*e) } else { None }).collect();
        let promised = !matches!(truth, Truth::Unpromised);
        let truth = match truth {
            Truth::Known(v) => v,
            Truth::Unpromised => 0.0,
            Truth::Median => {
                let mut sorted = estimates.clone();
                sorted.sort_by(f64::total_cmp);
                quantile(&sorted, 0.5)
            }
        };
        let hit = |t: &&Told| match t {
            Told::P(p) => *p <= 0.05,
            Told::Interval(_, low, high) => *low <= truth + 1e-9 && truth - 1e-9 <= *high,
            Told::Verdict(v) => *v,
        };
        // A guard that has nothing to say does not fail.
        let judged = place
            .2
            .split_once(", guard ")
            .filter(|_| place.3 == "guard")
            .and_then(|(verdict, _)| all.get(&(place.0, place.1.clone(), verdict.to_string(), "verdict")));
        let (n, k) = (judged.unwrap_or(told).len() as u64, told.iter().filter(hit).count() as u64);
        let nominal = if place.3 == "interval" { 0.95 } else { 0.05 };
        // If estimates take few values, as for features that hardly differ, intervals may contain the truth more often
        // than promised.
        let values: BTreeSet<i64> = estimates.iter().map(|e| (e * 1e9).round() as i64).collect();
        let nominal = promised.then_some(nominal);
        let at_most = at_most(place) || place.3 == "interval" && 2 * values.len() < estimates.len();
        let mut sorted = estimates;
        sorted.sort_by(f64::total_cmp);
        let about = (!sorted.is_empty()).then(|| (truth, [0.25, 0.5, 0.75].map(|q| quantile(&sorted, q))));
        let p = nominal.map_or(1.0, |nominal| binomial(k, n, nominal, at_most, place.3));
        lines.push(Line { p, place: place.clone(), n, k, nominal, at_most, about, adjusted: 1.0 });
    }
    let mut tested: Vec<&mut Line> = lines.iter_mut().filter(|l| l.nominal.is_some()).collect();
    let adjusted = holm(&tested.iter().map(|l| l.p).collect::<Vec<_>>());
    tested.iter_mut().zip(adjusted).for_each(|(l, p)| l.adjusted = p);
    lines
}

/// p-value of the exact binomial test: two-sided as scipy's `binomtest`, or one-sided against a worse rate (above the
/// nominal one for tests, below it for intervals).
fn binomial(k: u64, n: u64, nominal: f64, one_sided: bool, what: &str) -> f64 {
    let Ok(b) = Binomial::new(nominal, n) else { return 1.0 };
    if one_sided {
        return if what == "interval" {
            b.cdf(k)
        } else {
            b.sf(k.saturating_sub(1)) + if k == 0 { b.pmf(0) } else { 0.0 }
        };
    }
    let own = b.pmf(k) * (1.0 + 1e-7);
    (0..=n).map(|i| b.pmf(i)).filter(|p| *p <= own).sum::<f64>().min(1.0)
}

impl Line {
    /// Whether the rate agrees with the promised one.
    pub fn holds(&self) -> bool {
        self.adjusted > 0.01
    }
    /// The row as printed.
    pub fn text(&self) -> String {
        let (outcome, analysis, place, what) = &self.place;
        let rate = 100.0 * self.k as f64 / self.n as f64;
        let row = format!("{:<16} {analysis:<26} {place:<42} {what:<11} {:>4} {rate:>7.1} %", outcome.word(), self.n);
        let Some(nominal) = self.nominal else { return format!("{row}      –") };
        let bound = match (self.at_most, what) {
            (false, _) => " ",
            (true, &"interval") => "≥",
            (true, _) => "≤",
        };
        let fails = if self.holds() { "" } else { "FAILS" };
        format!("{row} {bound}{:>3.0} % {:>9.4} {:>8.4}  {fails}", 100.0 * nominal, self.p, self.adjusted)
    }
    /// The row of `rates.tsv` ([`HEAD`]).
    pub fn tsv(&self) -> String {
        let (outcome, analysis, place, what) = &self.place;
        let bound = match (self.nominal.is_some() && self.at_most, *what) {
            (false, _) => "",
            (true, "interval") => "at least ",
            (true, _) => "at most ",
        };
        let promised = self.nominal.map_or(String::new(), |n| format!("{bound}{:.0} %", 100.0 * n));
        let [p, holm] = [self.p, self.adjusted].map(|p| self.nominal.map_or(String::new(), |_| format!("{p:.4}")));
        format!("{}\t{analysis}\t{place}\t{what}\t{}\t{}\t{promised}\t{p}\t{holm}", outcome.word(), self.n, self.k)
    }
    /// The row as JSON.
    pub fn json(&self) -> Value {
        let (outcome, analysis, place, what) = &self.place;
        json!({"outcome": outcome.word(), "analysis": analysis, "place": place, "what": what, "studies": self.n, "count": self.k,
            "truth": self.about.map(|a| a.0), "quartiles": self.about.map(|a| a.1), "nominal": self.nominal, "at_most": self.at_most, "p": self.p, "holm": self.adjusted, "holds": self.holds()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_ps_are_scipys() {
        // scipy.stats.binomtest(k, 200, 0.05).pvalue, and alternative="greater".
        for (k, two, greater) in [(0, 6.112_0e-5, 1.0), (10, 1.0, 0.545_3), (20, 3.068_6e-3, 2.664_6e-3)] {
            assert!(
                (binomial(k, 200, 0.05, false, "p") - two).abs() < 1e-6,
                "{k}: {}",
                binomial(k, 200, 0.05, false, "p")
            );
            assert!(
                (binomial(k, 200, 0.05, true, "p") - greater).abs() < 1e-4,
                "{k}: {}",
                binomial(k, 200, 0.05, true, "p")
            );
        }
    }

    #[test]
    fn everything_told_is_taken() {
        let mut f = Findings::default();
        f.value("primary", json!({"points_per_turn": 1.0, "low": null, "high": 2.0, "p": 0.5}));
        f.value("read_from", json!([{"name": "embed", "estimate": 0.5, "low": 0.4, "high": 0.6, "p": null}]));
        let guards = json!([{"name": "cells", "holds": false}]);
        f.value("verdict", json!({"level": "Best", "says": "reached", "why": "", "guards": guards}));
        let sites = [("attn_out.1", 0.02), ("resid_post.0", 0.7)].map(|(site, p)| {
            json!({"site": site, "restores": site == "attn_out.1", "p": p, "partner": {"share": 0.5, "low": 0.1, "high": 0.9}})
        });
        f.value("sites", json!(sites));
        let mut all = All::new();
        collect(&mut all, Outcome::Own, "x", &f);
        let places: Vec<(&str, &str)> = all.keys().map(|p| (p.2.as_str(), p.3)).collect();
        assert_eq!(
            places,
            [
                ("primary", "interval"),
                ("primary", "p"),
                ("read_from[embed]", "interval"),
                ("sites[attn_out.1]", "p"),
                ("sites[attn_out.1].partner", "interval"),
                ("sites[resid_post.0 back]", "p"),
                ("sites[resid_post.0 back].partner", "interval"),
                ("sites[smallest]", "p"),
                ("verdict", "not reached"),
                ("verdict", "verdict"),
                ("verdict, guard cells", "guard")
            ]
        );
        let lines = table(&all, |_| Some(Truth::Known(0.0)), |_| false);
        assert_eq!(lines.iter().map(|l| l.k).collect::<Vec<_>>(), [1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1]);
    }

    #[test]
    fn a_guard_that_has_nothing_to_say_does_not_fail() {
        let mut all = All::new();
        for i in 0..4 {
            let guards = if i == 0 { json!([{"name": "letters", "holds": false}]) } else { json!([]) };
            let mut f = Findings::default();
            f.value("verdict", json!({"says": "cannot be told", "guards": guards}));
            collect(&mut all, Outcome::Own, "x", &f);
        }
        let lines = table(&all, |_| Some(Truth::Known(0.0)), |_| true);
        let guard = lines.iter().find(|l| l.place.3 == "guard").map(|l| (l.k, l.n));
        assert_eq!(guard, Some((1, 4)));
    }

    #[test]
    fn a_rate_without_a_promise_is_not_tested() {
        let place = |at: &str| (Outcome::Own, "x".to_string(), at.to_string(), "verdict");
        let all: All = [("a", 40), ("b", 2)].map(|(at, n)| (place(at), vec![Told::Verdict(true); n])).into();
        let of = |promise: fn(&Place) -> Option<Truth>| {
            table(&all, promise, |_| true).iter().map(|l| (l.holds(), l.adjusted)).collect::<Vec<_>>()
        };
        let both = of(|_| Some(Truth::Known(0.0)));
        assert!(!both[0].0 && (both[1].1 - 0.0025).abs() < 1e-9, "{both:?}");
        let one = of(|p| Some(if p.2 == "a" { Truth::Unpromised } else { Truth::Known(0.0) }));
        assert_eq!(one[0], (true, 1.0));
        assert!((one[1].1 - 0.0025).abs() < 1e-9, "{one:?}");
        assert!(table(&all, |_| Some(Truth::Unpromised), |_| true)[0].text().ends_with("100.0 %      –"));
    }
}
