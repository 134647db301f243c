//! `gemma-scope`: which features of a sparse autoencoder follow a condition, and do they go with worse
//! answers? Any autoencoder or transcoder of Gemma Scope 2 by its short name, or a folder in its or in
//! SAELens' format. It first reports how well the autoencoder does on the run's own activations (FVU,
//! L0, dead features) and interprets nothing where that is bad.
pub mod features;
pub mod load;
pub mod name;
pub mod sae;
mod train;

use features::{Conversation, Difference, differences, mean};
use friction_core::findings::Column;
use friction_core::manifest::BackendKind;
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site,
    Table, TurnRow,
};
use friction_model::hub::Repo;
use friction_stats::{Matrix, clustered_logit};
use name::Name;
use sae::{Active, Sae, quality};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Options of `gemma-scope`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct GemmaScope {
    /// `hf:google/gemma-scope-2-4b-it` (the `it` repository for a tuned model), or `path:folder`: a
    /// folder of the release's layout where `sae` is given, else one autoencoder's.
    source: String,
    /// Short name: folder/layer/width/l0, such as `resid_post/17/16k/medium`.
    #[serde(default)]
    sae: Option<String>,
    /// Commit, tag or branch of the repository. Default `main`.
    #[serde(default)]
    revision: Option<String>,
    /// What it reads, where its folder does not say.
    #[serde(default)]
    site: Option<Site>,
    /// Factor of two levels whose features are sought.
    factor: String,
    /// Which tokens are encoded, each by itself. Default `prompt-end`.
    #[serde(default = "prompt_end")]
    position: Position,
    /// First turn that enters. Default 2.
    #[serde(default = "two")]
    first_turn: u32,
    /// Features that fire in fewer conversations are left out. Default 0.05.
    #[serde(default = "rate")]
    min_rate: f64,
    /// Sign flips of groups, for p. Default 1000.
    #[serde(default = "thousand")]
    permutations: usize,
    /// Share of false discoveries that is accepted. Default 0.05.
    #[serde(default = "rate")]
    fdr: f64,
    /// Beyond this fraction of variance unexplained nothing is interpreted. Default 0.5.
    #[serde(default = "half")]
    max_fvu: f64,
    /// Features that are told. Default 10; the table holds all.
    #[serde(default = "ten")]
    top: usize,
}
fn prompt_end() -> Position {
    Position::PromptEnd
}
fn two() -> u32 {
    2
}
fn rate() -> f64 {
    0.05
}
fn thousand() -> usize {
    1000
}
fn half() -> f64 {
    0.5
}
fn ten() -> usize {
    10
}

impl PluginConfig for GemmaScope {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::config(what.to_string()));
        if let Some(s) = &self.sae {
            s.parse::<Name>()?;
        } else if self.source.starts_with("hf:") {
            return wrong("name an autoencoder of the repository: `sae = \"resid_post/17/16k/medium\"`");
        }
        if !self.source.starts_with("hf:") && !self.source.starts_with("path:") {
            return wrong("`source` begins with `hf:` or `path:`");
        }
        if !(0.0..=1.0).contains(&self.min_rate) || !(0.0..1.0).contains(&self.fdr) || self.max_fvu <= 0.0 {
            return wrong("`min_rate` and `fdr` are shares, `max_fvu` is above 0");
        }
        if self.permutations < 20 {
            return wrong("`permutations` must be at least 20: p cannot be below one over them");
        }
        Ok(())
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        let name = self.sae.as_ref().map(|s| s.parse::<Name>()).transpose()?;
        let (config, tensors) = match (self.source.split_once(':'), &name) {
            (Some(("hf", id)), Some(name)) => {
                let mut repo = Repo::new(id, self.revision.as_deref(), false).map_err(Error::other)?;
                let mut get = |file: &str| repo.get(&format!("{}/{file}", name.path())).map_err(Error::other);
                (get(load::FILES[0].0)?, get(load::FILES[0].1)?)
            }
            (Some((_, path)), name) => {
                let dir = cx.base.join(path);
                let dir = name.as_ref().map_or_else(|| dir.clone(), |n| dir.join(n.path()));
                load::find(&dir)?
            }
            _ => return Err(Error::config("`source` begins with `hf:` or `path:`")),
        };
        let (reads, writes) = load::sites(&config)?;
        let reads = self.site.or(reads).ok_or_else(|| {
            Error::config(format!("{} does not say what the autoencoder reads: set `site`", config.display()))
        })?;
        Ok(Box::new(Scope { options: self.clone(), name, config, tensors, reads, writes: writes.unwrap_or(reads) }))
    }
}

struct Scope {
    options: GemmaScope,
    name: Option<Name>,
    config: PathBuf,
    tensors: PathBuf,
    reads: Site,
    writes: Site,
}

/// The encoded tokens of one turn.
struct Turn<'a> {
    row: &'a TurnRow,
    tokens: std::ops::Range<usize>,
}

impl Analyzer for Scope {
    fn needs(&self) -> Needs {
        let sites: BTreeSet<Site> = [self.reads, self.writes].into();
        let taps = sites.into_iter().map(|s| (s, self.options.position)).collect();
        Needs { taps, factors: vec![self.options.factor.clone()] }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let o = &self.options;
        let device = friction_model::device::open(BackendKind::Cpu, 0).map_err(Error::other)?;
        let sae = Sae::new(load::files(&self.config, &self.tensors)?.parameters, &device)?;
        let (turns, x, target) = self.tokens(run, &sae)?;
        let features = sae.encode(&x);
        let q = quality(&features, &sae.decode(&features, &x), &target, sae.width());
        out.say(format!(
            "{} features at `{}` on {} tokens: variance unexplained (FVU) {:.3}, {:.1} active a token (L0), {:.1} % never active",
            sae.width(), self.reads, features.len(), q.fvu, q.l0, 100.0 * q.dead
        ));
        out.value(
            "quality",
            json!({"fvu": q.fvu, "l0": q.l0, "dead": q.dead, "tokens": features.len(), "width": sae.width()}),
        );
        let trusted = q.fvu <= o.max_fvu && q.l0 > 0.0;
        out.value("interpreted", trusted);
        if !trusted {
            out.warn(format!(
                "nothing is interpreted: on this run's activations the autoencoder leaves {:.0} % of the variance unexplained (`max_fvu` is {:.2}). Is it the right model, layer and site?",
                100.0 * q.fvu, o.max_fvu
            ));
            return Ok(());
        }
        let levels: Vec<&String> =
            turns.iter().filter_map(|t| t.row.factors.get(&o.factor)).collect::<BTreeSet<_>>().into_iter().collect();
        let [a, b] = levels[..] else {
            return Err(Error::other(format!(
                "`{}` has {} levels; features are sought between two",
                o.factor,
                levels.len()
            )));
        };
        let all = conversations(&turns, &features, &o.factor, b);
        let found = differences(&all, o.min_rate, o.permutations, run.seed());
        let sure = found.iter().filter(|d| d.q <= o.fdr).count();
        let again = found.iter().filter(|d| d.q <= o.fdr && d.replicates).count();
        let family = found.iter().map(|d| d.family).fold(1.0, f64::min);
        out.say(format!(
            "Asked: which features follow `{}` ({b} against {a})? {} fire in at least {:.0} % of {} conversations",
            o.factor,
            found.len(),
            100.0 * o.min_rate,
            all.len()
        ));
        out.say(format!("Found: {sure} at a false discovery rate of {}, of which {again} replicate in both halves of the groups; any at all: p = {family:.4}", o.fdr));
        out.value("found", json!({"features": sure, "replicated": again, "tested": found.len(), "p": family}));
        let answers: Vec<Option<(f64, f64)>> =
            found.iter().take(o.top).map(|d| next_answer(&turns, &features, d.index)).collect();
        self.tell(&found, &answers, out);
        out.tables.push(self.table(&found));
        Ok(())
    }
}

impl Scope {
    /// Every token of the untouched arm from the first turn on: what is read, what is to be met.
    fn tokens<'a>(&self, run: &'a dyn RunReader, sae: &Sae) -> Result<(Vec<Turn<'a>>, Vec<f32>, Vec<f32>)> {
        let o = &self.options;
        let (mut turns, mut x, mut target) = (vec![], vec![], vec![]);
        let mut taps = BTreeMap::new();
        for row in run.turns().iter().filter(|t| t.arm.is_empty() && t.turn >= o.first_turn) {
            let key = (row.group, row.condition.as_str());
            if let std::collections::btree_map::Entry::Vacant(e) = taps.entry(key) {
                let get = |site| {
                    run.tap(row.group, &row.condition, "", site, o.position)?
                        .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{}`", o.position)))
                };
                e.insert((get(self.reads)?, get(self.writes)?));
            }
            let Some((read, written)) = taps.get(&key) else { continue };
            let [_, positions, width] = read.shape;
            if width != sae.input() || written.shape[2] != sae.output() {
                return Err(Error::other(format!(
                    "the autoencoder reads {} and writes {}, but `{}` is {width} wide and `{}` {}: it belongs to another model",
                    sae.input(),
                    sae.output(),
                    self.reads,
                    self.writes,
                    written.shape[2]
                )));
            }
            let start = x.len() / width;
            for p in 0..positions {
                // No autoencoder saw BOS, whose norm is far out.
                if o.position == Position::All && row.turn == 1 && p == 0 {
                    continue;
                }
                let at = (row.turn as usize - 1) * positions + p;
                let token = &read.data[at * width..][..width];
                if token.iter().all(|v| v.is_finite()) {
                    x.extend_from_slice(token);
                    target.extend_from_slice(&written.data[at * written.shape[2]..][..written.shape[2]]);
                }
            }
            turns.push(Turn { row, tokens: start..x.len() / width });
        }
        if x.is_empty() {
            return Err(Error::other("the run has no tokens from that turn on"));
        }
        Ok((turns, x, target))
    }

    fn page(&self, feature: u32) -> Option<String> {
        self.name.as_ref()?.page(self.options.source.strip_prefix("hf:")?, feature)
    }

    fn tell(&self, found: &[Difference], answers: &[Option<(f64, f64)>], out: &mut Findings) {
        out.say(format!(
            "  {:>8} {:>7} {:>11} {:>7} {:>6} {:>8} {:>8} {:>10}  {:>22}",
            "feature", "fires", "difference", "effect", "AUC", "p", "q", "replicates", "odds of a right answer"
        ));
        for (d, answer) in found.iter().zip(answers) {
            out.say(format!(
                "  {:>8} {:>5.0} % {:>+11.3} {:>+7.2} {:>6.3} {:>8.4} {:>8.4} {:>10}  {:>22} {}",
                d.index,
                100.0 * d.rate,
                d.difference,
                d.effect,
                d.auc,
                d.p,
                d.q,
                if d.replicates { "yes" } else { "no" },
                answer.map_or("–".into(), |(b, se)| format!(
                    "× {:.2} ({:.2} to {:.2})",
                    b.exp(),
                    (b - 1.96 * se).exp(),
                    (b + 1.96 * se).exp()
                )),
                self.page(d.index).unwrap_or_default()
            ));
        }
        out.say("  difference: of conversation means, paired by group; odds: of the next answer per standard deviation, beside the turn, clustered by group".to_string());
    }

    fn table(&self, found: &[Difference]) -> Table {
        let number = |f: fn(&Difference) -> f64| Column::Number(found.iter().map(f).collect());
        Table {
            name: "features".into(),
            columns: vec![
                ("feature".into(), Column::Count(found.iter().map(|d| i64::from(d.index)).collect())),
                ("rate".into(), number(|d| d.rate)),
                ("difference".into(), number(|d| d.difference)),
                ("effect".into(), number(|d| d.effect)),
                ("auc".into(), number(|d| d.auc)),
                ("p".into(), number(|d| d.p)),
                ("q".into(), number(|d| d.q)),
                ("p_family".into(), number(|d| d.family)),
                ("replicates".into(), Column::Count(found.iter().map(|d| i64::from(d.replicates)).collect())),
                ("page".into(), Column::Text(found.iter().map(|d| self.page(d.index).unwrap_or_default()).collect())),
            ],
        }
    }
}

/// A conversation's level and encoded tokens.
type Encoded = (usize, Vec<Vec<Active>>);

fn conversations(turns: &[Turn], features: &[Vec<Active>], factor: &str, second: &str) -> Vec<Conversation> {
    let mut by: BTreeMap<(u32, &str), Encoded> = BTreeMap::new();
    for t in turns {
        let level = usize::from(t.row.factors.get(factor).is_some_and(|l| l == second));
        let c = by.entry((t.row.group, &t.row.condition)).or_insert((level, vec![]));
        c.1.extend_from_slice(&features[t.tokens.clone()]);
    }
    by.into_iter().map(|((group, _), (level, tokens))| Conversation { group, level, mean: mean(&tokens) }).collect()
}

/// Log-odds of a right answer per standard deviation of a feature's mean in the turn, with its error.
fn next_answer(turns: &[Turn], features: &[Vec<Active>], feature: u32) -> Option<(f64, f64)> {
    let value = |t: &Turn| {
        let of = features[t.tokens.clone()].iter().flatten().filter(|a| a.index == feature);
        of.map(|a| f64::from(a.value)).sum::<f64>() / t.tokens.len().max(1) as f64
    };
    let v: Vec<f64> = turns.iter().map(value).collect();
    let n = v.len() as f64;
    let m = v.iter().sum::<f64>() / n;
    let sd = (v.iter().map(|x| (x - m).powi(2)).sum::<f64>() / n).sqrt();
    let data = turns.iter().zip(&v).flat_map(|(t, x)| [1.0, (x - m) / sd, f64::from(t.row.turn)]).collect();
    let y: Vec<bool> = turns.iter().map(|t| t.row.correct).collect();
    let groups: Vec<u32> = turns.iter().map(|t| t.row.group).collect();
    let c = clustered_logit(&Matrix { data, cols: 3 }, &y, &groups).ok()?;
    Some((c[1].estimate, c[1].se))
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<GemmaScope>("gemma-scope", "Features of sparse autoencoders by factor", env!("CARGO_PKG_VERSION"))
}
