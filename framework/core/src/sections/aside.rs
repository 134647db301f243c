//! `[[aside]]`: questions that are asked on a fork.
use crate::issues::{Issues, Path};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// After which turns an aside is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum After {
    /// `"each-turn"`: after every turn.
    EachTurn,
    /// `"last"`: after the last turn of the conversation, also if it ends early.
    Last,
    /// A list: after these turns, from 1.
    Turns(Vec<usize>),
}

impl JsonSchema for After {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "After".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"enum": ["each-turn", "last"]},
            {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1}
        ]})
    }
}

impl<'de> Deserialize<'de> for After {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let wrong = "`after` is \"each-turn\", \"last\" or a list of turns from 1, such as [1, 6]";
        match toml::Value::deserialize(d)? {
            toml::Value::String(s) if s == "each-turn" => Ok(Self::EachTurn),
            toml::Value::String(s) if s == "last" => Ok(Self::Last),
            toml::Value::Array(all) if !all.is_empty() => {
                let turn = |v: &toml::Value| v.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
                let turns: Option<Vec<usize>> = all.iter().map(turn).collect();
                turns.map(Self::Turns).ok_or_else(|| serde::de::Error::custom(wrong))
            }
            _ => Err(serde::de::Error::custom(wrong)),
        }
    }
}

impl Serialize for After {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::EachTurn => s.serialize_str("each-turn"),
            Self::Last => s.serialize_str("last"),
            Self::Turns(turns) => turns.serialize(s),
        }
    }
}

/// A question that is asked on a fork after turns. The conversation goes on as if it had not been asked.
///
/// The answer is stored with the turn that it follows. With `choices`, the log-probability of each choice is measured
/// and nothing is generated; analyzers read the answer as the outcome `aside.<name>`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({
    "name": "mood", "after": "each-turn", "user": "How are you, from 1 (bad) to 9 (good)?", "choices": ["1", "2", "3"]
}))]
pub struct AsideSection {
    /// Name of the aside: letters, digits, `-` and `_`. Columns of the run begin with `aside_<name>`.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-]+$"))]
    pub name: String,
    /// After which turns it is asked: `"each-turn"`, `"last"`, or a list of turns from 1.
    pub after: After,
    /// What the user asks.
    pub user: String,
    /// Text that opens the reply, such as `"I feel "`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill: Option<String>,
    /// Answers whose log-probabilities are measured, right behind `prefill`. If all are numbers, the outcome is their mean
    /// weighted by probability. Either this or `max_new_tokens` is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// Longest reply in tokens, if a reply is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub max_new_tokens: Option<usize>,
}

impl AsideSection {
    /// Whether the aside is asked after a turn, which is the last of its conversation or not.
    pub fn follows(&self, turn: usize, last: bool) -> bool {
        match &self.after {
            After::EachTurn => true,
            After::Last => last,
            After::Turns(turns) => turns.contains(&turn),
        }
    }

    pub(crate) fn check(&self, path: &Path, issues: &mut Issues) {
        if !crate::program::is_name(&self.name) {
            issues.push(path.key("name"), "an aside's name is letters, digits, `-` and `_`: it names columns", None);
        }
        if let Some(end) = ["_reply", "_logprobs", "_per_token"].iter().find(|end| self.name.ends_with(**end)) {
            let what = format!("an aside's name may not end in `{end}`: its columns end so");
            issues.push(path.key("name"), what, None);
        }
        if self.user.trim().is_empty() {
            issues.push(path.key("user"), "`user` is empty: nothing would be asked", None);
        }
        match (self.choices.is_empty(), self.max_new_tokens) {
            (true, None) => {
                let help = "give `choices`, whose log-probabilities are measured, or `max_new_tokens` for a reply";
                issues.push(
                    path.clone(),
                    "an aside without `choices` and without `max_new_tokens` measures nothing",
                    Some(help.into()),
                );
            }
            (false, Some(_)) => {
                let what = "`max_new_tokens` does nothing beside `choices`: no reply is generated";
                issues.push(path.key("max_new_tokens"), what, Some("leave one of them out".into()));
            }
            (true, Some(0)) => {
                issues.push(path.key("max_new_tokens"), "`max_new_tokens` must be from 1 to 65536", None)
            }
            _ => {}
        }
        if self.choices.len() == 1 {
            issues.push(
                path.key("choices"),
                "one choice has the probability 1 among the choices: list two or more",
                None,
            );
        }
        for (i, choice) in self.choices.iter().enumerate() {
            let at = path.key("choices").index(i);
            if choice.is_empty() {
                issues.push(at, "this choice is empty", None);
            } else if self.choices[..i].contains(choice) {
                issues.push(at, format!("{choice:?} is listed twice"), None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let aside: AsideSection = toml::from_str(text).unwrap();
        let mut issues = Issues::default();
        aside.check(&Path::default(), &mut issues);
        issues.0.iter().map(|i| i.message.clone()).collect()
    }

    #[test]
    fn asides_that_measure_nothing_are_refused() {
        let base = "name = \"mood\"\nafter = \"last\"\nuser = \"How?\"\n";
        assert!(faults(&format!("{base}choices = [\"1\", \"2\"]")).is_empty());
        assert!(faults(&format!("{base}max_new_tokens = 8")).is_empty());
        assert!(faults(base)[0].contains("measures nothing"));
        assert!(faults(&format!("{base}choices = [\"1\"]"))[0].contains("probability 1"));
        assert!(faults(&format!("{base}choices = [\"1\", \"1\"]"))[0].contains("twice"));
        assert!(faults(&format!("{base}choices = [\"1\", \"2\"]\nmax_new_tokens = 4"))[0].contains("does nothing"));
    }

    #[test]
    fn turns_are_named_or_listed() {
        let of = |after: &str| {
            let text = format!("name = \"a\"\nafter = {after}\nuser = \"x\"\nmax_new_tokens = 1");
            toml::from_str::<AsideSection>(&text).map_err(|e| e.to_string())
        };
        let asked = |after: &str| (1..=4).map(|t| of(after).unwrap().follows(t, t == 4)).collect::<Vec<_>>();
        assert_eq!(asked("\"each-turn\""), [true; 4]);
        assert_eq!(asked("\"last\""), [false, false, false, true]);
        assert_eq!(asked("[1, 3]"), [true, false, true, false]);
        for wrong in ["\"never\"", "[]", "[0]", "3"] {
            assert!(of(wrong).unwrap_err().contains("each-turn"), "{wrong}");
        }
    }
}
