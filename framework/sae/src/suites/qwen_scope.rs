//! Qwen-Scope (arXiv 2605.11887): `layer12.sae.pt` of a repository such as `Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50`. There
//! is no configuration: model, width and k are in the repository's name, the layer in the file's.
//!
//! TopK, the input as it is: pre = x·W_encᵀ + b_enc; the k largest, where they are above 0; x̂ = a·W_decᵀ + b_dec. The file
//! holds W_enc `[width, input]` and W_dec `[output, width]`.
use super::{BOTH, MATRICES, Origin, Sites, loaded, parameters};
use crate::loaded::Loaded;
use crate::parameters::Activation;
use crate::tensors::Tensors;
use friction_core::{Result, Site};

/// What a repository's name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    model: String,
    width: usize,
    k: usize,
}

/// Reads a repository's name: `SAE-Res-Qwen3-1.7B-Base-W32K-L0_50`.
pub fn release(name: &str) -> Option<Release> {
    let (model, rest) = name.strip_prefix("SAE-Res-")?.rsplit_once("-W")?;
    let (width, k) = rest.split_once("K-L0_")?;
    let width = width.parse::<usize>().ok()?.checked_mul(1024)?;
    Some(Release { model: format!("Qwen/{model}"), width, k: k.parse().ok().filter(|k| *k > 0)? })
}

/// The layer of a file: `layer12.sae.pt`.
pub fn layer(file: &str) -> Option<usize> {
    file.strip_prefix("layer")?.strip_suffix(".sae.pt")?.parse().ok()
}

/// The site that it reads and reconstructs.
pub fn sites(o: &Origin) -> Sites {
    let site = layer(o.file()).map(Site::ResidPost);
    (site, site)
}

/// Loads the parameters.
///
/// # Errors
/// When the repository is not known, or a tensor is missing, unknown or of the wrong shape.
pub fn load(o: &Origin, t: &Tensors) -> Result<Loaded> {
    let of = o.repository(release).ok_or_else(|| {
        o.wrong("does not say how many features are active; the repository's name does: put it into a folder called as the repository, such as `SAE-Res-Qwen3-1.7B-Base-W32K-L0_50`")
    })?;
    t.only(&["W_enc", "W_dec", "b_enc", "b_dec"], "an autoencoder of Qwen-Scope")?;
    let parameters = parameters(t, &MATRICES, BOTH, Activation::TopK(of.k), false)?;
    if parameters.width() != of.width {
        let (name, is) = (of.width, parameters.width());
        return Err(o.wrong(format!("has {is} features, but its repository's name says {name}: it is of another")));
    }
    Ok(loaded(parameters, sites(o), Some(of.model)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_files_are_told_by_their_names() {
        let of = |name: &str| release(name).map(|r| (r.model, r.width, r.k));
        let is = |model: &str, width, k| Some((format!("Qwen/{model}"), width, k));
        assert_eq!(of("SAE-Res-Qwen3-1.7B-Base-W32K-L0_50"), is("Qwen3-1.7B-Base", 32768, 50));
        assert_eq!(of("SAE-Res-Qwen3-8B-Base-W64K-L0_100"), is("Qwen3-8B-Base", 65536, 100));
        assert_eq!(of("SAE-Res-Qwen3.5-27B-W80K-L0_100"), is("Qwen3.5-27B", 81920, 100));
        for other in [
            "SAE-Res-Qwen3-8B-Base-W64K",
            "Qwen3-8B",
            "SAE-Res-X-W64K-L0_0",
            "SAE-Res-X-W99999999999999999999K-L0_1",
            "",
        ] {
            assert_eq!(release(other), None, "{other}");
        }
        assert_eq!((layer("layer0.sae.pt"), layer("layer27.sae.pt")), (Some(0), Some(27)));
        assert_eq!((layer("layer.sae.pt"), layer("layer1.pt"), layer("xlayer1.sae.pt")), (None, None, None));
    }
}
