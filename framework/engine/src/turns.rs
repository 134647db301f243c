//! Begins turns, and continues conversations when turns end.
use crate::dialogue::{Finish, Request, Unit};
use crate::hooks::Doses;
use crate::schedule::{Engine, State};
use crate::slot::{Prompt, Share, Slot, Turn, common_prefix};
use crate::{Error, Result};
use friction_model::KvCache;
use friction_model::decoder::spare_slots;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Fewest tokens that are worth taking over from another conversation.
const WORTH: usize = 32;

impl Engine<'_> {
    /// Gives a unit's conversations their slots. A conversation whose first turn equals another's waits and takes it
    /// over; one whose prompt begins as another's waits for that beginning.
    pub(crate) fn admit(&self, st: &mut State<'_>, unit: Unit, places: &[usize]) -> Result<()> {
        let mut first: Vec<(Request, Vec<u32>, usize)> = vec![];
        for (dialogue, place) in unit.dialogues.into_iter().zip(places) {
            let mut slot = Slot {
                dialogue,
                doses: Doses::default(),
                cached: vec![],
                told: vec![],
                written: 0,
                turn: None,
                leader: None,
                asked: None,
                waiting: None,
                unready: false,
                over: false,
            };
            match slot.next()? {
                None => slot.over = true,
                Some(request) => {
                    let prompt = self.prompt(&slot, &request)?;
                    slot.asked = Some(prompt.clone());
                    slot.leader = self.leader(&first, &request, &prompt.ids);
                    if slot.leader.is_none_or(|(_, share)| share != Share::Turn) {
                        first.push((request.clone(), prompt.ids.clone(), *place));
                    }
                    match slot.leader {
                        Some((_, Share::Turn)) => slot.doses.clone_from(&request.doses),
                        Some((_, Share::Opening(_))) => slot.waiting = Some((request, prompt)),
                        None => self.begin(&mut slot, request, prompt, &st.cache)?,
                    }
                }
            }
            st.slots[*place] = Some(slot);
        }
        Ok(())
    }

    /// The conversation among `first` that another one takes its beginning from. Edits change keys and values, so only
    /// conversations with equal doses share them.
    fn leader(&self, first: &[(Request, Vec<u32>, usize)], request: &Request, ids: &[u32]) -> Option<(usize, Share)> {
        if !self.options.reuse {
            return None;
        }
        // The same request gives the same first turn. A fork leaves nothing to take over.
        let same = |(r, p, _): &&(Request, Vec<u32>, usize)| {
            let alike = r.doses == request.doses && r.seed == request.seed && r.choices == request.choices;
            let given = r.forced.is_none() && request.forced.is_none();
            alike && given && !r.fork && !request.fork && r.max_new_tokens == request.max_new_tokens && p == ids
        };
        if let Some((_, _, place)) = first.iter().find(same) {
            return Some((*place, Share::Turn));
        }
        // `all` reads every token that a turn adds, so a turn that takes tokens over would lack them.
        if self.reads_all {
            return None;
        }
        let shared = |(r, p, place): &(Request, Vec<u32>, usize)| {
            let common = common_prefix(p, ids).min(ids.len().saturating_sub(self.reads_tail));
            (r.doses == request.doses && common >= WORTH).then_some((common, *place))
        };
        let (common, place) = first.iter().filter_map(shared).reduce(|a, b| if b.0 > a.0 { b } else { a })?;
        Some((place, Share::Opening(common)))
    }

    /// Checks that the vectors of a request fit the program's edits.
    fn fits(&self, slot: &Slot, doses: &Doses) -> Result<()> {
        self.program.fits(doses).map_err(|what| Error::Given { place: slot.dialogue.place(), what })
    }

    /// The tokens of a given reply, if the model has them all.
    fn known(&self, slot: &Slot, ids: &[u32]) -> Result<Vec<u32>> {
        let vocab = self.model.arch.vocab;
        match ids.iter().find(|id| **id as usize >= vocab) {
            None => Ok(ids.to_vec()),
            Some(id) => {
                let what = format!("the given reply holds the token {id}, and the model has {vocab} tokens");
                Err(Error::Given { place: slot.dialogue.place(), what })
            }
        }
    }

    fn prompt(&self, slot: &Slot, request: &Request) -> Result<Prompt> {
        if let Some(asked) = slot.asked.as_ref().filter(|_| request.again) {
            return Ok(asked.clone());
        }
        let mut text = self.template.render(&request.messages)?;
        if !self.reads_user || request.fork {
            text.push_str(&self.template.of_reply(&request.prefill));
            let ids = self.tokenizer.encode(&text)?;
            return Ok(Prompt { user: (0, ids.len()), ids, text });
        }
        let span = self.template.user_span(&request.messages, &text).ok_or_else(|| {
            friction_checkpoint::Error::Text(
                "the chat template changes the user's message: its tokens cannot be told".into(),
            )
        })?;
        text.push_str(&self.template.of_reply(&request.prefill));
        let (ids, user) = self.tokenizer.encode_within(&text, &span)?;
        Ok(Prompt { ids, user: (user.start, user.end), text })
    }

    /// Starts a turn: keeps the longest common prefix of cache and prompt, and rolls the cache back to it.
    fn begin(&self, slot: &mut Slot, request: Request, prompt: Prompt, cache: &KvCache) -> Result<()> {
        let o = &self.options;
        let goes_on = |text: &String| self.borders.goes_on(&prompt.text, &self.template.of_reply(text));
        let given = match (&request.forced_tokens, &request.forced) {
            (Some(tokens), Some(_)) => Some(self.known(slot, &tokens.ids)?),
            (_, text) => text.as_ref().map(goes_on).transpose()?,
        };
        let tokens = request.forced_tokens.filter(|_| request.forced.is_some());
        let reply = given.as_ref().map_or(request.max_new_tokens, Vec::len);
        let choices: Vec<Vec<u32>> = request.choices.iter().map(goes_on).collect::<Result<_>>()?;
        // A choice of several tokens has no log-probability as the first token.
        let single = choices.iter().all(|ids| ids.len() == 1);
        let choices = if single { choices.concat() } else { vec![] };
        let Prompt { ids: prompt, user, .. } = prompt;
        if prompt.is_empty() || prompt.len() + reply > o.capacity {
            let (place, prompt) = (slot.dialogue.place(), prompt.len());
            return Err(Error::TooLong { place, prompt, reply, capacity: o.capacity });
        }
        let common = common_prefix(&slot.cached, &prompt);
        // A template writes a few tokens of its own before a message.
        let before = user.0.saturating_sub(3);
        let added = common_prefix(&slot.told, &prompt).min(before);
        // The last token's logits are wanted, so it is always computed, and so are tokens that taps read or that an edit
        // changes in this turn alone.
        let read = if request.fork { 1 } else { self.reads_tail };
        let anew = read.max(self.program.tail(&request.doses));
        let mut reused = if o.reuse { common.min(prompt.len().saturating_sub(anew)) } else { 0 };
        if self.reads_user && !request.fork {
            reused = reused.min(before);
        }
        // One more token may have been computed ahead.
        let written = slot.written.max(slot.cached.len()) + spare_slots(self.model);
        if !cache.can_roll_back(&self.model.arch, written, reused) {
            reused = 0;
        }
        slot.cached.truncate(reused);
        slot.written = if reused == 0 { 0 } else { slot.written };
        self.fits(slot, &request.doses)?;
        slot.doses = request.doses;
        slot.turn = Some(Turn {
            number: self.turns.fetch_add(1, Ordering::Relaxed),
            reused,
            user,
            added,
            forced: given.as_ref().map(|_| vec![]),
            finish: given.as_ref().map(|_| Finish::Replay),
            reply: given.unwrap_or_default(),
            stopped: tokens.as_ref().is_some_and(|t| t.stopped),
            stepwise: tokens.as_ref().is_some_and(|t| t.stepwise),
            // A stop string may have cut the text inside a token, so the tokens do not always spell it.
            cut: request.forced.filter(|_| tokens.is_some()),
            most: request.max_new_tokens,
            fork: request.fork.then_some(reused),
            choices: (choices, vec![]),
            seed: request.seed,
            rows: Default::default(),
            began: Instant::now(),
            prompt,
        });
        Ok(())
    }

    /// Lets waiting conversations take over what is computed, ends turns that are complete, and asks for the next
    /// messages.
    pub(crate) fn close_turns(&self, st: &mut State<'_>) -> Result<()> {
        self.share_openings(st)?;
        for i in 0..st.slots.len() {
            let done = st.slots[i].as_ref().is_some_and(|s| s.turn.as_ref().is_some_and(|t| t.over(s.cached.len())));
            if !done {
                continue;
            }
            let Some(turn) = st.slots[i].as_mut().and_then(|s| s.turn.take()) else { continue };
            let text = turn.cut.clone().map_or_else(|| self.tokenizer.decode(&turn.reply), Ok)?;
            let outcome = turn.outcome(text, &self.taps);
            st.progress.turns += u64::from(turn.fork.is_none());
            st.progress.reused += turn.reused as u64;
            // What belongs to a stop string is no part of the reply.
            if let Some(s) = st.slots[i].as_mut() {
                s.cached.truncate(turn.len());
                if turn.fork.is_none() {
                    s.told.clone_from(&s.cached);
                }
            }
            // Waiting conversations copy the cache before the leader's next turn changes it.
            for j in 0..st.slots.len() {
                if st.slots[j].as_ref().is_some_and(|s| s.leader == Some((i, Share::Turn))) {
                    let cached = st.slots[i].as_ref().map(|s| s.cached.clone()).unwrap_or_default();
                    st.cache.fork(i, j, cached.len());
                    let mut shared = outcome.clone();
                    shared.reused_tokens = shared.prompt_tokens;
                    st.progress.turns += 1;
                    st.progress.forked_turns += 1;
                    st.progress.reused += shared.prompt_tokens as u64;
                    if let Some(s) = st.slots[j].as_mut() {
                        s.told.clone_from(&cached);
                        (s.leader, s.written, s.cached) = (None, cached.len(), cached);
                        s.replied(shared)?;
                    }
                    self.ask(st, j)?;
                }
            }
            if let Some(s) = st.slots[i].as_mut() {
                if let Some(kept) = turn.fork {
                    s.cached.truncate(kept);
                }
                s.replied(outcome)?;
            }
            self.ask(st, i)?;
        }
        self.wake(st)
    }

    /// Asks the conversations that have become ready. One that is asked may make others ready.
    fn wake(&self, st: &mut State<'_>) -> Result<()> {
        let ready = |s: &Option<Slot>| s.as_ref().is_some_and(|s| s.unready && s.dialogue.ready());
        while let Some(i) = st.slots.iter().position(ready) {
            self.ask(st, i)?;
        }
        let held = || st.slots.iter().flatten();
        match held().find(|s| s.unready) {
            Some(waits) if held().all(|s| s.unready || s.over) => Err(Error::Waits { place: waits.dialogue.place() }),
            _ => Ok(()),
        }
    }

    /// Begins the first turns of conversations that waited for the beginning of another's prompt.
    fn share_openings(&self, st: &mut State<'_>) -> Result<()> {
        for j in 0..st.slots.len() {
            let Some((i, Share::Opening(common))) = st.slots[j].as_ref().and_then(|s| s.leader) else { continue };
            let leader = st.slots[i].as_ref().filter(|s| s.cached.len() >= common);
            let Some(cached) = leader.map(|s| s.cached[..common].to_vec()) else { continue };
            let written = st.slots[i].as_ref().map_or(0, |s| s.written) + spare_slots(self.model);
            let State { slots, cache, progress, .. } = st;
            let Some(slot) = slots[j].as_mut() else { continue };
            let Some((request, prompt)) = slot.waiting.take() else { continue };
            slot.leader = None;
            // A leader that ran on may have overwritten what a sliding layer needs; then all is computed anew.
            if cache.can_roll_back(&self.model.arch, written, common) {
                cache.fork(i, j, common);
                progress.forked_openings += 1;
                (slot.written, slot.cached) = (common, cached);
            }
            self.begin(slot, request, prompt, cache)?;
        }
        Ok(())
    }

    fn ask(&self, st: &mut State<'_>, i: usize) -> Result<()> {
        let State { slots, cache, .. } = st;
        let Some(slot) = slots[i].as_mut() else { return Ok(()) };
        slot.unready = !slot.dialogue.ready();
        if slot.unready {
            return Ok(());
        }
        match slot.next()? {
            None => slot.over = true,
            Some(request) => {
                let prompt = self.prompt(slot, &request)?;
                if !request.fork {
                    slot.asked = Some(prompt.clone());
                }
                self.begin(slot, request, prompt, cache)?;
            }
        }
        Ok(())
    }
}
