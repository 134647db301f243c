//! Captures what a library prints to standard output, which belongs to the host and may be read by programs.
#[cfg(unix)]
mod taken {
    use std::fs::File;
    use std::io::{Read, Seek, Write};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// The real standard output, and an unnamed file that replaces it during a call.
    struct Fds {
        real: OwnedFd,
        sink: File,
    }

    fn fds() -> Option<&'static Mutex<Fds>> {
        static FDS: OnceLock<Option<Mutex<Fds>>> = OnceLock::new();
        let make = || {
            // SAFETY: a plain system call on a descriptor that every process has; -1 is looked at. Processes that are
            // started later do not inherit the copy.
            let real = unsafe { libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 0) };
            if real < 0 {
                return None;
            }
            // SAFETY: fresh from `dup`, owned by nobody else.
            let real = unsafe { OwnedFd::from_raw_fd(real) };
            Some(Mutex::new(Fds { real, sink: tempfile::tempfile().ok()? }))
        };
        FDS.get_or_init(make).as_ref()
    }

    /// Replaces standard output by the file until this value is ended or dropped. Holds whether that succeeded.
    pub(crate) struct Taken(bool);

    impl Taken {
        pub fn begin() -> Self {
            let Some(fds) = fds() else { return Self(false) };
            let fds = fds.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = std::io::stdout().flush();
            // SAFETY: two open descriptors.
            Self(unsafe { libc::dup2(fds.sink.as_raw_fd(), 1) } >= 0)
        }

        /// Restores standard output and returns what was printed meanwhile.
        pub fn end(mut self) -> Vec<u8> {
            self.restore()
        }

        fn restore(&mut self) -> Vec<u8> {
            let (true, Some(fds)) = (std::mem::take(&mut self.0), fds()) else { return vec![] };
            let mut fds = fds.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: C's own buffers are flushed while the file still replaces standard output; then two open
            // descriptors.
            unsafe {
                libc::fflush(std::ptr::null_mut());
                libc::dup2(fds.real.as_raw_fd(), 1);
            }
            let mut out = vec![];
            if fds.sink.stream_position().is_ok_and(|n| n > 0) && fds.sink.rewind().is_ok() {
                let _ = fds.sink.read_to_end(&mut out);
                let _ = fds.sink.rewind();
                let _ = fds.sink.set_len(0);
            }
            out
        }
    }

    impl Drop for Taken {
        fn drop(&mut self) {
            self.restore();
        }
    }
}

#[cfg(not(unix))]
mod taken {
    /// Standard output is left as it is on this system.
    pub(crate) struct Taken;
    impl Taken {
        pub fn begin() -> Self {
            Self
        }
        pub fn end(self) -> Vec<u8> {
            vec![]
        }
    }
}

pub(crate) use taken::Taken;
