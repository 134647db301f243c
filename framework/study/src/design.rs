//! Counts the tokens that the design's conversations need, and makes the context of a turn.
use crate::Result;
use crate::lists::{Lists, PlannedTurn};
use crate::plan::PlannedCondition;
use friction_core::manifest::Manifest;
use friction_core::{Dataset, NeutralText, TurnContext};
use friction_model::{ChatTemplate, ChatTurn, Tokenizer};
use std::collections::BTreeSet;

/// Largest number of conversations that are all counted. Of a larger study, some are.
const COUNTED: usize = 4096;

/// Number of conversations that are counted of a larger study, in groups spread evenly over it. Its longest groups are
/// counted too.
const SPREAD: usize = 1024;

/// Share of the model's context. If the longest counted conversation fills more, all of a large study are counted.
const NEAR: f64 = 0.9;

/// What is needed to count tokens.
pub(crate) struct Counter<'a> {
    pub manifest: &'a Manifest,
    pub conditions: &'a [PlannedCondition],
    pub dataset: &'a dyn Dataset,
    pub lists: &'a Lists,
    pub tokenizer: &'a Tokenizer,
    pub template: &'a ChatTemplate,
    pub neutral: Option<&'a NeutralText>,
}

/// Lengths of a study's conversations in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens of all user messages, template included. If groups were left out, extrapolated from those counted.
    pub user_tokens: u64,
    /// Positions that the longest counted conversation needs if every reply is as long as allowed.
    pub longest: usize,
    /// Number of groups that were counted.
    pub groups: usize,
}

impl Counter<'_> {
    /// Counts a study's conversations: all of a small study; of a large one the groups with the most text and groups
    /// spread over it. If these come near the model's context of `context` positions, all are counted.
    ///
    /// # Errors
    /// If a plugin, the template or the tokenizer fails.
    pub fn study(&self, context: usize) -> Result<Lengths> {
        let (groups, conditions) = (self.lists.groups(), self.conditions.len().max(1));
        if groups * conditions <= COUNTED {
            return self.groups(0..groups);
        }
        let spread = (SPREAD / conditions).max(1);
        let even = self.groups((0..spread).map(|i| i * groups / spread))?;
        let long = self.groups(self.lists.longest().iter().copied())?;
        let longest = even.longest.max(long.longest);
        if longest as f64 > NEAR * context as f64 && longest <= context {
            return self.groups(0..groups);
        }
        let each = even.user_tokens as f64 / even.groups as f64;
        Ok(Lengths { user_tokens: (each * groups as f64) as u64, longest, groups: even.groups + long.groups })
    }

    /// Counts the conversations of groups.
    ///
    /// # Errors
    /// As for [`Counter::study`].
    pub fn groups(&self, groups: impl IntoIterator<Item = usize>) -> Result<Lengths> {
        // Re-tokenised borders and a condition's marker take a few tokens beyond the reply's own.
        const SLACK: usize = 16;
        let m = self.manifest;
        let forced =
            self.neutral.map(|text| self.tokenizer.encode(&text.reply)).transpose()?.map_or(0, |ids| ids.len());
        let mut out = Lengths { user_tokens: 0, longest: 0, groups: 0 };
        for g in groups.into_iter().collect::<BTreeSet<_>>() {
            let group = self.lists.group(self.dataset, g)?;
            out.groups += 1;
            for c in self.conditions {
                let mut turns = vec![];
                for (t, turn) in group.iter().enumerate() {
                    let cx = context(m.study.seed, g, t, group.len(), turn);
                    turns.push(ChatTurn::user(c.plugin.ask(&cx)?.text));
                    if t + 1 < group.len() {
                        turns.push(ChatTurn::assistant("…"));
                    }
                }
                if let Some(text) = self.neutral {
                    turns.push(ChatTurn::assistant("…"));
                    turns.push(ChatTurn::user(text.user.clone()));
                }
                let n = self.tokenizer.encode(&self.template.render(&turns)?)?.len();
                out.user_tokens += n as u64;
                out.longest = out.longest.max(n + forced + group.len() * (m.generation.max_new_tokens + SLACK));
            }
        }
        Ok(out)
    }
}

/// The context of a turn. The argument `turn` counts from 0, [`TurnContext::turn`] from 1.
pub fn context<'a>(seed: u64, group: usize, turn: usize, turns: usize, planned: &'a PlannedTurn) -> TurnContext<'a> {
    TurnContext { seed, group, turn: turn + 1, turns, topic: &planned.topic, question: &planned.prompt }
}
