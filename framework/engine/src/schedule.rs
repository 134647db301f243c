//! Keeping slots full and stepping the model.
use crate::ahead::{Asked, Launched, Owner, Rules, open};
use crate::dialogue::{Finish, Unit};
use crate::hooks::{Program, TokenRole};
use crate::sampling::{Sampling, argmax, log_probs};
use crate::slot::{Slot, Turn, common_prefix};
use crate::{Error, Result};
use friction_core::{HookProgram, Position, Site, Tap};
use friction_model::cache::CacheShape;
use friction_model::decoder::{Answer, Hooks, spare_slots};
use friction_model::model::floats;
use friction_model::{ChatTemplate, ChatTurn, Decoder, Gemma3, KvCache, Segment, Tokenizer};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Sizes and rules of a run.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Conversations in flight.
    pub slots: usize,
    /// Positions of a conversation.
    pub capacity: usize,
    /// Longest reply.
    pub max_new_tokens: usize,
    /// How tokens are picked.
    pub sampling: Sampling,
    /// Prompt tokens of one conversation computed in one step.
    pub chunk: usize,
    /// Tokens of all conversations in one step.
    pub step_tokens: usize,
    /// Keep common prefixes and share first turns. Off only to prove that it changes nothing.
    pub reuse: bool,
}

impl EngineOptions {
    /// The usual [`Self::chunk`].
    pub const CHUNK: usize = 256;

    /// The usual [`Self::step_tokens`]: a GPU's products want many rows at once, a processor's that they stay near it.
    pub fn step_tokens(on_cpu: bool) -> usize {
        if on_cpu { 512 } else { 8192 }
    }

    /// The cache that it needs.
    pub fn cache(&self, config: &friction_model::Config) -> CacheShape {
        // A roll-back reaches at most over one reply and a few tokens of re-tokenised border.
        CacheShape::new(config, self.slots, self.capacity, self.chunk + self.max_new_tokens + 16)
    }
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    /// Prompt tokens computed.
    pub prefilled: u64,
    /// Prompt tokens taken from the cache or a fork.
    pub reused: u64,
    /// Reply tokens generated.
    pub generated: u64,
    /// Turns finished.
    pub turns: u64,
    /// Turns that were another conversation's first turn, taken over whole.
    pub forked_turns: u64,
    /// Forward passes.
    pub steps: u64,
    /// Seconds.
    pub seconds: f64,
}

impl std::ops::Add for Progress {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            prefilled: self.prefilled + more.prefilled,
            reused: self.reused + more.reused,
            generated: self.generated + more.generated,
            turns: self.turns + more.turns,
            forked_turns: self.forked_turns + more.forked_turns,
            steps: self.steps + more.steps,
            seconds: self.seconds + more.seconds,
        }
    }
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop now; unfinished units are dropped.
    Stop,
}

/// A model with everything that conversations need.
pub struct Engine<'a> {
    /// The model.
    pub model: &'a Gemma3,
    /// Its tokenizer.
    pub tokenizer: &'a Tokenizer,
    /// Its chat template.
    pub template: &'a ChatTemplate,
    /// Sizes and rules.
    pub options: EngineOptions,
    program: Program,
    taps: Vec<(Tap, usize)>,
    /// Reading the user's tokens: they must be computed in the turn itself.
    reads_user: bool,
    /// Turns begun.
    turns: AtomicU64,
}

struct State<'a> {
    decoder: Decoder<'a>,
    /// A step that was launched before the one before it was looked at.
    ahead: Option<Launched>,
    slots: Vec<Option<Slot>>,
    cache: KvCache,
    progress: Progress,
}

impl<'a> Engine<'a> {
    /// Prepares a program.
    ///
    /// # Errors
    /// When the program does not fit the model.
    pub fn new(
        model: &'a Gemma3,
        tokenizer: &'a Tokenizer,
        template: &'a ChatTemplate,
        program: &HookProgram,
        options: EngineOptions,
    ) -> Result<Self> {
        let spec = model.config.spec("the model");
        program.validate(&spec)?;
        let taps = program.taps.iter().map(|t| Ok((t.clone(), spec.width(t.site)?))).collect::<Result<Vec<_>>>()?;
        let reads_user = taps.iter().any(|(t, _)| matches!(t.position, Position::UserMean | Position::All));
        Ok(Self {
            model,
            tokenizer,
            template,
            options,
            program: Program::new(program, &model.device),
            taps,
            reads_user,
            turns: AtomicU64::new(0),
        })
    }

    /// Runs all units. `finished` gets each unit once its conversations are over; `tick` is called
    /// after every step.
    ///
    /// # Errors
    /// When a conversation does not fit, a plugin fails, or `tick` says stop.
    pub fn run(
        &self,
        units: impl IntoIterator<Item = Unit>,
        mut finished: impl FnMut(Unit) -> Result<()>,
        mut tick: impl FnMut(&Progress) -> Flow,
    ) -> Result<Progress> {
        let o = &self.options;
        let mut shape = o.cache(&self.model.config);
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
            // A unit is admitted whole or waits: what it computes never depends on who else is there.
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

    fn admit(&self, st: &mut State<'_>, unit: Unit, places: &[usize]) -> Result<()> {
        let mut first: Vec<(Vec<u32>, usize)> = vec![];
        for (dialogue, place) in unit.dialogues.into_iter().zip(places) {
            let strengths = dialogue.strengths();
            let mut slot = Slot { dialogue, strengths, cached: vec![], turn: None, leader: None, over: false };
            match slot.dialogue.next()? {
                None => slot.over = true,
                Some(turns) => {
                    let prompt = self.prompt(&turns)?;
                    // Same prompt, strengths and draws: the same first turn.
                    slot.leader = first
                        .iter()
                        .find(|(p, l)| {
                            let same = |s: &Slot| {
                                s.strengths == slot.strengths
                                    && s.turn.as_ref().is_some_and(|t| {
                                        t.forced.0.is_empty()
                                            && t.seed == slot.dialogue.seed()
                                            && t.watched.0 == slot.dialogue.watched()
                                    })
                            };
                            self.options.reuse && *p == prompt && st.slots[*l].as_ref().is_some_and(same)
                        })
                        .map(|(_, l)| *l);
                    if slot.leader.is_none() {
                        first.push((prompt.clone(), *place));
                        self.begin(&mut slot, prompt, &st.cache)?;
                    }
                }
            }
            st.slots[*place] = Some(slot);
        }
        Ok(())
    }

    fn prompt(&self, turns: &[ChatTurn]) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(&self.template.render(turns)?)?)
    }

    /// Starts a turn: keeps the longest common prefix with the cache, rolls back to it.
    fn begin(&self, slot: &mut Slot, prompt: Vec<u32>, cache: &KvCache) -> Result<()> {
        let o = &self.options;
        let forced = slot.dialogue.forced();
        let reply = if forced.is_empty() { o.max_new_tokens } else { forced.len() };
        if prompt.is_empty() || prompt.len() + reply > o.capacity {
            return Err(Error::TooLong { prompt: prompt.len(), reply, capacity: o.capacity });
        }
        let user = self.user_span(&prompt);
        let added = common_prefix(&slot.cached, &prompt).min(user.0.saturating_sub(3));
        // The last token's logits are wanted, so it is always computed.
        let mut reused = if o.reuse { common_prefix(&slot.cached, &prompt).min(prompt.len() - 1) } else { 0 };
        if self.reads_user {
            reused = reused.min(added);
        }
        // One more token may have been computed ahead.
        let filled = slot.cached.len() + spare_slots(self.model);
        if !cache.can_roll_back(&self.model.config, filled, reused) {
            reused = 0;
        }
        slot.cached.truncate(reused);
        slot.turn = Some(Turn {
            number: self.turns.fetch_add(1, Ordering::Relaxed),
            reused,
            user,
            added,
            reply: vec![],
            finish: None,
            watched: (slot.dialogue.watched(), vec![]),
            forced: (forced, vec![]),
            seed: slot.dialogue.seed(),
            rows: Default::default(),
            began: Instant::now(),
            prompt,
        });
        Ok(())
    }

    /// Where the last user message stands: between Gemma's markers, else everything.
    fn user_span(&self, prompt: &[u32]) -> (usize, usize) {
        let (Some(open), Some(close)) = (self.tokenizer.id("<start_of_turn>"), self.tokenizer.id("<end_of_turn>"))
        else {
            return (0, prompt.len());
        };
        let Some(end) = prompt.iter().rposition(|t| *t == close) else { return (0, prompt.len()) };
        let start = prompt[..end].iter().rposition(|t| *t == open).map_or(0, |s| (s + 3).min(end));
        (start, end)
    }

    /// One forward pass: over what every slot has to compute, or the one that was launched ahead.
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
        let rules = Rules { taps: &self.taps, max_new_tokens: self.options.max_new_tokens };
        let ahead = self.options.sampling.greedy() && self.records(st, now.asked.sampled.len());
        let next = if ahead { rules.after(&now.asked, &st.slots) } else { None };
        if let Some(next) = next {
            st.ahead = Some(self.launch(st, next, now.answer.as_ref())?);
        }
        self.settle(st, now);
        self.close_turns(st)
    }

    /// Whether a step of so many rows is recorded, hooks and all.
    fn records(&self, st: &State<'_>, rows: usize) -> bool {
        st.decoder.records(rows) && self.program.records()
    }

    /// What every slot has to compute.
    fn asked(&self, slots: &[Option<Slot>]) -> Asked {
        let o = &self.options;
        let mut asked = Asked::default();
        for (i, slot) in slots.iter().enumerate() {
            let Some((slot, turn)) = slot.as_ref().and_then(|s| Some((s, s.turn.as_ref()?))) else { continue };
            let step = &mut asked.step;
            let start = slot.cached.len();
            let len = (turn.len() - start).min(o.chunk);
            // Whole chunks wait for the next step: a chunk's length depends on its own slot alone.
            if !step.ids.is_empty() && step.ids.len() + len > o.step_tokens {
                continue;
            }
            let row = asked.strengths.len();
            asked.strengths.push(slot.strengths.clone());
            let owner = |at| Owner { slot: i, turn: turn.number, at };
            let end = turn.prompt.len() - 1;
            for at in start..start + len {
                if self.taps.iter().any(|(t, _)| turn.reads(t.position, at)) {
                    asked.reads.push(step.ids.len());
                    asked.readers.push(owner(at));
                }
                step.ids.push(turn.token(at));
                asked.roles.push(TokenRole { row, replying: at >= end, prompt: at <= end });
            }
            step.segments.push(Segment { slot: i, start, len });
            asked.segments.push(owner(start));
            if start + len == turn.len() && turn.finish.is_none() {
                step.logits.push(step.ids.len() - 1);
                asked.sampled.push(owner(start + len - 1));
                // Whole rows come to the host only where a draw or watched ids need them.
                let looked_at = !turn.forced.0.is_empty() || turn.reply.is_empty() && !turn.watched.0.is_empty();
                asked.whole.push(!o.sampling.greedy() || looked_at);
            }
        }
        asked
    }

    /// Launches a step; of tokens that are `before`'s, where it is given.
    fn launch(&self, st: &mut State<'_>, asked: Asked, before: Option<&Answer>) -> Result<Launched> {
        st.progress.steps += 1;
        let step = &asked.step;
        let decodes = !step.logits.is_empty() && step.segments.iter().all(|s| s.len == 1);
        if decodes && self.records(st, step.ids.len()) {
            let wish = self.program.wish(&asked.roles, &asked.strengths, &asked.reads);
            let answer = st.decoder.step_after(step, &wish, &mut st.cache, before)?;
            return Ok(Launched { asked, answer: Some(answer) });
        }
        let mut pass = self.program.pass(&asked.roles, &asked.strengths, &asked.reads, &step.logits);
        let logits = self.model.forward(step, &mut st.cache, &mut pass)?;
        let taken = pass.finish();
        keep(st, &asked.readers, taken);
        let answer = logits.map(|logits| Answer::new(logits.clone(), self.model.best(&logits)));
        Ok(Launched { asked, answer })
    }

    /// Gives a step's tokens and readings to the turns whose they are.
    fn settle(&self, st: &mut State<'_>, Launched { asked, answer }: Launched) {
        for (segment, owner) in asked.step.segments.iter().zip(&asked.segments) {
            let Some(slot) = open(&mut st.slots, owner) else { continue };
            let Some(turn) = slot.turn.as_ref() else { continue };
            let at = segment.start..segment.start + segment.len;
            st.progress.prefilled += at.clone().filter(|at| *at < turn.prompt.len()).count() as u64;
            slot.cached.extend(at.map(|at| turn.token(at)));
        }
        let Some(answer) = answer else { return };
        let logits = answer.logits.clone();
        let (best, taken) = answer.read();
        if !taken.is_empty() {
            let width = |site| self.taps.iter().find(|(t, _)| t.site == site).map_or(0, |(_, w)| *w);
            let taken = self.program.taken(&taken, &asked.reads, &asked.step.logits, width);
            keep(st, &asked.readers, taken);
        }
        for (row, owner) in asked.sampled.iter().enumerate() {
            let slot = open(&mut st.slots, owner);
            let Some(turn) = slot.and_then(|s| s.turn.as_mut()).filter(|t| t.finish.is_none()) else { continue };
            let values = asked.whole[row].then(|| floats(&logits.clone().narrow(0, row, 1).into_data()));
            st.progress.generated += u64::from(self.sample(turn, best[row], values));
        }
    }

    /// Gives a turn its next token: the likeliest, or as whole logits have it. Tells whether it was generated.
    fn sample(&self, turn: &mut Turn, best: u32, values: Option<Vec<f32>>) -> bool {
        let o = &self.options;
        let mut token = best;
        if let Some(values) = values {
            if let Some(said) = turn.forced.0.get(turn.reply.len()).copied() {
                turn.forced.1.extend(log_probs(&values, &[said]));
                turn.reply.push(said);
                if turn.reply.len() == turn.forced.0.len() {
                    turn.finish = Some(Finish::Length);
                }
                return false;
            }
            if turn.reply.is_empty() {
                turn.watched.1 = log_probs(&values, &turn.watched.0);
            }
            token = if o.sampling.greedy() {
                argmax(&values)
            } else {
                o.sampling.draw(&values, turn.seed, turn.reply.len())
            };
        }
        if self.model.config.eos.contains(&token) {
            turn.finish = Some(Finish::Stop);
            return false;
        }
        turn.reply.push(token);
        if turn.reply.len() == o.max_new_tokens {
            turn.finish = Some(Finish::Length);
        }
        true
    }

    /// Ends turns that are complete and computed, lets followers take over the first, asks on.
    fn close_turns(&self, st: &mut State<'_>) -> Result<()> {
        for i in 0..st.slots.len() {
            let done = st.slots[i]
                .as_ref()
                .is_some_and(|s| s.turn.as_ref().is_some_and(|t| t.finish.is_some() && s.cached.len() == t.len()));
            if !done {
                continue;
            }
            let Some(turn) = st.slots[i].as_mut().and_then(|s| s.turn.take()) else { continue };
            let text = self.tokenizer.decode(&turn.reply)?;
            let outcome = turn.outcome(text, &self.taps);
            st.progress.turns += 1;
            st.progress.reused += turn.reused as u64;
            // Followers copy the cache before the leader goes on.
            for j in 0..st.slots.len() {
                if st.slots[j].as_ref().is_some_and(|s| s.leader == Some(i)) {
                    let cached = st.slots[i].as_ref().map(|s| s.cached.clone()).unwrap_or_default();
                    st.cache.fork(i, j, cached.len());
                    let mut shared = outcome.clone();
                    shared.reused_tokens = shared.prompt_tokens;
                    st.progress.turns += 1;
                    st.progress.forked_turns += 1;
                    st.progress.reused += shared.prompt_tokens as u64;
                    if let Some(s) = st.slots[j].as_mut() {
                        (s.leader, s.cached) = (None, cached);
                        s.dialogue.replied(shared)?;
                    }
                    self.ask(st, j)?;
                }
            }
            if let Some(s) = st.slots[i].as_mut() {
                s.dialogue.replied(outcome)?;
            }
            self.ask(st, i)?;
        }
        Ok(())
    }

    fn ask(&self, st: &mut State<'_>, i: usize) -> Result<()> {
        let State { slots, cache, .. } = st;
        let Some(slot) = slots[i].as_mut() else { return Ok(()) };
        match slot.dialogue.next()? {
            None => slot.over = true,
            Some(turns) => {
                let prompt = self.prompt(&turns)?;
                slot.strengths = slot.dialogue.strengths();
                self.begin(slot, prompt, cache)?;
            }
        }
        Ok(())
    }
}

/// Gives rows that were read to the turns whose they are.
fn keep(st: &mut State, readers: &[Owner], taken: Vec<(Site, Vec<Vec<f32>>)>) {
    for (site, rows) in taken {
        for (owner, row) in readers.iter().zip(rows) {
            if let Some(turn) = open(&mut st.slots, owner).and_then(|s| s.turn.as_mut()) {
                turn.rows.entry(site).or_default().insert(owner.at, row);
            }
        }
    }
}
