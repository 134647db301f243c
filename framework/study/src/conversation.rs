//! One conversation of the design, as the engine drives it.
use crate::design::context;
use crate::plan::{PlannedTurn, SharedPlan};
use friction_core::{Kept, Readings, Reply, Result, Spoken, Tap, TapView, TurnRow, seed::derive};
use friction_engine::{Dialogue, TapRows, TurnOutcome};
use friction_model::ChatTurn;
use friction_store::GroupData;
use std::cell::RefCell;
use std::rc::Rc;

/// What is recorded of a conversation.
#[derive(Debug, Default)]
pub struct Record {
    /// One row for each turn.
    pub turns: Vec<TurnRow>,
    /// Activations, `[turns][taps]`.
    pub taps: Vec<Vec<TapRows>>,
}

/// A conversation in progress.
pub struct Conversation {
    plan: SharedPlan,
    group: usize,
    list: Rc<[PlannedTurn]>,
    condition: usize,
    arm: usize,
    history: Vec<ChatTurn>,
    phrase: Option<u32>,
    turn: usize,
    record: Rc<RefCell<Record>>,
}

impl Conversation {
    /// Makes the conversation of a group (its index and question list), a condition and an arm (indices into the plan).
    /// Its turns are added to `record`.
    pub fn new(
        plan: SharedPlan,
        (group, list): (usize, Rc<[PlannedTurn]>),
        (condition, arm): (usize, usize),
        record: Rc<RefCell<Record>>,
    ) -> Self {
        Self { plan, group, list, condition, arm, history: vec![], phrase: None, turn: 0, record }
    }

    /// The numbers that hooks compute in this turn.
    fn read(&self, outcome: &TurnOutcome, turn: usize) -> Result<Readings> {
        let condition = &self.plan.conditions[self.condition];
        let spoken = Spoken {
            group: self.group,
            condition: &condition.name,
            arm: &self.plan.arms[self.arm].name,
            factors: &condition.factors,
            turn,
            reply: &outcome.text,
        };
        let mut out = Readings::new();
        for hook in self.plan.hooks.iter().filter(|h| !h.taps.is_empty()) {
            let own = |tap: &Tap| outcome.taps.iter().find(|t| t.tap == *tap);
            let views: Vec<TapView> =
                hook.taps.iter().filter_map(own).map(|t| TapView { tap: &t.tap, rows: &t.rows }).collect();
            for (name, value) in hook.plugin.read(&spoken, &views)? {
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
                    let e = format!("hook `{}` reads out {name:?}; names are letters, digits, `-` and `_`", hook.name);
                    return Err(friction_core::Error::config(e));
                }
                out.insert(format!("{}.{name}", hook.name), value);
            }
        }
        Ok(out)
    }

    /// Token ids of the letters of this turn's options; empty if one of them is not a single token.
    fn letters(&self) -> Vec<u32> {
        let Some(planned) = self.list.get(self.turn) else { return vec![] };
        let ids: Option<Vec<u32>> = (0..planned.question.options.len())
            .map(|i| self.plan.tokenizer.id(&friction_core::Question::letter(i).to_string()))
            .collect();
        ids.unwrap_or_default()
    }
}

impl Dialogue for Conversation {
    fn next(&mut self) -> Result<Option<Vec<ChatTurn>>> {
        let group = self.list.clone();
        let Some(planned) = group.get(self.turn) else {
            let Some(neutral) = self.plan.program.neutral.as_ref().filter(|_| self.turn == group.len()) else {
                return Ok(None);
            };
            self.history.push(ChatTurn::user(neutral.user.clone()));
            return Ok(Some(self.history.clone()));
        };
        let cx = context(self.plan.manifest.study.seed, self.group, self.turn, group.len(), planned);
        let message = self.plan.conditions[self.condition].plugin.ask(&cx)?;
        self.phrase = message.phrase;
        self.history.push(ChatTurn::user(message.text));
        Ok(Some(self.history.clone()))
    }

    fn replied(&mut self, outcome: TurnOutcome) -> Result<()> {
        let group = self.list.clone();
        let Some(planned) = group.get(self.turn) else {
            // This was the neutral text, which is not a turn of the study.
            if let Some(last) = self.record.borrow_mut().turns.last_mut() {
                last.neutral_logprobs = outcome.forced;
            }
            self.turn += 1;
            return Ok(());
        };
        let condition = &self.plan.conditions[self.condition];
        let cx = context(self.plan.manifest.study.seed, self.group, self.turn, group.len(), planned);
        let reply = Reply { text: &outcome.text, ids: &outcome.ids, codec: &self.plan.tokenizer };
        let last = self.turn + 1 == group.len();
        let kept = if last { Kept::whole(&reply) } else { condition.plugin.keep(&reply, &cx)? };
        let grade = self.plan.dataset.grade(&planned.question, &outcome.text)?;
        let readings = self.read(&outcome, cx.turn)?;
        let row = TurnRow {
            group: self.group as u32,
            condition: condition.name.clone(),
            arm: self.plan.arms[self.arm].name.clone(),
            factors: condition.factors.clone(),
            turn: cx.turn as u32,
            topic: planned.topic.clone(),
            question_id: planned.question.id.clone(),
            options: planned.question.options.len() as u32,
            answer: planned.question.answer_letter().to_string(),
            user: self.history.last().map(|t| t.content.clone()).unwrap_or_default(),
            phrase: self.phrase,
            reply: outcome.text,
            kept: kept.text.clone(),
            removed_tokens: kept.removed_tokens as u32,
            parsed: grade.parsed.map(String::from),
            correct: grade.correct,
            grades: grade.others.into_iter().map(|(k, v)| (k, v.map(String::from))).collect(),
            option_logprobs: outcome.watched,
            neutral_logprobs: vec![],
            prompt_tokens: outcome.prompt_tokens as u32,
            prefilled_tokens: (outcome.prompt_tokens - outcome.reused_tokens) as u32,
            reused_tokens: outcome.reused_tokens as u32,
            reply_tokens: outcome.ids.len() as u32,
            finish_reason: outcome.finish.word().into(),
            elapsed_ms: outcome.elapsed_ms,
            readings,
        };
        let mut record = self.record.borrow_mut();
        record.turns.push(row);
        // The engine's taps begin with those that are stored.
        record.taps.push(outcome.taps.into_iter().take(self.plan.program.taps.len()).collect());
        self.history.push(ChatTurn::assistant(kept.text));
        self.turn += 1;
        Ok(())
    }

    fn seed(&self) -> u64 {
        let plan = &self.plan;
        let (seed, group, turn) = (plan.manifest.study.seed, self.group as u64, self.turn as u64);
        // The conditions share the seed of the first turn, so that equal first prompts get equal replies.
        let condition = if self.turn == 0 { "" } else { &plan.conditions[self.condition].name };
        derive(&[b"draw", &seed.to_le_bytes(), &group.to_le_bytes(), condition.as_bytes(), &turn.to_le_bytes()])
    }

    fn watched(&self) -> Vec<u32> {
        self.letters()
    }

    fn forced(&self) -> Vec<u32> {
        if self.turn == self.list.len() { self.plan.neutral.clone() } else { vec![] }
    }

    fn strengths(&self) -> Vec<f32> {
        let arm = &self.plan.arms[self.arm];
        // The neutral text is forced with the strengths of the last turn.
        let turn = (self.turn + 1).min(self.list.len());
        let of = |e: &friction_core::Edit| arm.strengths.get(&e.name).copied().filter(|_| e.in_turn(turn));
        self.plan.program.edits.iter().map(|e| of(e).unwrap_or(0.0)).collect()
    }

    fn place(&self) -> String {
        let turn = match self.turn + 1 {
            turn if turn <= self.list.len() => format!("turn {turn}"),
            _ => "the neutral text after the last turn".into(),
        };
        let arm = match self.plan.arms[self.arm].name.as_str() {
            "" => String::new(),
            name => format!(", arm `{name}`"),
        };
        format!("{turn} of group {}, condition `{}`{arm}", self.group, self.plan.conditions[self.condition].name)
    }
}

/// Joins the records of a group's conversations into what the store writes.
pub fn group_data(records: &[Rc<RefCell<Record>>]) -> GroupData {
    let mut out = GroupData::default();
    for record in records {
        let record = record.borrow();
        let Some(first) = record.turns.first() else { continue };
        for (k, tap) in record.taps.first().into_iter().flatten().enumerate() {
            let turns: Vec<&TapRows> = record.taps.iter().filter_map(|t| t.get(k)).collect();
            let positions = turns.iter().map(|t| t.rows.len()).max().unwrap_or(0);
            let width = turns.iter().flat_map(|t| t.rows.first()).map(Vec::len).next().unwrap_or(0);
            let mut data = vec![f32::NAN; turns.len() * positions * width];
            for (t, rows) in turns.iter().enumerate() {
                for (p, row) in rows.rows.iter().enumerate() {
                    let at = (t * positions + p) * width;
                    data[at..at + width].copy_from_slice(row);
                }
            }
            out.taps.push(friction_store::TapEntry {
                condition: first.condition.clone(),
                arm: first.arm.clone(),
                site: tap.tap.site,
                position: tap.tap.position,
                array: friction_core::TapArray { shape: [turns.len(), positions, width], data },
            });
        }
        out.turns.extend(record.turns.iter().cloned());
    }
    out
}
