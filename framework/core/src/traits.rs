//! What a plugin implements.
use crate::{
    Category, Factors, Findings, Grade, HookProgram, Kept, Message, ModelSpec, Position, Question, Reply, Result,
};
use crate::{Readings, RunReader, Site, Spoken, TapView, TurnContext};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// What the user says around a question, and what the history keeps of the reply.
pub trait Condition: Send + Sync {
    /// The user's message. Called for turns 2 and later as well as for turn 1.
    fn ask(&self, cx: &TurnContext) -> Result<Message>;
    /// What of the reply stays in the history. Not called for the last turn.
    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept>;
}

/// Questions and how replies to them are graded.
pub trait Dataset: Send + Sync {
    /// The subjects.
    fn categories(&self) -> &[Category];
    /// The questions of a subject, in a fixed order.
    fn questions(&self, category: &Category) -> &[Question];
    /// The question as the user asks it.
    fn prompt(&self, question: &Question) -> Result<String>;
    /// Reads the reply.
    fn grade(&self, question: &Question, reply: &str) -> Result<Grade>;
    /// What identifies the data: goes into the run's lock.
    fn fingerprint(&self) -> String;
}

/// What a topic plugin knows about the study.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanContext {
    /// The study's seed.
    pub seed: u64,
    /// Number of groups.
    pub groups: usize,
    /// Turns of each conversation.
    pub turns: usize,
}

/// For each group, the category of each turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPlan {
    /// `[groups][turns]`, indices into the dataset's categories.
    pub order: Vec<Vec<usize>>,
}

/// Chooses the topics of each group, equal across conditions.
pub trait Topics: Send + Sync {
    /// The plan; it depends on its arguments alone.
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan>;
    /// The rows of some groups alone, as [`Topics::choose`] has them, so that a million groups need no table of all.
    /// Default: nothing, and `choose` is asked once for all groups.
    fn choose_groups(&self, _: &[Category], _: &PlanContext, _: Range<usize>) -> Result<Option<TopicPlan>> {
        Ok(None)
    }
}

/// Reads and changes activations.
pub trait Hook: Send + Sync {
    /// Declared once, before any token.
    fn program(&self, model: &ModelSpec) -> Result<HookProgram>;
    /// Reads, on the host, what its own taps hold of a turn that is over. What it tells is stored with the
    /// turn, as `reading_<hook>.<name>`. `taps` are in the program's order. Default: nothing is told.
    ///
    /// # Errors
    /// Ends the run; finished groups are kept.
    fn read(&self, turn: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let _ = (turn, taps);
        Ok(Readings::new())
    }
}

/// What an analyzer reads. A manifest that does not produce it is refused before any token. Write what applies
/// and `..Needs::default()`: a library of an earlier version tells taps and factors alone, and goes on working.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Sites and positions that hooks must tap.
    pub taps: Vec<(Site, Position)>,
    /// Factors that conditions must carry, each with at least two levels.
    pub factors: Vec<String>,
    /// First turn that it reads, from 1: the option `first_turn` of most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_turn: Option<u32>,
    /// Fewest turns from there on, such as 2 for a slope. 0 means 1.
    #[serde(skip_serializing_if = "none")]
    pub turns: u32,
    /// Factors that must have exactly so many levels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub levels: BTreeMap<String, usize>,
    /// Factors that are compared between conditions which agree in every other factor: there must be such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<String>,
    /// Options that choose conditions by their factors, by key: `where`. Each must hold for some condition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub filters: BTreeMap<String, Filter>,
    /// Whether it reads other arms than the untouched control, in the conditions of the filter `where`.
    #[serde(skip_serializing_if = "no")]
    pub arms: bool,
    /// Of arms, the one hook whose they are, by its name: the option `hook`. The empty text: it is not named, and only
    /// one hook may have arms. Nothing: arms of any hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook: Option<String>,
    /// An arm that must be there, at one dose or more: its name before the `@`, such as `random-03`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<String>,
    /// Fewest groups. 0 means 1.
    #[serde(skip_serializing_if = "none")]
    pub groups: u32,
    /// Whether it reads replies that the history holds cut, in the conditions of the filter `where`.
    #[serde(skip_serializing_if = "no")]
    pub cuts: bool,
    /// Whether it holds out rows by the wording of the user's message, in the conditions of the filter `where`: each
    /// level of `factors` must then be said in two wordings or more, by one condition or by several.
    #[serde(skip_serializing_if = "no")]
    pub wordings: bool,
}
fn none(n: &u32) -> bool {
    *n == 0
}
fn no(b: &bool) -> bool {
    !b
}

/// Conditions chosen by their factors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The levels that they have.
    pub levels: Factors,
    /// Factors that are compared among them: at least two levels of each must be left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<String>,
}

/// Reads a run, writes tables, figures and findings.
pub trait Analyzer: Send + Sync {
    /// What it reads; checked before the run.
    fn needs(&self) -> Needs;
    /// What it will not be able to tell of a study of this size, before any token: warnings, a sentence each without
    /// its full stop. Default: none.
    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let _ = study;
        vec![]
    }
    /// The analysis.
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()>;
}

/// What is known of a study's size before it runs.
#[derive(Debug, Clone, Copy)]
pub struct Foreseen<'a> {
    /// Groups.
    pub groups: usize,
    /// The hooks' arms, the untouched control among them; nothing where the hooks could not be built.
    pub arms: Option<&'a [crate::Arm]>,
}
