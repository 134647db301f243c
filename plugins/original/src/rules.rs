//! What is wrong with the data, found by rule, each with its counts. They bear on what an analysis of the run may conclude.
use crate::CONDITIONS;
use crate::file::{Talk, Turn};
use crate::items::Question;
use crate::rows::{removed, worded};
use friction_core::choice::original;
use friction_core::plural;
use std::collections::{BTreeMap, BTreeSet};

/// The groups of the data: the conversations of each index.
type Groups<'a> = BTreeMap<u32, Vec<&'a Talk>>;

/// All warnings, those that bear most on conclusions first.
pub(crate) fn all(talks: &[Talk], items: &BTreeMap<String, Question>) -> Vec<String> {
    let mut groups = Groups::new();
    for talk in talks {
        groups.entry(talk.index).or_default().push(talk);
    }
    let rules = [
        unshared(&groups),
        other_topics(&groups),
        fixed_topics(&groups),
        missing(&groups),
        unequal(talks),
        repeats(talks),
        once(items),
        first_turn(&groups),
        flags(talks),
        marker(talks),
        finish(talks),
        texts(talks),
        contradictions(talks),
        other_words(talks),
        unread(items),
    ];
    rules.into_iter().flatten().collect()
}

fn turns(talks: &[Talk]) -> impl Iterator<Item = &Turn> {
    talks.iter().flat_map(|t| &t.turns)
}

/// Groups of two conversations or more, and how many of them have a turn in which what `of` says of it differs.
fn differ<'a, T: PartialEq>(groups: &Groups<'a>, of: impl Fn(&'a Turn) -> T) -> (usize, usize) {
    let several: Vec<&Vec<&Talk>> = groups.values().filter(|g| g.len() > 1).collect();
    let differs = |group: &&&Vec<&'a Talk>| {
        let Some((first, others)) = group.split_first() else { return false };
        others.iter().any(|t| first.turns.iter().zip(&t.turns).any(|(a, b)| of(a) != of(b)))
    };
    (several.iter().filter(differs).count(), several.len())
}

fn unshared(groups: &Groups) -> Option<String> {
    let (n, all) = differ(groups, |t| &t.question_id);
    (n > 0).then(|| {
        format!(
            "conditions were asked different questions in {n} of {}: how hard the questions are is mixed with the conditions",
            plural(all, "group")
        )
    })
}

fn other_topics(groups: &Groups) -> Option<String> {
    let (n, all) = differ(groups, |t| &t.topic);
    (n > 0).then(|| format!("conditions have topics in different orders in {n} of {}", plural(all, "group")))
}

/// Turns that have one topic in all groups.
fn fixed_topics(groups: &Groups) -> Option<String> {
    let mut topics: BTreeMap<u32, (BTreeSet<&str>, BTreeSet<u32>)> = BTreeMap::new();
    for talk in groups.values().flatten() {
        for turn in &talk.turns {
            let (of, seen) = topics.entry(turn.turn_number).or_default();
            of.insert(&turn.topic);
            seen.insert(talk.index);
        }
    }
    let several: Vec<_> = topics.values().filter(|(_, groups)| groups.len() > 1).collect();
    let fixed = several.iter().filter(|(of, _)| of.len() == 1).count();
    let varied = topics.values().flat_map(|(of, _)| of).collect::<BTreeSet<_>>().len() > 1;
    (fixed > 0 && varied).then(|| {
        format!(
            "{fixed} of {} have the same topic in all groups: what changes there with turns may be the topics' doing, and only differences between conditions count",
            plural(several.len(), "turn")
        )
    })
}

fn missing(groups: &Groups) -> Option<String> {
    let lacks = |c: usize| groups.values().filter(|g| g.iter().all(|t| t.condition != c)).count();
    let told: Vec<String> = CONDITIONS
        .iter()
        .enumerate()
        .map(|(c, (name, _))| (name, lacks(c)))
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("{name} in {n}"))
        .collect();
    let short = groups.values().filter(|g| g.len() < CONDITIONS.len()).count();
    (short > 0).then(|| {
        format!(
            "{short} of {} lack a condition ({}): their conversations are kept, and comparisons leave out those without a partner",
            plural(groups.len(), "group"),
            told.join(", ")
        )
    })
}

fn unequal(talks: &[Talk]) -> Option<String> {
    let mut lengths: BTreeMap<usize, usize> = BTreeMap::new();
    talks.iter().for_each(|t| *lengths.entry(t.turns.len()).or_default() += 1);
    let told = lengths.iter().map(|(turns, n)| format!("{} in {}", plural(*turns, "turn"), plural(*n, "conversation")));
    (lengths.len() > 1).then(|| format!("conversations differ in length: {}", told.collect::<Vec<_>>().join(", ")))
}

/// Conversations of one condition with the same items in the same order.
fn repeats(talks: &[Talk]) -> Option<String> {
    let mut by: BTreeMap<(usize, Vec<&str>), Vec<&Talk>> = BTreeMap::new();
    talks.iter().for_each(|t| by.entry((t.condition, t.ids())).or_default().push(t));
    let n: usize = by.values().map(|all| all.len() - 1).sum();
    let said = |t: &Talk| t.turns.iter().map(|t| t.reply().map(String::from)).collect::<Option<Vec<_>>>();
    let again = |all: &Vec<&Talk>| {
        let (first, others) = all.split_first()?;
        let first = said(first)?;
        Some(others.iter().filter(|t| said(t).as_ref() == Some(&first)).count())
    };
    let same: usize = by.values().filter_map(again).sum();
    (n > 0).then(|| {
        format!(
            "{n} of {} repeat another one of their condition, with the same questions in the same order; {same} of them have the same replies word for word. Replies are greedy, so that these are no new observations: n is the number of question lists",
            plural(talks.len(), "conversation")
        )
    })
}

fn once(items: &BTreeMap<String, Question>) -> Option<String> {
    let n = items.values().filter(|q| q.conversations == 1).count();
    (n > 0).then(|| {
        format!(
            "{n} of {} were asked in one conversation alone: a question cannot be told from its conversation, and no model with an effect of questions can be fitted to them",
            plural(items.len(), "question")
        )
    })
}

/// First turns are equal in all conditions, and so should their greedy replies be.
fn first_turn(groups: &Groups) -> Option<String> {
    let (mut n, mut all) = (0, 0);
    for group in groups.values() {
        let firsts: Vec<&Turn> = group.iter().filter_map(|t| t.turns.first()).collect();
        let shared = |t: &&Turn| firsts.iter().any(|o| !std::ptr::eq(*o, *t) && o.question_id == t.question_id);
        let mut replies: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for turn in firsts.iter().filter(|t| shared(t)) {
            if let Some(reply) = turn.reply() {
                replies.entry(&turn.question_id).or_default().insert(reply);
            }
        }
        all += usize::from(!replies.is_empty());
        n += usize::from(replies.values().any(|r| r.len() > 1));
    }
    (n > 0).then(|| {
        format!(
            "replies to the first question differ between conditions in {n} of {} that share it, although nothing was different before it",
            plural(all, "group")
        )
    })
}

fn flags(talks: &[Talk]) -> Option<String> {
    let flagged = || turns(talks).filter(|t| t.was_truncated == Some(true));
    let n = flagged().filter_map(Turn::texts).filter(|texts| removed(*texts) == 0).count();
    (n > 0).then(|| {
        format!(
            "replies are flagged as truncated in {}, and in {n} of them nothing was removed: the flag says which condition it was, not what was done. `metric.removed_characters` has what was",
            plural(flagged().count(), "turn")
        )
    })
}

fn marker(talks: &[Talk]) -> Option<String> {
    let marked = || turns(talks).filter_map(Turn::texts).filter(|(reply, kept)| reply != kept && kept.ends_with("..."));
    let n = marked().filter(|texts| removed(*texts) == 0).count();
    (n > 0).then(|| {
        format!(
            "{n} of {} that end in \"...\" do so although nothing was removed",
            plural(marked().count(), "history text")
        )
    })
}

/// Whether a text stops before its sentence does. Short replies, such as a letter, have no sentence.
pub(crate) fn breaks_off(reply: &str) -> bool {
    let closing = |c: char| c.is_whitespace() || "*_`\"'”’»)]}$|\\".contains(c);
    let last = reply.trim_end_matches(closing).chars().last();
    reply.split_whitespace().count() > 8 && !last.is_some_and(|c| ".!?:;…。！？".contains(c))
}

fn finish(talks: &[Talk]) -> Option<String> {
    let replies = || turns(talks).filter_map(Turn::reply);
    let (n, all) = (replies().filter(|r| breaks_off(r)).count(), replies().count());
    (all > 0).then(|| {
        format!(
            "how replies ended is not in the files; the study cut them at 256 tokens, in every condition. {n} of {} break off inside a sentence",
            plural(all, "reply")
        )
    })
}

fn texts(talks: &[Talk]) -> Option<String> {
    let count = |of: fn(&Turn) -> bool| turns(talks).filter(|t| of(t)).count();
    let all = [
        ("the reply", count(|t| t.reply().is_none())),
        ("the question", count(|t| t.question_text.is_none())),
        ("the user's message", count(|t| t.user_message.is_none())),
        ("what the history kept", count(|t| t.kept().is_none())),
    ];
    let told: Vec<String> = all.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} in {n}")).collect();
    let counts = match all[0].1 {
        0 => "",
        _ => {
            ". Of these replies, hedges and characters are the files' own counts, `metric.hedging` and `metric.characters`; what else is counted in replies is not known"
        }
    };
    let n = turns(talks).count();
    (!told.is_empty())
        .then(|| format!("of {} these are not in the files: {}{counts}", plural(n, "turn"), told.join(", ")))
}

fn contradictions(talks: &[Talk]) -> Option<String> {
    let count = |of: fn(&Turn) -> bool| turns(talks).filter(|t| of(t)).count();
    let all = [
        (
            "`is_correct` is not whether the parsed answer is the right one",
            count(|t| t.is_correct != (t.parsed_answer.as_ref() == Some(&t.correct_answer))),
        ),
        (
            "`response_length` is not the reply's",
            count(|t| t.reply().is_some_and(|r| r.chars().count() as u64 != t.response_length)),
        ),
        (
            "`parsed_answer` is not what the study's parser reads in the reply",
            count(|t| t.reply().is_some_and(|r| original(r).map(String::from) != t.parsed_answer)),
        ),
    ];
    let told: Vec<String> = all.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{what} ({n})")).collect();
    let n = turns(talks).count();
    (!told.is_empty())
        .then(|| format!("the files contradict themselves in some of {}: {}", plural(n, "turn"), told.join("; ")))
}

fn other_words(talks: &[Talk]) -> Option<String> {
    let said: Vec<bool> = talks.iter().flat_map(|talk| talk.turns.iter().filter_map(|t| worded(talk, t))).collect();
    let n = said.iter().filter(|right| !**right).count();
    (n > 0).then(|| {
        format!(
            "{n} of {} are not their condition's words around the question, as this study's manifest has them",
            plural(said.len(), "user message")
        )
    })
}

fn unread(items: &BTreeMap<String, Question>) -> Option<String> {
    let n = items.values().filter(|q| q.unread()).count();
    (n > 0).then(|| {
        format!(
            "no options could be read out of {n} of {}: replies to them keep the grade that the files have",
            plural(items.len(), "question")
        )
    })
}
