//! The options of `linear-probe`.
use crate::folds::Key;
use crate::rows::Choice;
use crate::target::Target;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{GradeSection, Outcome, Position, Site};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Asks whether a condition, the interruptions so far, or the answer or another outcome to come can be read out of the
/// activations by a linear rule, and whether that is more than the words say. Everything is fitted inside cross-validation folds that hold out whole
/// groups. Beside each probe stand a difference of means, a control task (a random label for each topic; Hewitt and Liang
/// 2019) and baselines that need no look inside the model.
///
/// It writes:
/// - the tables `layers` and `baselines`: a row for each site or baseline, with the held-out quality and its interval, the
///   difference of means, the control task, p, and the C that most folds chose;
/// - the table `levels`, for more than two levels of a factor: each level against all others, with AUC and interval;
/// - the table `next_answer`: what a standard deviation of the probe's score goes with in the `outcome` of the turn, at the
///   same question (for more than two levels: of each level's score against the rest, with adjusted p);
/// - the table `transfer`, for two levels: AUC of a probe learnt at one turn and tested at another;
/// - the table `arms`, where `arms` is set: quality and shift of the score in each arm;
/// - the figure `layers`: quality by site, with the control task and the baselines;
/// - the files `directions.safetensors` (all directions, for the hook `steer`; for more than two levels
///   `<site>/mean-difference/<level>`, each level against the rest), `mean-difference.repeng.gguf` (a control
///   vector, for repeng and llama.cpp) and `resid_post.L.mean-difference.lm-eval.pt` (for lm-evaluation-harness);
/// - the values `headline`, `read_from`, `levels`, `next_answer`, `next_answer_adjusted`, `transfer`, `arms` and
///   `control_vector`.
///
/// Quality is AUC for two levels, balanced accuracy for more (one multinomial probe), and R² for a number. All samples of a
/// group are held out together. Replies need no grades unless `target` or `outcome` asks for them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinearProbe {
    /// What is read out: the name of a factor, `interruptions` (the number of replies cut so far), `correct` (whether the
    /// answer to come is right) or `outcome` (the option of that name).
    #[schemars(example = &"completion")]
    pub target: String,
    /// A number of the turn: `score`, `log_odds`, `answered`, `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or
    /// `metric.<name>`. With `target = "outcome"` it is read out: as two classes where it is 0 or 1 alone, else as a number.
    /// With other targets the probe's score is compared with it, at the same question. Turns without it are left out.
    /// Default: `score`, where replies are graded.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Sites that are read; a hook must tap them at `position`. The headline chooses among them inside each fold.
    #[schemars(example = ["resid_post.9"], length(min = 1))]
    pub sites: Vec<Site>,
    /// Turns that enter: levels of factors, such as `{ completion = "interrupt" }`. Default: all. For `interruptions`, keep to
    /// conditions that are interrupted: elsewhere the condition alone gives the number away.
    #[serde(default, rename = "where")]
    pub only: BTreeMap<String, String>,
    /// Turns that the probe learns from, as in `where`. Default: all that enter. With `test_where`, it asks whether a probe
    /// learnt on one kind of conversation reads another.
    #[serde(default)]
    pub train_where: BTreeMap<String, String>,
    /// Turns that the probe is tested on, as in `where`. Default: all that enter.
    #[serde(default)]
    pub test_where: BTreeMap<String, String>,
    /// Tokens that are read, as in the hook that taps them; several are averaged. `all` is refused, because it mixes prompt
    /// and reply.
    #[serde(default = "prompt_end")]
    pub position: Position,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub first_turn: u32,
    /// What training and test parts must not share. Add `phrase` to ask whether the probe reads more than the
    /// wordings that it has seen; the conditions then need several wordings each.
    #[serde(default = "by_group")]
    #[schemars(length(min = 1))]
    pub folds_by: Vec<Key>,
    /// Number of folds that each of `folds_by` is dealt into. More folds learn from more of the data, and take longer.
    #[serde(default = "five")]
    #[schemars(range(min = 2))]
    pub folds: usize,
    /// Values of C, the inverse of the L2 penalty, that are chosen from inside each fold: numbers above 0.
    #[serde(default = "cs")]
    #[schemars(length(min = 1))]
    pub c: Vec<f64>,
    /// Number of permutations for p: labels are exchanged as the design could have dealt them. 0 leaves p out; p cannot be
    /// below one over this number plus one, so raise it for small p.
    #[serde(default = "two_hundred")]
    #[schemars(range(max = 1_000_000))]
    pub permutations: usize,
    /// Whether the probe, learnt from untouched conversations, is also read in the arms of a hook that changes something. Set
    /// it to learn whether steering moves what the probe reads.
    #[serde(default)]
    pub arms: bool,
    /// Whether the words of the whole context are a baseline too: earlier messages, what the history keeps of the replies,
    /// and the signs with which that ends. Set it where conditions differ in the history, as where replies are cut: a probe
    /// that reads no more than these words says nothing of the model's state.
    #[serde(default)]
    pub context: bool,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    pub level: f64,
    /// How the manifest has replies graded.
    #[serde(skip)]
    pub grade: Option<GradeSection>,
}
fn prompt_end() -> Position {
    Position::PromptEnd
}
fn two() -> u32 {
    2
}
fn by_group() -> Vec<Key> {
    vec![Key::Group]
}
fn five() -> usize {
    5
}
fn cs() -> Vec<f64> {
    vec![0.001, 0.01, 0.1, 1.0]
}
fn two_hundred() -> usize {
    200
}
fn level() -> f64 {
    0.95
}

impl LinearProbe {
    /// What the probe is compared with, or reads out.
    pub fn outcome(&self) -> Outcome {
        self.outcome.clone().unwrap_or_default()
    }
    /// What is read out.
    pub fn target(&self) -> Target {
        Target::new(&self.target, &self.outcome())
    }
    /// Which turns are rows.
    pub fn choice<'a>(&'a self, target: &'a Target) -> Choice<'a> {
        Choice { target, first_turn: self.first_turn, only: &self.only, position: self.position }
    }
}
