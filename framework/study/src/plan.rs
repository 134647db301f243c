//! Everything that can be known, and refused, before a token is generated.
use crate::Result;
use crate::design::{lengths, questions};
use friction_core::manifest::{BackendKind, BatchSize, Issues, Manifest, ModelDtype, Path as KeyPath, Quantize};
use friction_core::{
    Analyzer, Arm, BuildContext, Condition, Dataset, Factors, Hook, HookProgram, ModelSpec, PlanContext, Question, Tap,
};
use friction_engine::{EngineOptions, Sampling};
use friction_model::cache::CacheShape;
use friction_model::{ChatTemplate, Checkpoint, Tokenizer};
use std::collections::BTreeSet;
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

/// A hook, built.
pub struct PlannedHook {
    /// Its name.
    pub name: String,
    /// The taps of its own program, in its order.
    pub taps: Vec<Tap>,
    /// The plugin.
    pub plugin: Box<dyn Hook>,
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
    /// The folder that its paths are relative to.
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
    /// The conversations of a group: indices of condition and arm.
    pub members: Vec<(usize, usize)>,
    /// The hooks.
    pub hooks: Vec<PlannedHook>,
    /// All hooks' program.
    pub program: HookProgram,
    /// Tokens of its neutral text.
    pub neutral: Vec<u32>,
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
    /// Conversations at once; nothing where the device's memory decides, once the model is there.
    pub slots: Option<usize>,
    /// Positions of a conversation.
    pub capacity: usize,
    /// Bytes of weights on the device.
    pub weight_bytes: u64,
    /// Bytes of a conversation's keys and values.
    pub slot_bytes: u64,
    /// Bytes of a step's largest intermediates, roughly.
    pub step_bytes: u64,
    /// Tokens of user messages, template included.
    pub user_tokens: u64,
    /// Reply tokens at most.
    pub reply_tokens: u64,
}

/// What is wrong with a study so far: everything is tried before any of it is told.
struct Wrong<'a> {
    manifest: &'a Manifest,
    issues: Issues,
}

impl Wrong<'_> {
    /// The value, or a note of what is wrong at `path`.
    fn keep<T, E: std::fmt::Display>(&mut self, path: &KeyPath, result: std::result::Result<T, E>) -> Option<T> {
        result.map_err(|e| self.issues.push(path.clone(), e.to_string(), None)).ok()
    }

    fn end<T>(self) -> Result<T> {
        Err(self.manifest.source.locate(self.issues).into())
    }
}

impl Plan {
    /// Assembles a study from a manifest.
    ///
    /// # Errors
    /// Says where the manifest is wrong or what is missing, everything at once that does not hang on
    /// something else.
    pub fn new(manifest: Manifest, base: &Path) -> Result<Self> {
        let m = &manifest;
        let mut wrong = Wrong { manifest: m, issues: Issues::default() };
        let key = |k: &str| KeyPath::default().key(k);
        let source = key("model").key("source");
        let cx = BuildContext::new(m, base);

        // The shape of the model comes from its configuration: hooks are checked without weights.
        let checkpoint = wrong.keep(&source, Checkpoint::of(&cx));
        let hooked = checkpoint.as_ref().and_then(|c| hooks(&c.config.spec(&m.model.source), &cx, &mut wrong));
        let mut analyzers = vec![];
        for a in &m.analyzers {
            let Some(built) = wrong.keep(&a.path, (a.build)(&cx)) else { continue };
            wrong.keep(&a.path, meets(m, hooked.as_ref().map(|(p, _)| p), built.as_ref()));
            analyzers.push((a.name.clone(), built));
        }
        let dataset = wrong.keep(&m.dataset.path, (m.dataset.build)(&cx));
        let mut conditions = vec![];
        for c in &m.conditions {
            if let Some(plugin) = wrong.keep(&c.chosen.path, (c.chosen.build)(&cx)) {
                conditions.push(PlannedCondition { name: c.chosen.name.clone(), factors: c.factors.clone(), plugin });
            }
        }
        let topics = wrong.keep(&m.topics.path, (m.topics.build)(&cx));
        let context = PlanContext { seed: m.study.seed, groups: m.study.groups, turns: m.study.turns };
        let groups = dataset.as_ref().zip(topics).and_then(|(d, t)| {
            let order = wrong.keep(&m.topics.path, t.choose(d.categories(), &context))?;
            wrong.keep(&m.dataset.path, questions(d.as_ref(), &order.order, &context))
        });
        let texts = checkpoint.as_ref().and_then(|c| {
            let tokenizer = wrong.keep(&source, c.tokenizer())?;
            if tokenizer.ids_of_text() > c.config.vocab {
                let (ids, vocab) = (tokenizer.ids_of_text(), c.config.vocab);
                wrong.keep::<(), _>(
                    &key("model"),
                    Err(format!("the tokenizer has {ids} ids, the model {vocab}: they do not belong together")),
                );
            }
            let template = wrong.keep(&source, c.template(&tokenizer))?;
            Some((tokenizer, template))
        });
        let (Some(checkpoint), Some((program, hooks)), Some(dataset), Some(groups), Some((tokenizer, template)), true) =
            (checkpoint, hooked, dataset, groups, texts, wrong.issues.is_empty())
        else {
            return wrong.end();
        };

        let (user_tokens, capacity) =
            lengths(m, &conditions, &groups, &tokenizer, &template, program.neutral.as_ref())?;
        if capacity > checkpoint.config.context {
            let message = format!(
                "{} turns of up to {} new tokens need up to {capacity} positions, but the model's context is {}; lower `turns` or `max_new_tokens`",
                m.study.turns, m.generation.max_new_tokens, checkpoint.config.context
            );
            return Err(m.error_at(key("generation").key("max_new_tokens"), message).into());
        }
        let mut arms = program.arms.clone();
        if arms.is_empty() {
            arms.push(Arm::default());
        }
        let members: Vec<(usize, usize)> = (0..conditions.len())
            .flat_map(|c| (0..arms.len()).map(move |a| (c, a)))
            .filter(|(c, a)| arms[*a].runs_with(&conditions[*c].factors))
            .collect();
        if let Some(idle) = (0..arms.len()).find(|a| members.iter().all(|(_, b)| b != a)) {
            let message = format!(
                "the arm `{}` runs with conditions of {:?}, and there is none",
                arms[idle].name, arms[idle].only
            );
            return Err(m.error_at(key("hook"), message).into());
        }
        let neutral = match &program.neutral {
            Some(text) => tokenizer.encode(&text.reply)?,
            None => vec![],
        };
        let per_group = members.len();
        let conversations = per_group * m.study.groups;
        // A device that does not tell what is free holds as many as these.
        let (slots, found) = match (m.backend.batch, m.backend.kind) {
            (BatchSize::Fixed(n), _) => (n.min(conversations), false),
            (BatchSize::Auto, BackendKind::Cpu) => (auto(16, per_group, conversations), false),
            (BatchSize::Auto, _) => (auto(64, per_group, conversations), true),
        };
        let engine = EngineOptions {
            slots,
            capacity,
            max_new_tokens: m.generation.max_new_tokens,
            sampling: Sampling { temperature: m.generation.temperature, top_p: m.generation.top_p },
            chunk: EngineOptions::CHUNK,
            step_tokens: EngineOptions::step_tokens(m.backend.kind == BackendKind::Cpu),
            reuse: true,
        };
        let bytes = if m.model.dtype == ModelDtype::F32 { 4 } else { 2 };
        let c = &checkpoint.config;
        let estimate = Estimate {
            conversations,
            turns: conversations * m.study.turns,
            slots: (!found).then_some(slots),
            capacity,
            weight_bytes: match m.model.quantize {
                Quantize::None => c.parameters() * bytes,
                // 32 codes and a scale a block; norms are few.
                Quantize::Q8 => c.parameters() * 36 / 32,
                Quantize::Q4 => c.parameters() * 20 / 32,
            },
            slot_bytes: CacheShape { slots: 1, ..engine.cache(c) }.bytes(c, bytes as usize),
            step_bytes: 4 * (engine.step_tokens * (4 * c.intermediate + 8 * c.hidden) + slots * c.vocab) as u64,
            user_tokens,
            reply_tokens: (conversations * m.study.turns * m.generation.max_new_tokens) as u64,
        };
        Ok(Self {
            checkpoint,
            tokenizer,
            template,
            dataset,
            conditions,
            arms,
            members,
            hooks,
            program,
            neutral,
            groups,
            analyzers,
            engine,
            estimate,
            base: base.to_path_buf(),
            manifest,
        })
    }
}

/// All hooks' program on a model of this shape.
fn hooks(spec: &ModelSpec, cx: &BuildContext, wrong: &mut Wrong) -> Option<(HookProgram, Vec<PlannedHook>)> {
    let (mut program, mut hooks) = (HookProgram::default(), vec![]);
    let mut whole = true;
    for hook in &wrong.manifest.hooks {
        let part = (hook.build)(cx).and_then(|h| {
            let p = h.program(spec)?;
            p.validate(spec)?;
            Ok((h, p))
        });
        match wrong.keep(&hook.path, part) {
            Some((plugin, p)) => {
                hooks.push(PlannedHook { name: hook.name.clone(), taps: p.taps.clone(), plugin });
                program.extend(p);
            }
            None => whole = false,
        }
    }
    wrong.keep(&KeyPath::default().key("hook"), program.validate(spec))?;
    whole.then_some((program, hooks))
}

/// The largest multiple of a group's conversations up to `about`; at least one group.
fn auto(about: usize, per_group: usize, conversations: usize) -> usize {
    (about / per_group * per_group).max(per_group.min(256)).min(conversations)
}

/// Whether a run produces what an analyzer reads. No program: the hooks are told to be wrong already.
fn meets(m: &Manifest, program: Option<&HookProgram>, analyzer: &dyn Analyzer) -> std::result::Result<(), String> {
    let needs = analyzer.needs();
    for (site, position) in &needs.taps {
        let tapped = |p: &HookProgram| p.taps.iter().any(|t| t.site == *site && t.position == *position);
        if !program.is_none_or(tapped) {
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
            let near = friction_core::manifest::suggestion(factor, known.iter().copied());
            return Err(format!(
                "this analyzer compares levels of factor `{factor}`, but the conditions carry {} of it{}",
                levels.len(),
                near.map_or(String::new(), |n| format!(" ({n})"))
            ));
        }
    }
    Ok(())
}

/// Shared by all conversations of a run.
pub type SharedPlan = Rc<Plan>;
