//! Limits of a device's largest buffer. On WGPU a weight matrix, or its f32 form, may not fit in one buffer.
use crate::{Error, Result};
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::Arch;

/// Checks, before any weight is read, that the two largest matrices fit in one buffer of `largest` bytes each: the
/// embedding and a layer's gate and up projection. `None` means no limit is known.
///
/// # Errors
/// [`Error::Device`] when one does not fit.
pub(crate) fn room(c: &Arch, dtype: DType, largest: Option<u64>) -> Result<()> {
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

/// An f32 matrix, on its device and in `dtype`. It is converted on the device, or on the host where its f32 form
/// exceeds the device's largest buffer of `largest` bytes.
#[allow(dead_code)] // only a GPU's weights are placed
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
    use friction_checkpoint::testing;

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
        // bf16 takes half the bytes.
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
