//! Which levels of the factor are compared: its two, or one with all others together.
use crate::options::GemmaScope;
use friction_core::{Error, Result};

/// The levels that are compared: names of level 0 and level 1.
///
/// # Errors
/// When there are not two of them, and none is named.
pub fn compared(o: &GemmaScope, levels: &[&str]) -> Result<(String, String)> {
    match (&o.level, levels) {
        (None, [a, b]) => Ok((a.to_string(), b.to_string())),
        (Some(level), _) if levels.contains(&level.as_str()) && levels.len() > 1 => {
            let rest: Vec<&str> = levels.iter().copied().filter(|l| l != level).collect();
            let rest = if let [one] = rest[..] { one.to_string() } else { format!("the others ({})", rest.join(", ")) };
            Ok((rest, level.clone()))
        }
        (Some(level), _) => Err(Error::other(format!(
            "no turn has `{} = {level}` beside another level: there is nothing to compare",
            o.factor
        ))),
        (None, _) => Err(Error::other(format!(
            "`{}` has {} levels; features are compared between two, or one against the rest: name it in `level`",
            o.factor,
            levels.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::PluginConfig;
    use serde_json::json;

    fn options(more: serde_json::Value) -> GemmaScope {
        let mut all =
            json!({"source": "hf:google/gemma-scope-2-4b-it", "sae": "resid_post/17/16k/medium", "factor": "tone"});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn one_level_is_compared_with_the_rest() {
        let two = compared(&options(json!({})), &["blunt", "polite"]).unwrap();
        assert_eq!(two, ("blunt".to_string(), "polite".to_string()));
        let one = options(json!({"level": "blunt"}));
        assert_eq!(compared(&one, &["blunt", "polite"]).unwrap(), ("polite".to_string(), "blunt".to_string()));
        let rest = compared(&one, &["blunt", "plain", "polite"]).unwrap();
        assert_eq!(rest, ("the others (plain, polite)".to_string(), "blunt".to_string()));
        let told = |o: &GemmaScope, levels: &[&str]| compared(o, levels).unwrap_err().to_string();
        assert!(
            told(&options(json!({})), &["a", "b", "c"]).contains("has 3 levels; features are compared between two")
        );
        assert!(told(&one, &["a", "b"]).contains("no turn has `tone = blunt`"));
    }

    #[test]
    fn a_limit_in_points_is_no_limit_of_tokens() {
        assert!(options(json!({})).validate().is_ok() && options(json!({"outcome": "answered"})).validate().is_ok());
        let told = options(json!({"outcome": "reply_tokens"})).validate().unwrap_err().to_string();
        assert_eq!(told, "`outcome = \"reply_tokens\"` needs `min_points`: its default, 1, is in points of a share");
        assert!(options(json!({"outcome": "reply_tokens", "min_points": 5.0})).validate().is_ok());
        assert_eq!(options(json!({})).settled()["min_points"], 1.0);
        assert!(!options(json!({"outcome": "reply_tokens", "min_points": 5.0})).settled().contains_key("min_points"));
    }
}
