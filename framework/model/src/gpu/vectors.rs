//! Vectors that an edit adds, one for each row of a recorded step. They persist on the device and are uploaded only when
//! a row gets another one: a conversation keeps its vector for a whole turn.
use super::refresh;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::sync::Arc;

/// The rows' own vectors of an edit.
pub struct Vectors {
    /// `[rows × width]`; zeros where a row has had none yet.
    values: Tensor<1>,
    width: usize,
    /// The vectors that `values` holds, by row.
    held: Vec<Option<Arc<[f32]>>>,
}

impl Vectors {
    /// Buffers of zeros for `rows` rows.
    pub fn new(rows: usize, width: usize, device: &Device) -> Self {
        let zeros = TensorData::new(vec![0f32; rows * width], [rows * width]);
        Self { values: Tensor::from_data(zeros, (device, DType::F32)), width, held: vec![None; rows] }
    }

    /// Uploads the vectors of the first rows, unless the buffer holds them. Other rows are padding.
    pub fn refresh(&mut self, rows: &[Option<Arc<[f32]>>], device: &Device) {
        let same = |(new, held): (&Option<Arc<[f32]>>, &Option<Arc<[f32]>>)| match (new, held) {
            (Some(new), Some(held)) => Arc::ptr_eq(new, held),
            // The strength is 0 there, whatever is held.
            (None, _) => true,
            (Some(_), None) => false,
        };
        if rows.iter().zip(&self.held).all(same) {
            return;
        }
        let mut values = vec![0f32; self.held.len() * self.width];
        self.held.fill(None);
        for (row, v) in rows.iter().enumerate() {
            if let Some(v) = v {
                values[row * self.width..][..self.width].copy_from_slice(v);
                self.held[row] = Some(v.clone());
            }
        }
        refresh(&mut self.values, values, device);
    }

    /// The buffer as a tensor `[rows, width]`.
    pub fn rows(&self) -> Tensor<2> {
        self.values.clone().reshape([self.held.len(), self.width])
    }
}
