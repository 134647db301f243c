//! Collecting what is wrong with a manifest, and telling where.
use super::sections;
use crate::Error;
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
    /// The path of what `--set` would call `keys` below this one: `keep.tokens`, `sites.1`.
    pub fn below(&self, keys: &str) -> Path {
        let steps = keys.split('.').map(|k| k.parse().map_or_else(|_| Step::Key(k.to_string()), Step::Index));
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
    /// Adds what a plugin says of its table at `path`: each thing at the key that it names.
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

/// The candidate that `word` was probably meant to be, if it looks like a slip of the fingers.
///
/// A slip changes one letter of three to seven, two of eight to eleven, a quarter of more. In words of up to
/// five letters one letter in the place of another makes another word (`gpu` is not `cpu`), and so do the short
/// parts of a long one (`top_k` is not `top_p`, `reply:5` not `reply:8`).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = candidates.into_iter().filter_map(|c| Some((slips(&word.to_lowercase(), &c.to_lowercase())?, c)));
    found.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// How many slips make `word` of `meant`; nothing where they are two words.
fn slips(word: &str, meant: &str) -> Option<usize> {
    let (a, b) = (word.chars().count(), meant.chars().count());
    let most = match a.min(b) {
        0..=2 => 0,
        3..=7 => 1,
        8..=11 => 2,
        n => n / 4,
    };
    let d = strsim::damerau_levenshtein(word, meant);
    if d > most {
        return None;
    }
    let swapped = a == b && strsim::hamming(word, meant) == Ok(1);
    let parts = |s: &str| s.split(|c: char| !c.is_alphanumeric()).map(String::from).collect::<Vec<_>>();
    let (x, y) = (parts(word), parts(meant));
    let short = |(p, q): (&String, &String)| p != q && p.chars().count().max(q.chars().count()) <= 2;
    let other = x.len() == y.len() && x.iter().zip(&y).any(short);
    (!(other || swapped && a <= 5)).then_some(d)
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

/// A message of serde's in the words of a manifest: Rust's types are none.
fn plain(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("usize", "a whole number from 0"),
        ("u64", "a whole number from 0"),
        ("u32", "a whole number from 0"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("f32", "a number"),
        ("a sequence", "a list"),
        ("a map", "a table"),
        ("a string", "a text in quotes"),
    ];
    let Some((got, expected)) = message.rsplit_once("expected ") else { return message.into() };
    let word = WORDS.iter().find(|(rust, _)| expected == *rust).map_or(expected, |(_, words)| words);
    format!("{got}expected {word}")
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
            let help = sections::elsewhere(name, path).or_else(|| suggestion(name, known.iter().copied()));
            issues.push(join(path, &at), format!("unknown key `{name}`"), help);
        } else if message.starts_with("unknown variant")
            && let Some((name, known)) = words.split_first()
        {
            issues.push(join(path, &at), format!("unknown value `{name}`"), suggestion(name, known.iter().copied()));
        } else {
            issues.push(join(path, &at), plain(&message), None);
        }
        if !remove(&mut value, &at.0) {
            return None;
        }
    }
}

fn join(a: &Path, b: &Path) -> Path {
    Path(a.0.iter().chain(&b.0).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_word_is_no_slip() {
        for (word, meant) in [
            ("fixd", "fixed"),
            ("lwa", "law"),
            ("group", "groups"),
            ("max_new_token", "max_new_tokens"),
            ("residul", "residual"),
            ("temprature", "temperature"),
            ("from_trun", "from_turn"),
            ("user_mean", "user-mean"),
        ] {
            assert_eq!(nearest(word, [meant, "nothing"]), Some(meant), "{word}");
        }
        for (word, other) in [
            ("top_k", "top_p"),
            ("min_p", "top_p"),
            ("gpu", "cpu"),
            ("q5", "q8"),
            ("reply:5", "reply:8"),
            ("resid_post.1", "resid_post.2"),
            ("tone", "turn"),
            ("seed", "read"),
        ] {
            assert_eq!(nearest(word, [other]), None, "{word}");
        }
        assert_eq!(
            suggestion("top_k", ["top_p", "temperature"]).as_deref(),
            Some("known here: `top_p`, `temperature`")
        );
    }

    #[test]
    fn a_plugins_errors_go_to_their_keys() {
        let mut issues = Issues::default();
        let both =
            Error::Several(vec![Error::at("keep.share", "a"), Error::config("b"), Error::at("sites.1", "c").help("d")]);
        issues.error(&Path::default().key("hook").index(2), &both);
        let told: Vec<_> = issues.0.iter().map(|i| format!("{} {} {:?}", i.path, i.message, i.help)).collect();
        assert_eq!(told, ["hook.2.keep.share a None", "hook.2 b None", "hook.2.sites.1 c Some(\"d\")"]);
    }
}
