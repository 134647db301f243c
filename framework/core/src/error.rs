//! The error type of plugins and of this crate.
use std::path::PathBuf;

/// An error in a plugin or in this crate. Its message says what is wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A configuration value that cannot be used.
    #[error("{0}")]
    Config(String),
    /// A configuration value that cannot be used, with its key. The manifest's error points at that key.
    #[error("{message}")]
    Key {
        /// The key below the plugin's table, as `--set` writes it: `keep.share`, `sites.1`. Empty for the table itself.
        key: String,
        /// What is wrong with it.
        message: String,
        /// What to do about it; `None` if the message says so already.
        help: Option<String>,
    },
    /// Several errors, in the order found. Each is reported at its own key.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// A data file that is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Data {
        /// The data file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// An operation on a file failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// An error at a place of the study: `turn 3 of group 1, condition `x``.
    #[error("{place}: {source}")]
    Within {
        /// The place.
        place: String,
        /// What failed there.
        #[source]
        source: Box<Error>,
    },
    /// Any other error, as a message.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Makes an [`Error::Config`].
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }
    /// Makes an [`Error::Key`] for a key below the plugin's table, as `--set` writes it: `keep.share`.
    pub fn at(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Key { key: key.into(), message: message.into(), help: None }
    }
    /// Adds what to do about an [`Error::Key`], or about an [`Error::Config`], which becomes one of the whole table. Other
    /// errors are returned unchanged.
    #[must_use]
    pub fn help(self, what: impl Into<String>) -> Self {
        match self {
            Self::Key { key, message, .. } => Self::Key { key, message, help: Some(what.into()) },
            Self::Config(message) => Self::Key { key: String::new(), message, help: Some(what.into()) },
            other => other,
        }
    }
    /// Puts `table` before the key, for errors of a table that is itself an option: `feature` becomes `sae.feature`. An
    /// [`Error::Config`] gets the key `table`.
    #[must_use]
    pub fn under(self, table: &str) -> Self {
        match self {
            Self::Key { key, message, help } if key.is_empty() => Self::Key { key: table.into(), message, help },
            Self::Key { key, message, help } => Self::Key { key: format!("{table}.{key}"), message, help },
            Self::Several(all) => Self::Several(all.into_iter().map(|e| e.under(table)).collect()),
            Self::Config(message) => Self::at(table, message),
            other => other,
        }
    }
    /// Puts a place before the message. Errors that name a key still name it.
    #[must_use]
    pub fn within(self, place: &str) -> Self {
        match self {
            Self::Key { key, message, help } => Self::Key { key, message: format!("{place}: {message}"), help },
            Self::Several(all) => Self::Several(all.into_iter().map(|e| e.within(place)).collect()),
            other => Self::Within { place: place.into(), source: Box::new(other) },
        }
    }
    /// Makes an [`Error::Other`].
    pub fn other(message: impl std::fmt::Display) -> Self {
        Self::Other(message.to_string())
    }
    /// Makes an [`Error::Data`] about a file.
    pub fn data(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Self {
        Self::Data { path: path.into(), message: message.to_string() }
    }
    /// Makes an [`Error::Io`] about a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

/// The result of plugin calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Collects everything that is wrong with a configuration, each fault at its own key, so that all are reported at once.
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
    /// Adds `message` at `key` if `wrong` is true.
    pub fn when(&mut self, wrong: bool, key: &str, message: impl Into<String>) {
        if wrong {
            self.0.push(Error::at(key, message));
        }
    }
    /// Adds an error.
    pub fn add(&mut self, error: Error) {
        self.0.push(error);
    }
    /// Returns the value, or adds the error and returns `None`.
    pub fn take<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|e| self.0.push(e)).ok()
    }
    /// Ends the collection.
    ///
    /// # Errors
    /// If anything was added: that error, or [`Error::Several`].
    pub fn end(mut self) -> Result<()> {
        match self.0.len() {
            0 => Ok(()),
            1 => self.0.pop().map_or(Ok(()), Err),
            _ => Err(Error::Several(self.0)),
        }
    }
}

/// The first value of a list that repeats an earlier one.
pub fn twice<T: PartialEq>(list: &[T]) -> Option<&T> {
    list.iter().enumerate().find(|(i, x)| list[..*i].contains(x)).map(|(_, x)| x)
}
