//! Everything that can be known, and refused, before a token is generated.
use crate::{Error, Result};
use friction_core::manifest::{BackendKind, BatchSize, Manifest, ModelDtype, Path as KeyPath};
use friction_core::{
    Analyzer, Arm, BuildContext, Condition, Dataset, Factors, HookProgram, PlanContext, Question, TurnContext, seed,
};
use friction_engine::{EngineOptions, Sampling};
use friction_model::{ChatTemplate, ChatTurn, Checkpoint, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A condition, built.
pub struct PlannedCondition {
    /// Its name.
    pub name: String,
    /// Its factors.
    pub factors: Factors,
    /// The plugin.
    pub plugin: Box<dyn Condition>,
}

/// One turn of a group: the same in every condition.
#[derive(Debug, Clone)]
pub struct PlannedTurn {
    /// Category name.
    pub topic: String,
    /// The question.
    pub question: Question,
    /// As the user asks it.
    pub prompt: String,
}

/// A study, assembled.
pub struct Plan {
    /// The manifest.
    pub manifest: Manifest,
    /// Folder that its paths are relative to.
    pub base: PathBuf,
    /// The checkpoint, weights not read.
    pub checkpoint: Checkpoint,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// Its chat template.
    pub template: ChatTemplate,
    /// The dataset.
    pub dataset: Box<dyn Dataset>,
    /// The conditions.
    pub conditions: Vec<PlannedCondition>,
    /// Arms; at least the control.
    pub arms: Vec<Arm>,
    /// All hooks' program.
    pub program: HookProgram,
    /// `[groups][turns]`.
    pub groups: Vec<Vec<PlannedTurn>>,
    /// Analyzers with their names.
    pub analyzers: Vec<(String, Box<dyn Analyzer>)>,
    /// Sizes for the engine.
    pub engine: EngineOptions,
    /// Costs.
    pub estimate: Estimate,
}

/// What a run will need.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Estimate {
    /// Conversations.
    pub conversations: usize,
    /// Turns.
    pub turns: usize,
    /// Slots.
    pub slots: usize,
    /// Positions of a slot.
    pub capacity: usize,
    /// Bytes of weights on the device.
    pub weight_bytes: u64,
    /// Bytes of keys and values.
    pub cache_bytes: u64,
    /// Bytes of a step's largest intermediates, roughly.
    pub step_bytes: u64,
    /// Tokens of user messages, template included.
    pub user_tokens: u64,
    /// Reply tokens at most.
    pub reply_tokens: u64,
}

impl Plan {
    /// Assembles a study from a manifest file's text.
    ///
    /// # Errors
    /// Says where the manifest is wrong or what is missing.
    pub fn new(manifest: Manifest, base: &Path) -> Result<Self> {
        let m = &manifest;
        let key = |k: &str| KeyPath::default().key(k);
        let section = |path: &KeyPath, e: &dyn std::fmt::Display| Error::from(m.error_at(path.clone(), e.to_string()));
        let cx = BuildContext { base: base.to_path_buf(), seed: m.study.seed };

        // The shape of the model comes from its configuration: hooks are checked without weights.
        let tokenizer = m.model.tokenizer.as_deref().map(Path::new);
        let checkpoint =
            Checkpoint::resolve(&m.model.source, m.model.revision.as_deref(), tokenizer, base, m.study.seed)
                .map_err(|e| section(&key("model").key("source"), &e))?;
        let spec = checkpoint.config.spec(&m.model.source);
        let mut program = HookProgram::default();
        for hook in &m.hooks {
            let built = (hook.build)(&cx).map_err(|e| section(&hook.path, &e))?;
            let part = built.program(&spec).map_err(|e| section(&hook.path, &e))?;
            part.validate(&spec).map_err(|e| section(&hook.path, &e))?;
            program.extend(part);
        }
        program.validate(&spec).map_err(|e| section(&key("hook"), &e))?;
        let mut analyzers = vec![];
        for a in &m.analyzers {
            let built = (a.build)(&cx).map_err(|e| section(&a.path, &e))?;
            if let Err(e) = meets(m, &program, built.as_ref()) {
                return Err(section(&a.path, &e));
            }
            analyzers.push((a.name.clone(), built));
        }
        let dataset = (m.dataset.build)(&cx).map_err(|e| section(&m.dataset.path, &e))?;
        let mut conditions = vec![];
        for c in &m.conditions {
            let plugin = (c.chosen.build)(&cx).map_err(|e| section(&c.chosen.path, &e))?;
            conditions.push(PlannedCondition { name: c.chosen.name.clone(), factors: c.factors.clone(), plugin });
        }
        let topics = (m.topics.build)(&cx).map_err(|e| section(&m.topics.path, &e))?;
        let context = PlanContext { seed: m.study.seed, groups: m.study.groups, turns: m.study.turns };
        let order = topics.choose(dataset.categories(), &context).map_err(|e| section(&m.topics.path, &e))?;
        let groups = questions(dataset.as_ref(), &order.order, &context).map_err(|e| section(&m.dataset.path, &e))?;
        let mut arms = program.arms.clone();
        if arms.is_empty() {
            arms.push(Arm::default());
        }

        let tokenizer = checkpoint.tokenizer()?;
        if tokenizer.vocab() > checkpoint.config.vocab {
            let message = format!(
                "the tokenizer has {} ids, the model {}: they do not belong together",
                tokenizer.vocab(),
                checkpoint.config.vocab
            );
            return Err(section(&key("model"), &message));
        }
        let template = checkpoint.template(&tokenizer)?;
        let (user_tokens, longest) = lengths(m, &conditions, &groups, &tokenizer, &template)?;
        let capacity = longest;
        if capacity > checkpoint.config.context {
            let message = format!(
                "{} turns of up to {} new tokens need up to {capacity} positions, but the model's context is {}; lower `turns` or `max_new_tokens`",
                m.study.turns, m.generation.max_new_tokens, checkpoint.config.context
            );
            return Err(section(&key("generation").key("max_new_tokens"), &message));
        }
        let per_group = conditions.len() * arms.len();
        let conversations = per_group * m.study.groups;
        let slots = match (m.backend.batch, m.backend.kind) {
            (BatchSize::Fixed(n), _) => n.min(conversations),
            (BatchSize::Auto, BackendKind::Cpu) => auto(16, per_group, conversations),
            (BatchSize::Auto, _) => auto(64, per_group, conversations),
        };
        let engine = EngineOptions {
            slots,
            capacity,
            max_new_tokens: m.generation.max_new_tokens,
            sampling: Sampling { temperature: m.generation.temperature, top_p: m.generation.top_p },
            chunk: 256,
            step_tokens: 2048,
            reuse: true,
        };
        let bytes = if m.model.dtype == ModelDtype::F32 { 4 } else { 2 };
        let c = &checkpoint.config;
        let estimate = Estimate {
            conversations,
            turns: conversations * m.study.turns,
            slots,
            capacity,
            weight_bytes: c.parameters() * bytes,
            cache_bytes: engine.cache(c).bytes(c, bytes as usize),
            step_bytes: 4 * (engine.step_tokens * (4 * c.intermediate + 8 * c.hidden) + slots * c.vocab) as u64,
            user_tokens,
            reply_tokens: (conversations * m.study.turns * m.generation.max_new_tokens) as u64,
        };
        Ok(Self {
            base: base.into(),
            checkpoint,
            tokenizer,
            template,
            dataset,
            conditions,
            arms,
            program,
            groups,
            analyzers,
            engine,
            estimate,
            manifest,
        })
    }
}

/// The largest multiple of a group's conversations up to `about`; at least one group.
fn auto(about: usize, per_group: usize, conversations: usize) -> usize {
    (about / per_group * per_group).max(per_group.min(256)).min(conversations)
}

fn meets(m: &Manifest, program: &HookProgram, analyzer: &dyn Analyzer) -> std::result::Result<(), String> {
    let needs = analyzer.needs();
    for (site, position) in &needs.taps {
        if !program.taps.iter().any(|t| t.site == *site && t.position == *position) {
            return Err(format!(
                "this analyzer reads `{site}` at `{position}`, but no hook taps it; add it to a `[[hook]]` with `plugin = \"residual\"`"
            ));
        }
    }
    for factor in &needs.factors {
        let levels: BTreeSet<_> = m.conditions.iter().filter_map(|c| c.factors.get(factor)).collect();
        if levels.len() < 2 {
            let known: BTreeSet<&str> =
                m.conditions.iter().flat_map(|c| c.factors.keys().map(String::as_str)).collect();
            let near = friction_core::manifest::suggestion(factor, known.iter().copied()).unwrap_or_default();
            return Err(format!(
                "this analyzer compares levels of factor `{factor}`, but the conditions carry {} of it {near}",
                levels.len()
            ));
        }
    }
    Ok(())
}

/// Draws each group's questions: from the turn's category, none twice in a group, and none twice in
/// the study until a category is used up.
fn questions(
    dataset: &dyn Dataset,
    order: &[Vec<usize>],
    cx: &PlanContext,
) -> friction_core::Result<Vec<Vec<PlannedTurn>>> {
    let categories = dataset.categories();
    let mut decks: BTreeMap<usize, (Vec<usize>, usize)> = BTreeMap::new();
    let mut out = vec![];
    for topics in order {
        let mut group: Vec<PlannedTurn> = vec![];
        for c in topics {
            let category = categories
                .get(*c)
                .ok_or_else(|| friction_core::Error::config(format!("topic {c} is not a category of the dataset")))?;
            let all = dataset.questions(category);
            if all.is_empty() {
                return Err(friction_core::Error::config(format!("category `{}` has no questions", category.name)));
            }
            let deck = decks.entry(*c).or_insert_with(|| {
                (
                    seed::permutation(
                        all.len(),
                        seed::derive(&[&cx.seed.to_le_bytes(), b"questions", category.name.as_bytes()]),
                    ),
                    0,
                )
            });
            let mut tries = 0;
            let question = loop {
                let q = &all[deck.0[deck.1 % all.len()]];
                deck.1 += 1;
                tries += 1;
                if !group.iter().any(|t| t.question.id == q.id || t.question.text == q.text) {
                    break q.clone();
                }
                if tries > all.len() {
                    return Err(friction_core::Error::config(format!(
                        "category `{}` has too few questions for a group that visits it again",
                        category.name
                    )));
                }
            };
            group.push(PlannedTurn { topic: category.name.clone(), prompt: dataset.prompt(&question), question });
        }
        out.push(group);
    }
    Ok(out)
}

/// Tokens of all user messages, and the longest conversation at its longest replies.
fn lengths(
    m: &Manifest,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedTurn>],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<(u64, usize)> {
    let (mut total, mut longest) = (0u64, 0usize);
    // Re-tokenised borders and a condition's marker take a few tokens beyond the reply's own.
    const SLACK: usize = 16;
    for (g, group) in groups.iter().enumerate() {
        for c in conditions {
            let mut turns = vec![];
            for (t, turn) in group.iter().enumerate() {
                let cx = context(m.study.seed, g, t, group.len(), turn);
                turns.push(ChatTurn::user(c.plugin.ask(&cx)?.text));
                if t + 1 < group.len() {
                    turns.push(ChatTurn::assistant("…"));
                }
            }
            let n = tokenizer.encode(&template.render(&turns)?)?.len();
            total += n as u64;
            longest = longest.max(n + group.len() * (m.generation.max_new_tokens + SLACK));
        }
    }
    Ok((total, longest))
}

/// Where in the design a turn stands.
pub fn context<'a>(seed: u64, group: usize, turn: usize, turns: usize, planned: &'a PlannedTurn) -> TurnContext<'a> {
    TurnContext { seed, group, turn: turn + 1, turns, topic: &planned.topic, question: &planned.prompt }
}

/// Shared by all conversations of a run.
pub type SharedPlan = Rc<Plan>;
