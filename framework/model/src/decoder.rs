//! Decode steps recorded as graphs: CUDA graphs, or on WGPU dispatches that cubecl replays. A decode step on a GPU
//! launches hundreds of small kernels, and launching them takes most of its time; a recorded step is launched as one.
//!
//! A graph refers to its buffers by address. Everything that changes from step to step (ids, positions, cache slots,
//! edit strengths, given vectors) is therefore written into buffers that persist, the cache is only written in place (see `gpu`),
//! and a batch is padded to one of a few row counts by rows that write to a spare cache slot. Hooks run inside the
//! graph: steps with taps, with edits, with both and with neither are recorded separately.
use crate::cache::CacheShape;
use crate::model::{NoProbe, floats};
use crate::{Gemma3, KvCache, Probe, Result, Step};
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
    #[cfg(feature = "cube")]
    sent: Option<crate::gpu::Sent>,
}

impl Answer {
    /// The answer of a step that was not recorded: no tapped activations.
    pub fn new(logits: Tensor<2>, best: Tensor<2, Int>) -> Self {
        Self {
            logits,
            best,
            taken: vec![],
            #[cfg(feature = "cube")]
            sent: None,
        }
    }

    /// Copies the argmax tokens and the tapped activations to the host. For the tokens of a recorded step it waits
    /// for that step alone, not for steps launched after it.
    pub fn read(self) -> (Vec<u32>, Vec<Vec<f32>>) {
        let taken = |taken: Vec<Tensor<2>>| taken.into_iter().map(|t| floats(&t.into_data())).collect();
        #[cfg(feature = "cube")]
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
#[cfg(feature = "cube")]
fn padded(rows: usize) -> usize {
    if rows <= WIDE { rows.next_power_of_two() } else { rows.next_multiple_of(STRIDE) }
}

/// Cache slots needed beside those of conversations: one on a GPU, which padding rows write to; none on the
/// processor.
pub fn spare_slots(model: &Gemma3) -> usize {
    usize::from(!model.flex)
}

/// The number of conversations whose keys fit in the device's largest buffer, or `None` where the device states no
/// limit. Takes `capacity` and `ring` from `shape` and ignores its `slots`.
pub fn most_conversations(model: &Gemma3, shape: CacheShape) -> Option<usize> {
    let one = CacheShape { slots: 1, ..shape }.buffer_bytes(&model.config, model.key_bytes());
    let slots = model.largest_buffer()? / one;
    Some((slots as usize).saturating_sub(spare_slots(model)))
}

/// Runs decode steps (one token per row) of a model over one cache, recorded where the device can.
///
/// The first step of each kind (padded rows × edits × taps) is recorded. While CUDA records, it refuses device calls
/// from other threads of the process (error 900), so no other thread may use the device then.
pub struct Decoder<'m> {
    model: &'m Gemma3,
    #[cfg(feature = "cube")]
    recorded: recorded::Steps<'m>,
}

impl<'m> Decoder<'m> {
    /// A decoder of `model` that applies `hooks` inside recorded steps. Every step must use the same cache.
    pub fn new(model: &'m Gemma3, hooks: Option<&'m dyn Hooks>) -> Self {
        let _ = &hooks;
        Self {
            model,
            #[cfg(feature = "cube")]
            recorded: recorded::Steps::new(hooks),
        }
    }

    /// Whether steps of `rows` rows are recorded, which hooks need. Always false on the processor, and for quantised
    /// weights on a GPU: a graph would hold every weight dequantised.
    pub fn records(&self, rows: usize) -> bool {
        #[cfg(feature = "cube")]
        let whole = !self.model.in_words();
        #[cfg(not(feature = "cube"))]
        let whole = true;
        !self.model.flex && whole && rows <= MOST_RECORDED
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
        #[cfg(feature = "cube")]
        if self.records(step.ids.len()) {
            return Ok(self.recorded.step(model, step, wish, cache, before.map(|a| &a.best)));
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
#[cfg(feature = "cube")]
impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if !self.recorded.is_empty() {
            // A device error has already been reported where the answers were read.
            let _ = self.model.device.sync();
        }
    }
}

#[cfg(feature = "cube")]
mod recorded {
    use super::{Answer, Hooks, Wish};
    use crate::gpu::{Places, Sent, Vectors, feed, numbers, refresh, refresh_int, upload};
    use crate::model::{Inputs, NoProbe};
    use crate::{Gemma3, KvCache, Probe, Segment, Step};
    use burn::tensor::{DType, Device, Graph, Int, Tensor, TensorData, capture};
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    type Recorded<'m> = Graph<Whole, Box<dyn FnMut() -> Whole + 'm>>;

    /// Output buffers of a recorded step, for all rows including padding.
    #[derive(Clone)]
    struct Whole {
        logits: Tensor<2>,
        best: Tensor<2, Int>,
        taken: Vec<Tensor<2>>,
    }

    /// Input buffers of a recorded step of n rows.
    struct Buffers {
        /// Token ids `[n]`; then for sliding and for global layers: slot and ring index `[n, 2]`, then slot, first
        /// key and end `[n, 3]`.
        ints: Tensor<1, Int>,
        /// cos and sin `[n, head_dim / 2]` for sliding layers, then for global layers; then the strength columns
        /// `[n]`.
        floats: Tensor<1>,
        /// One for each entry of [`Hooks::given`]; none where the step edits nothing.
        given: Vec<Vectors>,
    }

    /// What distinguishes recorded steps: padded rows, whether hooks edit, whether hooks tap.
    type Kind = (usize, bool, bool);

    /// The recorded steps, by kind.
    pub(super) struct Steps<'m> {
        hooks: Option<&'m dyn Hooks>,
        steps: BTreeMap<Kind, (Rc<RefCell<Buffers>>, Recorded<'m>)>,
    }

    impl<'m> Steps<'m> {
        pub fn new(hooks: Option<&'m dyn Hooks>) -> Self {
            Self { hooks, steps: BTreeMap::new() }
        }

        pub fn is_empty(&self) -> bool {
            self.steps.is_empty()
        }

        pub fn step(
            &mut self,
            model: &'m Gemma3,
            asked_for: &Step,
            wish: &Wish,
            cache: &KvCache,
            tokens: Option<&Tensor<2, Int>>,
        ) -> Answer {
            let (wanted, device) = (&asked_for.logits, &model.device);
            let asked = asked_for.ids.len();
            let rows = super::padded(asked);
            let mut step = asked_for.clone();
            step.ids.resize(rows, 0);
            step.segments.resize(rows, Segment { slot: cache.shape.slots - 1, start: 0, len: 1 });
            step.logits = (0..rows).collect();
            let (ints, mut floats) = host(model, &step, cache);
            for column in wish.strengths.chunks(asked) {
                floats.extend(column);
                floats.resize(floats.len() + rows - asked, 0.0);
            }
            let kind = (rows, !wish.strengths.is_empty(), !wish.reads.is_empty());
            if let Some((buffers, _)) = self.steps.get(&kind) {
                let mut b = buffers.borrow_mut();
                refresh_int(&mut b.ints, ints, device);
                refresh(&mut b.floats, floats, device);
                b.given.iter_mut().zip(wish.given.chunks(asked)).for_each(|(g, rows)| g.refresh(rows, device));
                tokens.iter().for_each(|t| feed(&mut b.ints, (*t).clone().reshape([asked])));
            } else {
                let n = floats.len();
                let floats = Tensor::from_data(TensorData::new(floats, [n]), (device, DType::F32));
                let mut ints = upload(ints, device);
                tokens.iter().for_each(|t| feed(&mut ints, (*t).clone().reshape([asked])));
                let widths = self.hooks.filter(|_| kind.1).map_or(vec![], |hooks| hooks.given());
                let mut given: Vec<_> = widths.into_iter().map(|w| Vectors::new(rows, w, device)).collect();
                given.iter_mut().zip(wish.given.chunks(asked)).for_each(|(g, rows)| g.refresh(rows, device));
                let buffers = Rc::new(RefCell::new(Buffers { ints, floats, given }));
                let recorded = record(model, self.hooks, kind, step, cache.clone(), buffers.clone());
                self.steps.insert(kind, (buffers, recorded));
            }
            let Some((_, recorded)) = self.steps.get_mut(&kind) else { unreachable!("recorded above") };
            // Launches the buffer updates, and the previous step's copy to the host, before the graph.
            let _ = device.flush();
            // SAFETY: weights and hooks outlive the graph (lifetime 'm); the closure and `self` keep the cache, the
            // buffers and the outputs alive; everything runs on this thread's stream, and the updates above were
            // issued on it before the graph.
            let whole = unsafe { recorded.replay() }.clone();
            // These are copies, because the next step overwrites the output buffers.
            let taken: Vec<_> = whole.taken.iter().map(|t| of_rows(t, rows, &wish.reads, device)).collect();
            let (logits, best) = match (wanted.len() == asked, asked == rows) {
                (true, true) => (whole.logits, whole.best + 0),
                (true, false) => (whole.logits, whole.best.narrow(0, 0, asked)),
                (false, _) => {
                    let wanted = upload(wanted.iter().map(|r| *r as i32).collect(), device);
                    (whole.logits.select(0, wanted.clone()), whole.best.select(0, wanted))
                }
            };
            let sent = Some(Sent::new(best.clone()));
            Answer { logits, best, taken, sent }
        }
    }

    /// Selects rows `reads` of each site from `[sites × rows, width]`.
    fn of_rows(taken: &Tensor<2>, rows: usize, reads: &[usize], device: &Device) -> Tensor<2> {
        let sites = taken.dims()[0] / rows;
        let index = (0..sites).flat_map(|s| reads.iter().map(move |r| (s * rows + r) as i32)).collect();
        taken.clone().select(0, upload(index, device))
    }

    fn host(model: &Gemma3, step: &Step, cache: &KvCache) -> (Vec<i32>, Vec<f32>) {
        let shape = cache.shape;
        let mut ints: Vec<i32> = step.ids.iter().map(|i| *i as i32).collect();
        for (ring, window) in [(shape.ring, model.config.window), (shape.capacity, usize::MAX)] {
            let (to, seen) = numbers(step, ring, window);
            ints.extend(to);
            ints.extend(seen);
        }
        let positions: Vec<usize> = step.segments.iter().map(|s| s.start).collect();
        let mut floats = vec![];
        for rope in [&model.rope_local, &model.rope_global] {
            let (cos, sin) = rope.numbers(&positions);
            floats.extend(cos);
            floats.extend(sin);
        }
        (ints, floats)
    }

    fn record<'m>(
        model: &'m Gemma3,
        hooks: Option<&'m dyn Hooks>,
        (n, edited, tapped): Kind,
        step: Step,
        mut cache: KvCache,
        buffers: Rc<RefCell<Buffers>>,
    ) -> Recorded<'m> {
        let half = model.rope_local.len();
        let closure: Box<dyn FnMut() -> Whole + 'm> = Box::new(move || {
            let b = buffers.borrow();
            let ints = |from: usize, len: usize| b.ints.clone().narrow(0, from * n, len * n);
            let place = |to, seen, window| Places { to, seen, tiles: None, window };
            let table = |i: usize| b.floats.clone().narrow(0, i * n * half, n * half).reshape([n, 1, half]);
            let inputs = Inputs {
                angles: Default::default(),
                ids: ints(0, 1),
                tables: [(table(0), table(1)), (table(2), table(3))],
                places: Some([
                    place(ints(1, 2), ints(3, 3), model.config.window),
                    place(ints(6, 2), ints(8, 3), usize::MAX),
                ]),
            };
            let mut logits = None;
            let mut pass = |probe: &mut dyn Probe| logits = model.compute(&step, &inputs, &mut cache, probe);
            let taken = match hooks {
                Some(hooks) if edited || tapped => {
                    let columns = if edited { hooks.columns() } else { 0 };
                    let column = |i: usize| b.floats.clone().narrow(0, 4 * n * half + i * n, n).reshape([n, 1]);
                    let strengths: Vec<Tensor<2>> = (0..columns).map(column).collect();
                    let given: Vec<Tensor<2>> = b.given.iter().map(Vectors::rows).collect();
                    hooks.run(&strengths, &given, tapped, &mut pass)
                }
                _ => {
                    pass(&mut NoProbe);
                    vec![]
                }
            };
            let Some(logits) = logits else { unreachable!("logits of every row are asked for") };
            let best = model.best(&logits);
            // Burn's fusion backend is lazy: without a flush, nothing would be launched while the graph is recorded.
            let _ = model.device.flush();
            Whole { logits, best, taken }
        });
        capture(&model.device, closure)
    }
}
