//! Software prefetch. A matrix product of one row is bound by reading the weights sequentially; on some processors
//! the hardware prefetcher does not run far enough ahead.

/// Bytes of a cache line.
const LINE: usize = 64;
/// Bytes between the address being read and the address prefetched (measured; see KERNELS.md).
const DISTANCE: usize = 2048;

/// Issues prefetches where the processor has the instruction (SSE); does nothing elsewhere.
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

    /// Prefetches as many cache lines as `count` numbers of `held` take, starting [`DISTANCE`] bytes ahead.
    #[inline(always)]
    pub fn ask<T>(self, held: &[T], count: usize) {
        #[cfg(target_arch = "x86_64")]
        if let (Some(sse), Some(held)) = (self.sse, held.get(DISTANCE / size_of::<T>()..)) {
            for line in held.get(..count).unwrap_or_default().iter().step_by(LINE / size_of::<T>()) {
                // 3: into all cache levels (`_MM_HINT_T0`).
                sse._mm_prefetch::<3>(std::ptr::from_ref(line).cast());
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (held, count);
    }
}
