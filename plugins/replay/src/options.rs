//! The options of `replay`, and the checks against run and study.
use crate::reader::{Given, Messages, Reader};
use crate::transcripts::{Conversation, Transcripts, Wanted};
use friction_checkpoint::Checkpoint;
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Condition, Error, GivenReplies, ModelPart, PluginConfig, Result, plural};
use friction_store::dir::read_lock;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Holds the conversations of a stored run again: the user says what was said, and the model reads the replies instead of
/// generating them. So what a model reads is told apart from what it wrote: with other edits, by another model, over
/// another history, or with another last message.
///
/// A table replays one condition of the run; a study that replays four has four tables. The study must ask the same items
/// at the same places: give it the run's `study.seed`, `study.turns` and `study.items`, its `[dataset]` and its
/// `[topics]`. Each turn is compared with the run's, and one that asks another item is refused. `study.groups` may be
/// smaller than the run's.
///
/// Where the tokenizer is the run's, the model reads the very tokens that were generated; a model with another tokenizer
/// reads the text, and so does every model if the run is of a version that stored no tokens. On the processor in f32,
/// a run's own model then has the same activations, log-probabilities of choices, asides and last replies bit for bit. If
/// tokens are drawn, give the condition the name that it had, or set `study.draws = "paired"`, so that generated replies
/// have the draws of the run.
///
/// It writes, with each turn, what the run stored of it: the message, the number of the wording, the prefill, the reply,
/// and what the history keeps. The log-probability of each given token stands in `replay_logprobs`. The lock records a
/// hash of what was replayed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = friction_core::serde_json::json!({
    "name": "interrupt_blunt", "run": "../runs/quickstart", "turns": "earlier",
    "factors": {"completion": "interrupt", "tone": "blunt"},
}))]
pub(crate) struct Replay {
    /// The run directory, relative to the manifest. All groups of this study must be finished in it.
    #[schemars(example = &"../runs/quickstart")]
    run: PathBuf,
    /// Name of the condition in the run. Default: the name of this one. Its levels must be those of the run, unless
    /// `messages` mixes two conditions; factors of other names may be added.
    #[serde(default)]
    condition: Option<String>,
    /// Name of the arm in the run whose conversations are read. Default: the untouched control. All arms of this study read
    /// the same conversations.
    #[serde(default)]
    arm: String,
    /// Number of the sample in the run, from 0, that every sample of this study reads. Default: each reads the sample of its
    /// own number. Set it to draw several last replies to one history.
    #[serde(default)]
    #[schemars(range(max = 9999))]
    sample: Option<usize>,
    /// Which replies are given. Default: `all`.
    #[serde(default)]
    turns: Option<Turns>,
    /// Last turn whose reply is given, from 1, in the place of `turns`; the model goes on from there. Later messages stay the
    /// run's, whatever the model says. Where the run's history cuts a reply behind it, it is refused: what would be cut of
    /// another reply is not stored.
    #[serde(default)]
    #[schemars(range(min = 1))]
    until: Option<usize>,
    /// Last turn of the conversations, from 1. Default: as in the run. With `turns = "earlier"` the reply of this turn is the
    /// one that is generated.
    #[serde(default)]
    #[schemars(range(min = 1))]
    end: Option<usize>,
    /// What the history keeps of the replies that are given.
    #[serde(default)]
    history: History,
    /// Says the user's messages of another condition of the run over the history of this one, to tell the effect of what was
    /// said before from the effect of what is said now. Default: the condition's own messages.
    #[serde(default)]
    messages: Option<Others>,
    /// How the tokens of given replies are read.
    #[serde(default)]
    reading: Reading,
}

/// Which replies are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Turns {
    /// All; nothing is generated.
    All,
    /// All but the last, which is generated after the same history.
    Earlier,
}

/// What the history keeps of the replies that are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum History {
    /// What it kept in the run.
    #[default]
    Kept,
    /// Each reply whole, also where the run cut it. Refused if the run cut none.
    Whole,
}

/// How the tokens of given replies are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Reading {
    /// Many in one step, which is fast. On the processor in f32 it changes no bit; on a GPU and in 16 bits results may differ
    /// from the run's by rounding.
    #[default]
    AtOnce,
    /// One a step, by the kernels that generated them: as slow as generating. It needs the run's tokenizer and tokens.
    TokenByToken,
}

/// The user's messages of another condition.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Others {
    /// Name of the other condition in the run.
    condition: String,
    /// In which turns its messages are said.
    #[serde(default)]
    turns: Which,
}

/// In which turns the messages of another condition are said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// In the last turn: the history is this condition's, messages included, and the present message is the other's.
    #[default]
    Last,
    /// In every turn: of this condition only the replies are left.
    All,
}

impl PluginConfig for Replay {
    type Output = dyn Condition;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        let both = "`until` and `turns` both say which replies are given: leave one of them out";
        faults.when(self.until.is_some() && self.turns.is_some(), "until", both);
        faults.when(self.until == Some(0), "until", "`until` counts turns from 1");
        faults.when(self.end == Some(0), "end", "`end` counts turns from 1");
        faults.when(self.sample.is_some_and(|s| s > 9999), "sample", "`sample` must be at most 9999");
        if let (Some(until), Some(end)) = (self.until, self.end.filter(|e| *e > 0)) {
            let idle = format!("`until = {until}` gives every reply of conversations that `end` after turn {end}");
            faults.when(until >= end, "until", idle + ": leave it out");
        }
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Condition>> {
        let path = cx.base.join(&self.run);
        let lock = read_lock(&path).map_err(|e| {
            Error::at("run", e.to_string())
                .help("`run` names a run directory, such as `../runs/quickstart`, relative to the manifest")
        })?;
        let name = match (&self.condition, &cx.condition) {
            (Some(name), _) => name.as_str(),
            (None, Some(declared)) => declared.name.as_str(),
            (None, None) => {
                return Err(Error::at("condition", "`condition` must say which of the run's conditions is read"));
            }
        };
        let size = Size::of(cx, &lock);
        size.check()?;
        let wanted =
            Wanted { run: &path, lock: &lock, groups: size.groups, condition: name, arm: &self.arm, key: "condition" };
        let transcripts = Transcripts::read(&wanted)?;
        let messages = match &self.messages {
            None => None,
            Some(o) if o.condition == name => {
                let own = format!("`{name}` is the condition that is read: its messages are said in any case");
                return Err(Error::at("messages.condition", own));
            }
            Some(o) => {
                let others = Wanted { condition: &o.condition, key: "messages.condition", ..wanted };
                Some(Messages { of: Transcripts::read(&others)?, which: o.turns })
            }
        };
        let given = match (self.until, self.turns) {
            (Some(until), _) => Given::Until(until),
            (None, Some(Turns::Earlier)) => Given::Earlier,
            (None, Some(Turns::All) | None) => Given::All,
        };
        let stored = |t: &Transcripts| t.all().all(|(_, held)| held.turns.iter().all(|t| t.ids.is_some()));
        let reader = Reader {
            tokens: stored(&transcripts) && same_tokenizer(cx, &lock),
            transcripts,
            messages,
            given,
            end: self.end,
            sample: self.sample,
            whole: self.history == History::Whole,
            stepwise: self.reading == Reading::TokenByToken,
            whose: self.whose(name, &lock),
            unlike: unlike(cx, &lock),
            same: size.same(&lock),
        };
        self.used(cx, name, &reader, &size)?;
        Ok(Box::new(reader))
    }
}

/// Whether the study's tokenizer is that of the run, so that ids mean the same. A model that cannot be found is reported
/// where the study is planned.
fn same_tokenizer(cx: &BuildContext, lock: &Value) -> bool {
    let stored = lock.pointer("/model/sha256/tokenizer").and_then(Value::as_str);
    let now = Checkpoint::of(cx).and_then(|c| c.part(ModelPart::Tokenizer)).ok().flatten();
    stored.is_some() && stored == now.as_deref()
}

/// What of `[generation]` is not as in the run, of what makes other replies.
fn unlike(cx: &BuildContext, lock: &Value) -> Vec<String> {
    let Some(now) = cx.generation.as_ref().map(|g| json!(g)).filter(|_| lock["generation"].is_object()) else {
        return vec![];
    };
    let then = &lock["generation"];
    let mut keys = vec!["temperature", "max_new_tokens", "stop", "thinking"];
    // Greedy decoding does not read them.
    if [&now, then].iter().all(|g| g["temperature"].as_f64().is_some_and(|t| t > 0.0)) {
        keys.extend(["top_p", "top_k"]);
    }
    let shown = |v: &Value| if v.is_null() { "not set".to_string() } else { v.to_string() };
    let differs = keys.into_iter().filter(|key| now[*key] != then[*key]);
    differs.map(|key| format!("`{key}` is {} and was {}", shown(&now[key]), shown(&then[key]))).collect()
}

/// The size of this study beside that of the run.
struct Size {
    groups: usize,
    samples: usize,
    /// Largest number of turns of a conversation in this study.
    turns: usize,
    /// For `groups`, `items` and `turns` of `[study]`: the numbers here and in the run, where both say them.
    beside: Vec<(&'static str, usize, usize)>,
}

impl Size {
    fn of(cx: &BuildContext, lock: &Value) -> Self {
        let run = |key: &str| Some(lock.pointer(&format!("/study/{key}"))?.as_u64()? as usize);
        let Some(study) = &cx.study else {
            return Self { groups: run("groups").unwrap_or(0), samples: 1, turns: usize::MAX, beside: vec![] };
        };
        let counted = study.items.is_some() || run("items").is_some();
        let items = Some(study.items()).zip(run("items").or_else(|| run("turns")));
        let all = [
            ("groups", Some(study.groups).zip(run("groups"))),
            ("items", items.filter(|_| counted)),
            ("turns", study.turns.zip(run("turns"))),
        ];
        let beside = all.into_iter().filter_map(|(key, both)| both.map(|(now, then)| (key, now, then))).collect();
        Self { groups: study.groups, samples: study.samples, turns: study.most_turns(), beside }
    }

    /// Refuses a study that is larger than the run.
    fn check(&self) -> Result<()> {
        match self.beside.iter().find(|(_, now, then)| now > then) {
            None => Ok(()),
            Some((key, now, then)) => {
                let what =
                    format!("the run has {then} {key}, and this study {now}: there is nothing to replay in the others");
                Err(Error::at("run", what).help(format!("set `study.{key} = {then}` or lower")))
            }
        }
    }

    /// What a study must share with the run so that it asks the same items.
    fn same(&self, lock: &Value) -> String {
        let (seed, mut keys) = (lock.pointer("/study/seed").and_then(Value::as_u64).unwrap_or(0), String::new());
        for (key, _, then) in self.beside.iter().filter(|(key, now, then)| *key != "groups" && now != then) {
            keys += &format!(", `study.{key} = {then}`");
        }
        let table = |section: &str| {
            let mut table = lock[section].get("table").cloned();
            // Recorded messages cannot show their choices in another order.
            table.as_mut().and_then(Value::as_object_mut).and_then(|t| t.shift_remove("option_shifts"));
            table.map_or_else(|| "none".into(), |t| t.to_string())
        };
        format!(
            "give the study what the run had: `study.seed = {seed}`{keys}, [dataset] {}, [topics] {}",
            table("dataset"),
            table("topics")
        )
    }
}

impl Replay {
    /// Whose replies the run's condition has. A run may itself have read replies of others.
    fn whose(&self, condition: &str, lock: &Value) -> String {
        let model = lock.pointer("/model/source").and_then(Value::as_str).unwrap_or("an unknown model");
        let run = format!("{model} in the run {}", self.run.display());
        let read: Option<GivenReplies> =
            lock["replies"].get(condition).and_then(|given| serde_json::from_value(given.clone()).ok());
        match read {
            None => run,
            Some(given) => format!("{run}, which had read ({}) those of {}", given.which, given.of),
        }
    }

    /// Refuses options that would have no effect, or that the run cannot serve.
    fn used(&self, cx: &BuildContext, name: &str, reader: &Reader, size: &Size) -> Result<()> {
        let (mut faults, t) = (Faults::default(), &reader.transcripts);
        if let (Some(declared), None) = (&cx.condition, &self.messages) {
            for (factor, level) in &declared.factors {
                if let Some(stored) = t.factors.get(factor).filter(|stored| *stored != level) {
                    let what = format!("`{factor}` is `{level}` here, and `{stored}` in the run's condition `{name}`");
                    let help = "take over the run's level, or give a factor of another meaning another name";
                    faults.add(Error::at(format!("factors.{factor}"), what).help(help));
                }
            }
        }
        let has = plural(t.samples, "sample");
        match self.sample {
            Some(sample) if sample >= t.samples => {
                faults.add(Error::at(
                    "sample",
                    format!("the run has {has}, which count from 0: there is no sample {sample}"),
                ));
            }
            Some(_) if size.samples > 1 && reader.given == Given::All => {
                let what = "every sample would read the same conversation, and nothing is drawn";
                faults.add(Error::at("sample", what).help("set `study.samples = 1`, or `turns = \"earlier\"`"));
            }
            None if size.samples > t.samples => {
                let what = format!("the run has {has}, and this study {}", size.samples);
                faults.add(
                    Error::at("run", what)
                        .help("lower `study.samples`, or set `sample = 0` to draw several replies to one history"),
                );
            }
            _ => {}
        }
        let (longest, shown) = (t.longest(), plural(t.longest(), "turn"));
        if let Some(end) = self.end.filter(|end| *end > longest) {
            faults.add(Error::at("end", format!("conversations of the run have {shown}: none has a turn {end}")));
        }
        let last = longest.min(self.end.unwrap_or(usize::MAX)).min(size.turns);
        match reader.given {
            Given::Earlier if last == 1 => {
                faults.when(true, "turns", "there is no earlier turn: conversations end after turn 1, and nothing would be given");
            }
            Given::Until(until) if until >= last => {
                let what = format!("`until = {until}` gives every reply: conversations end after turn {last}");
                faults.add(Error::at("until", what).help("leave it out, or lower it"));
            }
            Given::Until(until) if !reader.whole => faults.when(cuts_behind(reader, until, last), "until", format!(
                "the run's history cuts replies behind turn {until}, and what it would cut of other replies is not stored; set `end = {}` to stop at the first of them, or `history = \"whole\"`", until + 1
            )),
            _ => {}
        }
        let keeps = |(_, held): (&_, &Conversation)| {
            // What is kept of the last reply, no turn reads.
            held.turns.iter().take(last.saturating_sub(1)).all(|t| t.kept == format!("{}{}", t.prefill, t.reply))
        };
        faults.when(
            reader.whole && t.all().all(keeps),
            "history",
            "`history = \"whole\"` does nothing: the run's history kept every reply whole; leave it out",
        );
        let exact = "reading tokens one by one needs the run's tokens: ";
        if reader.stepwise && !reader.tokens {
            let why = "this study's tokenizer is another, or the run is of a version that stored none";
            faults.add(Error::at("reading", format!("{exact}{why}")).help("leave `reading` out"));
        }
        faults.end()
    }
}

/// Whether the run cut a reply between the last given turn and the last turn.
fn cuts_behind(reader: &Reader, until: usize, last: usize) -> bool {
    reader.transcripts.all().any(|(_, held)| {
        let last = last.min(held.turns.len());
        // What is kept of the last reply, no turn reads.
        held.turns.get(until..last.saturating_sub(1)).unwrap_or_default().iter().any(|t| !t.whole())
    })
}
