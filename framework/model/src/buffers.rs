//! What a device's largest buffer takes: WGPU's may be smaller than a matrix, or than its f32 form.
use crate::{Config, Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Whether the device has buffers for the widest matrices, before any is read.
pub(crate) fn room(c: &Config, dtype: DType, largest: Option<u64>) -> Result<()> {
    for (what, rows) in [("the embedding", c.vocab), ("gate and up of a layer", 2 * c.intermediate)] {
        let (needs, most) = ((rows * c.hidden * dtype.size()) as u64, largest.unwrap_or(u64::MAX));
        if needs > most {
            let mib = |bytes: u64| bytes.div_ceil(1 << 20);
            let narrower = if dtype == DType::F32 { "set `model.dtype = \"f16\"`, or " } else { "" };
            return Err(Error::Device(format!(
                "{what} takes {} MiB, and a buffer of this device holds {} at most; {narrower}take a smaller model or another device",
                mib(needs),
                mib(most),
            )));
        }
    }
    Ok(())
}

/// A matrix of f32 on its device in another type: made there, or here where the device has no buffer of so many f32.
pub(crate) fn placed(data: TensorData, device: &Device, dtype: DType, largest: Option<u64>) -> Tensor<2> {
    let wide = data.num_elements() as u64 * 4;
    if largest.is_some_and(|most| wide > most) {
        return Tensor::from_data(data.convert_dtype(dtype), (device, dtype));
    }
    Tensor::<2>::from_data(data, (device, DType::F32)).cast(dtype)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing;

    #[test]
    fn a_matrix_that_no_buffer_takes_is_an_error_before_it_is_read() {
        let c = testing::config();
        let table = (c.vocab * c.hidden * 4) as u64;
        assert!(room(&c, DType::F32, None).is_ok() && room(&c, DType::F32, Some(table)).is_ok());
        let said = room(&c, DType::F32, Some(table - 1)).unwrap_err().to_string();
        assert!(
            said.starts_with("the embedding takes 1 MiB, and a buffer of this device holds 1 at most; set"),
            "{said}"
        );
        // Half as wide, half the bytes.
        assert!(room(&c, DType::BF16, Some(table / 2)).is_ok());
    }

    #[test]
    fn what_is_narrowed_here_is_what_the_device_makes() {
        let values: Vec<f32> = (0..600).map(|i| (i as f32 - 299.5) * 1.000_37_f32.powi(i)).collect();
        for dtype in [DType::BF16, DType::F16] {
            let [here, there] = [Some(600 * 2), None].map(|largest| {
                placed(TensorData::new(values.clone(), [20, 30]), &Device::flex(), dtype, largest).into_data()
            });
            assert_eq!((here.dtype(), here.shape()), (dtype, there.shape()));
            assert_eq!(here.bytes(), there.bytes());
        }
    }
}
