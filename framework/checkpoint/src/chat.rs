//! The chat template of a checkpoint, as the manifest chooses it.
use crate::template::{ChatTemplate, Named, SpecialTokens, builtin};
use crate::{ChatMessage, Checkpoint, Error, Result, Tokenizer};
use friction_core::ModelPart;

impl Checkpoint {
    /// The Jinja source of the chat template that renders prompts.
    pub fn template_source(&self) -> &str {
        self.choice.source(self.template.as_deref())
    }

    /// The chat template: the one that the manifest chooses, else the checkpoint's own, else Gemma's. One by which the
    /// model thinks unless it is told not to is asked not to, where the manifest does not say.
    ///
    /// # Errors
    /// When it does not compile, the tokenizer lacks its tokens, it writes tokens that the model lacks, or it differs from a
    /// stored run's lock.
    pub fn template(&self, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        self.agrees(ModelPart::ChatTemplate)?;
        let template = self.compiled(tokenizer)?;
        // What a template refuses is told where a study needs it.
        let turns = [ChatMessage::user("a"), ChatMessage::assistant("a"), ChatMessage::user("a")];
        let trial = template.render(&turns).and_then(|text| tokenizer.encode(&text)).unwrap_or_default();
        let vocab = self.arch.vocab;
        match trial.into_iter().chain(template.end_of_turn()).find(|id| *id as usize >= vocab) {
            Some(id) => Err(Error::Source(format!(
                "{}: the chat template writes `{}`, whose id is {id}, but the model has {vocab} token ids, from 0: tokenizer and model do not belong together",
                self.source,
                tokenizer.token(id).unwrap_or_default()
            ))),
            None => Ok(template),
        }
    }

    fn compiled(&self, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
        let named = self.special.clone();
        let special = match &self.choice.named {
            Named::Plain => {
                builtin::plain(named.unwrap_or_else(|| SpecialTokens::gemma(tokenizer)), self.adds_bos, tokenizer)?
            }
            Named::BuiltIn(built_in) => built_in.named(named.unwrap_or_default(), tokenizer)?,
            Named::Own if self.template.is_none() => {
                return ChatTemplate::without(named.unwrap_or_default(), tokenizer, self.choice.given.clone()).map_err(
                    |e| match e {
                        Error::Text(what) => Error::Source(format!("{}: {what}", self.source)),
                        other => other,
                    },
                );
            }
            Named::Own | Named::File(_) => named.unwrap_or_else(|| SpecialTokens::gemma(tokenizer)),
        };
        let made = ChatTemplate::with(self.template_source(), special, tokenizer, self.choice.given.clone());
        let mut template = made.map_err(|e| match (&self.choice.named, e) {
            (Named::File(_), Error::Text(what)) => Error::key("chat_template", what),
            (_, other) => other,
        })?;
        template.ask_not_to_think();
        Ok(template)
    }

    /// Whether prompts begin with the BOS token: that of the configuration, or the template's `bos_token`. Its activations are
    /// far larger than others. Prompts of some families begin without it.
    ///
    /// # Errors
    /// As [`Checkpoint::template`], and when the template refuses a single message.
    pub fn begins_with_bos(&self) -> Result<bool> {
        let tokenizer = self.tokenizer()?;
        let template = self.template(&tokenizer)?;
        let ids = tokenizer.encode(&template.render(&[ChatMessage::user("a")])?)?;
        let named = template.special.get("bos_token").and_then(|token| tokenizer.id(token));
        Ok(ids.first().is_some_and(|first| self.arch.bos == Some(*first) || named == Some(*first)))
    }
}
