//! The one place that the program prints from. Printing never ends the work: a pipe that is closed
//! (`friction run M | head -1`) takes no more text and is no error; any other failed write (a full disk behind
//! standard output) makes the command fail once its work is done.
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// How a stream has fared in this command.
#[derive(Debug, PartialEq, Eq)]
enum Stream {
    /// It takes text.
    Open,
    /// Nobody reads it any more.
    Closed,
    /// It could not be written, in the system's words.
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

/// Writes to a stream while it is open, and remembers how that went.
fn write(stream: &Mutex<Stream>, with: impl FnOnce() -> io::Result<()>) {
    let mut state = stream.lock().unwrap_or_else(PoisonError::into_inner);
    if *state != Stream::Open {
        return;
    }
    if let Err(e) = with() {
        *state = if e.kind() == ErrorKind::BrokenPipe { Stream::Closed } else { Stream::Failed(e.to_string()) };
    }
}

/// Text on standard output.
pub(crate) fn out(text: Arguments<'_>) {
    write(&OUT, || io::stdout().lock().write_fmt(text));
}

/// Text on standard error.
pub(crate) fn err(text: Arguments<'_>) {
    write(&ERR, || io::stderr().lock().write_fmt(text));
}

/// Clap's help, version or usage, on the stream that clap names for it.
pub(crate) fn usage(e: &clap::Error) {
    write(if e.use_stderr() { &ERR } else { &OUT }, || e.print());
}

/// A command begins: how streams fared in the one before is forgotten.
pub(crate) fn begin() {
    for stream in [&OUT, &ERR] {
        *stream.lock().unwrap_or_else(PoisonError::into_inner) = Stream::Open;
    }
}

/// A command ends: everything is written out. Whether all of it arrived that somebody reads; what did not is told
/// on standard error.
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

/// A path as JSON text; bytes that are no UTF-8 are shown as U+FFFD.
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
