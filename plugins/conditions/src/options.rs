//! The options of `template`.
use crate::held::{HeldOut, Pools};
use crate::keep::Keep;
use crate::past::{self, Neutral, Past};
use crate::talker::Talker;
use crate::text::{self, Test, Text};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, ChatMessage, Condition, Error, PluginConfig, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// One wording, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`user` is a text in quotes, or a list of texts in quotes")]
pub(crate) enum Wordings {
    /// One wording.
    One(String),
    /// Several wordings.
    Several(Vec<String>),
}

/// A worked example.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shot {
    /// What the user says.
    user: String,
    /// What the model is said to have replied.
    assistant: String,
}

/// Worked examples before the first turn.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "`shots` is a list of tables { user = …, assistant = … }, or { path = …, count = … }, a file of such JSON lines"
)]
pub(crate) enum Shots {
    /// The examples themselves.
    Listed(Vec<Shot>),
    /// A file of JSON lines, each `{"user": …, "assistant": …}`.
    File {
        /// The file, relative to the manifest.
        path: PathBuf,
        /// Number of examples that are taken, from the first. Default: all.
        #[serde(default)]
        count: Option<usize>,
    },
}

/// Says what the user says, from texts with placeholders. It needs no code, and covers wordings, politeness, interruptions,
/// system prompts, worked examples, pushback, scripted users and replays of transcripts.
///
/// A placeholder is written `{question}` or, with Jinja's filters and statements, `{{ question }}`. There are `question`
/// (what the dataset asks in this turn), `topic`, `text`, `choices`, `target`, `metadata.<key>` and `item` (the id) of the
/// item, `script` (the list of its messages) and `message` (the script's message of this round), `turn`, `turns`, `round`,
/// `rounds`, `group`, `last_user`, `last_reply`, `last_kept`, `last_removed` (tokens cut from it), `last_answer`,
/// `last_score` (none before the second turn), `history` (a list of `user`, `reply`, `kept`, `removed`, `answer`, `score`),
/// and the function `matches(text, regex)`.
///
/// In order: `messages` come first, by turn; then `if_right` or `if_wrong`, after a graded reply; then `user`. The reply
/// that is graded is always the whole one; only what later turns read of it is cut.
///
/// It writes, with each turn: the message, the number of the wording that was drawn, the prefill, what the history keeps of
/// the reply, and how many tokens were removed; with `filler`, how many tokens it added and by how many the prompt still
/// differs from the wanted length; with `history`, what the model read of the exchanges before.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = friction_core::serde_json::json!({
    "name": "interrupt_blunt", "user": "nvm. {question}", "keep": {"tokens": 50, "marker": "..."},
    "factors": {"completion": "interrupt", "tone": "blunt"},
}))]
pub(crate) struct Template {
    /// The user's message. Default: the bare question. Where each item takes one turn, the item must be in it: `{question}`,
    /// `{text}`, `{message}` or `{script}`. A list gives several wordings; each turn takes one of them, drawn by seed, group
    /// and turn.
    #[serde(default)]
    #[schemars(example = &"nvm. {question}")]
    user: Option<Wordings>,
    /// Wordings of `user` that are said in groups of their own, so that what is found with the others can be confirmed with
    /// words that it was not found with: `{ wordings = [6, 7], share = 0.25 }`.
    #[serde(default)]
    held_out: Option<HeldOut>,
    /// Whether the wordings of `user` must be equally long in tokens, by the model's own tokenizer. The check before a run
    /// then counts them turn by turn, and refuses a difference with the numbers.
    #[serde(default)]
    equal_tokens: bool,
    /// First turn that `user`, `if_right` and `if_wrong` apply to, from 1; the message of earlier turns is the bare question.
    /// The default, 2, is the first turn that has a reply before it. It must not be beyond `study.turns`.
    #[serde(default = "second")]
    #[schemars(range(min = 1))]
    from_turn: usize,
    /// What the history keeps of each reply. Default: all of it.
    #[serde(default)]
    keep: Option<Keep>,
    /// What the model reads of the exchanges before a turn: `kept`, all of them, as the history holds them; `none`, so that
    /// each turn is a conversation of its own (a baseline in which nothing can accumulate); `message`, all of them, written
    /// into the user's message (a baseline without turns). What stands before turn 1 is read in any case, and turn 1 is the
    /// same in all three.
    #[serde(default)]
    history: Past,
    /// How `history = "message"` writes the exchanges, as a text with placeholders that ends where this turn's message begins.
    /// Default: `User: …` and `Assistant: …`, one after the other with an empty line between, and `User: ` before the
    /// message. Without the replies it is a recapitulation: `{% for e in history %}{{ e.user }}\n\n{% endfor %}`.
    #[serde(default)]
    transcript: Option<String>,
    /// Neutral words in each message from `from_turn` on, until the prompt has as many tokens as if no reply had been cut.
    /// They take the difference in length out of a comparison with whole replies. Each turn's count is checked by what the
    /// model was given.
    #[serde(default)]
    filler: Option<Neutral>,
    /// The system prompt. It stands before the first turn and replaces the dataset's own.
    #[serde(default)]
    system: Option<String>,
    /// Worked examples between the system prompt and the first turn: a list of `{ user = "…", assistant = "…" }`, or
    /// `{ path = "shots.jsonl", count = 64 }`. They have no placeholders.
    #[serde(default)]
    shots: Option<Shots>,
    /// The messages of the first turns, in order. After them `user` is said, or the conversation ends if there is no `user`.
    /// With `study.items = 1`, each is a turn.
    #[serde(default)]
    messages: Vec<String>,
    /// Number of turns that ask one item. Default: the length of its script, or 1. Set it to 1 to ask a scripted item at
    /// once, or to 2 to ask back about each answer.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    rounds: Option<usize>,
    /// A message after the script's last, which adds a turn: to say again all that was said bit by bit.
    #[serde(default)]
    recap: Option<String>,
    /// Said instead of `user` where the last reply was right. Where an item takes several turns, it is said in those after
    /// the first.
    #[serde(default)]
    if_right: Option<String>,
    /// Said instead of `user` where the last reply was wrong or held no answer.
    #[serde(default)]
    if_wrong: Option<String>,
    /// An expression over the placeholders that ends the conversation before a turn, such as
    /// `matches(last_reply, "(?i)i can.?not")`. The check before a run warns of one that depends on no reply and holds at no
    /// turn.
    #[serde(default)]
    stop_when: Option<String>,
    /// Text that opens each reply, such as `"("`: the model goes on from it.
    #[serde(default)]
    prefill: Option<String>,
    /// Whether the replies that scripts hold are given and read by the model, which then generates nothing. A message
    /// without a reply is answered by the model.
    #[serde(default)]
    replay: bool,
}
fn second() -> usize {
    2
}

impl Template {
    fn wordings(&self) -> &[String] {
        match &self.user {
            None => &[],
            Some(Wordings::One(s)) => std::slice::from_ref(s),
            Some(Wordings::Several(v)) => v,
        }
    }

    /// The key of wording `i`.
    fn key(&self, i: usize) -> String {
        match self.user {
            Some(Wordings::Several(_)) => format!("user.{i}"),
            _ => "user".into(),
        }
    }

    /// The text of the system prompt.
    fn opening(&self) -> Result<Option<Text>> {
        self.system.as_ref().map(|t| Text::new("system", t, &text::OPENING)).transpose()
    }

    /// The expression that ends the conversation.
    fn end(&self) -> Result<Option<Test>> {
        self.stop_when.as_ref().map(|t| Test::new("stop_when", t)).transpose()
    }

    /// The texts of a turn other than `user`, with their keys.
    fn others(&self) -> Vec<(String, &String)> {
        let named = [
            ("recap", &self.recap),
            ("if_right", &self.if_right),
            ("if_wrong", &self.if_wrong),
            ("prefill", &self.prefill),
            ("transcript", &self.transcript),
        ];
        let listed = self.messages.iter().enumerate().map(|(i, m)| (format!("messages.{i}"), m));
        named.into_iter().filter_map(|(k, t)| Some((k.to_string(), t.as_ref()?))).chain(listed).collect()
    }

    fn check_wordings(&self, faults: &mut Faults) {
        let all = self.wordings();
        faults.when(self.user.is_some() && all.is_empty(), "user", "`user` lists no wording");
        for (i, w) in all.iter().enumerate() {
            let key = self.key(i);
            match Text::new(&key, w, &text::TURN) {
                Ok(text) => {
                    let lost = format!("{w:?} has no `{{question}}`: the model would never see it");
                    let once = self.rounds.is_none_or(|r| r == 1) && self.messages.is_empty();
                    faults.when(once && !text.asks(), &key, lost);
                }
                Err(e) => faults.add(e),
            }
            faults.when(all[..i].contains(w), &key, format!("{w:?} is listed twice: it would be said twice as often"));
        }
    }

    /// What the options about earlier exchanges, lengths and held-out wordings say together.
    fn check_past(&self, faults: &mut Faults) {
        let cut = self.keep.as_ref().is_some_and(|k| k.tokens.is_some());
        if let Some(f) = &self.filler {
            f.check(cut, faults);
            let apart =
                "`filler` does nothing beside `history`: it makes a prompt of several messages as long as another";
            faults.when(f.for_cuts() && self.history != Past::Kept, "filler", apart);
        }
        let hears = |t: &Option<Text>| t.as_ref().is_some_and(Text::hears);
        let written = self.transcript.as_ref().and_then(|t| Text::new("transcript", t, &text::TURN).ok());
        if self.transcript.is_some() {
            let idle = "`transcript` does nothing without `history = \"message\"`";
            faults.when(self.history != Past::Message, "transcript", idle);
            let nothing = "`transcript` tells nothing of what was said: write `history` into it";
            faults.when(written.is_some() && !hears(&written), "transcript", nothing);
        }
        let texts = self.wordings().iter().chain(self.others().into_iter().map(|(_, t)| t));
        let reads =
            texts.filter_map(|t| Text::new("", t, &text::TURN).ok()).any(|t| t.hears()) || self.stop_when.is_some();
        let unread = "`keep` does nothing beside `history = \"none\"`: no turn reads an earlier reply";
        faults.when(self.keep.is_some() && self.history == Past::None && !reads, "keep", unread);
        let all = self.wordings().len();
        if let Some(h) = &self.held_out {
            h.check(all, faults);
        }
        let one = "`equal_tokens` does nothing: `user` has no two wordings";
        faults.when(self.equal_tokens && all < 2, "equal_tokens", one);
    }
}

impl PluginConfig for Template {
    type Output = dyn Condition;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        self.check_wordings(&mut faults);
        for (key, said) in self.others() {
            match Text::new(&key, said, &text::TURN) {
                Ok(text) => {
                    let lost =
                        format!("{said:?} has no `{{question}}`: with one turn an item, the model would never see it");
                    let once = self.rounds == Some(1) && key.starts_with("if_");
                    faults.when(once && !text.asks(), &key, lost);
                }
                Err(e) => faults.add(e),
            }
        }
        faults.take(self.opening());
        faults.take(self.end());
        faults.when(self.from_turn == 0, "from_turn", "`from_turn` counts from 1");
        let rounds = self.rounds.is_some_and(|r| !(1..=1000).contains(&r));
        faults.when(rounds, "rounds", "`rounds` must be from 1 to 1000");
        let both = "`recap` does nothing beside `rounds`: it follows a script, whose length `rounds` replaces";
        faults.when(self.recap.is_some() && self.rounds.is_some(), "recap", both);
        match &self.shots {
            Some(Shots::Listed(all)) => {
                faults.when(all.is_empty(), "shots", "`shots` lists no example");
                for (i, shot) in all.iter().enumerate() {
                    for (key, said) in [("user", &shot.user), ("assistant", &shot.assistant)] {
                        if let Some(name) = past::placeholder(said) {
                            let what = format!("{name:?} would be said with its braces: examples have no placeholders");
                            faults.add(Error::at(format!("shots.{i}.{key}"), what).help("write the example out"));
                        }
                    }
                }
            }
            Some(Shots::File { count: Some(0), .. }) => faults.when(true, "shots.count", "`count` must be 1 or more"),
            _ => {}
        }
        if let Some(k) = &self.keep {
            k.check(&mut faults);
        }
        self.check_past(&mut faults);
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Condition>> {
        self.used(cx)?;
        let text = |key: &str, t: &Option<String>| t.as_ref().map(|t| Text::new(key, t, &text::TURN)).transpose();
        let all = |key: &dyn Fn(usize) -> String, all: &[String]| {
            let read = |(i, t): (usize, &String)| Text::new(&key(i), t, &text::TURN);
            all.iter().enumerate().map(read).collect::<Result<Vec<_>>>()
        };
        // With one item, each of the listed messages is a turn about it.
        let listed = (!self.messages.is_empty() && cx.study.as_ref().is_some_and(|s| s.items() == 1))
            .then(|| self.messages.len().max(self.rounds.unwrap_or(0)));
        let shots = self.shots(cx)?;
        Ok(Box::new(Talker {
            system: self.opening()?,
            read: matches!(self.shots, Some(Shots::File { .. })).then(|| digest(&shots)),
            shots,
            messages: all(&|i| format!("messages.{i}"), &self.messages)?,
            user: if self.user.is_some() { Some(all(&|i| self.key(i), self.wordings())?) } else { None },
            pools: match &self.held_out {
                Some(h) => h.pools(self.wordings().len(), cx)?,
                None => Pools::all(self.wordings().len()),
            },
            equal_tokens: self.equal_tokens,
            history: self.history,
            transcript: past::transcript(self.transcript.as_ref())?,
            filler: self.filler.as_ref().map(Neutral::filler),
            recap: text("recap", &self.recap)?,
            if_right: text("if_right", &self.if_right)?,
            if_wrong: text("if_wrong", &self.if_wrong)?,
            stop_when: self.end()?,
            prefill: text("prefill", &self.prefill)?,
            replay: self.replay,
            rounds: self.rounds.or(listed),
            from_turn: self.from_turn,
            keep: self.keep.clone(),
        }))
    }
}

/// SHA-256 of messages, in hexadecimal.
fn digest(messages: &[ChatMessage]) -> String {
    let text = |m: &ChatMessage| format!("{:?}\0{}\0", m.role, m.content);
    format!("{:x}", Sha256::digest(messages.iter().map(text).collect::<String>()))
}

impl Template {
    fn shots(&self, cx: &BuildContext) -> Result<Vec<ChatMessage>> {
        let read: Vec<Shot>;
        let all = match &self.shots {
            None => return Ok(vec![]),
            Some(Shots::Listed(all)) => all,
            Some(Shots::File { path, count }) => {
                let path = cx.base.join(path);
                let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
                let lines =
                    text.trim_start_matches('\u{feff}').lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
                let shot = |(i, l): (usize, &str)| {
                    let shape = "a line is {\"user\": \"…\", \"assistant\": \"…\"}";
                    serde_json::from_str(l).map_err(|e| Error::data(&path, format!("line {}: {e}; {shape}", i + 1)))
                };
                read = lines.take(count.unwrap_or(usize::MAX)).map(shot).collect::<Result<_>>()?;
                if let Some(n) = count.filter(|n| *n > read.len()) {
                    let what = format!("`count` is {n}, but {} holds {} examples", path.display(), read.len());
                    return Err(Error::at("shots.count", what));
                }
                &read
            }
        };
        if all.is_empty() {
            return Err(Error::at("shots.path", "the file holds no example"));
        }
        if let Some(i) = all.iter().position(|s| s.user.is_empty() || s.assistant.is_empty()) {
            return Err(Error::at("shots", format!("example {} has an empty message", i + 1)));
        }
        let pair = |s: &Shot| [ChatMessage::user(s.user.clone()), ChatMessage::assistant(s.assistant.clone())];
        Ok(all.iter().flat_map(pair).collect())
    }

    /// Refuses options that would have no effect in this study.
    fn used(&self, cx: &BuildContext) -> Result<()> {
        let mut faults = Faults::default();
        let Some(study) = &cx.study else { return Ok(()) };
        let from = self.from_turn;
        if let Some(turns) = study.turns.filter(|turns| from > *turns)
            && self.wordings().iter().any(|w| w != "{question}")
            && self.messages.is_empty()
        {
            let has = if turns == 1 { "1 turn".to_string() } else { format!("{turns} turns") };
            let default = if from == second() { " (its default)" } else { "" };
            let what = format!("`from_turn` is {from}{default}, but the study has {has}: `user` would never be said");
            faults.add(Error::at("from_turn", what).help("set `from_turn = 1`, or raise `study.turns`"));
        }
        if let Some(k) = &self.keep {
            k.used(cx, self.replay, &mut faults);
        }
        let first = "`history` does nothing in a study of 1 turn, before which nothing was said";
        faults.when(study.turns == Some(1) && self.history != Past::Kept, "history", first);
        faults.end()
    }
}
