//! The finished run that activations come from.
use crate::options::Patch;
use crate::talks::{Key, Said, Talks, short};
use friction_core::{ChatMessage, ConversationId, Error, Position, Result, RunReader, Site, TapArray, TurnRow, plural};
use friction_store::{StoredGroup, StoredRun};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A finished run with the conversations that receive and give.
pub struct Donors {
    run: StoredRun,
    /// Its folder.
    pub path: PathBuf,
    position: Position,
    /// Its conversations.
    pub talks: Talks,
    /// Whether it stored what stood before turn 1. Runs of the first versions of schema 3 did not.
    pub openings: bool,
}

fn at_run(message: String) -> Error {
    Error::at("run", message)
}

/// What stood before a conversation, in its first turn.
fn opening(row: &TurnRow) -> Result<Vec<ChatMessage>> {
    let wrong = |e: serde_json::Error| at_run(format!("turn {} of group {}: `opening`: {e}", row.turn, row.group));
    match row.opening.as_str() {
        "" => Ok(vec![]),
        text => serde_json::from_str(text).map_err(wrong),
    }
}

impl Donors {
    /// Opens the run and pairs its conversations in the first `groups` groups.
    ///
    /// # Errors
    /// If there is no such run, it lacks groups, or a conversation lacks its partner or its placebo.
    pub fn open(path: &Path, options: &Patch, groups: usize) -> Result<Self> {
        let help = "`run` is the folder of a finished run, relative to this manifest; make it with `friction run`";
        let run = StoredRun::open(path).map_err(|e| at_run(e.to_string()).help(help))?;
        let rows = || run.turns().iter().filter(|r| r.arm.is_empty() && (r.group as usize) < groups);
        let held = rows().map(|r| r.group).collect::<BTreeSet<u32>>().len();
        if held < groups {
            let what = format!("{} holds {}, this study has {groups}", path.display(), plural(held, "group"));
            return Err(at_run(what).help("finish it, or lower `study.groups`"));
        }
        let mut talks = Talks::of(path.display().to_string(), "run");
        for row in rows().filter(|r| r.factors.contains_key(&options.factor)) {
            let said = Said {
                item: row.item_id.clone(),
                user: row.user.clone(),
                prefill: row.prefill.clone(),
                reply: row.reply.clone(),
                cut: row.removed_tokens > 0,
                history: row.history.clone(),
                opening: opening(row)?,
            };
            talks.add((row.group, row.sample, row.factors.clone()), &row.condition, row.turn, said)?;
        }
        let talks = talks.pair(options)?;
        // Before schema 3 nothing could stand before turn 1.
        let old = run.lock["schema"].as_u64().is_some_and(|schema| schema < 3);
        let first = StoredGroup::open(path, 0).map_err(|e| at_run(e.to_string()))?;
        let openings = old || first.is_some_and(|group| group.openings);
        Ok(Self { run, path: path.to_path_buf(), position: options.position, talks, openings })
    }

    /// A part of the run's lock, by its pointer; null if it has none.
    pub fn lock(&self, pointer: &str) -> &Value {
        self.run.lock.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Longest reply of the run, in tokens, and whether one reached the longest length allowed.
    pub fn longest(&self) -> (u32, bool) {
        let rows = || self.run.turns().iter();
        (rows().map(|r| r.reply_tokens).max().unwrap_or(0), rows().any(|r| r.finish_reason == "length"))
    }

    /// The stored activations of a conversation at a site, turn by turn.
    ///
    /// # Errors
    /// If they cannot be read, or were not stored.
    pub fn stored(&self, key: &Key, site: Site) -> Result<TapArray> {
        let condition = &self.talks.talk(key)?.condition;
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
        let has = rows.chunks(array.shape[2].max(1)).filter(|row| row.iter().all(|v| v.is_finite())).count();
        match has == array.shape[1] {
            true => Ok(rows.to_vec()),
            false => Err(short(&place(), has, array.shape[1])),
        }
    }

    /// The turns that a conversation and its partner both have, from `first_turn` on.
    pub fn turns(&self, key: &Key, first_turn: usize) -> Result<Vec<usize>> {
        let [own, partner] = [self.talks.talk(key)?, self.talks.talk(&self.talks.partner(key))?];
        let both = own.turns.keys().filter(|t| partner.turns.contains_key(t)).map(|t| *t as usize);
        Ok(both.filter(|t| *t >= first_turn).collect())
    }

    /// Checks that the tokens that are replaced are the same in all partners.
    ///
    /// # Errors
    /// Names the first turn in which they differ.
    pub fn same_tokens(&self, first_turn: usize) -> Result<()> {
        for key in self.talks.paired.iter().filter(|k| self.talks.sign(k) > 0.0) {
            let partner = self.talks.partner(key);
            let [own, other] = [self.stored(key, Site::Embed)?, self.stored(&partner, Site::Embed)?];
            for turn in self.turns(key, first_turn)? {
                let (a, b) = (self.of_turn(&own, key, turn)?, self.of_turn(&other, &partner, turn)?);
                self.talks.same_tokens(key, turn, [&a, &b], own.shape[2])?;
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
        let groups: BTreeSet<u32> = self.talks.all().map(|(k, _)| k.0).collect();
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
