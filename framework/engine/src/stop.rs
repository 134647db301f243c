//! Stop strings: texts that end a reply.
use friction_core::{Result, TextCodec};

/// Texts that end a reply.
///
/// A reply ends with the first letter at which one of them is complete, and is cut where that one begins; of several that
/// are complete at the same letter, the one that begins first counts. So the text that is left does not depend on how
/// it is divided into tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StopStrings {
    all: Vec<String>,
    /// Bytes of the longest.
    longest: usize,
}

/// A reply that a stop string has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The reply's text, without the stop string and what follows it.
    pub text: String,
    /// Number of leading ids whose text is wholly in `text`. A token that `text` ends in is not among them, so `text` may
    /// be longer than what these ids spell.
    pub ids: usize,
    /// The stop string.
    pub string: String,
}

impl StopStrings {
    /// Makes a list. Empty texts are left out.
    pub fn new(all: impl IntoIterator<Item = String>) -> Self {
        let all: Vec<String> = all.into_iter().filter(|s| !s.is_empty()).collect();
        let longest = all.iter().map(String::len).max().unwrap_or(0);
        Self { all, longest }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Where a text ends: the byte at which the stop string begins that is complete first, and that string.
    pub fn find(&self, text: &str) -> Option<(usize, &str)> {
        let found = self.all.iter().filter_map(|s| Some((text.find(s.as_str())?, s.as_str())));
        found.min_by_key(|(start, s)| (start + s.len(), *start))
    }

    /// Looks for a stop string in a reply after its last token. Most calls decode only the last tokens.
    ///
    /// # Errors
    /// If the ids cannot be decoded.
    pub fn ended(&self, ids: &[u32], codec: &dyn TextCodec) -> Result<Option<Stopped>> {
        if self.is_empty() || !self.may_end(ids, codec)? {
            return Ok(None);
        }
        let mut text = codec.decode(ids)?;
        let Some((cut, string)) = self.find(&text) else { return Ok(None) };
        let mut left = ids.len();
        while left > 0 && codec.decode(&ids[..left])?.len() > cut {
            left -= 1;
        }
        text.truncate(cut);
        Ok(Some(Stopped { text, ids: codec.whole(&ids[..left])?, string: string.to_string() }))
    }

    /// Whether the last tokens hold a stop string, or are too few to say so.
    fn may_end(&self, ids: &[u32], codec: &dyn TextCodec) -> Result<bool> {
        let last = codec.decode(&ids[ids.len().saturating_sub(1)..])?.len();
        // A token mostly spells a byte at least; those that spell none are made up for by more tokens.
        let mut tokens = self.longest + 4;
        loop {
            let tail = codec.decode(&ids[ids.len().saturating_sub(tokens)..])?;
            // Where the tail begins inside a character, the characters behind may not be told either.
            if self.find(&tail).is_some() || tail.contains(char::REPLACEMENT_CHARACTER) {
                return Ok(true);
            }
            if tokens >= ids.len() || tail.len() >= self.longest + last + 8 {
                return Ok(false);
            }
            tokens *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// Ids are indices of texts.
    struct Pieces(Vec<String>);
    impl TextCodec for Pieces {
        fn decode(&self, ids: &[u32]) -> Result<String> {
            Ok(ids.iter().map(|i| self.0[*i as usize].as_str()).collect())
        }
    }

    fn stops(all: &[&str]) -> StopStrings {
        StopStrings::new(all.iter().map(|s| s.to_string()))
    }

    /// The reply of a model that says these tokens, one after another.
    fn reply(stops: &StopStrings, tokens: &[&str]) -> Option<(String, usize, usize)> {
        let codec = Pieces(tokens.iter().map(|s| s.to_string()).collect());
        let ids: Vec<u32> = (0..tokens.len() as u32).collect();
        (1..=ids.len()).find_map(|n| stops.ended(&ids[..n], &codec).unwrap().map(|s| (s.text, s.ids, n)))
    }

    #[test]
    fn a_stop_string_is_not_in_the_text() {
        let q = stops(&["Question:"]);
        assert_eq!(reply(&q, &["(A)", ".\n\n", "Question:", " What"]), Some(("(A).\n\n".into(), 2, 3)));
        assert_eq!(reply(&q, &["(A)", ".\n\n", "Ques", "tion", ": What"]), Some(("(A).\n\n".into(), 2, 5)));
        // A token on both sides: its text is kept as far as it goes, and the token is not.
        assert_eq!(reply(&q, &["(A)", ".\n\nQues", "tion:"]), Some(("(A).\n\n".into(), 1, 3)));
        assert_eq!(reply(&q, &["Question: What"]), Some((String::new(), 0, 1)));
        assert_eq!(reply(&q, &["(A)", " Question", " :"]), None);
        assert_eq!(reply(&stops(&[]), &["Question:"]), None);
        assert!(stops(&["", ""]).is_empty());
    }

    #[test]
    fn the_first_that_is_complete_counts() {
        assert_eq!(stops(&["b", "abc"]).find("xabc"), Some((2, "b")));
        assert_eq!(stops(&["c", "abc"]).find("xabc"), Some((1, "abc")));
        assert_eq!(stops(&["abc", "c"]).find("c abc"), Some((0, "c")));
        assert_eq!(stops(&["\n\n", "Q:"]).find("a\n\nQ:"), Some((1, "\n\n")));
    }

    #[test]
    fn tokens_without_text_and_long_replies_hide_nothing() {
        let mut tokens = vec!["word "; 300];
        tokens.extend(["E", "", "", "", "", "", "", "", "", "", "", "", "N", "D"]);
        assert_eq!(reply(&stops(&["END"]), &tokens), Some(("word ".repeat(300), 300, 314)));
    }

    proptest! {
        #[test]
        fn the_text_does_not_depend_on_the_tokens(
            tokens in proptest::collection::vec("[abé]{0,3}", 0..24),
            all in proptest::collection::vec("[abé]{1,4}", 1..4),
        ) {
            let stops = StopStrings::new(all);
            let whole = tokens.concat();
            let by_tokens = reply(&stops, &tokens.iter().map(String::as_str).collect::<Vec<_>>());
            let letters: Vec<String> = whole.chars().map(String::from).collect();
            let by_letters = reply(&stops, &letters.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(by_tokens.clone().map(|r| r.0), by_letters.map(|r| r.0));
            if let Some((text, ids, said)) = by_tokens {
                let spelt = tokens[..ids].concat();
                prop_assert!(text.starts_with(&spelt));
                // No more tokens fit, and none was said too many.
                prop_assert!(ids == said || tokens[..ids + 1].concat().len() > text.len());
                prop_assert!(stops.find(&tokens[..said - 1].concat()).is_none());
            }
        }
    }
}
