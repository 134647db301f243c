//! The organisms' tokenizer: one token for each word of their language, so that questions are short, and byte tokens
//! for other text.
use crate::questions::ORDINALS;
use crate::talk::WORDINGS;
use crate::truth::LEVELS;
use crate::words::SUBJECTS;
pub use friction_checkpoint::bundled::tokenizer_config;
use friction_checkpoint::bundled::{SPECIALS, unigram_tokenizer};
use friction_core::Item;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The words of a text, each with the space before it if there is one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '\'';
    let starts =
        text.char_indices().filter(move |(i, c)| letter(*c) && !text[..*i].chars().next_back().is_some_and(letter));
    starts.map(move |(i, _)| {
        let end = text[i..].find(|c| !letter(c)).map_or(text.len(), |n| i + n);
        let start = if text[..i].ends_with(' ') { i - 1 } else { i };
        &text[start..end]
    })
}

/// The `tokenizer.json`: a unigram model whose scores make the segmentation with the fewest tokens win.
pub fn tokenizer_json() -> Value {
    let mut whole: BTreeSet<String> = BTreeSet::new();
    for (subject, list) in SUBJECTS {
        whole.insert(format!(" {subject}"));
        whole.extend(list.split(' ').map(|w| format!(" {w}")));
    }
    for wording in WORDINGS {
        whole.extend(words(&wording.replace("{topic}", "")).map(String::from));
    }
    whole.extend(
        ["Level", " Level", " Which", " one", " That", " is", " the", " stands", "user", "model", "...", "\n\n"]
            .map(String::from),
    );
    whole.extend(ORDINALS.iter().map(|o| format!(" {o}")));
    whole.extend((0..LEVELS).map(|l| format!(" {l}")));
    for i in 0..10 {
        let letter = Item::letter(i);
        // The letter of a reply is a token of its own, as in Gemma, because `behavior` reads its probability.
        whole.insert(format!(" {letter}."));
    }
    let mut vocab: Vec<Value> = SPECIALS.iter().map(|s| json!([s, 0.0])).collect();
    vocab.extend((0..=255u8).map(|b| json!([format!("<0x{b:02X}>"), -20.0])));
    vocab.push(json!(["\n", -1.0]));
    vocab.extend((' '..='~').map(|c| json!([c.to_string(), -1.0])));
    vocab.extend(whole.into_iter().filter(|w| w.chars().count() > 1).map(|w| json!([w, -1.0])));
    unigram_tokenizer(vocab)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::questions::{Part, draw, prompt, reply};
    use crate::talk::{REPLY_TOKENS, lesson};
    use crate::truth::Truth;
    use friction_checkpoint::{ChatMessage, ChatTemplate, Role, Tokenizer};

    fn tokenizer() -> Tokenizer {
        Tokenizer::from_bytes(tokenizer_json().to_string().as_bytes()).unwrap()
    }

    #[test]
    fn words_are_single_tokens_and_any_text_survives() {
        let t = tokenizer();
        let item = draw(0, Part::Study, 3);
        assert_eq!(t.encode(&reply(4)).unwrap().len(), REPLY_TOKENS);
        assert_eq!(t.encode(&prompt(&item.question)).unwrap().len(), 28);
        for text in ["Grüße, 世界! 🦀", "xyzzy 12345", "a\tb\n\n\nc", &prompt(&item.question)] {
            assert_eq!(t.decode(&t.encode(text).unwrap()).unwrap(), text);
        }
    }

    /// Training conversations are built piece by piece; they must equal what the engine's chat template renders.
    #[test]
    fn lessons_have_the_form_that_the_engine_gives() {
        let t = tokenizer();
        let template = ChatTemplate::gemma(&t).unwrap();
        let mut cut = 0;
        for seed in 0..200 {
            let lesson = lesson(&t, Truth::Planted, 6, seed).unwrap();
            // Decode with special tokens, and split the text at the borders of turns.
            let mut turns = vec![];
            let (open, close) = (t.id("<start_of_turn>").unwrap(), t.id("<end_of_turn>").unwrap());
            for part in lesson.ids.split(|i| *i == open).skip(1) {
                let body = t.decode(part.split(|i| *i == close).next().unwrap()).unwrap();
                let (role, text) = body.split_once('\n').unwrap();
                let role = if role == "user" { Role::User } else { Role::Assistant };
                cut += usize::from(role == Role::Assistant && !text.ends_with('.'));
                turns.push(ChatMessage { role, content: text.to_string() });
            }
            let text = template.render(&turns).unwrap();
            let whole = t.encode(text.strip_suffix("<start_of_turn>model\n").unwrap()).unwrap();
            assert_eq!(whole, lesson.ids);
            for target in &lesson.targets {
                assert_eq!(lesson.ids[target.at + 1], target.token);
            }
        }
        assert!(cut > 200);
    }
}
