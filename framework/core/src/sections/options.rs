//! The keys of `[dataset]` that say in which order the choices of items are shown. They are the same for every dataset.
use crate::issues::{Issues, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// In which order the choices of an item are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OptionOrder {
    /// As the dataset has them.
    #[default]
    AsGiven,
    /// In an order that is drawn for each group and item, the same in all conditions, arms and samples. Within a group,
    /// right answers are spread evenly over the letters; so they are at each turn over the groups, nearly.
    Balanced,
}

/// What becomes of choices that speak of other choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamingOthers {
    /// "All of the above" stays at its place, and the others move. If a choice names single ones ("A and C"), none of its
    /// item moves.
    Pinned,
    /// Items with such a choice are not asked.
    LeftOut,
}

/// How the choices of items are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptionsSection {
    /// In which order the choices of items are shown. `"balanced"` keeps a letter that a model prefers apart from the
    /// answers, which files often hold at some letters more than at others. The order is stored with each turn. The order
    /// of worked examples, of items with a script and of items with `fixed_choices` stays as it is given; where this is all
    /// items, it is refused.
    #[serde(default)]
    pub options: OptionOrder,
    /// What becomes of items with a choice that speaks of others, where choices move. How many there are is printed before
    /// the run. Default: `"pinned"`.
    #[serde(default)]
    pub options_naming_others: Option<NamingOthers>,
    /// Number of cyclic shifts of the choices over which the outcome `log_odds_shifted` averages the log-odds of the right
    /// choice, the order of the turn itself among them. Each of the others is asked on a fork before the user's message,
    /// and leaves no trace in the conversation. The default, 1, asks none. With as many as there are choices, each is
    /// shown at each letter once, and a preference for letters cancels; each more costs one reading of the message. More
    /// than any item has choices that move is refused; an item with fewer has all of its shifts asked.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 26))]
    pub option_shifts: usize,
}
fn one() -> usize {
    1
}

impl Default for OptionsSection {
    fn default() -> Self {
        Self { options: OptionOrder::default(), options_naming_others: None, option_shifts: one() }
    }
}

impl OptionsSection {
    /// The keys, as a manifest writes them in `[dataset]`.
    pub const KEYS: [&str; 3] = ["options", "options_naming_others", "option_shifts"];

    /// Whether choices are shown in another order than the dataset's: in turns or on forks.
    pub fn moves(&self) -> bool {
        self.options != OptionOrder::AsGiven || self.option_shifts > 1
    }
    /// Whether items with a choice that speaks of others are left out.
    pub fn leaves_out(&self) -> bool {
        self.moves() && self.options_naming_others == Some(NamingOthers::LeftOut)
    }

    pub(crate) fn check(&self, path: &Path, issues: &mut Issues, warnings: &mut Issues) {
        if !(1..=26).contains(&self.option_shifts) {
            issues.push(path.key("option_shifts"), "`option_shifts` must be from 1 to 26", None);
        }
        if self.options_naming_others.is_some() && !self.moves() {
            let help = "set `options = \"balanced\"`, or `option_shifts` above 1".to_string();
            let what = "`options_naming_others` does nothing: no choice is moved";
            warnings.push(path.key("options_naming_others"), what, Some(help));
        }
    }
}
