//! `{{name}}`: a dataset. Say here what is asked.
use friction_core::choice::{self, Bank};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Dataset, Error, Item, PluginConfig, PluginEntry, Result, Target};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Say here what the plugin is for and what it writes. `friction plugins show {{name}}` prints this text, with the text of
/// each option; `friction plugins guide DIR` writes them as a page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Questions of each subject.
    #[serde(default = "twenty")]
    questions: usize,
}
fn twenty() -> usize {
    20
}

impl PluginConfig for Options {
    type Output = dyn Dataset;
    fn validate(&self) -> Result<()> {
        if self.questions == 0 {
            return Err(Error::at("questions", "`questions` must be at least 1"));
        }
        Ok(())
    }
    /// Makes the dataset. Files are read here, with paths relative to `cx.base`.
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        let mut all = BTreeMap::new();
        for (subject, factor) in [("doubling", 2), ("tripling", 3), ("quadrupling", 4), ("quintupling", 5)] {
            let of = |i: usize| Item {
                id: format!("{subject}_{i}"),
                category: subject.into(),
                text: format!("What is {factor} times {i}?"),
                choices: [0, 1, 2, 3].map(|d| (factor * i + d).to_string()).to_vec(),
                target: Some(Target::Choice(0)),
                ..Item::default()
            };
            all.insert(subject.to_string(), (1..=self.questions).map(of).collect());
        }
        // Identifies the data; the run's lock stores it.
        let fingerprint = format!("{{name}}-1-{}", self.questions);
        // `Bank` asks and grades multiple-choice questions; for anything else implement `Dataset` yourself.
        Ok(Box::new(Bank::new(all, fingerprint)))
    }
}

friction_core::inventory::submit! {
    PluginEntry::dataset::<Options>("{{name}}", "Multiplication with four options", env!("CARGO_PKG_VERSION"))
}
{{export}}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_graded() {
        let item = Item {
            text: "What is 2 times 1?".into(),
            choices: vec!["2".into(), "3".into()],
            target: Some(Target::Choice(0)),
            ..Item::default()
        };
        assert_eq!(choice::grade(&item, "The answer is A.").score, Some(1.0));
        assert_eq!(choice::grade(&item, "B").score, Some(0.0));
    }
}
