//! Environment variables of the hub: cache folder, offline mode and token. Each is read as Python's `huggingface_hub`
//! (2.4) reads it; `tests/data/hub-environment.json` holds that library's results.
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Whether `HF_HUB_OFFLINE`, or else `TRANSFORMERS_OFFLINE`, forbids the network.
pub fn offline() -> bool {
    is_offline(&process)
}

fn is_offline(get: Get) -> bool {
    is_true(filled(get, "HF_HUB_OFFLINE").or_else(|| filled(get, "TRANSFORMERS_OFFLINE")).as_deref())
}

pub(super) fn process(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// The hub settings that the environment gives.
pub struct Environment {
    /// Whether the network must not be used.
    pub offline: bool,
    /// Folder of cached repositories.
    pub cache: PathBuf,
    /// The access token. Never shown.
    pub(super) token: Option<String>,
    /// The error of a token file that exists and could not be read.
    pub(super) unread: Option<String>,
}

/// Looks up an environment variable; a parameter, so that tests need not change the process's environment.
type Get<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Environment {
    /// Reads the settings from the variables that `get` returns.
    pub fn of(get: Get) -> Self {
        let home = home(get);
        let cache = get("HF_HUB_CACHE").or_else(|| get("HUGGINGFACE_HUB_CACHE"));
        let cache = expand(cache.unwrap_or_else(|| home.join("hub").into()), get);
        let (token, unread) = token(get, &home);
        Self { offline: is_offline(get), cache, token, unread }
    }

    /// The token that requests carry; `None` where there is none.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// The value of a variable that is set and not empty.
fn filled(get: Get, name: &str) -> Option<OsString> {
    get(name).filter(|v| !v.is_empty())
}

/// Whether a value is 1, on, yes or true, in any case.
fn is_true(value: Option<&OsStr>) -> bool {
    let word = value.and_then(OsStr::to_str).map(str::to_uppercase);
    word.is_some_and(|w| ["1", "ON", "YES", "TRUE"].contains(&w.as_str()))
}

/// `HF_HOME`, by default `huggingface` in the user's cache folder.
fn home(get: Get) -> PathBuf {
    let home = get("HF_HOME").unwrap_or_else(|| {
        let caches = get("XDG_CACHE_HOME").map_or_else(|| expand_user("~".into(), get).join(".cache"), PathBuf::from);
        caches.join("huggingface").into()
    });
    expand(home, get)
}

/// The token from the environment, else from the token file; and the error where that file could not be read.
fn token(get: Get, home: &Path) -> (Option<String>, Option<String>) {
    if is_true(get("HF_HUB_DISABLE_IMPLICIT_TOKEN").as_deref()) {
        return (None, None);
    }
    let set = filled(get, "HF_TOKEN").or_else(|| filled(get, "HUGGING_FACE_HUB_TOKEN"));
    if let Some(token) = set.and_then(|t| clean(&t.to_string_lossy())) {
        return (Some(token), None);
    }
    let path = expand(get("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token").into()), get);
    match std::fs::read_to_string(&path) {
        Ok(text) => (clean(&text), None),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => (None, None),
        Err(e) => (None, Some(format!("{}: {e}", path.display()))),
    }
}

/// A token without line breaks and surrounding white space; `None` where nothing is left.
fn clean(token: &str) -> Option<String> {
    let token = token.replace(['\r', '\n'], "");
    Some(token.trim().to_owned()).filter(|t| !t.is_empty())
}

/// A path with `~` and `$VARIABLES` replaced, as `expanduser` and then `expandvars` do it.
fn expand(path: OsString, get: Get) -> PathBuf {
    expand_vars(expand_user(path, get).into(), get)
}

/// Expands a leading `~` or `~name`; a user that does not exist is left as written.
fn expand_user(path: OsString, get: Get) -> PathBuf {
    let Some(rest) = path.to_str().and_then(|p| p.strip_prefix('~')) else { return path.into() };
    let (user, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let home = match user {
        "" => get("HOME").map(PathBuf::from).or_else(std::env::home_dir),
        name => home_of(name),
    };
    let Some(home) = home else { return path.into() };
    let home = if home.as_os_str().is_empty() { PathBuf::from("/") } else { home };
    home.join(rest.trim_start_matches('/'))
}

/// Home folder of a user of this machine, from /etc/passwd.
fn home_of(name: &str) -> Option<PathBuf> {
    let users = std::fs::read("/etc/passwd").ok()?;
    let users = String::from_utf8_lossy(&users);
    let fields = users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.first() == Some(&name))?;
    fields.get(5).map(PathBuf::from)
}

/// Expands `$NAME` and `${NAME}` of variables that are set; others stay as written.
fn expand_vars(path: OsString, get: Get) -> PathBuf {
    let Some(mut rest) = path.to_str() else { return path.into() };
    let mut out = OsString::new();
    while let Some(at) = rest.find('$') {
        let after = &rest[at + 1..];
        let word = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let (name, len) = match (after.strip_prefix('{'), word) {
            (Some(braced), _) => match braced.find('}') {
                Some(end) => (&braced[..end], end + 2),
                None => ("", 0),
            },
            (None, end) => (&after[..end], end),
        };
        out.push(&rest[..at]);
        match Some(name).filter(|n| !n.is_empty()).and_then(get) {
            Some(value) => out.push(value),
            None => out.push(&rest[at..at + 1 + len]),
        }
        rest = &after[len..];
    }
    out.push(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    /// Every case is what `huggingface_hub` made of it (`tests/data/hub_environment.py`).
    #[test]
    fn it_is_what_python_reads() {
        let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/hub-environment.json")).unwrap();
        assert!(cases.len() >= 60, "{} cases", cases.len());
        for case in &cases {
            let dir = tempfile::tempdir().unwrap();
            let here = |s: &str| s.replace("{dir}", dir.path().to_str().unwrap());
            for (name, text) in case["files"].as_object().unwrap() {
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text.as_str().unwrap()).unwrap();
            }
            let get = |name: &str| case["env"].get(name).map(|v| OsString::from(here(v.as_str().unwrap())));
            let e = Environment::of(&get);
            assert_eq!(e.offline, case["offline"].as_bool().unwrap(), "offline: {}", case["env"]);
            assert_eq!(e.cache, PathBuf::from(here(case["cache"].as_str().unwrap())), "cache: {}", case["env"]);
            assert_eq!(e.token(), case["token"].as_str(), "token: {case}");
        }
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStringExt;
            let odd = OsString::from_vec(b"/caches/\xff$HOME".to_vec());
            let get = |name: &str| (name == "HF_HOME").then(|| odd.clone());
            assert_eq!(Environment::of(&get).cache, Path::new(&odd).join("hub"));
        }
    }

    #[test]
    fn a_token_file_that_cannot_be_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let get = |name: &str| (name == "HF_TOKEN_PATH").then(|| dir.path().into());
        let e = Environment::of(&get);
        assert!(e.token().is_none());
        assert!(e.unread.unwrap().starts_with(dir.path().to_str().unwrap()));
    }
}
