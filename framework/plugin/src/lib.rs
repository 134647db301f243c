//! Plugins as dynamic libraries, from the Rust that a static plugin is written in.
//!
//! ```
//! # use friction_core::{schemars, BuildContext, Condition, JsonSchema, Kept, Message, PluginConfig, PluginEntry, Reply, Result, TurnContext};
//! # #[derive(Clone, serde::Deserialize, JsonSchema)]
//! # struct Mine {}
//! # impl PluginConfig for Mine { type Output = dyn Condition; fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> { Ok(Box::new(self.clone())) } }
//! # impl Condition for Mine {
//! #     fn ask(&self, cx: &TurnContext) -> Result<Message> { Ok(Message { text: cx.question.into(), phrase: None }) }
//! #     fn keep(&self, reply: &Reply, _: &TurnContext) -> Result<Kept> { Ok(Kept::whole(reply)) }
//! # }
//! friction_core::inventory::submit! {
//!     PluginEntry::condition::<Mine>("mine", "A condition of my own", env!("CARGO_PKG_VERSION"))
//! }
//! friction_plugin::export!(); // as a dynamic library; a static plugin does without this line
//! # fn main() {}
//! ```
//!
//! Everything that the crate submits to `inventory` is exported. The library has its own copy of
//! friction-core; what crosses is `friction_plugin.h`: JSON and f32 slices. A panic becomes an error.
//! [`abi`] is that header, [`guest`] this side of it; the host's side is friction-dylib.
pub mod abi;
pub mod guest;

pub use friction_core;

/// Exports every plugin of the crate and of the crates it links.
#[macro_export]
macro_rules! export {
    () => {
        /// The entry point of `friction_plugin.h`.
        #[unsafe(no_mangle)]
        pub extern "C" fn friction_plugin(host_version: u32) -> *const $crate::abi::Table {
            $crate::guest::table(host_version)
        }
    };
}
