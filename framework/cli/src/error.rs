//! Errors as people see them.
use friction_core::manifest::ManifestError;
use miette::{Diagnostic, LabeledSpan, NamedSource, Report, SourceCode};
use std::fmt;

/// Anything that ends a command.
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
                let n = e.issues.len();
                for l in &e.issues {
                    let place = l.line_column.map_or_else(
                        || format!("--set {}", l.issue.path),
                        |(line, col)| format!("{}:{line}:{col}", e.file),
                    );
                    let shown = Shown {
                        message: format!("{place}: {}", l.issue.message),
                        help: l.issue.help.clone(),
                        span: l.span.clone().filter(|s| !s.is_empty()),
                        source: NamedSource::new(&e.file, e.text.clone()),
                    };
                    eprintln!("{:?}", Report::new(shown));
                }
                eprintln!("{n} {} in the manifest; nothing was run.", if n == 1 { "error" } else { "errors" });
            }
            CliError::Usage(m) => eprintln!("error: {m}"),
            CliError::Failed(e) => {
                let mut text = e.to_string();
                let mut source = e.source();
                while let Some(s) = source {
                    if !text.contains(&s.to_string()) {
                        text.push_str(&format!("\n  because: {s}"));
                    }
                    source = s.source();
                }
                eprintln!("error: {text}");
            }
        }
    }
}

#[derive(Debug)]
struct Shown {
    message: String,
    help: Option<String>,
    span: Option<std::ops::Range<usize>>,
    source: NamedSource<String>,
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
            other => Self::Failed(Box::new(other)),
        }
    }
}
macro_rules! failed {
    ($($t:ty),*) => {$(impl From<$t> for CliError { fn from(e: $t) -> Self { Self::Failed(Box::new(e)) } })*};
}
failed!(friction_model::Error, friction_engine::Error, friction_store::Error, friction_core::Error, std::io::Error);

pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;
