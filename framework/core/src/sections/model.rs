//! `[model]`: the checkpoint and its chat template.
use crate::issues::{Issues, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The type that matrix products run in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModelDtype {
    /// 32-bit floating point.
    #[default]
    F32,
    /// bfloat16: the range of `f32`, 8 bits of precision.
    Bf16,
    /// IEEE half precision: 11 bits of precision, numbers up to 65504.
    F16,
}

/// How weights are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantize {
    /// Weights as they are, in `dtype`.
    #[default]
    None,
    /// 8 bits a weight; 32 weights share a scale, as in GGUF's Q8_0.
    Q8,
    /// 4 bits a weight; 32 weights share a scale, as in GGUF's Q4_0.
    Q4,
}

/// The model: where its weights come from, and the precision that it runs in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"source": "hf:google/gemma-3-4b-it", "dtype": "bf16"}))]
pub struct ModelSection {
    /// Where the checkpoint is: `hf:owner/name` on the hub, `path:folder`, `gguf:file`, `bundled:organism` or
    /// `bundled:organism-null` in the program, or `random:gemma-3-270m` for seeded random weights of that
    /// shape (the page on models lists the shapes). Folders and files are relative to the manifest; `~/` is the home folder.
    pub source: String,
    /// Branch, tag or commit of an `hf:` source. Default: `main`. The commit that was found is recorded with the run. Set
    /// it to a commit to make sure that another machine runs the same weights.
    #[serde(default)]
    pub revision: Option<String>,
    /// Type that matrix products run in. The residual stream is `f32` in any case. `bf16` or `f16` halve the memory of the
    /// weights; take `f32` to compare numbers with other tools.
    #[serde(default)]
    pub dtype: ModelDtype,
    /// How the weights are held in memory. `q8` and `q4` save memory and round the weights, so the model is not quite the
    /// published one.
    #[serde(default)]
    pub quantize: Quantize,
    /// A `tokenizer.json` to use instead of the checkpoint's own, relative to the manifest. Default: the checkpoint's. Set
    /// it for a checkpoint that comes without one.
    #[serde(default)]
    pub tokenizer: Option<String>,
    /// The chat template, which writes messages into a prompt. Default: the checkpoint's own, or Gemma's where it has
    /// none. Set it for a base model, or to write prompts otherwise:
    /// - `"none"`: no markers, for base models. A reply stands right behind the user's message. Between all other messages
    ///   is one blank line (two newlines), in place of the white space that ends the message before it. Nothing else is
    ///   changed, and nothing else is written but the BOS token, where the checkpoint's tokenizer begins texts with it;
    /// - `"gemma"`, `"chatml"` or `"llama3"`: the template of that name in the program, if the tokenizer has its markers;
    /// - the path of a file with a Jinja template, relative to the manifest; `./gemma` is a file. It is rendered as
    ///   transformers' `apply_chat_template` renders it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Arguments of the chat template by name, such as `{ enable_thinking = false }`, as `apply_chat_template` of
    /// transformers takes them. One that the template does not read is refused. Templates by which the model thinks unless
    /// it is told not to (Qwen 3, SmolLM3) are given `enable_thinking = false` unless this says otherwise.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"not": {"enum": ["messages", "add_generation_prompt", "tools", "documents"]}}))]
    pub template_args: BTreeMap<String, Value>,
    /// The day, `2026-07-26`, or the time, `2026-07-26T09:30:00`, that a chat template writes as now (`strftime_now`).
    /// Needed where the template asks for it, so that a run has the same prompts on every day; otherwise it does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_date: Option<String>,
}

/// What the program itself passes to a chat template.
const PASSED: [&str; 2] = ["messages", "add_generation_prompt"];
/// What `apply_chat_template` passes to a chat template, and the program does not.
const NOT_PASSED: [&str; 2] = ["tools", "documents"];

/// Whether a value holds a date of TOML.
fn dated(value: &Value) -> bool {
    match value {
        Value::Array(all) => all.iter().any(dated),
        Value::Object(all) => all.contains_key("$__toml_private_datetime") || all.values().any(dated),
        _ => false,
    }
}

impl ModelSection {
    /// The name of a model that is not here: the source of an imported run is `none:<name>`, with which nothing can be
    /// run. `None` for sources of which a checkpoint can be loaded.
    pub fn absent(&self) -> Option<&str> {
        self.source.strip_prefix("none:")
    }

    pub(crate) fn check(&self, path: &Path, issues: &mut Issues) {
        if self.chat_template.as_ref().is_some_and(|t| t.trim().is_empty()) {
            let help = "name a template or a file; \"none\" joins messages without markers";
            issues.push(path.key("chat_template"), "`chat_template` is empty", Some(help.into()));
        }
        for (name, value) in &self.template_args {
            let at = path.key("template_args").key(name);
            if PASSED.contains(&name.as_str()) {
                issues.push(at, format!("`{name}` is what the program itself gives to every template"), None);
            } else if NOT_PASSED.contains(&name.as_str()) {
                issues.push(at, format!("no template is given `{name}`: nothing would answer the model's calls"), None);
            } else if dated(value) {
                let help = "write a text in quotes, in the form that the template writes";
                issues.push(at, "templates take no dates", Some(help.into()));
            }
        }
    }

    /// What is declared here and does nothing.
    pub(crate) fn idle(&self, path: &Path, warnings: &mut Issues) {
        if let Some(r) = self.revision.as_ref().filter(|_| !self.source.starts_with("hf:")) {
            let what = format!("`revision = {r:?}` does nothing: `{}` is no repository of the hub", self.source);
            warnings.push(path.key("revision"), what, Some("it belongs to a source `hf:owner/name`".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let model: ModelSection = toml::from_str(&format!("source = \"path:x\"\n{text}")).unwrap();
        let mut issues = Issues::default();
        model.check(&Path::default(), &mut issues);
        issues.0.iter().map(|i| format!("{}: {}", i.path, i.message)).collect()
    }

    #[test]
    fn arguments_that_no_template_is_given_are_refused() {
        let fine = "chat_template = \"none\"\ntemplate_args = { a = false, b = \"x\", c = [1, 2.5], d = { e = 1 } }";
        assert!(faults(fine).is_empty());
        assert_eq!(faults("chat_template = \"\""), ["chat_template: `chat_template` is empty"]);
        let told =
            faults("template_args = { messages = [], tools = [], when = 2026-07-26, all = [{ at = 10:00:00 }] }");
        assert_eq!(told.len(), 4, "{told:?}");
        assert!(told[0].starts_with("template_args.all: templates take no dates"), "{told:?}");
        assert!(told[1].starts_with("template_args.messages: `messages` is what the program itself gives"), "{told:?}");
        assert!(told[2].starts_with("template_args.tools: no template is given `tools`"), "{told:?}");
        assert!(told[3].starts_with("template_args.when: templates take no dates"), "{told:?}");
    }

    #[test]
    fn a_section_without_a_template_is_written_as_before() {
        let model: ModelSection = toml::from_str("source = \"path:x\"").unwrap();
        let written = serde_json::to_string(&model).unwrap();
        let before = r#"{"source":"path:x","revision":null,"dtype":"f32","quantize":"none","tokenizer":null}"#;
        assert_eq!(written, before);
    }
}
