//! Quantised weights in a GPU's memory.
use super::{upload, widen};
use crate::quant::{BLOCK, Blocks};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// A quantised matrix `[rows, columns]`: packed codes in 32-bit words, row by row, and one f32 scale per block of 32
/// numbers.
#[derive(Clone)]
pub struct Words {
    rows: usize,
    columns: usize,
    four: bool,
    codes: Tensor<1, Int>,
    scales: Tensor<1>,
}

impl Words {
    /// Uploads quantised blocks to a device.
    pub fn new(blocks: &Blocks, device: &Device) -> Self {
        let [rows, columns] = blocks.dims();
        let (codes, scales) = blocks.words();
        let n = scales.len();
        let scales = Tensor::from_data(TensorData::new(scales, [n]), (device, DType::F32));
        Self { rows, columns, four: blocks.four(), codes: upload(codes, device), scales }
    }

    /// Bytes of codes and scales.
    pub fn bytes(&self) -> u64 {
        4 * (self.codes.dims()[0] + self.scales.dims()[0]) as u64
    }

    /// The whole matrix, dequantised, `[rows, columns]`.
    pub fn widened(&self, dtype: DType) -> Tensor<2> {
        widen(&self.codes, &self.scales, self.four, dtype).reshape([self.rows, self.columns])
    }

    /// Rows `ids` of the matrix, dequantised, `[ids, columns]`.
    pub fn rows(&self, ids: &Tensor<1, Int>, dtype: DType) -> Tensor<2> {
        let (n, blocks) = (ids.dims()[0], self.columns / BLOCK);
        let words = self.codes.dims()[0] / self.rows;
        let codes = self.codes.clone().reshape([self.rows, words]).select(0, ids.clone());
        let scales = self.scales.clone().reshape([self.rows, blocks]).select(0, ids.clone());
        let (codes, scales) = (codes.reshape([n * words]), scales.reshape([n * blocks]));
        widen(&codes, &scales, self.four, dtype).reshape([n, self.columns])
    }
}
