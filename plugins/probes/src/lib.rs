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
mod permute;
mod report;
mod rows;
mod target;
#[cfg(test)]
mod tests;
mod transfer;

use fit::Design;
use folds::Key;
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Needs, Outcome, PluginConfig, PluginEntry, Position, Result,
    RunReader, Site, off_letters, unread,
};
use friction_stats::{Link, Matrix};
use rows::{Choice, Rows};
use serde::Deserialize;
use std::collections::BTreeMap;
use target::Target;

/// Asks whether a condition, the interruptions so far, or the answer or another outcome to come can be read out of the
/// activations by a linear rule, and whether that is more than the words say. Everything is fitted inside cross-validation folds that hold out whole
/// groups. Beside each probe stand a difference of means, a control task (a random label for each topic; Hewitt and Liang
/// 2019) and baselines that need no look inside the model.
///
/// It writes:
/// - the tables `layers` and `baselines`: a row for each site or baseline, with the held-out quality and its interval, the
///   difference of means, the control task, p, and the C that most folds chose;
/// - the table `levels`, for more than two levels of a factor: each level against all others, with AUC and interval;
/// - the table `next_answer`: what a standard deviation of the probe's score goes with in the `outcome` of the turn, at the
///   same question (for more than two levels: of each level's score against the rest, with adjusted p);
/// - the table `transfer`, for two levels: AUC of a probe learnt at one turn and tested at another;
/// - the table `arms`, where `arms` is set: quality and shift of the score in each arm;
/// - the figure `layers`: quality by site, with the control task and the baselines;
/// - the files `directions.safetensors` (all directions, for the hook `steer`; for more than two levels
///   `<site>/mean-difference/<level>`, each level against the rest), `mean-difference.repeng.gguf` (a control
///   vector, for repeng and llama.cpp) and `resid_post.L.mean-difference.lm-eval.pt` (for lm-evaluation-harness);
/// - the values `headline`, `read_from`, `levels`, `next_answer`, `next_answer_adjusted`, `transfer`, `arms` and
///   `control_vector`.
///
/// Quality is AUC for two levels, balanced accuracy for more (one multinomial probe), and R² for a number. All samples of a
/// group are held out together. Replies need no grades unless `target` or `outcome` asks for them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LinearProbe {
    /// What is read out: the name of a factor, `interruptions` (the number of replies cut so far), `correct` (whether the
    /// answer to come is right) or `outcome` (the option of that name).
    #[schemars(example = &"completion")]
    target: String,
    /// A number of the turn: `score`, `log_odds`, `answered`, `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or
    /// `metric.<name>`. With `target = "outcome"` it is read out: as two classes where it is 0 or 1 alone, else as a number.
    /// With other targets the probe's score is compared with it, at the same question. Turns without it are left out.
    /// Default: `score`, where replies are graded.
    #[serde(default)]
    outcome: Option<Outcome>,
    /// Sites that are read; a hook must tap them at `position`. The headline chooses among them inside each fold.
    #[schemars(example = ["resid_post.9"], length(min = 1))]
    sites: Vec<Site>,
    /// Turns that enter: levels of factors, such as `{ completion = "interrupt" }`. Default: all. For `interruptions`, keep to
    /// conditions that are interrupted: elsewhere the condition alone gives the number away.
    #[serde(default, rename = "where")]
    only: BTreeMap<String, String>,
    /// Turns that the probe learns from, as in `where`. Default: all that enter. With `test_where`, it asks whether a probe
    /// learnt on one kind of conversation reads another.
    #[serde(default)]
    train_where: BTreeMap<String, String>,
    /// Turns that the probe is tested on, as in `where`. Default: all that enter.
    #[serde(default)]
    test_where: BTreeMap<String, String>,
    /// Tokens that are read, as in the hook that taps them; several are averaged. `all` is refused, because it mixes prompt
    /// and reply.
    #[serde(default = "prompt_end")]
    position: Position,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    first_turn: u32,
    /// What training and test parts must not share. Add `phrase` to ask whether the probe reads more than the
    /// wordings that it has seen; the conditions then need several wordings each.
    #[serde(default = "by_group")]
    #[schemars(length(min = 1))]
    folds_by: Vec<Key>,
    /// Number of folds that each of `folds_by` is dealt into. More folds learn from more of the data, and take longer.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    folds: usize,
    /// Values of C, the inverse of the L2 penalty, that are chosen from inside each fold: numbers above 0.
    #[serde(default = "cs")]
    #[schemars(length(min = 1))]
    c: Vec<f64>,
    /// Number of permutations for p: labels are exchanged as the design could have dealt them. 0 leaves p out; p cannot be
    /// below one over this number plus one, so raise it for small p.
    #[serde(default = "two_hundred")]
    #[schemars(range(max = 1_000_000))]
    permutations: usize,
    /// Whether the probe, learnt from untouched conversations, is also read in the arms of a hook that changes something. Set
    /// it to learn whether steering moves what the probe reads.
    #[serde(default)]
    arms: bool,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
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

impl LinearProbe {
    fn outcome(&self) -> Outcome {
        self.outcome.clone().unwrap_or_default()
    }
    fn target(&self) -> Target {
        Target::new(&self.target, &self.outcome())
    }
    fn choice<'a>(&'a self, target: &'a Target) -> Choice<'a> {
        Choice { target, first_turn: self.first_turn, only: &self.only, position: self.position }
    }
}

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
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
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

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let target = self.target();
        let rows = Rows::read(run, &self.choice(&target))?;
        if target == Target::Outcome(Outcome::Score)
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
