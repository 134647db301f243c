//! `[generation]`: how replies are generated.
use crate::issues::{Issues, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How replies are generated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"max_new_tokens": 1024, "temperature": 0.0}))]
pub struct GenerationSection {
    /// Longest reply, in tokens. A longer one ends there, in every condition; raise it where the analyzer `behavior` warns
    /// that replies met it.
    #[serde(default = "default_new_tokens")]
    #[schemars(range(min = 1, max = 65536))]
    pub max_new_tokens: usize,
    /// Sampling temperature. 0 is greedy decoding, which takes the most probable token; 1 samples from the model's own
    /// distribution.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub temperature: f64,
    /// Nucleus sampling: only the most probable tokens whose probabilities sum to this are sampled from. The default, 1,
    /// keeps all tokens. It does nothing at `temperature = 0`. Beside `top_k` it limits what that has left.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub top_p: f64,
    /// Only so many of the most probable tokens are sampled from, and those that are as probable as the last of them.
    /// Default: all. It does nothing at `temperature = 0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub top_k: Option<usize>,
    /// Takes `temperature`, `top_p` and `top_k`, as far as they are not given here, from the checkpoint's
    /// `generation_config.json`. The run's manifest and lock record their values. A file without `do_sample = true` means
    /// greedy decoding; with it, `temperature` is 1 where the file has none, and `top_p` and `top_k` limit nothing where
    /// it has none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defaults: bool,
    /// Texts that end a reply, such as `["Question:"]`; 1 to 16. A reply ends as soon as one of them is complete, and is
    /// cut in front of it. Set it for base models, which go on by themselves. The checkpoint's end ids end a reply in any
    /// case.
    #[serde(default, deserialize_with = "stops", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1)))]
    pub stop: Vec<String>,
    /// What the history keeps of a block `<think>…</think>` in a reply. The block is stored with the reply and never
    /// graded, in either case.
    #[serde(default, skip_serializing_if = "Thinking::is_default")]
    pub thinking: Thinking,
}
fn default_new_tokens() -> usize {
    256
}
fn one() -> f64 {
    1.0
}

/// Reads `stop`, which is left out rather than empty.
fn stops<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(d)?;
    if all.is_empty() {
        return Err(serde::de::Error::custom("`stop` is empty; leave it out, or list a text that ends a reply"));
    }
    Ok(all)
}

/// What the history keeps of a block `<think>…</think>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    /// The answer alone: the block is left out of the history.
    #[default]
    Drop,
    /// The whole reply. A chat template may leave the block out all the same; `friction check` warns of it.
    Keep,
}

impl Thinking {
    fn is_default(&self) -> bool {
        *self == Self::Drop
    }
}

impl GenerationSection {
    /// Largest number of entries of `stop`.
    pub const MOST_STOPS: usize = 16;

    /// What is declared here and does nothing. With [`Self::defaults`] it is known once they are read.
    pub(crate) fn idle(&self, path: &Path, warnings: &mut Issues) {
        if !self.defaults {
            self.unsampled(path, warnings);
        }
        // A text that completes before another one does hides it.
        let hides = |long: &str, short: &str| {
            long.match_indices(short).any(|(at, _)| at + short.len() < long.len()) && long != short
        };
        for (i, stop) in self.stop.iter().enumerate() {
            if let Some(other) = self.stop.iter().find(|other| !other.is_empty() && hides(stop, other)) {
                let what = format!("{stop:?} does nothing: a reply ends at {other:?} before");
                warnings.push(path.key("stop").index(i), what, None);
            }
        }
    }

    /// The limits that do nothing because replies are greedy.
    pub fn unsampled(&self, path: &Path, warnings: &mut Issues) {
        for (key, given) in [("top_p", self.top_p < 1.0), ("top_k", self.top_k.is_some())] {
            if given && self.temperature == 0.0 {
                let what = format!("`{key}` does nothing at `temperature = 0`, which is greedy");
                let help = format!("set `temperature` above 0 to sample, or leave `{key}` out");
                warnings.push(path.key(key), what, Some(help));
            }
        }
    }

    pub(crate) fn check(&self, path: &Path, issues: &mut Issues) {
        if !(1..=65536).contains(&self.max_new_tokens) {
            issues.push(path.key("max_new_tokens"), "`max_new_tokens` must be from 1 to 65536", None);
        }
        if !(0.0..=100.0).contains(&self.temperature) {
            issues.push(path.key("temperature"), "`temperature` must be from 0 (greedy) to 100", None);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            issues.push(path.key("top_p"), "`top_p` must be above 0 and at most 1", None);
        }
        if self.top_k == Some(0) {
            let help = "leave it out to sample from all tokens";
            issues.push(path.key("top_k"), "`top_k` must be 1 or more", Some(help.into()));
        }
        if self.stop.len() > Self::MOST_STOPS {
            let what = format!("`stop` has {} texts; at most {} are taken", self.stop.len(), Self::MOST_STOPS);
            issues.push(path.key("stop"), what, None);
        }
        for (i, stop) in self.stop.iter().enumerate() {
            let at = path.key("stop").index(i);
            if stop.is_empty() {
                issues.push(at, "this text is empty, and would end every reply before it begins", None);
            } else if self.stop[..i].contains(stop) {
                issues.push(at, format!("{stop:?} is listed twice"), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Result<GenerationSection, String> {
        toml::from_str(text).map_err(|e| e.to_string())
    }
    fn listed(issues: &Issues) -> Vec<String> {
        issues.0.iter().map(|i| format!("{}: {}", i.path, i.message)).collect()
    }
    fn faults(text: &str) -> Vec<String> {
        let mut issues = Issues::default();
        read(text).unwrap().check(&Path::default(), &mut issues);
        listed(&issues)
    }
    fn warnings(text: &str) -> Vec<String> {
        let mut issues = Issues::default();
        read(text).unwrap().idle(&Path::default(), &mut issues);
        listed(&issues)
    }

    #[test]
    fn stop_strings_are_some_and_not_empty() {
        let sixteen: Vec<String> = (10..26).map(|i| format!("\"{i}\"")).collect();
        assert!(faults(&format!("stop = [{}]", sixteen.join(", "))).is_empty());
        let told = faults(&format!("stop = [{}, \"x\"]", sixteen.join(", ")));
        assert_eq!(told, ["stop: `stop` has 17 texts; at most 16 are taken"]);
        assert!(read("stop = []").unwrap_err().contains("`stop` is empty; leave it out"));
        let told = faults("stop = [\"a\", \"\", \"a\"]");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("stop.1: this text is empty") && told[1] == "stop.2: \"a\" is listed twice");
    }

    #[test]
    fn a_stop_string_that_another_hides_is_told() {
        let told = warnings("stop = [\"Question:\", \"Question\", \"\\n\\nQuestion:\"]");
        assert_eq!(
            told,
            [
                "stop.0: \"Question:\" does nothing: a reply ends at \"Question\" before",
                "stop.2: \"\\n\\nQuestion:\" does nothing: a reply ends at \"Question\" before"
            ]
        );
        // Both are complete at the same letter, and the longer one cuts more.
        assert!(warnings("stop = [\"Question:\", \"\\n\\nQuestion:\"]").is_empty());
    }

    #[test]
    fn limits_of_sampling_need_a_temperature() {
        assert_eq!(faults("top_k = 0"), ["top_k: `top_k` must be 1 or more"]);
        assert_eq!(warnings("top_k = 5"), ["top_k: `top_k` does nothing at `temperature = 0`, which is greedy"]);
        assert_eq!(warnings("top_k = 5\ntop_p = 0.5").len(), 2);
        assert!(warnings("top_k = 5\ntemperature = 1.0").is_empty());
        // The checkpoint may say a temperature.
        assert!(warnings("top_k = 5\ndefaults = true").is_empty());
    }

    #[test]
    fn a_section_without_them_is_written_as_before() {
        let plain = read("").unwrap();
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"max_new_tokens":256,"temperature":0.0,"top_p":1.0}"#);
        let all = read("defaults = true\nstop = [\"a\"]\nthinking = \"keep\"\ntop_k = 3\ntemperature = 1.0").unwrap();
        let again: GenerationSection = serde_json::from_str(&serde_json::to_string(&all).unwrap()).unwrap();
        assert_eq!(again, all);
    }
}
