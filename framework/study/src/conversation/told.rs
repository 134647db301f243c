//! A turn that is over: it is graded, read by hooks, cut by its condition and recorded.
use super::Conversation;
use crate::fork::Asked;
use crate::messages::Said;
use crate::peers::Told;
use crate::planned::{Member, PlannedHook};
use crate::record::measured;
use friction_core::manifest::Thinking;
use friction_core::program::is_name;
use friction_core::{Exchange, Kept, Outcome, Peer, Readings, Reply, Result, Spoken, Tap, TapView, TurnRow, thinking};
use friction_engine::{TapRows, TurnOutcome};
use std::collections::VecDeque;

/// What a hook's own taps read, among all that was read in a turn.
fn views<'a>(hook: &PlannedHook, taps: &'a [TapRows]) -> Vec<TapView<'a>> {
    let own = |tap: &Tap| taps.iter().find(|t| t.tap == *tap);
    hook.taps.iter().filter_map(own).map(|t| TapView { tap: &t.tap, rows: &t.rows }).collect()
}

impl Conversation {
    /// A finished turn of a conversation of the group.
    fn spoken<'a>(&'a self, member: Member, turn: usize, reply: &'a str) -> Spoken<'a> {
        let condition = &self.plan.conditions[member.condition];
        Spoken {
            group: self.group,
            condition: &condition.name,
            arm: &self.plan.arms[member.arm].name,
            sample: member.sample,
            factors: &condition.factors,
            turn,
            reply,
        }
    }

    /// The numbers that hooks compute in a turn, and the forks of those that do not read the group.
    fn read(&self, outcome: &TurnOutcome, turn: usize) -> Result<(Readings, VecDeque<Asked>)> {
        let spoken = self.spoken(self.member, turn, &outcome.text);
        let (mut out, mut forks) = (Readings::new(), VecDeque::new());
        let replaces = self.plan.program.edits.iter().any(|e| e.op.takes_vectors());
        for hook in self.plan.hooks.iter().filter(|h| !h.taps.is_empty()) {
            let views = views(hook, &outcome.taps);
            for (name, value) in hook.plugin.read(&spoken, &views)? {
                if !is_name(&name) {
                    let e = format!("hook `{}` reads out {name:?}; names are letters, digits, `-` and `_`", hook.name);
                    return Err(friction_core::Error::config(e));
                }
                out.insert(format!("{}.{name}", hook.name), value);
            }
            let asks = replaces && !hook.plugin.reads_group();
            for fork in if asks { hook.plugin.forks(&spoken, &views, &[])? } else { vec![] } {
                forks.push_back(Asked::new(&self.plan, hook, fork)?);
            }
        }
        Ok((out, forks))
    }

    /// Asks for the forks of the last turn by hooks that read the group, when all of it have said the turn or have ended.
    pub(super) fn gather(&mut self) -> Result<()> {
        let turn = self.history.len();
        let mut forks = vec![];
        // A fork measures log-odds: a turn that has none has no forks.
        let odds = self.record.borrow().turns.last().is_some_and(|row| row.outcome(&Outcome::LogOdds).is_some());
        if let Some((seat, own)) = self.seat.as_ref().and_then(|s| Some((s, s.own(turn)?))).filter(|_| odds) {
            let others = seat.others(turn);
            for hook in self.plan.hooks.iter().filter(|h| h.plugin.reads_group()) {
                let mut peers = vec![];
                for (at, told) in &others {
                    let turn = self.spoken(self.plan.members[*at], turn, &told.reply);
                    peers.push(Peer { turn, taps: views(hook, &told.taps) });
                }
                let spoken = self.spoken(self.member, turn, &own.reply);
                for fork in hook.plugin.forks(&spoken, &views(hook, &own.taps), &peers)? {
                    forks.push(Asked::new(&self.plan, hook, fork)?);
                }
            }
        }
        self.forks.extend(forks);
        self.gathers = false;
        Ok(())
    }

    /// Records a turn of the study.
    pub(super) fn told(&mut self, said: &Said, outcome: TurnOutcome) -> Result<()> {
        let condition = &self.plan.conditions[self.member.condition];
        let Some(cx) = self.context() else { return Ok(()) };
        let prefill = said.ask.prefill.clone().unwrap_or_default();
        let whole = format!("{prefill}{}", outcome.text);
        let (template, codec) = (&self.plan.template, &self.plan.tokenizer);
        // A thought is stored, and neither graded nor, unless it is asked for, kept. It may begin in the prompt.
        let before = format!("{}{prefill}", template.opens_thought().unwrap_or(""));
        let opened = thinking::inside(&before);
        let grade = self.plan.grade(cx.item, &thinking::split(&format!("{before}{}", outcome.text), false).answer)?;
        if let Some(name) = grade.metrics.keys().find(|n| !is_name(n)) {
            let e = format!("a grade has the metric {name:?}; names are letters, digits, `-` and `_`");
            return Err(friction_core::Error::config(e));
        }
        let keeps = self.plan.manifest.generation.thinking == Thinking::Keep;
        let answered = if keeps { outcome.text.clone() } else { thinking::split(&outcome.text, opened).answer };
        let thought = if keeps { 0 } else { thinking::leading(&outcome.ids, codec, opened)? };
        let shown = if keeps { before } else { thinking::split(&before, false).answer };
        let reply = Reply { text: &answered, ids: &outcome.ids[thought..], prefill: &shown, codec };
        let (turn, last) = (cx.turn, cx.turn == cx.turns);
        let kept = if last { Kept::whole(&reply) } else { condition.plugin.keep(&reply, &cx)? };
        let (readings, forks) = self.read(&outcome, cx.turn)?;
        let row = TurnRow {
            group: self.group as u32,
            condition: condition.name.clone(),
            arm: self.plan.arms[self.member.arm].name.clone(),
            sample: self.member.sample as u32,
            factors: condition.factors.clone(),
            turn: cx.turn as u32,
            round: cx.round as u32,
            topic: cx.topic.into(),
            item_id: cx.item.id.clone(),
            choices: cx.item.choices.len() as u32,
            choice_order: self.course.item(&self.list, self.history.len()).map(|p| p.order.clone()).unwrap_or_default(),
            shifted_logprobs: self.shifts.logprobs.clone(),
            target: cx.item.target_text(),
            user: said.user(),
            phrase: said.ask.phrase,
            prefill: prefill.clone(),
            reply: whole.clone(),
            answer: grade.answer.clone(),
            score: grade.score,
            grades: grade.others.clone(),
            metrics: grade.metrics.clone(),
            readings,
            opening: match &self.messages {
                Some(m) if cx.turn == 1 && !m.opening().is_empty() => {
                    serde_json::to_string(m.opening()).map_err(friction_core::Error::other)?
                }
                _ => String::new(),
            },
            metadata: match cx.item.metadata.is_empty() {
                true => String::new(),
                false => serde_json::Value::Object(cx.item.metadata.clone()).to_string(),
            },
            ..TurnRow::default()
        };
        let row = measured(row, &outcome, &kept, (said, shown.as_str()));
        // A fork measures log-odds: a turn that has none has no forks.
        let odds = row.outcome(&Outcome::LogOdds).is_some();
        let exchange = Exchange {
            turn: cx.turn,
            round: cx.round,
            item: cx.item.id.clone(),
            user: said.message.clone(),
            reply: whole,
            kept: row.kept.clone(),
            removed_tokens: kept.removed_tokens,
            reply_tokens: outcome.ids.len(),
            finish_reason: row.finish_reason.clone(),
            grade,
        };
        if let Some(messages) = &mut self.messages {
            messages.add(said, &row.kept, format!("{shown}{answered}"));
        }
        self.history.push(exchange);
        let mut record = self.record.borrow_mut();
        record.turns.push(row);
        // The engine's taps begin with those that are stored.
        record.taps.push(outcome.taps.iter().take(self.plan.program.taps.len()).cloned().collect());
        drop(record);
        self.forks = if odds { forks } else { VecDeque::new() };
        if let Some(seat) = &self.seat {
            seat.told(turn, Told { reply: outcome.text, taps: outcome.taps });
            self.gathers = true;
        }
        self.queue(false);
        Ok(())
    }
}
