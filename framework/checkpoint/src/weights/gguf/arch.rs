//! The architecture that a GGUF file's metadata describe.
use super::keys::{Keys, shown};
use super::{Gguf, Meta};
use crate::arch::{Arch, RopeParameters, Scaling};
use crate::families::{FAMILIES, Family};
use crate::reader::layers::MOST;
use crate::reader::within;
use crate::{Error, Result};
use serde_json::{Value, json};

/// Tokens that end a turn. Files of base models do not list them as end tokens, but a chat's turn ends there.
const ENDS: [&str; 4] = ["<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>"];

/// The value of `general.architecture`, and the family of that name.
///
/// # Errors
/// When it is not known.
fn family(gguf: &Gguf) -> Result<(&str, &'static Family)> {
    let told = match gguf.meta("general.architecture") {
        Some(Meta::Text(a)) => a.as_str(),
        other => return Err(Error::format(gguf.path(), format!("architecture {other:?}; it must be a name"))),
    };
    FAMILIES.iter().find(|f| f.gguf.contains(&told)).map(|f| (told, *f)).ok_or_else(|| {
        let known: Vec<_> = FAMILIES.iter().flat_map(|f| f.gguf).map(|g| format!("`{g}`")).collect();
        Error::format(gguf.path(), format!("architecture `{told}`; friction runs {}", known.join(", ")))
    })
}

/// Rows of a query or key projection, in the order of RoPE in halves. GGUF files of some families hold the rows of a head
/// interleaved: row 2j + i of the file is row i × head_dim / 2 + j. `shape` is that of the matrix, or of the bias.
pub(super) fn halves(rows: &[f32], head_dim: usize, shape: &[usize]) -> Vec<f32> {
    let width = shape.get(1).copied().unwrap_or(1);
    let half = head_dim / 2;
    let from = |row: usize| row / head_dim * head_dim + 2 * (row % half) + row % head_dim / half;
    (0..rows.len() / width).flat_map(|row| &rows[from(row) * width..(from(row) + 1) * width]).copied().collect()
}

impl Gguf {
    /// The architecture, from the metadata. Embeddings are tied unless there is an `output.weight`.
    ///
    /// # Errors
    /// When it is of no known family, or a key or tensor contradicts what is computed.
    pub fn arch(&self) -> Result<&Arch> {
        if let Some(arch) = self.arch.get() {
            return Ok(arch);
        }
        let (architecture, family) = family(self)?;
        let keys = Keys { gguf: self, architecture, family };
        let mut arch = Arch::from_json(&self.path, &self.config(&keys)?, None)?;
        let id = |key: &str| match self.meta(key) {
            None => Ok(None),
            Some(Meta::Int(n)) if u32::try_from(*n).is_ok() => Ok(u32::try_from(*n).ok()),
            Some(other) => Err(keys.err(format!("`{key}` is {}, which is no token id", shown(other)))),
        };
        arch.bos = id("tokenizer.ggml.bos_token_id")?.or(arch.bos);
        let mut eos = vec![];
        for key in ["eos", "eot", "eom"].map(|end| format!("tokenizer.ggml.{end}_token_id")) {
            if let Some(id) = id(&key)? {
                within(&self.path, &key, id, arch.vocab)?;
                eos.push(id);
            }
        }
        if let Some(Meta::Texts(tokens)) = self.meta("tokenizer.ggml.tokens") {
            let named = tokens.iter().enumerate().filter(|(_, t)| ENDS.contains(&t.as_str()));
            eos.extend(named.map(|(i, _)| i as u32));
        }
        eos.sort_unstable();
        eos.dedup();
        arch.eos = if eos.is_empty() { arch.family.eos.to_vec() } else { eos };
        let arch = arch.checked(&self.path)?;
        keys.agree(&arch)?;
        Ok(self.arch.get_or_init(|| arch))
    }

    /// Rows of the embedding: the size of the vocabulary.
    fn vocab(&self) -> Result<usize> {
        let table = self.tensors.get("token_embd.weight").and_then(|t| t.shape.first().copied());
        table.ok_or_else(|| Error::format(&self.path, "tensor `token_embd.weight` is missing"))
    }

    /// A config.json that says what the metadata say.
    fn config(&self, keys: &Keys) -> Result<Value> {
        let (layers, hidden, heads) =
            (keys.size("block_count")?, keys.size("embedding_length")?, keys.size("attention.head_count")?);
        if layers > MOST {
            return Err(keys.err(format!("{layers} layers are out of range")));
        }
        let context = keys.size("context_length")?;
        let has = |part: &str| self.tensors.contains_key(&format!("blk.0.{part}.bias"));
        let mut c = json!({
            "model_type": keys.family.model_types[0],
            "hidden_size": hidden,
            "intermediate_size": keys.size("feed_forward_length")?,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": keys.size_or_none("attention.head_count_kv")?.unwrap_or(heads),
            "head_dim": keys.size_or_none("attention.key_length")?.unwrap_or(hidden / heads),
            "vocab_size": self.vocab()?,
            "max_position_embeddings": context,
            "rms_norm_eps": keys.above("attention.layer_norm_rms_epsilon", 1e-6)?,
            "rope_theta": keys.above("rope.freq_base", 1e4)?,
            "tie_word_embeddings": !self.tensors.contains_key("output.weight"),
        });
        if keys.family.keys.contains(&"mlp_bias") {
            c["mlp_bias"] = json!(has("ffn_gate"));
        }
        if keys.family.keys.contains(&"attention_bias") && has("attn_output") {
            c["attention_bias"] = json!(true);
        }
        if let Some((kind, factor)) = keys.scaling()? {
            let original = keys.size_or_none("rope.scaling.original_context_length")?.unwrap_or(context);
            c["rope_scaling"] = match kind {
                "yarn" => json!({"rope_type": kind, "factor": factor, "original_max_position_embeddings": original}),
                _ => json!({"rope_type": kind, "factor": factor}),
            };
        }
        if let Some(scaling) = self.llama3(keys, c["rope_theta"].as_f64().unwrap_or(1e4))? {
            c["rope_scaling"] = scaling;
        }
        (keys.family.from_gguf)(keys, &mut c)?;
        Ok(c)
    }

    /// Llama 3.1's scaling, which files hold as a tensor of divisors of the frequencies.
    fn llama3(&self, keys: &Keys, theta: f64) -> Result<Option<Value>> {
        const NAME: &str = "rope_freqs.weight";
        // llama.cpp reads them for Llama and its kin, whose rows are interleaved.
        let Some(info) = self.tensors.get(NAME).filter(|_| keys.family.interleaved) else { return Ok(None) };
        let divisors = self.numbers(info);
        let factor = f64::from(divisors.iter().copied().fold(0.0, f32::max));
        let (low, high, original) = (1.0, 4.0, 8192.0);
        let scaling = Scaling::Llama3 { factor, low, high, original };
        let wanted = RopeParameters { theta, scaling }.inverse_frequencies(2 * divisors.len());
        let plain = RopeParameters { theta, scaling: Scaling::Default }.inverse_frequencies(2 * divisors.len());
        let agrees = |((d, w), p): ((&f32, &f32), &f32)| (p / w / d - 1.0).abs() < 1e-3;
        if divisors.iter().zip(&wanted).zip(&plain).all(agrees) {
            return Ok(Some(json!({"rope_type": "llama3", "factor": factor, "low_freq_factor": low,
                "high_freq_factor": high, "original_max_position_embeddings": original})));
        }
        Err(keys.err(format!("`{NAME}` does not hold Llama 3.1's divisors of RoPE, and no others are known")))
    }
}
