//! Errors of run directories, with messages that say what to do.
use std::io::ErrorKind;
use std::path::PathBuf;

/// An error of a run directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}", told(path, source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path}: {message}", path = path.display())]
    Format {
        /// The file or folder that is wrong.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The directory holds a run whose lock differs.
    #[error("{path} holds a run that differs from this manifest:\n{differences}\nname another directory with --out, or change it back; the run is untouched", path = path.display())]
    Differs {
        /// The run directory.
        path: PathBuf,
        /// One line for each thing that differs, with both values.
        differences: String,
    },
    /// The lock is of an older schema and says less than a resumed run must be compared with.
    #[error("{path} was begun by an older friction: its lock (schema {schema}) does not say all that a resumed run is compared with, so no more groups are added; `friction analyze {path}` reads what it holds, and --out names another directory for a new run", path = path.display())]
    Older {
        /// The run directory.
        path: PathBuf,
        /// Schema of its lock.
        schema: u64,
    },
    /// Its turns are being given new grades, and some groups have them and others not.
    #[error("{path}: new grades were begun and not finished, so some groups hold the new ones and others the old ones ({what}); `friction grade {command}` finishes it", path = path.display())]
    Grading {
        /// The run directory.
        path: PathBuf,
        /// What is being done.
        what: String,
        /// The run and the arguments of the command that finishes it.
        command: String,
    },
    /// Another process writes to it.
    #[error("{path} is being written by another process; wait for it, or name another directory with --out", path = path.display())]
    Busy {
        /// The run directory.
        path: PathBuf,
    },
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn told(path: &std::path::Path, source: &std::io::Error) -> String {
    let path = path.display();
    match source.kind() {
        ErrorKind::StorageFull => format!(
            "the disk is full: {path} could not be written ({source}); free space and run the same command again: finished groups stand"
        ),
        ErrorKind::QuotaExceeded => format!(
            "the disk quota is used up: {path} could not be written ({source}); free space and run the same command again: finished groups stand"
        ),
        ErrorKind::ReadOnlyFilesystem => {
            format!(
                "{path} lies on a file system that is mounted read-only ({source}); name another directory with --out"
            )
        }
        ErrorKind::PermissionDenied => {
            format!("{path}: {source}; change who may read and write it, or name another directory with --out")
        }
        _ => format!("{path}: {source}"),
    }
}

impl Error {
    /// The same error about another path: the final name instead of the temporary one.
    pub(crate) fn at(self, path: impl Into<PathBuf>) -> Self {
        match self {
            Self::Io { source, .. } => Self::Io { path: path.into(), source },
            other => other,
        }
    }
}

/// An I/O error stays one, so that a plugin that reads a run passes on the operating system's reason.
impl From<Error> for friction_core::Error {
    fn from(e: Error) -> Self {
        match e {
            Error::Io { path, source } => Self::Io { path, source },
            other => Self::other(other),
        }
    }
}

pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.into();
    move |source| Error::Io { path, source }
}
pub(crate) fn format(path: impl Into<PathBuf>, message: impl std::fmt::Display) -> Error {
    Error::Format { path: path.into(), message: message.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_reasons_are_told_as_what_they_are() {
        for (kind, words) in [
            (ErrorKind::StorageFull, "the disk is full: groups/0007 could not be written"),
            (ErrorKind::StorageFull, "run the same command again: finished groups stand"),
            (ErrorKind::QuotaExceeded, "the disk quota is used up"),
            (ErrorKind::ReadOnlyFilesystem, "mounted read-only"),
            (ErrorKind::PermissionDenied, "change who may read and write it"),
            (ErrorKind::NotFound, "groups/0007: "),
        ] {
            let e = io("groups/.friction-0007-1.tmp")(kind.into()).at("groups/0007");
            assert!(e.to_string().contains(words), "{e}");
            let Error::Io { source, .. } = &e else { panic!("{e}") };
            assert_eq!(source.kind(), kind);
            // The kind is kept when the error passes through a plugin.
            let friction_core::Error::Io { source, .. } = e.into() else { panic!("{kind}") };
            assert_eq!(source.kind(), kind);
        }
    }
}
