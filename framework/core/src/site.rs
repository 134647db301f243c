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

    /// Its name without the layer.
    fn stem(self) -> &'static str {
        match self {
            Site::Embed => "embed",
            Site::ResidPre(_) => "resid_pre",
            Site::ResidPost(_) => "resid_post",
            Site::AttnOut(_) => "attn_out",
            Site::MlpIn(_) => "mlp_in",
            Site::MlpOut(_) => "mlp_out",
            Site::FinalNorm => "final_norm",
            Site::Logits => "logits",
        }
    }
}

/// A site inside the blocks that is named by depth, such as `resid_post.50%`. It stands for a layer once the number of
/// layers is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Depth {
    /// The site in block 0.
    first: Site,
    percent: f64,
}

impl Depth {
    /// Reads a name such as `resid_post.50%`; `None` for anything else.
    pub fn parse(name: &str) -> Option<Self> {
        let (site, percent) = name.strip_suffix('%')?.split_once('.')?;
        let decimal = percent.bytes().all(|b| b.is_ascii_digit() || b == b'.') && percent.starts_with(char::is_numeric);
        Some(Self { first: of_layer(site, 0)?, percent: percent.parse().ok().filter(|_| decimal)? })
    }

    /// The site in a model of `layers` blocks. P % are b = P × `layers` / 100 blocks, rounded half up: `resid_pre` is the
    /// residual stream behind b blocks, and the other sites belong to the b-th block, so that `resid_post.50%` and
    /// `resid_pre.50%` are the same values.
    ///
    /// # Errors
    /// If there is no such block.
    pub fn of(self, layers: usize) -> Result<Site, String> {
        let blocks = (self.percent * layers as f64 / 100.0 + 0.5).floor();
        let layer = if self.first == Site::ResidPre(0) { blocks } else { blocks - 1.0 };
        let there = (0.0..layers as f64).contains(&layer) && self.percent <= 100.0;
        if let Some(site) = of_layer(self.first.stem(), layer as usize).filter(|_| there) {
            return Ok(site);
        }
        let percent = self.percent;
        if self.percent > 100.0 {
            return Err(format!("{} % is more than the whole depth: take 100 % or less", self.percent));
        }
        let (stem, than) = (self.first.stem(), if layer < 0.0 { "larger" } else { "smaller" });
        Err(format!("{percent} % of {layers} blocks are {blocks}, where no block has `{stem}`: take a {than} depth"))
    }
}

/// The site of a block that is called `name`.
fn of_layer(name: &str, layer: usize) -> Option<Site> {
    Some(match name {
        "resid_pre" => Site::ResidPre(layer),
        "resid_post" => Site::ResidPost(layer),
        "attn_out" => Site::AttnOut(layer),
        "mlp_in" => Site::MlpIn(layer),
        "mlp_out" => Site::MlpOut(layer),
        _ => return None,
    })
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer() {
            Some(layer) => write!(f, "{}.{layer}", self.stem()),
            None => f.write_str(self.stem()),
        }
    }
}

impl FromStr for Site {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let unknown = || {
            let stem = format!("{}.L", s.split('.').next().unwrap_or(s));
            let near = crate::suggestion::nearest(&stem, NAMES.iter().copied())
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
        if Depth::parse(s).is_some() {
            return Err(format!("`{s}` is a depth, and here a layer must be named, such as `{name}.17`"));
        }
        let layer: usize = layer.parse().map_err(|_| unknown())?;
        of_layer(name, layer).ok_or_else(unknown)
    }
}

/// Largest N of `reply:N` and `prompt-tail:N`: the longest reply that a manifest may allow.
const MOST_READ: usize = 65_536;

/// The tokens of a turn at which a site is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Position {
    /// The token that predicts the first reply token.
    PromptEnd,
    /// The last N tokens of the prompt, `prompt-end` the last of them, one row each. Rows before the prompt's first token
    /// are NaN.
    PromptTail(usize),
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
            Position::PromptTail(n) => write!(f, "prompt-tail:{n}"),
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
            _ => match s.split_once(':').and_then(|(of, n)| Some((of, n.parse().ok()?))) {
                Some(("reply", n)) if (1..=MOST_READ).contains(&n) => Position::Reply(n),
                Some(("prompt-tail", n)) if (1..=MOST_READ).contains(&n) => Position::PromptTail(n),
                Some((of @ ("reply" | "prompt-tail"), n)) => {
                    return Err(format!("the N of `{of}:{n}` must be from 1 to {MOST_READ}"));
                }
                _ => {
                    const NAMES: [&str; 8] = [
                        "prompt-end",
                        "prompt-tail:N",
                        "reply:N",
                        "reply",
                        "reply-mean",
                        "reply-end",
                        "user-mean",
                        "all",
                    ];
                    let near = crate::suggestion::nearest(s, NAMES.iter().copied())
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
    r"^(embed|final_norm|logits|(resid_pre|resid_post|attn_out|mlp_in|mlp_out)\.[0-9]+(\.[0-9]+%|%)?)$",
    "A place in the forward pass, such as `resid_post.17`, or by depth, such as `resid_post.50%`"
);
as_string!(
    Position,
    "position",
    r"^(prompt-end|prompt-tail:[1-9][0-9]*|reply:[1-9][0-9]*|reply|reply-mean|reply-end|user-mean|all)$",
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
        for p in ["prompt-end", "prompt-tail:8", "reply:5", "reply", "reply-mean", "reply-end", "user-mean", "all"] {
            assert_eq!(p.parse::<Position>().unwrap().to_string(), p);
        }
        let depth = |s: &str, layers| Depth::parse(s).unwrap().of(layers).map(|site| site.to_string());
        assert_eq!(depth("resid_post.50%", 26).unwrap(), "resid_post.12");
        assert_eq!(depth("resid_pre.50%", 26).unwrap(), "resid_pre.13");
        assert_eq!(depth("resid_post.100%", 30).unwrap(), "resid_post.29");
        assert_eq!(depth("mlp_out.33.4%", 30).unwrap(), "mlp_out.9");
        assert_eq!(depth("resid_post.25%", 2).unwrap(), "resid_post.0");
        for (wrong, layers) in [
            ("resid_post.0%", 26),
            ("resid_pre.100%", 26),
            ("attn_out.101%", 64),
            ("resid_post.101%", 4),
            ("mlp_in.1%", 26),
        ] {
            assert!(depth(wrong, layers).is_err(), "{wrong}");
        }
        for other in
            ["resid_post.50", "resid_post.%", "resid_post.-5%", "resid_post.1e1%", "logits.50%", "resid_post.inf%"]
        {
            assert_eq!(Depth::parse(other), None, "{other}");
        }
        assert!("resid_post.50%".parse::<Site>().unwrap_err().contains("a layer must be named"));
        assert!("resid_pots.3".parse::<Site>().unwrap_err().contains("resid_post"));
        assert!("prompt-tail:0".parse::<Position>().unwrap_err().contains("prompt-tail:0"));
        assert!("promt-tail:3".parse::<Position>().unwrap_err().contains("prompt-tail:N"));
        for wrong in ["reply:0", "reply:65537", "reply:18446744073709551615", "reply:-1", "reply:99999999999999999999"]
        {
            assert!(wrong.parse::<Position>().is_err(), "{wrong}");
        }
    }
}
