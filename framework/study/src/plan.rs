//! Assembles a study and checks it before any token is generated.
mod hooks;

use crate::design::Counter;
use crate::filler::Scale;
use crate::lists::{Fault, Lists, PlannedItem};
use crate::needs::{self, Produced};
use crate::planned::{Member, PlannedCondition, PlannedHook};
use crate::wrong::{Wrong, named};
use crate::{Result, batch, decoding, grading, idle, options, shifts, tail, wordings};
use friction_checkpoint::{ChatTemplate, Checkpoint, Tokenizer};
use friction_core::manifest::{BackendKind, Manifest, ModelDtype, Path as KeyPath, Quantize};
use friction_core::{
    Analyzer, Arm, BuildContext, Dataset, Declared, Foreseen, Grade, Grader, HookProgram, Item, PlanContext, plural,
};
use friction_engine::{EngineOptions, Sampling, StopStrings};
use friction_model::cache::CacheShape;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A study that was assembled and checked.
pub struct Plan {
    /// The manifest.
    pub manifest: Manifest,
    /// The folder that its relative paths refer to.
    pub base: PathBuf,
    /// The checkpoint; its weights are not read yet.
    pub checkpoint: Checkpoint,
    /// The checkpoint's tokenizer, or the one that the manifest names.
    pub tokenizer: Tokenizer,
    /// The checkpoint's chat template.
    pub template: ChatTemplate,
    /// The dataset plugin.
    pub dataset: Box<dyn Dataset>,
    /// The grader of the table `[grade]`; `None` if the dataset grades.
    pub grader: Option<Grader>,
    /// The conditions, in the manifest's order.
    pub conditions: Vec<PlannedCondition>,
    /// Arms; at least the untouched control.
    pub arms: Vec<Arm>,
    /// The conversations of each group.
    pub members: Vec<Member>,
    /// Turns of the longest conversation that was counted.
    pub turns: usize,
    /// Whether any reply is generated, and not given.
    pub generates: bool,
    /// The hooks, in the manifest's order.
    pub hooks: Vec<PlannedHook>,
    /// The joined program of all hooks.
    pub program: HookProgram,
    /// The items of every group.
    pub lists: Lists,
    /// The analyzers, with their names.
    pub analyzers: Vec<(String, Box<dyn Analyzer>)>,
    /// Sizes and rules for the engine.
    pub engine: EngineOptions,
    /// What a run will cost.
    pub estimate: Cost,
    /// Settings that have no effect, each with its place. A run goes on all the same.
    pub warnings: Vec<String>,
    /// What a reader must know of the data and of the choice of topics.
    pub notes: Vec<String>,
}

/// What a run will need.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Cost {
    /// Number of conversations: groups × members of a group.
    pub conversations: usize,
    /// Number of turns of all conversations.
    pub turns: usize,
    /// Conversations at once; `None` if the device's memory decides once the model is loaded.
    pub slots: Option<usize>,
    /// Positions (tokens) of the longest conversation.
    pub capacity: usize,
    /// Bytes of the weights on the device.
    pub weight_bytes: u64,
    /// Bytes of one conversation's keys and values.
    pub slot_bytes: u64,
    /// Bytes of a step's largest intermediate tensors, approximately.
    pub step_bytes: u64,
    /// Tokens of all user messages, template included.
    pub user_tokens: u64,
    /// Number of groups whose messages were counted: all of a small study. Of a large one the longest groups are among
    /// them, and `user_tokens` is extrapolated from the others.
    pub groups_counted: usize,
    /// Tokens of all replies if each is as long as allowed.
    pub reply_tokens: u64,
}

impl Plan {
    /// Assembles a study from a manifest.
    ///
    /// # Errors
    /// If the manifest is wrong or something is missing. Errors that do not depend on each other are reported together.
    pub fn new(mut manifest: Manifest, base: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::of(&BuildContext::new(&manifest, base));
        let issues = decoding::settle(&mut manifest, checkpoint.as_ref().ok());
        let m = &manifest;
        let mut wrong = Wrong { manifest: m, issues, warnings: m.warnings.clone() };
        let key = |k: &str| KeyPath::default().key(k);
        let source = key("model").key("source");
        let cx = BuildContext::new(m, base);

        // The model's shape comes from its configuration, so hooks are checked without weights.
        let checkpoint = decoding::keep(&mut wrong, &source, checkpoint);
        if let Some(c) = &checkpoint {
            decoding::keep(&mut wrong, &source, c.complete());
        }
        let mut hooked =
            checkpoint.as_ref().and_then(|c| hooks::joined(&c.arch.spec(&m.model.source), &cx, &mut wrong));
        let (mut analyzers, mut needs) = (vec![], vec![]);
        for a in &m.analyzers {
            let Some(built) = wrong.built(a, (a.build)(&cx)) else { continue };
            let program = hooked.as_ref().map(|(p, _)| p);
            let study = Foreseen {
                groups: m.study.groups,
                arms: program.map(|p| p.arms.as_slice()),
                readings: program.map(|p| p.readings.as_slice()),
            };
            built.foresee(&study).into_iter().for_each(|w| wrong.warnings.push(a.path.clone(), w, None));
            needs.push((a, built.needs()));
            analyzers.push((a.name.clone(), built));
        }
        let dataset = wrong.built(&m.dataset, (m.dataset.build)(&cx));
        let grader = wrong.plugin(&key("grade"), grading::grader(m)).flatten();
        let mut conditions = vec![];
        for c in &m.conditions {
            let declared = Declared { name: c.chosen.name.clone(), factors: c.factors.clone() };
            let cx = BuildContext { condition: Some(declared), ..cx.clone() };
            if let Some(plugin) = wrong.built(&c.chosen, named(&c.chosen.name, (c.chosen.build)(&cx))) {
                conditions.push(PlannedCondition { name: c.chosen.name.clone(), factors: c.factors.clone(), plugin });
            }
        }
        let topics = m.topics.as_ref().map(|t| wrong.built(t, (t.build)(&cx)));
        if let (None, Some(d)) = (&m.topics, &dataset) {
            let n = d.categories().len();
            if n != 1 {
                let message = format!("section `[topics]` is missing: the dataset has {}", plural(n, "category"));
                wrong.issues.push(
                    KeyPath::default(),
                    message,
                    Some("it says which are asked, and in which order".into()),
                );
            }
        }
        let context = PlanContext { seed: m.study.seed, groups: m.study.groups, turns: m.study.items() };
        // `None` where the plugin of `[topics]` could not be built.
        let topics = match topics {
            Some(None) => None,
            Some(built) => Some(built),
            None => Some(None),
        };
        let ready = dataset.as_ref().zip(topics).filter(|_| wrong.issues.is_empty() || m.topics.is_some());
        let lists = ready.and_then(|(d, t)| match Lists::new(d.as_ref(), t, context, &m.options) {
            Ok(lists) => Some(lists),
            Err(Fault::Topics(e)) => wrong.plugin(m.topics.as_ref().map_or(&m.dataset.path, |t| &t.path), Err(e)),
            Err(Fault::Dataset(e)) => wrong.plugin(&m.dataset.path, Err(e)),
        });
        let first = dataset.as_ref().zip(lists.as_ref()).and_then(|(d, l)| {
            let group = |g| Ok(l.group(d.as_ref(), g)?.to_vec());
            wrong.plugin(
                &m.dataset.path,
                (0..m.study.groups.min(idle::GROUPS)).map(group).collect::<friction_core::Result<Vec<_>>>(),
            )
        });
        if let (Some(g), Some(groups)) = (&grader, &first) {
            grading::check(m, g, groups, &mut wrong.issues, &mut wrong.warnings);
        }
        if let (Some(d), Some(groups)) = (&dataset, &first) {
            wrong.plugin(&m.dataset.path, options::obeyed(d.as_ref(), grader.as_ref(), groups));
        }
        let (mut habits, mut turns) = (None, m.study.items().min(m.study.most_turns()));
        let mut generates = true;
        if let (Some(groups), Some(d)) = (first.as_ref().filter(|_| conditions.len() == m.conditions.len()), &dataset) {
            let design = idle::Design::new(m, d.as_ref(), &conditions, groups);
            turns = design.turns();
            design.spans(&mut wrong.issues);
            design.same(&mut wrong.issues, &mut wrong.warnings);
            design.partners(&mut wrong.issues);
            design.asides(&mut wrong.issues);
            design.endless(&mut wrong.warnings);
            generates = design.decoded(&mut wrong.warnings);
            design.fails(&mut wrong);
            shifts::check(&mut wrong, d.as_ref(), &conditions, groups);
            if let Some((_, hooks)) = &mut hooked {
                design.foreseen(hooks, &mut wrong);
            }
            if needs.iter().any(|(_, n)| n.cuts || n.wordings) {
                habits = Some(design.habits());
            }
        }
        let offered = dataset.as_ref().zip(first.as_ref());
        let offered = offered.map(|(d, groups)| grading::Offered::by(d.as_ref(), grader.as_ref(), groups));
        if let (Some((program, _)), Some(offered)) = (&hooked, offered) {
            idle::forks(program, offered.odds, &mut wrong.issues);
        }
        // Where `[grade]` is wrong, what it gives is not known.
        let grades = dataset.as_ref().filter(|_| m.grade.is_some() == grader.is_some());
        let metrics = grades.map(|d| grading::Metrics::of(d.as_ref(), grader.as_ref()));
        let program = hooked.as_ref().map(|(p, _)| p);
        let produced = Produced { manifest: m, program, habits, turns, offered, metrics };
        needs::check(&produced, &needs, &mut wrong.issues, &mut wrong.warnings);
        idle::unused(m, base, &mut wrong.warnings);
        let texts = checkpoint.as_ref().and_then(|c| {
            // An error of a tokenizer that the manifest names is reported at its key.
            let named = m.model.tokenizer.as_ref().map(|_| key("model").key("tokenizer"));
            let tokenizer = wrong.keep(named.as_ref().unwrap_or(&source), c.tokenizer())?;
            if tokenizer.ids_of_text() > c.arch.vocab {
                let (ids, vocab) = (tokenizer.ids_of_text(), c.arch.vocab);
                wrong.keep::<(), _>(
                    named.as_ref().unwrap_or(&source),
                    Err(format!("the tokenizer has {ids} ids, the model {vocab}: they do not belong together")),
                );
                return None;
            }
            let template = decoding::keep(&mut wrong, &source, c.template(&tokenizer))?;
            decoding::check(&mut wrong, &template, &tokenizer, turns);
            if let (Some(dataset), Some(groups)) = (&dataset, &first) {
                decoding::openings(&mut wrong, &template, dataset.as_ref(), &conditions, groups);
                let scale = Scale { template: &template, tokenizer: &tokenizer };
                wordings::check(&mut wrong, scale, &conditions, groups);
            }
            if let Some((program, _)) = &hooked {
                decoding::spans(&mut wrong, &template, program);
                if let Some(groups) = &first {
                    tail::check(&mut wrong, (&tokenizer, &template), program, &conditions, groups);
                }
            }
            Some((tokenizer, template))
        });
        if let Some(lists) = &lists {
            lists.shared(m, &mut wrong.warnings);
        }
        let (Some(checkpoint), Some((program, hooks)), Some(dataset), Some(lists), Some((tokenizer, template)), true) =
            (checkpoint, hooked, dataset, lists, texts, wrong.issues.is_empty())
        else {
            return wrong.end();
        };

        let counter = Counter {
            manifest: m,
            conditions: &conditions,
            dataset: dataset.as_ref(),
            lists: &lists,
            tokenizer: &tokenizer,
            template: &template,
            neutral: program.neutral.as_ref(),
        };
        let lengths = counter.study(checkpoint.arch.context)?;
        let capacity = lengths.longest;
        if let Some((path, message)) = lengths.beyond(m, checkpoint.arch.context) {
            return Err(m.error_at(path, message).into());
        }
        let mut arms = program.arms.clone();
        if arms.is_empty() {
            arms.push(Arm::default());
        }
        let samples = m.study.samples;
        let members: Vec<Member> = (0..conditions.len())
            .flat_map(|condition| (0..arms.len()).map(move |arm| (condition, arm)))
            .filter(|(condition, arm)| arms[*arm].runs_with(&conditions[*condition].factors))
            .flat_map(|(condition, arm)| (0..samples).map(move |sample| Member { condition, arm, sample }))
            .collect();
        if let Some(idle) = (0..arms.len()).find(|a| members.iter().all(|m| m.arm != *a)) {
            let message = format!(
                "the arm `{}` runs with conditions of {:?}, and there is none",
                arms[idle].name, arms[idle].only
            );
            return Err(m.error_at(key("hook"), message).into());
        }
        let per_group = members.len();
        let conversations = per_group * m.study.groups;
        // Turns were counted once a condition; arms and samples repeat them.
        let rows = lengths.rows * per_group as u64 / conditions.len().max(1) as u64;
        let least = if hooks.iter().any(|h| h.plugin.reads_group()) { per_group } else { 1 };
        let (slots, found) = batch::planned(&m.backend, (per_group, conversations), least, &mut wrong.warnings);
        let warnings = m.source.locate(wrong.warnings).to_string();
        let warnings = warnings.lines().map(String::from).collect();
        let engine = EngineOptions {
            slots,
            capacity,
            max_new_tokens: m.generation.max_new_tokens,
            fork_tokens: lengths.fork_tokens,
            sampling: Sampling::from(&m.generation),
            stop: StopStrings::new(m.generation.stop.clone()),
            chunk: EngineOptions::CHUNK,
            step_tokens: EngineOptions::step_tokens(m.backend.kind == BackendKind::Cpu),
            reuse: true,
        };
        let bytes = if m.model.dtype == ModelDtype::F32 { 4 } else { 2 };
        let c = &checkpoint.arch;
        let estimate = Cost {
            conversations,
            turns: rows as usize,
            slots: (!found).then_some(slots),
            capacity,
            weight_bytes: match m.model.quantize {
                Quantize::None => c.parameters() * bytes,
                // A block of 32 weights has 32 codes and an f32 scale. Norms are not quantised, but few.
                Quantize::Q8 => c.parameters() * 36 / 32,
                Quantize::Q4 => c.parameters() * 20 / 32,
            },
            slot_bytes: CacheShape { slots: 1, ..engine.cache(c) }.bytes(c, bytes as usize),
            step_bytes: 4 * (engine.step_tokens * (4 * c.intermediate + 8 * c.hidden) + slots * c.vocab) as u64,
            user_tokens: lengths.user_tokens,
            groups_counted: lengths.groups,
            reply_tokens: rows * m.generation.max_new_tokens as u64,
        };
        let mut notes = [dataset.notes(), m.notes.clone()].concat();
        notes.extend(lists.notes());
        notes.extend(decoding::asked(&mut manifest, &template));
        if program.edits.iter().any(|e| e.op.takes_vectors()) {
            let most = plural(program.readings.len(), "fork");
            notes.push(format!("up to {most} follow a turn, each of one or a few tokens, and no estimate counts them"));
        }
        Ok(Self {
            notes,
            checkpoint,
            tokenizer,
            template,
            dataset,
            grader,
            conditions,
            arms,
            members,
            hooks,
            program,
            turns: lengths.turns,
            generates,
            lists,
            analyzers,
            engine,
            estimate,
            warnings,
            base: base.to_path_buf(),
            manifest,
        })
    }
}

impl Plan {
    /// Grades a reply by the table `[grade]`, or else by the dataset.
    ///
    /// # Errors
    /// If the dataset fails.
    pub fn grade(&self, item: &Item, reply: &str) -> friction_core::Result<Grade> {
        grading::grade(self.dataset.as_ref(), self.grader.as_ref(), item, reply)
    }

    /// The items of a group.
    ///
    /// # Errors
    /// If there is no such group, or the dataset fails.
    pub fn group(&self, group: usize) -> friction_core::Result<Rc<[PlannedItem]>> {
        self.lists.group(self.dataset.as_ref(), group)
    }

    /// Fewest conversations that must be held at once: those of a group, if a hook reads them together.
    pub(crate) fn least(&self) -> usize {
        if self.hooks.iter().any(|h| h.plugin.reads_group()) { self.members.len() } else { 1 }
    }

    /// Positions that the longest conversation of `groups` needs. The planned number, if all groups were counted.
    pub(crate) fn capacity(&self, groups: &[usize]) -> Result<usize> {
        if self.estimate.groups_counted == self.manifest.study.groups {
            return Ok(self.engine.capacity);
        }
        let lengths = self.counter().groups(groups.iter().copied())?;
        if let Some((path, message)) = lengths.beyond(&self.manifest, self.checkpoint.arch.context) {
            return Err(self.manifest.error_at(path, message).into());
        }
        Ok(lengths.longest.max(self.engine.capacity))
    }
}

/// A plan that all conversations of a run share.
pub type SharedPlan = Rc<Plan>;
