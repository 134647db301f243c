//! The Hugging Face hub: files by repository and revision, in the cache that the Python tools share.
use crate::{Error, Result};
use hf_hub::{HFClientSync, HFError};
use std::path::PathBuf;

/// A repository at one commit.
pub struct Repo {
    client: HFClientSync,
    owner: String,
    name: String,
    dataset: bool,
    /// What was asked for: a branch, tag or commit.
    pub revision: String,
    /// The commit that it was, once a file has come.
    pub commit: Option<String>,
}

impl Repo {
    /// `id` is `owner/name`.
    ///
    /// # Errors
    /// When the id is not one, or the client cannot start.
    pub fn new(id: &str, revision: Option<&str>, dataset: bool) -> Result<Self> {
        let (owner, name) = id
            .split_once('/')
            .filter(|(o, n)| !o.is_empty() && !n.is_empty() && !n.contains('/'))
            .ok_or_else(|| Error::Source(format!("`{id}` is not a hub repository; write `owner/name`")))?;
        let client = HFClientSync::new().map_err(|e| Error::Hub(format!("the hub client cannot start: {e}")))?;
        let revision = revision.unwrap_or("main").to_string();
        Ok(Self { client, owner: owner.into(), name: name.into(), dataset, revision, commit: None })
    }

    /// Fetches a file, or finds it in the cache; the first file pins the commit for the rest.
    ///
    /// # Errors
    /// Says what to do about a gated repository, no network, no disk.
    pub fn get(&mut self, file: &str) -> Result<PathBuf> {
        let online = !std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true"));
        let path = match if online { self.fetch(file, false) } else { self.fetch(file, true) } {
            Ok(p) => p,
            // Without network, what is cached will do.
            Err(e @ HFError::Request { .. }) => self.fetch(file, true).map_err(|_| self.explain(file, e))?,
            Err(e) => return Err(self.explain(file, e)),
        };
        if self.commit.is_none() {
            // …/snapshots/<commit>/<file>
            let depth = file.split('/').count();
            self.commit =
                path.ancestors().nth(depth).and_then(|p| p.file_name()).map(|c| c.to_string_lossy().into_owned());
        }
        Ok(path)
    }

    /// Like [`Repo::get`], but a file that the repository lacks is `None`.
    ///
    /// # Errors
    /// As [`Repo::get`].
    pub fn try_get(&mut self, file: &str) -> Result<Option<PathBuf>> {
        let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v == "1");
        match self.fetch(file, offline) {
            Ok(p) => Ok(Some(p)),
            Err(HFError::EntryNotFound { .. } | HFError::LocalEntryNotFound { .. }) => Ok(None),
            Err(HFError::Request { .. }) => Ok(self.fetch(file, true).ok()),
            Err(e) => Err(self.explain(file, e)),
        }
    }

    fn fetch(&self, file: &str, local: bool) -> hf_hub::HFResult<PathBuf> {
        let revision = self.commit.clone().unwrap_or_else(|| self.revision.clone());
        if self.dataset {
            let repo = self.client.dataset(&self.owner, &self.name);
            repo.download_file().filename(file).revision(revision).local_files_only(local).send()
        } else {
            let repo = self.client.model(&self.owner, &self.name);
            repo.download_file().filename(file).revision(revision).local_files_only(local).send()
        }
    }

    /// Whether there is such a repository, and such a revision of it.
    fn exists(&self) -> (hf_hub::HFResult<bool>, hf_hub::HFResult<bool>) {
        if self.dataset {
            let repo = self.client.dataset(&self.owner, &self.name);
            (repo.exists().send(), repo.revision_exists().revision(&self.revision).send())
        } else {
            let repo = self.client.model(&self.owner, &self.name);
            (repo.exists().send(), repo.revision_exists().revision(&self.revision).send())
        }
    }

    fn explain(&self, file: &str, e: HFError) -> Error {
        let id = format!("{}/{}", self.owner, self.name);
        let kind = if self.dataset { "datasets/" } else { "" };
        let no_repo = "there is no such repository, or it is private: check the name, or set HF_TOKEN";
        // The hub's own word: a missing repository may come as 401 or 404.
        let code = match &e {
            HFError::AuthRequired { context } | HFError::Forbidden { context } => context.error_code.as_deref(),
            HFError::EntryNotFound { context, .. } => context.as_ref().and_then(|c| c.error_code.as_deref()),
            _ => None,
        };
        let todo = match &e {
            _ if code == Some("RepoNotFound") => no_repo.into(),
            HFError::RepoNotFound { .. } => no_repo.into(),
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => format!(
                "the repository is gated or private: accept its terms on its hub page ({kind}{id}) and set HF_TOKEN (or run `hf auth login`)"
            ),
            _ if code == Some("RevisionNotFound") || matches!(e, HFError::RevisionNotFound { .. }) => {
                format!("there is no revision `{}`: check `model.revision`", self.revision)
            }
            // The client drops the hub's reason here: it is asked again.
            HFError::EntryNotFound { .. } => match self.exists() {
                (Ok(false), _) => no_repo.into(),
                (_, Ok(false)) => format!("there is no revision `{}`: check `model.revision`", self.revision),
                _ => "the repository holds no such file: it is not a checkpoint in the usual layout".into(),
            },
            HFError::LocalEntryNotFound { .. } => "HF_HUB_OFFLINE is set and the file is not in the cache: fetch it where there is a network, or unset HF_HUB_OFFLINE".into(),
            HFError::Request { .. } => "no network and nothing in the cache: check the connection and HF_ENDPOINT, or use a `path:` or `gguf:` source".into(),
            HFError::RateLimited { .. } => "the hub limits the rate: wait, or set HF_TOKEN".into(),
            HFError::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => "the disk is full: free space, or point HF_HOME at a larger one".into(),
            HFError::Io(_) => "the cache cannot be written: check HF_HOME".into(),
            other => other.to_string(),
        };
        Error::Hub(format!("hf:{id}: `{file}`: {todo}"))
    }
}
