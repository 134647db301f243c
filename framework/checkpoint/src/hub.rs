//! Files of the Hugging Face hub, by repository and revision, in the cache that the Python tools share.
mod env;
mod explain;

use crate::weights::safetensors::shard_names;
use crate::{Error, Result};
use env::Environment;
pub use env::offline;
use hf_hub::{HFClientBuilder, HFClientSync, HFError, HFResult};
use std::path::PathBuf;

/// A model or dataset repository at one revision.
pub struct Repo {
    client: HFClientSync,
    env: Environment,
    owner: String,
    name: String,
    dataset: bool,
    /// The revision asked for: a branch, tag or commit; `main` by default.
    pub revision: String,
    /// The commit that the revision resolved to; known once a file was found.
    pub commit: Option<String>,
}

/// Calls the client on this repository. Models and datasets have two different client types.
macro_rules! on_repo {
    ($self:ident, |$repo:ident| $call:expr) => {
        if $self.dataset {
            let $repo = $self.client.dataset(&$self.owner, &$self.name);
            $call
        } else {
            let $repo = $self.client.model(&$self.owner, &$self.name);
            $call
        }
    };
}

impl Repo {
    /// Names a repository; nothing is fetched yet. `id` is `owner/name`, `revision` defaults to `main`.
    ///
    /// # Errors
    /// When the id is malformed, the token holds invalid characters, or the client cannot start.
    pub fn new(id: &str, revision: Option<&str>, dataset: bool) -> Result<Self> {
        let (owner, name) = id
            .split_once('/')
            .filter(|(o, n)| !o.is_empty() && !n.is_empty() && !n.contains('/'))
            .ok_or_else(|| Error::Source(format!("`{id}` is not a hub repository; write `owner/name`")))?;
        let env = Environment::of(&env::process);
        let token = env.token();
        if token.is_some_and(|t| !t.bytes().all(|b| b.is_ascii_graphic() || b == b' ')) {
            return Err(Error::Hub(
                "the token for the hub (HF_TOKEN, or the file of `hf auth login`) holds characters that no token has: set it anew".into(),
            ));
        }
        // Without a token given, the client would look for one by rules of its own. A token of one line break, which
        // no HTTP header can hold, keeps it from sending any.
        let client = HFClientBuilder::new().cache_dir(&env.cache).token(token.unwrap_or("\n"));
        let client = client.build_sync().map_err(|e| {
            Error::Hub(format!(
                "the hub client cannot start: {}; check HF_ENDPOINT",
                env.without_secrets(&e.to_string())
            ))
        })?;
        let revision = revision.unwrap_or("main").to_string();
        Ok(Self { client, env, owner: owner.into(), name: name.into(), dataset, revision, commit: None })
    }

    /// Path of a file in the cache, fetched where needed. The first file fixes the commit for all later ones.
    ///
    /// # Errors
    /// When it cannot be had. The message says what to do about a gated repository, no network or a full disk.
    pub fn get(&mut self, file: &str) -> Result<PathBuf> {
        let path = self.find(file).map_err(|e| self.explain(file, e))?;
        if self.commit.is_none() {
            self.commit = commit_of(&path, file);
        }
        Ok(path)
    }

    /// Like [`Repo::get`], but `None` where the repository has no such file, or the file is not cached and the hub
    /// cannot be reached.
    ///
    /// # Errors
    /// As [`Repo::get`].
    pub fn try_get(&mut self, file: &str) -> Result<Option<PathBuf>> {
        match self.find(file) {
            Ok(p) => Ok(Some(p)),
            Err(HFError::EntryNotFound { .. } | HFError::LocalEntryNotFound { .. } | HFError::Request { .. }) => {
                Ok(None)
            }
            Err(e) => Err(self.explain(file, e)),
        }
    }

    /// The files of a model's weights, if all of them are in the cache; nothing is asked of the hub.
    ///
    /// # Errors
    /// When the index is malformed.
    pub(crate) fn weights(&self) -> Result<Option<Vec<PathBuf>>> {
        let held = |file: &str| self.fetch(file, true).ok();
        let Some(index) = held("model.safetensors.index.json") else {
            return Ok(held("model.safetensors").map(|file| vec![file]));
        };
        let text = std::fs::read_to_string(&index).map_err(|e| Error::io(&index, e))?;
        Ok(shard_names(&index, &text)?.iter().map(|name| held(name)).collect())
    }

    /// A file of the hub. Where the hub does not answer or refuses, a cached file is used, as the Python client does.
    fn find(&self, file: &str) -> HFResult<PathBuf> {
        if self.env.offline {
            return self.fetch(file, true);
        }
        let why = match self.fetch(file, false) {
            Ok(path) => return Ok(path),
            Err(HFError::Io(e)) => return self.unwritten(file).ok_or(HFError::Io(e)),
            Err(e) => e,
        };
        match self.fetch(file, true) {
            // The hub's answer takes precedence over the cache: this revision has no such file. But the client gives
            // the same answer for a missing repository, hence the second check.
            Ok(_) if matches!(why, HFError::EntryNotFound { .. }) && !matches!(self.exists().0, Ok(false)) => Err(why),
            Ok(path) => Ok(path),
            // The cache records that the file does not exist.
            Err(absent @ HFError::EntryNotFound { .. }) => Err(absent),
            Err(_) => Err(why),
        }
    }

    /// Looks up a file in a cache that is not writable, by the commit that the client could not link.
    fn unwritten(&self, file: &str) -> Option<PathBuf> {
        let commit = match &self.commit {
            Some(commit) => commit.clone(),
            None => self.commit_at_hub(file)?,
        };
        self.fetch_at(&commit, file, true).ok()
    }

    /// The commit of the revision, from the hub.
    fn commit_at_hub(&self, file: &str) -> Option<String> {
        let revision = self.revision.as_str();
        let of_file = on_repo!(self, |repo| repo.get_file_metadata().filepath(file).revision(revision).send());
        // A large file is served from another host, whose answer does not name the commit.
        of_file
            .ok()
            .map(|f| f.commit_hash)
            .or_else(|| on_repo!(self, |repo| repo.info().revision(revision).send().ok()?.sha))
    }

    fn fetch(&self, file: &str, local: bool) -> HFResult<PathBuf> {
        self.fetch_at(self.commit.as_ref().unwrap_or(&self.revision), file, local)
    }

    fn fetch_at(&self, revision: &str, file: &str, local: bool) -> HFResult<PathBuf> {
        on_repo!(self, |repo| repo.download_file().filename(file).revision(revision).local_files_only(local).send())
    }

    /// Whether the repository exists, and whether the revision does.
    fn exists(&self) -> (HFResult<bool>, HFResult<bool>) {
        on_repo!(self, |repo| (repo.exists().send(), repo.revision_exists().revision(&self.revision).send()))
    }
}

/// The commit in the path of a cached file: …/snapshots/<commit>/<file>.
fn commit_of(path: &std::path::Path, file: &str) -> Option<String> {
    let folder = path.ancestors().nth(file.split('/').count())?;
    folder.file_name().map(|c| c.to_string_lossy().into_owned())
}
