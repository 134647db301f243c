//! The option `held_out`: wordings that are kept for groups of their own.
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Error, Result, plural, seed};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Wordings that are said in other groups than the rest.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeldOut {
    /// The wordings that are held out, by their number in `user` from 0. At least one must be left.
    #[schemars(length(min = 1))]
    wordings: Vec<usize>,
    /// Share of the groups in which these wordings are said, and no others; in the other groups they are never said. Which
    /// groups is drawn by seed, alike in all conditions of the same share, and their number is exact, rounded. 0 holds the
    /// wordings back for a later study, which sets 1: a replication with wordings that no analysis has seen.
    #[schemars(extend("minimum" = 0.0, "maximum" = 1.0))]
    share: f64,
}

/// The wordings that a turn draws from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pools {
    /// The wordings of most groups.
    training: Vec<usize>,
    held: Vec<usize>,
    /// The groups in which held-out wordings are said.
    groups: BTreeSet<usize>,
}

impl Pools {
    /// All wordings in all groups.
    pub fn all(wordings: usize) -> Self {
        Self { training: (0..wordings).collect(), ..Self::default() }
    }

    /// The wordings of a group.
    pub fn of(&self, group: usize) -> &[usize] {
        if self.groups.contains(&group) { &self.held } else { &self.training }
    }
}

impl HeldOut {
    /// What is wrong whatever the study, of a template with so many wordings.
    pub fn check(&self, wordings: usize, faults: &mut Faults) {
        for (i, n) in self.wordings.iter().enumerate().filter(|(_, n)| **n >= wordings) {
            let has = plural(wordings, "wording");
            faults.add(Error::at(
                format!("held_out.wordings.{i}"),
                format!("there is no wording {n}: `user` has {has}, which count from 0"),
            ));
        }
        faults.when(self.wordings.is_empty(), "held_out.wordings", "`wordings` lists none");
        if let Some(n) = twice(&self.wordings) {
            faults.add(Error::at("held_out.wordings", format!("wording {n} is listed twice")));
        }
        let all = BTreeSet::from_iter(&self.wordings).len() >= wordings && wordings > 0;
        faults.when(all, "held_out.wordings", "all wordings are held out: nothing is left to say in the other groups");
        faults.when(!(0.0..=1.0).contains(&self.share), "held_out.share", "`share` must be from 0 to 1");
    }

    /// Draws the groups.
    ///
    /// # Errors
    /// If a share other than 0 and 1 leaves no group for one of the two pools.
    pub fn pools(&self, wordings: usize, cx: &BuildContext) -> Result<Pools> {
        let Some(study) = &cx.study else {
            return Err(Error::at("held_out", "this host does not tell how many groups the study has"));
        };
        let number = (self.share * study.groups as f64).round() as usize;
        if self.share > 0.0 && self.share < 1.0 && (number == 0 || number == study.groups) {
            let what = format!("a share of {} of {} is {number}", self.share, plural(study.groups, "group"));
            return Err(Error::at("held_out.share", what).help("set another share, or raise `study.groups`"));
        }
        let order = seed::permutation(study.groups, seed::derive(&[b"held out", &cx.seed.to_le_bytes()]));
        let training = (0..wordings).filter(|i| !self.wordings.contains(i)).collect();
        Ok(Pools { training, held: self.wordings.clone(), groups: order.into_iter().take(number).collect() })
    }
}
