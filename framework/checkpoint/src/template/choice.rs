//! The template that a manifest chooses: the checkpoint's own, one of the program's, a file, or none.
use super::builtin::{BuiltIn, PLAIN};
use super::clock;
use crate::files::expand;
use crate::{Error, Result};
use chrono::NaiveDateTime;
use friction_core::manifest::{ModelSection, suggestion};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The word of `model.chat_template` for [`PLAIN`].
const NONE: &str = "none";

/// What a template is given besides messages and special tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Given {
    /// Its arguments by name, as `apply_chat_template` of transformers takes them.
    pub args: BTreeMap<String, Value>,
    /// The time that it takes for now. Without one, a template that asks for it is refused.
    pub now: Option<NaiveDateTime>,
}

/// Where the text of a template comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Named {
    /// The checkpoint's own, or Gemma's where it has none.
    #[default]
    Own,
    /// Messages joined without markers.
    Plain,
    /// A template of the program.
    BuiltIn(&'static BuiltIn),
    /// The text of a file.
    File(String),
}

/// A template as the manifest's `[model]` section chooses it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Choice {
    pub named: Named,
    pub given: Given,
}

/// Whether a value of `model.chat_template` is the path of a file.
pub fn is_file(name: &str) -> bool {
    name != NONE && BuiltIn::find(name).is_none()
}

impl Choice {
    /// Reads what the section chooses. Files are relative to `base`.
    ///
    /// # Errors
    /// If the file cannot be read, or the date is none.
    pub fn of(model: &ModelSection, base: &Path) -> Result<Self> {
        let named = match model.chat_template.as_deref() {
            None => Named::Own,
            Some(NONE) => Named::Plain,
            Some(name) => match BuiltIn::find(name) {
                Some(built_in) => Named::BuiltIn(built_in),
                None => Named::File(read(name, base)?),
            },
        };
        let now = model.template_date.as_deref().map(clock::date).transpose()?;
        Ok(Self { named, given: Given { args: model.template_args.clone(), now } })
    }

    /// The Jinja source, where the checkpoint's own template is `own`.
    pub fn source<'a>(&'a self, own: Option<&'a str>) -> &'a str {
        match &self.named {
            Named::Own => own.unwrap_or(BuiltIn::GEMMA.source),
            Named::Plain => PLAIN,
            Named::BuiltIn(built_in) => built_in.source,
            Named::File(text) => text,
        }
    }
}

fn read(name: &str, base: &Path) -> Result<String> {
    let path = base.join(expand(name));
    std::fs::read_to_string(&path).map_err(|e| {
        let known: Vec<&str> = std::iter::once(NONE).chain(BuiltIn::ALL.iter().map(|b| b.name)).collect();
        // A single word is rather the name of a template than that of a file.
        let help = match (name.contains(['/', '.']), suggestion(name, known.iter().copied())) {
            (false, Some(help)) => format!("; of the program's templates, {help}"),
            _ => String::new(),
        };
        Error::key("chat_template", format!("{}: {e}{help}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(text: &str, base: &Path) -> Result<Choice> {
        Choice::of(&toml_of(text), base)
    }
    fn toml_of(text: &str) -> ModelSection {
        serde_json::from_str(&format!("{{\"source\": \"path:x\"{text}}}")).unwrap()
    }

    #[test]
    fn a_name_is_a_template_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("gemma"), "a file").unwrap();
        let source = |text: &str| of(text, dir.path()).map(|c| c.source(Some("own")).to_string());
        assert_eq!(source("").unwrap(), "own");
        assert_eq!(of("", dir.path()).unwrap().source(None), BuiltIn::GEMMA.source);
        assert_eq!(source(", \"chat_template\": \"none\"").unwrap(), PLAIN);
        assert_eq!(source(", \"chat_template\": \"gemma\"").unwrap(), BuiltIn::GEMMA.source);
        assert_eq!(source(", \"chat_template\": \"./gemma\"").unwrap(), "a file");
        assert!(is_file("./gemma") && !is_file("gemma") && !is_file("none") && is_file("chat-ml"));
        let told = source(", \"chat_template\": \"lama3\"").unwrap_err().to_string();
        assert!(told.starts_with("`model.chat_template`:") && told.contains("did you mean `llama3`?"), "{told}");
        let told = source(", \"chat_template\": \"mine.jinja\"").unwrap_err().to_string();
        assert!(told.contains("mine.jinja") && !told.contains("did you mean"), "{told}");
    }

    #[test]
    fn arguments_and_date_are_given() {
        let choice =
            of(", \"template_args\": {\"a\": false}, \"template_date\": \"2026-07-26\"", Path::new("")).unwrap();
        assert_eq!(choice.given.args["a"], Value::Bool(false));
        assert_eq!(choice.given.now.unwrap().to_string(), "2026-07-26 00:00:00");
        assert!(of(", \"template_date\": \"26 Jul\"", Path::new("")).is_err());
    }
}
