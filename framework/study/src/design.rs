//! Counts the tokens that the design's conversations need.
use crate::Result;
use crate::lists::{Lists, PlannedItem};
use crate::planned::PlannedCondition;
use crate::rehearsal::{Course, MadeUp, Rehearsed, opening};
use friction_checkpoint::{ChatTemplate, Tokenizer};
use friction_core::manifest::{Manifest, Path};
use friction_core::{ChatMessage, Dataset, Goal, NeutralText, TextCodec, plural};
use std::collections::BTreeSet;

/// Largest number of conversations that are all counted. Of a larger study, some are.
const COUNTED: usize = 4096;

/// Number of conversations that are counted of a larger study, in groups spread evenly over it. Its longest groups are
/// counted too.
const SPREAD: usize = 1024;

/// The template's own tokens around a message, at most.
const AROUND: usize = 48;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Tokens of all user messages and openings, template included. If groups were left out, extrapolated from those
    /// counted.
    pub user_tokens: u64,
    /// Positions that the longest counted conversation needs if every reply is as long as allowed.
    pub longest: usize,
    /// Positions that the longest counted conversation needs if every reply is empty: its messages and given replies.
    pub prompt: usize,
    /// Tokens that the longest aside adds to a conversation, its reply included.
    pub fork_tokens: usize,
    /// Turns of the longest counted conversation.
    pub turns: usize,
    /// Turns of all counted conversations, one a group and condition.
    pub rows: u64,
    /// Number of groups that were counted.
    pub groups: usize,
}

impl Lengths {
    /// Says that the longest conversation is longer than a model's context, at the key by which it could be shorter; `None`
    /// if it is not.
    pub fn beyond(&self, m: &Manifest, context: usize) -> Option<(Path, String)> {
        let (turns, key) = (plural(self.turns, "turn"), |section: &str, k: &str| Path::default().key(section).key(k));
        if self.longest <= context {
            return None;
        }
        // No length of replies would do.
        if self.prompt > context {
            let fewer = if self.turns > 1 { "lower `turns`, shorten" } else { "shorten" };
            let message = format!(
                "the messages of a conversation of {turns} alone need up to {} positions, without any new token, but the model's context is {context}; {fewer} what is said, or take a model with a longer context",
                self.prompt
            );
            let by = if m.study.turns.is_some() { "turns" } else { "items" };
            return Some((if self.turns > 1 { key("study", by) } else { Path::default().key("dataset") }, message));
        }
        let message = format!(
            "a conversation of {turns} with up to {} each needs up to {} positions, but the model's context is {context}; lower `turns` or `max_new_tokens`",
            plural(m.generation.max_new_tokens, "new token"),
            self.longest
        );
        Some((key("generation", "max_new_tokens"), message))
    }
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
        let all = |of: u64| (of as f64 / even.groups as f64 * groups as f64) as u64;
        Ok(Lengths {
            user_tokens: all(even.user_tokens),
            rows: all(even.rows),
            turns: even.turns.max(long.turns),
            longest,
            prompt: even.prompt.max(long.prompt),
            groups: even.groups + long.groups,
            ..even
        })
    }

    /// Counts the conversations of groups.
    ///
    /// # Errors
    /// As for [`Counter::study`].
    pub fn groups(&self, groups: impl IntoIterator<Item = usize>) -> Result<Lengths> {
        let m = self.manifest;
        let forced = self.neutral.map(|text| self.tokens(&text.reply)).transpose()?.unwrap_or(0);
        let mut out = Lengths { fork_tokens: self.fork()?, ..Lengths::default() };
        for g in groups.into_iter().collect::<BTreeSet<_>>() {
            let list = self.lists.group(self.dataset, g)?;
            out.groups += 1;
            for c in self.conditions {
                let before = opening(self.dataset, c.plugin.as_ref(), (m.study.seed, g), &list)?;
                let course = Course::new(c.plugin.as_ref(), &list, m.study.most_turns());
                let (mut tokens, mut longest, mut prompt, mut turns) = (0, 0, 0, 0);
                for told in self.rehearsals(c, &course, g, &list)? {
                    let (user, whole, bare) = self.conversation(&before, &told, c.plugin.bounds().message_tokens)?;
                    tokens = tokens.max(user);
                    (longest, prompt) = (longest.max(whole), prompt.max(bare));
                    turns = turns.max(told.len());
                    if m.options.option_shifts > 1 {
                        out.fork_tokens = out.fork_tokens.max(self.shifted(&told)?);
                    }
                }
                out.user_tokens += tokens;
                out.rows += turns as u64;
                out.turns = out.turns.max(turns);
                out.longest = out.longest.max(longest + forced + out.fork_tokens);
                out.prompt = out.prompt.max(prompt + forced);
            }
        }
        Ok(out)
    }

    /// A condition's conversation with made-up replies. One that reads the history is asked with right, wrong and
    /// ungraded replies of the longest length.
    ///
    /// # Errors
    /// If the condition fails.
    pub fn rehearsals(
        &self,
        c: &PlannedCondition,
        course: &Course,
        group: usize,
        list: &[PlannedItem],
    ) -> Result<Vec<Vec<Rehearsed>>> {
        let listens = c.plugin.bounds().reads_history;
        // Each of these words takes a token or more.
        let words = if listens { self.manifest.generation.max_new_tokens } else { 1 };
        let (text, ids) = (vec!["word"; words].join(" "), vec![0; words]);
        let scores = if listens { vec![Some(1.0), Some(0.0), None] } else { vec![None] };
        let hold = |score| {
            let made_up = MadeUp { text: &text, ids: &ids, codec: &Same(&text), score, forgiving: true };
            Ok(made_up.hold(c, course, (self.manifest.study.seed, group), list)?)
        };
        scores.into_iter().map(hold).collect()
    }

    /// Tokens of a conversation's messages, template included, and positions that it needs if every reply is as long
    /// as allowed, and if every generated reply is empty. A turn that reads no exchange before it is a prompt of its own.
    fn conversation(
        &self,
        before: &[ChatMessage],
        told: &[Rehearsed],
        message: Option<usize>,
    ) -> Result<(u64, usize, usize)> {
        let needs =
            told.iter().enumerate().map(|(t, turn)| self.reply(turn, t, message)).collect::<Result<Vec<_>>>()?;
        // The last turn that reads the exchanges before it; they are the longest prompt of this kind.
        let reads = told.iter().rposition(|turn| turn.ask.history.is_kept());
        let generated = |turn: &Rehearsed| match turn.ask.replay.is_some() {
            true => 0,
            false => self.manifest.generation.max_new_tokens,
        };
        let (mut all, mut longest, mut prompt) = (0, 0, 0);
        let mut count = |messages: &[ChatMessage], turns: std::ops::RangeInclusive<usize>| -> Result<()> {
            let tokens = self.tokenizer.encode(&self.template.render(messages)?)?.len();
            let whole = tokens + needs[turns.clone()].iter().sum::<usize>();
            let empty = whole - told[turns].iter().map(generated).sum::<usize>();
            (all, longest, prompt) = (all + tokens as u64, longest.max(whole), prompt.max(empty));
            Ok(())
        };
        let said = |turn: &Rehearsed, told: &str| ChatMessage::user(format!("{told}{}", turn.ask.text));
        let end = |last: bool| match self.neutral.filter(|_| last) {
            Some(text) => vec![ChatMessage::assistant("…"), ChatMessage::user(text.user.clone())],
            None => vec![],
        };
        if let Some(last) = reads {
            let mut messages = before.to_vec();
            for (t, turn) in told[..=last].iter().enumerate() {
                messages.push(said(turn, ""));
                if t < last {
                    messages.push(ChatMessage::assistant("…"));
                }
            }
            messages.extend(end(last + 1 == told.len()));
            count(&messages, 0..=last)?;
        }
        for (t, turn) in told.iter().enumerate().filter(|(_, turn)| !turn.ask.history.is_kept()) {
            let user = [said(turn, turn.ask.history.told())];
            count(&[before, &user, &end(t + 1 == told.len())].concat(), t..=t)?;
        }
        Ok((all, longest, prompt))
    }

    /// Tokens that a turn with so many turns before it needs beside its message: of its reply, what opens that, and what may
    /// make the message longer.
    fn reply(&self, turn: &Rehearsed, before: usize, message: Option<usize>) -> Result<usize> {
        // Re-tokenised borders and a condition's marker take a few tokens beyond the reply's own.
        const SLACK: usize = 16;
        let longer = match message {
            Some(most) => most.saturating_sub(self.tokens(&turn.ask.text)?),
            None => 0,
        };
        // Filler up to the length of whole replies takes no more than these do, which are counted.
        let filler = match turn.ask.filler.as_ref().map(|f| f.goal) {
            Some(Goal::Beyond(tokens)) => tokens,
            Some(Goal::Whole) | None => 0,
        };
        // Replies that are told in a message are in its text; their borders are not.
        let told = if turn.ask.history.told().is_empty() { 0 } else { SLACK * before };
        let given = turn.ask.replay.as_deref().map(|text| self.tokens(text)).transpose()?;
        // A model may have spelled its reply in more tokens than the tokenizer does.
        let given = given.max(turn.ask.replay_tokens.as_ref().map(|t| t.ids.len()));
        let prefill = turn.ask.prefill.as_deref().map(|text| self.tokens(text)).transpose()?;
        let reply = given.unwrap_or(self.manifest.generation.max_new_tokens);
        Ok(longer + filler + told + prefill.unwrap_or(0) + reply + SLACK)
    }

    /// Tokens of the longest message that may be asked on a fork with its choices shifted. Another order may be tokenised a
    /// little longer.
    fn shifted(&self, told: &[Rehearsed]) -> Result<usize> {
        let of = |turn: &Rehearsed| {
            let prefill = turn.ask.prefill.as_deref().unwrap_or("");
            Ok(self.tokens(&turn.ask.text)? + self.tokens(prefill)? + AROUND)
        };
        told.iter().map(of).try_fold(0, |most, n: Result<usize>| Ok(most.max(n?)))
    }

    /// Tokens of a text.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn tokens(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.encode(text)?.len())
    }

    /// Tokens that the longest aside adds to a conversation, its reply included; 0 if there are no asides.
    fn fork(&self) -> Result<usize> {
        let mut most = 0;
        for a in &self.manifest.asides {
            let mut reply = a.max_new_tokens.unwrap_or(1);
            for choice in &a.choices {
                reply = reply.max(self.tokens(choice)?);
            }
            most = most.max(self.tokens(&a.user)? + self.tokens(a.prefill.as_deref().unwrap_or(""))? + reply + AROUND);
        }
        Ok(most)
    }
}

/// Decodes the ids of a made-up reply, of which each stands for a word, to as many words.
struct Same<'a>(&'a str);

impl TextCodec for Same<'_> {
    fn decode(&self, ids: &[u32]) -> friction_core::Result<String> {
        Ok(self.0.split_inclusive(' ').take(ids.len()).collect())
    }
}
