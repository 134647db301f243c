//! Recorded decode steps: their input buffers, and the graphs (see [`crate::decoder`]).
use super::pass::{Gpu, GpuInputs};
use super::{Places, Sent, Vectors, feed, numbers, refresh, refresh_int, upload};
use crate::KvCache;
use crate::decoder::{Answer, Hooks, Wish, padded};
use crate::network::Network;
use crate::step::{NoProbe, Probe, Segment, Step};
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
    /// Token ids `[n]`; then for each kind of layer: slot and ring index `[n, 2]`, then slot, first key and end
    /// `[n, 3]`.
    ints: Tensor<1, Int>,
    /// cos and sin `[n, head_dim / 2]` for each kind of layer; then the strength columns `[n]`.
    floats: Tensor<1>,
    /// One for each entry of [`Hooks::given`]; none where the step edits nothing.
    given: Vec<Vectors>,
}

/// What distinguishes recorded steps: padded rows, whether hooks edit, whether hooks tap.
type Kind = (usize, bool, bool);

/// The recorded steps, by kind.
pub(crate) struct Steps<'m> {
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
        network: &'m Network<Gpu>,
        asked_for: &Step,
        wish: &Wish,
        cache: &KvCache,
        tokens: Option<&Tensor<2, Int>>,
    ) -> Answer {
        let (wanted, device) = (&asked_for.logits, &network.kernels.device);
        let asked = asked_for.ids.len();
        let rows = padded(asked);
        let mut step = asked_for.clone();
        step.ids.resize(rows, 0);
        step.segments.resize(rows, Segment { slot: cache.shape.slots - 1, start: 0, len: 1 });
        step.logits = (0..rows).collect();
        let (ints, mut floats) = host(network, &step, cache);
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
            let recorded = record(network, self.hooks, kind, step, cache.clone(), buffers.clone());
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

/// The numbers of a step's input buffers.
fn host(network: &Network<Gpu>, step: &Step, cache: &KvCache) -> (Vec<i32>, Vec<f32>) {
    let shape = cache.shape;
    let mut ints: Vec<i32> = step.ids.iter().map(|i| *i as i32).collect();
    for kind in &network.arch.kinds {
        let (keys, window) = kind.window.map_or((shape.capacity, usize::MAX), |w| (shape.ring, w));
        let (to, seen) = numbers(step, keys, window);
        ints.extend(to);
        ints.extend(seen);
    }
    let positions: Vec<usize> = step.segments.iter().map(|s| s.start).collect();
    let mut floats = vec![];
    for rope in &network.ropes {
        let (cos, sin) = rope.numbers(&positions);
        floats.extend(cos);
        floats.extend(sin);
    }
    (ints, floats)
}

fn record<'m>(
    network: &'m Network<Gpu>,
    hooks: Option<&'m dyn Hooks>,
    (n, edited, tapped): Kind,
    step: Step,
    mut cache: KvCache,
    buffers: Rc<RefCell<Buffers>>,
) -> Recorded<'m> {
    let (half, kinds) = (network.arch.head_dim / 2, network.arch.kinds.len());
    let closure: Box<dyn FnMut() -> Whole + 'm> = Box::new(move || {
        let b = buffers.borrow();
        let ints = |from: usize, len: usize| b.ints.clone().narrow(0, from * n, len * n);
        let place = |i: usize| {
            let window = network.arch.kinds[i].window.unwrap_or(usize::MAX);
            Places { to: ints(1 + 5 * i, 2), seen: ints(3 + 5 * i, 3), tiles: None, window }
        };
        let table = |i: usize| b.floats.clone().narrow(0, i * n * half, n * half).reshape([n, 1, half]);
        let inputs = GpuInputs {
            ids: ints(0, 1),
            tables: (0..kinds).map(|i| (table(2 * i), table(2 * i + 1))).collect(),
            places: (0..kinds).map(place).collect(),
        };
        let mut logits = None;
        let mut pass = |probe: &mut dyn Probe| logits = network.forward(&step, &inputs, &mut cache, probe);
        let taken = match hooks {
            Some(hooks) if edited || tapped => {
                let columns = if edited { hooks.columns() } else { 0 };
                let column = |i: usize| b.floats.clone().narrow(0, 2 * kinds * n * half + i * n, n).reshape([n, 1]);
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
        let best = network.kernels.argmax(logits.clone());
        // Burn's fusion backend is lazy: without a flush, nothing would be launched while the graph is recorded.
        let _ = network.kernels.device.flush();
        Whole { logits, best, taken }
    });
    capture(&network.kernels.device, closure)
}
