//! Writes an autoencoder in SAELens' format, as its version 6 writes and loads it (`SAE.load_from_disk`).
use crate::normalize::Normalize;
use crate::parameters::{Activation, Parameters};
use crate::train::Training;
use crate::{lens, release};
use friction_core::{Error, Position, Result, Site};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value, json};

/// Provenance of an autoencoder, for the configuration's metadata.
pub struct About<'a> {
    /// Site that it reads.
    pub site: Site,
    /// Token positions that it was trained on.
    pub position: Position,
    /// Source string of the model whose activations it was trained on.
    pub model: &'a str,
    /// Name of the run that the activations are from, where they are a run's.
    pub run: Option<&'a str>,
    /// Longest prefix of a text that was read, in tokens, where that was limited.
    pub context: Option<usize>,
    /// Number of training tokens.
    pub tokens: usize,
}

/// Names and contents of `sae_weights.safetensors` and `cfg.json`.
///
/// # Errors
/// When the parameters have a skip connection or normalisation, which are not written.
pub fn files(p: &Parameters, o: &Training, about: &About) -> Result<Vec<(String, Vec<u8>)>> {
    if p.skip.is_some() || p.normalize != Normalize::None || p.input() != p.output() {
        return Err(Error::other("only autoencoders without skip connection and normalisation are written"));
    }
    let (d, n) = (p.input(), p.width());
    let (w_enc, w_dec) = (p.w_enc.all(), p.w_dec.all());
    let mut tensors = vec![
        ("W_enc", vec![d, n], &w_enc),
        ("b_enc", vec![n], &p.b_enc),
        ("W_dec", vec![n, d], &w_dec),
        ("b_dec", vec![d], &p.b_dec),
    ];
    let mut config = json!({
        "architecture": "standard", "d_in": d, "d_sae": n, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": p.centred, "normalize_activations": "none",
        // TransformerLens keeps heads in a dimension of their own.
        "reshape_activations": if matches!(about.site, Site::AttnOut(_)) { "hook_z" } else { "none" },
    });
    match &p.activation {
        Activation::Relu => {}
        Activation::TopK(k) => {
            config["architecture"] = json!("topk");
            config["k"] = json!(k);
            config["rescale_acts_by_decoder_norm"] = json!(false);
        }
        Activation::JumpRelu(t) => {
            config["architecture"] = json!("jumprelu");
            tensors.push(("threshold", vec![n], t));
        }
    }
    config["metadata"] = Value::Object(metadata(o, about));
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((n, s, _), b)| {
            Ok((*n, TensorView::new(Dtype::F32, s.clone(), b).map_err(|e| Error::other(e.to_string()))?))
        })
        .collect::<Result<Vec<_>>>()?;
    let weights = safetensors::serialize(views, None).map_err(|e| Error::other(e.to_string()))?;
    Ok(vec![("sae_weights.safetensors".into(), weights), ("cfg.json".into(), format!("{config:#}\n").into_bytes())])
}

/// SAELens' metadata, by its own names where it has them. Without `sae_lens_version` SAELens takes a configuration
/// for one from before version 6 and ignores this table.
fn metadata(o: &Training, about: &About) -> Map<String, Value> {
    let mut m = Map::new();
    let mut add = |key: &str, value: Value| m.insert(key.into(), value);
    add("sae_lens_version", json!(lens::VERSION));
    // Null, because SAELens did not train it.
    add("sae_lens_training_version", Value::Null);
    add("model_name", json!(about.model.strip_prefix("hf:").unwrap_or(about.model)));
    add("hook_name", json!(lens::hook(about.site)));
    add("hook_head_index", Value::Null);
    if let Some(module) = release::module(about.site) {
        add("hf_hook_name", json!(module));
    }
    add("context_size", json!(about.context));
    add("prepend_bos", json!(true));
    add("model_from_pretrained_kwargs", json!({}));
    add("trained_by", json!(concat!("friction ", env!("CARGO_PKG_VERSION"))));
    add("run", json!(about.run));
    add("site", json!(about.site));
    add("position", json!(about.position));
    add("tokens", json!(about.tokens));
    add("steps", json!(o.steps));
    add("batch", json!(o.batch));
    add("rate", json!(o.rate));
    add("seed", json!(o.seed));
    add("target_l0", json!(o.k));
    m
}
