//! What a template does with conversations: found out by rendering some.
use super::strings::space;
use super::{ChatMessage, ChatTemplate, Role};
use crate::{Error, Result};
use friction_core::thinking::{CLOSE, OPEN};
use std::ops::Range;

/// The argument by which templates are asked to let the model think before it answers, or not to.
const THINKING: &str = "enable_thinking";

/// The text of message `i` of a conversation that is rendered to see what becomes of it.
fn word(i: usize) -> String {
    format!("message number {i:04} of a trial")
}

fn conversation(roles: &[Role]) -> Vec<ChatMessage> {
    roles.iter().enumerate().map(|(i, role)| ChatMessage { role: *role, content: word(i) }).collect()
}

fn named(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}

impl ChatTemplate {
    /// Checks that the template takes a conversation with messages of these roles, and that all of them are in the
    /// prompt. Some templates refuse a system message or two messages of one role in a row, as they do in transformers;
    /// some leave a system message out without a word.
    ///
    /// # Errors
    /// If it does not; the message says which role is at fault.
    pub fn accepts(&self, roles: &[Role]) -> Result<()> {
        const HELP: &str =
            "put its text into the user's first message, or name another template with `model.chat_template`";
        let system = roles.contains(&Role::System);
        let text = match self.render(&conversation(roles)) {
            Ok(text) => text,
            Err(e @ Error::Key { .. }) => return Err(e),
            Err(e) if system => {
                let others: Vec<Role> = roles.iter().copied().filter(|r| *r != Role::System).collect();
                return Err(match self.render(&conversation(&others)) {
                    Ok(_) => Error::Text(format!("the chat template takes no system message: {HELP}; {e}")),
                    Err(_) => e,
                });
            }
            Err(e) => return Err(e),
        };
        match roles.iter().enumerate().find(|(i, _)| !text.contains(&word(*i))) {
            Some((_, Role::System)) => {
                Err(Error::Text(format!("the chat template leaves the system message out of the prompt: {HELP}")))
            }
            Some((i, role)) => {
                let all: Vec<&str> = roles.iter().copied().map(named).collect();
                Err(Error::Text(format!(
                    "the chat template leaves message {} (`{}`) of a conversation of {} out of the prompt",
                    i + 1,
                    named(*role),
                    all.join(", ")
                )))
            }
            None => Ok(()),
        }
    }

    /// Whether the history of a conversation shows the block `<think>…</think>` of an earlier reply. Some templates
    /// remove it.
    pub fn keeps_thoughts(&self) -> bool {
        let mut turns = conversation(&[Role::User, Role::Assistant, Role::User]);
        let thought = word(turns.len());
        turns[1].content = format!("{OPEN}\n{thought}\n{CLOSE}\n\n{}", turns[1].content);
        self.render(&turns).is_ok_and(|text| text.contains(&thought))
    }

    /// Asks a template by which a model thinks unless it is told not to, not to: `enable_thinking = false` changes its
    /// prompt, and nothing is given for it (Qwen 3, SmolLM3).
    pub(crate) fn ask_not_to_think(&mut self) {
        if self.given.args.contains_key(THINKING) || !self.arguments().contains(THINKING) {
            return;
        }
        let turns = conversation(&[Role::User]);
        let Ok(plain) = self.render(&turns) else { return };
        self.given.args.insert(THINKING.into(), false.into());
        match self.render(&turns) {
            Ok(asked) if asked != plain => self.opened = self.find_opened(),
            _ => {
                self.given.args.remove(THINKING);
            }
        }
    }

    /// The tag and white space with which a prompt ends if the template opens a block `<think>` in it.
    pub(super) fn find_opened(&self) -> Option<String> {
        let text = self.render(&conversation(&[Role::User])).ok()?;
        let (_, behind) = text.split_once(&word(0))?;
        let open = behind.rfind(OPEN)?;
        (behind[open + OPEN.len()..].trim().is_empty()).then(|| behind[open..].to_string())
    }

    /// The first control token that the template writes after a reply.
    pub(super) fn end_marker(&self) -> Option<String> {
        const WORDS: [&str; 3] = ["question", "the reply of the model", "another question"];
        let turns = [ChatMessage::user(WORDS[0]), ChatMessage::assistant(WORDS[1]), ChatMessage::user(WORDS[2])];
        let text = self.render(&turns).ok()?;
        let (_, behind) = text.split_once(WORDS[1])?;
        let behind = behind.split_once(WORDS[2]).map_or(behind, |(b, _)| b);
        self.control.first(behind).map(String::from)
    }

    /// Where the user's last message is in a prompt, in bytes of `text`, which is what [`ChatTemplate::render`] gives
    /// for `turns`. White space that the template removes from the message is not part of it. `None` if there is no
    /// message of the user's, or if the template writes it changed, twice or not at all.
    pub fn user_span(&self, turns: &[ChatMessage], text: &str) -> Option<Range<usize>> {
        let last = turns.iter().rposition(|t| t.role == Role::User)?;
        // The message is where another rendering has another text.
        let other = (0..).map(word).find(|w| turns.iter().all(|t| !t.content.contains(w.as_str())))?;
        let mut changed = turns.to_vec();
        changed[last].content.clone_from(&other);
        let rendered = self.render(&changed).ok()?;
        let (before, behind) = rendered.split_once(&other)?;
        let fits = !behind.contains(&other) && before.len() + behind.len() <= text.len();
        if !fits || !text.starts_with(before) || !text.ends_with(behind) {
            return None;
        }
        let span = before.len()..text.len() - behind.len();
        // The message may have been written without the white space around it, and not otherwise.
        let (message, written) = (self.control.mark(&turns[last].content, true), &text[span.clone()]);
        let (start, blank) = (message.find(written)?, |s: &str| s.chars().all(space));
        (blank(&message[..start]) && blank(&message[start + written.len()..])).then_some(span)
    }
}
