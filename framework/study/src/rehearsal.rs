//! Holds a conversation of the design with made-up replies, to see before a run what would be said.
use crate::lists::PlannedItem;
use crate::planned::PlannedCondition;
use friction_core::{
    Ask, ChatMessage, Condition, Dataset, Error, Exchange, Grade, Item, Kept, OpeningContext, Reply, Result, TextCodec,
    TurnContext,
};

/// A group's items as one condition asks them: the turns of its conversation.
#[derive(Debug, Clone)]
pub struct Course {
    /// For each turn, the index of its item, the round from 1, and the number of rounds.
    turns: Vec<(usize, usize, usize)>,
}

impl Course {
    /// The turns in which a condition asks a list of items, `most` at most.
    pub fn new(condition: &dyn Condition, list: &[PlannedItem], most: usize) -> Self {
        let mut turns = vec![];
        for (i, planned) in list.iter().enumerate() {
            let rounds = condition.rounds(&planned.item).max(1);
            turns.extend((1..=rounds).map(|round| (i, round, rounds)).take(most.saturating_sub(turns.len())));
        }
        Self { turns }
    }

    /// Number of turns.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// The item of a turn, which counts from 0; `None` after the last.
    pub fn item<'a>(&self, list: &'a [PlannedItem], turn: usize) -> Option<&'a PlannedItem> {
        self.turns.get(turn).and_then(|(i, ..)| list.get(*i))
    }

    /// The context of a turn of the first sample, which counts from 0 here and from 1 in the context; `None` after the
    /// last.
    pub fn context<'a>(
        &self,
        (seed, group): (u64, usize),
        list: &'a [PlannedItem],
        turn: usize,
        history: &'a [Exchange],
    ) -> Option<TurnContext<'a>> {
        let (i, round, rounds) = *self.turns.get(turn)?;
        let planned = list.get(i)?;
        Some(TurnContext {
            seed,
            group,
            sample: 0,
            turn: turn + 1,
            turns: self.turns.len(),
            round,
            rounds,
            topic: &planned.topic,
            item: &planned.item,
            prompt: planned.said(round),
            history,
        })
    }
}

/// The messages before the first turn of a conversation.
///
/// # Errors
/// If a plugin fails.
pub fn opening(
    dataset: &dyn Dataset,
    condition: &dyn Condition,
    (seed, group): (u64, usize),
    list: &[PlannedItem],
) -> Result<Vec<ChatMessage>> {
    let items: Vec<Item> = list.iter().map(|p| p.item.clone()).collect();
    let given = dataset.opening(&items)?;
    let messages = condition.opening(&OpeningContext { seed, group, items: &items, given: &given })?;
    match Item::opening_fault(&messages) {
        Some(fault) => Err(Error::config(format!("the condition {fault}, in group {group}"))),
        None => Ok(messages),
    }
}

/// What a condition asks in a turn.
///
/// # Errors
/// If the plugin fails, its message is empty and the dataset's is not, or it gives the tokens of a reply without its
/// text.
pub fn asked(condition: &dyn Condition, cx: &TurnContext) -> Result<Option<Ask>> {
    let ask = condition.ask(cx)?;
    let blank = |text: &str| text.trim().is_empty();
    // A recorded message may be empty. After a script, the dataset has no message.
    let recorded = blank(cx.prompt) && (cx.item.script.is_empty() || cx.round <= cx.item.script.len());
    if ask.as_ref().is_some_and(|ask| blank(&ask.text)) && !recorded {
        return Err(Error::config(format!(
            "the user's message about item `{}` is empty: give every branch of the condition something to say, or end the conversation there",
            cx.item.id
        )));
    }
    if ask.as_ref().is_some_and(|ask| ask.replay.is_none() && ask.replay_tokens.is_some()) {
        return Err(Error::config(
            "the condition gives the tokens of a reply and not its text: `replay` holds the text",
        ));
    }
    Ok(ask)
}

/// Names a turn of a conversation, from 1.
pub fn place(turn: usize, group: usize, condition: &str) -> String {
    format!("turn {turn} of group {group}, condition `{condition}`")
}

/// A made-up reply, the same in every turn.
pub struct MadeUp<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its token ids.
    pub ids: &'a [u32],
    /// Decodes parts of the ids.
    pub codec: &'a dyn TextCodec,
    /// How it is graded: 1, 0 or not at all.
    pub score: Option<f64>,
    /// Whether a condition that cannot keep the made-up reply keeps all of it. It may keep real ones.
    pub forgiving: bool,
}

/// A turn of a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsed {
    /// What the condition asks.
    pub ask: Ask,
    /// What the history keeps of the made-up reply; `None` in the last turn.
    pub kept: Option<Kept>,
}

impl MadeUp<'_> {
    /// Holds a conversation in which every reply is this one.
    ///
    /// # Errors
    /// If the condition fails.
    pub fn hold(
        &self,
        condition: &PlannedCondition,
        course: &Course,
        at: (u64, usize),
        list: &[PlannedItem],
    ) -> Result<Vec<Rehearsed>> {
        self.watched(condition, course, at, list, &mut |_, _| Ok(()))
    }

    /// As [`Self::hold`]; each turn is shown to `see`, with what is asked in it.
    ///
    /// # Errors
    /// If the condition or `see` fails.
    pub fn watched(
        &self,
        condition: &PlannedCondition,
        course: &Course,
        at: (u64, usize),
        list: &[PlannedItem],
        see: &mut dyn FnMut(&TurnContext, &Ask) -> Result<()>,
    ) -> Result<Vec<Rehearsed>> {
        let plugin = condition.plugin.as_ref();
        let (mut history, mut out) = (Vec::<Exchange>::new(), vec![]);
        for turn in 0..course.len() {
            let Some(cx) = course.context(at, list, turn, &history) else { break };
            let at = |e: Error| e.within(&place(turn + 1, at.1, &condition.name));
            let Some(ask) = asked(plugin, &cx).map_err(at)? else { break };
            see(&cx, &ask).map_err(at)?;
            let (text, prefill) = (ask.replay.as_deref().unwrap_or(self.text), ask.prefill.as_deref().unwrap_or(""));
            let reply = Reply { text, ids: self.ids, prefill, codec: self.codec };
            let kept = match turn + 1 < course.len() {
                true => Some(plugin.keep(&reply, &cx).or_else(|e| match self.forgiving {
                    true => Ok(Kept::whole(&reply)),
                    false => Err(at(e)),
                })?),
                false => None,
            };
            let answer = self.score.and_then(|s| if s > 0.5 { cx.item.target_text() } else { Some("A".into()) });
            history.push(Exchange {
                turn: turn + 1,
                round: cx.round,
                item: cx.item.id.clone(),
                user: ask.text.clone(),
                reply: format!("{prefill}{text}"),
                kept: format!("{prefill}{}", kept.as_ref().map_or(text, |k| &k.text)),
                removed_tokens: kept.as_ref().map_or(0, |k| k.removed_tokens),
                reply_tokens: self.ids.len(),
                finish_reason: "stop".into(),
                grade: Grade { score: self.score, answer, ..Grade::default() },
            });
            out.push(Rehearsed { ask, kept });
        }
        Ok(out)
    }
}
