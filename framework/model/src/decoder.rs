//! Decode steps as recorded graphs: on a GPU most of a step of one token a row is spent on launching
//! hundreds of small kernels, and a recorded step is launched as one.
//!
//! A recorded step knows its buffers by their place. So what changes from step to step (ids, positions,
//! places in the cache) is written into buffers that stay, the cache is only ever written in place
//! (`ragged.rs`), and rows are padded to a few sizes by rows that write to a slot of their own.
use crate::model::NoProbe;
use crate::{Gemma3, KvCache, Result, Step};
use burn::tensor::{Int, Tensor};

/// Logits `[rows, vocab]` in f32, and the likeliest token of each row `[rows, 1]`.
pub type Answer = (Tensor<2>, Tensor<2, Int>);

/// Slots that a cache must have beside those of conversations: on a GPU one, for rows that pad.
pub fn spare_slots(model: &Gemma3) -> usize {
    usize::from(!model.flex)
}

/// Decode steps of a model over one cache.
pub struct Decoder<'m> {
    model: &'m Gemma3,
    #[cfg(feature = "cube")]
    recorded: recorded::Steps<'m>,
}

impl<'m> Decoder<'m> {
    /// Of a model; every step must be over the same cache.
    pub fn new(model: &'m Gemma3) -> Self {
        Self {
            model,
            #[cfg(feature = "cube")]
            recorded: recorded::Steps::default(),
        }
    }

    /// Computes a step whose segments hold one token each; logits of those that it wants, of which there must
    /// be some, and their likeliest tokens.
    /// On a GPU the cache's last slot is written to by rows that pad.
    ///
    /// # Errors
    /// When a token or position is out of range.
    pub fn step(&mut self, step: &Step, cache: &mut KvCache) -> Result<Answer> {
        let model = self.model;
        model.check(step, cache)?;
        #[cfg(feature = "cube")]
        if !model.flex {
            return Ok(self.recorded.step(model, step, cache));
        }
        let logits = model.forward(step, cache, &mut NoProbe)?;
        let Some(logits) = logits else { unreachable!("logits are asked for") };
        let best = logits.clone().argmax(1);
        Ok((logits, best))
    }
}

#[cfg(feature = "cube")]
mod recorded {
    use super::Answer;
    use crate::model::{Inputs, NoProbe};
    use crate::ragged::{Places, numbers, refresh, refresh_int, upload};
    use crate::{Gemma3, KvCache, Segment, Step};
    use burn::tensor::{DType, Graph, Int, Tensor, TensorData, capture};
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    type Recorded<'m> = Graph<Answer, Box<dyn FnMut() -> Answer + 'm>>;

    /// Buffers that a recorded step reads.
    struct Buffers {
        /// Ids, then for sliding and for global layers: slot and index, then slot, first key and end.
        ints: Tensor<1, Int>,
        /// cos and sin of sliding, then of global layers.
        floats: Tensor<1>,
    }

    /// Recorded steps by number of rows.
    #[derive(Default)]
    pub(super) struct Steps<'m>(BTreeMap<usize, (Rc<RefCell<Buffers>>, Recorded<'m>)>);

    impl<'m> Steps<'m> {
        pub fn step(&mut self, model: &'m Gemma3, asked_for: &Step, cache: &KvCache) -> Answer {
            let wanted = &asked_for.logits;
            let asked = asked_for.ids.len();
            let rows = asked.next_power_of_two();
            let mut step = asked_for.clone();
            step.ids.resize(rows, 0);
            step.segments.resize(rows, Segment { slot: cache.shape.slots - 1, start: 0, len: 1 });
            step.logits = (0..rows).collect();
            let (ints, floats) = host(model, &step, cache);
            if let Some((buffers, _)) = self.0.get(&rows) {
                let mut b = buffers.borrow_mut();
                refresh_int(&mut b.ints, ints, &model.device);
                refresh(&mut b.floats, floats, &model.device);
            } else {
                let n = floats.len();
                let floats = Tensor::from_data(TensorData::new(floats, [n]), (&model.device, DType::F32));
                let buffers = Rc::new(RefCell::new(Buffers { ints: upload(ints, &model.device), floats }));
                self.0.insert(rows, (buffers.clone(), record(model, step, cache.clone(), buffers)));
            }
            let Some((_, recorded)) = self.0.get_mut(&rows) else { unreachable!("recorded above") };
            // The refreshes are launched before the graph.
            let _ = model.device.flush();
            // SAFETY: weights outlive the graph by its lifetime; the cache, the buffers and what the step
            // computes are kept alive by the closure and by `self`; everything runs on this thread's stream,
            // and the refreshes above were issued on it before.
            let (logits, best) = unsafe { recorded.replay() };
            if wanted.len() == asked {
                return (logits.clone().narrow(0, 0, asked), best.clone().narrow(0, 0, asked));
            }
            let wanted = upload(wanted.iter().map(|r| *r as i32).collect(), &model.device);
            (logits.clone().select(0, wanted.clone()), best.clone().select(0, wanted))
        }
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

    fn record<'m>(model: &'m Gemma3, step: Step, mut cache: KvCache, buffers: Rc<RefCell<Buffers>>) -> Recorded<'m> {
        let (n, half) = (step.ids.len(), model.rope_local.len());
        let closure: Box<dyn FnMut() -> Answer + 'm> = Box::new(move || {
            let b = buffers.borrow();
            let ints = |from: usize, len: usize| b.ints.clone().narrow(0, from * n, len * n);
            let table = |i: usize| b.floats.clone().narrow(0, i * n * half, n * half).reshape([n, 1, half]);
            let inputs = Inputs {
                ids: ints(0, 1),
                tables: [(table(0), table(1)), (table(2), table(3))],
                places: [Some(Places::of(ints(1, 2), ints(3, 3))), Some(Places::of(ints(6, 2), ints(8, 3)))],
            };
            let logits = model.compute(&step, &inputs, &mut cache, &mut NoProbe);
            let Some(logits) = logits else { unreachable!("logits of every row are asked for") };
            let best = logits.clone().argmax(1);
            // Without it the lazy device would record nothing.
            let _ = model.device.flush();
            (logits, best)
        });
        capture(&model.device, closure)
    }
}
