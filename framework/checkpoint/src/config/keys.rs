//! Keys of a `config.json` that are not read. One that could change the forward pass is refused by name, so that no
//! file says one thing while another is computed.
use crate::Result;
use crate::families::Family;
use crate::reader::Reader;
use serde_json::Value;

/// Keys of the forward pass that every family has. A family adds its own.
const READ: &[&str] = &[
    "head_dim",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "partial_rotary_factor",
    "rms_norm_eps",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "vocab_size",
];

fn read(family: &Family, key: &str) -> bool {
    READ.contains(&key) || family.keys.contains(&key)
}

/// Keys that do not change the forward pass: provenance, training, storage, defaults of `generate` (a manifest sets
/// its own), labels of classifiers.
const HARMLESS: &[&str] = &[
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_experts_implementation",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "bad_words_ids",
    "begin_suppress_tokens",
    "cache_implementation",
    "chunk_size_feed_forward",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "id2label",
    "initializer_range",
    "is_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "min_length",
    "model_type",
    "name_or_path",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "original_max_position_embeddings",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "return_dict",
    "return_dict_in_generate",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tie_word_embeddings",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "typical_p",
    "use_bfloat16",
    "use_cache",
];

/// Parts of key names that describe a decoder's computation. Under such a key even `false` or a string may change
/// what is computed.
const TELLING: &[&str] =
    &["norm", "rope", "rotary", "scal", "causal", "activation", "hidden_act", "attention", "softcap"];

fn harmless(key: &str) -> bool {
    HARMLESS.contains(&key)
        || key.starts_with("unsloth_")
        || key.contains("dropout")
        || ["_token_id", "_token_index"].iter().any(|end| key.ends_with(end))
}

/// Whether a value is null or an empty list or table.
fn empty(v: &Value) -> bool {
    match v {
        Value::Null => true,
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        _ => false,
    }
}

/// Refuses keys of the text model's table that are not read and could change the forward pass.
///
/// # Errors
/// Names the first such key.
pub(super) fn known(r: &Reader, family: &Family) -> Result<()> {
    r.map.iter().filter(|(key, _)| !read(family, key)).try_for_each(|(key, v)| unread(r, key, v))
}

/// Checks the table around `text_config`: refuses keys of the forward pass that contradict `text_config`, and unknown
/// ones.
///
/// # Errors
/// Names the first such key.
pub(super) fn around(outer: &Reader, text: &Reader, family: &Family) -> Result<()> {
    // Keys about images or audio do not change the text model.
    let images = ["vision_", "mm_", "image_", "audio_", "projector_"];
    for (key, v) in outer.map.iter().filter(|(_, v)| !v.is_null()) {
        if read(family, key) {
            if text.present(key) != Some(v) {
                return Err(outer.err(format!(
                    "`{key}` = {v} stands beside `text_config`, which does not say so, and transformers does not read it there; remove it"
                )));
            }
        } else if key != "text_config" && !images.iter().any(|i| key.starts_with(i)) {
            unread(outer, key, v)?;
        }
    }
    Ok(())
}

fn unread(r: &Reader, key: &str, v: &Value) -> Result<()> {
    let telling = TELLING.iter().any(|t| key.contains(t)) && key != "add_cross_attention";
    let quiet = matches!(v, Value::Bool(false) | Value::String(_)) && !telling;
    if harmless(key) || empty(v) || quiet {
        return Ok(());
    }
    let name = r.name(key);
    Err(r.err(match key {
        "quantization_config" => {
            format!("{name}: quantised safetensors are not read; take the checkpoint that was quantised, or a GGUF")
        }
        "auto_map" => {
            format!(
                "{name}: the checkpoint brings code of its own, which is not run; friction computes its own families"
            )
        }
        _ => format!("{name} = {v} is not known, and may change what a model computes; remove it if it does not"),
    }))
}
