//! Error messages for the hub: what went wrong and what to do about it. No message contains a secret.
use super::{Environment, Repo, commit_of};
use crate::Error;
use hf_hub::HFError;

impl Repo {
    /// Turns an error of the client about `file` into one that says what to do.
    pub(super) fn explain(&self, file: &str, e: HFError) -> Error {
        let id = format!("{}{}/{}", if self.dataset { "datasets/" } else { "" }, self.owner, self.name);
        let (revision, elsewhere) = match self.dataset {
            true => ("`revision`", "give the file with `path`"),
            false => ("`model.revision`", "use a `path:` or `gguf:` source"),
        };
        let no_repo = "there is no such repository, or it is private: check the name, or set HF_TOKEN";
        // The hub's error code is more precise than the status: a missing repository may come as 401 or 404.
        let code = match &e {
            HFError::AuthRequired { context } | HFError::Forbidden { context } => context.error_code.as_deref(),
            HFError::EntryNotFound { context, .. } => context.as_ref().and_then(|c| c.error_code.as_deref()),
            _ => None,
        };
        let todo = match &e {
            _ if code == Some("RepoNotFound") => no_repo.into(),
            HFError::RepoNotFound { .. } => no_repo.into(),
            HFError::AuthRequired { .. } | HFError::Forbidden { .. } => format!(
                "the repository is gated or private: accept its terms on its hub page ({id}) and set HF_TOKEN (or run `hf auth login`)"
            ),
            _ if code == Some("RevisionNotFound") || matches!(e, HFError::RevisionNotFound { .. }) => {
                format!("there is no revision `{}`: check {revision}", self.revision)
            }
            // The client drops the hub's reason here, so the hub is asked again.
            HFError::EntryNotFound { .. } => match self.exists() {
                (Ok(false), _) => no_repo.into(),
                (_, Ok(false)) => format!("there is no revision `{}`: check {revision}", self.revision),
                _ if self.dataset => "the repository holds no such file".into(),
                _ => "the repository holds no such file: it is not a checkpoint in the usual layout".into(),
            },
            HFError::LocalEntryNotFound { .. } => "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set and the file is not in the cache: fetch it where there is a network, or unset it".into(),
            HFError::Request { .. } => {
                format!("no network and nothing in the cache: check the connection and HF_ENDPOINT, or {elsewhere}")
            }
            HFError::RateLimited { .. } => "the hub limits the rate: wait, or set HF_TOKEN".into(),
            HFError::Io(io) if io.kind() == std::io::ErrorKind::StorageFull => "the disk is full: free space, or point HF_HOME at a larger one".into(),
            HFError::Io(io) => self.cannot_write(file, io),
            other => other.to_string(),
        };
        let token = match (&self.env.unread, &e) {
            (Some(why), HFError::AuthRequired { .. } | HFError::Forbidden { .. }) => {
                format!("; a file with a token is there and cannot be read ({why})")
            }
            _ => String::new(),
        };
        Error::Hub(format!("hf:{id}: `{file}`: {}{token}", self.env.without_secrets(&todo)))
    }

    /// The message for a cache folder that cannot be written.
    fn cannot_write(&self, file: &str, io: &std::io::Error) -> String {
        let cache = self.env.cache.display();
        let older = self.fetch(file, true).ok().and_then(|path| commit_of(&path, file));
        let what = match older {
            Some(commit) => format!(
                "it holds `{commit}`, and the hub's `{}` is another commit: name the older one as the revision or set HF_HUB_OFFLINE=1 to use it, or",
                self.revision
            ),
            None => "it does not hold the file:".into(),
        };
        format!(
            "the cache {cache} cannot be written ({io}), and {what} point HF_HOME or HF_HUB_CACHE at a folder that can be written"
        )
    }
}

impl Environment {
    /// The text with the token and the login of HF_ENDPOINT replaced by "…".
    pub(super) fn without_secrets(&self, text: &str) -> String {
        let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_default();
        let address = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, a)| a);
        let login = address.split('/').next().and_then(|a| a.rsplit_once('@')).map(|(login, _)| login);
        let secrets = [self.token.as_deref(), login];
        secrets.iter().flatten().filter(|s| !s.is_empty()).fold(text.to_owned(), |t, s| t.replace(s, "…"))
    }
}
