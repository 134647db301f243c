//! How a checkpoint's `generation_config.json` samples.
use crate::{Checkpoint, Error, Result};
use serde_json::{Map, Value};
use std::path::Path;

/// What a `generation_config.json` says about sampling.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingDefaults {
    /// Divisor of the logits; 0 means greedy decoding.
    pub temperature: f64,
    /// Nucleus sampling; 1 keeps all tokens.
    pub top_p: f64,
    /// Number of most probable tokens that are kept; `None` keeps all.
    pub top_k: Option<usize>,
    /// Its other settings that would change which tokens are picked, each as `key = value`. They are not applied.
    pub others: Vec<String>,
}

/// Settings that change which tokens are picked, and their value that changes nothing.
const OTHERS: [(&str, f64); 12] = [
    ("min_p", 0.0),
    ("top_h", 0.0),
    ("typical_p", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("repetition_penalty", 1.0),
    ("encoder_repetition_penalty", 1.0),
    ("no_repeat_ngram_size", 0.0),
    ("penalty_alpha", 0.0),
    ("num_beams", 1.0),
    ("min_new_tokens", 0.0),
    ("guidance_scale", 1.0),
];

/// Settings that change which tokens are picked wherever they are there.
const LISTS: [&str; 5] =
    ["bad_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id"];

impl SamplingDefaults {
    /// Reads the file's settings.
    ///
    /// # Errors
    /// When one of those that are applied is not a number in its range.
    pub(crate) fn from_json(path: &Path, config: &Value) -> Result<Self> {
        let empty = Map::new();
        let config = config.as_object().unwrap_or(&empty);
        let given = |key: &str| config.get(key).filter(|v| !v.is_null());
        let wrong = |key: &str, v: &Value| Error::format(path, format!("`{key}` is {v}, which is out of range"));
        let number = |key: &str, fits: fn(f64) -> bool| {
            let read = |v: &Value| v.as_f64().filter(|n| fits(*n)).ok_or_else(|| wrong(key, v));
            given(key).map(read).transpose()
        };
        let sampled = given("do_sample").is_some_and(|v| *v == Value::Bool(true));
        let temperature = number("temperature", |t| (0.0..=100.0).contains(&t))?;
        let top_p = number("top_p", |p| p > 0.0 && p <= 1.0)?;
        let top_k = given("top_k").map(|v| v.as_u64().ok_or_else(|| wrong("top_k", v))).transpose()?;
        let mut others: Vec<String> = OTHERS
            .iter()
            .filter_map(|(key, idle)| given(key).filter(|v| v.as_f64() != Some(*idle)).map(|v| format!("{key} = {v}")))
            .collect();
        others.extend(LISTS.iter().filter(|key| given(key).is_some()).map(|key| format!("{key} = …")));
        Ok(if sampled {
            let top_k = top_k.filter(|k| *k > 0).and_then(|k| usize::try_from(k).ok());
            Self { temperature: temperature.unwrap_or(1.0), top_p: top_p.unwrap_or(1.0), top_k, others }
        } else {
            Self { temperature: 0.0, top_p: 1.0, top_k: None, others }
        })
    }
}

impl Checkpoint {
    /// What the checkpoint's `generation_config.json` says about sampling; `None` where it has no such file.
    ///
    /// # Errors
    /// When the file's settings are malformed.
    pub fn sampling_defaults(&self) -> Result<Option<SamplingDefaults>> {
        self.generation.as_ref().map(|(path, config)| SamplingDefaults::from_json(path, config)).transpose()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn of(config: Value) -> Result<SamplingDefaults> {
        SamplingDefaults::from_json(Path::new("generation_config.json"), &config)
    }
    fn limits(config: Value) -> (f64, f64, Option<usize>) {
        let d = of(config).unwrap();
        (d.temperature, d.top_p, d.top_k)
    }

    #[test]
    fn files_of_published_models() {
        // Gemma 3, Llama 3.1, Qwen 2.5, and one that does not sample.
        assert_eq!(limits(json!({"do_sample": true, "top_k": 64, "top_p": 0.95})), (1.0, 0.95, Some(64)));
        assert_eq!(limits(json!({"do_sample": true, "temperature": 0.6, "top_p": 0.9})), (0.6, 0.9, None));
        let qwen = json!({"do_sample": true, "repetition_penalty": 1.05, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "pad_token_id": 1});
        assert_eq!(limits(qwen.clone()), (0.7, 0.8, Some(20)));
        assert_eq!(of(qwen).unwrap().others, ["repetition_penalty = 1.05"]);
        assert_eq!(limits(json!({"temperature": 0.6, "top_p": 0.9, "top_k": 50})), (0.0, 1.0, None));
        assert_eq!(limits(json!({"do_sample": true, "top_k": 0, "top_p": 1.0, "num_beams": 1})), (1.0, 1.0, None));
        assert!(of(json!({"do_sample": false, "min_p": 0.0, "suppress_tokens": null})).unwrap().others.is_empty());
    }

    #[test]
    fn settings_out_of_range_are_told() {
        for bad in [json!({"temperature": -1}), json!({"top_p": 0}), json!({"top_k": 1.5}), json!({"top_p": "x"})] {
            let told = of(bad.clone()).unwrap_err().to_string();
            assert!(told.starts_with("generation_config.json: `") && told.contains("out of range"), "{bad}: {told}");
        }
    }
}
