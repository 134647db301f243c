//! The options `history` and `filler`: what the model reads beside a turn's message.
use crate::text::{self, Text};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Filler, Goal, Place, Result};
use serde::Deserialize;

/// What the model reads of the exchanges before a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Past {
    /// All of them.
    #[default]
    Kept,
    /// None of them.
    None,
    /// All of them, written into the user's message.
    Message,
}

/// How `history = "message"` writes the exchanges before a turn.
const TRANSCRIPT: &str = "{% for e in history %}User: {{ e.user }}\n\nAssistant: {{ e.kept }}\n\n{% endfor %}User: ";

/// The text of the option `transcript`, or its default.
pub(crate) fn transcript(given: Option<&String>) -> Result<Text> {
    Text::new("transcript", given.map_or(TRANSCRIPT, String::as_str), &text::TURN)
}

/// The first placeholder, or mark of Jinja's, in a text that is said as it is.
pub(crate) fn placeholder(said: &str) -> Option<&str> {
    let known =
        |at: &std::ops::Range<usize>| text::TURN.contains(&said[at.clone()].split('.').next().unwrap_or("").trim());
    let single = text::singles(said).into_iter().find(known).map(|at| &said[at.start - 1..at.end + 1]);
    single.or_else(|| text::JINJA.iter().find_map(|(open, _)| said.contains(open).then_some(*open)))
}

/// Neutral words that make prompts equally long.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Neutral {
    /// The words: a text, or a list of sentences. Turn 1 begins with the first sentence, turn 2 with the second, and so on;
    /// after the last the first follows. Choose short, plain sentences that have nothing to do with the study, and enough of
    /// them for the longest cut. They are said as they are: a placeholder is refused.
    text: Sentences,
    /// Where in the message they stand: `begin`, before all that `user` says, or `end`.
    #[serde(default)]
    place: Place,
    /// Number of tokens that the message, filler included, has more than the bare question. Default: none; the prompt gets
    /// as many tokens as if no reply had been cut. The same number in several conditions makes their wordings equally
    /// long; one that is longer already is refused.
    #[serde(default)]
    #[schemars(range(min = 1))]
    wording_tokens: Option<usize>,
}

/// The words of a filler.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`text` is a text in quotes, or a list of sentences in quotes")]
enum Sentences {
    /// One text.
    One(String),
    /// Sentences.
    Several(Vec<String>),
}

impl Neutral {
    fn sentences(&self) -> Vec<String> {
        match &self.text {
            Sentences::One(text) => vec![text.clone()],
            Sentences::Several(all) => all.clone(),
        }
    }

    /// Whether it makes prompts as long as with whole replies.
    pub fn for_cuts(&self) -> bool {
        self.wording_tokens.is_none()
    }

    /// What is wrong whatever the study. `cuts`: whether replies are cut.
    pub fn check(&self, cuts: bool, faults: &mut Faults) {
        let all = self.sentences();
        faults.when(all.is_empty(), "filler.text", "`text` lists no sentence");
        for (i, sentence) in all.iter().enumerate() {
            let key =
                if matches!(self.text, Sentences::One(_)) { "filler.text".into() } else { format!("filler.text.{i}") };
            if sentence.trim().is_empty() {
                faults.add(Error::at(key, format!("{sentence:?} has no word")));
            } else if let Some(name) = placeholder(sentence) {
                let what = format!("{name:?} would be said with its braces: filler has no placeholders");
                faults.add(Error::at(key, what).help("write plain words, or put the placeholder into `user`"));
            }
        }
        faults.when(self.wording_tokens == Some(0), "filler.wording_tokens", "`wording_tokens` must be 1 or more");
        if self.for_cuts() && !cuts {
            let what = "`filler` does nothing: no reply is cut, so prompts are as long as with whole replies";
            let help =
                "cut replies by `keep = { tokens = … }`, or set `filler.wording_tokens` to make wordings equally long";
            faults.add(Error::at("filler", what).help(help));
        }
    }

    pub fn filler(&self) -> Filler {
        let goal = self.wording_tokens.map_or(Goal::Whole, Goal::Beyond);
        Filler { sentences: self.sentences(), place: self.place, goal }
    }
}
