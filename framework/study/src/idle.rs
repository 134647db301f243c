//! Finds settings that would have no effect: conditions that do not differ, edits that are never applied, positions
//! that no reply reaches, libraries and processes whose plugins are not used.
mod foreseen;
mod given;

use crate::lists::PlannedItem;
use crate::manifest::library_file;
use crate::planned::PlannedCondition;
use crate::rehearsal::{Course, MadeUp, Rehearsed, opening};
use crate::wrong::Wrong;
use friction_core::manifest::{After, Chosen, External, Issues, Manifest, Path as KeyPath, external};
use friction_core::program::{Edit, is_name};
use friction_core::{Arm, ChatMessage, Dataset, Hook, HookProgram, Origin, Position, Result, TextCodec, plural};
use std::collections::BTreeSet;
use std::path::Path;

/// Largest number of groups in which two conditions are compared.
pub(crate) const GROUPS: usize = 200;

/// Decodes made-up ids to words, sentences and paragraphs, at whose ends a condition may cut.
pub(crate) struct Words;

impl TextCodec for Words {
    fn decode(&self, ids: &[u32]) -> Result<String> {
        let word = |id: &u32| match id {
            id if id % 29 == 28 => format!("word{id}.\n\n"),
            id if id % 7 == 6 => format!("word{id}. "),
            id => format!("word{id} "),
        };
        Ok(ids.iter().map(word).collect::<String>().trim_end().to_string())
    }
}

/// Made-up replies, ids and text: of the longest length, of half of it, and of one token.
fn replies(longest: usize) -> Vec<(Vec<u32>, String)> {
    let mut lengths = vec![longest, longest.div_ceil(2), 1];
    lengths.dedup();
    let of = |n: usize| (0..n as u32).collect::<Vec<_>>();
    lengths.into_iter().filter_map(|n| Some((of(n), Words.decode(&of(n)).ok()?))).collect()
}

/// The design's conversations in some groups, with made-up replies.
pub(crate) struct Design<'a> {
    manifest: &'a Manifest,
    dataset: &'a dyn Dataset,
    conditions: &'a [PlannedCondition],
    groups: &'a [Vec<PlannedItem>],
    replies: Vec<(Vec<u32>, String)>,
}

/// A conversation with made-up replies: its opening and its turns.
type Held = (Vec<ChatMessage>, Vec<Rehearsed>);

impl<'a> Design<'a> {
    pub fn new(
        manifest: &'a Manifest,
        dataset: &'a dyn Dataset,
        conditions: &'a [PlannedCondition],
        groups: &'a [Vec<PlannedItem>],
    ) -> Self {
        let longest = manifest.generation.max_new_tokens;
        let enough = (4_000_000 / (manifest.study.items() * longest).max(1)).clamp(1, GROUPS);
        let groups = &groups[..groups.len().min(enough)];
        Self { manifest, dataset, conditions, groups, replies: replies(longest) }
    }

    fn course(&self, c: &PlannedCondition, list: &[PlannedItem]) -> Course {
        Course::new(c.plugin.as_ref(), list, self.manifest.study.most_turns())
    }

    /// Turns of the longest conversation.
    pub fn turns(&self) -> usize {
        let of = |c: &PlannedCondition| self.groups.iter().map(|list| self.course(c, list).len()).max().unwrap_or(0);
        self.conditions.iter().map(of).max().unwrap_or(0)
    }

    /// Refuses items of several turns where only turns are counted: the last items would never be asked.
    pub fn spans(&self, issues: &mut Issues) {
        let (study, items) = (&self.manifest.study, self.manifest.study.items());
        let longer = |c: &PlannedCondition| {
            let asked = |list: &Vec<PlannedItem>| list.iter().map(|p| c.plugin.rounds(&p.item).max(1)).sum::<usize>();
            self.groups.iter().any(|list| asked(list) > study.most_turns().max(items))
        };
        if study.items.is_none()
            && let Some(c) = self.conditions.iter().find(|c| longer(c))
        {
            let message = format!(
                "condition `{}` takes several turns for an item, so `turns = {items}` would end before the last item",
                c.name
            );
            let help = "set `items`, the number of items of a conversation; `turns` may then limit its turns";
            issues.push(KeyPath::default().key("study").key("turns"), message, Some(help.into()));
        }
    }

    /// Warns of a rule that should end conversations early, and ends none.
    pub fn endless(&self, warnings: &mut Issues) {
        let all = self.manifest.study.groups;
        for (c, choice) in self.conditions.iter().zip(&self.manifest.conditions) {
            let Some(rule) = c.plugin.bounds().ends_by else { continue };
            let ends = |g: usize| {
                let turns = self.course(c, &self.groups[g]).len();
                // A condition that fails is reported elsewhere.
                self.held(c, g, false).map_or(true, |held| held.iter().any(|(_, told)| told.len() < turns))
            };
            if !(0..self.groups.len()).any(ends) {
                let looked = self.groups.len();
                let of = if looked == all { String::new() } else { format!(" of the first {looked}") };
                let message = format!("`{rule}` ends no conversation early: it holds at no turn of any group{of}");
                let help = "leave it out, or correct it: `turn` is the number of the turn that would come next";
                warnings.push(choice.chosen.path.key(&rule), message, Some(help.into()));
            }
        }
    }

    /// Refuses asides after turns that no conversation has.
    pub fn asides(&self, issues: &mut Issues) {
        let turns = self.turns();
        for (i, a) in self.manifest.asides.iter().enumerate() {
            let After::Turns(after) = &a.after else { continue };
            if let Some(beyond) = after.iter().find(|t| **t > turns) {
                let path = KeyPath::default().key("aside").index(i).key("after");
                let message = format!("turn {beyond} does not exist: conversations have {}", plural(turns, "turn"));
                issues.push(path, message, None);
            }
        }
    }

    /// Refuses a condition that has the complement of a schedule which no condition has.
    pub fn partners(&self, issues: &mut Issues) {
        for (c, choice) in self.conditions.iter().zip(&self.manifest.conditions) {
            let Some(of) = c.plugin.bounds().complement else { continue };
            let has = |o: &PlannedCondition| o.plugin.bounds().schedule.as_deref() == Some(of.as_str());
            if !self.conditions.iter().any(has) {
                let message = format!(
                    "`{}` has the complement of a schedule that no condition follows ({of}): its partner is missing",
                    c.name
                );
                let help = "add a condition with the same schedule and without the complement";
                issues.push(choice.chosen.path.clone(), message, Some(help.into()));
            }
        }
    }

    /// A condition's conversations with each made-up reply. If it listens, each reply is right, wrong and ungraded.
    fn held(&self, c: &PlannedCondition, group: usize, listens: bool) -> Result<Vec<Held>> {
        let (plugin, list) = (c.plugin.as_ref(), &self.groups[group]);
        let at = (self.manifest.study.seed, group);
        let (course, before) = (self.course(c, list), opening(self.dataset, plugin, at, list)?);
        let scores: &[Option<f64>] = if listens { &[None, Some(1.0), Some(0.0)] } else { &[None] };
        let mut out = vec![];
        for (ids, text) in &self.replies {
            for score in scores {
                let made_up = MadeUp { text, ids, codec: &Words, score: *score, forgiving: false };
                out.push((before.clone(), made_up.hold(c, &course, at, list)?));
            }
        }
        Ok(out)
    }

    /// Refuses conditions that fail to ask. What they keep of real replies may differ from what they keep of these.
    pub fn fails(&self, wrong: &mut Wrong) {
        for (i, c) in self.conditions.iter().enumerate() {
            // One that listens is asked after right, wrong and ungraded replies.
            let listens = c.plugin.bounds().reads_history;
            let scores: &[Option<f64>] = if listens { &[None, Some(1.0), Some(0.0)] } else { &[None] };
            let told = |g: usize| {
                let (list, at) = (&self.groups[g], (self.manifest.study.seed, g));
                let Some((ids, text)) = self.replies.first() else { return Ok(()) };
                scores.iter().try_for_each(|score| {
                    let made_up = MadeUp { text, ids, codec: &Words, score: *score, forgiving: true };
                    made_up.hold(c, &self.course(c, list), at, list).map(|_| ())
                })
            };
            let chosen = &self.manifest.conditions[i].chosen;
            wrong.plugin(&chosen.path, (0..self.groups.len()).try_for_each(told));
        }
    }

    /// Whether two conditions say or keep something different in any turn. A condition that fails counts as different;
    /// its error is reported elsewhere.
    fn differ(&self, a: &PlannedCondition, b: &PlannedCondition) -> bool {
        let listens = [a, b].iter().any(|c| c.plugin.bounds().reads_history);
        let said = |(before, turns): Held| -> (Vec<ChatMessage>, Vec<Rehearsed>) {
            // Wordings are compared by their text.
            let plain = |mut t: Rehearsed| {
                t.ask.phrase = None;
                t
            };
            (before, turns.into_iter().map(plain).collect())
        };
        (0..self.groups.len()).any(|g| match (self.held(a, g, listens), self.held(b, g, listens)) {
            (Ok(x), Ok(y)) => {
                x.into_iter().map(said).collect::<Vec<_>>() != y.into_iter().map(said).collect::<Vec<_>>()
            }
            _ => true,
        })
    }

    /// The habit of each condition.
    pub fn habits(&self) -> Vec<Habit> {
        let of = |c: &PlannedCondition| {
            let all: Vec<Vec<Held>> = (0..self.groups.len()).filter_map(|g| self.held(c, g, true).ok()).collect();
            let turns = || all.iter().flatten().flat_map(|(_, turns)| turns);
            // The bare prompt, as in first turns, does not count as a wording.
            let wordings: BTreeSet<u32> = turns().filter_map(|t| t.ask.phrase).collect();
            let cuts = turns().any(|t| t.kept.as_ref().is_some_and(|k| k.removed_tokens > 0));
            Habit { cuts, wordings: wordings.len().max(1) }
        };
        self.conditions.iter().map(of).collect()
    }

    /// Refuses conditions with different factors that say and keep the same throughout, and conditions that are declared
    /// `same_as` another but differ from it. Warns of conditions with equal factors that are the same.
    pub fn same(&self, issues: &mut Issues, warnings: &mut Issues) {
        let (m, conditions) = (self.manifest, self.conditions);
        let looked = match (self.groups.len(), m.study.groups) {
            (1, 1) => "its group".to_string(),
            (n, all) if n == all => format!("all {n} groups"),
            (n, all) => format!("the first {n} of {}", plural(all, "group")),
        };
        for (i, (c, choice)) in conditions.iter().zip(&m.conditions).enumerate() {
            let path = &choice.chosen.path;
            if let Some(name) = &choice.same_as {
                let Some(other) = conditions.iter().find(|o| o.name == *name) else { continue };
                if self.differ(c, other) {
                    let message = format!("`{}` is declared the same as `{name}`, but they differ", c.name);
                    issues.push(path.key("same_as"), message, None);
                } else if c.factors == other.factors && !c.factors.is_empty() {
                    let message = format!(
                        "`{}` has the factors of `{name}`, which it repeats: no contrast tells them apart",
                        c.name
                    );
                    let help = "give it another level of a factor, such as `placebo`";
                    issues.push(path.key("same_as"), message, Some(help.into()));
                } else if m.generation.temperature == 0.0 {
                    let message = format!("replies are greedy: `{}` repeats `{name}` word for word", c.name);
                    warnings.push(path.key("same_as"), message, Some("set `generation.temperature` above 0".into()));
                }
                continue;
            }
            // Each is reported with the first condition that it equals.
            let twin = conditions[..i]
                .iter()
                .zip(&m.conditions)
                .find(|(o, chosen)| chosen.same_as.as_ref() != Some(&c.name) && !self.differ(o, c));
            let Some((twin, _)) = twin else { continue };
            let message = format!("conditions `{}` and `{}` say and keep the same in {looked}", twin.name, c.name);
            if twin.factors == c.factors {
                warnings.push(path.clone(), message, Some("leave one of them out".into()));
                continue;
            }
            let mut help = format!(
                "give one of them other words or another `keep`; a placebo says so with `same_as = \"{}\"`",
                twin.name
            );
            if self.turns() == 1 {
                help.push_str("; in a conversation of 1 turn no reply is kept and nothing precedes the question");
            }
            if [c, twin].iter().any(|c| c.plugin.bounds().reads_history) {
                let message = format!("{message} of made-up replies; they may differ where real replies do");
                warnings.push(path.clone(), message, None);
                continue;
            }
            issues.push(path.clone(), format!("{message}, though their factors differ"), Some(help));
        }
    }
}

/// What a condition does in a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Habit {
    /// Whether it cuts any of the made-up replies.
    pub cuts: bool,
    /// Number of wordings that it uses; at least 1.
    pub wordings: usize,
}

/// Refuses edits that no turn or no arm applies, and warns of taps beyond the longest reply.
pub(crate) fn program(
    m: &Manifest,
    hook: &Chosen<dyn Hook>,
    program: &HookProgram,
    issues: &mut Issues,
    warnings: &mut Issues,
) {
    let key = |k: &str| if hook.table.contains_key(k) { hook.key(k) } else { hook.path.clone() };
    let most = m.study.most_turns();
    let never = |e: &&Edit| e.turns.is_some_and(|(first, _)| first > most);
    if let Some(e) = program.edits.iter().find(never) {
        let first = e.turns.map_or(0, |t| t.0);
        let message = format!("it changes turns from {first} on, but the study has {}", plural(most, "turn"));
        issues.push(key("turns"), message, Some("lower the first of `turns`, or raise `study.turns`".into()));
    }
    let named = |e: &Edit| program.arms.iter().any(|a| a.strengths.get(&e.name).is_some_and(|s| *s != 0.0));
    if let Some(e) = program.edits.iter().find(|e| !named(e) && !e.op.takes_vectors()) {
        let message = format!("the edit `{}` is never applied: no arm gives it a strength other than 0", e.name);
        issues.push(hook.path.clone(), message, None);
    }
    let held = |a: &&Arm| m.conditions.iter().any(|c| a.runs_with(&c.factors));
    if let Some(a) = program.arms.iter().find(|a| !held(a)) {
        let levels = a.only.iter().map(|(k, v)| format!("`{k} = {v}`")).collect::<Vec<_>>().join(" and ");
        let message = format!("the arm `{}` runs with conditions of {levels}, and there is none", a.name);
        issues.push(key("where"), message, None);
    }
    if let Some(name) = program.readings.iter().find(|n| !is_name(n)) {
        let message = format!("it declares the reading {name:?}; names are letters, digits, `-` and `_`");
        issues.push(hook.path.clone(), message, None);
    }
    if let Some(e) = program.edits.iter().find(|e| e.op.takes_vectors() && (named(e) || hook.origin != Origin::Linked))
    {
        let why = match named(e) {
            true => "an arm has none: such an edit is applied in forks alone",
            false => "a hook of a library or a process cannot give it one yet",
        };
        let message = format!("the edit `{}` takes a vector of each conversation's own, and {why}", e.name);
        issues.push(hook.path.clone(), message, None);
    }
    let longest = m.generation.max_new_tokens;
    for tap in program.all_taps() {
        if let Position::Reply(n) = tap.position
            && n > longest
        {
            let message = format!("`{}` reads {n} tokens of a reply, which has at most {longest}", tap.position);
            let help = Some("the rest is stored as NaN; raise `generation.max_new_tokens`".into());
            warnings.push(hook.speaks_of(&tap.position.to_string()), message, help);
        }
    }
}

/// Refuses edits that are applied in forks alone if no turn has log-odds, which is what a fork measures.
pub(crate) fn forks(program: &HookProgram, odds: bool, issues: &mut Issues) {
    if let Some(e) = program.edits.iter().find(|e| e.op.takes_vectors() && !odds) {
        let message = format!(
            "the edit `{}` is applied in forks, which measure log-odds of the right choice, but the first items have no right choice among several",
            e.name
        );
        let help = "give the items `options` and an `answer`, or leave the hook out";
        issues.push(KeyPath::default().key("hook"), message, Some(help.into()));
    }
}

/// Warns of libraries that are loaded, and processes that are started, although the manifest names none of their plugins.
pub(crate) fn unused(m: &Manifest, base: &Path, warnings: &mut Issues) {
    let mut used: Vec<&Origin> = vec![&m.dataset.origin];
    used.extend(m.topics.iter().map(|t| &t.origin));
    used.extend(m.conditions.iter().map(|c| &c.chosen.origin));
    used.extend(m.hooks.iter().map(|h| &h.origin));
    used.extend(m.analyzers.iter().map(|a| &a.origin));
    let External { libraries, processes } = external(&m.source, &mut Issues::default());
    for (path, entry) in libraries {
        let Ok(file) = library_file(&entry, base) else { continue };
        if !used.iter().any(|o| matches!(o, Origin::Library { path, .. } if *path == file)) {
            let message = format!("{} is loaded, but the manifest names none of its plugins", entry.path.display());
            warnings.push(path, message, None);
        }
    }
    for (path, entry) in processes {
        let of = |o: &Origin| matches!(o, Origin::Process { command, sha256 } if *command == entry.command && *sha256 == entry.sha256);
        if !used.iter().any(|o| of(o)) {
            let command = entry.command.join(" ");
            let message = format!("`{command}` is started, but the manifest names none of its plugins");
            warnings.push(path, message, None);
        }
    }
}
