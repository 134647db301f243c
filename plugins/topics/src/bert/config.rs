//! What a checkpoint of sentence-transformers consists of, and the shape of its BERT. What is not computed here is refused
//! by name: an embedding that left something out would look like any other.
use super::files::Files;
use friction_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;

/// The modules of a checkpoint: `modules.json` and what it leads to. There must be a transformer, the mean over its
/// tokens, and perhaps the division of that mean by its length.
#[derive(Debug, PartialEq)]
pub(super) struct Modules {
    /// The folder of the transformer: empty, or with a slash at its end.
    pub folder: String,
    /// Whether embeddings are divided by their length.
    pub normalize: bool,
    /// Most tokens of a text, `[CLS]` and `[SEP]` included, if the checkpoint sets it.
    pub max_seq_length: Option<usize>,
    /// Whether texts are put in lower case before they are tokenised.
    pub lower: bool,
    /// Width of the embeddings, if the checkpoint tells.
    pub width: Option<u64>,
}

fn refused(what: impl Into<String>) -> Error {
    Error::config(what)
}

impl Modules {
    pub fn read(files: &mut Files) -> Result<Self> {
        let modules = files.json("modules.json")?;
        let modules: Vec<(&str, &str)> = modules
            .as_array()
            .into_iter()
            .flatten()
            .map(|m| (m["type"].as_str().unwrap_or("?"), m["path"].as_str().unwrap_or("")))
            .collect();
        // `sentence_transformers.models.Pooling`; later versions insert folders of their own.
        let kinds: Vec<&str> = modules.iter().map(|(kind, _)| kind.rsplit('.').next().unwrap_or(kind)).collect();
        if let Some(other) = kinds.iter().find(|k| !["Transformer", "Pooling", "Normalize"].contains(k)) {
            let what = "Transformer, Pooling and Normalize are computed";
            return Err(refused(format!("modules.json: the module `{other}` is not computed here; {what}")));
        }
        let normalize = match kinds[..] {
            ["Transformer", "Pooling"] => false,
            ["Transformer", "Pooling", "Normalize"] => true,
            _ => {
                let what = "it must be Transformer, Pooling and perhaps Normalize";
                return Err(refused(format!("modules.json lists {kinds:?}; {what}")));
            }
        };
        let folder =
            |path: &str| if path.is_empty() { String::new() } else { format!("{}/", path.trim_end_matches('/')) };
        let (transformer, pooling) = (folder(modules[0].1), folder(modules[1].1));
        let width = pooled(&files.json(&format!("{pooling}config.json"))?)?;
        let settings = files.json_if_any(&format!("{transformer}sentence_bert_config.json"))?;
        if let Some(task) = settings["transformer_task"].as_str().filter(|t| *t != "feature-extraction") {
            return Err(refused(format!("sentence_bert_config.json: the task `{task}` is not computed here")));
        }
        let all = files.json_if_any("config_sentence_transformers.json")?;
        if let Some(prompt) = all["default_prompt_name"].as_str() {
            let what = "prompts are not put before texts here";
            return Err(refused(format!(
                "config_sentence_transformers.json: `default_prompt_name` is `{prompt}`; {what}"
            )));
        }
        Ok(Self {
            folder: transformer,
            normalize,
            max_seq_length: settings["max_seq_length"].as_u64().map(|n| n as usize),
            lower: settings["do_lower_case"].as_bool().unwrap_or(false),
            width,
        })
    }
}

/// Checks that the pooling is the mean over tokens, as versions of before 6 and as later ones write it. Returns the width.
fn pooled(config: &Value) -> Result<Option<u64>> {
    let mut modes: Vec<String> = match &config["pooling_mode"] {
        Value::String(mode) => vec![mode.clone()],
        Value::Array(all) => all.iter().map(|m| m.as_str().map_or_else(|| m.to_string(), String::from)).collect(),
        _ => vec![],
    };
    for (key, on) in config.as_object().into_iter().flatten() {
        if let (Some(mode), Some(true)) = (key.strip_prefix("pooling_mode_"), on.as_bool()) {
            modes.push(mode.trim_end_matches("_tokens").trim_end_matches("_token").into());
        }
    }
    if modes != ["mean"] {
        return Err(refused(format!("the pooling is {modes:?}; the mean over tokens, `mean`, is computed here")));
    }
    Ok(config["word_embedding_dimension"].as_u64().or(config["embedding_dimension"].as_u64()))
}

/// The activation between the two products of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Activation {
    /// x Φ(x), by the error function.
    #[default]
    Gelu,
    /// Its approximation by tanh (Hendrycks & Gimpel 2016, arXiv 1606.08415).
    #[serde(alias = "gelu_pytorch_tanh")]
    GeluNew,
    /// max(x, 0).
    Relu,
}

/// The shape of a BERT, by the names of its `config.json`.
#[derive(Debug, Deserialize)]
pub(super) struct BertConfig {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    #[serde(default = "two")]
    pub type_vocab_size: usize,
    #[serde(default = "eps")]
    pub layer_norm_eps: f64,
    #[serde(default)]
    pub hidden_act: Activation,
}
fn two() -> usize {
    2
}
fn eps() -> f64 {
    1e-12
}

impl BertConfig {
    pub fn read(files: &mut Files, modules: &Modules) -> Result<Self> {
        let name = format!("{}config.json", modules.folder);
        let json = files.json(&name)?;
        let family = json["model_type"].as_str().unwrap_or("none");
        if family != "bert" {
            return Err(refused(format!("{name}: `model_type` is `{family}`; `bert` is computed here")));
        }
        let positions = json["position_embedding_type"].as_str().unwrap_or("absolute");
        if positions != "absolute" {
            let what = "absolute positions are computed here";
            return Err(refused(format!("{name}: `position_embedding_type` is `{positions}`; {what}")));
        }
        if json["is_decoder"] == true {
            return Err(refused(format!("{name}: `is_decoder` is true; an encoder is computed here")));
        }
        let config: Self = serde_json::from_value(json).map_err(|e| refused(format!("{name}: {e}")))?;
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            let (width, heads) = (config.hidden_size, config.num_attention_heads);
            return Err(refused(format!("{name}: {heads} attention heads do not share a width of {width}")));
        }
        if let Some(width) = modules.width.filter(|w| *w != config.hidden_size as u64) {
            return Err(refused(format!("the pooling is of width {width}, the transformer of {}", config.hidden_size)));
        }
        Ok(config)
    }
}
