//! `gemma-scope`: which features of a sparse autoencoder differ between two conditions, and do they predict worse answers, or
//! go with another outcome of the turns? It takes autoencoders and transcoders of any model: of Gemma Scope 2 by their short
//! names, those of other suites by their folder or file. It first reports the autoencoder's quality on the run's own
//! activations (FVU, L0, dead features), and interprets nothing where that is bad.
//!
//! How to read the code: [`encoded`] turns the run's tokens into features; [`questions`] says which turns may be
//! compared; [`features`] compares the factor's levels; [`confirm`] picks features on one half of the groups and tests
//! them on the other ([`halves`]); [`replicate`] looks for the same features in other autoencoders; [`sparse`] asks how
//! few features suffice for a probe; [`labels`] describes features; [`report`] writes the findings.
mod compared;
pub mod confirm;
pub mod encoded;
pub mod features;
pub mod halves;
pub mod labels;
pub mod limits;
pub mod options;
pub mod questions;
pub mod replicate;
pub mod report;
pub mod scope;
pub mod sparse;
mod told;
mod train;

use friction_checkpoint::{Checkpoint, sha256_of_files};
use friction_core::error::Faults;
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Foreseen, Needs, Outcome, PluginConfig, PluginEntry, Result,
    RunReader, Site,
};
use friction_sae::load::Found;
use options::GemmaScope;
use scope::Scope;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

impl PluginConfig for GemmaScope {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take(self.source().validate());
        for (i, name) in self.also.iter().enumerate() {
            let key = format!("also.{i}");
            if let Err(e) = self.other(name).validate() {
                faults.when(true, &key, e.to_string());
            }
            let again = self.also[..i].contains(name) || self.sae.as_ref() == Some(name);
            faults.when(
                again,
                &key,
                format!(
                    "`{name}` is listed already: `also` names other autoencoders in which the features are looked for"
                ),
            );
        }
        let share = |v: f64| (0.0..=1.0).contains(&v);
        faults.when(!share(self.min_rate), "min_rate", "`min_rate` is a share, from 0 to 1");
        faults.when(!share(self.fdr) || self.fdr == 1.0, "fdr", "`fdr` is a share, from 0 to below 1");
        faults.when(self.max_fvu.is_nan() || self.max_fvu <= 0.0, "max_fvu", "`max_fvu` must be above 0");
        let few = "`permutations` must be at least 20: the smallest possible p is 1 / (1 + permutations)";
        faults.when(self.permutations < 20, "permutations", few);
        faults.when(self.permutations > 1_000_000, "permutations", "`permutations` must be at most 1000000");
        let none = "`discover` must be at least 1: without a feature that is picked there is no verdict";
        faults.when(self.discover == 0, "discover", none);
        let outcome = self.outcome();
        if self.min_points.is_none() && !outcome.is_share() {
            let what = format!("`outcome = \"{outcome}\"` needs `min_points`: its default, 1, is in points of a share");
            let unit = if outcome.unit().is_empty() { "the outcome's unit" } else { outcome.unit() };
            let help = format!("give the smallest link that matters, in {unit} per standard deviation of the feature");
            faults.add(Error::at("outcome", what).help(help));
        }
        for (key, v) in [("min_effect", self.min_effect), ("min_points", self.min_points())] {
            let right = (0.0..f64::INFINITY).contains(&v);
            faults.when(!right, key, format!("`{key}` is a finite number, not below 0"));
        }
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.when(self.sparse.contains(&0), "sparse", "`sparse` lists numbers of features, from 1");
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        let found = self.source().find(&cx.base)?;
        let (reads, writes) = found.sites(self.site)?;
        let warning = fits(&found, (reads, writes), cx)?;
        let mut also = vec![];
        for name in &self.also {
            let other = self.other(name).find(&cx.base)?;
            let sites = other.sites(self.site)?;
            if sites != (reads, writes) {
                let what = format!("`also` names {name}, which reads `{}` and not `{reads}`", sites.0);
                return Err(Error::at("also", what));
            }
            fits(&other, sites, cx)?;
            also.push((name.clone(), other));
        }
        Ok(Box::new(Scope { options: self.clone(), found, also, reads, writes, warning, cx: cx.clone() }))
    }
}

/// Refuses an autoencoder of another model, by its width or by the name of the model that it was trained on; returns a warning
/// for one of another variant of the model (base or tuned). Weights stay in their files.
fn fits(found: &Found, (reads, writes): (Site, Site), cx: &BuildContext) -> Result<Option<String>> {
    let m = &cx.model;
    let checkpoint = Checkpoint::of(cx).map_err(Error::other)?;
    let spec = checkpoint.arch.spec(&m.source);
    let loaded = found.load()?;
    let p = &loaded.parameters;
    for (what, site, got) in [("reads", reads, p.input()), ("writes", writes, p.output())] {
        let width = spec.width(site)?;
        if got != width {
            return Err(Error::config(format!(
                "{} {what} {got} numbers, but `{site}` of {} is {width} wide: it belongs to another model",
                found.tensors.display(),
                m.source
            )));
        }
    }
    found.fits(&loaded, cx)
}

impl Analyzer for Scope {
    fn needs(&self) -> Needs {
        let sites: BTreeSet<Site> = [self.reads, self.writes].into();
        let taps = sites.into_iter().map(|s| (s, self.options.position)).collect();
        let (o, factor) = (&self.options, &self.options.factor);
        let one = |level: &String| {
            let levels = [(factor.clone(), level.clone())].into();
            ("level".to_string(), Filter { levels, compared: vec![] })
        };
        Needs {
            taps,
            factors: vec![factor.clone()],
            outcomes: o.outcome.iter().cloned().collect(),
            first_turn: Some(o.first_turn),
            levels: if o.level.is_none() { [(factor.clone(), 2)].into() } else { Default::default() },
            filters: o.level.iter().map(one).collect(),
            ..Needs::default()
        }
    }

    fn judges(&self) -> Vec<Outcome> {
        // Also where the option is left out, and the score is read if there is one.
        vec![self.options.outcome()]
    }

    fn fingerprint(&self) -> Result<Option<String>> {
        let others = self.also.iter().map(|(_, found)| found);
        let files: Vec<&Path> = [&self.found].into_iter().chain(others).flat_map(|found| found.files()).collect();
        sha256_of_files(&files).map(Some).map_err(Error::other)
    }

    fn settled(&self) -> Map<String, Value> {
        self.options.settled()
    }

    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let least = 2 * confirm::FEWEST - 1;
        let few = format!(
            "the verdict cannot be told with {} groups: half of them are used to pick features, and at least {} are needed to test them: {least} in all",
            study.groups,
            confirm::FEWEST
        );
        (study.groups < least).then_some(few).into_iter().collect()
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        report::write(self, run, out)
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<GemmaScope>("gemma-scope", "Features of sparse autoencoders by factor", env!("CARGO_PKG_VERSION"))
}
