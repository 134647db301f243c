//! Texts to token ids, as sentence-transformers makes them: `[CLS]`, the tokens, `[SEP]`, cut at the checkpoint's length.
use super::config::{BertConfig, Modules};
use super::files::{Files, told};
use friction_checkpoint::Tokenizer;
use friction_core::{Error, Result};
use serde_json::{Map, Value, json};

/// Turns texts into token ids.
pub(super) struct Encoder {
    tokenizer: Tokenizer,
    /// The ids before and behind a text.
    ends: (u32, u32),
    /// Most ids of a text, with the ends.
    most: usize,
    lower: bool,
}

impl Encoder {
    /// Reads `tokenizer.json`, or else `vocab.txt`.
    pub fn read(files: &mut Files, modules: &Modules, config: &BertConfig) -> Result<Self> {
        let name = |file: &str| format!("{}{file}", modules.folder);
        let settings = files.json_if_any(&name("tokenizer_config.json"))?;
        let json = match files.text(&name("tokenizer.json"))? {
            Some(json) => json,
            None => match files.text(&name("vocab.txt"))? {
                Some(vocab) => word_piece(&vocab, &settings)?,
                None => return Err(Error::config("holds no tokenizer.json and no vocab.txt")),
            },
        };
        let tokenizer = Tokenizer::from_bytes(json.as_bytes()).map_err(Error::config)?;
        let (ids, rows) = (tokenizer.ids_of_text(), config.vocab_size);
        if ids > rows {
            return Err(Error::config(format!(
                "the tokenizer has {ids} ids, the model {rows}: they do not belong together"
            )));
        }
        let ends = match tokenizer.encode_surrounded("").map_err(told)?[..] {
            [first, last] if (first.max(last) as usize) < rows => (first, last),
            ref other => {
                let what = "one token of the model before a text and one behind it are expected";
                return Err(Error::config(format!("the tokenizer puts the ids {other:?} around a text; {what}")));
            }
        };
        // Without a length of its own, a checkpoint's is the smaller of what its tokenizer and its model say. Tokenizers
        // without a limit write 10^30.
        let positions = config.max_position_embeddings;
        let by_tokenizer = settings["model_max_length"].as_u64().map_or(positions, |n| positions.min(n as usize));
        let most = modules.max_seq_length.unwrap_or(by_tokenizer);
        if !(3..=positions).contains(&most) {
            let what = format!("`max_seq_length` is {most}; it must be from 3 to the model's {positions} positions");
            return Err(Error::config(what));
        }
        Ok(Self { tokenizer, ends, most, lower: modules.lower })
    }

    /// The ids of a text; never none.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let text = text.trim();
        let text = if self.lower { text.to_lowercase() } else { text.into() };
        let mut ids = vec![self.ends.0];
        ids.extend(self.tokenizer.encode(&text).map_err(told)?.into_iter().take(self.most - 2));
        ids.push(self.ends.1);
        Ok(ids)
    }
}

/// The `tokenizer.json` of a `vocab.txt`: BERT's WordPiece, as transformers' `BertTokenizer` makes it.
pub(super) fn word_piece(vocab: &str, settings: &Value) -> Result<String> {
    let tokens: Vec<&str> = vocab.lines().collect();
    let ids: Map<String, Value> = tokens.iter().enumerate().map(|(id, token)| ((*token).into(), id.into())).collect();
    let special = |key: &str, usual: &str| -> Result<(String, Value)> {
        let token = settings[key].as_str().or(settings[key]["content"].as_str()).unwrap_or(usual);
        let id = ids.get(token).ok_or_else(|| Error::config(format!("vocab.txt lacks the token `{token}`")))?;
        Ok((token.into(), id.clone()))
    };
    let unknown = special("unk_token", "[UNK]")?;
    let (first, last) = (special("cls_token", "[CLS]")?, special("sep_token", "[SEP]")?);
    let all = [
        special("pad_token", "[PAD]")?,
        unknown.clone(),
        first.clone(),
        last.clone(),
        special("mask_token", "[MASK]")?,
    ];
    let added: Vec<Value> = all
        .iter()
        .map(|(token, id)| {
            json!({"id": id, "content": token, "special": true, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false})
        })
        .collect();
    let on = |key: &str| settings[key].as_bool().unwrap_or(true);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": on("tokenize_chinese_chars"),
            "strip_accents": settings["strip_accents"].as_bool(),
            "lowercase": on("do_lower_case"),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": [last.0, last.1], "cls": [first.0, first.1]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": unknown.0,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    });
    Ok(tokenizer.to_string())
}
