//! Decode steps as recorded graphs: on a GPU most of a step of one token a row is spent on launching
//! hundreds of small kernels, and a recorded step is launched as one.
//!
//! A recorded step knows its buffers by their place. So what changes from step to step (ids, positions,
//! places in the cache, strengths of edits) is written into buffers that stay, the cache is only ever written
//! in place (`gpu`), and rows are padded to a few sizes by rows that write to a slot of their own. Hooks run
//! inside the graph: steps that read or edit are recorded too, beside those that do neither.
use crate::cache::CacheShape;
use crate::model::{NoProbe, floats};
use crate::{Gemma3, KvCache, Probe, Result, Step};
use burn::tensor::{Int, Tensor};

/// What a step computed.
pub struct Answer {
    /// Logits `[wanted or more, vocab]` in f32: rows that pad may follow. Those of a recorded step hold until the
    /// next is launched.
    pub logits: Tensor<2>,
    /// The likeliest token of each `[wanted, 1]`.
    pub best: Tensor<2, Int>,
    /// What hooks took, of the rows that were read: `[sites × rows, width]` for each width.
    pub taken: Vec<Tensor<2>>,
    #[cfg(feature = "cube")]
    sent: Option<crate::gpu::Sent>,
}

impl Answer {
    /// Of a step that was not recorded.
    pub fn new(logits: Tensor<2>, best: Tensor<2, Int>) -> Self {
        Self {
            logits,
            best,
            taken: vec![],
            #[cfg(feature = "cube")]
            sent: None,
        }
    }

    /// The likeliest tokens and what hooks took, on the host. For tokens of a recorded step it waits for that step
    /// alone, not for what was launched after it.
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

/// Hooks that can run inside a recorded step: they compute with tensors alone, and bring nothing from the host.
pub trait Hooks {
    /// Columns of strengths.
    fn columns(&self) -> usize;
    /// Runs a pass under them. `strengths` are `[rows, 1]` for each column, or none where the step edits nothing.
    /// Where it is `tapped`, returns what they took of all rows, `[sites × rows, width]` for each width.
    fn run(&self, strengths: &[Tensor<2>], tapped: bool, pass: &mut dyn FnMut(&mut dyn Probe)) -> Vec<Tensor<2>>;
}

/// What a step asks of hooks.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Strengths, column after column, a number a row; empty where the step edits nothing.
    pub strengths: Vec<f32>,
    /// Rows to be read.
    pub reads: Vec<usize>,
}

/// Rows of a recorded step, at most.
pub const MOST_RECORDED: usize = 256;
/// Steps of up to so many rows are recorded in powers of two; larger ones in whole [`STRIDE`]s, since a row more costs
/// more there.
pub const WIDE: usize = 128;
/// See [`WIDE`].
pub const STRIDE: usize = 64;

/// Rows of the recorded step that takes so many.
#[cfg(feature = "cube")]
fn padded(rows: usize) -> usize {
    if rows <= WIDE { rows.next_power_of_two() } else { rows.next_multiple_of(STRIDE) }
}

/// Slots that a cache must have beside those of conversations: on a GPU one, for rows that pad.
pub fn spare_slots(model: &Gemma3) -> usize {
    usize::from(!model.flex)
}

/// Conversations at once whose keys a device's largest buffer takes, where it tells of one; `shape` is a cache's, for
/// any number of them.
pub fn most_conversations(model: &Gemma3, shape: CacheShape) -> Option<usize> {
    let one = CacheShape { slots: 1, ..shape }.buffer_bytes(&model.config, model.key_bytes());
    let slots = model.largest_buffer()? / one;
    Some((slots as usize).saturating_sub(spare_slots(model)))
}

/// Decode steps of a model over one cache.
///
/// While CUDA records a kind of step, the first of its kind, it refuses what other threads of the process ask of the
/// device (error 900): they must leave it alone.
pub struct Decoder<'m> {
    model: &'m Gemma3,
    #[cfg(feature = "cube")]
    recorded: recorded::Steps<'m>,
}

impl<'m> Decoder<'m> {
    /// Of a model, under hooks; every step must be over the same cache.
    pub fn new(model: &'m Gemma3, hooks: Option<&'m dyn Hooks>) -> Self {
        let _ = &hooks;
        Self {
            model,
            #[cfg(feature = "cube")]
            recorded: recorded::Steps::new(hooks),
        }
    }

    /// Whether steps of so many rows are recorded: hooks run inside them on such a device alone. Those over weights
    /// in blocks are not: a recorded step would hold every weight whole.
    pub fn records(&self, rows: usize) -> bool {
        #[cfg(feature = "cube")]
        let whole = !self.model.in_words();
        #[cfg(not(feature = "cube"))]
        let whole = true;
        !self.model.flex && whole && rows <= MOST_RECORDED
    }

    /// Computes a step whose segments hold one token each; logits of those that it wants, of which there must
    /// be some. On a GPU the cache's last slot is written to by rows that pad. Where steps are not recorded, without
    /// hooks.
    ///
    /// # Errors
    /// When a token or position is out of range.
    pub fn step(&mut self, step: &Step, wish: &Wish, cache: &mut KvCache) -> Result<Answer> {
        self.step_after(step, wish, cache, None)
    }

    /// The same, of tokens that stand on the device alone: a step's tokens are the likeliest ones of an answer, row
    /// by row, whatever its ids say. Only where steps are recorded.
    ///
    /// # Errors
    /// As of [`Self::step`].
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

/// What was launched ends before the buffers go that it reads and writes, however its run ended.
#[cfg(feature = "cube")]
impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        if !self.recorded.is_empty() {
            // A device that failed has told so where its answers were read.
            let _ = self.model.device.sync();
        }
    }
}

#[cfg(feature = "cube")]
mod recorded {
    use super::{Answer, Hooks, Wish};
    use crate::gpu::{Places, Sent, feed, numbers, refresh, refresh_int, upload};
    use crate::model::{Inputs, NoProbe};
    use crate::{Gemma3, KvCache, Probe, Segment, Step};
    use burn::tensor::{DType, Device, Graph, Int, Tensor, TensorData, capture};
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    type Recorded<'m> = Graph<Whole, Box<dyn FnMut() -> Whole + 'm>>;

    /// What a recorded step leaves in its buffers, of all rows.
    #[derive(Clone)]
    struct Whole {
        logits: Tensor<2>,
        best: Tensor<2, Int>,
        taken: Vec<Tensor<2>>,
    }

    /// Buffers that a recorded step reads.
    struct Buffers {
        /// Ids, then for sliding and for global layers: slot and index, then slot, first key and end.
        ints: Tensor<1, Int>,
        /// cos and sin of sliding, then of global layers; then strengths, column after column.
        floats: Tensor<1>,
    }

    /// A kind of step: rows, whether hooks edit, whether they read.
    type Kind = (usize, bool, bool);

    /// Recorded steps.
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
                tokens.iter().for_each(|t| feed(&mut b.ints, (*t).clone().reshape([asked])));
            } else {
                let n = floats.len();
                let floats = Tensor::from_data(TensorData::new(floats, [n]), (device, DType::F32));
                let mut ints = upload(ints, device);
                tokens.iter().for_each(|t| feed(&mut ints, (*t).clone().reshape([asked])));
                let buffers = Rc::new(RefCell::new(Buffers { ints, floats }));
                let recorded = record(model, self.hooks, kind, step, cache.clone(), buffers.clone());
                self.steps.insert(kind, (buffers, recorded));
            }
            let Some((_, recorded)) = self.steps.get_mut(&kind) else { unreachable!("recorded above") };
            // The refreshes are launched before the graph, and what the step before sent.
            let _ = device.flush();
            // SAFETY: weights and hooks outlive the graph by its lifetime; the cache, the buffers and what the
            // step computes are kept alive by the closure and by `self`; everything runs on this thread's
            // stream, and the refreshes above were issued on it before.
            let whole = unsafe { recorded.replay() }.clone();
            // Copies: the next step writes over these buffers.
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

    /// Rows of each site, of `[sites × rows, width]`.
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
                    hooks.run(&strengths, tapped, &mut pass)
                }
                _ => {
                    pass(&mut NoProbe);
                    vec![]
                }
            };
            let Some(logits) = logits else { unreachable!("logits of every row are asked for") };
            let best = model.best(&logits);
            // Without it the lazy device would record nothing.
            let _ = model.device.flush();
            Whole { logits, best, taken }
        });
        capture(&model.device, closure)
    }
}
