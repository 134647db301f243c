//! `reconstruct`: an arm in which activations are replaced by an autoencoder's reconstruction of them.
use crate::options::At;
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Arm, Autoencoder, BuildContext, Edit, EditOp, Error, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry,
    Result, Site,
};
use friction_sae::{Source, edit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

const NAME: &str = "reconstructed";

/// Replaces activations by what a sparse autoencoder reconstructs of them: what the answers lose is what its features do
/// not hold. The replies of the arm `reconstructed` stand beside those of the untouched control.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"sae": {"source": "hf:google/gemma-scope-2-4b-it", "sae": "resid_post/17/16k/medium"}}))]
pub(crate) struct Reconstruct {
    /// The autoencoder, named as for the analyzer `gemma-scope`.
    sae: Source,
    /// Where the activations are replaced: the site that the autoencoder reads. Default: what its files say. Set it where
    /// they do not say; one that contradicts them is refused.
    #[serde(default)]
    site: Option<Site>,
    /// The tokens at which they are replaced.
    #[serde(default = "all")]
    at: At,
    /// First and last turn in which they are replaced, from 1: `[2, 5]`. Default: all turns.
    #[serde(default)]
    turns: Option<(usize, usize)>,
    /// Conditions that have the arm: levels of factors, such as `{ completion = "interrupt" }`. Default: all.
    #[serde(default, rename = "where")]
    only: BTreeMap<String, String>,
}
fn all() -> At {
    At::All
}

impl PluginConfig for Reconstruct {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.take(self.sae.validate().map_err(|e| e.under("sae")));
        let wrong = self.turns.is_some_and(|(first, last)| first == 0 || last < first);
        faults.when(wrong, "turns", "`turns` is [first, last], from 1");
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let found = self.sae.find(&cx.base)?;
        let (reads, writes) = found.sites(self.site)?;
        let file = found.tensors.display().to_string();
        if reads != writes {
            let what =
                format!("{file} is a transcoder: it reads `{reads}` and writes `{writes}`, and replaces nothing");
            return Err(Error::at("sae", what));
        }
        let loaded = found.load()?;
        found.fits(&loaded, cx).map_err(|e| e.under("sae"))?;
        let autoencoder = edit::autoencoder(&loaded.parameters).map_err(|e| e.under("sae"))?;
        Ok(Box::new(Reconstructing { options: self.clone(), site: reads, file, autoencoder: Arc::new(autoencoder) }))
    }
}

struct Reconstructing {
    options: Reconstruct,
    site: Site,
    /// Path of the weights, for messages.
    file: String,
    autoencoder: Arc<Autoencoder>,
}

impl Hook for Reconstructing {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let (o, site) = (&self.options, self.site);
        let (own, width) = (self.autoencoder.decoder_bias.len(), model.width(site)?);
        if own != width {
            return Err(Error::config(format!(
                "{} is {own} wide, but `{site}` of {} is {width} wide: it belongs to another model",
                self.file, model.name
            )));
        }
        let op = EditOp::Reconstruct(self.autoencoder.clone());
        let edit = Edit { name: NAME.into(), site, at: o.at.into(), turns: o.turns, gate: None, op };
        let arm = Arm { name: NAME.into(), strengths: [(NAME.to_string(), 1.0)].into(), only: o.only.clone() };
        Ok(HookProgram { edits: vec![edit], arms: vec![Arm::default(), arm], ..HookProgram::default() })
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Reconstruct>("reconstruct", "An arm with activations replaced by an autoencoder's reconstruction", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::{Encoder, Position};
    use friction_sae::train::{Kind, Training};
    use friction_sae::write::{About, files};
    use friction_sae::{Activation, Normalize, Parameters};

    #[test]
    fn the_arm_replaces_activations_of_the_right_width() {
        let options: Reconstruct = toml::from_str("sae = { source = \"path:x\" }\nturns = [2, 3]").unwrap();
        options.validate().unwrap();
        let autoencoder = Autoencoder {
            encoder: Encoder { weights: vec![1.0, 0.0, 0.0, 1.0], bias: vec![0.0; 2] },
            least: vec![0.0; 2],
            k: None,
            decoder: vec![2.0, 0.0, 0.0, 2.0],
            decoder_bias: vec![0.0; 2],
        };
        let model =
            |hidden| ModelSpec { name: "tiny".into(), layers: 2, hidden, attn_width: 8, vocab: 9, parameters: 1 };
        let hook =
            Reconstructing { options, site: Site::ResidPost(1), file: "f".into(), autoencoder: autoencoder.into() };
        let program = hook.program(&model(2)).unwrap();
        program.validate(&model(2)).unwrap();
        assert_eq!(program.edits[0].op.on_host(&[3.0, -1.0], 1.0, None).unwrap(), [6.0, 0.0]);
        assert!(hook.program(&model(3)).unwrap_err().to_string().contains("another model"));
        let wrong: Reconstruct = toml::from_str("sae = { source = \"x\" }\nturns = [0, 3]").unwrap();
        let told = wrong.validate().unwrap_err().to_string();
        assert!(told.contains("`turns`") && told.contains("`hf:`"), "{told}");
    }

    /// A folder with an autoencoder that was trained on a model, at a site.
    fn trained(model: &str, site: Site) -> tempfile::TempDir {
        let parameters = Parameters {
            w_enc: vec![0.5; 8].into(),
            b_enc: vec![0.0; 2],
            w_dec: vec![0.5; 8].into(),
            b_dec: vec![0.0; 4],
            skip: None,
            activation: Activation::Relu,
            centred: false,
            normalize: Normalize::None,
        };
        let training = Training { kind: Kind::TopK, width: 2, k: 1, steps: 1, batch: 1, rate: 1e-3, seed: 0 };
        let about = About { site, position: Position::All, model, run: None, context: None, tokens: 1 };
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files(&parameters, &training, &about).unwrap() {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        dir
    }

    #[test]
    fn an_autoencoder_of_another_model_or_site_is_refused() {
        let told = |model: &str, more: &str| {
            let dir = trained(model, Site::ResidPost(1));
            let reconstruct: Reconstruct = toml::from_str(&format!("sae = {{ source = \"path:.\" }}\n{more}")).unwrap();
            let steer: crate::options::Steer =
                toml::from_str(&format!("sae = {{ source = \"path:.\" }}\nfeature = 1\ndoses = [1.0]\n{more}"))
                    .unwrap();
            let cx = serde_json::json!({"base": dir.path(), "seed": 0, "model": {"source": "random:gemma-3-270m"}, "backend": {}});
            let cx: BuildContext = serde_json::from_value(cx).unwrap();
            [reconstruct.build(&cx), steer.build(&cx)]
                .map(|built| built.err().map(|e| e.to_string()).unwrap_or_default())
        };
        assert_eq!(told("hf:google/gemma-3-270m-it", "site = \"resid_pre.2\""), ["", ""]);
        assert_eq!(told("bundled:organism", ""), ["", ""]);
        for (model, more, words) in [
            ("hf:meta-llama/Llama-3.2-1B", "", "was trained on meta-llama/Llama-3.2-1B, and the study's model is"),
            ("hf:google/gemma-3-270m-it", "site = \"resid_post.3\"", "`site` is `resid_post.3`"),
        ] {
            assert!(told(model, more).iter().all(|e| e.contains(words)), "{model}: {:?}", told(model, more));
        }
    }
}
