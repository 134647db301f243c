//! What the hook holds of a finished run: its activations, and what is made of those of other groups.
use crate::arms::Arm;
use crate::donors::Donors;
use crate::options::Patch;
use crate::same::Facts;
use crate::state::{Differences, discovery, subspaces};
use crate::tail;
use crate::talks::Key;
use crate::vectors::within;
use friction_core::seed::derive;
use friction_core::{BuildContext, Error, Result, Site, Spoken, TapView};
use std::collections::{BTreeMap, BTreeSet};

/// Largest difference between a conversation's activations and those that the other run stored, as a share of their norm.
/// Rounding in bf16 stays below it.
const MOST_DRIFT: f64 = 0.05;

/// Fewest groups of which each has a mean difference of the others.
const FEWEST: usize = 3;

/// A finished run.
pub struct Stored {
    /// Its conversations and activations.
    pub donors: Donors,
    /// What it must share with this study.
    pub facts: Facts,
    /// Identifies its activations.
    pub digest: String,
    differences: Differences,
    axes: BTreeMap<Site, Vec<Vec<f64>>>,
    discovery: BTreeSet<u32>,
}

impl Stored {
    /// Opens the run at `run`, for a study of so many groups.
    ///
    /// # Errors
    /// If it does not fit the options, or groups are too few for them.
    pub fn open(run: &std::path::Path, options: &Patch, cx: &BuildContext, groups: usize) -> Result<Self> {
        if options.controls() > 0 && groups < FEWEST {
            let what = format!("`state` is the mean of the other groups, and the study has {groups}");
            return Err(Error::at("controls", what).help("raise `study.groups`, or set `controls = 0`"));
        }
        if options.subspace() > 0 && groups < 2 {
            let what = "the subspace is found in other groups, and the study has one";
            return Err(Error::at("subspace", what).help("raise `study.groups`, or set `subspace = 0`"));
        }
        let donors = Donors::open(&cx.base.join(run), options, groups)?;
        donors.same_tokens(options.first_turn)?;
        let seed = derive(&[&cx.seed.to_le_bytes(), b"patch"]);
        let discovery = discovery(groups, options.discovery(), cx.seed);
        let axes = subspaces(&donors, options, &discovery, seed)?;
        let differences = match options.controls() {
            0 => Differences::default(),
            _ => Differences::read(&donors, options, tokens(&donors, options, cx)?, seed)?,
        };
        let (digest, facts) = (donors.digest()?, Facts::new(cx, &donors));
        Ok(Self { donors, facts, digest, differences, axes, discovery })
    }

    /// Checks that the conversation is the stored one, and returns how far its activations are from the stored ones.
    ///
    /// # Errors
    /// If its reply is another, or its activations differ by more than rounding.
    pub fn drift(&self, key: &Key, turn: &Spoken, taps: &[TapView]) -> Result<f64> {
        let run = self.donors.path.display();
        let help = "say the conversations again word for word: with the same manifest, or by replaying that run";
        let talk = self.donors.talks.talk(key)?;
        let stored = talk.turns.get(&(turn.turn as u32)).map(|said| said.reply.as_str());
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

    /// The activations of a conversation, `[tokens × width]`; `None` if it had ended before the turn.
    ///
    /// # Errors
    /// If they are not stored.
    pub fn rows(&self, key: &Key, site: Site, turn: usize) -> Result<Option<Vec<f32>>> {
        match self.donors.talks.talk(key)?.turns.contains_key(&(turn as u32)) {
            true => self.donors.rows(key, site, turn).map(Some),
            false => Ok(None),
        }
    }

    /// What stands in place of a conversation's own activations at a site in the arms that need other groups.
    pub fn vectors(
        &self,
        key: &Key,
        turn: usize,
        site: Site,
        [own, partner]: [&[f32]; 2],
        width: usize,
    ) -> Vec<(Arm, Vec<f32>)> {
        let mut out = vec![];
        if let Some(state) = self.differences.state(&self.donors.talks.shared(key), turn, site, key.0) {
            let (sign, end) = (self.donors.talks.sign(key), &own[own.len().saturating_sub(state.mean.len())..]);
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
        out
    }
}

/// Number of tokens at which the state moves activations: those behind the user's message, as far as they are replaced.
fn tokens(donors: &Donors, options: &Patch, cx: &BuildContext) -> Result<usize> {
    if options.tokens() == 1 {
        return Ok(1);
    }
    let talks = donors.talks.paired.iter().map(|key| donors.talks.talk(key)).collect::<Result<Vec<_>>>()?;
    Ok(tail::behind(cx, talks.iter().flat_map(|talk| talk.turns.values()))?.min(options.tokens()))
}
