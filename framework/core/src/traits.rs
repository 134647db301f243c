//! The traits that plugins implement.
use crate::{
    Category, Factors, Findings, Grade, HookProgram, Kept, Message, ModelSpec, Position, Question, Reply, Result,
};
use crate::{Readings, RunReader, Site, Spoken, TapView, TurnContext};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Decides what the user says around a question, and what the history keeps of the reply. An error of a method ends
/// the run; finished groups are kept.
pub trait Condition: Send + Sync {
    /// The user's message of a turn. Called for every turn.
    fn ask(&self, cx: &TurnContext) -> Result<Message>;
    /// What the history keeps of a reply. Not called for the last turn, whose reply no later turn reads.
    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept>;
}

/// Provides questions and grades replies to them. An error of a method ends the run; finished groups are kept.
pub trait Dataset: Send + Sync {
    /// The categories, in a fixed order.
    fn categories(&self) -> &[Category];
    /// The questions of a category, in a fixed order.
    fn questions(&self, category: &Category) -> &[Question];
    /// The text with which the user asks a question.
    fn prompt(&self, question: &Question) -> Result<String>;
    /// Reads the answer out of a reply and compares it with the right one.
    fn grade(&self, question: &Question, reply: &str) -> Result<Grade>;
    /// A text that identifies the data. The run's lock stores it, and a resume with another one is refused.
    fn fingerprint(&self) -> String;
}

/// What a topics plugin knows about the study.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanContext {
    /// The study's seed.
    pub seed: u64,
    /// Number of groups.
    pub groups: usize,
    /// Number of turns of each conversation.
    pub turns: usize,
}

/// The category of each turn of each group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPlan {
    /// `[groups][turns]`: indices into the dataset's categories.
    pub order: Vec<Vec<usize>>,
}

/// Chooses the categories of each group's turns. They are the same in all conditions.
pub trait Topics: Send + Sync {
    /// Chooses the categories of all groups. The result must depend only on the arguments.
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan>;
    /// As [`Topics::choose`], for a range of groups only, so that a study of a million groups needs no table of all of
    /// them. The rows must equal those of `choose`. Default: `None`; `choose` is then called once for all groups.
    fn choose_groups(&self, _: &[Category], _: &PlanContext, _: Range<usize>) -> Result<Option<TopicPlan>> {
        Ok(None)
    }
}

/// Reads and changes activations.
pub trait Hook: Send + Sync {
    /// Declares what is read and changed. Called once, before any token is generated.
    fn program(&self, model: &ModelSpec) -> Result<HookProgram>;
    /// Computes numbers, on the host, from what the hook's own taps read in a finished turn. They are stored with the
    /// turn as `reading_<hook>.<name>`. `taps` are in the order of [`HookProgram::all_taps`]: those that are stored, then
    /// those that are only read. Default: no numbers.
    ///
    /// # Errors
    /// An error ends the run; finished groups are kept.
    fn read(&self, turn: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let _ = (turn, taps);
        Ok(Readings::new())
    }
}

/// What an analyzer reads. A manifest that does not produce it is refused before any token is generated. Set the
/// fields that apply, and the rest by `..Needs::default()`. Dynamic libraries built for an earlier version send only
/// `taps` and `factors`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Sites and positions that hooks must tap.
    pub taps: Vec<(Site, Position)>,
    /// Factors that conditions must carry, each with at least two levels.
    pub factors: Vec<String>,
    /// First turn that is read, from 1: the option `first_turn` of most analyzers. `None`: turns are not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_turn: Option<u32>,
    /// Smallest number of turns from `first_turn` on, such as 2 for a slope. 0 means 1.
    #[serde(skip_serializing_if = "none")]
    pub turns: u32,
    /// Factors that must have exactly this many levels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, usize>,
    /// Factors whose levels are compared between conditions that agree in every other factor. There must be such
    /// conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<String>,
    /// Options that select conditions by their factors, by key, such as `where`. Each must select a condition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Filter>,
    /// Whether arms other than the untouched control are read, in the conditions that the filter `where` selects.
    #[serde(skip_serializing_if = "no")]
    pub arms: bool,
    /// The hook whose arms are read: the option `hook`. Empty text: the option is not set, and only one hook may have
    /// arms. `None`: the arms of any hook are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// Name, without the dose after the `@`, of an arm that must exist at one dose at least, such as `random-03`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Smallest number of groups. 0 means 1.
    #[serde(skip_serializing_if = "none")]
    pub groups: u32,
    /// Whether replies that were cut in the history are read, in the conditions that the filter `where` selects.
    #[serde(skip_serializing_if = "no")]
    pub cuts: bool,
    /// Whether rows are held out by the wording of the user's message, in the conditions that the filter `where`
    /// selects. Each level of `factors` must then occur in two wordings at least, in one condition or in several.
    #[serde(skip_serializing_if = "no")]
    pub wordings: bool,
}
fn none(n: &u32) -> bool {
    *n == 0
}
fn no(b: &bool) -> bool {
    !b
}

/// Selects conditions by their factors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Levels that a condition must have to be selected.
    pub levels: Factors,
    /// Factors that are compared among the selected conditions. At least two levels of each must be left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<String>,
}

/// Reads a run and writes findings: sentences, tables, figures and files.
pub trait Analyzer: Send + Sync {
    /// What the analyzer reads. Checked before the run.
    fn needs(&self) -> Needs;
    /// Warnings about conclusions that a study of this size cannot support, given before any token is generated. Each
    /// is a sentence without its full stop. Default: none.
    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let _ = study;
        vec![]
    }
    /// Reads the run and adds what it finds to `out`.
    ///
    /// # Errors
    /// If the run cannot be read or analysed. Findings of other analyzers are written all the same.
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()>;
}

/// The size of a study, known before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Foreseen<'a> {
    /// Number of groups.
    pub groups: usize,
    /// The arms of all hooks, the untouched control included; `None` if the hooks could not be built.
    pub arms: Option<&'a [crate::Arm]>,
}
