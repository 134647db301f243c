//! Asynchronous copies from the device to the host: enqueued before the next work is launched, awaited after it.
use super::Ops;
use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor};
use burn_cubecl::cubecl::future::block_on;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type OnItsWay = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Receives the future of a copy that the backend has enqueued.
#[derive(Clone, Default)]
pub struct Post(Arc<Mutex<Option<OnItsWay>>>);

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Post")
    }
}

impl Post {
    pub(super) fn put(&self, copy: OnItsWay) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
    }

    fn take(&self) -> Option<OnItsWay> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A tensor of 32-bit integers on its way to the host.
pub struct Sent {
    post: Post,
    device: Device,
    waited: bool,
    /// Keeps the buffer alive until the copy is done.
    _kept: Tensor<2, Int>,
}

impl Sent {
    /// Enqueues the copy.
    pub fn new(x: Tensor<2, Int>) -> Self {
        let (post, device) = (Post::default(), x.device());
        let kept = Tensor::from_dispatch(<Dispatch as Ops>::send(x.into_dispatch(), post.clone()));
        Self { post, device, waited: false, _kept: kept }
    }

    /// Waits for the copy and returns its numbers.
    ///
    /// # Panics
    /// When the device failed, as reading a tensor does.
    pub fn wait(mut self) -> Vec<i32> {
        let word = |b: &[u8]| i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        match self.arrived() {
            Some(Ok(bytes)) => bytes.chunks_exact(4).map(word).collect(),
            Some(Err(why)) => panic!("what was computed could not be read: {why}"),
            None => panic!("a copy to the host was not launched"),
        }
    }

    /// Waits for the bytes; `None` if the copy was never enqueued.
    fn arrived(&mut self) -> Option<Result<Vec<u8>, String>> {
        let copy = self.post.take().or_else(|| {
            // A lazy device (Burn's fusion) has not launched it yet.
            let _ = self.device.flush();
            self.post.take()
        });
        self.waited = true;
        copy.map(block_on)
    }
}

/// Waits for a copy that was never read, because a run was stopped or failed. wgpu reuses the staging memory of a
/// copy that is dropped while under way, and the copy that gets it then fails, and everything after it.
impl Drop for Sent {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.arrived();
        }
    }
}
