//! What stands for `gpu` in a binary that was built without one: types of which there is no value.
use crate::Result;
use crate::cache::{CacheShape, KvCache};
use crate::decoder::{Answer, Hooks, Wish};
use crate::found::Found;
use crate::kernels::{AttentionLayer, Kernels, Linear};
use crate::network::Network;
use crate::rope::Rope;
use crate::step::Step;
use burn::tensor::{DType, Device, Int, Tensor};
use friction_checkpoint::Arch;
use friction_checkpoint::arch::Activation;
use friction_core::manifest::{BackendKind, Quantize};
use std::marker::PhantomData;

/// A GPU's kernels.
pub enum Gpu {}

impl Gpu {
    pub fn open(_: &Device, _: DType, _: Quantize) -> Option<Self> {
        None
    }
    pub fn largest(&self) -> Option<u64> {
        match *self {}
    }
    pub fn records(&self) -> bool {
        match *self {}
    }
    pub fn prompt_product(&self, _: Tensor<2>, _: &Tensor<2>) -> Tensor<2> {
        match *self {}
    }
    pub fn argmax(&self, _: Tensor<2>) -> Tensor<2, Int> {
        match *self {}
    }
}

impl Kernels for Gpu {
    type Weight = Gpu;
    type Product = Gpu;
    type Inputs = Gpu;

    fn weight(&self, _: Vec<f32>, _: usize) -> Result<Gpu> {
        match *self {}
    }
    fn bytes(&self, _: &Gpu) -> u64 {
        match *self {}
    }
    fn inputs(&self, _: &Arch, _: &[Rope], _: &Step, _: &KvCache) -> Gpu {
        match *self {}
    }
    fn embed(&self, _: &Gpu, _: &Gpu, _: f32) -> Tensor<2> {
        match *self {}
    }
    fn rms_norm(&self, _: Tensor<2>, _: &Tensor<1>, _: f64) -> Tensor<2> {
        match *self {}
    }
    fn rms_norm_wide(&self, _: Tensor<2>, _: &Tensor<1>, _: f64) -> Tensor<2> {
        match *self {}
    }
    fn narrow(&self, _: Tensor<2>) -> Tensor<2> {
        match *self {}
    }
    fn wide(&self, _: Tensor<2>) -> Tensor<2> {
        match *self {}
    }
    fn linear(&self, _: Tensor<2>, _: &Linear<Gpu>, _: &Gpu) -> Gpu {
        match *self {}
    }
    fn whole(&self, _: Gpu, _: usize) -> Tensor<2> {
        match *self {}
    }
    fn add_rms_norm(
        &self,
        _: Tensor<2>,
        _: Gpu,
        _: Option<&Tensor<1>>,
        _: Option<&Tensor<1>>,
        _: f64,
    ) -> [Tensor<2>; 2] {
        match *self {}
    }
    fn gated(&self, _: Gpu, _: usize, _: Activation) -> Tensor<2> {
        match *self {}
    }
    fn attention(&self, _: Gpu, _: &AttentionLayer, _: &Arch, _: &Step, _: &Gpu, _: &mut KvCache) -> Tensor<2> {
        match *self {}
    }
    fn select(&self, _: Tensor<2>, _: &[usize]) -> Tensor<2> {
        match *self {}
    }
}

/// Keys and values on a GPU.
#[derive(Clone)]
pub enum GpuCache {}

impl GpuCache {
    pub fn new(_: &Arch, _: CacheShape, _: &Device, _: DType) -> Option<Self> {
        None
    }
    pub fn fork(&mut self, _: usize, _: usize, _: usize) {
        match *self {}
    }
}

/// Tokens on their way to the host.
pub enum Sent {}

impl Sent {
    pub fn wait(self) -> Vec<i32> {
        match self {}
    }
}

/// Recorded steps: none.
pub struct Steps<'m>(PhantomData<&'m ()>);

impl<'m> Steps<'m> {
    pub fn new(_: Option<&'m dyn Hooks>) -> Self {
        Self(PhantomData)
    }
    pub fn is_empty(&self) -> bool {
        true
    }
    pub fn step(
        &mut self,
        network: &'m Network<Gpu>,
        _: &Step,
        _: &Wish,
        _: &KvCache,
        _: Option<&Tensor<2, Int>>,
    ) -> Answer {
        match network.kernels {}
    }
}

/// Matrix products in f32: those of Burn keep their precision on the processor.
pub fn exact_product<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    a.matmul(b)
}

/// Opens a GPU: none was built in.
pub fn open(_: BackendKind, _: usize) -> Option<Result<Device>> {
    None
}

/// The GPUs of this machine that this binary can use.
pub fn found() -> Vec<Found> {
    vec![]
}

/// Free bytes of a GPU's memory.
pub fn free(_: &Device) -> Option<u64> {
    None
}
