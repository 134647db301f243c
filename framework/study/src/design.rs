//! What is asked in each group and turn, and how long that makes a conversation.
use crate::Result;
use crate::plan::{PlannedCondition, PlannedTurn};
use friction_core::manifest::Manifest;
use friction_core::{Dataset, NeutralText, PlanContext, TurnContext, seed};
use friction_model::{ChatTemplate, ChatTurn, Tokenizer};
use std::collections::{BTreeMap, BTreeSet};

/// Draws each group's questions: from the turn's category, none twice in a group, and none twice in
/// the study until a category is used up.
pub(crate) fn questions(
    dataset: &dyn Dataset,
    order: &[Vec<usize>],
    cx: &PlanContext,
) -> friction_core::Result<Vec<Vec<PlannedTurn>>> {
    if order.len() != cx.groups || order.iter().any(|o| o.len() != cx.turns) {
        return Err(friction_core::Error::config(format!(
            "the topics plugin must choose {} turns for each of {} groups; it chose for {} groups, turns {:?}",
            cx.turns,
            cx.groups,
            order.len(),
            order.iter().map(Vec::len).collect::<BTreeSet<_>>()
        )));
    }
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
            group.push(PlannedTurn { topic: category.name.clone(), prompt: dataset.prompt(&question)?, question });
        }
        out.push(group);
    }
    Ok(out)
}

/// Tokens of all user messages, and the longest conversation at its longest replies.
pub(crate) fn lengths(
    m: &Manifest,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedTurn>],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    neutral: Option<&NeutralText>,
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
            let mut forced = 0;
            if let Some(text) = neutral {
                turns.push(ChatTurn::assistant("…"));
                turns.push(ChatTurn::user(text.user.clone()));
                forced = tokenizer.encode(&text.reply)?.len();
            }
            let n = tokenizer.encode(&template.render(&turns)?)?.len();
            total += n as u64;
            longest = longest.max(n + forced + group.len() * (m.generation.max_new_tokens + SLACK));
        }
    }
    Ok((total, longest))
}

/// Where in the design a turn stands.
pub fn context<'a>(seed: u64, group: usize, turn: usize, turns: usize, planned: &'a PlannedTurn) -> TurnContext<'a> {
    TurnContext { seed, group, turn: turn + 1, turns, topic: &planned.topic, question: &planned.prompt }
}
