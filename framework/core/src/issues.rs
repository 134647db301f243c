//! Collects what is wrong with a manifest, each fault with its place.
use crate::Error;
use std::fmt;

/// A step into a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An entry of an array.
    Index(usize),
}

/// A place in a manifest, written as `--set` writes it: `condition.1.keep.tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The path of a key below this one.
    pub fn key(&self, key: impl Into<String>) -> Path {
        let mut p = self.clone();
        p.0.push(Step::Key(key.into()));
        p
    }
    /// The path of an array entry below this one.
    pub fn index(&self, i: usize) -> Path {
        let mut p = self.clone();
        p.0.push(Step::Index(i));
        p
    }
    /// The path of what `--set` would call `keys` below this one: `keep.tokens`, `sites.1`. This one itself if it is empty.
    pub fn below(&self, keys: &str) -> Path {
        let steps = keys.split('.').filter(|k| !k.is_empty());
        let steps = steps.map(|k| k.parse().map_or_else(|_| Step::Key(k.to_string()), Step::Index));
        Path(self.0.iter().cloned().chain(steps).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(k) if i == 0 => f.write_str(k)?,
                Step::Key(k) => write!(f, ".{k}")?,
                Step::Index(n) => write!(f, ".{n}")?,
            }
        }
        Ok(())
    }
}

/// One fault of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where it is.
    pub path: Path,
    /// What is wrong.
    pub message: String,
    /// What to do, or what was probably meant.
    pub help: Option<String>,
}

/// All faults, in the order found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    /// Adds a fault.
    pub fn push(&mut self, path: Path, message: impl Into<String>, help: Option<String>) {
        self.0.push(Issue { path, message: message.into(), help });
    }
    /// Adds a plugin's error about its table at `path`. An error that names a key is placed at that key.
    pub fn error(&mut self, path: &Path, error: &Error) {
        match error {
            Error::Key { key, message, help } => self.push(path.below(key), message, help.clone()),
            Error::Several(all) => all.iter().for_each(|e| self.error(path, e)),
            other => self.push(path.clone(), other.to_string(), None),
        }
    }
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_errors_go_to_their_keys() {
        let mut issues = Issues::default();
        let whole = Error::config("e").help("f");
        let keys = [Error::at("keep.share", "a"), Error::config("b"), Error::at("sites.1", "c").help("d")];
        let both = Error::Several(keys.into_iter().chain([whole]).collect());
        issues.error(&Path::default().key("hook").index(2), &both);
        let told: Vec<_> = issues.0.iter().map(|i| format!("{} {} {:?}", i.path, i.message, i.help)).collect();
        let sites = "hook.2.sites.1 c Some(\"d\")";
        assert_eq!(told, ["hook.2.keep.share a None", "hook.2 b None", sites, "hook.2 e Some(\"f\")"]);
    }
}
