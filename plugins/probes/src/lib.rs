//! `linear-probe`: can a condition, the interruptions so far, or the answer to come be read out of the
//! activations by a linear rule, and is that more than the words say?
//!
//! Everything is fitted inside folds: the scaler, C, and for the headline the layer. Folds hold out
//! whole groups, and phrases or questions beside them where the manifest says so. Beside each probe
//! stand what it must beat (the words of the message, lengths, the embeddings), a control task (a random
//! label per topic, which can only be memorised; Hewitt and Liang 2019) and labels exchanged within groups.
//! Measures are averaged over folds; their intervals are over groups, corrected for what folds share in training
//! (`friction_stats::cross_validated`).
mod arms;
mod baselines;
mod directions;
mod figure;
mod fit;
mod folds;
mod next;
mod report;
mod rows;

use fit::Design;
use folds::Key;
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader,
    Site,
};
use friction_stats::{Link, Matrix};
use rows::{Rows, Target};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Options of `linear-probe`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinearProbe {
    /// What is read out: the name of a factor, `interruptions` (a number: the replies cut so far) or
    /// `correct` (whether the answer to come is right).
    #[schemars(example = &"completion")]
    target: Target,
    /// Sites, tapped by a hook. The layers among which the headline's is chosen inside each fold.
    #[schemars(example = ["resid_post.9"])]
    sites: Vec<Site>,
    /// Rows that enter: levels of factors, such as `{ completion = "interrupt" }`. Default all. Where a
    /// factor fixes the number of interruptions, it tells them apart and nothing else need be read.
    #[serde(default, rename = "where")]
    only: BTreeMap<String, String>,
    /// Rows that are learnt from, as `where`; the others are tested only.
    #[serde(default)]
    train_where: BTreeMap<String, String>,
    /// Rows that are tested, as `where`.
    #[serde(default)]
    test_where: BTreeMap<String, String>,
    /// At which tokens; several are averaged. Default `prompt-end`.
    #[serde(default = "prompt_end")]
    position: Position,
    /// First turn that enters. Default 2: the first turn precedes any treatment.
    #[serde(default = "two")]
    first_turn: u32,
    /// What training and test rows must not share: `group`, `phrase`, `question`. Default `["group"]`.
    #[serde(default = "by_group")]
    folds_by: Vec<Key>,
    /// Parts into which each of these is dealt. Default 5.
    #[serde(default = "five")]
    folds: usize,
    /// Values of C (the inverse of the L2 penalty) to choose from inside each fold.
    #[serde(default = "cs")]
    c: Vec<f64>,
    /// Permutations for p: a factor's labels change places within each group, in all its pairs together; 0 to leave
    /// p out. Default 200.
    #[serde(default = "two_hundred")]
    permutations: usize,
    /// Whether the probe, learnt from the untouched arm, is also read on the other arms. Default false.
    #[serde(default)]
    arms: bool,
    /// Level of the intervals. Default 0.95.
    #[serde(default = "level")]
    level: f64,
}
fn prompt_end() -> Position {
    Position::PromptEnd
}
fn two() -> u32 {
    2
}
fn by_group() -> Vec<Key> {
    vec![Key::Group]
}
fn five() -> usize {
    5
}
fn cs() -> Vec<f64> {
    vec![0.001, 0.01, 0.1, 1.0]
}
fn two_hundred() -> usize {
    200
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for LinearProbe {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        if let Some(s) = twice(&self.sites) {
            faults.when(true, "sites", format!("`{s}` is listed twice"));
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
                let what = format!("`where` has `{factor}` at another level already: no row has both");
                faults.when(other.is_some(), &format!("{key}.{factor}"), what);
            }
        }
        faults.end()
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Analyzer for LinearProbe {
    fn needs(&self) -> Needs {
        let factors = match &self.target {
            Target::Factor(name) => vec![name.clone()],
            _ => vec![],
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
            first_turn: Some(self.first_turn),
            arms: self.arms,
            cuts: self.target == Target::Interruptions,
            wordings: self.folds_by.contains(&Key::Phrase),
            // One to learn from, one to test on.
            groups: 2,
            factors: factors.clone(),
            ..Needs::default()
        }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let rows = Rows::read(run, &self.target, self.first_turn, &self.only)?;
        let link = match (&self.target, rows.classes.len()) {
            (Target::Interruptions, _) => Link::Linear,
            (_, 2) => Link::Logistic,
            (_, k) => Link::Softmax(k),
        };
        let y = rows.y();
        let learnt: Vec<f64> = rows.rows.iter().filter(|r| r.turn.has(&self.train_where)).map(|r| r.y).collect();
        if learnt.iter().all(|v| Some(v) == learnt.first()) {
            return Err(Error::other(format!(
                "`{}` is the same in all {} rows to learn from (turns {} on): there is nothing to read out",
                self.target,
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
        report::Report { options: self, rows: &rows, y: &y, design, layers: &layers, run }.write(out)
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<LinearProbe>("linear-probe", "Reads a condition or the answer to come out of activations", env!("CARGO_PKG_VERSION"))
}
