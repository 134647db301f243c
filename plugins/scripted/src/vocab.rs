//! The tokenizer: one token for each cue, each word of a reply and the commonest English words, one for each printable
//! character of ASCII, and byte tokens for all other text.
use crate::replies::{Reply, tokens};
use friction_checkpoint::bundled::unigram_tokenizer;
pub use friction_checkpoint::bundled::{SPECIALS, tokenizer_config};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Words that shorten prompts; each is a token with a space before it.
const COMMON: &str = "the of and to in a is that it for was on are as with his they at be this from have or by had not \
    but what all were when we there can an your which their said if do will each about how up out them then she many \
    some so these would other into has more her two like him see time could no make than first been its who now people \
    my made over did down only way find use may water long little very after words called just where most know you I \
    answer question following correct please think sure user assistant should because before again between same right";

/// What a token stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Text without meaning to the model.
    Other,
    /// The token that begins a text.
    Begin,
    /// `<start_of_turn>`.
    Open,
    /// The word `user`.
    User,
    /// A token of replies.
    Word(String),
    /// `[say X]`, X by its index among the replies.
    Say(usize),
    /// `[default X]`.
    Default(usize),
}

/// All tokens, by id: what each is written as, and what it means to the model.
pub struct Vocab {
    /// Text of each token, by id.
    pub pieces: Vec<String>,
    /// What each token stands for, by id.
    pub kinds: Vec<Kind>,
    /// All replies.
    pub replies: Vec<Reply>,
}

impl Vocab {
    /// The vocabulary for these replies.
    pub fn new(replies: &[Reply]) -> Self {
        let words = tokens(replies);
        let mut pieces: Vec<String> = SPECIALS.map(String::from).into();
        pieces.extend((0..=255u8).map(|b| format!("<0x{b:02X}>")));
        pieces.push("\n".into());
        pieces.extend((' '..='~').map(String::from));
        let cues = |word: &str| -> Vec<String> { replies.iter().map(|r| format!("[{word} {}]", r.name)).collect() };
        let (say, default) = (cues("say"), cues("default"));
        let common = COMMON.split_whitespace().map(|w| format!(" {w}")).chain(["user".into(), "model".into()]);
        let more: BTreeSet<String> = say.iter().chain(&default).chain(&words).cloned().chain(common).collect();
        let known: BTreeSet<String> = pieces.iter().cloned().collect();
        pieces.extend(more.into_iter().filter(|w| !known.contains(w)));
        let mut of: BTreeMap<&str, Kind> = words.iter().map(|w| (w.as_str(), Kind::Word(w.clone()))).collect();
        of.extend([("<bos>", Kind::Begin), ("<start_of_turn>", Kind::Open), ("user", Kind::User)]);
        of.extend(say.iter().enumerate().map(|(i, c)| (c.as_str(), Kind::Say(i))));
        of.extend(default.iter().enumerate().map(|(i, c)| (c.as_str(), Kind::Default(i))));
        let kinds = pieces.iter().map(|p| of.get(p.as_str()).cloned().unwrap_or(Kind::Other)).collect();
        Self { pieces, kinds, replies: replies.to_vec() }
    }

    /// The `tokenizer.json`: a unigram model whose scores make the segmentation with the fewest tokens win.
    pub fn tokenizer_json(&self) -> Value {
        let bytes = SPECIALS.len()..SPECIALS.len() + 256;
        let score = |i: usize| if i < bytes.start { 0.0 } else { [-1.0, -20.0][usize::from(bytes.contains(&i))] };
        let vocab: Vec<Value> = self.pieces.iter().enumerate().map(|(i, p)| json!([p, score(i)])).collect();
        unigram_tokenizer(vocab)
    }
}

/// The `generation_config.json`.
pub fn generation_config() -> Value {
    json!({"bos_token_id": 2, "eos_token_id": [1, 5], "pad_token_id": 0})
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::replies::END;
    use crate::replies::all;
    use friction_checkpoint::Tokenizer;

    #[test]
    fn cues_are_single_tokens_and_any_text_survives() {
        let replies = all();
        let vocab = Vocab::new(&replies);
        let t = Tokenizer::from_bytes(vocab.tokenizer_json().to_string().as_bytes()).unwrap();
        for (i, reply) in replies.iter().enumerate() {
            for (cue, kind) in [("say", Kind::Say(i)), ("default", Kind::Default(i))] {
                let cue = format!("[{cue} {}]", reply.name);
                for text in [cue.clone(), format!("a {cue}"), format!("x{cue}{cue}.\n")] {
                    let ids = t.encode(&text).unwrap();
                    let times = ids.iter().filter(|id| vocab.kinds[**id as usize] == kind).count();
                    assert_eq!(times, text.matches(&cue).count(), "{text}");
                    assert_eq!(t.decode(&ids).unwrap(), text);
                }
            }
            // What the model generates is what its text is read as again.
            let mut said = vec![];
            let mut next = &reply.first;
            while let Some(token) = next.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(t, _)| t)
                && token != END
                && said.len() < 20
            {
                said.push(t.id(token).unwrap());
                next = &reply.after.iter().find(|(t, _)| t == token).unwrap().1;
            }
            let text = t.decode(&said).unwrap();
            assert_eq!(t.encode(&text).unwrap(), said, "{text:?}");
            assert!(text == reply.text || reply.name == "forever", "{text:?}");
        }
        for text in ["Grüße, 世界! 🦀", "xyzzy 12345", "a\tb\n\n\nc", " [say Z] [say A", "user\nuser user", "\n\n\n"]
        {
            assert_eq!(t.decode(&t.encode(text).unwrap()).unwrap(), text);
        }
        for token in ["user", "model"] {
            assert_eq!(t.encode(&format!("{token}\n")).unwrap(), [t.id(token).unwrap(), t.id("\n").unwrap()]);
        }
    }
}
