//! A manifest's text, the place of each key in it, and values set on the command line.
use super::factorial::origin;
use crate::issues::{Issue, Issues, Path, Step};
use std::{fmt, ops::Range};
use toml::de::{DeTable, DeValue};

/// A fault with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The fault, with its key and message.
    pub issue: Issue,
    /// Bytes of the text that it is about; `None` for a value given by `--set`.
    pub span: Option<Range<usize>>,
    /// The argument of `--set` that gave the value, as written; `None` if the file gave it.
    pub set: Option<String>,
    /// Line and column, both from 1; `None` if there is no span.
    pub line_column: Option<(usize, usize)>,
}

impl Located {
    /// The place as text: `study.toml:4:1`, or `--set` with its argument.
    pub fn place(&self, file: &str) -> String {
        match (&self.set, self.line_column) {
            (Some(set), _) => format!("--set {set}"),
            (None, Some((line, column))) => format!("{file}:{line}:{column}"),
            (None, None) => file.into(),
        }
    }
}

/// Everything that is wrong with a manifest, as one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestError {
    /// Name of the file, as given.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The faults, sorted by place.
    pub issues: Vec<Located>,
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, l) in self.issues.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}", l.place(&self.file), l.issue.message)?;
            if let Some(h) = &l.issue.help {
                write!(f, " ({h})")?;
            }
        }
        Ok(())
    }
}
impl std::error::Error for ManifestError {}

/// A manifest's text and values, before plugins check it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file's name.
    pub file: String,
    /// Its text.
    pub text: String,
    /// Its values, with `--set` applied.
    pub value: toml::Table,
    /// The path of each `--set`, and its argument as written.
    overrides: Vec<(Path, String)>,
    /// Of values that were made of others, such as the conditions of `[[factor]]` tables, the path of those.
    pub(super) origins: Vec<(Path, Path)>,
}

impl Source {
    /// Parses a manifest and applies `key=value` settings in order.
    ///
    /// # Errors
    /// If the text is not TOML, with the place of the error, or a setting is not of the form `dotted.key=value` or
    /// cannot be applied.
    pub fn parse(file: &str, text: &str, settings: &[String]) -> Result<Self, Box<ManifestError>> {
        let syntax = |message: String, span: Option<Range<usize>>| {
            Box::new(ManifestError {
                file: file.into(),
                text: text.into(),
                issues: vec![Located {
                    issue: Issue { path: Path::default(), message, help: None },
                    line_column: span.as_ref().map(|s| line_column(text, s.start)),
                    span,
                    set: None,
                }],
            })
        };
        let value: toml::Table = toml::from_str(text).map_err(|e| {
            let written = e.span().and_then(|span| text.get(span)).filter(|written| beyond(written));
            syntax(written.map_or_else(|| e.message().to_string(), too_large), e.span())
        })?;
        let mut source = Self { file: file.into(), text: text.into(), value, overrides: vec![], origins: vec![] };
        for s in settings {
            source.set(s).map_err(|message| {
                let path = Path::default().below(s.split('=').next().unwrap_or(s));
                let issue = Issue { path, message, help: None };
                let located = Located { issue, span: None, set: Some(s.clone()), line_column: None };
                Box::new(ManifestError { file: file.into(), text: text.into(), issues: vec![located] })
            })?;
        }
        Ok(source)
    }

    /// As [`Self::parse`], of a file's bytes.
    ///
    /// # Errors
    /// As [`Self::parse`], and if the bytes are not UTF-8, with the place of the first that is not.
    pub fn read(file: &str, bytes: Vec<u8>, settings: &[String]) -> Result<Self, Box<ManifestError>> {
        let wrong = match String::from_utf8(bytes) {
            Ok(text) => return Self::parse(file, &text, settings),
            Err(wrong) => wrong,
        };
        let at = wrong.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(wrong.as_bytes()).into_owned();
        let issue = Issue {
            path: Path::default(),
            message: format!("the text is not UTF-8: the byte 0x{:02x} is no character here", wrong.as_bytes()[at]),
            help: Some("save the file with the encoding UTF-8".into()),
        };
        let span = at..at + char::REPLACEMENT_CHARACTER.len_utf8();
        let located = Located { line_column: Some(line_column(&text, at)), span: Some(span), set: None, issue };
        Err(Box::new(ManifestError { file: file.into(), text, issues: vec![located] }))
    }

    fn set(&mut self, setting: &str) -> Result<(), String> {
        let (key, raw) = setting
            .split_once('=')
            .ok_or_else(|| format!("`{setting}` is not `key=value`, as in `--set study.groups=4`"))?;
        if key.split('.').any(|step| step.trim().is_empty()) {
            let what = if key.trim().is_empty() { "names no key" } else { "has an empty step in its key" };
            return Err(format!("`{setting}` {what}: a key is a path, as in `--set study.groups=4`"));
        }
        // A bare word is a string: `--set backend.kind=cpu`.
        let parsed = match toml::from_str::<toml::Table>(&format!("v = {raw}")).ok().and_then(|mut t| t.remove("v")) {
            Some(value) => value,
            None if beyond(raw) => return Err(too_large(raw)),
            None => toml::Value::String(raw.to_string()),
        };
        let mut at = toml::Value::Table(std::mem::take(&mut self.value));
        let path = keyed(&at, Path::default().below(key.trim()));
        let done = insert(&mut at, &path.0, parsed);
        if let toml::Value::Table(t) = at {
            self.value = t;
        }
        done?;
        self.overrides.push((path, setting.to_string()));
        Ok(())
    }

    /// Finds the place of each issue and returns them as an error, sorted by place.
    pub fn locate(&self, issues: Issues) -> Box<ManifestError> {
        let tree = DeTable::parse(&self.text).ok();
        let mut told: Vec<Issue> = vec![];
        for mut issue in issues.0 {
            let made = origin(&issue.path, &self.origins);
            let of_level = made.is_some();
            issue.path = made.unwrap_or(issue.path);
            // A fault of a factor's level is the same in every condition that has it.
            if !(of_level && told.contains(&issue)) {
                told.push(issue);
            }
        }
        let mut located: Vec<Located> = told
            .into_iter()
            .map(|issue| {
                // If a key was set more than once, the last setting counts.
                let set =
                    self.overrides.iter().rfind(|(at, _)| issue.path.0.starts_with(&at.0)).map(|(_, s)| s.clone());
                let span = set.is_none().then(|| tree.as_ref().map_or(0..0, |t| find(t, &issue.path.0)));
                Located { line_column: span.as_ref().map(|s| line_column(&self.text, s.start)), span, set, issue }
            })
            .collect();
        located.sort_by_key(|l| l.span.as_ref().map_or(usize::MAX, |s| s.start));
        Box::new(ManifestError { file: self.file.clone(), text: self.text.clone(), issues: located })
    }
}

/// A path in which a number that stands for a key of a table is one: a factor's levels may be called `1` and `2`.
fn keyed(root: &toml::Value, path: Path) -> Path {
    let mut at = Some(root);
    let step = |step: Step| {
        let step = match (step, at) {
            (Step::Index(i), Some(toml::Value::Table(_))) => Step::Key(i.to_string()),
            (step, _) => step,
        };
        at = match &step {
            Step::Key(k) => at.and_then(|v| v.get(k.as_str())),
            Step::Index(i) => at.and_then(|v| v.get(*i)),
        };
        step
    };
    Path(path.0.into_iter().map(step).collect())
}

/// Whether a text is a whole number that TOML's cannot hold. Digits behind a 0 are a name, such as a date.
fn beyond(raw: &str) -> bool {
    let digits = raw.trim().trim_start_matches(['+', '-']);
    let number = !digits.starts_with('0') && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    number && raw.trim().parse::<i64>().is_err()
}

fn too_large(raw: &str) -> String {
    format!("{} is no whole number of a manifest: they are from {} to {}", raw.trim(), i64::MIN, i64::MAX)
}

fn insert(at: &mut toml::Value, steps: &[Step], value: toml::Value) -> Result<(), String> {
    match (steps, at) {
        ([], at) => {
            *at = value;
            Ok(())
        }
        ([Step::Key(k), rest @ ..], toml::Value::Table(t)) => {
            insert(t.entry(k.clone()).or_insert_with(|| toml::Value::Table(toml::Table::new())), rest, value)
        }
        ([Step::Index(i), rest @ ..], toml::Value::Array(a)) => {
            let n = a.len();
            let at = a.get_mut(*i).ok_or_else(|| format!("there is no entry {i}: the list has {n}, counted from 0"))?;
            insert(at, rest, value)
        }
        ([Step::Key(k), ..], toml::Value::Array(_)) => Err(format!(
            "`{k}` is in the place of a number: entries of a list are counted from 0, as in `hook.0.sites`"
        )),
        ([step, ..], other) => Err(format!(
            "there is no `{}` to set: what stands before it is a {}",
            Path(vec![step.clone()]),
            other.type_str()
        )),
    }
}

/// The span of a path's key, or of the nearest ancestor that the text has.
fn find(tree: &toml::Spanned<DeTable<'_>>, steps: &[Step]) -> Range<usize> {
    let mut span = 0..0;
    let mut table = Some(tree.get_ref());
    let mut array: Option<&toml::de::DeArray<'_>> = None;
    for step in steps {
        let next: Option<&toml::Spanned<DeValue<'_>>> = match step {
            Step::Key(k) => table.and_then(|t| {
                t.iter().find(|(key, _)| key.get_ref() == k.as_str()).map(|(key, v)| {
                    span = key.span();
                    v
                })
            }),
            Step::Index(i) => array.and_then(|a| a.get(*i)).inspect(|v| span = v.span()),
        };
        (table, array) = match next.map(|v| v.get_ref()) {
            Some(DeValue::Table(t)) => (Some(t), None),
            Some(DeValue::Array(a)) => (None, Some(a)),
            _ => (None, None),
        };
        if next.is_none() {
            break;
        }
    }
    span
}

fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    (line, before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1)
}
