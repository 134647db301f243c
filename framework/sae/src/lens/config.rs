//! The settings of a SAELens configuration, with SAELens' defaults.
use super::Told;
use super::keys::Keys;
use crate::normalize::Normalize;
use serde_json::Value;

/// The activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// ReLU.
    Relu,
    /// The k largest of a row.
    TopK,
    /// A threshold per feature.
    JumpRelu,
    /// Gated: active where a separate gate is above 0.
    Gated,
}

/// A SAELens architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// SAELens' name.
    pub name: &'static str,
    /// The activation function.
    pub gate: Gate,
    /// Whether it reconstructs another site than it reads.
    pub transcoder: bool,
    /// Whether it has an affine skip connection.
    pub skip: bool,
}

const fn kind(name: &'static str, gate: Gate, transcoder: bool, skip: bool) -> Kind {
    Kind { name, gate, transcoder, skip }
}

const KINDS: [Kind; 8] = [
    kind("standard", Gate::Relu, false, false),
    kind("topk", Gate::TopK, false, false),
    kind("jumprelu", Gate::JumpRelu, false, false),
    kind("gated", Gate::Gated, false, false),
    kind("transcoder", Gate::Relu, true, false),
    kind("skip_transcoder", Gate::Relu, true, true),
    kind("jumprelu_transcoder", Gate::JumpRelu, true, false),
    kind("jumprelu_skip_transcoder", Gate::JumpRelu, true, true),
];

impl Kind {
    /// The names of its tensors.
    pub fn tensors(self) -> impl Iterator<Item = &'static str> {
        let gate: &[&str] = match self.gate {
            Gate::Relu | Gate::TopK => &["b_enc"],
            Gate::JumpRelu => &["b_enc", "threshold"],
            Gate::Gated => &["b_gate", "r_mag", "b_mag"],
        };
        let skip: &[&str] = if self.skip { &["W_skip"] } else { &[] };
        ["W_enc", "W_dec", "b_dec"].into_iter().chain(gate.iter().copied()).chain(skip.iter().copied())
    }
}

/// How activations are scaled before encoding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    /// Each row on its own.
    Row(Normalize),
    /// All by one factor, which scales the mean norm to √d and is stored in a file beside the configuration.
    Average,
}

/// The settings of a configuration.
pub struct Config {
    /// The architecture.
    pub kind: Kind,
    /// Whether SAELens 6 wrote it.
    pub six: bool,
    /// Whether `b_dec` is subtracted from the input.
    pub centred: bool,
    /// How activations are scaled before encoding.
    pub scaling: Scaling,
    /// k of a TopK autoencoder; 0 for others.
    pub k: usize,
    /// Whether pre-activations are multiplied by the norms of the decoder's rows, and activations divided by them.
    pub rescale: bool,
    /// Whether per-feature factors of a fine-tuned decoder apply.
    pub finetuned: bool,
}

impl Config {
    pub fn of(keys: &Keys) -> Told<Self> {
        let six = keys.six()?;
        let kind = architecture(keys, six)?;
        let centred = keys.flag("apply_b_dec_to_input", true)?;
        if centred && kind.transcoder {
            return Err(format!(
                "`apply_b_dec_to_input` is true (its default), which a {} cannot do: say false",
                kind.name
            ));
        }
        let scaling = scaling(keys)?;
        if kind.transcoder && scaling != Scaling::Row(Normalize::None) {
            return Err("`normalize_activations` of a transcoder is not supported; fold it into the weights".into());
        }
        let rescale = keys.flag("rescale_acts_by_decoder_norm", false)?;
        if rescale && kind.gate != Gate::TopK {
            return Err(format!("`rescale_acts_by_decoder_norm` is of topk autoencoders; this is `{}`", kind.name));
        }
        if let Some(head) = keys.about("hook_head_index")? {
            return Err(format!("it reads one head (`hook_head_index` is {head}), which is not supported"));
        }
        match keys.word("reshape_activations")?.unwrap_or("none") {
            "none" => {}
            // Concatenated heads, as in `attn_out`.
            "hook_z" if keys.about_word("hook_name")?.is_none_or(|h| h.ends_with("_z")) => {}
            other => return Err(format!("`reshape_activations` is `{other}`, which is not supported")),
        }
        if let Some(s) = keys.get("scaling_factor")?.filter(|s| s.as_f64() != Some(1.0)) {
            return Err(format!("`scaling_factor` is {s}, which is not supported; fold it into the weights"));
        }
        let k = if kind.gate == Gate::TopK { k(keys)? } else { 0 };
        let finetuned = keys.flag("finetuning_scaling_factor", false)?;
        Ok(Self { kind, six, centred, scaling, k, rescale, finetuned })
    }
}

/// The architecture. Before version 6 a TopK autoencoder was a standard one with the activation `topk`.
fn architecture(keys: &Keys, six: bool) -> Told<Kind> {
    let name = match keys.word("architecture")? {
        Some(name) => name,
        None if six => return Err("says no `architecture`".into()),
        None => "standard",
    };
    let known = || KINDS.map(|k| k.name).join(", ");
    let kind = KINDS.into_iter().find(|k| k.name == name).ok_or_else(|| match name {
        "batchtopk" | "matryoshka_batchtopk" => format!(
            "the architecture `{name}` is one of training, which looks at a whole batch; SAELens saves it for inference as jumprelu"
        ),
        _ => format!("the architecture `{name}` is not known; {} are", known()),
    })?;
    match (keys.word("activation_fn")?.unwrap_or("relu"), kind.gate) {
        ("relu", _) | ("topk", Gate::TopK) => Ok(kind),
        ("topk", Gate::Relu) if !kind.transcoder && !six => Ok(KINDS[1]),
        ("topk", _) => Err(format!("the activation `topk` contradicts the architecture `{name}`")),
        (other, _) => Err(format!("the activation `{other}` is not known; relu and topk are")),
    }
}

/// The k of a TopK configuration.
fn k(keys: &Keys) -> Told<usize> {
    let arguments = match keys.get("activation_fn_kwargs")? {
        None => None,
        Some(Value::Object(m)) => Some(m),
        Some(other) => return Err(format!("`activation_fn_kwargs` is {other}, not a table")),
    };
    if let Some(other) = arguments.and_then(|m| m.keys().find(|key| *key != "k")) {
        return Err(format!("`activation_fn_kwargs` holds `{other}`, which is not supported; `k` is"));
    }
    let older = arguments.and_then(|m| m.get("k")).filter(|k| !k.is_null());
    let k = match (older, keys.get("k")?) {
        (Some(a), Some(b)) if a != b => return Err(format!("`k` is {b}, but {a} in `activation_fn_kwargs`")),
        (a, b) => a.or(b).ok_or("a topk autoencoder needs `k`")?,
    };
    let whole = k.as_u64().and_then(|k| usize::try_from(k).ok()).filter(|k| *k > 0);
    whole.ok_or_else(|| format!("`k` is {k}, not a whole number from 1"))
}

fn scaling(keys: &Keys) -> Told<Scaling> {
    Ok(match keys.get("normalize_activations")? {
        None | Some(Value::Bool(false)) => Scaling::Row(Normalize::None),
        Some(Value::Bool(true)) => Scaling::Average,
        Some(Value::String(s)) => match s.as_str() {
            "none" => Scaling::Row(Normalize::None),
            "expected_average_only_in" => Scaling::Average,
            "constant_norm_rescale" => Scaling::Row(Normalize::ConstantNorm),
            "layer_norm" => Scaling::Row(Normalize::LayerNorm),
            other => {
                return Err(format!(
                    "`normalize_activations` is `{other}`, which is not supported; none, expected_average_only_in, constant_norm_rescale and layer_norm are"
                ));
            }
        },
        Some(other) => return Err(format!("`normalize_activations` is {other}, which is not supported")),
    })
}
