//! Checks that hooks which replace the last tokens of a prompt replace the whole question.
use crate::idle::Words;
use crate::lists::PlannedItem;
use crate::planned::PlannedCondition;
use crate::rehearsal::{Course, MadeUp};
use crate::wrong::Wrong;
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer};
use friction_core::manifest::{Chosen, Manifest, Path as KeyPath};
use friction_core::program::EditAt;
use friction_core::{Hook, HookProgram};

/// Largest number of groups whose messages are tokenised.
const GROUPS: usize = 20;

/// Refuses edits that put vectors in place of several of the last tokens of a prompt, if these do not hold the whole
/// question: a part of one question would be mixed with the rest of it in another conversation.
pub(crate) fn check(
    wrong: &mut Wrong,
    (tokenizer, template): (&Tokenizer, &ChatTemplate),
    program: &HookProgram,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedItem>],
) {
    let replaced = program.edits.iter().filter(|e| e.op.takes_vectors()).filter_map(|e| match e.at {
        EditAt::PromptTail(n) if n > 1 => Some((n, e.name.as_str())),
        _ => None,
    });
    let Some((n, edit)) = replaced.min_by_key(|(n, _)| *n) else { return };
    let m = wrong.manifest;
    let made_up = MadeUp { text: "word", ids: &[0], codec: &Words, score: None, forgiving: true };
    let mut longest: Option<(usize, String)> = None;
    for (group, list) in groups.iter().enumerate().take(GROUPS) {
        for c in conditions {
            let (at, course) = ((m.study.seed, group), Course::new(c.plugin.as_ref(), list, m.study.most_turns()));
            // A condition that fails is reported elsewhere.
            let Ok(told) = made_up.hold(c, &course, at, list) else { continue };
            for (turn, said) in told.iter().enumerate() {
                let question = course.context(at, list, turn, &[]).map_or("", |cx| cx.prompt.trim());
                let prefill = said.ask.prefill.as_deref().unwrap_or("");
                let Some(tokens) = behind(tokenizer, template, &said.ask.text, question, prefill) else { continue };
                if longest.as_ref().is_none_or(|(most, _)| tokens > *most) {
                    longest = Some((tokens, crate::rehearsal::place(turn + 1, group, &c.name)));
                }
            }
        }
    }
    if let Some((tokens, place)) = longest.filter(|(tokens, _)| *tokens > n) {
        let message = format!(
            "the question of {place} and what follows it are {tokens} tokens, and the last {n} are replaced: they must hold the whole question"
        );
        let help = format!("raise the N of `prompt-tail:N` to {tokens} or more, or replace `prompt-end` alone");
        let path = position(m, n, edit).unwrap_or_else(|| KeyPath::default().key("hook"));
        wrong.issues.push(path, message, Some(help));
    }
}

/// The option `position` of the hook that replaces the last `n` tokens. If several hooks have edits, the hook's name stands
/// before that of the edit.
fn position(m: &Manifest, n: usize, edit: &str) -> Option<KeyPath> {
    let word = format!("prompt-tail:{n}");
    let sets =
        |hook: &&Chosen<dyn Hook>| hook.table.get("position").and_then(toml::Value::as_str) == Some(word.as_str());
    let names = |hook: &&Chosen<dyn Hook>| edit.strip_prefix(hook.name.as_str()).is_some_and(|e| e.starts_with('.'));
    let named = m.hooks.iter().filter(sets).find(names);
    named.or_else(|| m.hooks.iter().find(sets)).map(|hook| hook.key("position"))
}

/// Number of tokens of a prompt from the first of the question on; `None` if the message does not hold the question, or
/// the template changes the message.
fn behind(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    message: &str,
    question: &str,
    prefill: &str,
) -> Option<usize> {
    let turns = [ChatMessage::user(message)];
    let mut text = template.render(&turns).ok()?;
    let span = template.user_span(&turns, &text)?;
    let start = span.start + text[span.clone()].rfind(question).filter(|_| !question.is_empty())?;
    text.push_str(&template.of_reply(prefill));
    let (ids, of) = tokenizer.encode_within(&text, &(start..start + question.len())).ok()?;
    Some(ids.len() - of.start)
}
