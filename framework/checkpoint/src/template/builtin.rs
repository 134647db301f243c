//! The templates that come with the program.
use super::SpecialTokens;
use crate::{Error, Result, Tokenizer};

/// A template of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// Its name in `model.chat_template`.
    pub name: &'static str,
    /// Its Jinja source.
    pub source: &'static str,
    /// The control tokens that it writes, without the BOS token.
    markers: &'static [&'static str],
    /// The BOS token that it writes where the checkpoint names none; empty where it writes none.
    bos: &'static str,
}

/// Gemma 3's chat template, for checkpoints that have none.
pub const GEMMA: &str = "{{ bos_token }}{%- set ns = namespace(prefix='') -%}{%- if messages[0]['role'] == 'system' -%}{%- set ns.prefix = messages[0]['content'] + '\n\n' -%}{%- set messages = messages[1:] -%}{%- endif -%}{%- for message in messages -%}{%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}{{ '<start_of_turn>' + role + '\n' + (ns.prefix if loop.first else '') }}{{ message['content'] | trim }}{{ '<end_of_turn>\n' }}{%- endfor -%}{%- if add_generation_prompt -%}{{ '<start_of_turn>model\n' }}{%- endif -%}";

/// ChatML, as transformers wrote it for tokenizers without a template.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/// The chat template of the first Llama 3 Instruct models, without a date.
const LLAMA3: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

/// The template `none`: a reply stands right behind the user's message; between all other messages is one blank line,
/// in place of the white space that ends the message before it.
pub const PLAIN: &str = "{{ bos_token }}{% for message in messages %}{% if loop.last or (message['role'] == 'user' and loop.nextitem['role'] == 'assistant') %}{{ message['content'] }}{% else %}{{ message['content'].rstrip() + '\n\n' }}{% endif %}{% endfor %}";

impl BuiltIn {
    /// All of them.
    pub const ALL: [BuiltIn; 3] = [
        BuiltIn { name: "gemma", source: GEMMA, markers: &["<start_of_turn>", "<end_of_turn>"], bos: "<bos>" },
        BuiltIn { name: "chatml", source: CHATML, markers: &["<|im_start|>", "<|im_end|>"], bos: "" },
        BuiltIn {
            name: "llama3",
            source: LLAMA3,
            markers: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
            bos: "<|begin_of_text|>",
        },
    ];

    /// Gemma's.
    pub const GEMMA: &'static BuiltIn = &Self::ALL[0];

    /// The template of a name.
    pub fn find(name: &str) -> Option<&'static BuiltIn> {
        static ALL: [BuiltIn; 3] = BuiltIn::ALL;
        ALL.iter().find(|b| b.name == name)
    }

    /// The special tokens that it is rendered with: the checkpoint's, and its own BOS token where that names none.
    ///
    /// # Errors
    /// If the tokenizer lacks a token that it writes; the message is the token.
    pub(super) fn special(&self, named: SpecialTokens, tokenizer: &Tokenizer) -> Result<SpecialTokens, String> {
        let special = match self.name {
            "gemma" => named.or(SpecialTokens::gemma(tokenizer)),
            _ => named.or([("bos_token", self.bos)].into_iter().filter(|(_, t)| !t.is_empty()).collect()),
        };
        let bos = (!self.bos.is_empty()).then(|| special.get("bos_token").unwrap_or(self.bos));
        match self.markers.iter().copied().chain(bos).find(|t| tokenizer.id(t).is_none()) {
            Some(token) => Err(token.to_string()),
            None => Ok(special),
        }
    }

    /// [`Self::special`] for a template that the manifest names.
    pub(crate) fn named(&self, named: SpecialTokens, tokenizer: &Tokenizer) -> Result<SpecialTokens> {
        self.special(named, tokenizer).map_err(|token| {
            Error::key(
                "chat_template",
                format!(
                    "the tokenizer has no `{token}`, which the template `{}` writes; name another template, or write one into a file",
                    self.name
                ),
            )
        })
    }
}

/// The special tokens that [`PLAIN`] is rendered with. It writes the BOS token if the checkpoint's tokenizer begins
/// texts with it: as `adds_bos` says (`add_bos_token` of its configuration), or else as the post-processor of its
/// `tokenizer.json` does. A tokenizer that has neither gets the BOS token that the checkpoint names.
pub(crate) fn plain(named: SpecialTokens, adds_bos: Option<bool>, tokenizer: &Tokenizer) -> Result<SpecialTokens> {
    let begins = tokenizer.begins()?;
    let bos = match (adds_bos, begins) {
        (Some(false), _) => None,
        (None, Some(first)) => Some(first),
        (Some(true) | None, _) => named.get("bos_token").map(String::from),
    };
    Ok(bos.iter().map(|token| ("bos_token", token.as_str())).collect())
}
