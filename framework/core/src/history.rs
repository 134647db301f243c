//! What the model reads beside a turn's message: the exchanges before it, or none of them, and filler that makes the prompt
//! as long as another one.
use serde::{Deserialize, Serialize};

/// What the model reads of the exchanges before a turn. Later turns read them as their own `History` says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum History {
    /// All of them, each as a user message and what was kept of its reply.
    #[default]
    Kept,
    /// None: the model reads the opening and this turn's message alone.
    None,
    /// None as messages of their own. This text, which tells them, stands directly in front of the turn's message, in one
    /// user message.
    Told(String),
}

impl History {
    /// Whether earlier exchanges are messages of the prompt.
    pub fn is_kept(&self) -> bool {
        *self == Self::Kept
    }

    /// The word for it in a run's turns: empty if exchanges are kept, else `none` or `told`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Kept => "",
            Self::None => "none",
            Self::Told(_) => "told",
        }
    }

    /// What stands in front of the turn's message in the same user message.
    pub fn told(&self) -> &str {
        match self {
            Self::Told(text) => text,
            Self::Kept | Self::None => "",
        }
    }
}

/// Neutral words that are put into a message until the prompt has a wanted number of tokens. The study counts with the run's
/// own tokenizer and chat template, because a condition knows neither them nor the opening.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filler {
    /// The words, in sentences. They are said in turn, one word after the other, and again from the first after the last.
    pub sentences: Vec<String>,
    /// Where in the message they stand.
    #[serde(default)]
    pub place: Place,
    /// How long the prompt becomes.
    #[serde(default)]
    pub goal: Goal,
}

/// Where in a message its filler stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In front of the message, with a space between.
    #[default]
    Begin,
    /// Behind the message, with a space between.
    End,
}

/// How long filler makes a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// As many tokens as the prompt would have if the history held every reply whole, and no filler.
    #[default]
    Whole,
    /// So many tokens more than the prompt would have with the dataset's bare prompt in the place of the message.
    Beyond(usize),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Ask;
    use serde_json::json;

    #[test]
    fn a_message_without_them_is_written_as_before() {
        let plain = Ask::new("a");
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!({"text": "a", "phrase": null}));
        let filler = Filler { sentences: vec!["So it goes.".into()], place: Place::End, goal: Goal::Beyond(24) };
        let all = Ask { history: History::Told("b".into()), filler: Some(filler), ..plain };
        let told = serde_json::to_value(&all).unwrap();
        assert_eq!(told["history"], json!({"told": "b"}));
        assert_eq!(told["filler"], json!({"sentences": ["So it goes."], "place": "end", "goal": {"beyond": 24}}));
        assert_eq!(serde_json::from_value::<Ask>(told).unwrap(), all);
        let short: Filler = serde_json::from_value(json!({"sentences": ["x"]})).unwrap();
        assert_eq!((short.place, short.goal), (Place::Begin, Goal::Whole));
        assert_eq!(serde_json::from_value::<History>(json!("none")).unwrap(), History::None);
    }
}
