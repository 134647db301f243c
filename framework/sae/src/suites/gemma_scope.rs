//! Gemma Scope (of Gemma 2): `layer_20/width_16k/average_l0_71/params.npz` of a repository such as
//! `google/gemma-scope-2b-pt-res`. There is no configuration: model and site are in the repository's name, the layer in the
//! folder's.
//!
//! JumpReLU, the input as it is: pre = x·W_enc + b_enc; a = pre where pre > threshold; x̂ = a·W_dec + b_dec.
use super::{MATRICES, NEITHER, Names, Origin, Sites, loaded, parameters};
use crate::loaded::Loaded;
use crate::parameters::Activation;
use crate::tensors::Tensors;
use friction_core::{Result, Site};

/// What an autoencoder of a repository reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// The residual stream after a block.
    Residual,
    /// Concatenated heads, before their projection.
    Heads,
    /// What the MLP adds to the residual stream.
    Mlp,
    /// A transcoder's input.
    Transcoder,
}

/// What a repository's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Release {
    model: String,
    reads: Reads,
}

/// Reads a repository's name: `gemma-scope-2b-pt-res`.
fn release(name: &str) -> Option<Release> {
    let mut parts = name.strip_prefix("gemma-scope-")?.split('-');
    let size = parts.next().filter(|s| ["2b", "9b", "27b"].contains(s))?;
    // The hub's base models have no suffix.
    let tuned = match parts.next()? {
        "pt" => "",
        "it" => "-it",
        _ => return None,
    };
    let reads = match parts.next()? {
        "res" => Reads::Residual,
        "att" => Reads::Heads,
        "mlp" => Reads::Mlp,
        "transcoders" => Reads::Transcoder,
        _ => return None,
    };
    parts.next().is_none().then(|| Release { model: format!("google/gemma-2-{size}{tuned}"), reads })
}

/// The site that it reads and reconstructs.
///
/// # Errors
/// When it is a transcoder, or one of the embedding.
pub fn sites(o: &Origin) -> Result<Sites> {
    let folders = o.folders();
    let layer = folders.iter().find_map(|f| f.strip_prefix("layer_")?.parse().ok());
    if layer.is_none() && folders.iter().any(|f| f == "embedding") {
        return Err(o.wrong(
            "is an autoencoder of the embedding, which is not read: its bias has the scale of unscaled embeddings, and the release does not say how to apply it",
        ));
    }
    let site = match o.repository(release).map(|r| r.reads) {
        Some(Reads::Transcoder) => {
            return Err(o.wrong(
                "is a transcoder of Gemma Scope, which is not read: it reads the MLP's norm before the norm's weights are applied, which is no site",
            ));
        }
        Some(Reads::Residual) => layer.map(Site::ResidPost),
        Some(Reads::Heads) => layer.map(Site::AttnOut),
        Some(Reads::Mlp) => layer.map(Site::MlpOut),
        None => None,
    };
    Ok((site, site))
}

/// Loads the parameters.
///
/// # Errors
/// When a tensor is missing, unknown or of the wrong shape.
pub fn load(o: &Origin, t: &Tensors) -> Result<Loaded> {
    let sites = sites(o)?;
    // Some of the release's files write their matrices in lower case.
    let lower = t.has("w_enc");
    let names = if lower { Names { w_enc: "w_enc", w_dec: "w_dec", ..MATRICES } } else { MATRICES };
    t.only(&[names.w_enc, names.w_dec, "b_enc", "b_dec", "threshold"], "an autoencoder of Gemma Scope")?;
    let activation = Activation::JumpRelu(t.vector("threshold")?);
    let parameters = parameters(t, &names, NEITHER, activation, false)?;
    Ok(loaded(parameters, sites, o.repository(release).map(|r| r.model)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn repositories_name_the_model_and_what_is_read() {
        let of = |name: &str| release(name).map(|r| (r.model, r.reads));
        let is = |model: &str, reads| Some((model.to_string(), reads));
        assert_eq!(of("gemma-scope-2b-pt-res"), is("google/gemma-2-2b", Reads::Residual));
        assert_eq!(of("gemma-scope-9b-it-res"), is("google/gemma-2-9b-it", Reads::Residual));
        assert_eq!(of("gemma-scope-27b-pt-res"), is("google/gemma-2-27b", Reads::Residual));
        assert_eq!(of("gemma-scope-9b-pt-att"), is("google/gemma-2-9b", Reads::Heads));
        assert_eq!(of("gemma-scope-2b-pt-transcoders"), is("google/gemma-2-2b", Reads::Transcoder));
        for other in ["gemma-scope-2-4b-it", "gemma-scope-2b-pt", "gemma-scope-2b-pt-res-x", "gemma-2-2b", ""] {
            assert_eq!(release(other), None, "{other}");
        }
    }

    #[test]
    fn folders_name_the_layer() {
        let at = |path: &str, repository| {
            let told = sites(&Origin { config: None, tensors: Path::new(path), repository });
            told.map(|(reads, _)| reads).map_err(|e| e.to_string())
        };
        let file = "layer_20/width_16k/average_l0_71/params.npz";
        assert_eq!(at(file, Some("google/gemma-scope-2b-pt-res")), Ok(Some(Site::ResidPost(20))));
        assert_eq!(at(file, Some("google/gemma-scope-2b-pt-att")), Ok(Some(Site::AttnOut(20))));
        assert_eq!(at(&format!("/x/gemma-scope-2b-pt-mlp/{file}"), None), Ok(Some(Site::MlpOut(20))));
        assert_eq!(
            at(&format!("/x/models--google--gemma-scope-9b-pt-res/snapshots/1/{file}"), None),
            Ok(Some(Site::ResidPost(20)))
        );
        assert_eq!(at(file, None), Ok(None));
        let transcoder = at(file, Some("google/gemma-scope-2b-pt-transcoders"));
        assert!(transcoder.is_err_and(|e| e.contains("transcoder of Gemma Scope")));
        let embedding = at("embedding/width_4k/average_l0_6/params.npz", Some("google/gemma-scope-2b-pt-res"));
        assert!(embedding.is_err_and(|e| e.contains("of the embedding")));
    }
}
