//! Goodfire's autoencoders, and others of their form: one file, such as `Llama-3.1-8B-Instruct-SAE-l19.pth` of
//! `Goodfire/Llama-3.1-8B-Instruct-SAE-l19` or `DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt` of `qresearch`. Model and layer are
//! in the file's name.
//!
//! ReLU, the input as it is: a = relu(x·Wᵀ + b), x̂ = a·Wᵀ + b, with the weights of two layers of PyTorch (`Linear`).
use super::{BOTH, LINEAR, Names, Origin, Sites, loaded, parameters};
use crate::loaded::Loaded;
use crate::parameters::Activation;
use crate::tensors::Tensors;
use friction_core::{Result, Site};

/// Goodfire's names of the two layers.
const GOODFIRE: Names = Names {
    w_enc: "encoder_linear.weight",
    b_enc: "encoder_linear.bias",
    w_dec: "decoder_linear.weight",
    b_dec: "decoder_linear.bias",
};

/// Model and layer of a file: `<model>-SAE-l<layer>.pt`, or `.pth`.
pub fn parts(file: &str) -> Option<(&str, usize)> {
    let stem = file.strip_suffix(".pth").or_else(|| file.strip_suffix(".pt"))?;
    let (model, layer) = stem.rsplit_once("-SAE-l")?;
    Some((model, layer.parse().ok()?)).filter(|(model, _)| !model.is_empty())
}

/// The site that it reads and reconstructs.
pub fn sites(o: &Origin) -> Sites {
    let site = parts(o.file()).map(|(_, layer)| Site::ResidPost(layer));
    (site, site)
}

/// The hub's name of a model, where its owner is known.
fn model(name: &str) -> String {
    match name.split('-').next() {
        Some("Llama") => format!("meta-llama/{name}"),
        Some("DeepSeek") => format!("deepseek-ai/{name}"),
        _ => name.into(),
    }
}

/// Loads the parameters.
///
/// # Errors
/// When a tensor is missing, unknown or of the wrong shape.
pub fn load(o: &Origin, t: &Tensors) -> Result<Loaded> {
    let names = if t.has(LINEAR.w_enc) { &LINEAR } else { &GOODFIRE };
    t.only(&[names.w_enc, names.b_enc, names.w_dec, names.b_dec], "an autoencoder of this form")?;
    let parameters = parameters(t, names, BOTH, Activation::Relu, false)?;
    Ok(loaded(parameters, sites(o), parts(o.file()).map(|(name, _)| model(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_names() {
        for (file, of, layer) in [
            ("Llama-3.1-8B-Instruct-SAE-l19.pth", "meta-llama/Llama-3.1-8B-Instruct", 19),
            ("Llama-3.3-70B-Instruct-SAE-l50.pt", "meta-llama/Llama-3.3-70B-Instruct", 50),
            ("DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 19),
        ] {
            assert_eq!(parts(file).map(|(name, l)| (model(name), l)), Some((of.to_string(), layer)));
        }
        for other in ["-SAE-l1.pt", "x-SAE-l.pt", "x-SAE-l1.bin", "ae.pt", ""] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
