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
//!
//! # Guides
//!
//! One for each kind of plugin, with the road through the code and an example that is compiled and run:
//! [`condition`](guide::condition), [`dataset`](guide::dataset), [`topics`](guide::topics),
//! [`hook`](guide::hook), [`analyzer`](guide::analyzer); and [`library`](guide::library) for what crosses
//! the border, in Rust or in C.
pub mod abi;
pub mod guest;

/// How to write a plugin of each kind.
pub mod guide {
    #[doc = include_str!("../guide/analyzer.md")]
    pub mod analyzer {}
    #[doc = include_str!("../guide/condition.md")]
    pub mod condition {}
    #[doc = include_str!("../guide/dataset.md")]
    pub mod dataset {}
    #[doc = include_str!("../guide/hook.md")]
    pub mod hook {}
    #[doc = include_str!("../guide/library.md")]
    pub mod library {}
    #[doc = include_str!("../guide/topics.md")]
    pub mod topics {}
}

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
