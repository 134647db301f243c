//! Begins turns, and continues conversations when turns end.
use crate::dialogue::{Dialogue, Unit};
use crate::hooks::Doses;
use crate::schedule::{Engine, State};
use crate::slot::{Slot, Turn, common_prefix};
use crate::{Error, Result};
use friction_model::decoder::spare_slots;
use friction_model::{ChatTurn, KvCache};
use std::sync::atomic::Ordering;
use std::time::Instant;

impl Engine<'_> {
    /// Gives a unit's conversations their slots. A conversation whose first turn equals another's waits and takes it
    /// over.
    pub(crate) fn admit(&self, st: &mut State<'_>, unit: Unit, places: &[usize]) -> Result<()> {
        let mut first: Vec<(Vec<u32>, usize)> = vec![];
        for (dialogue, place) in unit.dialogues.into_iter().zip(places) {
            let doses = self.doses(dialogue.as_ref())?;
            let mut slot = Slot { dialogue, doses, cached: vec![], turn: None, leader: None, over: false };
            match slot.dialogue.next()? {
                None => slot.over = true,
                Some(turns) => {
                    let prompt = self.prompt(&turns)?;
                    // The same prompt, doses, seed and watched ids give the same first turn.
                    slot.leader = first
                        .iter()
                        .find(|(p, l)| {
                            let same = |s: &Slot| {
                                s.doses == slot.doses
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

    /// What edits do in the coming turn.
    fn doses(&self, dialogue: &dyn Dialogue) -> Result<Doses> {
        let doses = Doses { strengths: dialogue.strengths(), given: dialogue.given() };
        match self.program.fits(&doses) {
            Ok(()) => Ok(doses),
            Err(what) => Err(Error::Given { place: dialogue.place(), what }),
        }
    }

    fn prompt(&self, turns: &[ChatTurn]) -> Result<Vec<u32>> {
        Ok(self.tokenizer.encode(&self.template.render(turns)?)?)
    }

    /// Starts a turn: keeps the longest common prefix of cache and prompt, and rolls the cache back to it.
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

    /// First position of the last user message, and the position after its last: the text between Gemma's turn markers,
    /// or the whole prompt if there are none.
    fn user_span(&self, prompt: &[u32]) -> (usize, usize) {
        let (Some(open), Some(close)) = (self.tokenizer.id("<start_of_turn>"), self.tokenizer.id("<end_of_turn>"))
        else {
            return (0, prompt.len());
        };
        let Some(end) = prompt.iter().rposition(|t| *t == close) else { return (0, prompt.len()) };
        let start = prompt[..end].iter().rposition(|t| *t == open).map_or(0, |s| (s + 3).min(end));
        (start, end)
    }

    /// Ends turns that are complete and computed, lets waiting conversations take over a first turn, and asks for the
    /// next messages.
    pub(crate) fn close_turns(&self, st: &mut State<'_>) -> Result<()> {
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
            // Waiting conversations copy the cache before the leader's next turn changes it.
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
                slot.doses = self.doses(slot.dialogue.as_ref())?;
                self.begin(slot, prompt, cache)?;
            }
        }
        Ok(())
    }
}
