//! `bundled:scripted`: a tiny Gemma 3 whose reply is a function of the last user message, so that whole dialogues can be
//! told beforehand. Its weights are built by hand ([`weights`]), not trained. Nothing is random and no file is read.
//!
//! # Cues
//! A message says what to reply by a cue, written in brackets anywhere in it:
//!
//! - `[say X]`: the reply to this message is X. If a message has several, the last counts.
//! - `[default X]`: from here on X is the reply to every message that has no `[say …]`, until the next `[default …]`. It
//!   counts wherever it stands: in the system prompt, in an opening, in the history.
//!
//! A message without either, in a conversation without `[default …]`, is answered `ok`. A `[say …]` in an earlier
//! message, in a reply or in the system prompt of a later turn does nothing. A misspelled cue is ordinary text. Without
//! a chat template the whole prompt counts as one message.
//!
//! # Replies
//! | X | the reply |
//! |---|---|
//! | `A` … `J` | `The answer is A.`; behind a `(`, as of a prefill, `A)` |
//! | `cot-A` … `cot-D` | ` So the answer is (A).` and, two lines below, `Question:`, as a base model that writes on |
//! | `1` … `9`, `12`, `42` | the number alone |
//! | `yes`, `no` | `Yes.`, `No.` |
//! | `cooperate`, `defect` | `I cooperate.`, `I defect.` |
//! | `refuse` | `I cannot help with that.` |
//! | `comply` | `Sure, here it is.` |
//! | `ok` | `ok` |
//! | `hedge` | `I think it might be B.` |
//! | `guess` | `The answer is A.`; sampled, also B, C or D |
//! | `count` | `one two three four five six seven eight nine ten eleven twelve.`: 13 tokens, to be cut |
//! | `forever` | `la la la …` up to the longest reply |
//! | `nothing` | no token |
//! | `think` | `<think>Let us see</think>The answer is B.` |
//! | `crab` | 🦀, a character of four tokens |
//! | `hostile` | an escape sequence, a script element and a template expression, for what shows replies |
//!
//! A reply goes on where its text stands: behind the prefill `The answer is`, `[say B]` gives ` B.` What stands behind
//! any other text, as behind the template's own, begins at its first token.
//!
//! # Probabilities
//! The next token of a reply has the logit 12, most others 0 (see [`replies`]). Where a letter comes, the nine other
//! letters have 9: the letter's own probability is about 0.69. The first token of `A` … `J` has the logit 12; there the
//! bare letter has 6 and the other nine have 3, so log-odds of letters can be read at the first token too. A digit d has
//! 12, and another digit e has 12 − |d − e|. `Yes` and `No`, `cooperate` and `defect` differ by 2. `guess` has 12, 11.5,
//! 11 and 10 for A to D. These hold for prompts that begin with BOS; without it the greedy reply is the same.
//!
//! # What holds
//! Greedy replies are exact in f32, at any batch and however a prompt is cut into steps, up to 16,384 tokens. In
//! bfloat16 the attention cannot tell near cues apart. The width is 288, with three layers; `resid_post.0` marks the
//! beginning of user messages, `resid_post.1` holds the reply that is meant, one dimension for each X
//! ([`weights::meant`]), and `resid_post.2` the logits of the reply's words ([`weights::spoken`]).
pub mod replies;
pub mod vocab;
pub mod weights;

use friction_checkpoint::bundled::BundledModel;
use friction_core::inventory;
use std::sync::OnceLock;

/// The model's files, made when they are first asked for and kept as long as the program runs.
fn files() -> &'static [(&'static str, &'static [u8])] {
    static FILES: OnceLock<Vec<(&'static str, &'static [u8])>> = OnceLock::new();
    FILES.get_or_init(|| {
        let vocab = vocab::Vocab::new(&replies::all());
        let keep = |name, bytes: Vec<u8>| (name, &*bytes.leak());
        vec![
            keep("config.json", weights::config(&vocab).to_string().into_bytes()),
            keep("generation_config.json", vocab::generation_config().to_string().into_bytes()),
            keep("tokenizer.json", vocab.tokenizer_json().to_string().into_bytes()),
            keep("tokenizer_config.json", vocab::tokenizer_config().to_string().into_bytes()),
            keep("model.safetensors", weights::safetensors(&vocab)),
        ]
    })
}

inventory::submit! {
    BundledModel { name: "scripted", summary: "tiny Gemma 3: `[say X]` in a message is answered X", files }
}
