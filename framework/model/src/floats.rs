//! Numbers of tensors on the host.
use burn::tensor::TensorData;

/// The numbers of a tensor's data, as f32.
pub fn floats(data: &TensorData) -> Vec<f32> {
    // Burn's iterator converts number by number; data that is f32 already is copied as a whole.
    data.try_to_vec().unwrap_or_else(|_| data.iter::<f32>().collect())
}
