//! Puts neutral words into a message until the prompt has a wanted number of tokens.
//!
//! Tokens merge at borders and a word may be several, so the number of words cannot be computed: texts are tried, and the
//! whole prompt is counted as the engine will render it. Where no text of the filler's words fits exactly, a word is cut;
//! where that does not help either, the nearest text that is not too long is taken, and the difference stays in the record.
use crate::Result;
use friction_checkpoint::{ChatTemplate, Tokenizer};
use friction_core::{ChatMessage, Error, Filler, Place};

/// Texts that are counted in the whole prompt, at most, for one message. The first is nearly always right.
const TRIALS: usize = 4;

/// Words at the end of the filler that others are tried in the place of.
const DROPPED: usize = 2;

/// Different words that are tried there.
const OTHERS: usize = 24;

/// Counts tokens of prompts as the engine does.
#[derive(Clone, Copy)]
pub(crate) struct Scale<'a> {
    pub template: &'a ChatTemplate,
    pub tokenizer: &'a Tokenizer,
}

impl Scale<'_> {
    /// Tokens of a prompt: the messages, rendered, and the prefill.
    ///
    /// # Errors
    /// If the template or the tokenizer fails.
    pub fn prompt(&self, messages: &[ChatMessage], prefill: &str) -> Result<usize> {
        let mut text = self.template.render(messages)?;
        text.push_str(&self.template.of_reply(prefill));
        Ok(self.tokenizer.encode(&text)?.len())
    }

    /// Tokens of a user message and of what the template writes around it.
    ///
    /// # Errors
    /// As for [`Self::prompt`].
    pub fn message(&self, text: &str) -> Result<usize> {
        self.prompt(&[ChatMessage::user(text)], "")
    }
}

/// A message with filler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    /// The message, filler included.
    pub text: String,
    /// Tokens that the filler added to the prompt.
    pub tokens: usize,
}

/// Fills up a message until `whole`, which counts the tokens of the prompt with a text in the place of the message, gives
/// `goal`. Turn 1 begins with the filler's first sentence, turn 2 with its second, and so on. A prompt that is too long
/// already stays as it is.
///
/// # Errors
/// If the filler has no word, or counting fails.
pub(crate) fn fill(
    scale: Scale<'_>,
    filler: &Filler,
    turn: usize,
    message: &str,
    goal: usize,
    whole: &dyn Fn(&str) -> Result<usize>,
) -> Result<Filled> {
    let words = Words::new(filler, turn)?;
    let bare = whole(message)?;
    let plain = Filled { text: message.to_string(), tokens: 0 };
    if bare >= goal {
        return Ok(plain);
    }
    let alone = scale.message(message)?;
    let add = |words: &str| -> Result<i64> {
        Ok(scale.message(&joined(filler.place, words, message))? as i64 - alone as i64)
    };
    let wanted = (goal - bare) as i64;
    let (mut nearest, mut need) = (plain, wanted);
    for _ in 0..TRIALS {
        let text = joined(filler.place, &words.fit(need, &add)?, message);
        let all = whole(&text)?;
        let off = goal as i64 - all as i64;
        if off >= 0 && all > bare + nearest.tokens {
            nearest = Filled { text, tokens: all - bare };
        }
        // Seen by itself the message may have another number of tokens than in the prompt.
        if off == 0 || need + off <= 0 || off == wanted {
            break;
        }
        need += off;
    }
    Ok(nearest)
}

/// A message with these words.
fn joined(place: Place, words: &str, message: &str) -> String {
    match (place, words) {
        (_, "") => message.to_string(),
        (Place::Begin, words) => format!("{words} {message}"),
        (Place::End, words) => format!("{message} {words}"),
    }
}

/// The filler's words, in the order in which they are said.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    /// The words from the sentence of a turn on, which counts from 1.
    fn new(filler: &'a Filler, turn: usize) -> Result<Self> {
        let sentences: Vec<&str> =
            filler.sentences.iter().map(String::as_str).filter(|s| !s.trim().is_empty()).collect();
        if sentences.is_empty() {
            return Err(Error::config("the filler of a message has no word").into());
        }
        let first = (turn - 1) % sentences.len();
        let order = sentences[first..].iter().chain(&sentences[..first]);
        Ok(Self(order.flat_map(|s| s.split_whitespace()).collect()))
    }

    fn word(&self, i: usize) -> &'a str {
        self.0[i % self.0.len()]
    }

    /// The first `n` words.
    fn first(&self, n: usize) -> String {
        (0..n).map(|i| self.word(i)).collect::<Vec<_>>().join(" ")
    }

    /// Words that add `need` tokens, by `add`, or as many below it as can be had.
    fn fit(&self, need: i64, add: &dyn Fn(&str) -> Result<i64>) -> Result<String> {
        // A word takes a token or more.
        let (mut low, mut high) = (0, need.max(0) as usize);
        while low < high {
            let middle = (low + high).div_ceil(2);
            if add(&self.first(middle))? <= need {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let mut best = (self.first(low), if low == 0 { 0 } else { add(&self.first(low))? });
        if best.1 == need {
            return Ok(best.0);
        }
        // The next word is too long. Other words behind these, or in the place of the last ones, may fit.
        let others: Vec<&str> = (low..low + self.0.len()).map(|i| self.word(i)).collect();
        for dropped in 0..=low.min(DROPPED) {
            let said = self.first(low - dropped);
            let mut shorter = vec![];
            for word in distinct(&others) {
                let longer = more(&said, word);
                let tokens = add(&longer)?;
                if tokens <= need && tokens > best.1 {
                    best = (longer.clone(), tokens);
                }
                if tokens < need {
                    shorter.push(longer);
                }
            }
            for said in shorter {
                if best.1 == need {
                    return Ok(best.0);
                }
                for word in distinct(&others) {
                    let longer = more(&said, word);
                    let tokens = add(&longer)?;
                    if tokens <= need && tokens > best.1 {
                        best = (longer, tokens);
                    }
                }
            }
        }
        if best.1 == need {
            return Ok(best.0);
        }
        // The beginning of a word may fit where no word does.
        let said = self.first(low);
        for word in distinct(&others) {
            for (end, _) in word.char_indices().skip(1) {
                let longer = more(&said, &word[..end]);
                if add(&longer)? == need {
                    return Ok(longer);
                }
            }
        }
        Ok(best.0)
    }
}

/// Words and one more.
fn more(said: &str, word: &str) -> String {
    if said.is_empty() { word.to_string() } else { format!("{said} {word}") }
}

/// The first [`OTHERS`] different words.
fn distinct<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut out: Vec<&str> = vec![];
    for word in words {
        if !out.contains(word) {
            out.push(word);
        }
    }
    out.truncate(OTHERS);
    out
}

#[cfg(test)]
mod tests;
