//! Copies: to the host, enqueued and awaited later, and over the beginning of another buffer.
use super::grid::{cubes, units};
use crate::gpu::{plain, sent::Post};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::Numeric;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use std::sync::{Mutex, PoisonError};

/// Enqueues a copy to the host; see [`crate::gpu::Ops::send`].
pub(super) fn send(x: CubeTensor, to: Post) -> CubeTensor {
    // Enqueues the copy here; the holder of the `Post` waits for this copy alone.
    let x = into_contiguous(x);
    let copy = lasting(&x.client).read_async(vec![x.handle.clone()]);
    to.put(Box::pin(async move { copy.await.map(|mut all| all.remove(0).to_vec()).map_err(|e| e.to_string()) }));
    x
}

/// The client of a device with the `'static` lifetime that a pending copy needs: one per device, never freed.
fn lasting(client: &Client) -> &'static Client {
    static CLIENTS: Mutex<Vec<&'static Client>> = Mutex::new(vec![]);
    let mut all = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = all.iter().find(|c| c.service_id() == client.service_id()) {
        return found;
    }
    let new: &'static Client = Box::leak(Box::new(client.clone()));
    all.push(new);
    new
}

/// Copies `from` over the beginning of `to`, in place.
pub(super) fn overwrite<T: Numeric>(to: CubeTensor, from: CubeTensor) -> CubeTensor {
    let n = from.meta.shape().num_elements();
    let (client, count) = (to.client.clone(), cubes(n.div_ceil(plain::UNITS), 1));
    let (into, from) = (to.clone().into_buffer_arg(), into_contiguous(from).into_buffer_arg());
    plain::copy::launch::<T>(&client, count, units(plain::UNITS), into, from, n);
    to
}
