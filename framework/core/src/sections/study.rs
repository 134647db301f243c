//! `[study]`: the study's name, seed and size.
use crate::arms::ArmDesign;
use crate::issues::{Issues, Path};
use crate::program::is_name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The study itself: its name, its seed and its size.
///
/// Groups × conditions × samples × turns is the number of replies without interventions; each arm of a hook adds the
/// same number again for the conditions that it runs in. `friction check` tells the sum before anything is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"name": "quickstart", "seed": 7, "groups": 40, "turns": 12}))]
pub struct StudySection {
    /// Name of the study and of its run directory, `runs/<name>`: letters, digits, `-`, `_` and `.`, a `.` not first.
    /// Change it to keep an earlier run beside the new one.
    #[schemars(extend("pattern" = "^[A-Za-z0-9_-][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Seed of everything that is drawn: items, the order of topics, wordings, sampled tokens, random directions,
    /// permutations. The same manifest with the same seed gives the same run; change it to repeat a study with other
    /// draws.
    #[serde(default)]
    #[schemars(range(max = 9_223_372_036_854_775_807_i64))]
    pub seed: u64,
    /// Number of groups, that is of lists of items. Every condition runs every group, so comparisons are paired within
    /// groups, and groups are the sample size of the analyses. Raise it where intervals are too wide or a verdict cannot
    /// be told.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub groups: usize,
    /// Turns of each conversation, at most. Where each item takes one turn, this alone says how long conversations are.
    /// Raise it to study what accumulates; the context that a conversation needs grows with it. It may be left out where
    /// `items` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub turns: Option<usize>,
    /// Items of each conversation. Default: `turns`. Set it where an item takes several turns, because it has a script or
    /// a condition asks on about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub items: Option<usize>,
    /// Conversations of each group, condition and arm, which differ in the sampled tokens alone. Above 1 it needs
    /// `generation.temperature` above 0.
    #[serde(default = "single", skip_serializing_if = "is_single")]
    #[schemars(range(min = 1, max = 10_000))]
    pub samples: usize,
    /// Whether the conditions of a group share the random numbers that tokens are sampled with. It does nothing at
    /// `generation.temperature = 0`.
    #[serde(default, skip_serializing_if = "Draws::is_default")]
    pub draws: Draws,
    /// Share of the groups in which analyzers look for something (discovery), such as a model's preference for letters;
    /// in the others they test it (confirmation). Groups are dealt by the seed. Default: 0.5, where an analyzer needs such
    /// a split. Raise it where much has to be found, lower it where little does: the tests have the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub discovery: Option<f64>,
    /// What the arms of several hooks mean together. Needed where more than one hook has arms; otherwise it does
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arms: Option<ArmDesign>,
    /// Names of numbers that people or a judge give turns after the run (`friction grade RUN --scores FILE.csv`), and that an
    /// outcome `metric.<name>` reads then. A metric that neither a grade has nor this list names is refused before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<String>,
}
fn single() -> usize {
    1
}
fn is_single(n: &usize) -> bool {
    *n == 1
}

/// Whether conditions share random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Draws {
    /// Each condition has its own random numbers, except in the first turn: equal first prompts get equal replies.
    #[default]
    Independent,
    /// All conditions and arms of a group share the random numbers of each turn.
    Paired,
}

impl Draws {
    fn is_default(&self) -> bool {
        *self == Self::Independent
    }
}

impl StudySection {
    /// Number of items of each conversation: `items`, or else `turns`.
    pub fn items(&self) -> usize {
        self.items.or(self.turns).unwrap_or(1)
    }

    /// Share of the groups of discovery, above 0 and below 1 ([`crate::split::discovery`]).
    pub fn discovery(&self) -> f64 {
        self.discovery.unwrap_or(0.5)
    }

    /// Largest number of turns that the manifest allows, if it says so.
    pub fn most_turns(&self) -> usize {
        self.turns.unwrap_or(usize::MAX)
    }

    pub(crate) fn check(&self, path: &Path, issues: &mut Issues) {
        let name_ok = !self.name.is_empty()
            && self.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && !self.name.starts_with('.');
        if !name_ok {
            issues.push(
                path.key("name"),
                "a study's name is letters, digits, `-`, `_` and `.`: it names a folder",
                None,
            );
        }
        let sizes = [
            ("groups", Some(self.groups), 1_000_000),
            ("turns", self.turns, 1000),
            ("items", self.items, 1000),
            ("samples", Some(self.samples), 10_000),
        ];
        for (key, v, max) in sizes {
            if v.is_some_and(|v| v == 0 || v > max) {
                issues.push(path.key(key), format!("`{key}` must be from 1 to {max}"), None);
            }
        }
        if self.turns.is_none() && self.items.is_none() {
            let help = "set `turns`, or `items` where an item takes several turns";
            issues.push(path.clone(), "the length of conversations is missing", Some(help.into()));
        }
        for name in self.scores.iter().filter(|name| !is_name(name)) {
            let message = format!("`scores` has the name {name:?}; names are letters, digits, `-` and `_`");
            issues.push(path.key("scores"), message, None);
        }
        if self.discovery.is_some_and(|d| !(d > 0.0 && d < 1.0)) {
            issues.push(path.key("discovery"), "`discovery` must be above 0 and below 1", None);
        }
        if let (Some(turns), Some(items)) = (self.turns, self.items)
            && (turns + 1..=1000).contains(&items)
        {
            let what = format!("`items = {items}` do not fit `turns = {turns}`: an item takes one turn at least");
            issues.push(path.key("items"), what, None);
        }
    }

    /// What is declared here and does nothing, or would repeat conversations, under a temperature.
    pub fn sampled(&self, path: &Path, temperature: f64, issues: &mut Issues, warnings: &mut Issues) {
        if temperature > 0.0 {
            return;
        }
        let help = Some("set `generation.temperature` above 0".to_string());
        if (2..=10_000).contains(&self.samples) {
            let what = format!(
                "`samples = {}` would repeat each conversation word for word: replies are greedy",
                self.samples
            );
            issues.push(path.key("samples"), what, help.clone());
        }
        if self.draws != Draws::Independent {
            warnings.push(path.key("draws"), "`draws` does nothing at `temperature = 0`: nothing is drawn", help);
        }
    }
}
