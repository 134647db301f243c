//! The model families. A family is one file: it reads a configuration into an [`Arch`]. To add one, write its file and add
//! its line to [`FAMILIES`].
mod gemma2;
pub mod gemma3;
mod llama;
mod mistral;
mod olmo2;
mod olmo3;
mod qwen2;
mod qwen3;
mod smollm3;

use crate::Result;
use crate::arch::Arch;
use crate::reader::Reader;
use crate::weights::gguf::Keys;
use friction_core::manifest::nearest;
use serde_json::Value;

/// A model family.
pub struct Family {
    /// Its name, as messages say it.
    pub name: &'static str,
    /// How the names of its models begin on the hub, in lower case and without the owner: autoencoders name their model so.
    /// What follows a beginning is no letter, digit or point.
    pub names: &'static [&'static str],
    /// Values of `model_type` in config.json. The first is that of a text model.
    pub model_types: &'static [&'static str],
    /// Values of `general.architecture` in GGUF files.
    pub gguf: &'static [&'static str],
    /// Keys of config.json that `read` reads or checks, beside those of every family.
    pub keys: &'static [&'static str],
    /// Whether a multimodal checkpoint holds the text model's configuration under `text_config`.
    pub nested: bool,
    /// Whether GGUF files hold the rows of the query and key projections in the order of interleaved RoPE.
    pub interleaved: bool,
    /// Ids that end a reply where no file names any.
    pub eos: &'static [u32],
    /// Reads the table of the text model. Missing keys take the class defaults of transformers.
    pub(crate) read: fn(&Reader) -> Result<Arch>,
    /// Adds what the metadata of a GGUF file say, beside the sizes that all families share, to its configuration.
    pub(crate) from_gguf: fn(&Keys, &mut Value) -> Result<()>,
    /// Names of published shapes, each with its config.json.
    pub shapes: fn() -> Vec<(&'static str, Value)>,
}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// All families, in the order in which messages name them.
pub static FAMILIES: &[&Family] = &[
    &gemma3::FAMILY,
    &gemma2::FAMILY,
    &llama::FAMILY,
    &mistral::FAMILY,
    &qwen2::FAMILY,
    &qwen3::FAMILY,
    &olmo2::FAMILY,
    &olmo3::FAMILY,
    &smollm3::FAMILY,
];

/// The `from_gguf` of families without sliding windows.
///
/// # Errors
/// When the file sets one.
fn full_attention(keys: &Keys, _: &mut Value) -> Result<()> {
    match keys.meta("attention.sliding_window") {
        None => Ok(()),
        Some(_) => {
            let name = keys.family.name;
            Err(keys.err(format!("`attention.sliding_window` is set, which files of {name} do not have")))
        }
    }
}

/// Names of the published shapes of all families, which `random:` takes.
pub fn shapes() -> Vec<&'static str> {
    FAMILIES.iter().flat_map(|f| (f.shapes)()).map(|(name, _)| name).collect()
}

/// The config.json of a published shape; `None` for other names.
pub fn shape(name: &str) -> Option<Value> {
    FAMILIES.iter().flat_map(|f| (f.shapes)()).find(|(n, _)| *n == name).map(|(_, config)| config)
}

/// The error of a name that no published shape has.
pub fn no_shape(name: &str) -> String {
    let all = shapes();
    match nearest(name, all.iter().copied()) {
        Some(near) => format!("no shape is called `{name}`: did you mean `{near}`?"),
        None => format!("no shape is called `{name}`; there are {}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_shape_is_told() {
        let meant = "no shape is called `gemma-3-270`: did you mean `gemma-3-270m`?";
        assert_eq!("random:gemma-3-270".parse::<crate::Source>().map_err(|e| e.to_string()), Err(meant.to_string()));
        assert!(no_shape("else").starts_with("no shape is called `else`; there are gemma-3-270m, "));
    }
}
