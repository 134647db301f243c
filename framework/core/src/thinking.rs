//! Blocks `<think>…</think>` in replies, in which a model reasons before it answers.
//!
//! They are told from the text alone. A chat template may open the block in the prompt, so that the reply begins inside
//! it; a reply that ends inside it has no answer.
use crate::{Result, TextCodec};

/// The tag that opens a block.
pub const OPEN: &str = "<think>";
/// The tag that closes it.
pub const CLOSE: &str = "</think>";

/// A reply in two parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// What the blocks hold, without tags and without white space around it; several are joined by a blank line. `None`
    /// if there is no block; empty if it is empty.
    pub thought: Option<String>,
    /// What is outside the blocks. Without a block, it is the reply, byte for byte; otherwise white space before it is
    /// removed. Empty if the reply ends inside its block.
    pub answer: String,
}

/// The blocks of a text as byte ranges, tags included, in order.
fn blocks(text: &str, opened: bool) -> Vec<std::ops::Range<usize>> {
    let mut out = vec![];
    let (mut at, mut inside) = (0, opened.then_some(0));
    // A tag that closes what nothing has opened is the end of a block that the prompt opened.
    if inside.is_none()
        && let Some(close) = text.find(CLOSE)
        && text.find(OPEN).is_none_or(|open| open > close)
    {
        inside = Some(0);
    }
    loop {
        let start = match inside.take() {
            Some(start) => start,
            None => match text[at..].find(OPEN) {
                Some(found) => at + found,
                None => return out,
            },
        };
        match text[start..].find(CLOSE) {
            Some(found) => {
                at = start + found + CLOSE.len();
                out.push(start..at);
            }
            None => {
                out.push(start..text.len());
                return out;
            }
        }
    }
}

/// Whether a text ends inside a block.
pub fn inside(text: &str) -> bool {
    text.rfind(OPEN).is_some_and(|open| text.rfind(CLOSE).is_none_or(|close| close < open))
}

/// Splits a reply into thought and answer. `opened` says that the prompt ends inside a block.
pub fn split(reply: &str, opened: bool) -> Split {
    let blocks = blocks(reply, opened);
    if blocks.is_empty() {
        return Split { thought: None, answer: reply.into() };
    }
    let (mut thoughts, mut answer, mut at) = (vec![], String::new(), 0);
    for block in blocks {
        answer.push_str(&reply[at..block.start]);
        let inner = &reply[block.clone()];
        let inner = inner.strip_prefix(OPEN).unwrap_or(inner);
        thoughts.push(inner.strip_suffix(CLOSE).unwrap_or(inner).trim());
        at = block.end;
    }
    answer.push_str(&reply[at..]);
    thoughts.retain(|t| !t.is_empty());
    Split { thought: Some(thoughts.join("\n\n")), answer: answer.trim_start().into() }
}

/// Number of leading ids of a reply that hold the block at its beginning and the white space behind it, so that the
/// others spell the answer. 0 if the reply does not begin with a block; all if it ends inside it. A token that ends the
/// block and begins the answer counts as answer.
///
/// # Errors
/// If the ids cannot be decoded.
pub fn leading(ids: &[u32], codec: &dyn TextCodec, opened: bool) -> Result<usize> {
    let text = codec.decode(ids)?;
    let Some(first) = blocks(&text, opened).into_iter().next().filter(|b| text[..b.start].trim().is_empty()) else {
        return Ok(0);
    };
    if first.end == text.len() {
        return Ok(ids.len());
    }
    let answer = text.len() - text[first.end..].trim_start().len();
    // Texts of growing numbers of ids grow: the largest number whose text does not reach into the answer is searched.
    let (mut low, mut high) = (0, ids.len());
    while low < high {
        let middle = (low + high).div_ceil(2);
        match codec.decode(&ids[..middle])?.len() <= answer {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Ok(low)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn of(reply: &str, opened: bool) -> (Option<String>, String) {
        let Split { thought, answer } = split(reply, opened);
        (thought, answer)
    }
    fn pair(thought: &str, answer: &str) -> (Option<String>, String) {
        (Some(thought.into()), answer.into())
    }

    #[test]
    fn a_block_is_no_answer() {
        assert_eq!(
            of("<think>\nIt is B.\n</think>\n\nThe answer is (A).\n", false),
            pair("It is B.", "The answer is (A).\n")
        );
        assert_eq!(of("  (A) \n", false), (None, "  (A) \n".into()));
        assert_eq!(of("<think>\n\n</think>\n\nA", false), pair("", "A"));
        assert_eq!(of("<think>a</think>x<think>b</think> y", false), pair("a\n\nb", "x y"));
        assert_eq!(of("<think>a <think> b</think>c", false), pair("a <think> b", "c"));
    }

    #[test]
    fn a_block_that_the_prompt_opened_has_no_first_tag() {
        assert_eq!(of("It is B.\n</think>\n\n(A)", true), pair("It is B.", "(A)"));
        // The template is not known to open it, but the model closes it.
        assert_eq!(of("It is B.\n</think>\n\n(A)", false), pair("It is B.", "(A)"));
        // The model repeats the tag.
        assert_eq!(of("<think>It is B.</think>(A)", true), pair("It is B.", "(A)"));
        // A tag that closes nothing is text.
        assert_eq!(of("<think>a</think>b </think> c", false), pair("a", "b </think> c"));
    }

    #[test]
    fn a_reply_that_ends_inside_its_block_has_no_answer() {
        assert_eq!(of("<think>\nThe answer is (A), or", false), pair("The answer is (A), or", ""));
        assert_eq!(of("The answer is (A), or", true), pair("The answer is (A), or", ""));
        assert_eq!(of("", true), pair("", ""));
        assert_eq!(of("So: <think>hm", false), pair("hm", "So: "));
    }

    #[test]
    fn a_prompt_ends_inside_a_block_or_not() {
        for (text, want) in [
            ("", false),
            ("<think>\n", true),
            ("<think>\n\n</think>\n\n", false),
            ("<think>a</think>b<think>", true),
            ("<think>a<think>b</think>", false),
            ("</think>", false),
        ] {
            assert_eq!(inside(text), want, "{text}");
        }
    }

    /// Three letters a token.
    struct Threes<'a>(&'a str);
    impl TextCodec for Threes<'_> {
        fn decode(&self, ids: &[u32]) -> Result<String> {
            let letters: Vec<char> = self.0.chars().collect();
            Ok(ids.iter().flat_map(|i| letters.iter().skip(3 * *i as usize).take(3)).collect())
        }
    }

    fn ids(text: &str) -> Vec<u32> {
        (0..text.chars().count().div_ceil(3) as u32).collect()
    }

    #[test]
    fn the_ids_of_the_answer_are_those_behind_the_block() {
        for (text, opened, want) in [
            ("<think>ab</think>\n\n(A) is it", false, "(A) is it"),
            ("<think>abc</think>(A)", false, "(A)"),
            ("a</think>\nB", true, "\nB"),
            ("no block", false, "no block"),
            ("x <think>b</think> c", false, "x <think>b</think> c"),
            ("<think>ab", false, ""),
            ("abc", true, ""),
            ("<think>ab</think>", false, ""),
        ] {
            let (codec, ids) = (Threes(text), ids(text));
            let n = leading(&ids, &codec, opened).unwrap();
            let rest = codec.decode(&ids[n..]).unwrap();
            let whole = split(text, opened).answer;
            // A token that straddles the border belongs to the answer.
            assert!(rest.ends_with(want) && rest.len() <= want.len() + 2, "{text:?}: {rest:?}");
            assert!(rest.trim_start().ends_with(&whole) || whole.starts_with('x'), "{text:?}: {rest:?}, {whole:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_tags_and_white_space(
            parts in proptest::collection::vec(prop_oneof!["[a-c ]{0,4}", Just(OPEN.to_string()), Just(CLOSE.to_string())], 0..8),
            opened: bool,
        ) {
            let reply = parts.concat();
            let split = split(&reply, opened);
            let letters = |s: &str| {
                let mut of: Vec<char> = s.replace(OPEN, "").replace(CLOSE, "").chars().filter(|c| "abc".contains(*c)).collect();
                of.sort_unstable();
                of
            };
            let both = format!("{}{}", split.thought.clone().unwrap_or_default(), split.answer);
            prop_assert_eq!(letters(&both), letters(&reply));
            let n = leading(&ids(&reply), &Threes(&reply), opened).unwrap();
            prop_assert!(n <= ids(&reply).len());
        }
    }
}
