//! Asking for memory before it is needed. A product of one row waits for weights, which lie one after another; on
//! some processors the hardware does not ask early enough by itself.

/// Bytes of what memory gives at once.
const LINE: usize = 64;
/// Bytes between what is read and what is asked for.
const DISTANCE: usize = 2048;

/// Asks for memory, where the processor takes such hints.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    #[cfg(target_arch = "x86_64")]
    sse: Option<pulp::core_arch::x86::Sse>,
}

impl Ahead {
    pub fn new() -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            sse: pulp::core_arch::x86::Sse::try_new(),
        }
    }

    /// Asks for what lies [`DISTANCE`] after the first `count` numbers of `held`.
    #[inline(always)]
    pub fn ask<T>(self, held: &[T], count: usize) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(sse), Some(held)) = (self.sse, held.get(DISTANCE / size_of::<T>()..)) {
            for line in held.get(..count).unwrap_or_default().iter().step_by(LINE / size_of::<T>()) {
                // 3: into the nearest cache (`_MM_HINT_T0`).
                sse._mm_prefetch::<3>(std::ptr::from_ref(line).cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (held, count);
    }
}
