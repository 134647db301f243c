//! Builds plugins as dynamic libraries, from the same Rust code as a plugin that is linked into the program.
//!
//! ```
//! # use friction_core::{schemars, BuildContext, Condition, Ask, JsonSchema, PluginConfig, PluginEntry, Result, TurnContext};
//! # #[derive(Clone, serde::Deserialize, JsonSchema)]
//! # struct Mine {}
//! # impl PluginConfig for Mine { type Output = dyn Condition; fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> { Ok(Box::new(self.clone())) } }
//! # impl Condition for Mine {
//! #     fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> { Ok(Some(Ask::new(cx.prompt))) }
//! # }
//! friction_core::inventory::submit! {
//!     PluginEntry::condition::<Mine>("mine", "A condition of my own", env!("CARGO_PKG_VERSION"))
//! }
//! friction_plugin::export!(); // as a dynamic library; a static plugin does without this line
//! # fn main() {}
//! ```
//!
//! Everything that the crate submits to `inventory` is exported. The library has its own copy of friction-core. Host
//! and library exchange JSON and f32 slices through the C interface of `friction_plugin.h`. A panic becomes an error.
//! [`abi`] is that header in Rust, [`guest`] the library's side of it; the host's side is friction-dylib.
//!
//! # Guides
//!
//! One for each kind of plugin, with when it is called and an example that is compiled and run:
//! [`condition`](guide::condition), [`dataset`](guide::dataset), [`topics`](guide::topics),
//! [`hook`](guide::hook), [`analyzer`](guide::analyzer); [`library`](guide::library) for what crosses
//! the border, in Rust or in C; and [`process`](guide::process) for plugins that are not called but spoken to, as in Python.
pub mod abi;
pub mod guest;

/// How to write a plugin of each kind: the pages of `framework/guide/extend`, whose examples are compiled and run here.
///
/// The pages link to files, for readers of the repository. Definitions that stand before them make the same names links
/// to this documentation.
pub mod guide {
    #[doc = "[`needs`]: friction_core::Analyzer::needs"]
    #[doc = "[`foresee`]: friction_core::Analyzer::foresee"]
    #[doc = "[`analyze`]: friction_core::Analyzer::analyze"]
    #[doc = "[`RunReader`]: friction_core::RunReader"]
    #[doc = "[`Findings`]: friction_core::Findings"]
    #[doc = "[`Estimate`]: friction_core::Estimate"]
    #[doc = "[`Block`]: friction_core::Block"]
    #[doc = "[`Verdict`]: friction_core::Verdict"]
    #[doc = "[`Table`]: friction_core::Table"]
    #[doc = "[`Needs`]: friction_core::Needs"]
    #[doc = "[`Outcome`]: friction_core::Outcome"]
    #[doc = include_str!("../../guide/extend/analyzer.md")]
    pub mod analyzer {}
    #[doc = "[`opening`]: friction_core::Condition::opening"]
    #[doc = "[`ask`]: friction_core::Condition::ask"]
    #[doc = "[`keep`]: friction_core::Condition::keep"]
    #[doc = "[`rounds`]: friction_core::Condition::rounds"]
    #[doc = "[`bounds`]: friction_core::Condition::bounds"]
    #[doc = "[`Exchange`]: friction_core::Exchange"]
    #[doc = "[`seed::derive`]: friction_core::seed::derive()"]
    #[doc = "[`BuildContext`]: friction_core::BuildContext"]
    #[doc = include_str!("../../guide/extend/condition.md")]
    pub mod condition {}
    #[doc = "[`build`]: friction_core::PluginConfig::build"]
    #[doc = "[`item`]: friction_core::Dataset::item"]
    #[doc = "[`opening`]: friction_core::Dataset::opening"]
    #[doc = "[`ordered`]: friction_core::Dataset::ordered"]
    #[doc = "[`notes`]: friction_core::Dataset::notes"]
    #[doc = "[`Item`]: friction_core::Item"]
    #[doc = "[`prompt`]: friction_core::Dataset::prompt"]
    #[doc = "[`grade`]: friction_core::Dataset::grade"]
    #[doc = "[`fingerprint`]: friction_core::Dataset::fingerprint"]
    #[doc = "[`Dataset`]: friction_core::Dataset"]
    #[doc = "[`Bank`]: friction_core::choice::Bank"]
    #[doc = "[`friction_core::choice`]: friction_core::choice"]
    #[doc = include_str!("../../guide/extend/dataset.md")]
    pub mod dataset {}
    #[doc = "[`program`]: friction_core::Hook::program"]
    #[doc = "[`read`]: friction_core::Hook::read"]
    #[doc = "[`HookProgram`]: friction_core::HookProgram"]
    #[doc = include_str!("../../guide/extend/hook.md")]
    pub mod hook {}
    #[doc = "[`condition`]: crate::guide::condition"]
    #[doc = "[`friction_plugin::export!()`]: crate::export"]
    #[doc = include_str!("../../guide/extend/library.md")]
    pub mod library {}
    #[doc = include_str!("../../guide/extend/process.md")]
    pub mod process {}
    #[doc = "[`choose`]: friction_core::Topics::choose"]
    #[doc = "[`choose_groups`]: friction_core::Topics::choose_groups"]
    #[doc = "[`seed`]: mod@friction_core::seed"]
    #[doc = include_str!("../../guide/extend/topics.md")]
    pub mod topics {}
}

pub use friction_core;

/// Exports every plugin of the crate, and of the crates that it links, as the function `friction_plugin` of
/// `friction_plugin.h`. Write it once, at the root of the crate.
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
