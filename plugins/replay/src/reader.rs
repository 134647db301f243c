//! A condition that says and gives what a stored run's conversations said.
use crate::options::Which;
use crate::transcripts::{Conversation, Transcripts, Turn};
use friction_core::{
    Ask, ChatMessage, Condition, Error, GivenReplies, History, Item, Kept, OpeningContext, ReplayTokens, Reply, Result,
    TurnContext,
};

/// The turns whose replies are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    All,
    /// All but the last.
    Earlier,
    /// Up to this one.
    Until(usize),
}

/// The user's messages of another condition of the run.
pub(crate) struct Messages {
    pub of: Transcripts,
    pub which: Which,
}

/// The condition.
pub(crate) struct Reader {
    pub transcripts: Transcripts,
    pub messages: Option<Messages>,
    pub given: Given,
    /// Last turn; `None`: as in the run.
    pub end: Option<usize>,
    /// The sample that is read; `None`: each reads its own.
    pub sample: Option<usize>,
    /// Whether the history keeps replies whole, whatever it kept in the run.
    pub whole: bool,
    /// Whether the run's tokens are those of the study's tokenizer.
    pub tokens: bool,
    /// Whether replies are read one token a step.
    pub stepwise: bool,
    /// Whose replies are given.
    pub whose: String,
    /// What of `[generation]` is not as in the run.
    pub unlike: Vec<String>,
    /// What a study must share with the run so that it asks the same items.
    pub same: String,
}

impl Reader {
    fn conversation(&self, group: usize, sample: usize) -> Result<&Conversation> {
        let sample = self.sample.unwrap_or(sample);
        let lacks = || Error::at("run", format!("the run has no conversation of group {group}, sample {sample}"));
        self.transcripts.of(group, sample).ok_or_else(lacks)
    }

    /// The last turn of a conversation that has `planned` turns in this study.
    fn last(&self, held: &Conversation, planned: usize) -> usize {
        held.turns.len().min(self.end.unwrap_or(usize::MAX)).min(planned)
    }

    /// Whether the reply of a turn is given.
    pub fn gives(&self, turn: usize, last: usize) -> bool {
        match self.given {
            Given::All => true,
            Given::Earlier => turn < last,
            Given::Until(until) => turn <= until,
        }
    }

    /// Refuses a turn that asks another item than the run did.
    fn agrees(&self, turn: &Turn, cx: &TurnContext) -> Result<()> {
        let differs = if turn.item != cx.item.id {
            format!("the study asks item `{}`, and the run asked `{}`", cx.item.id, turn.item)
        } else if (turn.topic.as_str(), turn.round) != (cx.topic, cx.round) {
            let (now, then) =
                (format!("`{}`, round {}", cx.topic, cx.round), format!("`{}`, {}", turn.topic, turn.round));
            format!("the study asks item `{}` of {now}; in the run it was of {then}", turn.item)
        } else if (turn.choices, &turn.target) != (cx.item.choices.len(), &cx.item.target_text()) {
            format!("item `{}` has other choices, or another of them is right, than in the run", turn.item)
        } else {
            return Ok(());
        };
        Err(Error::at("run", differs).help(&self.same))
    }

    /// The turn whose message the user says.
    fn said<'a>(&'a self, own: &'a Turn, cx: &TurnContext, last: usize) -> Result<&'a Turn> {
        let Some(messages) = self.messages.as_ref().filter(|m| m.which == Which::All || cx.turn == last) else {
            return Ok(own);
        };
        let sample = self.sample.unwrap_or(cx.sample);
        let other = messages.of.of(cx.group, sample).and_then(|held| held.turns.get(cx.turn - 1));
        let other = other.ok_or_else(|| {
            let what = format!("the other condition's conversation of group {} ends before turn {}", cx.group, cx.turn);
            Error::at("messages.condition", what).help("set `end` to a turn that both conditions have")
        })?;
        if (&other.item, other.round) == (&own.item, own.round) {
            return Ok(other);
        }
        let what = format!("the other condition asks item `{}` here, and this one `{}`", other.item, own.item);
        Err(Error::at("messages.condition", what).help("name a condition that spends as many turns on each item"))
    }
}

impl Condition for Reader {
    fn opening(&self, cx: &OpeningContext) -> Result<Vec<ChatMessage>> {
        // Samples of a conversation have one opening.
        Ok(self.conversation(cx.group, 0)?.opening.clone())
    }

    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        let held = self.conversation(cx.group, cx.sample)?;
        let last = self.last(held, cx.turns);
        let Some(turn) = held.turns.get(cx.turn - 1).filter(|_| cx.turn <= last) else { return Ok(None) };
        self.agrees(turn, cx)?;
        let said = self.said(turn, cx, last)?;
        let mut ask = Ask { phrase: said.phrase, ..Ask::new(said.user.clone()) };
        // A history that was told is in the message.
        if turn.alone {
            ask.history = History::None;
        }
        ask.prefill = Some(turn.prefill.clone()).filter(|text| !text.is_empty());
        if self.gives(cx.turn, last) {
            ask.replay = Some(turn.reply.clone());
            let tokens = turn.ids.clone().filter(|_| self.tokens);
            ask.replay_tokens = tokens.map(|ids| ReplayTokens { ids, stopped: turn.stopped, stepwise: self.stepwise });
        }
        Ok(Some(ask))
    }

    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let held = self.conversation(cx.group, cx.sample)?;
        let given = self.gives(cx.turn, self.last(held, cx.turns));
        let Some(turn) = held.turns.get(cx.turn - 1).filter(|_| given && !self.whole) else {
            return Ok(Kept::whole(reply));
        };
        match turn.kept.strip_prefix(reply.prefill) {
            Some(text) => Ok(Kept { text: text.to_string(), removed_tokens: turn.removed }),
            None => {
                Err(Error::at("run", "what the run's history keeps does not begin with the prefill as it is kept here")
                    .help("set `generation.thinking` as in the run, or `history = \"whole\"`"))
            }
        }
    }

    fn rounds(&self, item: &Item) -> usize {
        self.transcripts.rounds(&item.id).unwrap_or_else(|| item.rounds())
    }

    fn replies(&self) -> Option<GivenReplies> {
        let which = match self.given {
            Given::All => "all".into(),
            Given::Earlier => "all but the last".into(),
            Given::Until(1) => "the first".into(),
            Given::Until(until) => format!("up to turn {until}"),
        };
        Some(GivenReplies { of: self.whose.clone(), which, unlike: self.unlike.clone() })
    }

    fn fingerprint(&self) -> Option<String> {
        let others = self.messages.iter().map(|m| m.of.fingerprint.as_str());
        Some([self.transcripts.fingerprint.as_str()].into_iter().chain(others).collect::<Vec<_>>().join(" "))
    }
}
