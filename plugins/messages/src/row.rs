//! A row of the file, and the item that it makes.
use friction_core::{ChatMessage, Item, Role, ScriptTurn};
use serde_json::{Map, Value};

/// What the options say about rows.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Key of the category; `None`: `category`, if the row has it.
    pub category: Option<String>,
    /// Largest number of the user's messages.
    pub max_turns: Option<usize>,
}

impl Form {
    /// The item of a line, which is row number `at`.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn item(&self, line: &[u8], at: usize) -> Result<Item, String> {
        let row: Value = serde_json::from_slice(line).map_err(|e| format!("not JSON: {e}; a line is one object"))?;
        let Value::Object(mut row) = row else { return Err("not a JSON object".into()) };
        let messages = messages(&mut row)?;
        let category = self.named(&mut row)?;
        let id = match row.remove("id") {
            None | Some(Value::Null) => format!("{}_{at}", category.replace(' ', "-")),
            Some(id) => word(&id).ok_or("`id` must be a text or a whole number")?,
        };
        let (opening, mut script) = script(messages)?;
        script.truncate(self.max_turns.unwrap_or(usize::MAX));
        let text = script.first().map(|t| t.user.clone()).unwrap_or_default();
        Ok(Item { id, category, text, script, opening, metadata: row, ..Item::default() })
    }

    /// The row's category. Its key is taken out of the row.
    fn named(&self, row: &mut Map<String, Value>) -> Result<String, String> {
        let (key, must) = (self.category.as_deref().unwrap_or("category"), self.category.is_some());
        match row.remove(key) {
            None | Some(Value::Null) if must => Err(format!("there is no `{key}`, which names the category")),
            None | Some(Value::Null) => Ok("general".into()),
            Some(value) => {
                word(&value).ok_or_else(|| format!("`{key}` names the category: it must be a text or a whole number"))
            }
        }
    }
}

/// A text that is not empty, or a whole number.
fn word(v: &Value) -> Option<String> {
    match v {
        Value::String(s) if !s.trim().is_empty() => Some(s.trim().into()),
        Value::Number(n) if n.is_i64() || n.is_u64() => Some(n.to_string()),
        _ => None,
    }
}

/// The messages of a row, in either form.
fn messages(row: &mut Map<String, Value>) -> Result<Vec<ChatMessage>, String> {
    let (list, role, content) = match (row.remove("messages"), row.remove("conversations")) {
        (Some(_), Some(_)) => return Err("has `messages` and `conversations`; leave one out".into()),
        (Some(list), None) => (list, "role", "content"),
        (None, Some(list)) => (list, "from", "value"),
        (None, None) => return Err("has neither `messages` nor `conversations`".into()),
    };
    let Value::Array(list) = list else { return Err("its messages must be a list".into()) };
    let message = |(i, m): (usize, Value)| {
        let wrong = |what: String| format!("message {}: {what}", i + 1);
        let said = m.get(content).ok_or_else(|| wrong(format!("there is no `{content}`")))?;
        let author = m.get(role).and_then(Value::as_str).ok_or_else(|| wrong(format!("there is no `{role}`")))?;
        let role = author_of(author)
            .ok_or_else(|| wrong(format!("the role {author:?} is none of system, user and assistant")))?;
        let content = text(said).map_err(wrong)?;
        if content.trim().is_empty() { Err(wrong("it is empty".into())) } else { Ok(ChatMessage { role, content }) }
    };
    list.into_iter().enumerate().map(message).collect()
}

/// The role that a row calls `name`.
fn author_of(name: &str) -> Option<Role> {
    Some(match name {
        "system" | "developer" => Role::System,
        "user" | "human" => Role::User,
        "assistant" | "gpt" => Role::Assistant,
        _ => return None,
    })
}

/// A content as one text. Parts of type `text` are joined.
fn text(content: &Value) -> Result<String, String> {
    let parts = match content {
        Value::String(text) => return Ok(text.clone()),
        Value::Array(parts) => parts,
        Value::Null => return Err("its content is null".into()),
        _ => return Err("its content is neither a text nor a list of parts".into()),
    };
    let part = |p: &Value| match (p.get("type").and_then(Value::as_str), p.get("text").and_then(Value::as_str)) {
        (Some("text"), Some(text)) => Ok(text.to_string()),
        (Some("text"), None) => Err("a part of type `text` holds no text".into()),
        (Some(other), _) => Err(format!("a part is of type {other:?}; only `text` can be asked")),
        (None, _) => Err("a part has no `type`".into()),
    };
    parts.iter().map(part).collect()
}

/// The system prompt, and the user's messages with the replies that follow them.
fn script(messages: Vec<ChatMessage>) -> Result<(Vec<ChatMessage>, Vec<ScriptTurn>), String> {
    let (mut opening, mut script) = (vec![], Vec::<ScriptTurn>::new());
    for (i, m) in messages.into_iter().enumerate() {
        let wrong = |what: &str| Err(format!("message {}: {what}", i + 1));
        match m.role {
            Role::System if i == 0 => opening.push(m),
            Role::System => return wrong("a system prompt must be the first message"),
            Role::User => script.push(ScriptTurn { user: m.content, reply: None }),
            Role::Assistant => match script.last_mut() {
                None => return wrong("a reply stands before the first message of the user"),
                Some(turn) if turn.reply.is_some() => return wrong("a second reply to the same message"),
                Some(turn) => turn.reply = Some(m.content),
            },
        }
    }
    if script.is_empty() { Err("the user says nothing".into()) } else { Ok((opening, script)) }
}
