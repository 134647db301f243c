//! The token ids of a text where it follows a prompt: of a given reply, and of the choices whose log-probability as the
//! first token is wanted.
use crate::Result;
use friction_checkpoint::Tokenizer;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Longest end of a prompt, in bytes, that is tokenised again to see how a text goes on from it.
const TAIL: usize = 64;

/// Number of ends and texts that are remembered. Most prompts end in the same template's text.
const KNOWN: usize = 4096;

/// Tokenises texts behind the ends of prompts.
pub(crate) struct Borders<'a> {
    tokenizer: &'a Tokenizer,
    /// Special tokens: text before and behind one is tokenised by itself.
    specials: Vec<String>,
    /// Token ids by end of a prompt and text behind it.
    known: Mutex<HashMap<(String, String), Vec<u32>>>,
}

impl<'a> Borders<'a> {
    pub fn new(tokenizer: &'a Tokenizer) -> Self {
        let mut specials = tokenizer.specials();
        specials.retain(|s| !s.is_empty());
        Self { tokenizer, specials, known: Mutex::default() }
    }

    /// The end of a prompt, from its last special token on, of up to [`TAIL`] bytes.
    fn tail<'p>(&self, prompt: &'p str) -> &'p str {
        let start = (prompt.len().saturating_sub(TAIL)..=prompt.len()).find(|i| prompt.is_char_boundary(*i));
        let tail = &prompt[start.unwrap_or(prompt.len())..];
        let last = self.specials.iter().filter_map(|s| tail.rfind(s.as_str())).max();
        &tail[last.unwrap_or(0)..]
    }

    /// The token ids of `text` where it follows the prompt.
    pub fn goes_on(&self, prompt: &str, text: &str) -> Result<Vec<u32>> {
        let tail = self.tail(prompt);
        // Choices come again in every turn; a given reply, which is long, does not.
        if text.len() > TAIL {
            return self.tokenized(tail, text);
        }
        let key = (tail.to_string(), text.to_string());
        if let Some(ids) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(ids.clone());
        }
        let ids = self.tokenized(tail, text)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(key, ids.clone());
        Ok(ids)
    }

    fn tokenized(&self, tail: &str, text: &str) -> Result<Vec<u32>> {
        let before = self.tokenizer.encode(tail)?;
        let mut both = self.tokenizer.encode(&format!("{tail}{text}"))?;
        // If the border falls inside a token, the text is tokenised by itself.
        if both.starts_with(&before) { Ok(both.split_off(before.len())) } else { Ok(self.tokenizer.encode(text)?) }
    }
}
