//! One conversation of the design, as the engine drives it.
mod told;

use crate::aside::{self, Step};
use crate::filler::Scale;
use crate::fork::Asked;
use crate::lists::PlannedItem;
use crate::messages::{Messages, Said};
use crate::options;
use crate::peers::Seat;
use crate::plan::SharedPlan;
use crate::planned::Member;
use crate::record::Record;
use crate::rehearsal::{Course, asked, opening};
use crate::shifts::{self, Shifts};
use friction_core::manifest::{After, Draws};
use friction_core::{Ask, ChatMessage, Exchange, Item, Result, TurnContext, seed::derive};
use friction_engine::{Dialogue, Doses, Request, TurnOutcome};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What the model was asked last.
#[derive(Debug, Clone, PartialEq)]
enum Pending {
    Nothing,
    Turn(Box<Said>),
    /// The message of the coming turn, with the choices in this order.
    Shift(Vec<u32>),
    Aside(Step),
    /// The fork whose reading has this name.
    Fork(String),
    Neutral,
}

/// A conversation in progress.
pub struct Conversation {
    plan: SharedPlan,
    group: usize,
    list: Rc<[PlannedItem]>,
    member: Member,
    course: Course,
    /// The opening and all exchanges so far; `None` before the opening is made.
    messages: Option<Messages>,
    history: Vec<Exchange>,
    pending: Pending,
    /// Its place in the group; `None` if no hook reads the group.
    seat: Option<Seat>,
    /// Whether the forks of hooks that read the group are still to be asked for, behind the last turn.
    gathers: bool,
    /// Forks of the last turn that hooks asked for, before asides.
    forks: VecDeque<Asked>,
    /// Requests of asides that come before the next turn.
    asides: VecDeque<Step>,
    /// Forks with shifted choices that come before the next turn.
    shifts: Shifts,
    /// Whether no turn follows.
    ended: bool,
    /// Whether what follows the last turn has been asked.
    closed: bool,
    record: Rc<RefCell<Record>>,
}

impl Conversation {
    /// Makes a conversation of a group, given by its index and its items. Its turns are added to `record`. `seat` is its
    /// place in the group, if a hook reads the group.
    pub fn new(
        plan: SharedPlan,
        (group, list): (usize, Rc<[PlannedItem]>),
        member: Member,
        record: Rc<RefCell<Record>>,
        seat: Option<Seat>,
    ) -> Self {
        let condition = &plan.conditions[member.condition];
        let course = Course::new(condition.plugin.as_ref(), &list, plan.manifest.study.most_turns());
        let (messages, history, pending) = (None, vec![], Pending::Nothing);
        let (forks, asides) = (VecDeque::new(), VecDeque::new());
        Self {
            plan,
            group,
            list,
            member,
            course,
            messages,
            history,
            pending,
            seat,
            gathers: false,
            forks,
            asides,
            shifts: Shifts::default(),
            ended: false,
            closed: false,
            record,
        }
    }

    fn at(&self) -> (u64, usize) {
        (self.plan.manifest.study.seed, self.group)
    }

    /// What the model read in the last turn, and what was kept of its reply.
    fn last(&self) -> Vec<ChatMessage> {
        self.messages.as_ref().map(|m| m.last().to_vec()).unwrap_or_default()
    }

    /// The context of the coming turn; `None` after the last.
    fn context(&self) -> Option<TurnContext<'_>> {
        let cx = self.course.context(self.at(), &self.list, self.history.len(), &self.history)?;
        Some(TurnContext { sample: self.member.sample, ..cx })
    }

    /// The request of the next turn; `None` if the conversation ends here.
    fn turn(&mut self) -> Result<Option<Request>> {
        let condition = &self.plan.conditions[self.member.condition];
        if self.messages.is_none() {
            let plugin = condition.plugin.as_ref();
            self.messages = Some(Messages::new(opening(self.plan.dataset.as_ref(), plugin, self.at(), &self.list)?));
        }
        if self.shifts.ask.is_none() {
            let Some(cx) = self.context() else { return Ok(None) };
            let Some(ask) = asked(condition.plugin.as_ref(), &cx)? else {
                if self.history.is_empty() {
                    let what = "the conversation ends before its first turn: there is nothing to record";
                    return Err(friction_core::Error::config(what));
                }
                return Ok(None);
            };
            // Later rounds of an item stand behind one that showed its choices in the order of the turn.
            let wanted = if cx.round == 1 { self.plan.manifest.options.option_shifts } else { 1 };
            let queue = options::shifts(cx.item, wanted).into();
            self.shifts = Shifts { ask: Some(ask), queue, logprobs: vec![] };
        }
        if let Some(fork) = self.shifted()? {
            return Ok(Some(fork));
        }
        let ask = self.shifts.ask.take();
        let (Some(cx), Some(ask)) = (self.context(), ask) else { return Ok(None) };
        let scale = Scale { template: &self.plan.template, tokenizer: &self.plan.tokenizer };
        let Some(messages) = &self.messages else { return Ok(None) };
        let said = messages.say(ask, &cx, scale).map_err(friction_core::Error::other)?;
        let request = Request {
            messages: messages.read(&said),
            prefill: said.ask.prefill.clone().unwrap_or_default(),
            forced: said.ask.replay.clone(),
            forced_tokens: said.ask.replay_tokens.clone(),
            choices: (0..cx.item.choices.len()).map(|i| Item::letter(i).to_string()).collect(),
            max_new_tokens: self.plan.manifest.generation.max_new_tokens,
            seed: self.seed(b"draw"),
            doses: self.doses(self.history.len() + 1),
            ..Request::default()
        };
        self.pending = Pending::Turn(Box::new(said));
        Ok(Some(request))
    }

    /// The next fork on which the coming message is asked with shifted choices; `None` after the last.
    fn shifted(&mut self) -> Result<Option<Request>> {
        let Some(order) = self.shifts.queue.pop_front() else { return Ok(None) };
        let condition = &self.plan.conditions[self.member.condition];
        let (Some(cx), Some(ask), Some(messages)) = (self.context(), &self.shifts.ask, &self.messages) else {
            return Ok(None);
        };
        let (dataset, plugin) = (self.plan.dataset.as_ref(), condition.plugin.as_ref());
        let scale = Scale { template: &self.plan.template, tokenizer: &self.plan.tokenizer };
        let read = |ask: Ask, cx: &TurnContext| {
            let said = messages.say(ask, cx, scale).map_err(friction_core::Error::other)?;
            Ok(messages.read(&said))
        };
        let Some(fork) = shifts::request(dataset, plugin, (&cx, ask), &read, &order)? else {
            self.shifts.leave();
            return Ok(None);
        };
        self.pending = Pending::Shift(order);
        Ok(Some(Request { doses: self.doses(self.history.len() + 1), ..fork }))
    }

    /// What follows the last turn: the asides that are asked then, and the neutral text.
    fn close(&mut self) -> Option<Request> {
        if !self.closed {
            self.closed = true;
            self.queue(true);
        }
        if let Some(step) = self.asides.pop_front() {
            return Some(self.aside(step));
        }
        let neutral = self.plan.program.neutral.as_ref().filter(|_| self.pending != Pending::Neutral)?;
        let messages = [self.last(), vec![ChatMessage::user(neutral.user.clone())]].concat();
        let forced = Some(neutral.reply.clone());
        self.pending = Pending::Neutral;
        // The neutral text is read with the strengths of the last turn.
        let doses = self.doses(self.history.len());
        Some(Request { messages, forced, doses, ..Request::default() })
    }

    /// Adds the asides after the turn that is over: those that are asked at the end, or all others.
    fn queue(&mut self, end: bool) {
        let turn = self.history.len();
        for (i, a) in self.plan.manifest.asides.iter().enumerate() {
            if matches!(a.after, After::Last) == end && turn > 0 && a.follows(turn, end) {
                self.asides.push_back(Step { aside: i, choice: None });
            }
        }
    }

    fn aside(&mut self, step: Step) -> Request {
        let section = &self.plan.manifest.asides[step.aside];
        let request = aside::request(section, step, self.last());
        self.pending = Pending::Aside(step);
        let seed = self.seed(format!("aside {}", section.name).as_bytes());
        Request { seed, doses: self.doses(self.history.len()), ..request }
    }

    /// Seed for sampling the coming reply; `what` tells turns and asides apart.
    fn seed(&self, what: &[u8]) -> u64 {
        let study = &self.plan.manifest.study;
        let (group, turn) = (self.group as u64, self.history.len() as u64);
        // The conditions share the seed of the first turn, so that equal first prompts get equal replies.
        let shared = turn == 0 || study.draws == Draws::Paired;
        let condition = if shared { "" } else { &self.plan.conditions[self.member.condition].name };
        let (group, turn, sample) =
            (group.to_le_bytes(), turn.to_le_bytes(), (self.member.sample as u64).to_le_bytes());
        let seed = study.seed.to_le_bytes();
        let mut parts: Vec<&[u8]> = vec![what, &seed, &group, condition.as_bytes(), &turn];
        // The first sample has the draws of a study of one sample.
        if self.member.sample > 0 {
            parts.push(&sample);
        }
        derive(&parts)
    }

    /// What edits do in a turn, which counts from 1.
    fn doses(&self, turn: usize) -> Doses {
        let arm = &self.plan.arms[self.member.arm];
        let of = |e: &friction_core::Edit| arm.strengths.get(&e.name).copied().filter(|_| e.in_turn(turn));
        let strengths = self.plan.program.edits.iter().map(|e| of(e).unwrap_or(0.0)).collect();
        Doses { strengths, ..Doses::default() }
    }

    /// The request of a fork of the last turn.
    fn fork(&mut self, fork: &Asked) -> Request {
        let doses = self.doses(self.history.len());
        self.pending = Pending::Fork(fork.name.clone());
        self.record.borrow().turns.last().map(|row| fork.request(row, doses)).unwrap_or_default()
    }
}

impl Dialogue for Conversation {
    fn ready(&self) -> bool {
        !self.gathers || self.seat.as_ref().is_none_or(|seat| seat.complete(self.history.len()))
    }

    fn next(&mut self) -> Result<Option<Request>> {
        if self.gathers {
            self.gather()?;
        }
        if let Some(fork) = self.forks.pop_front() {
            return Ok(Some(self.fork(&fork)));
        }
        if let Some(step) = self.asides.pop_front() {
            return Ok(Some(self.aside(step)));
        }
        if !self.ended {
            if let Some(request) = self.turn()? {
                return Ok(Some(request));
            }
            self.ended = true;
            if let Some(seat) = &self.seat {
                seat.end();
            }
        }
        Ok(self.close())
    }

    fn replied(&mut self, outcome: TurnOutcome) -> Result<()> {
        match std::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Turn(said) => self.told(&said, outcome)?,
            Pending::Shift(order) => self.shifts.note(&order, &outcome.choices),
            Pending::Aside(step) => {
                let section = &self.plan.manifest.asides[step.aside];
                let mut record = self.record.borrow_mut();
                let Some(out) = record.aside(&section.name) else { return Ok(()) };
                let more = aside::note(section, step, &outcome, self.plan.template.opens_thought().unwrap_or(""), out);
                more.into_iter().rev().for_each(|step| self.asides.push_front(step));
            }
            Pending::Fork(name) => {
                if let Some(row) = self.record.borrow_mut().turns.last_mut()
                    && let Some(odds) = row.log_odds_of(&outcome.choices)
                {
                    row.readings.insert(name, odds);
                }
            }
            Pending::Neutral => {
                if let Some(last) = self.record.borrow_mut().turns.last_mut() {
                    last.neutral_logprobs = outcome.forced;
                }
                self.pending = Pending::Neutral;
            }
            Pending::Nothing => {}
        }
        Ok(())
    }

    fn place(&self) -> String {
        let turn = match &self.pending {
            Pending::Neutral => "the neutral text after the last turn".into(),
            Pending::Fork(name) => format!("the fork `{name}` of turn {}", self.history.len()),
            Pending::Aside(step) => {
                let name = &self.plan.manifest.asides[step.aside].name;
                format!("the aside `{name}` after turn {}", self.history.len())
            }
            Pending::Shift(_) => format!("turn {}, with its choices shifted", self.history.len() + 1),
            _ if self.gathers => format!("turn {}", self.history.len()),
            _ => format!("turn {}", self.history.len() + 1),
        };
        let arm = match self.plan.arms[self.member.arm].name.as_str() {
            "" => String::new(),
            name => format!(", arm `{name}`"),
        };
        let sample = match self.member.sample {
            0 => String::new(),
            n => format!(", sample {n}"),
        };
        let condition = &self.plan.conditions[self.member.condition].name;
        format!("{turn} of group {}, condition `{condition}`{arm}{sample}", self.group)
    }
}
