//! Collecting what is wrong with a manifest, and telling where.
use serde::de::DeserializeOwned;
use std::fmt;

/// A step into a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// An entry of an array.
    Index(usize),
}

/// A place in a manifest: `condition[1].keep.tokens`.
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
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(k) if i == 0 => f.write_str(k)?,
                Step::Key(k) => write!(f, ".{k}")?,
                Step::Index(n) => write!(f, "[{n}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where.
    pub path: Path,
    /// What.
    pub message: String,
    /// What was probably meant.
    pub help: Option<String>,
}

/// Everything that is wrong, in the order found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issues(pub Vec<Issue>);

impl Issues {
    /// Adds one.
    pub fn push(&mut self, path: Path, message: impl Into<String>, help: Option<String>) {
        self.0.push(Issue { path, message: message.into(), help });
    }
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The candidate nearest to `word`, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(&word.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(d, c)| *d <= 1.max(c.chars().count() / 3))
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// "did you mean" help for a word among candidates.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    match nearest(word, candidates.clone()) {
        Some(n) => Some(format!("did you mean `{n}`?")),
        None => {
            let all: Vec<_> = candidates.into_iter().map(|c| format!("`{c}`")).collect();
            (!all.is_empty()).then(|| format!("known here: {}", all.join(", ")))
        }
    }
}

fn remove(value: &mut toml::Value, steps: &[Step]) -> bool {
    match (steps, value) {
        ([Step::Key(k)], toml::Value::Table(t)) => t.remove(k).is_some(),
        ([Step::Key(k), rest @ ..], toml::Value::Table(t)) => t.get_mut(k).is_some_and(|v| remove(v, rest)),
        ([Step::Index(i), rest @ ..], toml::Value::Array(a)) if !rest.is_empty() => {
            a.get_mut(*i).is_some_and(|v| remove(v, rest))
        }
        _ => false,
    }
}

/// The back-quoted words of a serde message such as "unknown field `a`, expected one of `b`, `c`".
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// Deserialises a table, reporting every unknown key and wrong type that can be found by leaving
/// the offending key out and trying again.
pub fn deserialize<T: DeserializeOwned>(mut value: toml::Value, path: &Path, issues: &mut Issues) -> Option<T> {
    let before = issues.0.len();
    loop {
        let error = match serde_path_to_error::deserialize::<_, T>(value.clone()) {
            Ok(v) => return (issues.0.len() == before).then_some(v),
            Err(e) => e,
        };
        let mut at = Path::default();
        for seg in error.path().iter() {
            match seg {
                serde_path_to_error::Segment::Map { key } => at = at.key(key.clone()),
                serde_path_to_error::Segment::Seq { index } => at = at.index(*index),
                _ => {}
            }
        }
        let message = error.inner().message().trim().to_string();
        let words = quoted(&message);
        if message.starts_with("missing field") {
            let name = words.first().copied().unwrap_or("?");
            // A key that was reported and left out, or misspelt, is not missing too.
            let meant = format!("did you mean `{name}`?");
            let reported = issues.0[before..]
                .iter()
                .any(|i| i.path.0.last() == Some(&Step::Key(name.into())) || i.help.as_deref() == Some(&meant));
            if !reported {
                issues.push(join(path, &at), format!("`{name}` is missing"), Some(format!("add `{name} = …`")));
            }
            return None;
        }
        if message.starts_with("unknown field")
            && let Some((name, known)) = words.split_first()
        {
            if at.0.last() != Some(&Step::Key((*name).into())) {
                at = at.key(*name);
            }
            issues.push(join(path, &at), format!("unknown key `{name}`"), suggestion(name, known.iter().copied()));
        } else if message.starts_with("unknown variant")
            && let Some((name, known)) = words.split_first()
        {
            issues.push(join(path, &at), format!("unknown value `{name}`"), suggestion(name, known.iter().copied()));
        } else {
            issues.push(join(path, &at), message.clone(), None);
        }
        if !remove(&mut value, &at.0) {
            return None;
        }
    }
}

fn join(a: &Path, b: &Path) -> Path {
    Path(a.0.iter().chain(&b.0).cloned().collect())
}
