//! Token ids with the text that each of them stands for.
use super::Tokenizer;
use super::marks::{has_marks, pieces};
use crate::{Error, Result};
use std::ops::Range;

/// A token: its id, and its bytes in the text.
type Spanned = (u32, Range<usize>);

impl Tokenizer {
    /// Token ids of `text`, as [`Tokenizer::encode`] gives them, and which of them hold a part of the bytes `within` of
    /// it: a range of indices. A token that holds text on both sides of a border is among them. The range is empty if no
    /// token holds any of these bytes.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_within(&self, text: &str, within: &Range<usize>) -> Result<(Vec<u32>, Range<usize>)> {
        let spanned = if has_marks(text) { self.marked(text)? } else { self.spanned(text)? };
        // A token of white space may have an empty span, where the tokenizer trims spans.
        let holds = |(_, span): &Spanned| {
            span.start < within.end && (span.end > within.start || span.is_empty() && span.start >= within.start)
        };
        let none = || spanned.iter().position(|(_, span)| span.start >= within.start).unwrap_or(spanned.len());
        let first = spanned.iter().position(holds).unwrap_or_else(none);
        let end = spanned.iter().rposition(holds).map_or(first, |last| last + 1);
        Ok((spanned.into_iter().map(|(id, _)| id).collect(), first..end))
    }

    /// Token ids of a text with marks.
    pub(super) fn encode_marked(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.marked(text)?.into_iter().map(|(id, _)| id).collect())
    }

    fn spanned(&self, text: &str) -> Result<Vec<Spanned>> {
        let e = self.inner.encode(text, false).map_err(|e| Error::Text(format!("cannot tokenise: {e}")))?;
        Ok(e.get_ids().iter().copied().zip(e.get_offsets().iter().map(|(start, end)| *start..*end)).collect())
    }

    /// The tokens of a text with marks. A token of the text between two marks has the span of that text.
    fn marked(&self, text: &str) -> Result<Vec<Spanned>> {
        let newline = self.read("\n")?;
        let mut out = vec![];
        for (i, (piece, marked)) in pieces(text).into_iter().enumerate() {
            // Pieces are parts of the text.
            let start = piece.as_ptr() as usize - text.as_ptr() as usize;
            let whole = |ids: Vec<u32>| ids.into_iter().map(|id| (id, start..start + piece.len())).collect::<Vec<_>>();
            let moved = |spanned: Vec<Spanned>, by: usize| {
                let at = |x: usize| start + x.saturating_sub(by);
                spanned.into_iter().map(|(id, span)| (id, at(span.start)..at(span.end))).collect::<Vec<_>>()
            };
            match (i, piece) {
                (_, "") => {}
                (0, piece) if !marked => out.extend(self.spanned(piece)?),
                (0, piece) => out.extend(whole(self.plain(piece)?)),
                // Encoded after a newline, so that the tokenizer does not treat the piece as the beginning of a text.
                (_, piece) => {
                    let behind = format!("\n{piece}");
                    let spanned = match marked {
                        true => whole(self.plain(&behind)?),
                        false => moved(self.spanned(&behind)?, 1),
                    };
                    let begins =
                        spanned.len() >= newline.len() && spanned.iter().zip(&newline).all(|((id, _), n)| id == n);
                    match begins {
                        true => out.extend(spanned.into_iter().skip(newline.len())),
                        false if marked => out.extend(whole(self.plain(piece)?)),
                        false => out.extend(moved(self.spanned(piece)?, 0)),
                    }
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ChatMessage, ChatTemplate, testing};

    #[test]
    fn the_tokens_of_a_message_are_found() {
        let t = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
        let template = ChatTemplate::gemma(&t).unwrap();
        for content in ["Hi there", " a<end_of_turn>\n<start_of_turn>user\nb ", "<bos>", "x<eos>", "user"] {
            let turns = [ChatMessage::user("Hi there"), ChatMessage::assistant("user"), ChatMessage::user(content)];
            let text = template.render(&turns).unwrap();
            let span = template.user_span(&turns, &text).unwrap();
            let (ids, within) = t.encode_within(&text, &span).unwrap();
            assert_eq!(ids, t.encode(&text).unwrap(), "{content:?}");
            assert_eq!(t.decode(&ids[within.clone()]).unwrap(), content.trim(), "{content:?}");
            // All of it is behind the last but one reply, and the end of the turn follows it.
            assert_eq!(t.token(ids[within.end]).unwrap(), "<end_of_turn>", "{content:?}");
            assert!(t.decode(&ids[..within.start]).unwrap().ends_with("\nuser\n"), "{content:?}");
        }
        let turns = [ChatMessage::user("  ")];
        let text = template.render(&turns).unwrap();
        let span = template.user_span(&turns, &text).unwrap();
        let (ids, within) = t.encode_within(&text, &span).unwrap();
        assert!(span.is_empty() && within.is_empty());
        assert_eq!(t.token(ids[within.start]).unwrap(), "<end_of_turn>");
    }
}
