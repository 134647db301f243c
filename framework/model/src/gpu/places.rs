//! Cache slots and positions of a step's tokens, on the device.
use super::{Ops, flash};
use crate::step::Step;
use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Cache slots and positions of a step's tokens, for one kind of layer (sliding or global).
pub struct Places {
    /// Per token: slot and index in the ring that its key and value are written to, `[2 × tokens]`.
    pub to: Tensor<1, Int>,
    /// Per token: slot, first position attended to, and one past the last (its own), `[3 × tokens]`.
    pub seen: Tensor<1, Int>,
    /// For prefill on matrix units: the tiles of [`tiles`], `[4 × tiles]`.
    pub tiles: Option<Tensor<1, Int>>,
    /// Number of keys that a query attends to; `usize::MAX` in global layers.
    pub window: usize,
}

impl Places {
    /// Computes and uploads the places of a step, for rings of `ring` keys and a window of `window` keys.
    pub fn new(step: &Step, ring: usize, window: usize, tiles: Option<Tensor<1, Int>>, device: &Device) -> Self {
        let (to, seen) = numbers(step, ring, window);
        Self { to: upload(to, device), seen: upload(seen, device), tiles, window }
    }

    /// Places for copying positions `0..count` to slot `slot`. Only `to` is meaningful.
    pub fn copied(slot: usize, count: usize, device: &Device) -> Self {
        let to = upload((0..count).flat_map(|p| [slot as i32, p as i32]).collect(), device);
        Self { seen: to.clone(), to, tiles: None, window: usize::MAX }
    }
}

/// Uploads 32-bit integers to a device.
pub fn upload(v: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = v.len();
    Tensor::from_data(TensorData::new(v, [n]), (device, DType::I32))
}

/// Two lists over the tokens of a step: (slot, ring index), and (slot, first key, end of keys).
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

/// Query tiles for [`Ops::flash`]: up to 64 / `groups` tokens of one segment each, where `groups` query heads share a
/// key head. Per tile: index of its first token in the step, number of tokens, slot, position of the first token.
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

/// Overwrites a float buffer on the device, in place.
pub fn refresh(to: &mut Tensor<1>, from: Vec<f32>, device: &Device) {
    let n = from.len();
    let from = Tensor::<1>::from_data(TensorData::new(from, [n]), (device, DType::F32)).into_dispatch();
    to.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::refresh(t.into_dispatch(), from)));
}

/// Overwrites the beginning of an integer buffer on the device with numbers from the host.
pub fn refresh_int(to: &mut Tensor<1, Int>, from: Vec<i32>, device: &Device) {
    feed(to, upload(from, device));
}

/// Overwrites the beginning of an integer buffer with a device tensor.
pub fn feed(to: &mut Tensor<1, Int>, from: Tensor<1, Int>) {
    let from = from.into_dispatch();
    to.inplace(|t| Tensor::from_dispatch(<Dispatch as Ops>::refresh_int(t.into_dispatch(), from)));
}
