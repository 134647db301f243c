//! What a device can do, and how a product is laid out for it.
use super::{few, many};
use burn::tensor::DType;

/// What a device can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Able {
    /// Units of a plane, where all planes have as many and can add; else 0.
    pub plane: usize,
    /// Whether matrix units take 16 × 16 × 16 of bf16, with sums in f32.
    pub bf16: bool,
    /// The same of f16.
    pub f16: bool,
    /// Bytes that units of a cube can share.
    pub shared: usize,
    /// Processors that run cubes; a guess where the device does not tell.
    pub processors: usize,
    /// Whether cuBLAS is there for products of many rows.
    pub library: bool,
    /// Whether products of few rows go in steps of 128 elements where they can: so they are faster on CUDA, and slower
    /// on Vulkan, where fewer cubes then run beside each other.
    pub deep: bool,
    /// Bytes of the device's memory, where it tells.
    pub memory: Option<u64>,
    /// Bytes of its largest buffer.
    pub largest: Option<u64>,
}

impl Able {
    /// Whether matrix units take a type, from shared memory of at least `bytes`.
    pub fn matrices(&self, dtype: DType, bytes: usize) -> bool {
        let takes = match dtype {
            DType::BF16 => self.bf16,
            DType::F16 => self.f16,
            _ => false,
        };
        takes && self.plane == 32 && self.shared >= bytes
    }
}

/// How a product is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Parts of the inner dimension.
    pub splits: usize,
    /// Rows of the result, zeros after the product's own.
    pub padded: usize,
    /// By which kernel.
    pub(super) how: How,
}

/// By which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// `few::dots`.
    Dots,
    /// `few::tiles`.
    Tiles {
        /// Tiles of 16 rows.
        tall: usize,
        /// Inner elements of a step.
        depth: usize,
    },
    /// `many::many`, whose result is in the type of the product.
    Many,
    /// cuBLAS, likewise.
    Library,
}

/// Elements that a unit loads at once: 16 bytes.
pub(super) const VECTOR: usize = 8;

impl Plan {
    /// Type of the result, for rows of a type.
    pub fn result(&self, dtype: DType) -> DType {
        if matches!(self.how, How::Many | How::Library) { dtype } else { DType::F32 }
    }

    /// For x `[rows, inner]` · wᵀ, w `[columns, inner]`; nothing where Burn's products are needed: what
    /// does not fit, and f32, whose sums must not depend on the number of rows.
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
        // cuBLAS needs fewer milliseconds than `tiles` from 65 rows on.
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
        // On Vulkan a part more is faster where its cubes then leave fewer processors idle in the last round.
        let rounds = |parts: usize| (cubes * parts).div_ceil(able.processors) * steps.div_ceil(parts);
        let more = !able.deep && 10 * rounds(wanted + 1) <= 9 * rounds(wanted);
        let wanted = (wanted + usize::from(more)).min(most);
        let splits = steps.div_ceil(steps.div_ceil(wanted));
        Some(Self { splits, padded: 16 * tall, how: How::Tiles { tall, depth } })
    }
}
