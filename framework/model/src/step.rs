//! The input of a forward pass, and the probe that visits its sites.
use burn::tensor::Tensor;
use friction_core::Site;

/// Consecutive tokens of one slot in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Index of the cache slot.
    pub slot: usize,
    /// Position in the sequence of the first token.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
}

/// The input of one forward pass.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// Token ids of all segments, one after the other.
    pub ids: Vec<u32>,
    /// How `ids` divide into slots and positions; the lengths add up to `ids.len()`.
    pub segments: Vec<Segment>,
    /// Indices into `ids` of the tokens whose logits are computed; may be empty.
    pub logits: Vec<usize>,
}

/// A visitor that reads, and may replace, the activation at each site of a forward pass.
pub trait Probe {
    /// Called with the activation at `site`: `[tokens, width]` in f32 (`[logits, vocab]` at `logits`). The pass
    /// continues with the tensor that it returns.
    fn at(&mut self, site: Site, x: Tensor<2>) -> Tensor<2>;
    /// Whether [`Self::at`] is to be called at this site.
    fn wants(&self, site: Site) -> bool;
    /// Whether [`Self::at`] may return something other than its argument there. Where it cannot, fused kernels need
    /// not be redone.
    fn changes(&self, site: Site) -> bool {
        self.wants(site)
    }
}

/// A probe that visits no site.
pub struct NoProbe;
impl Probe for NoProbe {
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        x
    }
    fn wants(&self, _: Site) -> bool {
        false
    }
}

pub(crate) fn visit(probe: &mut dyn Probe, site: Site, x: Tensor<2>) -> Tensor<2> {
    if probe.wants(site) { probe.at(site, x) } else { x }
}
