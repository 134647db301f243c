//! `linear-probe`: can a linear rule read a condition, the number of interruptions so far, or the coming answer (or any
//! other outcome of the turn) from the activations, and does it read more than the words reveal?
//!
//! Everything is fitted inside folds: the scaler, C, and for the headline the layer. Folds hold out whole groups, and
//! phrases or questions too where the manifest says so. Each probe is reported beside baselines (the words of the
//! message, lengths, the embeddings), a control task (a random label per topic, which can only be memorised; Hewitt and
//! Liang 2019) and permuted labels. Measures are averaged over folds; their intervals are over groups, corrected for
//! training rows that folds share (`friction_stats::cross_validated`).
mod arms;
mod baselines;
mod directions;
mod figure;
mod fit;
mod folds;
mod levels;
mod next;
mod options;
mod permute;
mod report;
mod rows;
mod target;
#[cfg(test)]
mod tests;
mod transfer;
mod write;

use fit::Design;
use folds::Key;
use friction_core::error::{Faults, twice};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, GradeSection, Needs, Outcome, PluginConfig, PluginEntry, Position,
    Result, RunReader, Site, off_letters, unread,
};
use friction_stats::{Link, Matrix};
use options::LinearProbe;
use rows::Rows;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use target::Target;

impl PluginConfig for LinearProbe {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        if let Some(s) = twice(&self.sites) {
            faults.when(true, "sites", format!("`{s}` is listed twice"));
        }
        if self.target == "correct" && self.outcome() != Outcome::Score {
            let what = format!("`correct` is the outcome `score`, but `outcome` is `{}`", self.outcome());
            faults.add(Error::at("target", what).help("write `target = \"outcome\"` to read that out"));
        }
        let keys = "`folds_by` must name at least one of group, phrase and question";
        faults.when(self.folds_by.is_empty(), "folds_by", keys);
        faults.when(twice(&self.folds_by).is_some(), "folds_by", "`folds_by` names each of its keys once");
        faults.when(self.folds < 2, "folds", "`folds` must be at least 2");
        let positive = |c: &f64| *c > 0.0 && c.is_finite();
        faults.when(self.c.is_empty() || !self.c.iter().all(positive), "c", "`c` must hold numbers above 0");
        faults.when(self.permutations > 1_000_000, "permutations", "`permutations` must be at most 1000000");
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        let mixed =
            "`position` = \"all\" mixes prompt and reply; probe `prompt-end`, `reply:N`, `reply-mean` or `user-mean`";
        faults.when(self.position == Position::All, "position", mixed);
        for (key, levels) in [("train_where", &self.train_where), ("test_where", &self.test_where)] {
            for (factor, level) in levels {
                let other = self.only.get(factor).filter(|l| *l != level);
                let what = format!("`where` already has `{factor}` at another level: no turn has both");
                faults.when(other.is_some(), &format!("{key}.{factor}"), what);
            }
        }
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(Self { grade: cx.grade.clone(), ..self.clone() }))
    }
}

impl Analyzer for LinearProbe {
    fn needs(&self) -> Needs {
        let target = self.target();
        let (factors, outcomes) = match &target {
            Target::Factor(name) => (vec![name.clone()], self.outcome.clone()),
            Target::Interruptions => (vec![], self.outcome.clone()),
            Target::Outcome(outcome) => (vec![], Some(outcome.clone())),
        };
        let filter = |more: &BTreeMap<String, String>| {
            let levels = self.only.iter().chain(more).map(|(k, v)| (k.clone(), v.clone())).collect();
            Filter { levels, compared: factors.clone() }
        };
        let named = |(key, more): (&str, &BTreeMap<String, String>)| (key.to_string(), filter(more));
        let more = [("train_where", &self.train_where), ("test_where", &self.test_where)];
        let mut filters: BTreeMap<String, Filter> =
            more.into_iter().filter(|(_, w)| !w.is_empty()).map(named).collect();
        filters.insert("where".into(), filter(&BTreeMap::new()));
        Needs {
            taps: self.sites.iter().map(|s| (*s, self.position)).collect(),
            filters,
            outcomes: outcomes.into_iter().collect(),
            first_turn: Some(self.first_turn),
            arms: self.arms,
            cuts: target == Target::Interruptions,
            wordings: self.folds_by.contains(&Key::Phrase),
            // One group to train on, one to test on.
            groups: 2,
            factors: factors.clone(),
            ..Needs::default()
        }
    }

    fn judges(&self) -> Vec<Outcome> {
        // Also where the option is left out, and the score is read if there is one.
        let read = if let Target::Outcome(outcome) = self.target() { Some(outcome) } else { None };
        read.into_iter().chain([self.outcome()]).collect()
    }

    fn settled(&self) -> Map<String, Value> {
        [("outcome".to_string(), json!(Outcome::default().to_string()))].into_iter().collect()
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        // A score that says what was found in a reply is no accuracy.
        match self.outcome().graded_in(self.grade.as_ref(), run.turns()) {
            Outcome::Match => Self { outcome: Some(Outcome::Match), ..self.clone() }.analyzed(run, out),
            _ => self.analyzed(run, out),
        }
    }
}

impl LinearProbe {
    /// Whether a reply without an answer is one that could not be read, and not one in which nothing was found.
    fn reads(&self) -> bool {
        !self.grade.as_ref().is_some_and(GradeSection::searches)
    }

    fn analyzed(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let target = self.target();
        let rows = Rows::read(run, &self.choice(&target))?;
        if target == Target::Outcome(Outcome::Score)
            && self.reads()
            && let Some(why) = unread(rows.rows.iter().map(|r| &r.turn))
        {
            out.ask(format!("Can {} be read out at {}?", target.asked(&rows.classes), self.position));
            out.warn(why);
            return Ok(());
        }
        if target == Target::Outcome(Outcome::LogOdds) {
            off_letters(rows.rows.iter().map(|r| &r.turn)).into_iter().for_each(|w| out.warn(w));
        }
        let link = match rows.classes.len() {
            0 => Link::Linear,
            2 => Link::Logistic,
            k => Link::Softmax(k),
        };
        let y = rows.y();
        let learnt: Vec<f64> = rows.rows.iter().filter(|r| r.turn.has(&self.train_where)).map(|r| r.y).collect();
        if learnt.iter().all(|v| Some(v) == learnt.first()) {
            return Err(Error::other(format!(
                "`{target}` is the same in all {} training rows (turns from {} on): there is nothing to read out",
                learnt.len(),
                self.first_turn
            )));
        }
        let mut layers: Vec<(Site, Matrix)> = vec![];
        for site in &self.sites {
            match rows.features(run, *site, self.position)? {
                Some(x) => layers.push((*site, x)),
                None => return Err(Error::other(format!("the run holds no tap of `{site}` at `{}`", self.position))),
            }
        }
        let design = Design {
            rows: &rows.rows,
            link,
            keys: &self.folds_by,
            k: self.folds,
            c: &self.c,
            seed: run.seed(),
            train: &self.train_where,
            test: &self.test_where,
        };
        report::Report { options: self, target: &target, rows: &rows, y: &y, design, layers: &layers, run }.write(out)
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<LinearProbe>("linear-probe", "Reads a condition or the answer to come out of activations", env!("CARGO_PKG_VERSION"))
}
