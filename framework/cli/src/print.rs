//! All printing of the program goes through this module. Failed printing never stops the work. After a pipe is closed
//! (`friction run M | head -1`) nothing more is printed, and that is no error. Any other failed write (a full disk
//! behind standard output) makes the command fail after its work is done.
use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

/// The state of an output stream in this command.
#[derive(Debug, PartialEq, Eq)]
enum Stream {
    /// The stream still takes what is printed.
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
            "error: standard output cannot be written: {why}; the printed text is incomplete, but the work was done"
        );
    }
    failed.is_none() && !matches!(&*ERR.lock().unwrap_or_else(PoisonError::into_inner), Stream::Failed(_))
}

/// A path as a JSON string; bytes that are not UTF-8 become U+FFFD.
pub(crate) fn path(p: &std::path::Path) -> serde_json::Value {
    serde_json::Value::String(p.to_string_lossy().into_owned())
}

/// Untrusted text (from manifests, plugins, models) made safe for a terminal. Characters that move the cursor, change
/// colours, change the direction of writing or are invisible are escaped, as in `\u{1b}`.
pub(crate) fn plain(text: &str) -> String {
    let unseen = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if unseen(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// A path as it can be typed in a shell, quoted if necessary.
pub(crate) fn typed(path: &std::path::Path) -> String {
    let text = plain(&path.to_string_lossy());
    let bare = |c: char| c.is_alphanumeric() || "_./~+-@:%,".contains(c);
    if !text.is_empty() && text.chars().all(bare) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// How this program was called, as typed in a shell: `target/release/friction`, or `friction` where it is on the path.
pub(crate) fn program() -> String {
    match std::env::args_os().next() {
        Some(called) if !called.is_empty() => typed(std::path::Path::new(&called)),
        _ => "friction".into(),
    }
}

/// Width for printed text in columns: that of the terminal on standard output, from 40 to 100; 80 without a terminal.
pub(crate) fn columns() -> usize {
    let wide = console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns));
    wide.clamp(40, 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_cannot_drive_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\r\nc"), "a\\u{1b}[31mb\\u{d}\\u{a}c");
        assert_eq!(plain("\u{202e}evil\u{200b}\u{9b}"), "\\u{202e}evil\\u{200b}\\u{9b}");
        assert_eq!(plain("R², größer → 漢字"), "R², größer → 漢字");
    }

    #[test]
    fn paths_are_quoted_where_a_shell_needs_it() {
        let typed = |p: &str| super::typed(std::path::Path::new(p));
        assert_eq!(typed("runs/quick-start_1"), "runs/quick-start_1");
        assert_eq!(typed("my runs/it's"), "'my runs/it'\\''s'");
        assert_eq!(typed("a;rm"), "'a;rm'");
    }

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
