//! `patch`: asks, behind each turn, for forks with the activations of other conversations.
use crate::arms::{Arm, DRIFT, reading};
use crate::options::Patch;
use crate::stored::Stored;
use crate::talks::{Key, Said, Talks, short};
use crate::{ends, given};
use friction_core::program::EditAt;
use friction_core::{
    BuildContext, Coming, Edit, EditOp, Error, Fork, Hook, HookProgram, ModelSpec, Peer, PluginConfig, PluginEntry,
    Readings, Result, Site, Spoken, Tap, TapView, has_levels,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl PluginConfig for Patch {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let Some(study) = &cx.study else { return Err(Error::config("`patch` needs the section `[study]`")) };
        let from = match &self.run {
            Some(run) => From::Run(Box::new(Stored::open(run, self, cx, study.groups)?)),
            None => From::Group(Talks::default()),
        };
        Ok(Box::new(Patching { options: self.clone(), samples: study.samples as u32, from, cx: cx.clone() }))
    }
}

/// Where activations come from.
enum From {
    /// A finished run.
    Run(Box<Stored>),
    /// The other conversations of the group. The design's first groups, once they are foreseen.
    Group(Talks),
}

struct Patching {
    options: Patch,
    samples: u32,
    from: From,
    /// Where the model's tokenizer and chat template are found.
    cx: BuildContext,
}

/// The output of the last block among sites.
fn last(sites: impl Iterator<Item = Site>) -> Option<Site> {
    sites.filter(|s| matches!(s, Site::ResidPost(_))).max_by_key(|s| s.layer())
}

/// The rows of a site in a turn, `[tokens × width]`.
fn concat(taps: &[TapView], site: Site, turn: &Spoken) -> Result<Vec<f32>> {
    let rows = taps.iter().find(|t| t.tap.site == site).map_or(&[][..], |t| t.rows);
    let has = rows.iter().filter(|row| row.iter().all(|v| v.is_finite())).count();
    let place = || format!("turn {} of group {}, condition `{}`", turn.turn, turn.group, turn.condition);
    match has == rows.len() {
        true => Ok(rows.concat()),
        false => Err(short(&place(), has, rows.len())),
    }
}

/// Hands out the activations of a conversation in the turn in question; `None` if it has ended before.
type Rows<'a> = &'a dyn Fn(&Key, Site) -> Result<Option<Vec<f32>>>;

impl Patching {
    fn talks(&self) -> &Talks {
        match &self.from {
            From::Run(stored) => &stored.donors.talks,
            From::Group(talks) => talks,
        }
    }

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
        if o.controls() > 0 {
            out.push(Arm::State);
            out.extend((0..o.controls()).map(Arm::Control));
        }
        if o.subspace() > 0 {
            out.extend([Arm::Subspace, Arm::Complement]);
        }
        out
    }

    /// What pairs the conversation that a turn belongs to; `None` if the turn does not enter.
    fn key(&self, turn: &Spoken) -> Option<Key> {
        let o = &self.options;
        let enters = turn.arm.is_empty() && turn.turn >= o.first_turn && turn.factors.contains_key(&o.factor);
        let key = (turn.group as u32, turn.sample as u32, turn.factors.clone());
        (enters && has_levels(turn.factors, &o.only)).then_some(key)
    }

    /// The forks of a turn; none if its partner has ended.
    fn asked(&self, key: &Key, turn: &Spoken, taps: &[TapView], rows: Rows) -> Result<Vec<Fork>> {
        let (partner, placebo) = (self.talks().partner(key), self.talks().placebo(key));
        let end = last(taps.iter().map(|t| t.tap.site));
        let mut out = vec![];
        let mut ask = |arm, site: Site, v: Vec<f32>| {
            out.push(Fork { name: reading(arm, site), given: vec![(site.to_string(), Arc::from(v))] });
        };
        for tap in taps {
            let site = tap.tap.site;
            let Some(given) = rows(&partner, site)? else { return Ok(vec![]) };
            let width = tap.rows.first().map_or(0, Vec::len);
            let own = concat(taps, site, turn)?;
            if site == Site::Embed {
                self.talks().same_tokens(key, turn.turn, [&own, &given], width)?;
                ask(Arm::TestEmbed, site, given.clone());
            }
            if Some(site) == end {
                ask(Arm::TestLast, site, given.clone());
            }
            if self.options.sites.contains(&site) {
                ask(Arm::Own, site, own.clone());
                if let Some(placebo) = &placebo
                    && let Some(v) = rows(placebo, site)?
                {
                    ask(Arm::Placebo, site, v);
                }
                if let From::Run(stored) = &self.from {
                    let all = stored.vectors(key, turn.turn, site, [&own, &given], width);
                    all.into_iter().for_each(|(arm, v)| ask(arm, site, v));
                }
                ask(Arm::Partner, site, given);
            }
        }
        Ok(out)
    }
}

impl Hook for Patching {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let (o, sites) = (&self.options, self.sites(model));
        let mut program = HookProgram::default();
        let mut digest = "the group".to_string();
        if let From::Run(stored) = &self.from {
            let run = stored.donors.path.display();
            // Sites that the model lacks are reported by the program's check, at `sites`.
            let known = sites.iter().all(|s| model.width(*s).is_ok());
            for (key, site) in
                stored.donors.talks.paired.first().into_iter().flat_map(|k| sites.iter().map(move |s| (k, s)))
            {
                let Some(width) = model.width(*site).ok().filter(|_| known) else { continue };
                let held = stored.donors.stored(key, *site)?.shape[2];
                if held != width {
                    let what = format!("`{site}` is {held} wide in {run}, and {width} in this model");
                    return Err(Error::at("run", what).help("both runs must be of the same model"));
                }
            }
            digest.clone_from(&stored.digest);
            program.readings.push(DRIFT.into());
        }
        for site in sites {
            program.unstored.push(Tap { site, position: o.position });
            program.edits.push(Edit {
                name: site.to_string(),
                site,
                at: EditAt::PromptTail(o.tokens()),
                turns: None,
                gate: None,
                op: EditOp::Replace { width: model.width(site).unwrap_or(model.hidden), digest: digest.clone() },
            });
            if o.sites.contains(&site) {
                program.readings.extend(self.arms().into_iter().map(|arm| reading(arm, site)));
            }
        }
        let end = last(program.unstored.iter().map(|t| t.site)).unwrap_or(Site::Embed);
        program.readings.extend([reading(Arm::TestEmbed, Site::Embed), reading(Arm::TestLast, end)]);
        Ok(program)
    }

    fn reads_group(&self) -> bool {
        matches!(self.from, From::Group(_))
    }

    fn foresee(&mut self, coming: &[Coming]) -> Result<Vec<String>> {
        let o = &self.options;
        if let From::Group(talks) = &mut self.from {
            let mut held = Talks::of("this study".into(), "factor");
            for c in coming.iter().filter(|c| c.factors.contains_key(&o.factor)) {
                for sample in 0..self.samples {
                    let said = Said { item: c.item.into(), ..Said::default() };
                    held.add((c.group as u32, sample, c.factors.clone()), c.condition, c.turn as u32, said)?;
                }
            }
            *talks = held.pair(o)?;
        }
        if !coming.is_empty() {
            o.selects(coming.iter().map(|c| c.factors), "this study")?;
        }
        let enters = |c: &&Coming| c.factors.contains_key(&o.factor) && has_levels(c.factors, &o.only);
        let (coming, others): (Vec<&Coming>, Vec<&Coming>) = coming.iter().partition(enters);
        let Some(turns) = coming.iter().map(|c| c.turn).max() else {
            let what = format!("no condition of this study that `where` selects has the factor `{}`", o.factor);
            return Err(
                Error::at("factor", what).help("nothing would be patched: give conditions the factors of `run`")
            );
        };
        if turns < o.first_turn {
            let what = format!(
                "`first_turn` is {}, and the conversations have {turns} turns: nothing would be patched",
                o.first_turn
            );
            return Err(
                Error::at("first_turn", what).help(format!("set it to {turns} or lower, or raise `study.turns`"))
            );
        }
        match &self.from {
            From::Run(stored) => {
                let placebos = stored.donors.talks.placebos();
                let giving: Vec<&Coming> = others.into_iter().filter(|c| placebos.contains(c.factors)).collect();
                stored.facts.check(&stored.donors, &coming, &giving)?;
            }
            From::Group(talks) => {
                given::check(talks, &coming)?;
                ends::check(&self.cx, talks, &coming, o)?;
            }
        }
        let selected: BTreeSet<(&str, &str)> = coming.iter().filter_map(|c| Some((c.condition, c.ends_on?))).collect();
        let told = |(condition, option): (&str, &str)| {
            format!(
                "the condition `{condition}` may end by `{option}`, on what was said or how it was graded: no turn behind an end is patched, so which units enter depends on the outcome; leave `{option}` out, let it read `turn` alone, or leave the condition out with `where`"
            )
        };
        Ok(selected.into_iter().map(told).collect())
    }

    fn read(&self, turn: &Spoken, taps: &[TapView]) -> Result<Readings> {
        match (&self.from, self.key(turn)) {
            (From::Run(stored), Some(key)) => Ok([(DRIFT.to_string(), stored.drift(&key, turn, taps)?)].into()),
            _ => Ok(Readings::new()),
        }
    }

    fn forks(&self, turn: &Spoken, taps: &[TapView], peers: &[Peer]) -> Result<Vec<Fork>> {
        let Some(key) = self.key(turn) else { return Ok(vec![]) };
        if let From::Run(stored) = &self.from {
            return self.asked(&key, turn, taps, &|key, site| stored.rows(key, site, turn.turn));
        }
        let untouched = peers.iter().filter(|p| p.turn.arm.is_empty());
        let by: BTreeMap<Key, &Peer> =
            untouched.map(|p| ((p.turn.group as u32, p.turn.sample as u32, p.turn.factors.clone()), p)).collect();
        self.asked(&key, turn, taps, &|key, site| by.get(key).map(|p| concat(&p.taps, site, &p.turn)).transpose())
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Patch>("patch", "Puts activations of a paired conversation in place of a conversation's own", env!("CARGO_PKG_VERSION"))
}
