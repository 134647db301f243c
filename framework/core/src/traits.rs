//! The traits that plugins implement.
use crate::{
    Ask, Bounds, Category, ChatMessage, Factors, Findings, GivenReplies, Grade, HookProgram, Item, Kept, ModelSpec,
    OpeningContext, Outcome, Position, Reply, Result,
};
use crate::{Coming, Fork, Peer, Readings, RunReader, Site, Spoken, TapView, TurnContext};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// Decides what comes before the first turn, what the user says around an item, what the history keeps of a reply, and
/// when the conversation ends. An error of a method ends the run; finished groups are kept. Every method must depend
/// only on its arguments: a resumed run calls it again and must get the same.
pub trait Condition: Send + Sync {
    /// The messages before the first turn: a system prompt, and worked examples as pairs of user and assistant. They are
    /// no turns. Default: those that the dataset gives.
    fn opening(&self, cx: &OpeningContext) -> Result<Vec<ChatMessage>> {
        Ok(cx.given.to_vec())
    }
    /// The user's message of a turn; `None` ends the conversation before this turn. Called once for every turn, after
    /// [`Self::keep`] of the turn before it, and beforehand with made-up replies to plan memory. With
    /// `dataset.option_shifts`, it is called again for each shift, with the item's choices in another order.
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>>;
    /// What the history keeps of a reply. Called when the reply is over and graded, unless no turn can follow. Default:
    /// all of it.
    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let _ = cx;
        Ok(Kept::whole(reply))
    }
    /// Number of turns over which an item is asked, at least 1. Default: the length of its script, or 1.
    fn rounds(&self, item: &Item) -> usize {
        item.rounds()
    }
    /// The messages of a turn that must be equally long in tokens, of which [`Self::ask`] says one. The check before a run
    /// counts them and refuses a difference. Default: none.
    fn equals(&self, cx: &TurnContext) -> Result<Vec<String>> {
        let _ = cx;
        Ok(vec![])
    }
    /// What the checks before a run cannot see by themselves. Default: nothing.
    fn bounds(&self) -> Bounds {
        Bounds::default()
    }
    /// A text that identifies what the condition reads from files, such as recorded conversations. The run's lock stores
    /// it, and a resume with another one is refused. Default: it reads none, and the lock stores nothing. Conditions of
    /// libraries and processes cannot say it.
    fn fingerprint(&self) -> Option<String> {
        None
    }
    /// Whose replies the condition gives the model to read, if it gives any. The run's lock stores it, and findings say it.
    /// Default: the model replies itself. Conditions of libraries and processes cannot say it.
    fn replies(&self) -> Option<GivenReplies> {
        None
    }
}

/// Provides items and grades replies to them. An error of a method ends the run; finished groups are kept.
pub trait Dataset: Send + Sync {
    /// The categories, in a fixed order, each with its number of items.
    fn categories(&self) -> &[Category];
    /// Item `index` of a category, from 0; the order is fixed. It may be read from a file each time, so that large
    /// datasets need not be held in memory.
    fn item(&self, category: &Category, index: usize) -> Result<Item>;
    /// The text with which the user asks an item that has no script.
    fn prompt(&self, item: &Item) -> Result<String>;
    /// Messages before the first turn of a conversation about these items: an instruction, worked examples. Default: the
    /// opening of the first item.
    fn opening(&self, items: &[Item]) -> Result<Vec<ChatMessage>> {
        Ok(items.first().map(|i| i.opening.clone()).unwrap_or_default())
    }
    /// Reads the answer out of a reply and compares it with the target.
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade>;
    /// Names of the metrics that its grades may have ([`Grade::metrics`]), so that an outcome of another name is refused before
    /// the run. Default: `None`, it does not say; such an outcome is warned of. Datasets of libraries and processes cannot say
    /// it.
    fn metrics(&self) -> Option<Vec<String>> {
        None
    }
    /// Whether items are taken in the dataset's order instead of shuffled. Default: no.
    fn ordered(&self) -> bool {
        false
    }
    /// A text that identifies the data. The run's lock stores it, and a resume with another one is refused.
    fn fingerprint(&self) -> String;
    /// What a reader must know of the data, such as how many rows were left out. Each is a sentence without its full
    /// stop; `friction run` and `friction check` print them. Default: nothing.
    fn notes(&self) -> Vec<String> {
        vec![]
    }
}

/// What a topics plugin knows about the study.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanContext {
    /// The study's seed.
    pub seed: u64,
    /// Number of groups.
    pub groups: usize,
    /// Number of items of each conversation. With one turn an item, it is the number of turns.
    #[serde(alias = "items")]
    pub turns: usize,
}

/// The category of each item of each group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPlan {
    /// `[groups][items]`: indices into the dataset's categories.
    pub order: Vec<Vec<usize>>,
}

/// Chooses the categories of each group's items. They are the same in all conditions.
pub trait Topics: Send + Sync {
    /// Reads what the choice depends on beside the categories, such as the items' texts. Called once, before the other
    /// methods; topics of a dynamic library or a process are not asked. Default: nothing.
    ///
    /// # Errors
    /// If the topics cannot be chosen; the message says why, and what to change.
    fn prepare(&mut self, dataset: &dyn Dataset, cx: &PlanContext) -> Result<()> {
        let _ = (dataset, cx);
        Ok(())
    }
    /// Chooses the categories of all groups. The result must depend only on the arguments.
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan>;
    /// As [`Topics::choose`], for a range of groups only, so that a study of a million groups needs no table of all of
    /// them. The rows must equal those of `choose`. Default: `None`; `choose` is then called once for all groups.
    fn choose_groups(&self, _: &[Category], _: &PlanContext, _: Range<usize>) -> Result<Option<TopicPlan>> {
        Ok(None)
    }
    /// What a reader must know of the choice, such as how far apart the topics are. Each is a sentence without its full
    /// stop; `friction run` and `friction check` print them, and the run's log holds them. Default: nothing.
    fn notes(&self, categories: &[Category], cx: &PlanContext) -> Vec<String> {
        let _ = (categories, cx);
        vec![]
    }
    /// A text that identifies what the choice depends on beside the options and the data, such as the files of a model.
    /// The run's lock stores it, and a resume with another one is refused. Default: nothing.
    fn fingerprint(&self) -> Option<String> {
        None
    }
}

/// Reads and changes activations.
pub trait Hook: Send + Sync {
    /// Declares what is read and changed. Called once, before any token is generated.
    fn program(&self, model: &ModelSpec) -> Result<HookProgram>;
    /// A text that identifies what the hook reads from files, other than the numbers of its edits, which the lock has in
    /// any case. The run's lock stores it, and a resume with another one is refused. Default: it reads none.
    fn fingerprint(&self) -> Option<String> {
        None
    }
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
    /// Forks of a finished turn, in which edits of the hook's program that take vectors
    /// ([`EditOp::takes_vectors`](crate::EditOp::takes_vectors)) get the vectors that are named here. What a fork
    /// measured is stored with the turn as `reading_<hook>.<name of the fork>`; the program's `readings` must name it.
    /// `taps` are as in [`Self::read`]. `peers` are the other conversations of the group in the same turn, in the order of
    /// the design, without those that ended before it; none unless [`Self::reads_group`]. Default: no forks.
    ///
    /// # Errors
    /// An error ends the run; finished groups are kept.
    fn forks(&self, turn: &Spoken, taps: &[TapView], peers: &[Peer]) -> Result<Vec<Fork>> {
        let _ = (turn, taps, peers);
        Ok(vec![])
    }
    /// Whether [`Self::forks`] reads the other conversations of the group. All conversations of a group are then held at
    /// once, and behind each turn each waits until the others have said this turn or have ended. Default: no.
    fn reads_group(&self) -> bool {
        false
    }
    /// Takes note of the conversations that will be held, as far as they are known before a run: turns of the first groups,
    /// with made-up replies where none is given. Called once, after [`Self::program`]; hooks of a library or a process are
    /// not asked. Returns warnings, each a sentence without its full stop. Default: nothing is noted.
    ///
    /// # Errors
    /// If the hook cannot serve these conversations; the message says why, and what to change.
    fn foresee(&mut self, coming: &[Coming]) -> Result<Vec<String>> {
        let _ = coming;
        Ok(vec![])
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
    /// Outcomes that turns must have: the option `outcome` of most analyzers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Whether items with choices are read, one of which is right. There must be such items.
    #[serde(skip_serializing_if = "no")]
    pub choices: bool,
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
    /// Factors that are compared together: there must be conditions at every combination of their levels that agree in
    /// every other factor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crossed: Vec<String>,
    /// Whether the contrast of the table `[primary]` is tested. What that contrast needs is checked at that table, and is
    /// not repeated here.
    #[serde(skip_serializing_if = "no")]
    pub primary: bool,
    /// The option `reference`: a level with which others are compared, and the factors of which one must have it. No
    /// factor: any may have it, or a condition may have the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<(String, Vec<String>)>,
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
    /// Name of the hook whose readings every turn that is read must have. Its options `factor`, `first_turn` and `where`, as
    /// far as it has them, must leave none of these turns out: `factor` is one of `pairs`, and the analyzer's own options
    /// `first_turn` and `where` select no more than the hook's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_by: Option<String>,
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
    /// The outcomes that its verdicts, and whatever else it says was named before the run, rest on. Where new grades after
    /// the run replaced one of them, these findings are told as exploratory. Default: the outcomes of [`Self::needs`].
    fn judges(&self) -> Vec<Outcome> {
        self.needs().outcomes
    }
    /// A text that identifies what the analyzer reads from files, such as an autoencoder. The run's lock stores it, and
    /// what an analysis with another one finds is exploratory. Asked once before the run, and before the analysis of a
    /// stored run. Default: it reads none, and the lock stores nothing. Analyzers of libraries and processes cannot say it.
    ///
    /// # Errors
    /// If a file cannot be read.
    fn fingerprint(&self) -> Result<Option<String>> {
        Ok(None)
    }
    /// What options come to that the table leaves out, by key, where the plugin decides it by its other options and no
    /// default of the schema can say it. The run's lock stores it, so that an analysis which sets such an option to this value
    /// departs from nothing. Default: there are no such options. Analyzers of libraries and processes cannot say it.
    fn settled(&self) -> Map<String, Value> {
        Map::new()
    }
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
    /// Names of the numbers that hooks read out, `<hook>.<name>`, as far as they declare them; `None` as above.
    pub readings: Option<&'a [String]>,
}
