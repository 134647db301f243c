//! Collects active features on a GPU: of pre-activations of up to a million features per row, only the few active
//! ones are copied to the host.
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::{Shape, Tensor as Tensors};
use burn_cubecl::cubecl;
use burn_cubecl::{
    CubeBackend, kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::prelude::*;

/// Units of a cube, which processes one row.
const UNITS: u32 = 256;

/// For each row of `product` `[rows, cols]`: the number of active features, then (column, activation) pairs in no
/// particular order, as many as there is `room` for: `[rows, 1 + 2·room]`. `gate` `[2, cols]` holds biases and
/// thresholds. With `k` > 0 only the k largest count as active, and values equal to the k-th.
pub(crate) fn fired(product: Tensors<2>, gate: Tensors<2>, room: usize, k: usize) -> Tensors<2> {
    Tensors::from_dispatch(<Dispatch as Fired>::fired(product.into_dispatch(), gate.into_dispatch(), room, k))
}

/// The operation that Burn dispatches to the device's backend.
#[backend_extension(Cube, Fusion)]
pub trait Fired: Backend {
    /// Collects active features; shapes as in the function of this name.
    #[fusion(dtype = product, shape = output(product, *room))]
    fn fired(product: FloatTensor<Self>, gate: FloatTensor<Self>, room: usize, k: usize) -> FloatTensor<Self>;
}

fn output(product: &Shape, room: usize) -> Shape {
    Shape::new([product[0], 1 + 2 * room])
}

impl Fired for CubeBackend {
    fn fired(product: CubeTensor, gate: CubeTensor, room: usize, k: usize) -> CubeTensor {
        let (rows, cols) = (product.meta.shape()[0], product.meta.shape()[1]);
        let shape = output(product.meta.shape(), room);
        // Contiguous, because CUDA's default layout pads rows and the kernel assumes that rows are adjacent.
        let out = empty_device_contiguous_dtype(product.client.clone(), product.device.clone(), shape, product.dtype);
        collect::launch(
            &out.client,
            CubeCount::Static(rows as u32, 1, 1),
            CubeDim::new_1d(UNITS),
            into_contiguous(product).into_buffer_arg(),
            into_contiguous(gate).into_buffer_arg(),
            out.clone().into_buffer_arg(),
            cols,
            room,
            k as u32,
        );
        out
    }
}

/// One cube per row. `gate` holds `cols` biases, then `cols` thresholds.
#[cube(launch)]
fn collect(product: &[f32], gate: &[f32], out: &mut [f32], cols: usize, room: usize, k: u32) {
    let start = CUBE_POS * cols;
    let count = Shared::<[Atomic<u32>]>::new_slice(1usize);
    // Finds the k-th largest value bit by bit: positive floats have the order of their bits.
    let mut lowest = 0u32;
    if k > 0 {
        for place in 0..31u32 {
            let bit = 1u32 << (30u32 - place);
            if UNIT_POS == 0 {
                count[0].store(0u32);
            }
            sync_cube();
            let tried = lowest | bit;
            let mut mine = 0u32;
            let mut c = UNIT_POS as usize;
            while c < cols {
                let v = product[start + c] + gate[c];
                if v > gate[cols + c] && u32::reinterpret(v) >= tried {
                    mine += 1u32;
                }
                c += CUBE_DIM as usize;
            }
            count[0].fetch_add(mine);
            sync_cube();
            if count[0].load() >= k {
                lowest = tried;
            }
            sync_cube();
        }
    }
    if UNIT_POS == 0 {
        count[0].store(0u32);
    }
    sync_cube();
    let at = CUBE_POS * (1 + 2 * room);
    let mut c = UNIT_POS as usize;
    while c < cols {
        let v = product[start + c] + gate[c];
        if v > gate[cols + c] && u32::reinterpret(v) >= lowest {
            let n = count[0].fetch_add(1u32) as usize;
            if n < room {
                out[at + 1 + 2 * n] = f32::cast_from(c as u32);
                out[at + 2 + 2 * n] = v;
            }
        }
        c += CUBE_DIM as usize;
    }
    sync_cube();
    if UNIT_POS == 0 {
        out[at] = f32::cast_from(count[0].load());
    }
}
