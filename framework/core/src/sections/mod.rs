//! The fixed sections of a manifest.
mod aside;
mod backend;
mod factor;
mod generation;
mod model;
mod options;
mod plugins;
mod primary;
mod study;

pub use aside::{After, AsideSection};
pub use backend::{BackendKind, BackendSection, BatchSize};
pub use factor::{DesignSection, FactorSection, TextOrList};
pub use generation::{GenerationSection, Thinking};
pub use model::{ModelDtype, ModelSection, Quantize};
pub use options::{NamingOthers, OptionOrder, OptionsSection};
pub use plugins::{LibraryEntry, PluginsSection, ProcessEntry};
pub use primary::{Direction, PrimarySection, Unparsed, unit as contrast_unit};
pub use study::{Draws, StudySection};

use crate::issues::{Path, Step};
use schemars::{JsonSchema, SchemaGenerator};

/// Where a key that is unknown at `path` is a key: `max_new_tokens` of `[study]` is one of `[generation]`.
pub(crate) fn elsewhere(name: &str, path: &Path) -> Option<String> {
    fn keys<T: JsonSchema>() -> Vec<String> {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
        schema.get("properties").and_then(|p| p.as_object()).map_or(vec![], |p| p.keys().cloned().collect())
    }
    type Keys = fn() -> Vec<String>;
    let here = |section: &str| path.0.first() == Some(&Step::Key(section.into()));
    let sections: [(&str, Keys); 4] = [
        ("study", keys::<StudySection>),
        ("model", keys::<ModelSection>),
        ("backend", keys::<BackendSection>),
        ("generation", keys::<GenerationSection>),
    ];
    let (section, _) = sections.into_iter().find(|(s, keys)| !here(s) && keys().iter().any(|k| k == name))?;
    Some(format!("`{name}` is a key of `[{section}]`"))
}
