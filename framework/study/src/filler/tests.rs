#![allow(clippy::unwrap_used)]
use super::*;
use friction_checkpoint::bundled::{SPECIALS, unigram_tokenizer};
use friction_checkpoint::template::SpecialTokens;
use friction_checkpoint::weights::gguf::{Gguf, Meta};
use friction_core::Goal;
use serde_json::{Value, json};
use std::path::PathBuf;

const MESSAGE: &str = "ask it";

/// A tokenizer of these tokens and of one token for each byte and each printable character, with Gemma's template. The
/// fewest tokens win.
fn texts(tokens: &[&str]) -> (Tokenizer, ChatTemplate) {
    let mut vocab: Vec<Value> = SPECIALS.iter().map(|s| json!([s, 0.0])).collect();
    vocab.extend((0..=255u8).map(|b| json!([format!("<0x{b:02X}>"), -20.0])));
    vocab.push(json!(["\n", -1.0]));
    vocab.extend((' '..='~').map(|c| json!([c.to_string(), -1.0])));
    vocab.extend(tokens.iter().map(|t| json!([t, -1.0])));
    let tokenizer = Tokenizer::from_bytes(unigram_tokenizer(vocab).to_string().as_bytes()).unwrap();
    let template = ChatTemplate::gemma(&tokenizer).unwrap();
    (tokenizer, template)
}

fn filler(sentences: &[&str], place: Place) -> Filler {
    Filler { sentences: sentences.iter().map(|s| (*s).into()).collect(), place, goal: Goal::Whole }
}

/// Fills the message of a conversation up to `more` tokens more than it has. Returns the filled message and how many
/// tokens it has more, counted anew.
fn filled((tokenizer, template): &(Tokenizer, ChatTemplate), f: &Filler, turn: usize, more: usize) -> (String, i64) {
    let scale = Scale { template, tokenizer };
    let prompt = |text: &str| {
        let before = [ChatMessage::system("be brief"), ChatMessage::user("who"), ChatMessage::assistant("me")];
        [&before[..], &[ChatMessage::user(text)]].concat()
    };
    let bare = scale.prompt(&prompt(MESSAGE), "(").unwrap();
    let out = fill(scale, f, turn, MESSAGE, bare + more, &|text| scale.prompt(&prompt(text), "(")).unwrap();
    // Rendered and encoded as the engine does it.
    let text = template.render(&prompt(&out.text)).unwrap() + "(";
    let has = tokenizer.encode(&text).unwrap().len() as i64 - bare as i64;
    assert_eq!(out.tokens as i64, has, "{out:?}");
    (out.text, has)
}

#[test]
fn words_of_one_token_are_said_in_turn() {
    let t = texts(&["so ", "far ", "it ", "goes ", " so", " far"]);
    let f = filler(&["so far", "it goes"], Place::Begin);
    assert_eq!(filled(&t, &f, 1, 3), ("so far it ask it".into(), 3));
    assert_eq!(filled(&t, &f, 1, 5), ("so far it goes so ask it".into(), 5));
    // The next turn begins with the next sentence.
    assert_eq!(filled(&t, &f, 2, 3), ("it goes so ask it".into(), 3));
    assert_eq!(filled(&t, &f, 1, 0), (MESSAGE.into(), 0));
    let end = filler(&["so far"], Place::End);
    assert_eq!(filled(&t, &end, 1, 2), ("ask it so far".into(), 2));
}

#[test]
fn a_word_that_is_too_long_gives_way_to_another() {
    // Spelled letter by letter, with the space behind it, `longer` takes seven tokens.
    let t = texts(&["so ", "far "]);
    let f = filler(&["so longer far"], Place::Begin);
    assert_eq!(filled(&t, &f, 1, 1), ("so ask it".into(), 1));
    assert_eq!(filled(&t, &f, 1, 2), ("so far ask it".into(), 2));
    assert_eq!(filled(&t, &f, 1, 8), ("so longer ask it".into(), 8));
    assert_eq!(filled(&t, &f, 1, 3), ("so far far ask it".into(), 3));
    // No word is short enough, but the beginning of one is.
    assert_eq!(filled(&t, &filler(&["longer"], Place::Begin), 1, 3), ("lo ask it".into(), 3));
}

#[test]
fn borders_that_merge_are_counted_in_the_prompt() {
    // The message's own first word merges with the word before it, and what the template writes with the message's last.
    let t = texts(&["so ", "far ", "far ask", "ask", " it", "it\n"]);
    for more in 0..12 {
        let (text, has) = filled(&t, &filler(&["so far so so far"], Place::Begin), 1, more);
        assert_eq!(has, more as i64, "{text}");
        assert!(text.ends_with(MESSAGE), "{text}");
    }
}

#[test]
fn what_fits_nowhere_stays_shorter_and_a_filler_without_words_is_refused() {
    // Every word and every beginning of one takes two tokens or more: a letter and a space.
    let t = texts(&[]);
    let f = filler(&["aa bb"], Place::Begin);
    assert_eq!(filled(&t, &f, 1, 1), (MESSAGE.into(), 0));
    assert_eq!(filled(&t, &f, 1, 2).1, 2);
    let scale = Scale { template: &t.1, tokenizer: &t.0 };
    let empty = fill(scale, &filler(&[" "], Place::Begin), 1, MESSAGE, 9, &|_| Ok(1));
    assert!(empty.unwrap_err().to_string().contains("has no word"));
    // A prompt that is too long already.
    let long = fill(scale, &f, 1, MESSAGE, 9, &|_| Ok(10)).unwrap();
    assert_eq!(long, Filled { text: MESSAGE.into(), tokens: 0 });
}

/// A real tokenizer and template: every length is hit with whole words.
#[test]
fn every_length_is_hit_with_smollm2s_tokenizer() {
    let models = std::env::var_os("FRICTION_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/friction-models"),
        PathBuf::from,
    );
    let file = models.join("smollm2-135m-instruct-q4_1.gguf");
    if !file.exists() {
        eprintln!("SKIPPED: no {}", file.display());
        return;
    }
    let gguf = Gguf::open(&file).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let Some(Meta::Text(source)) = gguf.meta("tokenizer.chat_template") else { panic!("the file has no template") };
    let special: SpecialTokens = [("bos_token", "<|im_start|>"), ("eos_token", "<|im_end|>")].into_iter().collect();
    let template = ChatTemplate::new(source, special, &tokenizer).unwrap();
    let t = (tokenizer, template);
    let sentences = [
        "The weather has been mild this week.",
        "There was a little rain on Tuesday, and the streets were wet.",
        "A bus went past the window.",
        "Somebody had left an umbrella on a bench.",
    ];
    for place in [Place::Begin, Place::End] {
        let f = filler(&sentences, place);
        for more in (0..70).chain([250, 600]) {
            let turn = 1 + more % 5;
            let (text, has) = filled(&t, &f, turn, more);
            assert_eq!(has, more as i64, "{text}");
            let words = text.strip_suffix(MESSAGE).or_else(|| text.strip_prefix(MESSAGE)).unwrap();
            for word in words.split_whitespace() {
                assert!(sentences.iter().any(|s| s.split(' ').any(|w| w == word)), "{word:?} in {text:?}");
            }
        }
    }
}
