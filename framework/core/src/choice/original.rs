//! The parser of the study that this program was first made for.
//!
//! It is written as that study ran it, with its faults: `the answer is Gold` is read as G, a reply that begins with
//! `A common mistake` as A, and `I think` as I. Python's idea of a space, a word and upper case is kept too, because the
//! study ran in Python: U+001C to U+001F are spaces, a combining mark ends a word, and İ (U+0130) matches an I whose case
//! is ignored.
use regex::Regex;
use std::sync::LazyLock;

/// What Python's `str.strip` and `\s` take for a space.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

#[allow(clippy::unwrap_used)] // The patterns are constants; the tests compile them all.
static RULES: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    let rule = |text: &str| {
        // The text is in upper case. Python's `\w` is a letter, a number or `_`; Rust's has marks too.
        let text = text.replace("LETTER", "([A-Jİ])").replace("SPACE", r"[\s\x1C-\x1F]");
        Regex::new(&text.replace("BORDER", r"[^\p{L}\p{N}_]")).unwrap()
    };
    [
        rule("ANSWERSPACE+[Iİ]SSPACE+LETTER"),
        rule("ANSWER:SPACE*LETTER"),
        rule(r"^LETTER\."),
        rule("^LETTERSPACE"),
        rule("(?:^|BORDER)LETTER(?:BORDER|$)"),
    ]
});

/// The letter that the original study's parser reads, whatever options were offered. The reply is stripped and written in
/// upper case. A single letter from A to J is the answer; otherwise the first match of the first rule that matches:
/// `ANSWER IS` and a letter, with no border behind it; `ANSWER:` and a letter; a letter and a dot at the beginning; a
/// letter and a space at the beginning; any letter that stands alone. The result is a letter from A to J, or İ, which
/// that study could read too and counted as wrong; `None` if no rule matches.
pub fn original(reply: &str) -> Option<char> {
    let text = reply.trim_matches(is_space).to_uppercase();
    let mut letters = text.chars();
    if let (Some(only @ 'A'..='J'), None) = (letters.next(), letters.next()) {
        return Some(only);
    }
    RULES.iter().find_map(|rule| rule.captures(&text)?.get(1)?.as_str().chars().next())
}
