//! `[[factor]]` and `[design]`: conditions that are made by crossing factors.
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A factor whose levels are crossed with those of the other `[[factor]]` tables: a condition for every combination.
///
/// The conditions come before those that `[[condition]]` tables list, the first factor changes slowest, and each carries
/// its level of every factor. A run stores them as `[[condition]]` tables.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"name": "completion", "levels": {"complete": {}, "interrupt": {"keep": {"tokens": 50, "marker": "..."}}}}))]
pub struct FactorSection {
    /// Name of the factor, by which contrasts and analyzers speak of it. `turn` is the number of the turn, and no factor.
    pub name: String,
    /// The levels in their order, each with the options that it gives to its conditions: `levels.complete = {}`,
    /// `levels.interrupt = { keep = { tokens = 50 } }`. Tables are joined key by key: one factor may set `keep.tokens` and
    /// another `keep.marker`. A level may replace an option of `[design]`; two levels of different factors that set one
    /// option to different values are refused. Letters, digits, `-` and `_`, because levels make the conditions' names.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, serde_json::Value>>")]
    pub levels: toml::Table,
}

/// What the conditions made of `[[factor]]` tables share, and which of them there are.
///
/// The keys that are not listed here are options of the condition's plugin, and `factors` with levels that all of them
/// carry.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(example = serde_json::json!({"plugin": "template", "except": [{"completion": "complete", "marker": "dots"}]}))]
pub struct DesignSection {
    /// The plugin of the conditions. A level may name another.
    pub plugin: Option<String>,
    /// How the conditions are called, with every factor's name in braces: `"{completion}_{tone}"`. Default: the levels in
    /// the order of the `[[factor]]` tables, joined by `_`.
    pub name: Option<String>,
    /// The defining relation of a two-level fractional factorial, written as the field writes it:
    /// `"I = completion × tone × marker"`, several words as `"I = A × B × D = A × C × E"`, or generators as
    /// `["D = A × B", "E = A × C"]`. The first level of a factor counts as −1 and the second as +1; a word may begin with
    /// `-`. The combinations are kept whose product is that of the relation. `friction check` tells which effects are
    /// aliased.
    pub fraction: Option<TextOrList>,
    /// Combinations to leave out, each by the levels of some or all factors: `[{ completion = "complete", marker = "dots" }]`
    /// leaves out every condition that has both. What a contrast needs must stay.
    pub except: Option<Vec<BTreeMap<String, String>>>,
    /// Combinations to keep, in the same form; all others are left out.
    pub only: Option<Vec<BTreeMap<String, String>>>,
}

/// A text, or a list of texts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TextOrList {
    /// One text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}
