//! Decode steps recorded as graphs: CUDA graphs, or on WGPU dispatches that cubecl replays. A decode step on a GPU
//! launches hundreds of small kernels, and launching them takes most of its time; a recorded step is launched as one.
//!
//! A graph refers to its buffers by address. Everything that changes from step to step (ids, positions, cache slots,
//! edit strengths, given vectors) is therefore written into buffers that persist, the cache is only written in place (see `gpu`),
//! and a batch is padded to one of a few row counts by rows that write to a spare cache slot. Hooks run inside the
//! graph: steps with taps, with edits, with both and with neither are recorded separately.
use crate::cache::CacheShape;
use crate::floats::floats;
use crate::gpu::{Sent, Steps};
use crate::model::{Model, On};
use crate::step::{NoProbe, Probe, Step};
use crate::{KvCache, Result};
use burn::tensor::{Int, Tensor};
use std::sync::Arc;

/// The result of a decode step.
pub struct Answer {
    /// Logits `[wanted or more, vocab]` in f32; padding rows may follow the wanted ones. The logits of a recorded
    /// step are valid until the next step is launched.
    pub logits: Tensor<2>,
    /// The argmax of each wanted row, `[wanted, 1]`; the lowest id among equals.
    pub best: Tensor<2, Int>,
    /// The activations that hooks tapped, of the rows in [`Wish::reads`]: one tensor `[sites × rows, width]` per
    /// width.
    pub taken: Vec<Tensor<2>>,
    /// The argmax tokens on their way to the host, of a recorded step.
    pub(crate) sent: Option<Sent>,
}

impl Answer {
    /// The answer of a step that was not recorded: no tapped activations.
    pub fn new(logits: Tensor<2>, best: Tensor<2, Int>) -> Self {
        Self { logits, best, taken: vec![], sent: None }
    }

    /// Copies the argmax tokens and the tapped activations to the host. For the tokens of a recorded step it waits
    /// for that step alone, not for steps launched after it.
    pub fn read(self) -> (Vec<u32>, Vec<Vec<f32>>) {
        let taken = |taken: Vec<Tensor<2>>| taken.into_iter().map(|t| floats(&t.into_data())).collect();
        if let Some(best) = self.sent {
            return (best.wait().into_iter().map(|t| t as u32).collect(), taken(self.taken));
        }
        let best = self.best.into_data().iter::<i64>().map(|t| t as u32).collect();
        (best, taken(self.taken))
    }
}

/// Hooks that can run inside a recorded step: they compute with device tensors alone and upload nothing.
pub trait Hooks {
    /// Number of strength columns: one per edit.
    fn columns(&self) -> usize;
    /// The width of the vectors of each edit whose vector is the row's own, in the order of the edits. Default: no edit
    /// has such.
    fn given(&self) -> Vec<usize> {
        vec![]
    }
    /// Runs the forward pass `pass` with a probe that applies these hooks. `strengths` holds a tensor `[rows, 1]` for
    /// each column, `given` a tensor `[rows, width]` for each entry of [`Self::given`]; both are empty where the step
    /// edits nothing. Where `tapped`, returns the tapped activations of all rows, `[sites × rows, width]` per width.
    fn run(
        &self,
        strengths: &[Tensor<2>],
        given: &[Tensor<2>],
        tapped: bool,
        pass: &mut dyn FnMut(&mut dyn Probe),
    ) -> Vec<Tensor<2>>;
}

/// What hooks do in one decode step.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Edit strengths, `[columns × rows]` with one column after the other; empty where the step edits nothing.
    pub strengths: Vec<f32>,
    /// The rows' own vectors, `[entries of Hooks::given × rows]` with one entry after the other; a row with `None` must
    /// have strength 0. Empty where the step edits nothing. Vectors are uploaded when a row gets another one, told by
    /// its address.
    pub given: Vec<Option<Arc<[f32]>>>,
    /// Indices of the rows whose tapped activations are returned.
    pub reads: Vec<usize>,
}

/// Largest number of rows of a recorded step; larger batches run unrecorded.
pub const MOST_RECORDED: usize = 256;
/// Up to this many rows, a recorded step is padded to a power of two; above, to a multiple of [`STRIDE`], because a
/// padding row costs more there.
pub const WIDE: usize = 128;
/// Granularity in rows of recorded steps above [`WIDE`] rows.
pub const STRIDE: usize = 64;

/// Rows of the recorded step that a batch of `rows` runs in.
#[allow(dead_code)] // only a GPU pads
pub(crate) fn padded(rows: usize) -> usize {
    if rows <= WIDE { rows.next_power_of_two() } else { rows.next_multiple_of(STRIDE) }
}

/// Cache slots needed beside those of conversations: one on a GPU, which padding rows write to; none on the
/// processor.
pub fn spare_slots(model: &Model) -> usize {
    usize::from(model.on_gpu())
}

/// The number of conversations whose keys fit in the device's largest buffer, or `None` where the device states no
/// limit. Takes `capacity` and `ring` from `shape` and ignores its `slots`.
pub fn most_conversations(model: &Model, shape: CacheShape) -> Option<usize> {
    let one = CacheShape { slots: 1, ..shape }.buffer_bytes(&model.arch, model.key_bytes());
    let slots = model.largest_buffer()? / one;
    Some((slots as usize).saturating_sub(spare_slots(model)))
}

/// Runs decode steps (one token per row) of a model over one cache, recorded where the device can.
///
/// The first step of each kind (padded rows × edits × taps) is recorded. While CUDA records, it refuses device calls
/// from other threads of the process (error 900), so no other thread may use the device then.
pub struct Decoder<'m> {
    model: &'m Model,
    recorded: Steps<'m>,
}

impl<'m> Decoder<'m> {
    /// A decoder of `model` that applies `hooks` inside recorded steps. Every step must use the same cache.
    pub fn new(model: &'m Model, hooks: Option<&'m dyn Hooks>) -> Self {
        Self { model, recorded: Steps::new(hooks) }
    }

    /// Whether steps of `rows` rows are recorded, which hooks need. Always false on the processor, and for quantised
    /// weights on a GPU: a graph would hold every weight dequantised.
    pub fn records(&self, rows: usize) -> bool {
        match &self.model.network {
            On::Gpu(n) => n.kernels.records() && rows <= MOST_RECORDED,
            On::Host(_) => false,
        }
    }

    /// Computes a decode step: each segment of `step` holds one token, and at least one row asks for logits. On a
    /// GPU, padding rows write to the cache's last slot.
    ///
    /// # Panics
    /// When `wish` asks for taps or edits and the step is not recorded.
    ///
    /// # Errors
    /// When a token id or position is out of range.
    pub fn step(&mut self, step: &Step, wish: &Wish, cache: &mut KvCache) -> Result<Answer> {
        self.step_after(step, wish, cache, None)
    }

    /// [`Self::step`] on tokens that are still on the device: row i's input token is the argmax of row i of `before`,
    /// and the ids in `step` are ignored. With `before = None` it is [`Self::step`].
    ///
    /// # Panics
    /// As [`Self::step`], and when `before` is given and the step is not recorded.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn step_after(
        &mut self,
        step: &Step,
        wish: &Wish,
        cache: &mut KvCache,
        before: Option<&Answer>,
    ) -> Result<Answer> {
        let model = self.model;
        model.check(step, cache)?;
        if let On::Gpu(network) = &model.network
            && self.records(step.ids.len())
        {
            return Ok(self.recorded.step(network, step, wish, cache, before.map(|a| &a.best)));
        }
        assert!(before.is_none(), "the tokens of steps that are not recorded come from the host");
        assert!(wish.reads.is_empty() && wish.strengths.is_empty(), "hooks run in recorded steps alone");
        let logits = model.forward(step, cache, &mut NoProbe)?;
        let Some(logits) = logits else { unreachable!("logits are asked for") };
        let best = model.best(&logits);
        Ok(Answer::new(logits, best))
    }
}

/// Waits until everything launched has finished before the buffers that it uses are freed, also after an error.
impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if !self.recorded.is_empty() {
            // A device error has already been reported where the answers were read.
            let _ = self.model.device.sync();
        }
    }
}
