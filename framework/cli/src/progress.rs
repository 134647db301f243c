//! Progress on standard error: a bar on a terminal, a line now and then elsewhere. Ctrl-C stops the run after the
//! current step.
use friction_engine::{Flow, Progress};
use friction_study::RunOptions;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The flag of the command that stops in its own time; `None` while there is none.
static STOP: Mutex<Option<Arc<AtomicBool>>> = Mutex::new(None);

fn stop() -> MutexGuard<'static, Option<Arc<AtomicBool>>> {
    STOP.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles Ctrl-C for the whole program. It ends the program and the processes of its plugins, unless a command has a
/// [`stop_flag`] that is not set yet.
pub(crate) fn handle_interrupts() {
    // Fails only if a handler is already set; Ctrl-C then ends this process alone.
    let _ = ctrlc::set_handler(|| {
        let first = stop().as_ref().is_some_and(|flag| !flag.swap(true, Ordering::SeqCst));
        if !first {
            friction_dylib::kill();
            std::process::exit(130);
        }
    });
}

/// A flag that the first Ctrl-C sets. The second Ctrl-C ends the process at once.
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    *stop() = Some(flag.clone());
    flag
}

pub(crate) fn bar(total: u64, template: &str) -> ProgressBar {
    // indicatif hides the bar where standard error is not a terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    style(&bar, template);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

fn style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// What a run is doing.
#[derive(Debug, Clone)]
struct State {
    /// The stage, such as `hashing weights`.
    stage: String,
    /// Progress within the stage as text; empty if the stage has no count.
    words: String,
    /// The amount that is done, out of `total`; `total` is 0 if the stage has no count.
    done: u64,
    total: u64,
    /// When the stage began.
    began: Instant,
}

impl State {
    fn of(stage: &str) -> Self {
        Self { stage: stage.into(), words: String::new(), done: 0, total: 0, began: Instant::now() }
    }

    /// How many tenths of the stage are done, 0 to 10.
    fn tenths(&self) -> u64 {
        self.done.saturating_mul(10).checked_div(self.total).unwrap_or(0)
    }

    /// Seconds until the stage ends, estimated from its rate so far; `None` if they cannot be estimated.
    fn left(&self) -> Option<f64> {
        let spent = self.began.elapsed().as_secs_f64();
        (self.done > 0 && self.done < self.total && spent > 1.0)
            .then(|| spent * (self.total.saturating_sub(self.done)) as f64 / self.done as f64)
    }

    fn line(&self) -> String {
        let mut out = self.stage.clone();
        if let Some(percent) = self.done.saturating_mul(100).checked_div(self.total) {
            out.push_str(&format!(", {percent} %"));
        }
        if !self.words.is_empty() {
            out.push_str(&format!(", {}", self.words));
        }
        if let Some(left) = self.left() {
            out.push_str(&about(left));
        }
        out
    }
}

fn about(left: f64) -> String {
    let left = if left < 60.0 { format!("{:.0} s", left.max(1.0)) } else { span(left) };
    format!(", about {left} left")
}

/// A duration as short text: `8 s`, `1 min 40 s`, `12 min`, `2 h 5 min`.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 599.5 => {
            let seconds = s.round() as u64;
            format!("{} min {} s", seconds / 60, seconds % 60)
        }
        s if s < 3570.0 => format!("{:.0} min", s / 60.0),
        s => {
            let minutes = (s / 60.0).round() as u64;
            format!("{} h {} min", minutes / 60, minutes % 60)
        }
    }
}

/// When lines are due: the first after two seconds, then with each tenth or new stage, at most one in two seconds,
/// and after a silence of half a minute (five minutes, once the run has lasted ten).
#[derive(Debug, Default)]
struct Pace {
    last: Option<Duration>,
    seen: (String, u64),
}

impl Pace {
    fn due(&mut self, at: Duration, state: &State) -> bool {
        const LEAST: Duration = Duration::from_secs(2);
        let silence = Duration::from_secs(if at < Duration::from_secs(600) { 30 } else { 300 });
        let now = (state.stage.clone(), state.tenths());
        let due = match self.last {
            None => at >= LEAST,
            Some(last) => at - last >= silence || at - last >= LEAST && now != self.seen,
        };
        if due {
            (self.last, self.seen) = (Some(at), now);
        }
        due
    }
}

/// Prints lines instead of a bar. A separate thread prints them, because some stages report nothing until they end.
struct Lines {
    state: Arc<Mutex<State>>,
    /// Dropping it ends the thread.
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    fn new(stage: &str) -> Self {
        let state = Arc::new(Mutex::new(State::of(stage)));
        let (alive, dead) = channel::<()>();
        let seen = state.clone();
        let began = Instant::now();
        let thread = std::thread::spawn(move || {
            let mut pace = Pace::default();
            while dead.recv_timeout(Duration::from_millis(250)) == Err(RecvTimeoutError::Timeout) {
                let state = locked(&seen).clone();
                if pace.due(began.elapsed(), &state) {
                    errln!("progress: {}", state.line());
                }
            }
        });
        Self { state, alive: Some(alive), thread: Some(thread) }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(thread) = self.thread.take() {
            // An error here means that the thread panicked, and a panic has already printed its message.
            let _ = thread.join();
        }
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Shown {
    Bar(ProgressBar),
    Lines(Lines),
}

/// The progress of a run, from its plan to its analyses.
pub(crate) struct RunProgress {
    shown: Shown,
    /// The stage that the bar is in.
    stage: String,
    /// Turns of a group, groups of this call.
    turns: u64,
    groups: usize,
    stop: Option<Arc<AtomicBool>>,
    /// Why the run's primary contrast is amended, if it is.
    pub amend: Option<String>,
}

const SPINNER: &str = "{spinner} {wide_msg}";
const BAR: &str = "{bar:24} {wide_msg}";

impl RunProgress {
    /// Starts with a first stage; on a terminal it is shown at once.
    pub fn new(stage: &str) -> Self {
        let spinner = bar(0, SPINNER);
        let shown = if spinner.is_hidden() {
            spinner.finish_and_clear();
            Shown::Lines(Lines::new(stage))
        } else {
            spinner.set_message(stage.to_string());
            spinner.tick();
            Shown::Bar(spinner)
        };
        Self { shown, stage: stage.into(), turns: 0, groups: 0, stop: None, amend: None }
    }

    /// Call when the study is planned; `turns_of_group` counts the turns of all conversations of a group. From now on
    /// Ctrl-C stops the run after a step.
    pub fn planned(&mut self, turns_of_group: u64) {
        self.turns = turns_of_group;
        self.stop = Some(stop_flag());
    }

    /// Call when all conversations are stored. From now on Ctrl-C ends the process, and nothing is lost.
    pub fn held(&mut self) {
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::SeqCst);
        }
    }

    /// Runs `print` while the bar is hidden.
    pub fn aside(&self, print: impl FnOnce()) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(print),
            Shown::Lines(_) => print(),
        }
    }

    /// Begins a stage without a count.
    pub fn begin(&mut self, stage: &str) {
        self.stage = stage.into();
        match &self.shown {
            Shown::Lines(lines) => *locked(&lines.state) = State::of(stage),
            Shown::Bar(bar) => {
                style(bar, SPINNER);
                bar.set_message(stage.to_string());
                bar.tick();
            }
        }
    }

    /// Analyzer `i` of `n`, counted from 0, begins.
    pub fn analyzing(&mut self, name: &str, i: usize, n: usize) {
        self.begin(&format!("analyzing: {} ({} of {n})", crate::print::plain(name), i + 1));
    }

    /// Reports that `done` out of `total` of a stage is done.
    fn count(&mut self, stage: &str, done: u64, total: u64, words: String) {
        match &self.shown {
            Shown::Lines(lines) => {
                let mut state = locked(&lines.state);
                if state.stage != stage {
                    *state = State::of(stage);
                }
                (state.done, state.total, state.words) = (done, total, words);
            }
            Shown::Bar(bar) => {
                if self.stage != stage {
                    self.stage = stage.into();
                    bar.set_message(stage.to_string());
                    style(bar, BAR);
                    bar.set_position(0);
                    bar.reset_elapsed();
                    bar.reset_eta();
                }
                bar.set_length(total);
                bar.set_position(done);
                let left = bar.eta().as_secs_f64();
                let left = if left > 0.0 { about(left) } else { String::new() };
                // The time left comes first: a narrow terminal cuts the end.
                bar.set_message(format!("{stage}{left}, {words}"));
            }
        }
    }
}

impl RunOptions for RunProgress {
    fn stage(&mut self, what: &str) {
        self.begin(what);
    }
    fn left(&mut self, groups: usize) {
        self.groups = groups;
    }
    fn amends(&self) -> Option<&str> {
        self.amend.as_deref()
    }
    fn loading(&mut self, done: u64, total: u64) {
        let total = total.max(done);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        self.count("loading weights", done, total, format!("{:.1} of {:.1} MiB", mib(done), mib(total)));
    }
    fn progress(&mut self, p: &Progress, groups: usize) -> Flow {
        let total = self.turns * self.groups as u64;
        let rate = (p.generated + p.prefilled) as f64 / p.seconds.max(1e-9);
        let words = format!("{groups} of {} groups, {} of {total} turns, {rate:.0} tokens/s", self.groups, p.turns);
        self.count("running", p.turns.min(total), total, words);
        let stop = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::SeqCst));
        if stop { Flow::Stop } else { Flow::Continue }
    }
}

impl Drop for RunProgress {
    fn drop(&mut self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_a_short_run_is_silent() {
        let mut pace = Pace::default();
        let mut state = State::of("running");
        (state.total, state.done) = (100, 0);
        let mut printed = vec![];
        // A run of an hour in steps of half a second; one per cent takes 36 s, so that a tenth takes six minutes.
        for half in 0..7200u64 {
            state.done = half / 72;
            if pace.due(Duration::from_millis(500 * half), &state) {
                printed.push(half / 2);
            }
        }
        assert_eq!(printed[..3], [2, 32, 62]);
        // A tenth is told at once, and resets the silence.
        assert!(printed.contains(&360), "{printed:?}");
        // 20 lines in the first ten minutes, then one or two for each tenth.
        assert!((30..45).contains(&printed.len()), "{printed:?}");
        let mut pace = Pace::default();
        assert!(!(0..19).any(|tenth| pace.due(Duration::from_millis(100 * tenth), &State::of("planning"))));
        // A run that hurries through its stages prints one in two seconds.
        let mut pace = Pace::default();
        let stages = (0..100).filter(|i| pace.due(Duration::from_millis(100 * i), &State::of(&format!("stage {i}"))));
        assert_eq!(stages.collect::<Vec<_>>(), [20, 40, 60, 80]);
    }

    #[test]
    fn a_line_says_what_is_known() {
        assert_eq!(State::of("hashing weights").line(), "hashing weights");
        let counted = State { words: "3 of 40 groups".into(), done: 1, total: 3, ..State::of("running") };
        assert_eq!(counted.line(), "running, 33 %, 3 of 40 groups");
        let nothing = State { total: 0, done: 5, ..State::of("x") };
        assert_eq!((nothing.tenths(), nothing.line().as_str()), (0, "x"));
    }

    #[test]
    fn times_in_words() {
        let words = [0.04, 9.94, 12.3, 99.6, 599.0, 601.0, 3599.0, 7500.0].map(span);
        assert_eq!(words, ["0.0 s", "9.9 s", "12 s", "1 min 40 s", "9 min 59 s", "10 min", "1 h 0 min", "2 h 5 min"]);
    }
}
