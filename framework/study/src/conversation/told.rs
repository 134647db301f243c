//! A turn that is over: it is graded, read by hooks, cut by its condition and recorded.
use super::Conversation;
use crate::fork::Asked;
use crate::messages::Said;
use crate::record::measured;
use friction_core::manifest::Thinking;
use friction_core::program::is_name;
use friction_core::{Exchange, Kept, Outcome, Readings, Reply, Result, Spoken, Tap, TapView, TurnRow, thinking};
use friction_engine::TurnOutcome;
use std::collections::VecDeque;

impl Conversation {
    /// The numbers that hooks compute in a turn, and the forks that they ask for.
    fn read(&self, outcome: &TurnOutcome, turn: usize) -> Result<(Readings, VecDeque<Asked>)> {
        let condition = &self.plan.conditions[self.member.condition];
        let spoken = Spoken {
            group: self.group,
            condition: &condition.name,
            arm: &self.plan.arms[self.member.arm].name,
            sample: self.member.sample,
            factors: &condition.factors,
            turn,
            reply: &outcome.text,
        };
        let (mut out, mut forks) = (Readings::new(), VecDeque::new());
        let replaces = self.plan.program.edits.iter().any(|e| e.op.takes_vectors());
        for hook in self.plan.hooks.iter().filter(|h| !h.taps.is_empty()) {
            let own = |tap: &Tap| outcome.taps.iter().find(|t| t.tap == *tap);
            let views: Vec<TapView> =
                hook.taps.iter().filter_map(own).map(|t| TapView { tap: &t.tap, rows: &t.rows }).collect();
            for (name, value) in hook.plugin.read(&spoken, &views)? {
                if !is_name(&name) {
                    let e = format!("hook `{}` reads out {name:?}; names are letters, digits, `-` and `_`", hook.name);
                    return Err(friction_core::Error::config(e));
                }
                out.insert(format!("{}.{name}", hook.name), value);
            }
            for fork in if replaces { hook.plugin.forks(&spoken, &views)? } else { vec![] } {
                forks.push_back(Asked::new(&self.plan, hook, fork)?);
            }
        }
        Ok((out, forks))
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
        let last = cx.turn == cx.turns;
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
        record.taps.push(outcome.taps.into_iter().take(self.plan.program.taps.len()).collect());
        drop(record);
        self.forks = if odds { forks } else { VecDeque::new() };
        self.queue(false);
        Ok(())
    }
}
