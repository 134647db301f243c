//! EleutherAI's sparsify: `layers.10/cfg.json` and `layers.10/sae.safetensors`, of a repository such as
//! `EleutherAI/sae-llama-3-8b-32x`. The folder is called as the module whose output is read; `config.json` of the whole run,
//! above it, says the model.
//!
//! TopK, the decoder's bias subtracted first: pre = (x − b_dec)·Wᵀ + b; the k largest, where they are above 0;
//! x̂ = a·W_dec + b_dec. The file holds the encoder `[width, input]` and W_dec `[width, output]`.
use super::{Names, Origin, Sites, Transposed, agrees, count, loaded, parameters};
use crate::loaded::Loaded;
use crate::parameters::Activation;
use crate::tensors::Tensors;
use friction_core::{Result, Site};
use serde_json::Value;

const NAMES: Names = Names { w_enc: "encoder.weight", b_enc: "encoder.bias", w_dec: "W_dec", b_dec: "b_dec" };
/// Name of the file of weights, and of the configuration of a run.
pub const FILES: (&str, &str) = ("sae.safetensors", "config.json");

/// The site that it reads and reconstructs. Only of blocks is a module's output a site in every model.
///
/// # Errors
/// When it is a transcoder.
pub fn sites(o: &Origin) -> Result<Sites> {
    check(&o.json()?).map_err(|what| o.misconfigured(what))?;
    let layer = o.folders().first().and_then(|f| f.strip_prefix("layers.")?.parse().ok());
    let site = layer.map(Site::ResidPost);
    Ok((site, site))
}

/// Refuses what is not computed.
fn check(c: &Value) -> std::result::Result<(), String> {
    let asks = |key: &str| c.get(key).and_then(Value::as_bool) == Some(true);
    if asks("transcode") || asks("skip_connection") {
        return Err("is a transcoder (`transcode`, `skip_connection`), which is not read: versions of sparsify differ in whether they subtract `b_dec` first, and the file does not say which wrote it".into());
    }
    if asks("signed") {
        return Err("`signed` is true, which is not supported: activations would be below 0".into());
    }
    match c.get("activation").filter(|a| !a.is_null()) {
        Some(Value::String(a)) if a == "topk" => Ok(()),
        None => Ok(()),
        Some(other) => Err(format!("the activation {other} is not known; \"topk\" is")),
    }
}

/// The model that the run above says.
fn model(o: &Origin) -> Option<String> {
    let run = o.config?.parent()?.parent()?.join(FILES.1);
    let c = run.exists().then(|| crate::configuration::read(&run).ok()).flatten()?;
    c.get("model").and_then(Value::as_str).map(String::from)
}

/// Loads the parameters.
///
/// # Errors
/// When a tensor is missing, unknown or of the wrong shape, or the configuration asks for what is not computed.
pub fn load(o: &Origin, t: &Tensors) -> Result<Loaded> {
    let c = o.json()?;
    let sites = sites(o)?;
    t.only(&[NAMES.w_enc, NAMES.b_enc, NAMES.w_dec, NAMES.b_dec], "an autoencoder of sparsify")?;
    let k = count("k", c.get("k")).map_err(|what| o.misconfigured(what))?;
    let how = Transposed { encoder: true, decoder: false };
    let parameters = parameters(t, &NAMES, how, Activation::TopK(k), true)?;
    let latents = c.get("num_latents").filter(|n| n.as_u64() != Some(0));
    agrees("d_in", c.get("d_in"), parameters.input()).map_err(|what| o.misconfigured(what))?;
    agrees("num_latents", latents, parameters.width()).map_err(|what| o.misconfigured(what))?;
    Ok(loaded(parameters, sites, model(o)))
}
