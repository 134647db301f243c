//! Collects what is wrong with a manifest, each fault with its place.
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

/// The candidate that `word` is probably a misspelling of, if there is one.
///
/// A misspelling has a Damerau–Levenshtein distance of at most 1 in words of three to seven letters, of 2 in words of
/// eight to eleven, and of a quarter of the letters in longer words. In words of up to five letters, a replaced letter
/// makes a different word (`gpu` is not `cpu`). So does a change in a part of one or two letters (`top_k` is not
/// `top_p`, `reply:5` is not `reply:8`).
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = candidates.into_iter().filter_map(|c| Some((slips(&word.to_lowercase(), &c.to_lowercase())?, c)));
    found.min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// The distance of `word` from `meant`; `None` if they are different words.
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

/// Help for an unknown word: "did you mean …?" or a list of the candidates; `None` if there are no candidates.
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

/// Rewrites a message of serde for authors of manifests: without names of Rust types.
fn plain(message: &str) -> String {
    if message.starts_with("data did not match any variant of untagged enum") {
        return "this value has none of the forms that the key takes".into();
    }
    let rest = ["invalid type: ", "invalid value: ", "invalid "].iter().find_map(|kind| message.strip_prefix(kind));
    let Some((got, expected)) = rest.and_then(|rest| rest.rsplit_once(", expected ")) else { return message.into() };
    match got.strip_prefix("length ") {
        Some(n) if expected.starts_with("fewer elements") => format!("expected fewer entries than {n}"),
        Some(n) => format!("expected {}, not of {n}", wanted(expected)),
        None => {
            let not = given(got).map_or(String::new(), |got| format!(", not {got}"));
            format!("expected {}{not}", wanted(expected))
        }
    }
}

/// What serde expected, in words.
fn wanted(expected: &str) -> String {
    const WHOLE: [&str; 6] = ["u8", "u16", "u32", "u64", "u128", "usize"];
    const SIGNED: [&str; 6] = ["i8", "i16", "i32", "i64", "i128", "isize"];
    if let Some(n) = ["a tuple of size ", "an array of length "].iter().find_map(|s| expected.strip_prefix(s)) {
        return format!("a list of {n} entries");
    }
    let begins = |words: &[&str]| words.iter().any(|w| expected.starts_with(w));
    let words = match expected {
        e if WHOLE.contains(&e) => "a whole number from 0",
        e if SIGNED.contains(&e) => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a sequence" => "a list",
        "a map" => "a table",
        "a string" | "path string" | "string only" | "a character" => "a text in quotes",
        // Rust's names follow these.
        _ if begins(&["struct ", "internally tagged enum ", "adjacently tagged enum "]) => "a table",
        _ if begins(&["tuple struct "]) => "a list",
        _ if begins(&["enum "]) => "a text in quotes or a table",
        other => other,
    };
    words.into()
}

/// What serde found, in words; nothing where its words are Rust's alone.
fn given(got: &str) -> Option<String> {
    let (kind, value) = got.split_once(' ').unwrap_or((got, ""));
    Some(match (kind, value.trim_matches('`')) {
        ("string", text) => format!("the text {text}"),
        ("integer", n) => format!("the whole number {n}"),
        ("floating", _) => format!("the number {}", got.trim_start_matches("floating point ").trim_matches('`')),
        ("boolean", b) => format!("`{b}`"),
        ("map", _) => "a table".into(),
        ("sequence", _) => "a list".into(),
        _ => return None,
    })
}

/// Deserialises a table at `path`. Faults are added to `issues`: every unknown key and wrong type that is found by
/// leaving out the key at fault and trying again. Returns `None` if there are any.
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
    fn wrong_types_are_told_without_the_names_of_rusts() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code)]
        struct Inner {
            tokens: usize,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(untagged)]
        #[allow(dead_code)]
        enum Forms {
            One(String),
            Several(Vec<String>),
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Word {
            Left,
        }
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        #[allow(dead_code)]
        struct Outer {
            inner: Option<Inner>,
            forms: Option<Forms>,
            word: Option<Word>,
            count: u64,
            share: f64,
            yes: bool,
            path: std::path::PathBuf,
            turns: Option<(usize, usize)>,
            list: Vec<i32>,
            levels: std::collections::BTreeMap<String, String>,
        }
        let told = |text: &str| {
            let mut issues = Issues::default();
            let read = deserialize::<Outer>(text.parse::<toml::Table>().unwrap().into(), &Path::default(), &mut issues);
            assert!(read.is_none(), "{text}: {read:?}");
            issues.0.iter().map(|i| format!("{}: {}", i.path, i.message)).collect::<Vec<_>>().join("; ")
        };
        for (text, want) in [
            ("inner = 5", "inner: expected a table, not the whole number 5"),
            ("inner = { tokens = \"five\" }", "inner.tokens: expected a whole number from 0, not the text \"five\""),
            ("forms = 5", "forms: this value has none of the forms that the key takes"),
            ("word = \"right\"", "word: unknown value `right`"),
            ("count = \"three\"", "count: expected a whole number from 0, not the text \"three\""),
            ("count = \"a, expected b\"", "count: expected a whole number from 0, not the text \"a, expected b\""),
            ("count = -1", "count: expected a whole number from 0, not the whole number -1"),
            ("count = 1.5", "count: expected a whole number from 0, not the number 1.5"),
            ("share = \"half\"", "share: expected a number, not the text \"half\""),
            ("yes = 1", "yes: expected `true` or `false`, not the whole number 1"),
            ("path = true", "path: expected a text in quotes, not `true`"),
            ("list = { a = 1 }", "list: expected a list, not a table"),
            ("levels = [1]", "levels: expected a table, not a list"),
            ("turns = 3", "turns: expected a list of 2 entries, not the whole number 3"),
            ("turns = [1]", "turns: expected a list of 2 entries, not of 1"),
        ] {
            assert_eq!(told(text), want);
        }
        // However the toml crate words these, no name of a type of Rust's is in them.
        for text in ["word = 5", "word = [1]", "turns = [1, 2, 3]", "inner = [\"x\"]"] {
            let message = told(text);
            for name in ["Word", "Inner", "enum", "struct", "tuple", "variant", "invalid", "usize"] {
                assert!(!message.contains(name), "{text}: {message}");
            }
        }
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
