//! Finds the chat template and the special tokens among a checkpoint's files.
use super::SpecialTokens;
use crate::files::read_json;
use crate::{Error, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the files say about templates; `None` for what they do not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The chat template's source.
    pub template: Option<String>,
    /// The special tokens.
    pub special: Option<SpecialTokens>,
    /// Whether texts begin with the BOS token (`add_bos_token`).
    pub adds_bos: Option<bool>,
}

/// The chat template and the special tokens of a checkpoint. As in transformers `chat_template.jinja` takes precedence
/// over `tokenizer_config.json`, and that over `chat_template.json`. `file` returns the path of a file by its name.
///
/// # Errors
/// When a file cannot be read or is malformed, or has named templates and none is called `default`.
pub(crate) fn of_files(file: &mut impl FnMut(&str) -> Result<Option<PathBuf>>) -> Result<Found> {
    let jinja = file("chat_template.jinja")?;
    let mut template = jinja.map(|p| std::fs::read_to_string(&p).map_err(|e| Error::io(&p, e))).transpose()?;
    let (mut special, mut adds_bos) = (None, None);
    let config = file("tokenizer_config.json")?;
    let map = file("special_tokens_map.json")?;
    if let Some(path) = config.as_ref().or(map.as_ref()) {
        let read = config.as_ref().map(|p| read_json(p)).transpose()?.unwrap_or(Value::Object(Default::default()));
        let map = map.as_ref().map(|p| read_json(p)).transpose()?;
        special = Some(SpecialTokens::from_json(&read, map.as_ref()).map_err(|e| Error::format(path, e))?);
        adds_bos = read.get("add_bos_token").and_then(Value::as_bool);
        if template.is_none() {
            template = of_json(&read).map_err(|e| Error::format(path, e))?;
        }
    }
    if template.is_none()
        && let Some(path) = file("chat_template.json")?
    {
        template = of_json(&read_json(&path)?).map_err(|e| Error::format(path, e))?;
    }
    Ok(Found { template, special, adds_bos })
}

/// The value of `chat_template`: a string, or the one called `default` of several named templates.
fn of_json(config: &Value) -> std::result::Result<Option<String>, String> {
    let text = |v: &Value| v.as_str().map(String::from).ok_or_else(|| format!("`chat_template` holds {v}, not text"));
    let named: BTreeMap<String, &Value> = match config.get("chat_template") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(all)) => {
            let pair = |t| Some((Value::as_str(Value::get(t, "name")?)?.to_string(), Value::get(t, "template")?));
            let pairs: Option<_> = all.iter().map(pair).collect();
            pairs.ok_or("`chat_template` is a list; each entry needs a `name` and a `template`")?
        }
        Some(Value::Object(all)) => all.iter().map(|(name, t)| (name.clone(), t)).collect(),
        Some(one) => return text(one).map(Some),
    };
    let names: Vec<&str> = named.keys().map(String::as_str).collect();
    let default = named.get("default").ok_or_else(|| {
        format!(
            "`chat_template` holds the templates {}, and none is called `default`; put the one that is meant into a chat_template.jinja beside it",
            names.join(", ")
        )
    })?;
    text(default).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_template_or_the_default_of_several() {
        let of = |v: Value| of_json(&json!({"chat_template": v}));
        assert_eq!(of_json(&json!({})), Ok(None));
        assert_eq!(of(Value::Null), Ok(None));
        assert_eq!(of(json!("a")).unwrap().unwrap(), "a");
        let list = json!([{"name": "rag", "template": "r"}, {"name": "default", "template": "d"}]);
        assert_eq!(of(list).unwrap().unwrap(), "d");
        assert_eq!(of(json!({"default": "d"})).unwrap().unwrap(), "d");
        let e = of(json!([{"name": "tool_use", "template": "t"}, {"name": "rag", "template": "r"}])).unwrap_err();
        assert!(e.contains("the templates rag, tool_use, and none is called `default`"), "{e}");
        assert!(of(json!([{"name": "default"}])).unwrap_err().contains("needs a `name` and a `template`"));
        assert!(of(json!(3)).unwrap_err().contains("holds 3, not text"));
    }

    #[test]
    fn the_jinja_file_counts_first() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let read = || of_files(&mut |name| Ok(Some(dir.path().join(name)).filter(|p| p.exists()))).unwrap();
        let found = |template: Option<&str>, special, adds_bos| Found {
            template: template.map(String::from),
            special,
            adds_bos,
        };
        assert_eq!(read(), Found::default());
        write("chat_template.json", r#"{"chat_template": "third"}"#);
        assert_eq!(read(), found(Some("third"), None, None));
        write(
            "tokenizer_config.json",
            r#"{"bos_token": "<s>", "add_bos_token": false, "tokenizer_class": "LlamaTokenizer", "chat_template": "second"}"#,
        );
        let special = Some([("bos_token", "<s>")].into_iter().collect());
        assert_eq!(read(), found(Some("second"), special.clone(), Some(false)));
        write("chat_template.jinja", "first\r\n");
        assert_eq!(read(), found(Some("first\r\n"), special, Some(false)));
    }
}
