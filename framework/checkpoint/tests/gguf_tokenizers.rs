//! Tokenizers of GGUF files other than Gemma's: byte-level BPE and SentencePiece with a space before the text.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;

use common::{BYTE, CONTROL, File, NORMAL, UNKNOWN, USER_DEFINED, models};
use friction_checkpoint::template::SpecialTokens;
use friction_checkpoint::weights::gguf::{Gguf, Meta};
use friction_checkpoint::{ChatMessage, ChatTemplate, Tokenizer};
use std::path::{Path, PathBuf};

/// The letter that stands for a byte in byte-level BPE.
fn letter(byte: u8) -> char {
    let printable = |b: u8| matches!(b, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    match printable(byte) {
        true => char::from(byte),
        false => char::from_u32(256 + (0..byte).filter(|b| !printable(*b)).count() as u32).unwrap(),
    }
}

/// A byte-level vocabulary: the bytes in order, so that a byte is its id, and these.
const MORE: [(&str, i64); 9] = [
    ("ab", NORMAL),             // 256, by a merge
    ("abc", NORMAL),            // 257, by none
    ("Ġa", NORMAL),             // 258
    ("Ã©", NORMAL),             // 259
    ("<|im_start|>", CONTROL),  // 260
    ("<|im_end|>", NORMAL),     // 261, the end of a turn
    ("<think>", USER_DEFINED),  // 262
    ("[PAD263]", USER_DEFINED), // 263
    ("11", NORMAL),             // 264
];

const TEMPLATE: &str = "{% for m in messages %}{{ '<|im_start|>' + m.content + '<think>' }}{% endfor %}";

fn byte_level(pre: Option<&str>) -> File {
    let mut file = File::new();
    file.named("tokenizer.ggml.model", "gpt2");
    if let Some(pre) = pre {
        file.named("tokenizer.ggml.pre", pre);
    }
    let mut tokens: Vec<String> = (0..=255).map(|b| letter(b).to_string()).collect();
    tokens.extend(MORE.iter().map(|(t, _)| (*t).to_string()));
    file.texts("tokens", &tokens);
    file.types(&[vec![NORMAL; 256], MORE.iter().map(|(_, kind)| *kind).collect()].concat());
    file.texts("merges", &["a b", "Ġ a", "Ã ©", "1 1"].map(String::from));
    file.id("eos_token_id", 261);
    // Files may name a token of text so.
    file.id("padding_token_id", u32::from(b'!'));
    file.named("tokenizer.chat_template", TEMPLATE);
    file
}

fn of_pre(pre: &str) -> Tokenizer {
    let dir = tempfile::tempdir().unwrap();
    byte_level(Some(pre)).tokenizer(dir.path())
}

#[test]
fn what_comes_before_the_merges_is_named() {
    let id = |b: u8| u32::from(b);
    // Name; whether a split that is a token is that token; the ids of `11111`; whether `e` and its accent are one letter.
    let cases: [(&str, bool, &[u32], bool); 9] = [
        ("gpt-2", false, &[264, 264, 49], false),
        ("olmo", false, &[264, 264, 49], true),
        ("smollm", false, &[49; 5], false),
        ("llama-bpe", true, &[264, 49, 264], false),
        ("llama3", true, &[264, 49, 264], false),
        ("smaug-bpe", true, &[264, 49, 264], false),
        ("dbrx", false, &[264, 49, 264], false),
        ("qwen2", false, &[49; 5], true),
        ("tekken", true, &[49; 5], false),
    ];
    for (pre, whole, digits, nfc) in cases {
        let t = of_pre(pre);
        let abc: &[u32] = if whole { &[257] } else { &[256, id(b'c')] };
        assert_eq!(t.encode("abc").unwrap(), abc, "{pre}");
        assert_eq!(t.encode("11111").unwrap(), digits, "{pre}");
        let accent: &[u32] = if nfc { &[259] } else { &[id(b'e'), 0xCC, 0x81] };
        assert_eq!(t.encode("e\u{301}").unwrap(), accent, "{pre}");
        assert_eq!(t.encode("ab a\n").unwrap(), [256, 258, id(b'\n')], "{pre}");
        let all = "Übung 東京\n\n  👩‍🔬\tx\0 11ab";
        assert_eq!(t.decode(&t.encode(all).unwrap()).unwrap(), all, "{pre}");
    }
}

#[test]
fn added_tokens_are_those_of_the_file() {
    let t = of_pre("qwen2");
    let mut specials = t.specials();
    specials.sort();
    assert_eq!(specials, ["<|im_end|>", "<|im_start|>"]);
    // A padding row is no token, and what the template writes is special only where the file does not say otherwise.
    let ids = t.encode("<|im_start|>ab<think> a[PAD7]![PAD263]<|im_end|>").unwrap();
    let text = |s: &str| s.bytes().map(u32::from).collect::<Vec<u32>>();
    assert_eq!(ids, [vec![260, 256, 262, 258], text("[PAD7]![PAD263]"), vec![261]].concat());
    assert_eq!(t.decode(&ids).unwrap(), "ab<think> a[PAD7]![PAD263]");
    // A control token in a message is text.
    let template = ChatTemplate::new(TEMPLATE, SpecialTokens::default(), &t).unwrap();
    let rendered = template.render(&[ChatMessage::user("a<|im_end|>")]).unwrap();
    assert_eq!(t.encode(&rendered).unwrap(), [vec![260], text("a<|im_end|>"), vec![262]].concat());
}

#[test]
fn what_is_not_known_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |file: &File| file.read(dir.path()).err().unwrap().to_string();
    let mut other = File::new();
    other.named("tokenizer.ggml.model", "bert");
    let mut nameless = File::new();
    nameless.texts("tokens", &["a".to_string()]);
    nameless.types(&[NORMAL]);
    let mut prefixed = byte_level(Some("qwen2"));
    prefixed.flag("add_space_prefix", true);
    for (file, part) in [
        (byte_level(Some("poro-chat")), "`tokenizer.ggml.pre` is `poro-chat`; `gpt-2`, `llama-bpe`"),
        (byte_level(Some("default")), "does not say in `tokenizer.ggml.pre`"),
        (byte_level(None), "does not say in `tokenizer.ggml.pre`"),
        (prefixed, "`tokenizer.ggml.add_space_prefix` is true"),
        (other, "`tokenizer.ggml.model` is `bert`"),
        (nameless, "holds no `tokenizer.ggml.model`"),
    ] {
        let e = refused(&file);
        assert!(e.contains(part) && e.contains("name a `model.tokenizer`") && e.contains("t.gguf"), "{e}");
    }
    let mut file = sentencepiece(CONTROL);
    let pieces: Vec<String> = (0..1002).map(|i| format!("p{i}")).collect();
    file.vocabulary(&pieces, &vec![-1000.0; 1002], &vec![NORMAL; 1002]);
    let e = refused(&file);
    assert!(e.contains("scores are all equal") && e.contains("name a `model.tokenizer`"), "{e}");
}

/// A vocabulary in Llama 2's style, with `[INST]` of a type.
fn sentencepiece(inst: i64) -> File {
    let mut all: Vec<(String, f32, i64)> =
        vec![("<unk>".into(), 0.0, UNKNOWN), ("<s>".into(), 0.0, CONTROL), ("</s>".into(), 0.0, CONTROL)];
    all.extend((0..=255u8).map(|b| (format!("<0x{b:02X}>"), 0.0, BYTE)));
    // From 259 on.
    for (t, score) in [("▁", -20.0), ("a", -21.0), ("b", -22.0), ("▁a", -1.0), ("▁▁", -9.0)] {
        all.push((t.into(), score, NORMAL));
    }
    all.push(("[INST]".into(), -30.0, inst));
    let mut file = File::new();
    file.named("tokenizer.ggml.model", "llama");
    let pieces: Vec<String> = all.iter().map(|a| a.0.clone()).collect();
    let scores: Vec<f32> = all.iter().map(|a| a.1).collect();
    file.vocabulary(&pieces, &scores, &all.iter().map(|a| a.2).collect::<Vec<_>>());
    file
}

#[test]
fn sentencepiece_puts_a_space_before_texts() {
    let dir = tempfile::tempdir().unwrap();
    // Llama 2's tokenizer.json: before each part between added tokens, whatever it begins with.
    let t = sentencepiece(NORMAL).tokenizer(dir.path());
    let ids = |text: &str| t.encode(text).unwrap();
    assert_eq!(ids("a"), [262]);
    assert_eq!(ids(" a"), [259, 262]);
    assert_eq!(ids("a<s>b"), [262, 1, 259, 261]);
    assert_eq!(ids("é\n"), [259, 3 + 0xC3, 3 + 0xA9, 3 + 0x0A]);
    assert_eq!(t.decode(&[262, 262]).unwrap(), "a a");
    // Mistral from v0.3 on: only before a text, and not before a space.
    let t = sentencepiece(CONTROL).tokenizer(dir.path());
    let ids = |text: &str| t.encode(text).unwrap();
    assert_eq!((ids("a"), ids(" a")), (vec![262], vec![262]));
    assert_eq!(ids("<s>[INST] a</s>b"), [1, 264, 262, 2, 261]);
    assert_eq!(t.decode(&[262, 262]).unwrap(), "a a");
    // Nowhere where the file says so.
    let mut file = sentencepiece(NORMAL);
    file.flag("add_space_prefix", false);
    let t = file.tokenizer(dir.path());
    assert_eq!(t.encode("a a").unwrap(), [260, 262]);
    assert_eq!(t.decode(&[262, 262]).unwrap(), " a a");
}

fn fixtures(sub: &str) -> Option<PathBuf> {
    let dir = std::env::var_os("FRICTION_FIXTURES").map(|d| Path::new(&d).join(sub)).filter(|d| d.exists());
    if dir.is_none() {
        eprintln!("SKIPPED: set FRICTION_FIXTURES to the folder that holds {sub}");
    }
    dir
}

/// SmolLM2's real file: its template, its ids and its texts are those of transformers. Nothing is put before a text.
#[test]
fn smollm2_equals_transformers() {
    let Some(dir) = fixtures("smollm2") else { return };
    let file = models().join("smollm2-135m-instruct-q4_1.gguf");
    if !file.exists() {
        eprintln!("SKIPPED: no {}", file.display());
        return;
    }
    let gguf = Gguf::open(&file).unwrap();
    let t = Tokenizer::from_gguf(&gguf).unwrap();
    let Some(Meta::Text(source)) = gguf.meta("tokenizer.chat_template") else { panic!("the file has no template") };
    let special = [("bos_token", "<|im_start|>"), ("eos_token", "<|im_end|>")];
    let template = ChatTemplate::new(source, special.into_iter().collect(), &t).unwrap();
    assert_eq!(template.end_of_turn(), Some(2));
    let want: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let cases = want["cases"].as_array().unwrap();
    for case in cases {
        let chat: Vec<ChatMessage> = serde_json::from_value(case["chat"].clone()).unwrap();
        let ids = |key: &str| serde_json::from_value::<Vec<u32>>(case[key].clone()).unwrap();
        let rendered = template.render(&chat).unwrap();
        assert_eq!(rendered, case["rendered"].as_str().unwrap());
        assert_eq!(t.encode(&rendered).unwrap(), ids("ids"));
        // The fixture's text shows control tokens.
        let mut shown = case["text"].as_str().unwrap().to_string();
        t.specials().iter().for_each(|s| shown = shown.replace(s.as_str(), ""));
        assert_eq!(t.decode(&ids("greedy")).unwrap(), shown);
    }
    assert_eq!((cases.len(), t.specials().len(), t.vocab()), (3, 17, 49_152));
}
