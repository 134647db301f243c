//! Where the tokens of a step stand, on the device.
use super::{Ops, flash};
use crate::model::Step;
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Where the tokens of a step stand, for one kind of layer.
pub struct Places {
    /// Slot and index in the ring of each token: `[2 × tokens]`.
    pub to: Tensor<1, Int>,
    /// Slot, first position seen and the position after its own: `[3 × tokens]`.
    pub seen: Tensor<1, Int>,
    /// Of prompts, for matrix units: first token, tokens, slot and first position, of tiles.
    pub tiles: Option<Tensor<1, Int>>,
    /// Keys that a query sees.
    pub window: usize,
}

impl Places {
    /// Of a step over rings of `ring` keys; queries see `window` keys.
    pub fn new(step: &Step, ring: usize, window: usize, tiles: Option<Tensor<1, Int>>, device: &Device) -> Self {
        let (to, seen) = numbers(step, ring, window);
        Self { to: upload(to, device), seen: upload(seen, device), tiles, window }
    }

    /// Of tokens `0..count` of one slot, to be written to another.
    pub fn copied(slot: usize, count: usize, device: &Device) -> Self {
        let to = upload((0..count).flat_map(|p| [slot as i32, p as i32]).collect(), device);
        Self { seen: to.clone(), to, tiles: None, window: usize::MAX }
    }
}

/// Writes numbers to the device.
pub fn upload(v: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = v.len();
    Tensor::from_data(TensorData::new(v, [n]), (device, DType::I32))
}

/// Slot and index, then slot, first key and end, of each token of a step.
pub fn numbers(step: &Step, ring: usize, window: usize) -> (Vec<i32>, Vec<i32>) {
    let (mut to, mut seen) = (vec![], vec![]);
    for s in &step.segments {
        for p in s.start..s.start + s.len {
            to.extend([s.slot as i32, (p % ring) as i32]);
            seen.extend([s.slot as i32, (p + 1).saturating_sub(window) as i32, p as i32 + 1]);
        }
    }
    (to, seen)
}

/// Tiles of the step's segments, for query heads in groups of `groups`.
pub fn tiles(step: &Step, groups: usize) -> Vec<i32> {
    let tall = flash::ROWS / groups;
    let (mut out, mut token) = (vec![], 0);
    for s in &step.segments {
        for from in (0..s.len).step_by(tall) {
            let count = tall.min(s.len - from);
            out.extend([token + from, count, s.slot, s.start + from].map(|n| n as i32));
        }
        token += s.len;
    }
    out
}

/// Writes over a buffer that is on the device.
pub fn refresh(to: &mut Tensor<1>, from: Vec<f32>, device: &Device) {
    let n = from.len();
    let from = Tensor::<1>::from_data(TensorData::new(from, [n]), (device, DType::F32)).into_dispatch();
    to.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::refresh(t.into_dispatch(), from)));
}

/// The same for whole numbers.
pub fn refresh_int(to: &mut Tensor<1, Int>, from: Vec<i32>, device: &Device) {
    feed(to, upload(from, device));
}

/// Writes numbers of the device to the beginning of a buffer.
pub fn feed(to: &mut Tensor<1, Int>, from: Tensor<1, Int>) {
    let from = from.into_dispatch();
    to.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::refresh_int(t.into_dispatch(), from)));
}
