//! Places in the forward pass (sites), and the tokens at which they are read (positions).
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

/// A place in the forward pass, named as in TransformerLens except for `attn_out`. L counts from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Site {
    /// Scaled embeddings, before the first block; width `hidden`.
    Embed,
    /// Input of block L; width `hidden`.
    ResidPre(usize),
    /// Output of block L; width `hidden`.
    ResidPost(usize),
    /// Concatenated heads before the output projection of block L, which Gemma Scope 2's `attn_out` SAEs read
    /// (TransformerLens: `hook_z`); width `heads × head_dim`.
    AttnOut(usize),
    /// Input of the MLP of block L: output of `pre_feedforward_norm`; width `hidden`.
    MlpIn(usize),
    /// What the MLP of block L adds to the residual stream: output of `post_feedforward_norm`; width `hidden`.
    MlpOut(usize),
    /// Output of the final norm; width `hidden`.
    FinalNorm,
    /// Logits of the next token; width `vocab`.
    Logits,
}

const NAMES: [&str; 8] =
    ["embed", "resid_pre.L", "resid_post.L", "attn_out.L", "mlp_in.L", "mlp_out.L", "final_norm", "logits"];

impl Site {
    /// The block that the site belongs to, from 0; `None` for sites outside the blocks.
    pub fn layer(self) -> Option<usize> {
        match self {
            Site::ResidPre(l) | Site::ResidPost(l) | Site::AttnOut(l) | Site::MlpIn(l) | Site::MlpOut(l) => Some(l),
            Site::Embed | Site::FinalNorm | Site::Logits => None,
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Site::Embed => f.write_str("embed"),
            Site::ResidPre(l) => write!(f, "resid_pre.{l}"),
            Site::ResidPost(l) => write!(f, "resid_post.{l}"),
            Site::AttnOut(l) => write!(f, "attn_out.{l}"),
            Site::MlpIn(l) => write!(f, "mlp_in.{l}"),
            Site::MlpOut(l) => write!(f, "mlp_out.{l}"),
            Site::FinalNorm => f.write_str("final_norm"),
            Site::Logits => f.write_str("logits"),
        }
    }
}

impl FromStr for Site {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let unknown = || {
            let stem = format!("{}.L", s.split('.').next().unwrap_or(s));
            let near = crate::manifest::nearest(&stem, NAMES.iter().copied())
                .map(|n| format!(": did you mean `{n}`?"))
                .unwrap_or_else(|| format!("; sites are {}, where L is a layer from 0", NAMES.join(", ")));
            format!("unknown site `{s}`{near}")
        };
        match s {
            "embed" => return Ok(Site::Embed),
            "final_norm" => return Ok(Site::FinalNorm),
            "logits" => return Ok(Site::Logits),
            _ => {}
        }
        let (name, layer) = s.split_once('.').ok_or_else(unknown)?;
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        Ok(match name {
            "resid_pre" => Site::ResidPre(layer),
            "resid_post" => Site::ResidPost(layer),
            "attn_out" => Site::AttnOut(layer),
            "mlp_in" => Site::MlpIn(layer),
            "mlp_out" => Site::MlpOut(layer),
            _ => return Err(unknown()),
        })
    }
}

/// Largest N of `reply:N`: the longest reply that a manifest may allow.
const MOST_READ: usize = 65_536;

/// The tokens of a turn at which a site is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Position {
    /// The token that predicts the first reply token.
    PromptEnd,
    /// The tokens that predict reply tokens 1 to N: `prompt-end` and the N − 1 tokens after it, one row each. Rows past
    /// the reply's end are NaN.
    Reply(usize),
    /// Every token of the reply (the end id excluded), one row each. An empty reply has one row of NaN.
    ReplyAll,
    /// Mean over all tokens of the reply (the end id excluded).
    ReplyMean,
    /// The last token of the reply (the end id excluded).
    ReplyEnd,
    /// Mean over the tokens of the user's message as prefilled in this turn.
    UserMean,
    /// Every token that this turn added: prompt, then reply.
    All,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::PromptEnd => f.write_str("prompt-end"),
            Position::Reply(n) => write!(f, "reply:{n}"),
            Position::ReplyAll => f.write_str("reply"),
            Position::ReplyMean => f.write_str("reply-mean"),
            Position::ReplyEnd => f.write_str("reply-end"),
            Position::UserMean => f.write_str("user-mean"),
            Position::All => f.write_str("all"),
        }
    }
}

impl FromStr for Position {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Ok(match s {
            "prompt-end" => Position::PromptEnd,
            "reply" => Position::ReplyAll,
            "reply-mean" => Position::ReplyMean,
            "reply-end" => Position::ReplyEnd,
            "user-mean" => Position::UserMean,
            "all" => Position::All,
            _ => match s.strip_prefix("reply:").and_then(|n| n.parse().ok()) {
                Some(n) if (1..=MOST_READ).contains(&n) => Position::Reply(n),
                Some(n) => return Err(format!("the N of `reply:{n}` must be from 1 to {MOST_READ}")),
                _ => {
                    const NAMES: [&str; 7] =
                        ["prompt-end", "reply:N", "reply", "reply-mean", "reply-end", "user-mean", "all"];
                    let near = crate::manifest::nearest(s, NAMES.iter().copied())
                        .map(|n| format!(": did you mean `{n}`?"))
                        .unwrap_or_else(|| format!("; positions are {}", NAMES.join(", ")));
                    return Err(format!("unknown position `{s}`{near}"));
                }
            },
        })
    }
}

macro_rules! as_string {
    ($t:ident, $title:expr, $pattern:expr, $what:expr) => {
        impl schemars::JsonSchema for $t {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($t).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"title": $title, "type": "string", "pattern": $pattern, "description": $what})
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
    };
}
as_string!(
    Site,
    "site",
    r"^(embed|final_norm|logits|(resid_pre|resid_post|attn_out|mlp_in|mlp_out)\.[0-9]+)$",
    "A place in the forward pass, such as `resid_post.17`"
);
as_string!(
    Position,
    "position",
    r"^(prompt-end|reply:[1-9][0-9]*|reply|reply-mean|reply-end|user-mean|all)$",
    "Tokens, such as `prompt-end` or `reply:5`"
);

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn names_round_trip() {
        for s in
            ["embed", "resid_pre.0", "resid_post.17", "attn_out.3", "mlp_in.4", "mlp_out.5", "final_norm", "logits"]
        {
            assert_eq!(s.parse::<Site>().unwrap().to_string(), s);
        }
        for p in ["prompt-end", "reply:5", "reply", "reply-mean", "reply-end", "user-mean", "all"] {
            assert_eq!(p.parse::<Position>().unwrap().to_string(), p);
        }
        assert!("resid_pots.3".parse::<Site>().unwrap_err().contains("resid_post"));
        for wrong in ["reply:0", "reply:65537", "reply:18446744073709551615", "reply:-1", "reply:99999999999999999999"]
        {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
