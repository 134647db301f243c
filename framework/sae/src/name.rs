//! Names of autoencoders in a repository: the short ones of Gemma Scope 2, `resid_post/17/16k/medium`, and paths.
use crate::suites::qwen_scope;
use friction_core::{Error, Result};

/// A parsed short name: folder/layer/width/l0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `resid_post`, `attn_out`, `mlp_out`, `transcoder`, or one of these with `_all`.
    pub folder: String,
    /// Layer of the model, from 0.
    pub layer: usize,
    /// Number of features: `16k`, `65k`, `262k` or `1m`.
    pub width: String,
    /// Target L0: `small`, `medium` or `big`, followed by `_affine` or `_seed_1` for the release's variants.
    pub l0: String,
}

const FOLDERS: [&str; 8] = [
    "resid_post",
    "attn_out",
    "mlp_out",
    "transcoder",
    "resid_post_all",
    "attn_out_all",
    "mlp_out_all",
    "transcoder_all",
];

impl std::str::FromStr for Name {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let wrong = |what: &str| {
            Error::config(format!(
                "`{s}` names no autoencoder of the release: {what}, as in `resid_post/17/16k/medium`"
            ))
        };
        let parts: Vec<&str> = s.split('/').collect();
        let [folder, layer, width, l0] = parts[..] else { return Err(wrong("write folder/layer/width/l0")) };
        if !FOLDERS.contains(&folder) {
            return Err(wrong(&format!("the folders are {}", FOLDERS.join(", "))));
        }
        let layer = layer.parse().map_err(|_| wrong("the second part is a layer"))?;
        if !["16k", "65k", "262k", "1m"].contains(&width) {
            return Err(wrong("widths are 16k, 65k, 262k and 1m"));
        }
        let base = l0.strip_suffix("_affine").or_else(|| l0.strip_suffix("_seed_1")).unwrap_or(l0);
        if !["small", "medium", "big"].contains(&base) {
            return Err(wrong("l0 is small, medium or big"));
        }
        if folder.ends_with("_all") && base == "medium" {
            return Err(wrong("the folders of every layer have l0 small and big only"));
        }
        Ok(Self { folder: folder.into(), layer, width: width.into(), l0: l0.into() })
    }
}

impl Name {
    /// Path of its folder in the repository.
    pub fn path(&self) -> String {
        format!("{}/layer_{}_width_{}_l0_{}", self.folder, self.layer, self.width, self.l0)
    }

    /// Neuronpedia's ids of the model and the set of features, or `None`: Neuronpedia has pages and labels for
    /// `resid_post` with l0 medium only, and the features of other sets are different ones. `repository` is the hub
    /// repository of the release, e.g. `google/gemma-scope-2-4b-it`.
    pub fn neuronpedia(&self, repository: &str) -> Option<(String, String)> {
        let model = repository.strip_prefix("google/gemma-scope-2-")?;
        let model = model.strip_suffix("-pt").unwrap_or(model);
        (self.folder == "resid_post" && self.l0 == "medium")
            .then(|| (format!("gemma-3-{model}"), format!("{}-gemmascope-2-res-{}", self.layer, self.width)))
    }

    /// URL of a feature's page on Neuronpedia, where the set has pages.
    pub fn page(&self, repository: &str, feature: u32) -> Option<String> {
        let (model, set) = self.neuronpedia(repository)?;
        Some(format!("https://www.neuronpedia.org/{model}/{set}/{feature}"))
    }
}

/// What `sae` names in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// An autoencoder of Gemma Scope 2, by its short name.
    Short(Name),
    /// A folder or a file.
    Path(String),
}

/// How the repositories of Gemma Scope 2 begin.
const RELEASE: &str = "google/gemma-scope-2-";

/// The model of a repository of Gemma Scope 2, as the hub calls it; `None` for other repositories.
pub(crate) fn model(repository: &str) -> Option<String> {
    Some(format!("google/gemma-3-{}", repository.strip_prefix(RELEASE)?))
}

impl Inside {
    /// What `sae` names in the hub repository `repository`, or in a folder.
    ///
    /// # Errors
    /// When it is neither a short name nor a path that stays in the repository.
    pub fn of(repository: Option<&str>, sae: &str) -> Result<Self> {
        let released = repository.is_some_and(|r| r.starts_with(RELEASE));
        let known = sae.split('/').next().is_some_and(|first| FOLDERS.contains(&first));
        match sae.parse() {
            Ok(name) => return Ok(Self::Short(name)),
            // The path of its folder is as good a name.
            Err(e) if (released || known) && !sae.contains("/layer_") => return Err(e),
            Err(_) => {}
        }
        let inside = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']);
        if !sae.split('/').all(inside) {
            return Err(Error::config(format!(
                "`{sae}` names no autoencoder: write a short name of Gemma Scope 2, such as `resid_post/17/16k/medium`, or the path of a folder or file in the repository, such as `layer_20/width_16k/average_l0_71` or `layer12.sae.pt`"
            )));
        }
        if let Some(folder) = sae.strip_suffix("/canonical") {
            return Err(Error::config(format!(
                "`{sae}` is SAELens' name for one of the autoencoders in `{folder}`: write its folder, such as `{folder}/average_l0_71`"
            )));
        }
        // Qwen-Scope's files are called by their layers, as SAELens calls them.
        let scope = repository.and_then(|r| qwen_scope::release(r.rsplit('/').next()?)).is_some();
        let file = format!("{sae}.sae.pt");
        Ok(Self::Path(if scope && qwen_scope::layer(&file).is_some() { file } else { sae.into() }))
    }

    /// Its path in the repository.
    pub fn path(&self) -> String {
        match self {
            Self::Short(name) => name.path(),
            Self::Path(path) => path.clone(),
        }
    }

    /// Its short name, where it has one.
    pub fn short(self) -> Option<Name> {
        match self {
            Self::Short(name) => Some(name),
            Self::Path(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    #[test]
    fn short_names_are_the_releases_folders() {
        let n: Name = "resid_post/17/16k/medium".parse().unwrap();
        assert_eq!(n.path(), "resid_post/layer_17_width_16k_l0_medium");
        assert_eq!(
            n.page("google/gemma-scope-2-4b-it", 12).unwrap(),
            "https://www.neuronpedia.org/gemma-3-4b-it/17-gemmascope-2-res-16k/12"
        );
        assert!(n.page("google/gemma-scope-2-4b-pt", 12).unwrap().contains("/gemma-3-4b/17-"));
        assert_eq!(model("google/gemma-scope-2-4b-pt").as_deref(), Some("google/gemma-3-4b-pt"));
        assert_eq!(model("google/gemma-scope-2b-pt-res"), None);
        let affine: Name = "transcoder/9/262k/big_affine".parse().unwrap();
        assert_eq!(affine.path(), "transcoder/layer_9_width_262k_l0_big_affine");
        assert_eq!(affine.page("google/gemma-scope-2-4b-it", 1), None);
        for wrong in [
            "resid_post/17/16k",
            "resid/17/16k/small",
            "resid_post/x/16k/small",
            "resid_post/1/8k/small",
            "resid_post_all/1/16k/medium",
            "resid_post/1/16k/small_affine_affine",
            "resid_post/1/16k/_seed_1",
        ] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_short_or_a_path_that_stays_in_the_repository() {
        let path = |repository, sae: &str| Inside::of(repository, sae).map(|i| i.path()).map_err(|e| e.to_string());
        let (release, scope) = (Some("google/gemma-scope-2-4b-it"), Some("google/gemma-scope-2b-pt-res"));
        let qwen = Some("Qwen/SAE-Res-Qwen3-1.7B-Base-W32K-L0_50");
        for (repository, sae, want) in [
            (release, "resid_post/17/16k/medium", "resid_post/layer_17_width_16k_l0_medium"),
            (None, "resid_post/17/16k/medium", "resid_post/layer_17_width_16k_l0_medium"),
            (release, "resid_post/layer_17_width_16k_l0_medium", "resid_post/layer_17_width_16k_l0_medium"),
            (scope, "layer_20/width_16k/average_l0_71", "layer_20/width_16k/average_l0_71"),
            (qwen, "layer12.sae.pt", "layer12.sae.pt"),
            (qwen, "layer12", "layer12.sae.pt"),
            (None, "layer12", "layer12"),
            (Some("EleutherAI/sae-llama-3-8b-32x"), "layers.10", "layers.10"),
            (
                Some("andyrdt/saes-llama-3.1-8b-instruct"),
                "resid_post_layer_3/trainer_1",
                "resid_post_layer_3/trainer_1",
            ),
        ] {
            assert_eq!(path(repository, sae), Ok(want.to_string()), "{sae}");
        }
        for (repository, sae, words) in [
            (release, "resid_post/17/16k/tiny", "l0 is small, medium or big"),
            (None, "resid_post/17/16k", "write folder/layer/width/l0"),
            (release, "layer12", "names no autoencoder of the release"),
            (scope, "../x", "names no autoencoder: write"),
            (scope, "/etc/passwd", "names no autoencoder: write"),
            (scope, "a//b", "names no autoencoder: write"),
            (scope, "", "names no autoencoder: write"),
            (scope, "a\\b", "names no autoencoder: write"),
            (scope, "layer_20/width_16k/canonical", "`layer_20/width_16k/average_l0_71`"),
        ] {
            let e = path(repository, sae).err().unwrap_or_default();
            assert!(e.contains(words), "{sae}: {e:?} is not {words:?}");
        }
    }
}
