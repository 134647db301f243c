//! Whether an autoencoder was trained on the model that it is used with, as far as the names of the two tell: names of the
//! hub and of TransformerLens, such as `google/gemma-3-4b-it`, `gemma-2-2b` and `meta-llama/Meta-Llama-3-8B`.
use crate::load::{Found, Loaded};
use friction_checkpoint::families::{FAMILIES, Family};
use friction_checkpoint::{Checkpoint, Source};
use friction_core::{BuildContext, Error, Result};

/// How names of models begin that have autoencoders and are of no family that is read.
const OTHERS: [&str; 2] = ["gpt2", "pythia"];

/// What a model's name says.
struct Known {
    /// The name in lower case, without its owner.
    bare: String,
    /// How it begins, and the family of the names that begin so. `None` if the beginning is not known, as of most models
    /// that others have tuned.
    line: Option<(&'static str, Option<&'static Family>)>,
    /// Number of parameters: `270m`, `1.7b`.
    size: Option<String>,
}

impl Known {
    /// Reads a name; `None` for one that only its owner knows, such as the path of a folder.
    fn of(name: &str) -> Option<Self> {
        // Autoencoders that this project trained name a source.
        let name = match name.split_once(':') {
            Some(("hf", name)) => name,
            Some(_) => return None,
            None => name,
        };
        let bare = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let bare = bare.strip_prefix("meta-").unwrap_or(&bare).to_string();
        let begins = |line: &str| {
            let rest = bare.strip_prefix(line);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'))
        };
        let read = FAMILIES.iter().flat_map(|f| f.names.iter().map(move |line| (*line, Some(*f))));
        let all = read.chain(OTHERS.into_iter().map(|line| (line, None)));
        let line = all.filter(|(line, _)| begins(line)).max_by_key(|(line, _)| line.len());
        let number = |word: &str| word.strip_suffix(['b', 'm']).is_some_and(|n| n.parse::<f64>().is_ok());
        let size = bare.split(['-', '_']).find(|word| number(word)).map(String::from);
        Some(Self { line, size, bare })
    }

    /// What tells variants apart. Not all who name a base model write `pt`.
    fn words(&self) -> Vec<&str> {
        self.bare.split(['-', '_']).filter(|word| !["pt", "hf"].contains(word)).collect()
    }
}

/// How the model of an autoencoder and a study's model stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Nothing tells them apart.
    Same,
    /// One may be tuned from the other.
    Variant,
    /// They are different models.
    Other,
}

/// Compares the name that an autoencoder gives with the name of the study's model, where that is known; `reads` tells
/// whether the study's model may be of a family.
fn fit(own: &Known, model: Option<&Known>, reads: &dyn Fn(&Family) -> bool) -> Fit {
    let Some((line, family)) = own.line else {
        return if model.is_some_and(|m| m.words() != own.words()) { Fit::Variant } else { Fit::Same };
    };
    let of_another = !family.is_some_and(reads);
    let named_otherwise = model.is_some_and(|m| {
        let sizes = own.size.as_ref().zip(m.size.as_ref());
        m.line.is_some_and(|(other, _)| other != line || sizes.is_some_and(|(a, b)| a != b))
    });
    match model {
        _ if of_another || named_otherwise => Fit::Other,
        Some(m) if m.words() != own.words() => Fit::Variant,
        _ => Fit::Same,
    }
}

impl Found {
    /// Checks that the autoencoder belongs to a study's model, where its files or their names say on which model it was
    /// trained. Returns a warning if that was another variant of the model, such as the base model of a tuned one.
    ///
    /// # Errors
    /// If it was another model, or the study's model cannot be found.
    pub fn fits(&self, loaded: &Loaded, cx: &BuildContext) -> Result<Option<String>> {
        let Some((trained, own)) = loaded.model.as_ref().and_then(|name| Some((name, Known::of(name)?))) else {
            return Ok(None);
        };
        let checkpoint = Checkpoint::of(cx).map_err(Error::other)?;
        let named = match &checkpoint.source {
            Source::Hub(id) => Known::of(id),
            _ => None,
        };
        // Converters write Mistral's GGUF files as Llama's.
        let as_llama = matches!(checkpoint.source, Source::Gguf(_)) && checkpoint.arch.family.gguf.contains(&"llama");
        let converted = |f: &Family| as_llama && f.gguf.is_empty() && f.interleaved;
        let reads = |f: &Family| f.name == checkpoint.arch.family.name || converted(f);
        let model = &checkpoint.source;
        match fit(&own, named.as_ref(), &reads) {
            Fit::Same => Ok(None),
            Fit::Variant => Ok(Some(format!(
                "the autoencoder was trained on {trained}, and the run's model is {model}: features of a base model and of a model tuned from it need not be the same; take the autoencoder of this model, if there is one"
            ))),
            Fit::Other => Err(Error::config(format!(
                "{} was trained on {trained}, and the study's model is {model}, which is of the family {}: take an autoencoder of this model",
                self.config.as_deref().unwrap_or(&self.tensors).display(),
                checkpoint.arch.family.name
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_tell_models_apart() {
        for (trained, model, family, want) in [
            ("google/gemma-3-4b-it", Some("google/gemma-3-4b-it"), "Gemma 3", Fit::Same),
            ("gemma-2-2b", Some("google/gemma-2-2b"), "Gemma 2", Fit::Same),
            ("google/gemma-3-4b-pt", Some("google/gemma-3-4b-it"), "Gemma 3", Fit::Variant),
            ("gemma-2-2b", Some("google/gemma-3-1b-pt"), "Gemma 3", Fit::Other),
            ("meta-llama/Meta-Llama-3-8B", Some("meta-llama/Llama-3-8B"), "Llama", Fit::Same),
            // As wide as each other.
            ("meta-llama/Meta-Llama-3-8B", Some("meta-llama/Llama-3.1-8B"), "Llama", Fit::Other),
            ("meta-llama/Llama-3.1-8B", Some("meta-llama/Llama-3.1-70B"), "Llama", Fit::Other),
            ("meta-llama/Llama-3.1-8B", Some("mistralai/Mistral-7B-v0.1"), "Mistral", Fit::Other),
            ("Qwen/Qwen3-8B-Base", Some("Qwen/Qwen3-8B"), "Qwen 3", Fit::Variant),
            ("Qwen/Qwen2.5-7B-Instruct", None, "Qwen 2", Fit::Same),
            ("HuggingFaceTB/SmolLM2-135M", None, "Llama", Fit::Same),
            ("gpt2-small", None, "Llama", Fit::Other),
            ("gpt2-small", Some("google/gemma-3-270m"), "Gemma 3", Fit::Other),
            // Whose name tells no family may be tuned from any.
            ("meta-llama/Llama-3.1-8B-Instruct", Some("NousResearch/Hermes-3-Llama-3.1-8B"), "Llama", Fit::Variant),
            ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", Some("meta-llama/Llama-3.1-8B"), "Llama", Fit::Variant),
            ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", None, "Llama", Fit::Same),
            ("gemmax", None, "Llama", Fit::Same),
        ] {
            let (own, named) = (Known::of(trained).unwrap(), model.and_then(Known::of));
            let got = fit(&own, named.as_ref(), &|f| f.name == family);
            assert_eq!(got, want, "{trained}, {model:?} of {family}");
        }
        assert!(Known::of("path:models/gemma-3-4b").is_none() && Known::of("bundled:organism").is_none());
        assert_eq!(Known::of("hf:google/gemma-3-270m-it").unwrap().size.as_deref(), Some("270m"));
    }
}
