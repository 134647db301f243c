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
    /// Until it was sent.
    _kept: Tensor<2, Int>,
}

impl Sent {
    /// Sends them.
    pub fn new(x: Tensor<2, Int>) -> Self {
        let (post, device) = (Post::default(), x.device());
        let kept = Tensor::from_dispatch(<Dispatch as Ops>::send(x.into_dispatch(), post.clone()));
        Self { post, device, _kept: kept }
    }

    /// Waits for them.
    pub fn wait(self) -> Vec<i32> {
        let word = |b: &[u8]| i32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        arrived(&self.post, &self.device).chunks_exact(4).map(word).collect()
    }
}

/// The bytes of a copy; it panics where the device failed, as reading a tensor does.
fn arrived(post: &Post, device: &Device) -> Vec<u8> {
    let copy = post.take().or_else(|| {
        // A lazy device has not launched it yet.
        let _ = device.flush();
        post.take()
    });
    let Some(copy) = copy else { panic!("a copy to the host was not launched") };
    match block_on(copy) {
        Ok(bytes) => bytes,
        Err(why) => panic!("what was computed could not be read: {why}"),
    }
}
