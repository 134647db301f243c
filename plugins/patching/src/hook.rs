//! `patch`: asks, behind each turn, for forks with the activations of other conversations.
use crate::arms::{Arm, DRIFT, reading};
use crate::donors::{Donors, Key};
use crate::options::Patch;
use crate::state::{Differences, discovery, subspaces};
use crate::vectors::within;
use friction_core::program::EditAt;
use friction_core::seed::derive;
use friction_core::{
    BuildContext, Edit, EditOp, Error, Fork, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Readings, Result,
    Site, Spoken, Tap, TapView,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Largest difference between a conversation's activations and those that the other run stored, as a share of their norm.
/// Rounding in bf16 stays below it.
const MOST_DRIFT: f64 = 0.05;

/// Fewest groups of which each has a mean difference of the others.
const FEWEST: usize = 3;

impl PluginConfig for Patch {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let Some(study) = &cx.study else { return Err(Error::config("`patch` needs the section `[study]`")) };
        let groups = study.groups;
        if self.controls > 0 && groups < FEWEST {
            let what = format!("`state` is the mean of the other groups, and the study has {groups}");
            return Err(Error::at("controls", what).help("raise `study.groups`, or set `controls = 0`"));
        }
        if self.subspace > 0 && groups < 2 {
            let what = "the subspace is found in other groups, and the study has one";
            return Err(Error::at("subspace", what).help("raise `study.groups`, or set `subspace = 0`"));
        }
        let donors = Donors::open(&cx.base.join(&self.run), self, groups)?;
        donors.same_tokens(self.first_turn)?;
        let seed = derive(&[&cx.seed.to_le_bytes(), b"patch"]);
        let found_in = discovery(groups, self.discovery, cx.seed);
        let axes = subspaces(&donors, self, &found_in, seed)?;
        let differences = match self.controls {
            0 => Differences::default(),
            _ => Differences::read(&donors, self, seed)?,
        };
        let digest = donors.digest()?;
        Ok(Box::new(Patching { options: self.clone(), donors, digest, differences, axes, discovery: found_in }))
    }
}

struct Patching {
    options: Patch,
    donors: Donors,
    digest: String,
    differences: Differences,
    axes: BTreeMap<Site, Vec<Vec<f64>>>,
    discovery: BTreeSet<u32>,
}

/// The output of the last block among sites.
fn last(sites: impl Iterator<Item = Site>) -> Option<Site> {
    sites.filter(|s| matches!(s, Site::ResidPost(_))).max_by_key(|s| s.layer())
}

impl Patching {
    /// All sites that are read and replaced: those of the options and those of the two tests.
    fn sites(&self, model: &ModelSpec) -> Vec<Site> {
        let mut out = self.options.sites.clone();
        let tests = [Site::Embed, Site::ResidPost(model.layers.saturating_sub(1))];
        out.extend(tests.iter().filter(|s| !self.options.sites.contains(s)));
        out
    }

    /// The arms that are run at each of the sites of the options.
    fn arms(&self) -> Vec<Arm> {
        let o = &self.options;
        let mut out = vec![Arm::Own, Arm::Partner];
        out.extend(o.placebo.as_ref().map(|_| Arm::Placebo));
        if o.controls > 0 {
            out.push(Arm::State);
            out.extend((0..o.controls).map(Arm::Control));
        }
        if o.subspace > 0 {
            out.extend([Arm::Subspace, Arm::Complement]);
        }
        out
    }

    /// The stored conversation that a turn belongs to; `None` if the turn does not enter.
    fn key(&self, turn: &Spoken) -> Option<Key> {
        let o = &self.options;
        let enters = turn.arm.is_empty() && turn.turn >= o.first_turn && turn.factors.contains_key(&o.factor);
        let key = (turn.group as u32, turn.sample as u32, turn.factors.clone());
        (enters && friction_core::has_levels(turn.factors, &o.only)).then_some(key)
    }

    /// Checks that the conversation is the stored one, and returns how far its activations are from the stored ones.
    fn drift(&self, key: &Key, turn: &Spoken, taps: &[TapView]) -> Result<f64> {
        let run = self.options.run.display();
        let help = "say the conversations again word for word: with the same manifest, or by replaying that run";
        let talk = self.donors.talk(key)?;
        let stored = talk.turns.get(&(turn.turn as u32)).map(|(_, reply)| reply.as_str());
        // The stored reply holds its prefill too.
        if !stored.is_some_and(|reply| reply.ends_with(turn.reply)) {
            let (said, reply) = (turn.reply, stored.unwrap_or("nothing"));
            return Err(Error::at("run", format!("the reply is {said:?}, and in {run} it was {reply:?}")).help(help));
        }
        let mut most = 0f64;
        for tap in taps {
            let stored = self.donors.rows(key, tap.tap.site, turn.turn)?;
            let own = tap.rows.concat();
            let square = |v: f64| v * v;
            let off: f64 = own.iter().zip(&stored).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
            let size: f64 = stored.iter().map(|v| square(f64::from(*v))).sum();
            let share =
                if own.len() == stored.len() { (off / size.max(f64::MIN_POSITIVE)).sqrt() } else { f64::INFINITY };
            if share > MOST_DRIFT {
                let (site, off) = (tap.tap.site, 100.0 * share);
                let what = format!("its activations at `{site}` differ by {off:.1} % from those that {run} stored");
                return Err(Error::at("run", what).help(help));
            }
            most = most.max(share);
        }
        Ok(most)
    }

    /// What stands in place of a conversation's own activations at a site, by arm.
    fn vectors(&self, key: &Key, turn: usize, site: Site, own: &[f32], width: usize) -> Result<Vec<(Arm, Vec<f32>)>> {
        let partner = self.donors.rows(&self.donors.partner(key), site, turn)?;
        let mut out = vec![(Arm::Own, own.to_vec())];
        if let Some(placebo) = self.donors.placebo(key) {
            out.push((Arm::Placebo, self.donors.rows(&placebo, site, turn)?));
        }
        let pair = self.donors.pair(key);
        if let Some(state) = self.differences.state(&pair, turn, site, key.0) {
            let (sign, end) = (self.donors.sign(key), &own[own.len() - width..]);
            let moved = |v: &[f64]| end.iter().zip(v).map(|(x, v)| (f64::from(*x) + sign * v) as f32).collect();
            out.push((Arm::State, moved(&state.mean)));
            out.extend(state.controls.iter().enumerate().map(|(k, v)| (Arm::Control(k), moved(v))));
        }
        if let Some(axes) = self.axes.get(&site).filter(|_| !self.discovery.contains(&key.0)) {
            let (mut inside, mut outside) = (vec![], vec![]);
            for (own, partner) in own.chunks(width).zip(partner.chunks(width)) {
                let d: Vec<f64> = partner.iter().zip(own).map(|(p, o)| f64::from(*p) - f64::from(*o)).collect();
                for ((own, partner), p) in own.iter().zip(partner).zip(within(axes, &d)) {
                    inside.push((f64::from(*own) + p) as f32);
                    outside.push((f64::from(*partner) - p) as f32);
                }
            }
            out.extend([(Arm::Subspace, inside), (Arm::Complement, outside)]);
        }
        out.push((Arm::Partner, partner));
        Ok(out)
    }
}

impl Hook for Patching {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let (o, sites) = (&self.options, self.sites(model));
        // Sites that the model lacks are reported by the program's check, at `sites`.
        if let (Some(key), true) = (self.donors.paired.first(), sites.iter().all(|s| model.width(*s).is_ok())) {
            for site in &sites {
                let (stored, width) = (self.donors.stored(key, *site)?.shape[2], model.width(*site)?);
                if stored != width {
                    let what = format!("`{site}` is {stored} wide in {}, and {width} in this model", o.run.display());
                    return Err(Error::at("run", what).help("both runs must be of the same model"));
                }
            }
        }
        let mut program = HookProgram { readings: vec![DRIFT.into()], ..HookProgram::default() };
        for site in sites {
            program.unstored.push(Tap { site, position: o.position });
            program.edits.push(Edit {
                name: site.to_string(),
                site,
                at: EditAt::PromptTail(o.tokens()),
                turns: None,
                gate: None,
                op: EditOp::Replace { width: model.width(site).unwrap_or(model.hidden), digest: self.digest.clone() },
            });
            if o.sites.contains(&site) {
                program.readings.extend(self.arms().into_iter().map(|arm| reading(arm, site)));
            }
        }
        let end = last(program.unstored.iter().map(|t| t.site)).unwrap_or(Site::Embed);
        program.readings.extend([reading(Arm::TestEmbed, Site::Embed), reading(Arm::TestLast, end)]);
        Ok(program)
    }

    fn read(&self, turn: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let Some(key) = self.key(turn) else { return Ok(Readings::new()) };
        Ok([(DRIFT.to_string(), self.drift(&key, turn, taps)?)].into())
    }

    fn forks(&self, turn: &Spoken, taps: &[TapView]) -> Result<Vec<Fork>> {
        let Some(key) = self.key(turn) else { return Ok(vec![]) };
        let partner = self.donors.partner(&key);
        let end = last(taps.iter().map(|t| t.tap.site));
        let mut out = vec![];
        let mut ask = |arm, site: Site, v: Vec<f32>| {
            out.push(Fork { name: reading(arm, site), given: vec![(site.to_string(), Arc::from(v))] });
        };
        for tap in taps {
            let site = tap.tap.site;
            let width = tap.rows.first().map_or(0, Vec::len);
            if site == Site::Embed || Some(site) == end {
                let arm = if site == Site::Embed { Arm::TestEmbed } else { Arm::TestLast };
                ask(arm, site, self.donors.rows(&partner, site, turn.turn)?);
            }
            if self.options.sites.contains(&site) {
                let all = self.vectors(&key, turn.turn, site, &tap.rows.concat(), width)?;
                all.into_iter().for_each(|(arm, v)| ask(arm, site, v));
            }
        }
        Ok(out)
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Patch>("patch", "Puts activations of a paired conversation in place of a conversation's own", env!("CARGO_PKG_VERSION"))
}
