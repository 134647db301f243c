//! Numbers on their way to the host: they are sent before the next work is launched, and waited for after it.
use super::Ops;
use burn::backend::Dispatch;
use burn::tensor::{Device, Int, Tensor};
use burn_cubecl::cubecl::future::block_on;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type OnItsWay = Pin<Box<dyn Future<Output = Result<Vec<u8>, String>> + Send>>;

/// Where the device leaves a copy that it has launched.
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

/// Whole numbers of 32 bits on their way.
pub struct Sent {
    post: Post,
    device: Device,
    waited: bool,
    /// Until it was sent.
    _kept: Tensor<2, Int>,
}

impl Sent {
    /// Sends them.
    pub fn new(x: Tensor<2, Int>) -> Self {
        let (post, device) = (Post::default(), x.device());
        let kept = Tensor::from_dispatch(<Dispatch as Ops>::send(x.into_dispatch(), post.clone()));
        Self { post, device, waited: false, _kept: kept }
    }

    /// Waits for them; it panics where the device failed, as reading a tensor does.
    pub fn wait(mut self) -> Vec<i32> {
        let word = |b: &[u8]| i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        match self.arrived() {
            Some(Ok(bytes)) => bytes.chunks_exact(4).map(word).collect(),
            Some(Err(why)) => panic!("what was computed could not be read: {why}"),
            None => panic!("a copy to the host was not launched"),
        }
    }

    /// The bytes, once they are there.
    fn arrived(&mut self) -> Option<Result<Vec<u8>, String>> {
        let copy = self.post.take().or_else(|| {
            // A lazy device has not launched it yet.
            let _ = self.device.flush();
            self.post.take()
        });
        self.waited = true;
        copy.map(block_on)
    }
}

/// What nobody waited for, since a run was stopped or failed, arrives all the same: wgpu takes the memory of a copy
/// that was let go while it was under way for another one, which then fails, and with it all that follows.
impl Drop for Sent {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.arrived();
        }
    }
}
