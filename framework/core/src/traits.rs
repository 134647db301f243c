//! What a plugin implements.
use crate::{Category, Findings, Grade, HookProgram, Kept, Message, ModelSpec, Position, Question, Reply, Result};
use crate::{Readings, RunReader, Site, Spoken, TapView, TurnContext};
use serde::{Deserialize, Serialize};

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

/// What an analyzer reads.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Needs {
    /// Sites and positions that hooks must tap.
    pub taps: Vec<(Site, Position)>,
    /// Factors that conditions must carry, each with at least two levels.
    pub factors: Vec<String>,
}

/// Reads a run, writes tables, figures and findings.
pub trait Analyzer: Send + Sync {
    /// What it reads; checked before the run.
    fn needs(&self) -> Needs;
    /// The analysis.
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()>;
}
