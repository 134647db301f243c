//! Loads a library in a child process first. An initialiser that hangs would keep the loader's lock, and one that
//! crashes would end the process; in a child neither does harm.
#[cfg(unix)]
pub(crate) fn load(f: impl FnOnce()) -> Result<(), String> {
    use std::time::{Duration, Instant};
    const LIMIT: Duration = Duration::from_secs(10);
    // SAFETY: the child runs `f` and leaves by `_exit`: it shares no lock that another thread of this
    // process could hold, apart from the allocator's and the loader's, which the C library hands over.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(format!("no child process can be started: {}", std::io::Error::last_os_error()));
    }
    if child == 0 {
        // SAFETY: plain system calls on the child's own descriptors. Text that is printed here is printed again when
        // the parent loads the library.
        unsafe {
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
            libc::dup2(null, 1);
            libc::dup2(null, 2);
            // Rust's handlers check for a stack overflow and may ignore a signal that was raised.
            libc::signal(libc::SIGSEGV, libc::SIG_DFL);
            libc::signal(libc::SIGBUS, libc::SIG_DFL);
        }
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(0) }
    }
    let began = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: waits for the child made above, which nobody else waits for.
        match unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) } {
            0 if began.elapsed() < LIMIT => std::thread::sleep(Duration::from_millis(2)),
            0 => {
                // SAFETY: ends and reaps that child.
                unsafe {
                    libc::kill(child, libc::SIGKILL);
                    libc::waitpid(child, &mut status, 0);
                }
                return Err(format!("did not finish loading within {} s", LIMIT.as_secs()));
            }
            _ if libc::WIFSIGNALED(status) => {
                return Err(format!("died while it was loaded (signal {})", libc::WTERMSIG(status)));
            }
            _ if libc::WEXITSTATUS(status) != 0 => {
                return Err(format!("ended its process while it was loaded (code {})", libc::WEXITSTATUS(status)));
            }
            _ => return Ok(()),
        }
    }
}

/// This system has no `fork`: the library is loaded without a trial.
#[cfg(not(unix))]
pub(crate) fn load(_: impl FnOnce()) -> Result<(), String> {
    Ok(())
}
