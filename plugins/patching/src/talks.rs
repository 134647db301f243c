//! Conversations, and who is paired with whom.
use crate::options::Patch;
use friction_core::{ChatMessage, Error, Factors, Result, has_levels, other_factors, plural};
use std::collections::{BTreeMap, BTreeSet};

/// Names a conversation by what pairs it: group, sample, and its level of each factor.
pub type Key = (u32, u32, Factors);

/// What was said in a turn, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// Id of the item.
    pub item: String,
    /// The user's message.
    pub user: String,
    /// The text that opened the reply.
    pub prefill: String,
    /// The reply, prefill included.
    pub reply: String,
    /// Whether the history keeps a part of the reply alone.
    pub cut: bool,
    /// What was read of the exchanges before: empty (all of them), `none` or `told`.
    pub history: String,
    /// What stood before turn 1, in turn 1.
    pub opening: Vec<ChatMessage>,
}

/// What a conversation said, turn by turn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Talk {
    /// Name of its condition.
    pub condition: String,
    /// What was said, by turn.
    pub turns: BTreeMap<u32, Said>,
}

/// Untouched conversations by what pairs them.
#[derive(Debug, Default)]
pub struct Talks {
    by: BTreeMap<Key, Talk>,
    /// Those that receive and give, by `where` and `factor`.
    pub paired: Vec<Key>,
    factor: String,
    /// The two levels of the factor, in alphabetical order.
    levels: [String; 2],
    placebo: Option<String>,
    /// Where they are held, for messages: the folder of a run, or this study.
    held: String,
    /// The key of the option that says where they are held.
    at: &'static str,
}

impl Talks {
    /// Conversations of a place, to which turns are added; errors are reported at the option `at`.
    pub fn of(held: String, at: &'static str) -> Self {
        Self { held, at, ..Self::default() }
    }

    fn fault(&self, what: String) -> Error {
        Error::at(self.at, what)
    }

    /// Adds a turn.
    ///
    /// # Errors
    /// If another condition has the same factors.
    pub fn add(&mut self, key: Key, condition: &str, turn: u32, said: Said) -> Result<()> {
        let talk = self.by.entry(key).or_default();
        if talk.condition.is_empty() {
            talk.condition = condition.into();
        }
        if talk.condition != condition {
            let (a, held) = (&talk.condition, &self.held);
            let what = format!(
                "the conditions `{a}` and `{condition}` of {held} have the same factors: they cannot be told apart"
            );
            return Err(self.fault(what).help("give them a factor in which they differ"));
        }
        talk.turns.insert(turn, said);
        Ok(())
    }

    /// Pairs the conversations.
    ///
    /// # Errors
    /// If the factor has not two levels, or a conversation lacks its partner or its placebo.
    pub fn pair(mut self, options: &Patch) -> Result<Self> {
        let selected = |k: &&Key| k.2.contains_key(&options.factor) && has_levels(&k.2, &options.only);
        self.paired = self.by.keys().filter(selected).cloned().collect();
        let levels: BTreeSet<&String> = self.paired.iter().filter_map(|k| k.2.get(&options.factor)).collect();
        let levels: Vec<String> = levels.into_iter().cloned().collect();
        let Ok(both) = <[String; 2]>::try_from(levels.clone()) else {
            if !self.by.is_empty() {
                options.selects(self.by.keys().map(|k| &k.2), &self.held)?;
            }
            let factor = &options.factor;
            let what = match levels.len() {
                0 => format!("no conversation of {} that `where` selects has the factor `{factor}`", self.held),
                _ => format!("`{factor}` has the levels {levels:?}: two levels are paired"),
            };
            let help =
                format!("name a factor of the conditions of {}, and choose two of its levels with `where`", self.held);
            return Err(Error::at("factor", what).help(help));
        };
        (self.factor, self.levels) = (options.factor.clone(), both);
        self.placebo.clone_from(&options.placebo);
        self.paired.iter().try_for_each(|key| self.whole(key))?;
        Ok(self)
    }

    /// Checks that a conversation has its partner, with the same items, and its placebo.
    fn whole(&self, key: &Key) -> Result<()> {
        let own = self.talk(key)?;
        let place = format!("group {} of {}, condition `{}`", key.0, self.held, own.condition);
        let Some(partner) = self.by.get(&self.partner(key)) else {
            let what = format!("{place} has no partner that differs in `{}` alone", self.factor);
            return Err(Error::at("factor", what).help("let every condition that `where` selects have its partner"));
        };
        // One of them may have ended early.
        let same = |other: &Talk| {
            let both = own.turns.iter().filter_map(|(turn, said)| Some((said, other.turns.get(turn)?)));
            both.into_iter().all(|(a, b)| a.item == b.item)
        };
        if !same(partner) {
            let what = format!("{place} and its partner `{}` do not ask the same items in turn", partner.condition);
            return Err(self.fault(what));
        }
        let Some(named) = &self.placebo else { return Ok(()) };
        let placebo = self.placebo(key).and_then(|k| self.by.get(&k)).ok_or_else(|| {
            let what = format!("{place} has no placebo: no conversation differs from it in `{named}` alone");
            Error::at("placebo", what)
                .help("name a factor with a second level beside each condition, or `sample` with `study.samples` of 2 or more")
        })?;
        match same(placebo) {
            true => Ok(()),
            false => {
                Err(self.fault(format!("{place} and its placebo `{}` do not ask the same items", placebo.condition)))
            }
        }
    }

    /// A conversation.
    ///
    /// # Errors
    /// If there is none.
    pub fn talk(&self, key: &Key) -> Result<&Talk> {
        self.by.get(key).ok_or_else(|| {
            let (held, (group, sample, factors)) = (&self.held, key);
            let what =
                format!("{held} has no conversation of group {group}, sample {sample} with the factors {factors:?}");
            self.fault(what).help("the conditions of both studies need the same factors, and as many samples")
        })
    }

    /// All conversations.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Talk)> {
        self.by.iter()
    }

    /// +1 if the conversation has the first level of the factor, −1 if it has the second: the sign by which a difference
    /// second − first leads from it to its partner.
    pub fn sign(&self, key: &Key) -> f64 {
        if key.2.get(&self.factor) == Some(&self.levels[0]) { 1.0 } else { -1.0 }
    }

    /// What a conversation shares with its partner: sample, and levels of the other factors.
    pub fn shared(&self, key: &Key) -> (u32, Factors) {
        (key.1, other_factors(&key.2, &[&self.factor]))
    }

    /// The partner of a conversation.
    pub fn partner(&self, key: &Key) -> Key {
        let mut factors = key.2.clone();
        let [first, second] = &self.levels;
        let other = if factors.get(&self.factor) == Some(first) { second } else { first };
        factors.insert(self.factor.clone(), other.clone());
        (key.0, key.1, factors)
    }

    /// The placebo of a conversation: the next sample, or the next level of the placebo's factor, in a circle. All groups
    /// have the same conversations, so a group that is not held is taken to be as the first.
    pub fn placebo(&self, key: &Key) -> Option<Key> {
        let factor = self.placebo.as_ref()?;
        let (first, _) = self.by.first_key_value()?;
        let key_of = |group: u32, (_, sample, factors): &Key| (group, *sample, factors.clone());
        let at = if self.by.contains_key(key) { key.clone() } else { key_of(first.0, key) };
        let alike = |k: &&Key| match factor.as_str() {
            "sample" => (k.0, &k.2) == (at.0, &at.2),
            name => {
                let rest = |f: &Factors| other_factors(f, &[name]);
                (k.0, k.1) == (at.0, at.1) && k.2.contains_key(name) && rest(&k.2) == rest(&at.2)
            }
        };
        let all: Vec<&Key> = self.by.keys().filter(alike).collect();
        let i = all.iter().position(|k| **k == at)?;
        Some(all[(i + 1) % all.len()]).filter(|k| **k != at).map(|k| key_of(key.0, k))
    }

    /// The levels of the conversations that are placebos of others.
    pub fn placebos(&self) -> BTreeSet<Factors> {
        let Some((first, ..)) = self.paired.first() else { return BTreeSet::new() };
        let group = self.paired.iter().filter(|key| key.0 == *first);
        group.filter_map(|key| self.placebo(key)).map(|(.., factors)| factors).collect()
    }

    /// Checks that the tokens that are replaced, `[tokens × width]`, are the same in a conversation and its partner, by their
    /// embeddings.
    ///
    /// # Errors
    /// Says how many are the same.
    pub fn same_tokens(&self, key: &Key, turn: usize, [own, other]: [&[f32]; 2], width: usize) -> Result<()> {
        let width = width.max(1);
        let alike = own.chunks(width).rev().zip(other.chunks(width).rev()).take_while(|(x, y)| x == y).count();
        match alike * width >= own.len() {
            true => Ok(()),
            false => Err(self.apart(key, turn, alike, own.len() / width)),
        }
    }

    /// The error of partners whose prompts end in `alike` tokens that are the same, of which `tokens` are replaced.
    pub fn apart(&self, key: &Key, turn: usize, alike: usize, tokens: usize) -> Error {
        let level = |k: &Key| k.2.get(&self.factor).cloned().unwrap_or_default();
        let what = format!(
            "the prompts of turn {turn} of group {}, `{}` at `{}` and `{}`, end in {} that are the same, and the last {tokens} are replaced",
            key.0,
            self.factor,
            level(key),
            level(&self.partner(key)),
            plural(alike, "token"),
        );
        let help = match alike {
            0 => "let both prompts end alike, such as by the same `prefill`".to_string(),
            _ => format!("{}, or let the words before the question end alike", set(alike)),
        };
        Error::at("position", what).help(help)
    }
}

/// What to set, if no more than so many tokens can be replaced.
fn set(tokens: usize) -> String {
    match tokens {
        0 | 1 => "set `position = \"prompt-end\"`".into(),
        most => format!("set `position = \"prompt-tail:{most}\"` or less"),
    }
}

/// The error of a prompt that has `has` tokens, fewer than the `tokens` that are replaced.
pub fn short(place: &str, has: usize, tokens: usize) -> Error {
    let has_tokens = plural(has, "token");
    let what = format!("{place} has {has_tokens} in its prompt, and the last {tokens} are replaced");
    Error::at("position", what).help(format!("{}, or raise `first_turn`", set(has)))
}
