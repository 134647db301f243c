//! Progress on standard error: bars on a terminal, nothing elsewhere. Ctrl-C stops the run after the current step.
use friction_engine::{Flow, Progress};
use friction_study::RunOptions;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A flag that the first Ctrl-C sets. The second Ctrl-C ends the process at once.
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    let seen = flag.clone();
    // Fails only if a handler is already set; Ctrl-C then ends the process.
    let _ = ctrlc::set_handler(move || {
        if seen.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    });
    flag
}

pub(crate) fn bar(total: u64, template: &str) -> ProgressBar {
    // indicatif hides the bar where standard error is not a terminal.
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// The progress bars of a run: one for loading weights, one for turns.
pub(crate) struct RunBars {
    load: ProgressBar,
    run: ProgressBar,
    groups: usize,
    stop: Arc<AtomicBool>,
}

impl RunBars {
    pub fn new(turns: u64, groups: usize) -> Self {
        Self {
            load: bar(1, "loading {bar:30} {bytes}/{total_bytes} {eta}"),
            run: bar(turns, "{bar:30} {pos}/{len} turns, {msg}, {eta} left"),
            groups,
            stop: stop_flag(),
        }
    }
}

impl RunOptions for RunBars {
    fn loading(&mut self, done: u64, total: u64) {
        self.load.set_length(total.max(done));
        self.load.set_position(done);
        if done >= total {
            self.load.finish_and_clear();
        }
    }
    fn progress(&mut self, p: &Progress, groups: usize) -> Flow {
        self.load.finish_and_clear();
        self.run.set_position(p.turns);
        let rate = (p.generated + p.prefilled) as f64 / p.seconds.max(1e-9);
        self.run.set_message(format!("{groups}/{} groups, {rate:.0} tok/s", self.groups));
        if self.stop.load(Ordering::SeqCst) { Flow::Stop } else { Flow::Continue }
    }
}
impl Drop for RunBars {
    fn drop(&mut self) {
        self.load.finish_and_clear();
        self.run.finish_and_clear();
    }
}
