//! The tokens behind the user's last message, which hold none of the question.
use crate::talks::Said;
use friction_checkpoint::{ChatTemplate, Checkpoint, Tokenizer};
use friction_core::{BuildContext, ChatMessage, Error, Result};
use std::collections::BTreeSet;

/// Longest end of a message, in bytes, by which two messages are told apart here: what a tokenizer joins with the text
/// behind it is shorter.
const END: usize = 64;

/// What writes prompts: the model's tokenizer and chat template.
///
/// # Errors
/// If they cannot be read.
pub fn writer(cx: &BuildContext) -> Result<(Tokenizer, ChatTemplate)> {
    let checkpoint = Checkpoint::of(cx).map_err(Error::other)?;
    let tokenizer = checkpoint.tokenizer().map_err(Error::other)?;
    let template = checkpoint.template(&tokenizer).map_err(Error::other)?;
    Ok((tokenizer, template))
}

/// Number of tokens at the end of the prompt that stand behind the user's last message in all of these turns: those of the
/// chat template, and a prefill. A token that also holds a part of the message is none of them. At least 1, the last
/// token; 1 where the template changes the message.
///
/// # Errors
/// If the model's tokenizer or chat template cannot be read.
pub fn behind<'a>(cx: &BuildContext, turns: impl Iterator<Item = &'a Said>) -> Result<usize> {
    let (tokenizer, template) = writer(cx)?;
    let end = |text: &'a str| {
        let from = (text.len().saturating_sub(END)..=text.len()).find(|i| text.is_char_boundary(*i));
        &text[from.unwrap_or(text.len())..]
    };
    let ends: BTreeSet<(&str, &str)> = turns.map(|said| (end(&said.user), said.prefill.as_str())).collect();
    let tokens = |(user, prefill): &(&str, &str)| {
        let message = [ChatMessage::user(*user)];
        let mut text = template.render(&message).map_err(Error::other)?;
        let Some(span) = template.user_span(&message, &text) else { return Ok(0) };
        text.push_str(&template.of_reply(prefill));
        let (ids, of) = tokenizer.encode_within(&text, &span).map_err(Error::other)?;
        Ok(ids.len() - of.end)
    };
    let least = ends.iter().map(tokens).collect::<Result<Vec<usize>>>()?.into_iter().min();
    Ok(least.unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_checkpoint::testing;
    use friction_core::serde_json::json;

    #[test]
    fn the_template_and_a_prefill_stand_behind_the_message() {
        let dir = tempfile::tempdir().unwrap();
        testing::checkpoint(&dir.path().join("model"), 5).unwrap();
        let cx = |template: Option<&str>| -> BuildContext {
            let mut model = json!({"source": "path:model"});
            if let Some(t) = template {
                model["chat_template"] = json!(t);
            }
            serde_json::from_value(json!({"base": dir.path(), "seed": 5, "model": model, "backend": {}})).unwrap()
        };
        let said = |user: &str, prefill: &str| Said { user: user.into(), prefill: prefill.into(), ..Said::default() };
        let checkpoint = Checkpoint::of(&cx(None)).unwrap();
        let tokenizer = checkpoint.tokenizer().unwrap();
        let count = |text: &str| tokenizer.encode(text).unwrap().len();
        // What Gemma's template writes behind a message.
        let tail = count("<end_of_turn>\n<start_of_turn>model\n");
        let of = |template: Option<&str>, all: &[Said]| behind(&cx(template), all.iter()).unwrap();
        assert!(tail > 3);
        assert_eq!(of(None, &[said("why?", ""), said("a much longer message, which ends in a word", "")]), tail);
        assert_eq!(of(None, &[said("why?", "(")]), tail + count("("));
        assert_eq!(of(None, &[said("why?", "("), said("why?", "")]), tail, "the least of all turns");
        // Without a template the last token is one of the message.
        assert_eq!(of(Some("none"), &[said("why?", "")]), 1);
        assert_eq!(behind(&cx(None), [].iter()).unwrap(), 1);
    }
}
