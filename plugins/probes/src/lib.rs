//! `linear-probe`: can a condition, the interruptions so far, or the answer to come be read out of the
//! activations by a linear rule, and is that more than the words say?
//!
//! Everything is fitted inside folds: the scaler, C, and for the headline the layer. Folds hold out
//! whole groups, and phrases or questions beside them where the manifest says so. Beside each probe
//! stand what it must beat (the words of the message, lengths, the embeddings), a control task (a random
//! label per topic, which can only be memorised; Hewitt and Liang 2019) and labels permuted by
//! conversation.
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
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site,
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
    /// Permutations of labels by conversation, for p; 0 to leave them out. Default 200.
    #[serde(default = "two_hundred")]
    permutations: usize,
    /// Whether the probe, learnt from the untouched arm, is also read on the other arms. Default false.
    #[serde(default)]
    arms: bool,
    /// Draws of groups for the intervals. Default 500.
    #[serde(default = "five_hundred")]
    draws: usize,
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
fn five_hundred() -> usize {
    500
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for LinearProbe {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::config(what.to_string()));
        if self.sites.is_empty() {
            return wrong("`sites` must name at least one site");
        }
        if self.folds_by.is_empty() || self.folds < 2 {
            return wrong("`folds_by` must name at least one of group, phrase and question, and `folds` be at least 2");
        }
        if self.c.is_empty() || self.c.iter().any(|c| !(*c > 0.0 && c.is_finite())) {
            return wrong("`c` must hold numbers above 0");
        }
        if !(0.5..1.0).contains(&self.level) {
            return wrong("`level` must be from 0.5 to below 1");
        }
        if self.position == Position::All {
            return wrong(
                "`position` = \"all\" mixes prompt and reply; probe `prompt-end`, `reply:N`, `reply-mean` or `user-mean`",
            );
        }
        Ok(())
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
        let mut factors = factors;
        factors.extend([&self.train_where, &self.test_where].into_iter().flat_map(|w| w.keys().cloned()));
        Needs { taps: self.sites.iter().map(|s| (*s, self.position)).collect(), factors }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let rows = Rows::read(run, &self.target, "", self.first_turn, &self.only)?;
        let link = match (&self.target, rows.classes.len()) {
            (Target::Interruptions, _) => Link::Linear,
            (_, 2) => Link::Logistic,
            (_, k) => Link::Softmax(k),
        };
        let y = rows.y();
        if y.iter().all(|v| Some(v) == y.first()) {
            return Err(Error::other(format!(
                "`{}` is the same in all {} rows from turn {} on: there is nothing to read out",
                self.target,
                y.len(),
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
