//! The one error type of plugins and of the core.
use std::path::PathBuf;

/// What went wrong in a plugin or in the core; each message says what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// The same, with the key that it is about: a manifest's error points at it.
    #[error("{message}")]
    Key {
        /// The key below the plugin's table, as `--set` writes it: `keep.share`, `sites.1`.
        key: String,
        /// What is wrong with it.
        message: String,
        /// What to do; nothing where the message says it.
        help: Option<String>,
    },
    /// Several errors, in the order found: each is told at its own place.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// A data file that is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// An operation on a file failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// A configuration error in words.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
    /// A configuration error at a key below the plugin's table, as `--set` writes it: `keep.share`.
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Key { key: key.into(), message: message.into(), help: None }
    }
    /// Says what to do about an error at a key; other errors stay as they are.
    #[must_use]
    pub fn help(self, what: impl Into<String>) -> Self {
        match self {
            Self::Key { key, message, .. } => Self::Key { key, message, help: Some(what.into()) },
            other => other,
        }
    }
    /// The same error of a table that is itself an option: `sae` before its key.
    #[must_use]
    pub fn under(self, table: &str) -> Self {
        match self {
            Self::Key { key, message, help } => Self::Key { key: format!("{table}.{key}"), message, help },
            Self::Several(all) => Self::Several(all.into_iter().map(|e| e.under(table)).collect()),
            Self::Config(message) => Self::at(table, message),
            other => other,
        }
    }
    /// An error in words.
    pub fn other(message: impl std::fmt::Display) -> Self {
        Self::Other(message.to_string())
    }
    /// A data error about a file.
    pub fn data(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Self::Data { path: path.into(), message: message.to_string() }
    }
    /// An input or output error about a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// The result of plugin calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is wrong with a configuration, gathered: each thing at its own key, all of them told at once.
///
/// ```
/// # use friction_core::error::Faults;
/// # let (level, sites) = (2.0, Vec::<u8>::new());
/// let mut faults = Faults::default();
/// faults.when(!(0.5..1.0).contains(&level), "level", "`level` must be from 0.5 to below 1");
/// faults.when(sites.is_empty(), "sites", "`sites` must name at least one site");
/// assert_eq!(faults.end().unwrap_err().to_string(), "`level` must be from 0.5 to below 1; `sites` must name at least one site");
/// ```
#[derive(Debug, Default)]
pub struct Faults(Vec<Error>);

impl Faults {
    /// Notes `message` at `key` where something is wrong.
    pub fn when(&mut self, wrong: bool, key: &str, message: impl Into<String>) {
        if wrong {
            self.0.push(Error::at(key, message));
        }
    }
    /// Notes an error.
    pub fn add(&mut self, error: Error) {
        self.0.push(error);
    }
    /// The value, or a note of why there is none.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|e| self.0.push(e)).ok()
    }
    /// Ends the gathering.
    ///
    /// # Errors
    /// With everything that was noted.
    pub fn end(mut self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            1 => self.0.pop().map_or(Ok(()), Err),
            _ => Err(Error::Several(self.0)),
        }
    }
}

/// The first value of a list that stands in it twice.
pub fn twice<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(i, x)| list[..*i].contains(x)).map(|(_, x)| x)
}
