//! Chooses how many conversations a GPU holds at once for `batch = "auto"`: as many as its free memory allows, and
//! fewer if memory runs out anyway.
use crate::{Plan, Result};
use friction_core::manifest::{BackendKind, BackendSection, BatchSize, Issues, Path};
use friction_core::plural;
use friction_model::cache::CacheShape;
use friction_model::decoder::{MOST_RECORDED, STRIDE, WIDE, most_conversations};
use friction_model::{Model, device};

/// Share of the free memory that is planned for. The rest covers what allocators round up.
const SHARE: f64 = 0.8;

/// Number of conversations at once for `conversations` in all, and whether the device's memory decides once the model is
/// loaded. `least`: so many must be held at once. A manifest that gives fewer is warned.
pub(crate) fn planned(
    backend: &BackendSection,
    (per_group, conversations): (usize, usize),
    least: usize,
    warnings: &mut Issues,
) -> (usize, bool) {
    let (slots, found) = match (backend.batch, backend.kind) {
        (BatchSize::Fixed(n), _) => (n.min(conversations), false),
        // These numbers are used on a device that does not report its free memory.
        (BatchSize::Auto, BackendKind::Cpu) => (auto(16, per_group, conversations), false),
        (BatchSize::Auto, _) => (auto(64, per_group, conversations), true),
    };
    if let BatchSize::Fixed(n) = backend.batch
        && n < least
    {
        let message =
            format!("{least} conversations are held at once, and not {n}: a hook reads those of a group together");
        let help = format!("set it to {least} or more, or to \"auto\"");
        warnings.push(Path::default().key("backend").key("batch"), message, Some(help));
    }
    (slots.max(least), found)
}

/// The largest multiple of a group's conversations up to `about`; at least one group.
fn auto(about: usize, per_group: usize, conversations: usize) -> usize {
    (about / per_group * per_group).max(per_group.min(256)).min(conversations)
}

/// Whether the number of conversations is chosen here, and not by the manifest.
pub(crate) fn found_here(plan: &Plan) -> bool {
    plan.estimate.slots.is_none()
}

/// Number of conversations for a model that is loaded. If the device does not report its free memory, the plan's
/// number.
///
/// # Errors
/// If the manifest's number of conversations, or a single one, needs larger buffers than the device allows.
pub(crate) fn fit(plan: &Plan, model: &Model) -> Result<usize> {
    let c = &model.arch;
    let one = CacheShape { slots: 1, ..plan.engine.cache(c) };
    let wanted = match device::free(&model.device) {
        Some(free) if found_here(plan) => {
            // Keys and values of a conversation, and what is computed of its row: logits and their parts.
            let each = one.bytes(c, model.key_bytes()) + 4 * 4 * c.vocab as u64;
            let free = (SHARE * free as f64) as u64;
            within(free, plan.estimate.step_bytes, each, plan.members.len(), plan.estimate.conversations)
        }
        _ => plan.engine.slots,
    };
    match most_conversations(model, one) {
        Some(0) => Err(failed(&format!(
            "the keys of a conversation of {} positions need a larger buffer than this device has; \
             lower `study.turns` or `generation.max_new_tokens`",
            one.capacity
        ))),
        Some(most) if wanted > most && found_here(plan) => Ok(fewer(most, plan.members.len())),
        Some(most) if wanted > most => Err(failed(&format!(
            "the keys of {} at once need a larger buffer than this device has; \
             set `backend.batch` to {most} or less, or to \"auto\"",
            plural(wanted, "conversation")
        ))),
        _ => Ok(wanted),
    }
}

fn failed(what: &str) -> crate::Error {
    friction_model::Error::Device(what.to_owned()).into()
}

/// Number of conversations that fit in `free` bytes, beside `fixed` bytes and with `each` bytes for a conversation;
/// `all` at most. Whole groups of `group` conversations if one fits. Large numbers are rounded down to the rows that a
/// recorded step is padded to.
fn within(free: u64, fixed: u64, each: u64, group: usize, all: usize) -> usize {
    let most = (free.saturating_sub(fixed) / each.max(1)).min(MOST_RECORDED as u64) as usize;
    match most {
        _ if all <= most => all,
        _ if most > WIDE => fewer(most / STRIDE * STRIDE, group),
        _ => fewer(most, group),
    }
}

/// `most`, rounded down to whole groups if one fits; at least 1.
fn fewer(most: usize, group: usize) -> usize {
    if most < group { most.max(1) } else { most / group * group }
}

/// Runs `attempt` with `slots` conversations. If `group` is given, it tries again with fewer, in whole groups and `least`
/// at least, each time the device fails; `told` is called with each number that was too large.
///
/// # Errors
/// If the attempt fails, or the device fails with the smallest number.
pub(crate) fn backing_off<T>(
    mut slots: usize,
    least: usize,
    group: Option<usize>,
    mut told: impl FnMut(usize),
    mut attempt: impl FnMut(usize) -> Result<T>,
) -> Result<T> {
    loop {
        // Devices do not always report the first cause, so every failure of the device counts.
        let why = match device::caught(|| attempt(slots)) {
            Ok(done) => return done,
            Err(why) => why,
        };
        let Some(group) = group.filter(|_| slots > least) else {
            return Err(failed(&format!(
                "the device failed with {} at once: {why}; if its memory ran out, take fewer \
                 (`backend.batch`), or hold the model in less (`model.dtype`, `model.quantize`)",
                plural(slots, "conversation")
            )));
        };
        told(slots);
        slots = fewer((slots * 3 / 4).max(1), group).max(least);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn memory_is_filled_with_whole_groups() {
        assert_eq!(within(1000, 100, 10, 4, 500), 88);
        assert_eq!(within(1000, 990, 10, 4, 500), 1);
        assert_eq!(within(1000, 970, 10, 4, 500), 3);
        assert_eq!(within(1 << 40, 0, 10, 12, 500), 252);
        assert_eq!(within(10, 100, 10, 4, 500), 1);
        // All at once if they fit; otherwise as many as a padded step has rows.
        assert_eq!(within(1 << 40, 0, 10, 4, 200), 200);
        assert_eq!(within(1000, 100, 10, 4, 20), 20);
        assert_eq!(within(1640, 0, 10, 4, 200), 128);
        assert_eq!(within(1990, 0, 10, 4, 200), 192);
    }

    #[test]
    fn what_runs_out_of_memory_runs_again_with_fewer() {
        let (mut tried, mut too_many) = (vec![], vec![]);
        let attempt = |n| {
            tried.push(n);
            assert!(n <= 20, "Error: out of device memory allocating 4096 bytes");
            Ok(n)
        };
        let done = backing_off(88, 1, Some(4), |n| too_many.push(n), attempt).unwrap();
        assert_eq!((done, tried, too_many), (16, vec![88, 64, 48, 36, 24, 16], vec![88, 64, 48, 36, 24]));
        // Conversations that are read together are not held apart.
        let mut tried = vec![];
        let attempt = |n| -> Result<()> {
            tried.push(n);
            panic!("Error: out of device memory allocating 4096 bytes")
        };
        backing_off(88, 40, Some(4), |_| {}, attempt).unwrap_err();
        assert_eq!(tried, [88, 64, 48, 40]);
    }

    #[test]
    fn a_device_that_fails_with_the_least_is_an_error() {
        let text = "Error while reading data: x\nCaused by:\n  y\nCaused by:\n  can't allocate buffer of size: 7\nNo backtrace";
        for (slots, group) in [(1, Some(4)), (8, None)] {
            let failed = backing_off::<()>(slots, 1, group, |_| panic!("told"), |_| panic!("{text}"));
            let said = failed.unwrap_err().to_string();
            let want =
                format!("failed with {} at once: can't allocate buffer of size: 7; if", plural(slots, "conversation"));
            assert!(said.contains(&want), "{said}");
        }
    }

    #[test]
    fn other_failures_stay_failures() {
        assert!(catch_unwind(|| backing_off::<()>(8, 1, Some(4), |_| {}, |_| panic!("another reason"))).is_err());
    }
}
