//! `mediation`: which sites carry what a condition does to the answer.
use crate::arms::{Arm, reading};
use crate::effects::{Exact, Rules, Total, effects};
use crate::units::Units;
use crate::verdict::{FEWEST_CONTROLS, FEWEST_GROUPS, guards};
use crate::{figure, report};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Factors, Filter, Findings, Foreseen, Needs, Outcome, PluginConfig, PluginEntry,
    Result, RunReader, Site, plural,
};
use serde::Deserialize;

/// Tells how much of what a condition does to the answer passes through a site. It reads the forks of a hook `patch`.
///
/// The outcome is the log-odds of the right choice. The total effect is the donor's minus the recipient's, both untouched;
/// the indirect effect of a fork is that of the patched recipient minus the untouched one. A share is the sum of indirect
/// effects over the sum of total effects, over all units (turns of groups, never only those whose answer changed), with an
/// interval over groups by Fieller's theorem. It is told in both directions: the condition's donor into the reference's conversations
/// and the other way round. Where the interval of the total effect holds 0, or it is below `smallest_total`, there is nothing to
/// share, and no share is told.
///
/// `state` is compared with its controls at all sites together (max-T): p counts, for each site, the controls whose largest
/// standardised effect at any site reaches that of `state` at this one.
///
/// A site *mediates the state* if in both directions `state` is beyond its controls (p ≤ 0.05) and changes `smallest` or more,
/// `partner` is beyond `placebo`, the subspace of discovery groups carries `smallest` or more, and all but the subspace clearly
/// less than `partner`. It does
/// not if `partner` carries surely less than `smallest` in both. Everything else cannot be told; nor can anything with fewer
/// than 8 groups or 19 controls, without an arm `state` (a `patch` without `run`), or where a test that must be 0 is more than `tolerance`.
///
/// Shares of `resid_post` are cumulative: a later one also carries what earlier layers wrote. They are never added up.
///
/// It writes:
/// - the table `sites`: a row for each site and direction, with all shares;
/// - the table `tests`: what must be 0, and the total effects;
/// - the table `controls`: the share of each control;
/// - the figure `sites`: shares by site, in both directions;
/// - the values `sites`, `totals`, `tests`, `drift` and, with `site`, `verdict`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mediation {
    /// Name of the hook that patches.
    #[serde(default = "hook")]
    pub hook: String,
    /// The factor whose levels were paired, as in the hook.
    #[schemars(example = &"completion")]
    pub factor: String,
    /// The level that stands for untouched, such as `complete`.
    #[schemars(example = &"complete")]
    pub reference: String,
    /// Turns that enter: levels of factors, as in the hook, or fewer of its turns. Default: all.
    #[serde(default, rename = "where")]
    pub only: Factors,
    /// The site of the verdict, named before the run. Default: none; every site is then explored, and there is no verdict.
    #[serde(default)]
    pub site: Option<Site>,
    /// First turn that enters, from 1, as in the hook, or a later one.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub first_turn: u32,
    /// Smallest total effect that is shared, in nats of log-odds. A condition that does less has nothing to mediate, however
    /// surely it does it: 0.2 nats are 5 points of probability at even odds.
    #[serde(default = "nats")]
    #[schemars(range(min = 0.0))]
    pub smallest_total: f64,
    /// Smallest share of interest: a site that carries surely less does not mediate.
    #[serde(default = "fifth")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub smallest: f64,
    /// Largest value, in nats, of the tests that must be 0. The default asks for exactly 0, which the processor gives in `f32`. On
    /// a GPU steps of one token and of many are computed by different kernels: set it to what rounding is there, such as 0.001,
    /// before the run.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub tolerance: f64,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    pub level: f64,
}
fn hook() -> String {
    "patch".into()
}
fn two() -> u32 {
    2
}
fn fifth() -> f64 {
    0.2
}
fn nats() -> f64 {
    0.2
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for Mediation {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        let range = "`smallest` is a share above 0 and below 1";
        faults.when(!(self.smallest > 0.0 && self.smallest < 1.0), "smallest", range);
        let finite = self.smallest_total.is_finite() && self.smallest_total >= 0.0;
        let allows = self.tolerance.is_finite() && self.tolerance >= 0.0;
        faults.when(!allows, "tolerance", "`tolerance` is a finite number of nats, 0 or more");
        faults.when(!finite, "smallest_total", "`smallest_total` is a finite number of nats, 0 or more");
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        let fixed = self.only.contains_key(&self.factor);
        faults.when(fixed, "where", "`where` fixes `factor`, whose two levels are compared: leave it out there");
        faults.end()
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Mediation {
    /// What the two directions are called: which level's activations go into which level's conversations.
    pub fn directions(&self, other: &str) -> [String; 2] {
        [format!("{} into {other}", self.reference), format!("{other} into {}", self.reference)]
    }
}

impl Analyzer for Mediation {
    fn needs(&self) -> Needs {
        let of = |reading: String| Outcome::Reading(format!("{}.{reading}", self.hook));
        // A reading that every hook `patch` has, and one that it has of each of its sites.
        let readings =
            [Some(of(reading(Arm::TestEmbed, Site::Embed))), self.site.map(|s| of(reading(Arm::Partner, s)))];
        Needs {
            outcomes: [Outcome::LogOdds].into_iter().chain(readings.into_iter().flatten()).collect(),
            choices: true,
            first_turn: Some(self.first_turn),
            pairs: vec![self.factor.clone()],
            reference: Some((self.reference.clone(), vec![self.factor.clone()])),
            filters: [("where".to_string(), Filter { levels: self.only.clone(), compared: vec![self.factor.clone()] })]
                .into(),
            // A turn that was not patched would enter totals, and no share.
            read_by: Some(self.hook.clone()),
            ..Needs::default()
        }
    }

    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let mut out = vec![];
        if study.groups < FEWEST_GROUPS {
            let told = plural(study.groups, "group");
            out.push(format!("no verdict can be told with {told}: at least {FEWEST_GROUPS} are needed"));
        }
        if let (Some(site), Some(readings)) = (self.site, study.readings) {
            let has = |arm: Arm| readings.contains(&format!("{}.{}", self.hook, reading(arm, site)));
            let controls = (0..FEWEST_CONTROLS).filter(|k| has(Arm::Control(*k))).count();
            let lacks = [
                (!has(Arm::State), "an arm `state`, which needs `run` and `controls`".to_string()),
                (controls < FEWEST_CONTROLS, format!("at least {FEWEST_CONTROLS} controls, for a p of 0.05")),
                (!has(Arm::Placebo), "an arm `placebo`".into()),
                (!has(Arm::Subspace), "an arm `subspace`".into()),
            ];
            if let Some((_, what)) = lacks.into_iter().find(|(lacks, _)| *lacks) {
                out.push(format!("no verdict can be told of `{site}`: the hook `{}` lacks {what}", self.hook));
            }
        }
        out
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let units = Units::of(run, self)?;
        if let Some(site) = self.site.filter(|s| !units.sites.contains(s)) {
            return Err(Error::at(
                "site",
                format!("`{site}` was not patched: the hook `{}` has other sites", self.hook),
            ));
        }
        let rules = Rules { level: self.level, seed: run.seed(), least: self.smallest_total };
        let names = self.directions(&units.other);
        let totals = [0, 1].map(|d| Total::of(&units, d, rules));
        let exact = [0, 1].map(|d| Exact::of(&units, d));
        let effects = [0, 1].map(|d| effects(&units, d, &totals[d], rules));
        let guards = guards(&units, &totals, (&exact, self.tolerance), &names);
        let found = report::Found { units: &units, names: &names, totals: &totals, exact: &exact, effects: &effects };
        report::headline(self, &found, &guards, out);
        report::warnings(&found, out);
        report::sites(self, &found, &guards, out);
        out.figure(figure::sites(self, &found)?);
        report::tests(self, &found, out);
        report::controls(&found, out);
        if units.controls > 0 && units.controls < FEWEST_CONTROLS {
            out.warn(format!("{} of the state cannot rank it at 5 %", plural(units.controls, "control")));
        }
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Mediation>("mediation", "Which sites carry what a condition does to the answer, by patching", env!("CARGO_PKG_VERSION"))
}
