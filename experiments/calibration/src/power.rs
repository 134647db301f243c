//! How often studies of the planted organism find the planted effect.
use crate::studies::{Studies, in_threads};
use crate::told::{All, Told, collect};
use crate::views::Outcome;
use crate::{Args, Error, MEDIATION};
use friction_organism::truth::Truth;
use friction_store::StoredRun;
use friction_study::Plan;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::rc::Rc;

/// The power of one verdict or p-value; it should be reached in at least four of five studies.
pub struct Power {
    analysis: String,
    place: String,
    what: &'static str,
    reached: usize,
    studies: usize,
}

/// What must be found: for each analysis that sees the planted effect, its verdict or its p-value.
const FOUND: [(&str, &str, &str); 7] = [
    ("behavior", "primary", "p"),
    ("behavior", "verdict", "verdict"),
    ("probe-completion", "headline", "p"),
    ("probe-completion", "next_answer", "p"),
    ("steering", "verdict", "verdict"),
    ("features-completion", "verdict", "verdict"),
    (MEDIATION, "verdict", "verdict"),
];

/// Runs the studies of the planted organism and analyses them.
pub fn planted(studies: &Studies, a: &Args, done: impl Fn(u64) + Sync) -> Result<Vec<Power>, Error> {
    let all = in_threads(a.planted, |i| {
        let mut all = All::new();
        let wanted = |n: &str| FOUND.iter().any(|f| f.0 == n) && a.wants(n);
        let mut tell = |(path, plan): (PathBuf, Rc<Plan>)| {
            let stored = StoredRun::open(&path)?;
            for (name, analyzer) in plan.analyzers.iter().filter(|(n, _)| wanted(n)) {
                let mut findings = friction_core::Findings::default();
                analyzer.analyze(&stored, &mut findings).map_err(|e| format!("{}: {name}: {e}", path.display()))?;
                collect(&mut all, Outcome::Own, name, &findings);
            }
            Ok::<(), Error>(())
        };
        if FOUND.iter().any(|f| f.0 != MEDIATION && wanted(f.0)) {
            tell(studies.run(Truth::Planted, 2 * a.groups, a.seed + i, i)?)?;
        }
        if wanted(MEDIATION) {
            tell(studies.patched(Truth::Planted, 2 * a.groups, a.seed + i)?)?;
        }
        done(i);
        Ok(all)
    })?;
    let wanted = FOUND.iter().filter(|f| a.wants(f.0));
    Ok(wanted
        .filter(|_| a.planted > 0)
        .map(|(analysis, place, what)| {
            let hit = |t: &Told| match t {
                Told::P(p) => *p <= 0.05,
                Told::Verdict(v) => *v,
                Told::Interval(..) => false,
            };
            let key = (Outcome::Own, analysis.to_string(), place.to_string(), *what);
            let reached = all.iter().filter(|s| s.get(&key).is_some_and(|t| t.iter().any(hit))).count();
            Power { analysis: analysis.to_string(), place: place.to_string(), what, reached, studies: all.len() }
        })
        .collect())
}

impl Power {
    /// Whether at least four of five studies found it.
    pub fn holds(&self) -> bool {
        5 * self.reached >= 4 * self.studies
    }
    /// One row of the printed table.
    pub fn text(&self) -> String {
        format!(
            "{:<16} {:<26} {:<42} {:<11} {:>4} {:>7.1} % ≥ 80 % {:>17}  {}",
            "planted",
            self.analysis,
            self.place,
            self.what,
            self.studies,
            100.0 * self.reached as f64 / self.studies as f64,
            "",
            if self.holds() { "" } else { "FAILS" }
        )
    }
    /// The row of `rates.tsv`.
    pub fn tsv(&self) -> String {
        let Self { analysis, place, what, studies, reached } = self;
        format!("planted\t{analysis}\t{place}\t{what}\t{studies}\t{reached}\tat least 80 %\t\t")
    }
    /// The same row as JSON.
    pub fn json(&self) -> Value {
        json!({"analysis": self.analysis, "place": self.place, "what": self.what, "studies": self.studies, "reached": self.reached, "holds": self.holds()})
    }
}
