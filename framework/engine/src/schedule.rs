//! Keeps the slots filled and runs the model step by step.
use crate::ahead::{Asked, Launched, Owner, Rules, open};
use crate::border::Borders;
use crate::dialogue::{Finish, Unit};
use crate::finite::{self, NotFinite, Noticed};
use crate::hooks::{Program, TokenRole};
use crate::options::{EngineOptions, Flow, Progress};
use crate::rows::{self, COPIED, Draw, Row};
use crate::sampling::{argmax, log_probs};
use crate::slot::{Slot, Turn};
use crate::{Error, Result};
use friction_checkpoint::{ChatTemplate, Tokenizer};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_model::decoder::{Answer, Hooks, spare_slots};
use friction_model::model::floats;
use friction_model::{Decoder, KvCache, Model, Segment};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

/// A model with everything that conversations need.
pub struct Engine<'a> {
    /// The model, with its weights on a device.
    pub model: &'a Model,
    /// The model's tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// The model's chat template, which renders prompts.
    pub template: &'a ChatTemplate,
    /// Sizes and rules of the run.
    pub options: EngineOptions,
    pub(crate) program: Program,
    /// All taps with their widths: those that are stored, then those that are only read.
    pub(crate) taps: Vec<(Tap, usize)>,
    /// Whether a tap reads the user's tokens. These must then be computed in the turn itself and not come from the
    /// cache.
    pub(crate) reads_user: bool,
    /// Whether a tap reads every token that a turn adds.
    pub(crate) reads_all: bool,
    /// Number of tokens at the end of the prompt that taps read. These too must be computed in the turn itself; at least 1.
    pub(crate) reads_tail: usize,
    pub(crate) borders: Borders<'a>,
    /// Number of turns begun, which gives each turn its number.
    pub(crate) turns: AtomicU64,
}

/// Largest number of tokens of a given reply that one step scores for a conversation: each needs a row of logits.
const SCORED: usize = 64;

/// The state of a run in progress.
pub(crate) struct State<'a> {
    decoder: Decoder<'a>,
    /// A step that was launched before the results of the step before it were read.
    ahead: Option<Launched>,
    /// The conversations.
    pub slots: Vec<Option<Slot>>,
    /// Their keys and values.
    pub cache: KvCache,
    /// Counts so far.
    pub progress: Progress,
}

impl<'a> Engine<'a> {
    /// Prepares a program for a model.
    ///
    /// # Errors
    /// If the program does not fit the model.
    pub fn new(
        model: &'a Model,
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
        program: &HookProgram,
        options: EngineOptions,
    ) -> Result<Self> {
        let spec = model.arch.spec("the model");
        program.validate(&spec)?;
        let taps = program.all_taps().map(|t| Ok((t.clone(), spec.width(t.site)?))).collect::<Result<Vec<_>>>()?;
        let tail = |t: &Tap| if let Position::PromptTail(n) = t.position { n } else { 1 };
        let reads_tail = taps.iter().map(|(t, _)| tail(t)).max().unwrap_or(1);
        let reads_user = taps.iter().any(|(t, _)| matches!(t.position, Position::UserMean | Position::All));
        Ok(Self {
            model,
            tokenizer,
            template,
            options,
            program: Program::new(program, &model.device),
            reads_all: taps.iter().any(|(t, _)| t.position == Position::All),
            taps,
            reads_user,
            reads_tail,
            borders: Borders::new(tokenizer),
            turns: AtomicU64::new(0),
        })
    }

    /// Runs all units. `finished` gets each unit once its conversations are over; `tick` is called
    /// after every step.
    ///
    /// # Errors
    /// If a conversation does not fit its slot, its numbers are not finite, the model or a plugin fails, `finished`
    /// fails, or `tick` says stop.
    pub fn run(
        &self,
        units: impl IntoIterator<Item = Unit>,
        mut finished: impl FnMut(Unit) -> Result<()>,
        mut tick: impl FnMut(&Progress) -> Flow,
    ) -> Result<Progress> {
        let o = &self.options;
        let mut shape = o.cache(&self.model.arch);
        shape.slots += spare_slots(self.model);
        let cache = self.model.cache(shape);
        let mut st = State {
            decoder: Decoder::new(self.model, Some(&self.program as &dyn Hooks)),
            ahead: None,
            slots: (0..o.slots).map(|_| None).collect(),
            cache,
            progress: Progress::default(),
        };
        let began = Instant::now();
        let mut units = units.into_iter().peekable();
        let mut open: Vec<(usize, Vec<usize>)> = vec![];
        loop {
            // A unit is admitted whole or waits, so its results never depend on other units.
            while let Some(next) = units.peek() {
                let free: Vec<usize> = (0..o.slots).filter(|i| st.slots[*i].is_none()).collect();
                if next.dialogues.len() > free.len() {
                    break;
                }
                let Some(unit) = units.next() else { break };
                let places = free[..unit.dialogues.len()].to_vec();
                open.push((unit.index, places.clone()));
                self.admit(&mut st, unit, &places)?;
            }
            if open.is_empty() {
                break;
            }
            self.step(&mut st)?;
            st.progress.seconds = began.elapsed().as_secs_f64();
            let mut still = vec![];
            for (index, places) in open {
                if places.iter().all(|p| st.slots[*p].as_ref().is_some_and(|s| s.over)) {
                    let dialogues = places.iter().filter_map(|p| st.slots[*p].take()).map(|s| s.dialogue).collect();
                    finished(Unit { index, dialogues })?;
                } else {
                    still.push((index, places));
                }
            }
            open = still;
            if tick(&st.progress) == Flow::Stop {
                return Err(Error::Stopped);
            }
        }
        Ok(st.progress)
    }

    /// One forward pass: the one that was launched ahead, or one over what every slot has to compute.
    fn step(&self, st: &mut State<'_>) -> Result<()> {
        let now = match st.ahead.take() {
            Some(launched) => launched,
            None => {
                let asked = self.asked(&st.slots);
                if asked.step.ids.is_empty() {
                    return Ok(());
                }
                self.launch(st, asked, None)?
            }
        };
        let rules = Rules { taps: &self.taps };
        let ahead = self.options.sampling.greedy() && self.records(st, now.asked.sampled.len());
        let next = if ahead { rules.after(&now.asked, &st.slots) } else { None };
        if let Some(next) = next {
            st.ahead = Some(self.launch(st, next, now.answer.as_ref())?);
        }
        self.settle(st, now)?;
        self.close_turns(st)
    }

    /// Whether a step of this many rows is recorded as a graph, hooks included.
    fn records(&self, st: &State<'_>, rows: usize) -> bool {
        st.decoder.records(rows) && self.program.records()
    }

    /// Collects what every slot has to compute.
    fn asked(&self, slots: &[Option<Slot>]) -> Asked {
        let o = &self.options;
        let most = slots.len().max(4 * SCORED);
        let mut asked = Asked::default();
        for (i, slot) in slots.iter().enumerate() {
            let Some((slot, turn)) = slot.as_ref().and_then(|s| Some((s, s.turn.as_ref()?))) else { continue };
            let step = &mut asked.step;
            let start = slot.cached.len();
            let end = turn.prompt.len() - 1;
            let len = (turn.len() - start).min(o.chunk).min(turn.readable(start, SCORED));
            // A chunk that does not fit waits whole for the next step: its length depends only on its own slot.
            let scored = turn.scored(start, len);
            let full = step.ids.len() + len > o.step_tokens || step.logits.len() + scored.len() > most;
            if !step.ids.is_empty() && full {
                continue;
            }
            let row = asked.doses.len();
            asked.doses.push(slot.doses.clone());
            let owner = |at| Owner { slot: i, turn: turn.number, at };
            let first = step.ids.len();
            for at in start..start + len {
                if self.taps.iter().any(|(t, _)| turn.reads(t.position, at)) {
                    asked.reads.push(step.ids.len());
                    asked.readers.push(owner(at));
                }
                step.ids.push(turn.token(at));
                asked.roles.push(TokenRole { row, replying: at >= end, left: end.checked_sub(at) });
            }
            step.segments.push(Segment { slot: i, start, len });
            asked.segments.push(owner(start));
            for at in scored {
                step.logits.push(first + at - start);
                asked.sampled.push(owner(at));
                asked.whole.push(!o.sampling.greedy() || turn.looked_at(at - end));
            }
        }
        asked
    }

    /// Launches a step. If `before` is given, its input tokens are those of that answer.
    fn launch(&self, st: &mut State<'_>, asked: Asked, before: Option<&Answer>) -> Result<Launched> {
        st.progress.steps += 1;
        let step = &asked.step;
        let decodes = !step.logits.is_empty() && step.segments.iter().all(|s| s.len == 1);
        if decodes && self.records(st, step.ids.len()) {
            let wish = self.program.wish(&asked.roles, &asked.doses, &asked.reads);
            let answer = st.decoder.step_after(step, &wish, &mut st.cache, before)?;
            return Ok(Launched { asked, answer: Some(answer), sums: None });
        }
        let mut pass = self.program.pass(&asked.roles, &asked.doses, &asked.reads, &step.logits);
        let logits = self.model.forward(step, &mut st.cache, &mut pass)?;
        let taken = pass.finish();
        self.keep(st, &asked.readers, taken)?;
        let sums = logits.as_ref().map(|logits| logits.clone().sum_dim(1));
        let answer = logits.map(|logits| Answer::new(logits.clone(), self.model.best(&logits)));
        Ok(Launched { asked, answer, sums })
    }

    /// Hands a step's tokens and activations to the turns that they belong to.
    fn settle(&self, st: &mut State<'_>, Launched { asked, answer, sums }: Launched) -> Result<()> {
        for (segment, owner) in asked.step.segments.iter().zip(&asked.segments) {
            let Some(slot) = open(&mut st.slots, owner) else { continue };
            let Some(turn) = slot.turn.as_ref() else { continue };
            let at = segment.start..segment.start + segment.len;
            st.progress.prefilled += at.clone().filter(|at| *at < turn.prompt.len()).count() as u64;
            slot.cached.extend(at.map(|at| turn.token(at)));
            slot.written = slot.written.max(slot.cached.len());
        }
        let Some(answer) = answer else { return Ok(()) };
        let logits = answer.logits.clone();
        let (best, taken) = answer.read();
        if !taken.is_empty() {
            let width = |site| self.taps.iter().find(|(t, _)| t.site == site).map_or(0, |(_, w)| *w);
            let taken = self.program.taken(&taken, &asked.reads, &asked.step.logits, width);
            self.keep(st, &asked.readers, taken)?;
        }
        let sums = sums.map(|sums| floats(&sums.into_data())).unwrap_or_default();
        let looked = |row: usize| asked.whole[row] || sums.get(row).is_some_and(|sum| !sum.is_finite());
        let all: Vec<usize> = (0..asked.sampled.len()).collect();
        for rows in all.chunks(COPIED) {
            let wanted: Vec<_> = rows
                .iter()
                .filter(|row| looked(**row))
                .filter_map(|row| Some((*row, self.draw(picking(&mut st.slots, &asked.sampled[*row])?, *row, &asked))))
                .collect();
            let read = rows::read(&logits, &wanted, self.options.sampling);
            let mut read: BTreeMap<usize, Row> = wanted.iter().map(|(row, _)| *row).zip(read).collect();
            for row in rows {
                let owner = &asked.sampled[*row];
                let Some(turn) = picking(&mut st.slots, owner) else { continue };
                let whole = read.remove(row);
                let index = owner.at + 1 - turn.prompt.len();
                // If the sum of a row is finite, all its logits are; otherwise the row itself is checked.
                if whole.as_ref().is_some_and(|row| !finite::proper(&row.logits)) {
                    return Err(self.not_finite(st, owner, Noticed::Logits { token: index + 1 }));
                }
                let whole = whole.filter(|_| asked.whole[*row]);
                st.progress.generated += u64::from(self.sample(turn, index, best[*row], whole)?);
            }
        }
        Ok(())
    }

    /// What the next token of a row is drawn with; `None` if none is drawn.
    fn draw(&self, turn: &Turn, row: usize, asked: &Asked) -> Option<Draw> {
        let draws = asked.whole[row] && turn.forced.is_none() && turn.most > 0 && !self.options.sampling.greedy();
        draws.then(|| Draw { seed: turn.seed, index: asked.sampled[row].at + 1 - turn.prompt.len() })
    }

    /// Hands activations that were read to the turns that they belong to.
    fn keep(&self, st: &mut State, readers: &[Owner], taken: Vec<(Site, Vec<Vec<f32>>)>) -> Result<()> {
        for (site, rows) in taken {
            for (owner, row) in readers.iter().zip(rows) {
                let Some(turn) = open(&mut st.slots, owner).and_then(|s| s.turn.as_mut()) else { continue };
                if let Some(noticed) = finite::tapped(turn, &self.taps, site, owner.at, &row) {
                    return Err(self.not_finite(st, owner, noticed));
                }
                turn.rows.entry(site).or_default().insert(owner.at, row);
            }
        }
        Ok(())
    }

    /// The error of a conversation whose numbers are not finite. The pass is repeated to find where they begin.
    fn not_finite(&self, st: &State, owner: &Owner, noticed: Noticed) -> Error {
        let slot = st.slots[owner.slot].as_ref();
        let shape = self.options.cache(&self.model.arch);
        Error::NotFinite(Box::new(NotFinite {
            place: slot.map_or_else(String::new, |s| s.dialogue.place()),
            noticed,
            first: slot.and_then(|s| finite::first(self.model, &self.program, shape, self.options.chunk, s)),
            prompt: slot.and_then(|s| s.turn.as_ref()).map_or(0, |t| t.prompt.len()),
            dtype: self.model.dtype,
        }))
    }

    /// Gives a turn token `index` (from 0) of its reply: `best`, or the drawn one if the whole logits were read. Of a
    /// given reply, the token's log-probability is noted. Returns whether the token was generated.
    fn sample(&self, turn: &mut Turn, index: usize, best: u32, whole: Option<Row>) -> Result<bool> {
        let o = &self.options;
        let mut token = best;
        if let Some(Row { logits, drawn }) = whole {
            if index == 0 {
                turn.choices.1 = log_probs(&logits, &turn.choices.0);
            }
            if let Some(forced) = &mut turn.forced {
                let said = turn.reply.get(index).map(|id| log_probs(&logits, &[*id]));
                forced.extend(said.into_iter().flatten());
                return Ok(false);
            }
            if turn.most == 0 {
                turn.finish = Some(Finish::Length);
                return Ok(false);
            }
            token = drawn.unwrap_or_else(|| argmax(&logits));
        }
        if self.model.arch.eos.contains(&token) || self.template.end_of_turn() == Some(token) {
            turn.finish = Some(Finish::Stop);
            return Ok(false);
        }
        turn.reply.push(token);
        if let Some(stopped) = o.stop.ended(&turn.reply, self.tokenizer)? {
            turn.reply.truncate(stopped.ids);
            turn.cut = Some(stopped.text);
            turn.finish = Some(Finish::Stop);
        } else if turn.reply.len() == turn.most {
            turn.finish = Some(Finish::Length);
        }
        Ok(true)
    }
}

/// The turn whose next token a row picks; `None` if it ended before.
fn picking<'s>(slots: &'s mut [Option<Slot>], owner: &Owner) -> Option<&'s mut Turn> {
    let turn = open(slots, owner)?.turn.as_mut()?;
    (turn.forced.is_some() || turn.finish.is_none()).then_some(turn)
}
