//! A template whose texts were read: what it says in each turn, and what it keeps of each reply.
use crate::held::Pools;
use crate::keep::Keep;
use crate::past::Past;
use crate::text::{self, Test, Text};
use friction_core::{
    Ask, Bounds, ChatMessage, Condition, Filler, GivenReplies, History, Item, Kept, OpeningContext, Reply, Result,
    Role, TurnContext, seed,
};

/// A template whose texts were read.
pub(crate) struct Talker {
    pub system: Option<Text>,
    pub shots: Vec<ChatMessage>,
    /// SHA-256 of the shots, if they stand in a file.
    pub read: Option<String>,
    pub messages: Vec<Text>,
    pub user: Option<Vec<Text>>,
    /// Which of `user` a group draws from.
    pub pools: Pools,
    pub equal_tokens: bool,
    pub history: Past,
    pub transcript: Text,
    pub filler: Option<Filler>,
    pub recap: Option<Text>,
    pub if_right: Option<Text>,
    pub if_wrong: Option<Text>,
    pub stop_when: Option<Test>,
    pub prefill: Option<Text>,
    pub replay: bool,
    pub rounds: Option<usize>,
    pub from_turn: usize,
    pub keep: Option<Keep>,
}

impl Talker {
    /// The text of a turn and the index of its wording; `None` if the list of messages is over and nothing follows it.
    fn text(&self, cx: &TurnContext) -> Option<(&Text, Option<u32>)> {
        let own = |t: &'_ Option<Text>| t.is_some();
        if own(&self.recap) && cx.round > cx.item.rounds() {
            return self.recap.as_ref().map(|t| (t, None));
        }
        if let Some(text) = self.messages.get(cx.turn - 1) {
            return Some((text, None));
        }
        // Where items take several turns, a grade is answered in the rounds after the first.
        let answers = cx.rounds == 1 || cx.round > 1;
        let graded = cx.history.last().and_then(|e| e.grade.right()).filter(|_| answers);
        let reaction = match graded {
            Some(true) => self.if_right.as_ref(),
            Some(false) => self.if_wrong.as_ref(),
            None => None,
        };
        if let Some(text) = reaction {
            return Some((text, None));
        }
        let (all, pool) = (self.user.as_deref()?, self.pools.of(cx.group));
        let parts = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
        let drawn = seed::derive(&[b"phrase", &parts[0], &parts[1], &parts[2]]) % pool.len().max(1) as u64;
        let phrase = *pool.get(drawn as usize)?;
        all.get(phrase).map(|text| (text, Some(phrase as u32)))
    }

    /// Whether the turn comes before the template applies: its message is the bare prompt.
    fn bare(&self, cx: &TurnContext) -> bool {
        cx.turn < self.from_turn && self.messages.is_empty() && self.user.is_some()
    }
}

impl Condition for Talker {
    fn opening(&self, cx: &OpeningContext) -> Result<Vec<ChatMessage>> {
        let mut out = cx.given.to_vec();
        if let Some(text) = &self.system {
            out.retain(|m| m.role != Role::System);
            out.insert(0, ChatMessage::system(text.write(&text::opening(cx))?));
        }
        out.extend(self.shots.iter().cloned());
        Ok(out)
    }

    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        let values = text::turn(cx);
        if let Some(test) = self.stop_when.as_ref().filter(|_| !cx.history.is_empty())
            && test.holds(&values)?
        {
            return Ok(None);
        }
        let mut ask = if self.bare(cx) {
            Ask::new(cx.prompt)
        } else {
            match self.text(cx) {
                Some((text, phrase)) => Ask { phrase, ..Ask::new(text.write(&values)?) },
                None if self.messages.is_empty() => Ask::new(cx.prompt),
                None => return Ok(None),
            }
        };
        ask.prefill = self.prefill.as_ref().map(|t| t.write(&values)).transpose()?.filter(|t| !t.is_empty());
        if !cx.history.is_empty() {
            ask.history = match self.history {
                Past::Kept => History::Kept,
                Past::None => History::None,
                Past::Message => History::Told(self.transcript.write(&values)?),
            };
        }
        if !self.bare(cx) {
            ask.filler.clone_from(&self.filler);
        }
        if self.replay {
            ask.replay = cx.item.script.get(cx.round - 1).and_then(|t| t.reply.clone());
        }
        Ok(Some(ask))
    }

    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        self.keep.as_ref().map_or_else(|| Ok(Kept::whole(reply)), |k| k.keep(reply, cx))
    }

    fn equals(&self, cx: &TurnContext) -> Result<Vec<String>> {
        // Where `ask` says none of the wordings, there is nothing to compare.
        let draws = self.equal_tokens && !self.bare(cx) && self.text(cx).is_some_and(|(_, phrase)| phrase.is_some());
        let values = text::turn(cx);
        self.user.iter().flatten().filter(|_| draws).map(|text| text.write(&values)).collect()
    }

    fn rounds(&self, item: &Item) -> usize {
        self.rounds.unwrap_or_else(|| item.rounds() + usize::from(self.recap.is_some()))
    }

    fn fingerprint(&self) -> Option<String> {
        self.read.clone()
    }

    fn replies(&self) -> Option<GivenReplies> {
        let which = "those that its scripts hold";
        self.replay.then(|| GivenReplies { of: "the dataset".into(), which: which.into(), unlike: vec![] })
    }

    fn bounds(&self) -> Bounds {
        let texts = [&self.prefill, &self.recap].into_iter().flatten();
        let hears = texts.chain(&self.messages).chain(self.user.iter().flatten()).any(Text::hears);
        let reacts = self.if_right.is_some() || self.if_wrong.is_some() || self.stop_when.is_some();
        let told = self.history == Past::Message;
        let (schedule, complement) = self.keep.as_ref().map(Keep::schedules).unwrap_or_default();
        let ends =
            |hears: bool| self.stop_when.as_ref().filter(|t| t.hears() == hears).map(|_| "stop_when".to_string());
        let (ends_by, ends_on) = (ends(false), ends(true));
        Bounds { reads_history: hears || reacts || told, message_tokens: None, schedule, complement, ends_by, ends_on }
    }
}
