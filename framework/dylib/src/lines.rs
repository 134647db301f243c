//! A child process that is spoken to in lines. Nothing here waits without a limit: threads of their own write to the
//! child and read from it, so that a child that reads nothing, or writes without end, cannot hold the host.
use crate::heard::{Heard, start};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest line that a child may write, in bytes.
pub(crate) const LONGEST: usize = 1 << 28;
/// How long a child may take to end after its input is closed, before it is killed.
const GRACE: Duration = Duration::from_millis(500);
/// How long the rest of a dead child's standard error is waited for.
const REST: Duration = Duration::from_millis(500);

/// Numbers of the children that were not ended yet.
static ALIVE: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn alive() -> MutexGuard<'static, BTreeSet<u32>> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kills every process that holds plugins, for a host that is about to exit without dropping them.
pub fn kill() {
    alive().iter().for_each(|id| kill_group(*id));
}

/// Kills a child and what it started, as far as that stayed in its group.
fn kill_group(id: u32) {
    #[cfg(unix)]
    if let Ok(id) = i32::try_from(id) {
        use nix::sys::signal::{Signal, killpg};
        // It fails if nothing is left of the group.
        let _ = killpg(nix::unistd::Pid::from_raw(id), Signal::SIGKILL);
    }
}

/// What a child wrote, or why there is nothing to read.
enum Said {
    Line(Vec<u8>),
    /// The output ended in the middle of this line.
    Half(Vec<u8>),
    /// This line is longer than [`LONGEST`].
    Long(Vec<u8>),
    /// The output ended.
    End,
    Failed(std::io::Error),
}

/// A child process. Dropping it ends the child.
pub(crate) struct Lines {
    child: Child,
    /// To the thread that writes; `None` once the child's input is closed.
    input: Option<Sender<Vec<u8>>>,
    output: Receiver<Said>,
    /// Disconnected when the child's standard error has ended.
    errors: Receiver<()>,
    heard: Arc<Heard>,
    /// Set once the child was ended.
    ended: bool,
}

impl Lines {
    /// Starts a child. Its standard error goes to `heard`.
    pub fn start(mut command: Command, heard: Arc<Heard>) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: Ctrl-C in the terminal stops the host in its own time, and what the child starts is ended
        // with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        alive().insert(child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (to_write, written) = channel();
        let (reading, output) = sync_channel(1);
        let (open, errors) = channel();
        let lines = Self { child, input: Some(to_write), output, errors, heard: heard.clone(), ended: false };
        if let (Some(stdin), Some(stdout), Some(stderr)) = pipes {
            thread("in", move || write(stdin, &written))?;
            thread("out", move || read(stdout, &reading))?;
            thread("err", move || listen(stderr, &heard, &open))?;
        }
        Ok(lines)
    }

    /// Sends a line, given with its end. A child that reads no more is noticed when its answer is read.
    pub fn send(&self, line: String) {
        if let Some(input) = &self.input {
            let _ = input.send(line.into_bytes());
        }
    }

    /// The next line, without its end. The time that it is waited for is taken from `left`.
    ///
    /// # Errors
    /// Why there is none. The child is then ended.
    pub fn next(&mut self, left: &mut Duration, limit: Duration) -> Result<Vec<u8>, String> {
        let began = Instant::now();
        let said = self.output.recv_timeout(*left);
        *left = left.saturating_sub(began.elapsed());
        let why = match said {
            Ok(Said::Line(line)) => return Ok(line),
            Ok(Said::Half(line)) => format!("its output ended in the middle of a line: {}", start(&line)),
            Ok(Said::Long(line)) => format!("wrote a line of more than {LONGEST} bytes: {}", start(&line)),
            Ok(Said::Failed(e)) => format!("its output cannot be read: {e}"),
            Ok(Said::End) | Err(RecvTimeoutError::Disconnected) => {
                let why = match self.exited(GRACE) {
                    Some(status) => format!("its process has ended ({})", told(status)),
                    None => "closed its standard output".into(),
                };
                return Err(self.end(&why));
            }
            Err(RecvTimeoutError::Timeout) => {
                format!("gave no whole line within {} s; `timeout_s` sets another limit", limit.as_secs())
            }
        };
        Err(self.end(&why))
    }

    /// Ends the child because of `why`. Returns that, with the last line that the child wrote to its standard error.
    pub fn end(&mut self, why: &str) -> String {
        self.close(Duration::ZERO);
        match self.heard.last_line() {
            Some(line) => format!("{why}; the last line of its standard error is: {line}"),
            None => why.into(),
        }
    }

    /// The child's status if it exits within `most`.
    fn exited(&mut self, most: Duration) -> Option<ExitStatus> {
        let began = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if began.elapsed() < most => std::thread::sleep(Duration::from_millis(1)),
                _ => return None,
            }
        }
    }

    /// Closes the child's input, lets it end for `grace`, and ends it and what it started.
    fn close(&mut self, grace: Duration) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.input = None;
        let gone = self.exited(grace).is_some();
        // Also if the child itself is gone: its group stays while anything that it started lives. If nothing does, the
        // system does not give its number away before it has used all others.
        kill_group(self.child.id());
        if !gone {
            let _ = self.child.kill();
            let _ = self.exited(GRACE);
        }
        alive().remove(&self.child.id());
        // Disconnected at the end of the text; a process that escaped the group may hold it open.
        let _ = self.errors.recv_timeout(REST);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.close(GRACE);
    }
}

/// An exit status for people, such as `exit status 1` or `signal 9`.
fn told(status: ExitStatus) -> String {
    status.to_string().replace("exit status: ", "exit status ").replace("signal: ", "signal ")
}

fn thread(name: &str, f: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("plugin-{name}")).spawn(f).map(drop)
}

fn write(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    for line in lines {
        if stdin.write_all(&line).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read(stdout: ChildStdout, to: &SyncSender<Said>) {
    let mut from = BufReader::with_capacity(1 << 16, stdout);
    loop {
        let mut line = vec![];
        let said = match from.by_ref().take(LONGEST as u64 + 1).read_until(b'\n', &mut line) {
            Err(e) => Said::Failed(e),
            Ok(0) => Said::End,
            Ok(_) if line.ends_with(b"\n") => {
                line.pop();
                Said::Line(line)
            }
            Ok(n) if n > LONGEST => Said::Long(line),
            Ok(_) => Said::Half(line),
        };
        let more = matches!(said, Said::Line(_));
        if to.send(said).is_err() || !more {
            return;
        }
    }
}

/// Hears a child's standard error until it ends; `_open` is dropped then.
fn listen(mut stderr: ChildStderr, heard: &Heard, _open: &Sender<()>) {
    let mut some = [0; 4096];
    while let Ok(n) = stderr.read(&mut some) {
        if n == 0 {
            return;
        }
        heard.add(&some[..n]);
    }
}
