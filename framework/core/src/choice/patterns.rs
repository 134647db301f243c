//! The parsers besides the declared one: lenient, official and lm-eval.
use super::declared::declared;
use regex::Regex;
use std::sync::LazyLock;

#[allow(clippy::unwrap_used)] // The patterns are constants; the tests compile them all.
fn pattern(p: &str) -> Regex {
    Regex::new(p).unwrap()
}

static OFFICIAL: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [pattern(r"answer is \(?([A-J])\)?"), pattern(r"(?-s).*[aA]nswer:\s*([A-J])"), pattern(r"\b([A-J])\b")]
});
static ALONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b([A-Z])\b"));

/// Whether `rest`, the text after a stand-alone letter, allows the letter to be an answer rather than part of a word or
/// formula. `word`: the letter is an English word too ("A", "I"), so punctuation or the end of a line must follow.
fn ends(rest: &str, word: bool) -> bool {
    let mut chars = rest.chars();
    let next = chars.next();
    if next.is_some_and(|c| c.is_alphanumeric() || c == '\'' || c == '’') {
        return false;
    }
    let after = rest.trim_start_matches([' ', '\t']).chars().next();
    if matches!(after, Some('=' | '+')) {
        return false;
    }
    !word
        || matches!(
            next,
            None | Some('.' | ')' | ']' | ':' | ',' | ';' | '*' | '_' | '`' | '$' | '}' | '\n' | '\r' | '<')
        )
        || (next == Some(' ') && after.is_none())
}

/// The first stand-alone capital letter that names one of `options` options. The words "A" and "I" in running text do
/// not count.
pub(super) fn alone(reply: &str, options: usize) -> Option<char> {
    ALONE.captures_iter(reply).filter_map(|c| c.get(1)).find_map(|m| {
        let c = m.as_str().chars().next().filter(|c| ((*c as usize).wrapping_sub('A' as usize)) < options)?;
        ends(&reply[m.end()..], matches!(c, 'A' | 'I')).then_some(c)
    })
}

/// The declared answer, or else the first stand-alone capital letter that names an option. The words "A" and "I" in
/// running text do not count.
pub fn lenient(reply: &str, options: &[String]) -> Option<char> {
    declared(reply, options).or_else(|| alone(reply, options.len()))
}

/// The answer that MMLU-Pro's `evaluate_from_local.py` extracts: a letter from A to J, whatever options were offered.
/// `None` where that script would guess.
pub fn official(reply: &str) -> Option<char> {
    let first = |r: &Regex| r.captures(reply).and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next());
    first(&OFFICIAL[0]).or_else(|| first(&OFFICIAL[1])).or_else(|| {
        OFFICIAL[2].captures_iter(reply).last().and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next())
    })
}

/// The answer that lm-evaluation-harness's task mmlu_pro extracts: the letter from A to J of the first `answer is X` or
/// `answer is (X)`, whatever options were offered. `None` where that task counts the reply as wrong.
pub fn lm_eval(reply: &str) -> Option<char> {
    OFFICIAL[0].captures(reply)?.get(1)?.as_str().chars().next()
}
