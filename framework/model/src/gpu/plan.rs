//! The capabilities of a device, and the choice of kernel for a matrix product.
use super::{few, many};
use burn::tensor::DType;

/// The capabilities of a GPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Able {
    /// Plane size, where it is fixed and planes can reduce; else 0.
    pub plane: usize,
    /// Whether matrix units multiply 16 × 16 × 16 tiles of bf16 with f32 accumulators.
    pub bf16: bool,
    /// The same for f16.
    pub f16: bool,
    /// Bytes of shared memory of a cube.
    pub shared: usize,
    /// Number of streaming multiprocessors; 128 is assumed where the device does not say.
    pub processors: usize,
    /// Whether cuBLAS is available (CUDA only).
    pub library: bool,
    /// Whether products of few rows take steps of 128 inner elements where they can: faster on CUDA, slower on
    /// Vulkan, where fewer cubes then run concurrently. True on CUDA only.
    pub deep: bool,
    /// Bytes of the device's memory, where it says.
    pub memory: Option<u64>,
    /// Bytes of the device's largest buffer, where it says.
    pub largest: Option<u64>,
}

impl Able {
    /// Whether matrix units multiply a dtype and a cube can share `bytes` of memory.
    pub fn matrices(&self, dtype: DType, bytes: usize) -> bool {
        let takes = match dtype {
            DType::BF16 => self.bf16,
            DType::F16 => self.f16,
            _ => false,
        };
        takes && self.plane == 32 && self.shared >= bytes
    }
}

/// How a matrix product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Parts into which the inner dimension is split (split-K).
    pub splits: usize,
    /// Rows of the result; zeros follow the product's own rows.
    pub padded: usize,
    /// The kernel that computes it.
    pub(super) how: How,
}

/// The kernels for matrix products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// `few::dots`: GEMV, up to 8 rows.
    Dots,
    /// `few::tiles`: GEMM on matrix units, up to 64 rows (128 without cuBLAS).
    Tiles {
        /// Number of 16-row tiles.
        tall: usize,
        /// Inner elements per step.
        depth: usize,
    },
    /// `many::many`: GEMM on matrix units for more rows; its result is in the dtype of the inputs.
    Many,
    /// cuBLAS; its result is in the dtype of the inputs.
    Library,
}

/// Numbers of 16 bits that a unit loads at once: 16 bytes.
pub(super) const VECTOR: usize = 8;

impl Plan {
    /// Dtype of the result, for inputs of `dtype`.
    pub fn result(&self, dtype: DType) -> DType {
        if matches!(self.how, How::Many | How::Library) { dtype } else { DType::F32 }
    }

    /// Plans x `[rows, inner]` · wᵀ, w `[columns, inner]`. `None` where Burn's product is needed: in f32, whose order
    /// of summation must not depend on the number of rows, and for shapes or devices that no kernel here takes.
    pub fn new(able: &Able, rows: usize, columns: usize, inner: usize, dtype: DType) -> Option<Self> {
        if dtype == DType::F32 || able.plane == 0 {
            return None;
        }
        if rows <= 8 && inner.is_multiple_of(VECTOR) && few::DOT_UNITS.is_multiple_of(able.plane) {
            let cubes = columns.div_ceil(few::DOT_UNITS / able.plane);
            let most = (inner / VECTOR / (4 * able.plane)).max(1);
            let splits = (4 * able.processors / cubes).clamp(1, most);
            return Some(Self { splits, padded: rows, how: How::Dots });
        }
        let tall = rows.div_ceil(16).next_power_of_two();
        let depth = if able.deep && inner.is_multiple_of(128) && tall <= 4 { 128 } else { 64 };
        let bytes = (few::TILE_COLUMNS + 16 * tall) * (depth + VECTOR) * 2;
        // cuBLAS is faster than `tiles` from 65 rows on (KERNELS.md).
        if tall > 4 && able.library && matches!(dtype, DType::BF16 | DType::F16) {
            return Some(Self { splits: 1, padded: rows, how: How::Library });
        }
        if tall > 8 {
            let fits = columns.is_multiple_of(VECTOR) && inner.is_multiple_of(many::DEPTH);
            let takes = fits && able.matrices(dtype, many::SHARED);
            return takes.then_some(Self { splits: 1, padded: rows, how: How::Many });
        }
        if !columns.is_multiple_of(16) || !inner.is_multiple_of(depth) || !able.matrices(dtype, bytes) {
            return None;
        }
        let (steps, cubes) = (inner / depth, columns.div_ceil(few::TILE_COLUMNS));
        let most = (steps / 2).max(1);
        let wanted = (2 * able.processors / cubes).clamp(1, most);
        // On Vulkan one more split is faster where the last round of cubes then leaves fewer multiprocessors idle.
        let rounds = |parts: usize| (cubes * parts).div_ceil(able.processors) * steps.div_ceil(parts);
        let more = !able.deep && 10 * rounds(wanted + 1) <= 9 * rounds(wanted);
        let wanted = (wanted + usize::from(more)).min(most);
        let splits = steps.div_ceil(steps.div_ceil(wanted));
        Some(Self { splits, padded: 16 * tall, how: How::Tiles { tall, depth } })
    }
}
