//! Finds settings that would have no effect: conditions that do not differ, edits that are never applied, positions
//! that no reply reaches, libraries whose plugins are not used.
use crate::plan::{PlannedCondition, PlannedTurn};
use crate::{design::context, manifest::library_file};
use friction_core::manifest::{Chosen, Issues, Manifest, libraries};
use friction_core::program::{Edit, is_reading};
use friction_core::{
    Arm, Condition, EditOp, Hook, HookProgram, Origin, Position, Reply, Result, TextCodec, TurnContext, plural,
};
use std::collections::BTreeSet;
use std::path::Path;

/// Largest number of groups in which two conditions are compared.
pub(crate) const GROUPS: usize = 200;

/// Decodes made-up ids to words, sentences and paragraphs, at whose ends a condition may cut.
struct Words;

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

/// The design's turns in some groups, with made-up replies.
struct Design<'a> {
    seed: u64,
    groups: &'a [Vec<PlannedTurn>],
    replies: Vec<(Vec<u32>, String)>,
}

impl<'a> Design<'a> {
    fn new(m: &Manifest, groups: &'a [Vec<PlannedTurn>]) -> Self {
        let longest = m.generation.max_new_tokens;
        let enough = (4_000_000 / (m.study.turns * longest).max(1)).clamp(1, GROUPS);
        Self { seed: m.study.seed, groups: &groups[..groups.len().min(enough)], replies: replies(longest) }
    }

    fn turns(&self) -> impl Iterator<Item = TurnContext<'a>> {
        let seed = self.seed;
        let of = move |(g, group): (usize, &'a Vec<PlannedTurn>)| {
            group.iter().enumerate().map(move |(t, turn)| context(seed, g, t, group.len(), turn))
        };
        self.groups.iter().enumerate().flat_map(of)
    }

    /// Whether two conditions say or keep something different in any turn. A condition that fails counts as different;
    /// its error is reported elsewhere.
    fn differ(&self, a: &dyn Condition, b: &dyn Condition) -> bool {
        self.turns().any(|cx| {
            let said = match (a.ask(&cx), b.ask(&cx)) {
                (Ok(x), Ok(y)) => x.text != y.text,
                _ => true,
            };
            // No history holds the last turn's reply.
            said || cx.turn < cx.turns
                && self.replies.iter().any(|(ids, text)| {
                    let reply = || Reply { text, ids, codec: &Words };
                    match (a.keep(&reply(), &cx), b.keep(&reply(), &cx)) {
                        (Ok(x), Ok(y)) => x != y,
                        _ => true,
                    }
                })
        })
    }

    fn cuts(&self, c: &dyn Condition) -> bool {
        self.turns().filter(|cx| cx.turn < cx.turns).any(|cx| {
            self.replies.iter().any(|(ids, text)| {
                c.keep(&Reply { text, ids, codec: &Words }, &cx).map_or(true, |kept| kept.removed_tokens > 0)
            })
        })
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

/// The habit of each condition.
pub(crate) fn habits(m: &Manifest, conditions: &[PlannedCondition], groups: &[Vec<PlannedTurn>]) -> Vec<Habit> {
    let design = Design::new(m, groups);
    let of = |c: &PlannedCondition| {
        let phrases: BTreeSet<Option<u32>> =
            design.turns().filter_map(|cx| Some(c.plugin.ask(&cx).ok()?.phrase)).collect();
        // The bare question, as in first turns, does not count as a wording.
        let wordings = phrases.iter().flatten().count().max(1);
        Habit { cuts: design.cuts(c.plugin.as_ref()), wordings }
    };
    conditions.iter().map(of).collect()
}

/// Refuses conditions with different factors that say and keep the same throughout, and conditions that are declared
/// `same_as` another but differ from it. Warns of conditions with equal factors that are the same.
pub(crate) fn same(
    m: &Manifest,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedTurn>],
    issues: &mut Issues,
    warnings: &mut Issues,
) {
    let design = Design::new(m, groups);
    let looked = match (design.groups.len(), m.study.groups) {
        (1, 1) => "its group".to_string(),
        (n, all) if n == all => format!("all {n} groups"),
        (n, all) => format!("the first {n} of {}", plural(all, "group")),
    };
    for (i, (c, choice)) in conditions.iter().zip(&m.conditions).enumerate() {
        let path = &choice.chosen.path;
        if let Some(name) = &choice.same_as {
            let Some(other) = conditions.iter().find(|o| o.name == *name) else { continue };
            if design.differ(c.plugin.as_ref(), other.plugin.as_ref()) {
                let message = format!("`{}` is declared the same as `{name}`, but they differ", c.name);
                issues.push(path.key("same_as"), message, None);
            } else if m.generation.temperature == 0.0 {
                let message = format!("replies are greedy: `{}` repeats `{name}` word for word", c.name);
                warnings.push(path.key("same_as"), message, Some("set `generation.temperature` above 0".into()));
            }
            continue;
        }
        // Each is reported with the first condition that it equals.
        let twin = conditions[..i].iter().zip(&m.conditions).find(|(o, chosen)| {
            chosen.same_as.as_ref() != Some(&c.name) && !design.differ(o.plugin.as_ref(), c.plugin.as_ref())
        });
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
        if m.study.turns == 1 {
            help.push_str("; with `study.turns = 1` no reply is kept and nothing precedes the question");
        }
        issues.push(path.clone(), format!("{message}, though their factors differ"), Some(help));
    }
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
    let never = |e: &&Edit| e.turns.is_some_and(|(first, _)| first > m.study.turns);
    if let Some(e) = program.edits.iter().find(never) {
        let first = e.turns.map_or(0, |t| t.0);
        let message = format!("it changes turns from {first} on, but the study has {}", plural(m.study.turns, "turn"));
        issues.push(key("turns"), message, Some("lower the first of `turns`, or raise `study.turns`".into()));
    }
    let named = |e: &Edit| program.arms.iter().any(|a| a.strengths.get(&e.name).is_some_and(|s| *s != 0.0));
    if let Some(e) = program.edits.iter().find(|e| !named(e)) {
        let message = format!("the edit `{}` is never applied: no arm gives it a strength other than 0", e.name);
        issues.push(hook.path.clone(), message, None);
    }
    let held = |a: &&Arm| m.conditions.iter().any(|c| a.runs_with(&c.factors));
    if let Some(a) = program.arms.iter().find(|a| !held(a)) {
        let levels = a.only.iter().map(|(k, v)| format!("`{k} = {v}`")).collect::<Vec<_>>().join(" and ");
        let message = format!("the arm `{}` runs with conditions of {levels}, and there is none", a.name);
        issues.push(key("where"), message, None);
    }
    if let Some(name) = program.readings.iter().find(|n| !is_reading(n)) {
        let message = format!("it declares the reading {name:?}; names are letters, digits, `-` and `_`");
        issues.push(hook.path.clone(), message, None);
    }
    if let Some(e) = program.edits.iter().find(|e| matches!(e.op, EditOp::Given { .. })) {
        let message =
            format!("the edit `{}` takes a vector of each conversation's own, and no hook can give it one yet", e.name);
        issues.push(hook.path.clone(), message, None);
    }
    let most = m.generation.max_new_tokens;
    for tap in program.all_taps() {
        if let Position::Reply(n) = tap.position
            && n > most
        {
            let message = format!("`{}` reads {n} tokens of a reply, which has at most {most}", tap.position);
            let help = Some("the rest is stored as NaN; raise `generation.max_new_tokens`".into());
            warnings.push(hook.speaks_of(&tap.position.to_string()), message, help);
        }
    }
}

/// Warns of libraries that are loaded although the manifest names none of their plugins.
pub(crate) fn unused(m: &Manifest, base: &Path, warnings: &mut Issues) {
    let mut used: Vec<&Origin> = vec![&m.dataset.origin, &m.topics.origin];
    used.extend(m.conditions.iter().map(|c| &c.chosen.origin));
    used.extend(m.hooks.iter().map(|h| &h.origin));
    used.extend(m.analyzers.iter().map(|a| &a.origin));
    for (path, entry) in libraries(&m.source, &mut Issues::default()) {
        let Ok(file) = library_file(&entry, base) else { continue };
        if !used.iter().any(|o| matches!(o, Origin::Library { path, .. } if *path == file)) {
            let message = format!("{} is loaded, but the manifest names none of its plugins", entry.path.display());
            warnings.push(path, message, None);
        }
    }
}
