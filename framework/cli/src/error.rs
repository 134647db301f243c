//! Errors of the command line, and how they are printed.
use crate::print::plain;
use friction_core::manifest::{Located, ManifestError};
use friction_core::plural;
use miette::{Diagnostic, LabeledSpan, MietteHandlerOpts, NamedSource, Report, SourceCode};
use std::fmt;

/// An error that ends a command, with its exit code.
#[derive(Debug)]
pub(crate) enum CliError {
    Manifest(Box<ManifestError>),
    Usage(String),
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

impl CliError {
    pub fn usage(m: impl Into<String>) -> Self {
        Self::Usage(m.into())
    }

    pub fn code(&self) -> u8 {
        match self {
            CliError::Manifest(_) | CliError::Usage(_) => 2,
            CliError::Failed(_) => 1,
        }
    }

    pub fn print(self) {
        match self {
            CliError::Manifest(e) => {
                for l in &e.issues {
                    errln!("{:?}", report(Shown::of(&e, l)));
                }
                errln!("{} in the manifest; nothing was run.", plural(e.issues.len(), "error"));
            }
            CliError::Usage(m) => errln!("error: {}", escaped(&m)),
            CliError::Failed(e) => {
                let mut text = e.to_string();
                let mut source = e.source();
                while let Some(s) = source {
                    if !text.contains(&s.to_string()) {
                        text.push_str(&format!("\n  because: {s}"));
                    }
                    source = s.source();
                }
                errln!("error: {}", escaped(&text));
            }
        }
    }
}

/// A report whose text breaks at spaces only: names and paths stay whole, so that they can be searched and copied.
fn report(shown: Shown) -> Report {
    // Fails only if a hook is already set, and that is this same one.
    let _ = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
    Report::new(shown)
}

/// Text of others with what cannot be seen escaped; its lines stay.
fn escaped(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// A manifest's text with `?` in place of characters that could drive a terminal. It stays as long, so that places in it
/// are the same.
fn shown(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\n' || c == '\t';
    text.chars().map(|c| if harmless(c) { c.to_string() } else { "?".repeat(c.len_utf8()) }).collect()
}

/// Width of a message in characters, without the frame.
const WIDTH: usize = 76;

/// Breaks text at spaces into lines of at most [`WIDTH`] characters. A longer word gets a line of its own.
fn broken(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let mut at = 0;
        for (i, word) in line.split(' ').enumerate() {
            let wide = word.chars().count();
            match at {
                _ if i == 0 => {}
                at if at + 1 + wide <= WIDTH => out.push(' '),
                _ => {
                    out.push('\n');
                    at = 0;
                }
            }
            at += wide + usize::from(at > 0);
            out.push_str(word);
        }
        out.push('\n');
    }
    out.trim_end().into()
}

#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    span: Option<std::ops::Range<usize>>,
    source: NamedSource<String>,
}
impl Shown {
    /// A report that points at the place of an error in the manifest's text, or in a `--set` of the command line.
    fn of(e: &ManifestError, l: &Located) -> Self {
        let (source, span) = match &l.set {
            Some(set) => {
                let text = format!("--set {set}");
                let value = text.find('=').map_or(0, |i| i + 1);
                let span = value..text.len();
                (NamedSource::new("command line", shown(&text)), Some(span))
            }
            None => (NamedSource::new(plain(&e.file), shown(&e.text)), l.span.clone()),
        };
        Self {
            message: broken(&escaped(&format!("{}: {}", l.place(&e.file), l.issue.message))),
            help: l.issue.help.as_deref().map(|h| broken(&escaped(h))),
            span: span.filter(|s| !s.is_empty()),
            source,
        }
    }
}
impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
impl std::error::Error for Shown {}
impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|h| Box::new(h) as Box<dyn fmt::Display>)
    }
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }
    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.span.clone().map(|s| Box::new(std::iter::once(LabeledSpan::at(s, "here"))) as Box<dyn Iterator<Item = _>>)
    }
}

impl From<Box<ManifestError>> for CliError {
    fn from(e: Box<ManifestError>) -> Self {
        Self::Manifest(e)
    }
}
impl From<friction_study::Error> for CliError {
    fn from(e: friction_study::Error) -> Self {
        match e {
            friction_study::Error::Manifest(m) => Self::Manifest(m),
            friction_study::Error::Usage(m) => Self::Usage(m),
            friction_study::Error::Model(e) => e.into(),
            other => Self::Failed(Box::new(other)),
        }
    }
}
impl From<friction_model::Error> for CliError {
    fn from(e: friction_model::Error) -> Self {
        match e {
            // Nothing but another build or another manifest helps.
            friction_model::Error::Backend(m) => Self::Usage(m),
            other => Self::Failed(Box::new(other)),
        }
    }
}
macro_rules! failed {
    ($($t:ty),*) => {$(impl From<$t> for CliError { fn from(e: $t) -> Self { Self::Failed(Box::new(e)) } })*};
}
failed!(
    friction_checkpoint::Error,
    friction_engine::Error,
    friction_store::Error,
    friction_core::Error,
    std::io::Error
);

pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn lines_break_at_spaces_alone() {
        let path = "a-very-long-folder/".repeat(6) + "gemma-3-270m-it-q4_k_m.gguf";
        let text = format!("the file {path} is not there, although `two  spaces` stay; {}", "word ".repeat(30));
        let lines = broken(&text);
        assert!(lines.lines().any(|l| l == path), "{lines}");
        assert!(lines.contains("`two  spaces`"), "{lines}");
        assert!(lines.lines().all(|l| l == path || l.chars().count() <= WIDTH), "{lines}");
        assert_eq!(lines.replace('\n', " "), text.trim_end());
        assert_eq!(broken("one\n\ntwo"), "one\n\ntwo");
    }
}
