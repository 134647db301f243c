//! Reads a table of a manifest, and tells everything that is wrong with it in words for authors of manifests.
use crate::issues::{Issues, Path, Step};
use crate::sections::elsewhere;
use crate::suggestion::suggestion;
use serde::de::DeserializeOwned;

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
            let help = elsewhere(name, path).or_else(|| suggestion(name, known.iter().copied()));
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
}
