//! What a stored run holds of one condition's conversations.
use friction_core::manifest::suggestion;
use friction_core::{ChatMessage, Error, Factors, Result, TurnRow};
use friction_store::StoredGroup;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// A turn that was held.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    /// Id of the item, name of its category, and number of the turn among those of the item.
    pub item: String,
    pub topic: String,
    pub round: usize,
    /// The item's number of choices, and what is right. They tell whether an item of the same id is the same item.
    pub choices: usize,
    pub target: Option<String>,
    /// Whether the model read none of the exchanges before, or read them in the message.
    pub alone: bool,
    pub user: String,
    pub phrase: Option<u32>,
    pub prefill: String,
    /// The reply without the prefill.
    pub reply: String,
    /// What the history keeps of the reply, the prefill included.
    pub kept: String,
    pub removed: usize,
    /// Ids of the reply's tokens; `None` if the run did not store them.
    pub ids: Option<Vec<u32>>,
    /// Whether the model ended the reply.
    pub stopped: bool,
}

impl Turn {
    fn new(row: TurnRow) -> Option<Self> {
        Some(Self {
            reply: row.reply.strip_prefix(row.prefill.as_str())?.to_string(),
            ids: (row.reply_ids.len() == row.reply_tokens as usize).then_some(row.reply_ids),
            item: row.item_id,
            topic: row.topic,
            round: row.round as usize,
            choices: row.choices as usize,
            target: row.target,
            alone: !row.history.is_empty(),
            user: row.user,
            phrase: row.phrase,
            prefill: row.prefill,
            kept: row.kept,
            removed: row.removed_tokens as usize,
            stopped: row.finish_reason == "stop",
        })
    }

    /// Whether the history keeps all of the reply. A thought may have been left out.
    pub fn whole(&self) -> bool {
        self.removed == 0 && format!("{}{}", self.prefill, self.reply).trim_end().ends_with(self.kept.trim())
    }

    fn hashed(&self) -> Value {
        let mut all = json!([
            self.item,
            self.topic,
            self.round,
            self.user,
            self.phrase,
            self.prefill,
            self.reply,
            self.kept,
            self.removed,
            self.ids,
            self.stopped
        ]);
        // Without it, the hash is that of versions before.
        if let Some(all) = all.as_array_mut().filter(|_| self.alone) {
            all.push(json!("alone"));
        }
        all
    }
}

/// A conversation that was held.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Conversation {
    /// What stood before turn 1.
    pub opening: Vec<ChatMessage>,
    pub turns: Vec<Turn>,
}

/// The conversations of one condition and arm.
#[derive(Debug, Default)]
pub(crate) struct Transcripts {
    /// By group and sample.
    held: BTreeMap<(usize, usize), Conversation>,
    /// Number of turns that asked an item, by its id.
    rounds: HashMap<String, usize>,
    /// The condition's level of each factor.
    pub factors: Factors,
    /// Largest number of samples of a group.
    pub samples: usize,
    /// SHA-256 of run and conversations.
    pub fingerprint: String,
}

/// Which conversations are read, and the keys of the options that say so.
pub(crate) struct Wanted<'a> {
    pub run: &'a Path,
    pub lock: &'a Value,
    /// Number of groups, from the first.
    pub groups: usize,
    pub condition: &'a str,
    pub arm: &'a str,
    /// The key that errors about the condition name.
    pub key: &'a str,
}

impl Wanted<'_> {
    fn size(&self) -> u64 {
        self.lock.pointer("/study/groups").and_then(Value::as_u64).unwrap_or(0)
    }

    fn unfinished(&self, group: usize) -> Error {
        let what = format!(
            "group {group} of the run is not finished, and this study has {} groups; the run is of {}",
            self.groups,
            self.size()
        );
        Error::at("run", what).help("let `friction run` finish the run, or lower `study.groups`")
    }

    /// Refuses a condition or an arm that the turns of a group do not have.
    fn known(&self, turns: &[TurnRow]) -> Result<()> {
        let of = |name: &dyn Fn(&TurnRow) -> String| turns.iter().map(name).collect::<BTreeSet<String>>();
        let lacks = |key: &str, what: String, name: &str, all: BTreeSet<String>| {
            let error = Error::at(key, what);
            match suggestion(name, all.iter().map(String::as_str).filter(|n| !n.is_empty()).collect::<Vec<_>>()) {
                Some(help) => Err(error.help(help)),
                None => Err(error),
            }
        };
        if !turns.iter().any(|t| t.condition == self.condition) {
            let what = format!("the run has no condition `{}`", self.condition);
            return lacks(self.key, what, self.condition, of(&|t| t.condition.clone()));
        }
        if !turns.iter().any(|t| t.condition == self.condition && t.arm == self.arm) {
            let what = format!("in the run, `{}` has no arm `{}`", self.condition, self.arm);
            return lacks("arm", what, self.arm, of(&|t| t.arm.clone()));
        }
        Ok(())
    }
}

impl Transcripts {
    /// Reads the conversations of a run, one group after the other.
    ///
    /// # Errors
    /// At the key of the option that asks for what the run does not have, or at `run` if it cannot be read.
    pub fn read(wanted: &Wanted) -> Result<Self> {
        let mut out = Self::default();
        for group in 0..wanted.groups {
            let unreadable = |e: friction_store::Error| Error::at("run", e.to_string());
            let Some(stored) = StoredGroup::open(wanted.run, group).map_err(unreadable)? else {
                return Err(wanted.unfinished(group));
            };
            // Before schema 3 nothing could stand before turn 1.
            let old = wanted.lock["schema"].as_u64().is_some_and(|s| s < 3);
            if !(stored.openings || old) {
                let what = "the run is of an earlier friction, which did not store what stood before turn 1";
                return Err(Error::at("run", what).help("run its manifest again, with --out, and replay that run"));
            }
            wanted.known(&stored.turns)?;
            let own = |t: &TurnRow| t.condition == wanted.condition && t.arm == wanted.arm;
            for row in stored.turns.into_iter().filter(own) {
                out.add(group, row)?;
            }
        }
        out.samples = out.held.keys().map(|(_, sample)| sample + 1).max().unwrap_or(0);
        out.fingerprint = out.hash(wanted.lock);
        Ok(out)
    }

    fn add(&mut self, group: usize, row: TurnRow) -> Result<()> {
        let (turn, sample) = (row.turn as usize, row.sample as usize);
        let wrong = |what: &str| Error::at("run", format!("turn {turn} of group {group}, sample {sample}: {what}"));
        let held = self.held.entry((group, sample)).or_default();
        if turn != held.turns.len() + 1 {
            return Err(wrong("turns of the conversation are missing or out of order"));
        }
        if row.reply_text().is_none() {
            let what = "the reply's text is not known: the run was imported from files that do not hold it";
            return Err(wrong(what).help("replay a run whose replies are stored"));
        }
        if turn == 1 && !row.opening.is_empty() {
            held.opening = serde_json::from_str(&row.opening).map_err(|e| wrong(&format!("`opening`: {e}")))?;
        }
        let rounds = self.rounds.entry(row.item_id.clone()).or_default();
        *rounds = (*rounds).max(row.round as usize);
        self.factors.clone_from(&row.factors);
        held.turns.push(Turn::new(row).ok_or_else(|| wrong("the reply does not begin with its prefill"))?);
        Ok(())
    }

    /// SHA-256 of the run's lock, without what only says where it ran and how it is analysed, and of what was said. New
    /// grades do not change it.
    fn hash(&self, lock: &Value) -> String {
        let mut lock = lock.clone();
        for key in ["machine", "analyzers", "replies"] {
            lock.as_object_mut().and_then(|l| l.shift_remove(key));
        }
        let mut sha = Sha256::new();
        let mut add = |part: &Value| {
            let text = part.to_string();
            sha.update((text.len() as u64).to_le_bytes());
            sha.update(text);
        };
        add(&lock);
        for ((group, sample), held) in &self.held {
            add(&json!([group, sample, held.opening, held.turns.len()]));
            held.turns.iter().for_each(|t| add(&t.hashed()));
        }
        format!("{:x}", sha.finalize())
    }

    /// A conversation; `None` if the run has none of that group and sample.
    pub fn of(&self, group: usize, sample: usize) -> Option<&Conversation> {
        self.held.get(&(group, sample))
    }

    /// All conversations, with group and sample.
    pub fn all(&self) -> impl Iterator<Item = (&(usize, usize), &Conversation)> {
        self.held.iter()
    }

    /// Turns of the longest conversation.
    pub fn longest(&self) -> usize {
        self.held.values().map(|held| held.turns.len()).max().unwrap_or(0)
    }

    /// Number of turns that asked an item; `None` if the run did not ask it.
    pub fn rounds(&self, item: &str) -> Option<usize> {
        self.rounds.get(item).copied()
    }
}
