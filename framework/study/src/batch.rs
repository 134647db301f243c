//! How many conversations a GPU holds at once where the manifest says `batch = "auto"`: as many as its free
//! memory takes, and fewer when it runs out after all.
use crate::Plan;
use friction_core::manifest::{BackendKind, BatchSize};
use friction_model::decoder::{MOST_RECORDED, STRIDE, WIDE};
use friction_model::{Gemma3, device};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Share of free memory that is planned with; the rest is for what allocators round up.
const SHARE: f64 = 0.8;

/// Whether the batch is found here.
pub(crate) fn found_here(plan: &Plan) -> bool {
    plan.manifest.backend.batch == BatchSize::Auto && plan.manifest.backend.kind != BackendKind::Cpu
}

/// Conversations for a model that is on its device; the plan's own where the device does not tell what is free.
pub(crate) fn fit(plan: &Plan, model: &Gemma3) -> usize {
    match device::free(&model.device) {
        Some(free) if found_here(plan) => {
            let c = &model.config;
            let one = friction_engine::EngineOptions { slots: 1, ..plan.engine.clone() };
            // Keys and values of a conversation, and what is computed of its row: logits and their parts.
            let each = one.cache(c).bytes(c, model.dtype.size()) + 4 * 4 * c.vocab as u64;
            let free = (SHARE * free as f64) as u64;
            within(free, plan.estimate.step_bytes, each, plan.members.len(), plan.estimate.conversations)
        }
        _ => plan.engine.slots,
    }
}

/// Conversations of `each` bytes beside `fixed` ones, `all` at most: whole groups of `group` where one fits, and where
/// they are many no more than fill the rows that a recorded step is padded to.
fn within(free: u64, fixed: u64, each: u64, group: usize, all: usize) -> usize {
    let most = (free.saturating_sub(fixed) / each.max(1)).min(MOST_RECORDED as u64) as usize;
    match most {
        _ if all <= most => all,
        _ if most > WIDE => fewer(most / STRIDE * STRIDE, group),
        _ => fewer(most, group),
    }
}

/// `most`, or the nearest number below that is whole groups.
fn fewer(most: usize, group: usize) -> usize {
    if most < group { most.max(1) } else { most / group * group }
}

/// Runs `attempt` with a number of conversations, and with fewer for as long as memory runs out.
/// `told` hears of each number that was too many.
pub(crate) fn backing_off<T>(
    mut slots: usize,
    group: usize,
    mut told: impl FnMut(usize),
    mut attempt: impl FnMut(usize) -> T,
) -> T {
    loop {
        match catch_unwind(AssertUnwindSafe(|| attempt(slots))) {
            Ok(done) => return done,
            Err(panic) if slots > 1 && out_of_memory(panic.as_ref()) => {
                told(slots);
                slots = fewer((slots * 3 / 4).max(1), group);
            }
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// Burn's lazy devices tell of it by a panic, when what could not be computed is read. The first cause is not always
/// in its text, so whatever could not be read counts.
fn out_of_memory(panic: &(dyn std::any::Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let signs = ["out of device memory", "OutOfMemory", "Error while reading data", "could not be read"];
    text.is_some_and(|t| signs.iter().any(|s| t.contains(s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_filled_with_whole_groups() {
        assert_eq!(within(1000, 100, 10, 4, 500), 88);
        assert_eq!(within(1000, 990, 10, 4, 500), 1);
        assert_eq!(within(1000, 970, 10, 4, 500), 3);
        assert_eq!(within(1 << 40, 0, 10, 12, 500), 252);
        assert_eq!(within(10, 100, 10, 4, 500), 1);
        // All at once where they fit; else as many as a padded step has rows.
        assert_eq!(within(1 << 40, 0, 10, 4, 200), 200);
        assert_eq!(within(1000, 100, 10, 4, 20), 20);
        assert_eq!(within(1640, 0, 10, 4, 200), 128);
        assert_eq!(within(1990, 0, 10, 4, 200), 192);
    }

    #[test]
    fn what_runs_out_of_memory_runs_again_with_fewer() {
        let (mut tried, mut too_many) = (vec![], vec![]);
        let done = backing_off(
            88,
            4,
            |n| too_many.push(n),
            |n| {
                tried.push(n);
                assert!(n <= 20, "Error: out of device memory allocating 4096 bytes");
                n
            },
        );
        assert_eq!((done, tried, too_many), (16, vec![88, 64, 48, 36, 24, 16], vec![88, 64, 48, 36, 24]));
    }

    #[test]
    fn other_failures_stay_failures() {
        let failed = catch_unwind(|| backing_off::<()>(8, 4, |_| {}, |_| panic!("another reason")));
        assert!(failed.is_err());
        let failed = catch_unwind(|| backing_off::<()>(8, 4, |_| {}, |_| panic!("out of device memory")));
        assert!(failed.is_err(), "one conversation is the least");
    }
}
