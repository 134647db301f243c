//! Conditions across the border.
use crate::before;
use crate::offer::Offer;
use crate::remote::Remote;
use friction_core::{
    Ask, Bounds, ChatMessage, Condition, Error, Filler, History, Item, Kept, OpeningContext, ReplayTokens, Reply,
    Result, TurnContext,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A condition of the other side.
pub(crate) struct RemoteCondition {
    remote: Remote,
    bounds: Bounds,
    asked: Mutex<Asked>,
}

/// What was asked once for all.
#[derive(Default)]
struct Asked {
    /// Number of turns of an item by its id, of a condition that has such a method.
    rounds: BTreeMap<String, usize>,
    /// The other side has no such method.
    no_rounds: bool,
    no_opening: bool,
    /// Why the number of turns of an item could not be told. The next method that can fail reports it.
    failed: Option<String>,
}

/// What a condition says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    text: String,
    #[serde(default)]
    phrase: Option<u32>,
    #[serde(default)]
    prefill: Option<String>,
    #[serde(default)]
    replay: Option<String>,
    #[serde(default)]
    history: History,
    #[serde(default)]
    filler: Option<Filler>,
    #[serde(default)]
    replay_tokens: Option<ReplayTokens>,
}

impl From<Said> for Ask {
    fn from(s: Said) -> Self {
        let Said { text, phrase, prefill, replay, history, filler, replay_tokens } = s;
        Self { text, phrase, prefill, replay, history, filler, replay_tokens }
    }
}

/// The request of `ask` from version 3 on: the turn with its item and the turns before it.
fn turn(cx: &TurnContext) -> Value {
    json!({
        "seed": cx.seed, "group": cx.group, "sample": cx.sample, "turn": cx.turn, "turns": cx.turns, "round": cx.round,
        "rounds": cx.rounds, "topic": cx.topic, "item": cx.item, "prompt": cx.prompt, "history": cx.history,
    })
}

impl RemoteCondition {
    pub fn wrap(remote: Remote) -> Result<Self> {
        let before = remote.version() <= before::LAST;
        let bounds = if before { None } else { remote.maybe("bounds", &Value::Null, Offer::default())? };
        let asked = Asked { no_rounds: before, no_opening: before, ..Asked::default() };
        Ok(Self { remote, bounds: bounds.unwrap_or_default(), asked: Mutex::new(asked) })
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rounds_told(&self, item: &Item) -> Result<usize> {
        let told: Option<usize> = self.remote.maybe("rounds", item, Offer::default())?;
        match told {
            Some(0) => Err(self.remote.wrong(&format!("gives the item `{}` no turn: `rounds` is at least 1", item.id))),
            Some(n) => Ok(n),
            None => {
                self.asked().no_rounds = true;
                Ok(item.rounds())
            }
        }
    }

    /// Reports what a method that cannot fail could not tell.
    fn checked(&self) -> Result<()> {
        self.asked().failed.clone().map_or(Ok(()), |why| Err(Error::other(why)))
    }
}

impl Condition for RemoteCondition {
    fn opening(&self, cx: &OpeningContext) -> Result<Vec<ChatMessage>> {
        self.checked()?;
        if self.asked().no_opening {
            return Ok(cx.given.to_vec());
        }
        let request = json!({"seed": cx.seed, "group": cx.group, "items": cx.items, "given": cx.given});
        let told = self.remote.maybe("opening", &request, Offer::default())?;
        Ok(told.unwrap_or_else(|| {
            self.asked().no_opening = true;
            cx.given.to_vec()
        }))
    }

    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        self.checked()?;
        if self.remote.version() <= before::LAST {
            let message: before::Message = self.remote.call("ask", &before::turn(cx))?;
            return Ok(Some(message.into()));
        }
        let said: Option<Said> = self.remote.call("ask", &turn(cx))?;
        Ok(said.map(Ask::from))
    }

    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let before = self.remote.version() <= before::LAST;
        let request = if before {
            json!({"turn": before::turn(cx), "reply": before::reply(reply)})
        } else {
            let said = json!({"text": reply.text, "ids": reply.ids, "prefill": reply.prefill});
            json!({"turn": turn(cx), "reply": said})
        };
        let kept: Option<Kept> = self.remote.maybe("keep", &request, Offer::codec(reply.codec))?;
        match kept {
            Some(kept) => Ok(kept),
            None if before => Err(self.remote.lacks("keep")),
            None => Ok(Kept::whole(reply)),
        }
    }

    fn rounds(&self, item: &Item) -> usize {
        {
            let asked = self.asked();
            if asked.no_rounds || asked.failed.is_some() {
                return item.rounds();
            }
            if let Some(n) = asked.rounds.get(&item.id) {
                return *n;
            }
        }
        match self.rounds_told(item) {
            Ok(n) => {
                self.asked().rounds.insert(item.id.clone(), n);
                n
            }
            Err(e) => {
                self.asked().failed = Some(e.to_string());
                item.rounds()
            }
        }
    }

    fn bounds(&self) -> Bounds {
        self.bounds.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::{Goal, Place};

    #[test]
    fn a_message_says_what_is_read_beside_it_or_nothing_of_it() {
        let read = |text: &str| serde_json::from_str::<Said>(text).map(Ask::from).map_err(|e| e.to_string());
        assert_eq!(read(r#"{"text": "a"}"#), Ok(Ask::new("a")));
        let told = r#"{"text": "a", "history": {"told": "b"}, "filler": {"sentences": ["c"], "goal": {"beyond": 9}}}"#;
        let filler = Filler { sentences: vec!["c".into()], place: Place::Begin, goal: Goal::Beyond(9) };
        assert_eq!(read(told), Ok(Ask { history: History::Told("b".into()), filler: Some(filler), ..Ask::new("a") }));
        assert_eq!(read(r#"{"text": "a", "history": "none"}"#).map(|a| a.history), Ok(History::None));
        assert!(read(r#"{"text": "a", "history": "some"}"#).unwrap_err().contains("unknown variant `some`"));
        assert!(read(r#"{"text": "a", "filler": {"words": []}}"#).unwrap_err().contains("unknown field `words`"));
    }
}
