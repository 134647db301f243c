//! The finished run that activations come from, and who is paired with whom in it.
use crate::options::Patch;
use friction_core::{
    ConversationId, Error, Factors, Position, Result, RunReader, Site, TapArray, has_levels, other_factors, plural,
};
use friction_store::StoredRun;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names a conversation by what pairs it: group, sample, and its level of each factor.
pub type Key = (u32, u32, Factors);

/// A stored conversation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Talk {
    /// Name of its condition in the stored run.
    pub condition: String,
    /// Its item and its reply, prefill included, by turn.
    pub turns: BTreeMap<u32, (String, String)>,
}

/// A finished run with the conversations that receive and give.
pub struct Donors {
    run: StoredRun,
    path: PathBuf,
    position: Position,
    factor: String,
    /// The two levels of the factor, in alphabetical order.
    levels: [String; 2],
    placebo: Option<String>,
    /// Untouched conversations.
    talks: BTreeMap<Key, Talk>,
    /// Those that receive and give, by `where` and `factor`.
    pub paired: Vec<Key>,
}

fn at_run(message: String) -> Error {
    Error::at("run", message)
}

impl Donors {
    /// Opens the run and pairs its conversations in the first `groups` groups.
    ///
    /// # Errors
    /// If there is no such run, it lacks groups, or a conversation lacks its partner or its placebo.
    pub fn open(path: &Path, options: &Patch, groups: usize) -> Result<Self> {
        let help = "`run` is the folder of a finished run, relative to this manifest; make it with `friction run`";
        let run = StoredRun::open(path).map_err(|e| at_run(e.to_string()).help(help))?;
        let mut talks = BTreeMap::<Key, Talk>::new();
        for row in run.turns().iter().filter(|r| r.arm.is_empty() && (r.group as usize) < groups) {
            let talk = talks.entry((row.group, row.sample, row.factors.clone())).or_default();
            if talk.condition.is_empty() {
                talk.condition.clone_from(&row.condition);
            }
            if talk.condition != row.condition {
                let (a, b) = (&talk.condition, &row.condition);
                let what = format!(
                    "the conditions `{a}` and `{b}` of {} have the same factors: they cannot be told apart",
                    path.display()
                );
                return Err(at_run(what).help("give them a factor in which they differ"));
            }
            talk.turns.insert(row.turn, (row.item_id.clone(), row.reply.clone()));
        }
        let held: BTreeSet<u32> = talks.keys().map(|k| k.0).collect();
        if held.len() < groups {
            let what = format!("{} holds {}, this study has {groups}", path.display(), plural(held.len(), "group"));
            return Err(at_run(what).help("finish it, or lower `study.groups`"));
        }
        let selected = |k: &&Key| k.2.contains_key(&options.factor) && has_levels(&k.2, &options.only);
        let paired: Vec<Key> = talks.keys().filter(selected).cloned().collect();
        let levels: BTreeSet<&String> = paired.iter().filter_map(|k| k.2.get(&options.factor)).collect();
        let levels: Vec<String> = levels.into_iter().cloned().collect();
        let Ok(levels) = <[String; 2]>::try_from(levels.clone()) else {
            let what = match levels.len() {
                0 => format!(
                    "no conversation of {} that `where` selects has the factor `{}`",
                    path.display(),
                    options.factor
                ),
                _ => format!("`{}` has the levels {levels:?}: two levels are paired", options.factor),
            };
            let help = "name a factor of the conditions of `run`, and choose two of its levels with `where`";
            return Err(Error::at("factor", what).help(help));
        };
        let (path, position) = (path.to_path_buf(), options.position);
        let (factor, placebo) = (options.factor.clone(), options.placebo.clone());
        let donors = Self { run, path, position, factor, levels, placebo, talks, paired };
        donors.paired.iter().try_for_each(|key| donors.whole(key))?;
        Ok(donors)
    }

    /// Checks that a conversation has its partner, with the same items, and its placebo.
    fn whole(&self, key: &Key) -> Result<()> {
        let own = self.talk(key)?;
        let place = format!("group {} of {}, condition `{}`", key.0, self.path.display(), own.condition);
        let Some(partner) = self.talks.get(&self.partner(key)) else {
            let what = format!("{place} has no partner that differs in `{}` alone", self.factor);
            return Err(Error::at("factor", what).help("let every condition that `where` selects have its partner"));
        };
        let items = |t: &Talk| t.turns.iter().map(|(turn, (item, _))| (*turn, item.clone())).collect::<Vec<_>>();
        if items(own) != items(partner) {
            let what = format!("{place} and its partner `{}` do not ask the same items in turn", partner.condition);
            return Err(at_run(what));
        }
        if self.placebo.is_none() {
            return Ok(());
        }
        let placebo = self.placebo(key).and_then(|k| self.talks.get(&k)).ok_or_else(|| {
            let named = self.placebo.as_deref().unwrap_or_default();
            let what = format!("{place} has no placebo: no conversation differs from it in `{named}` alone");
            Error::at("placebo", what)
                .help("name a factor with a second level beside each condition, or `sample` with `study.samples` of 2 or more")
        })?;
        match items(own) == items(placebo) {
            true => Ok(()),
            false => Err(at_run(format!("{place} and its placebo `{}` do not ask the same items", placebo.condition))),
        }
    }

    /// A stored conversation.
    ///
    /// # Errors
    /// If there is none.
    pub fn talk(&self, key: &Key) -> Result<&Talk> {
        self.talks.get(key).ok_or_else(|| {
            let what =
                format!("{} has no conversation of group {} with the factors {:?}", self.path.display(), key.0, key.2);
            at_run(what).help("the conditions of both studies need the same factors")
        })
    }

    /// +1 if the conversation has the first level of the factor, −1 if it has the second: the sign by which a difference
    /// second − first leads from it to its partner.
    pub fn sign(&self, key: &Key) -> f64 {
        if key.2.get(&self.factor) == Some(&self.levels[0]) { 1.0 } else { -1.0 }
    }

    /// What a conversation shares with its partner: sample, and levels of the other factors.
    pub fn pair(&self, key: &Key) -> (u32, Factors) {
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

    /// The placebo of a conversation: the next sample, or the next level of the placebo's factor, in a circle.
    pub fn placebo(&self, key: &Key) -> Option<Key> {
        let factor = self.placebo.as_ref()?;
        let alike = |k: &&Key| match factor.as_str() {
            "sample" => (k.0, &k.2) == (key.0, &key.2),
            name => {
                let rest = |f: &Factors| other_factors(f, &[name]);
                (k.0, k.1) == (key.0, key.1) && k.2.contains_key(name) && rest(&k.2) == rest(&key.2)
            }
        };
        let all: Vec<&Key> = self.talks.keys().filter(alike).collect();
        let at = all.iter().position(|k| *k == key)?;
        Some(all[(at + 1) % all.len()].clone()).filter(|k| k != key)
    }

    /// The stored activations of a conversation at a site, turn by turn.
    ///
    /// # Errors
    /// If they cannot be read, or were not stored.
    pub fn stored(&self, key: &Key, site: Site) -> Result<TapArray> {
        let condition = &self.talk(key)?.condition;
        let id = ConversationId { group: key.0, condition, arm: "", sample: key.1 };
        self.run.tap(id, site, self.position)?.ok_or_else(|| {
            let what = format!("{} has not stored `{site}` at `{}`", self.path.display(), self.position);
            at_run(what).help("run it with a hook `residual` that has this site and this position")
        })
    }

    /// The activations of a conversation in a turn, from 1: `[tokens × width]`.
    ///
    /// # Errors
    /// As [`Self::stored`], and if the prompt has fewer tokens than are replaced.
    pub fn rows(&self, key: &Key, site: Site, turn: usize) -> Result<Vec<f32>> {
        self.of_turn(&self.stored(key, site)?, key, turn)
    }

    /// The rows of a turn, `[tokens × width]`.
    ///
    /// # Errors
    /// If the array does not hold the turn, or the prompt has fewer tokens than are replaced.
    pub fn of_turn(&self, array: &TapArray, key: &Key, turn: usize) -> Result<Vec<f32>> {
        let size = array.shape[1] * array.shape[2];
        let place = || format!("turn {turn} of group {} of {}", key.0, self.path.display());
        let rows = turn.checked_sub(1).and_then(|t| array.data.get(t * size..(t + 1) * size));
        let rows = rows.ok_or_else(|| at_run(format!("{} is not stored", place())))?;
        if rows.iter().any(|v| !v.is_finite()) {
            let what = format!("{} has fewer tokens in its prompt than `{}` replaces", place(), self.position);
            return Err(Error::at("position", what).help("lower the N of `prompt-tail:N`, or raise `first_turn`"));
        }
        Ok(rows.to_vec())
    }

    /// Checks that the tokens that are replaced are the same in both partners, by their embeddings.
    ///
    /// # Errors
    /// Names the first turn in which they differ.
    pub fn same_tokens(&self, first_turn: usize) -> Result<()> {
        for key in self.paired.iter().filter(|k| self.sign(k) > 0.0) {
            let partner = self.partner(key);
            let [own, other] = [self.stored(key, Site::Embed)?, self.stored(&partner, Site::Embed)?];
            for turn in self.talk(key)?.turns.keys().map(|t| *t as usize).filter(|t| *t >= first_turn) {
                let (a, b) = (self.of_turn(&own, key, turn)?, self.of_turn(&other, &partner, turn)?);
                let width = own.shape[2].max(1);
                let alike = a.chunks(width).rev().zip(b.chunks(width).rev()).take_while(|(x, y)| x == y).count();
                if alike * width < a.len() {
                    let what = format!(
                        "the prompts of turn {turn} of group {}, conditions `{}` and `{}`, end in {} that are the same, and `{}` replaces more",
                        key.0,
                        self.talk(key)?.condition,
                        self.talk(&partner)?.condition,
                        plural(alike, "token"),
                        self.position
                    );
                    return Err(
                        Error::at("position", what).help("lower its N, or let the words before the question end alike")
                    );
                }
            }
        }
        Ok(())
    }

    /// A hash of the stored groups, by their checksums: it identifies the activations.
    ///
    /// # Errors
    /// If a group's files cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut sha = Sha256::new();
        let groups: BTreeSet<u32> = self.talks.keys().map(|k| k.0).collect();
        for group in groups {
            let dir = self.path.join("groups").join(format!("{group:04}"));
            // Runs of earlier versions have no checksums.
            let sums = dir.join("SHA256SUMS");
            let file = if sums.exists() { sums } else { dir.join("taps.safetensors") };
            let bytes = std::fs::read(&file).map_err(|e| Error::io(&file, e))?;
            sha.update((bytes.len() as u64).to_le_bytes());
            sha.update(bytes);
        }
        Ok(format!("{:x}", sha.finalize()))
    }
}
