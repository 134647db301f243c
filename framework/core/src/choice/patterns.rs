//! The readings that are kept beside the declared one.
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

/// Whether what follows a stand-alone letter lets it be an answer: not a word, not a formula. `word`: the letter
/// is an English word too, and a mark or a line's end must follow.
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

/// The first stand-alone capital of one of `options` options, other than the words "A" and "I" in running text.
pub(super) fn alone(reply: &str, options: usize) -> Option<char> {
    ALONE.captures_iter(reply).filter_map(|c| c.get(1)).find_map(|m| {
        let c = m.as_str().chars().next().filter(|c| ((*c as usize).wrapping_sub('A' as usize)) < options)?;
        ends(&reply[m.end()..], matches!(c, 'A' | 'I')).then_some(c)
    })
}

/// The declared answer, else the first stand-alone capital of a real option other than the words "A" and "I" in
/// running text.
pub fn lenient(reply: &str, options: &[String]) -> Option<char> {
    declared(reply, options).or_else(|| alone(reply, options.len()))
}

/// MMLU-Pro's own reading, whatever options were offered; where it would guess, nothing.
pub fn official(reply: &str) -> Option<char> {
    let first = |r: &Regex| r.captures(reply).and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next());
    first(&OFFICIAL[0]).or_else(|| first(&OFFICIAL[1])).or_else(|| {
        OFFICIAL[2].captures_iter(reply).last().and_then(|c| c.get(1)).and_then(|m| m.as_str().chars().next())
    })
}
