//! All printing of the program goes through this module. Failed printing never stops the work. After a pipe is closed
//! (`friction run M | head -1`) nothing more is printed, and that is no error. Any other failed write (a full disk
//! behind standard output) makes the command fail after its work is done.
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// The state of an output stream in this command.
#[derive(Debug, PartialEq, Eq)]
enum Stream {
    /// Writable.
    Open,
    /// The reader closed the pipe.
    Closed,
    /// A write failed, with the system's message.
    Failed(String),
}

static OUT: Mutex<Stream> = Mutex::new(Stream::Open);
static ERR: Mutex<Stream> = Mutex::new(Stream::Open);

/// Prints a line on standard output.
macro_rules! outln {
    () => { $crate::print::out(format_args!("\n")) };
    ($($t:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($t)*))) };
}
/// Prints text on standard output.
macro_rules! out {
    ($($t:tt)*) => { $crate::print::out(format_args!($($t)*)) };
}
/// Prints a line on standard error.
macro_rules! errln {
    ($($t:tt)*) => { $crate::print::err(format_args!("{}\n", format_args!($($t)*))) };
}

/// Writes to a stream while it is open, and records a failure.
fn write(stream: &Mutex<Stream>, with: impl FnOnce() -> io::Result<()>) {
    let mut state = stream.lock().unwrap_or_else(PoisonError::into_inner);
    if *state != Stream::Open {
        return;
    }
    if let Err(e) = with() {
        *state = if e.kind() == ErrorKind::BrokenPipe { Stream::Closed } else { Stream::Failed(e.to_string()) };
    }
}

/// Writes text to standard output.
pub(crate) fn out(text: Arguments<'_>) {
    write(&OUT, || io::stdout().lock().write_fmt(text));
}

/// Writes text to standard error.
pub(crate) fn err(text: Arguments<'_>) {
    write(&ERR, || io::stderr().lock().write_fmt(text));
}

/// Prints clap's help, version or usage message, on the stream that clap chooses.
pub(crate) fn usage(e: &clap::Error) {
    write(if e.use_stderr() { &ERR } else { &OUT }, || e.print());
}

/// Begins a command: resets the state of both streams.
pub(crate) fn begin() {
    for stream in [&OUT, &ERR] {
        *stream.lock().unwrap_or_else(PoisonError::into_inner) = Stream::Open;
    }
}

/// Ends a command: flushes both streams, reports a failed write on standard error, and returns false if text was lost
/// that somebody still read.
pub(crate) fn end() -> bool {
    write(&OUT, || io::stdout().lock().flush());
    let failed = match &*OUT.lock().unwrap_or_else(PoisonError::into_inner) {
        Stream::Failed(why) => Some(why.clone()),
        Stream::Open | Stream::Closed => None,
    };
    if let Some(why) = &failed {
        errln!(
            "error: standard output cannot be written: {why}; what was printed is not whole, the work itself went on"
        );
    }
    failed.is_none() && !matches!(&*ERR.lock().unwrap_or_else(PoisonError::into_inner), Stream::Failed(_))
}

/// A path as a JSON string; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn path(p: &std::path::Path) -> serde_json::Value {
    serde_json::Value::String(p.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_takes_nothing_more_once_it_is_closed_or_has_failed() {
        for (kind, want) in [
            (ErrorKind::BrokenPipe, Stream::Closed),
            (ErrorKind::StorageFull, Stream::Failed(io::Error::from(ErrorKind::StorageFull).to_string())),
        ] {
            let stream = Mutex::new(Stream::Open);
            let mut tried = 0;
            for _ in 0..3 {
                write(&stream, || {
                    tried += 1;
                    if tried == 2 { Err(kind.into()) } else { Ok(()) }
                });
            }
            assert_eq!(tried, 2, "{kind:?}");
            assert_eq!(stream.into_inner().unwrap_or_else(PoisonError::into_inner), want);
        }
    }
}
