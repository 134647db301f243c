//! What plugins print: a library to standard output, a process to standard error. It is kept for the terminal and for
//! the run's log. It is untrusted text: control characters are escaped.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest number of bytes of one plugin's text that a note on the terminal holds.
const NOTE: usize = 4096;
/// Largest number of bytes of one plugin's text that an entry of the run's log holds.
const ENTRY: usize = 1 << 16;
/// Number of bytes at the end of the text that are kept for errors.
const TAIL: usize = 2048;

/// The first bytes of a text, up to a limit, and the number of all its bytes.
#[derive(Default)]
struct First {
    bytes: Vec<u8>,
    count: usize,
}

impl First {
    fn add(&mut self, bytes: &[u8], most: usize) {
        self.count += bytes.len();
        let room = most.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes the text; `None` if there is none.
    fn take(&mut self) -> Option<String> {
        let Self { bytes, count } = std::mem::take(self);
        (count > 0).then(|| {
            let more = if count > bytes.len() { format!(" … ({count} bytes in all)") } else { String::new() };
            format!("{}{more}", escaped(String::from_utf8_lossy(&bytes).trim_end()))
        })
    }
}

/// The text of one library or process since it was last told.
pub(crate) struct Heard {
    /// Who wrote it, and where: `libmine.so wrote to standard output, which is the host's`.
    who: String,
    texts: Mutex<Texts>,
}

#[derive(Default)]
struct Texts {
    note: First,
    entry: First,
    tail: Vec<u8>,
}

static ALL: Mutex<Vec<Arc<Heard>>> = Mutex::new(vec![]);

fn all() -> MutexGuard<'static, Vec<Arc<Heard>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Heard {
    /// Begins to listen. `who` begins each note.
    pub fn new(who: String) -> Arc<Self> {
        let heard = Arc::new(Self { who, texts: Mutex::default() });
        all().push(heard.clone());
        heard
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds text.
    pub fn add(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut texts = self.texts();
        texts.note.add(bytes, NOTE);
        texts.entry.add(bytes, ENTRY);
        texts.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        let surplus = texts.tail.len().saturating_sub(TAIL);
        texts.tail.drain(..surplus);
    }

    /// The last line that is not empty, of everything that was written; `None` if there is none.
    pub fn last_line(&self) -> Option<String> {
        let texts = self.texts();
        let text = String::from_utf8_lossy(&texts.tail);
        text.lines().map(str::trim).rfind(|l| !l.is_empty()).map(escaped)
    }
}

/// What plugins have printed since the last call of this function, one note for each, for the terminal.
pub fn printed() -> Vec<String> {
    taken(|texts| &mut texts.note)
}

/// What plugins have printed since the last call of this function, one entry for each, for the run's log.
pub fn unlogged() -> Vec<String> {
    taken(|texts| &mut texts.entry)
}

fn taken(which: impl Fn(&mut Texts) -> &mut First) -> Vec<String> {
    let told = |h: &Arc<Heard>| which(&mut h.texts()).take().map(|text| format!("{}: {text}", h.who));
    all().iter().filter_map(told).collect()
}

/// Foreign text for a terminal: control characters other than line breaks are escaped.
pub(crate) fn escaped(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' { c.escape_default().collect() } else { vec![c] };
    text.chars().flat_map(shown).collect()
}

/// The first characters of foreign bytes in quotes, line breaks escaped too.
pub(crate) fn start(bytes: &[u8]) -> String {
    let some = String::from_utf8_lossy(&bytes[..bytes.len().min(240)]).into_owned();
    let text: String = some.chars().take(60).flat_map(char::escape_default).collect();
    format!("\"{text}\"{}", if some.chars().count() > 60 { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_bounded_and_escaped() {
        let heard = Heard::new("lib wrote".into());
        assert_eq!(heard.last_line(), None);
        heard.add(b"one\x1b[31m\n");
        heard.add(&[b'x'; 2 * ENTRY]);
        heard.add(b"\nlast: \x07words\n\n");
        assert_eq!(heard.last_line().as_deref(), Some("last: \\u{7}words"));
        let mine = |all: Vec<String>| all.into_iter().find(|n| n.starts_with("lib wrote: "));
        let note = mine(printed()).expect("a note");
        assert!(note.starts_with("lib wrote: one\\u{1b}[31m\nxxx"), "{note}");
        assert!(note.ends_with("xxx … (131096 bytes in all)") && note.len() < NOTE + 100, "{}", note.len());
        assert!(mine(unlogged()).expect("an entry").len() > ENTRY);
        assert_eq!((mine(printed()), mine(unlogged())), (None, None), "each is told once");
    }
}
