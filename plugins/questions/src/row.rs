//! What a row holds, and the item that it makes.
use friction_core::serde_json::{Map, Value};
use friction_core::{ChatMessage, Item, ScriptTurn, Target};
use serde::{Deserialize, Deserializer};

/// The keys of a row.
pub(crate) const KEYS: [&str; 14] = [
    "id",
    "category",
    "question",
    "text",
    "options",
    "choices",
    "answer",
    "answer_index",
    "target",
    "fixed_choices",
    "script",
    "opening",
    "system",
    "metadata",
];

/// A row as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Row {
    #[serde(deserialize_with = "label")]
    pub id: Option<String>,
    pub category: Option<String>,
    #[serde(alias = "text")]
    pub question: Option<String>,
    #[serde(alias = "choices")]
    pub options: Option<Vec<String>>,
    pub answer: Option<String>,
    pub answer_index: Option<i64>,
    /// `Some(None)`: given as null.
    #[serde(deserialize_with = "given")]
    pub target: Option<Option<Accepted>>,
    pub fixed_choices: Option<bool>,
    pub script: Option<Vec<Said>>,
    pub opening: Option<Vec<ChatMessage>>,
    pub system: Option<String>,
    pub metadata: Option<Map<String, Value>>,
}

/// The texts that count as right; numbers are taken as they are written.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, a number, or a list of them")]
pub(crate) enum Accepted {
    One(Scalar),
    Several(Vec<Scalar>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Text(String),
    Number(friction_core::serde_json::Number),
}

/// A message of a script.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, or an object with `user` and `reply`")]
pub(crate) enum Said {
    Text(String),
    Turn(Turn),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    user: String,
    #[serde(default)]
    reply: Option<String>,
}

fn given<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Option<Accepted>>, D::Error> {
    Option::deserialize(d).map(Some)
}

fn label<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a whole number")]
    enum Label {
        Text(String),
        Whole(i64),
    }
    Ok(Option::<Label>::deserialize(d)?.map(|l| match l {
        Label::Text(text) => text,
        Label::Whole(n) => n.to_string(),
    }))
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text.trim().into(),
            Self::Number(n) => n.to_string(),
        }
    }
}

impl Accepted {
    /// The texts, without white space around them.
    pub fn texts(self) -> Vec<String> {
        match self {
            Self::One(one) => vec![one.text()],
            Self::Several(all) => all.into_iter().map(Scalar::text).collect(),
        }
    }
    /// Texts that were read as such.
    pub fn of(texts: &[&str]) -> Self {
        Self::Several(texts.iter().map(|t| Scalar::Text(t.to_string())).collect())
    }
}

impl Row {
    /// The item of the row with number `at`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn item(self, at: usize) -> Result<Item, String> {
        let named = |name: &Option<String>| name.as_deref().map(str::trim).filter(|n| !n.is_empty()).map(String::from);
        let category = named(&self.category).unwrap_or_else(|| "general".into());
        let id = named(&self.id).unwrap_or_else(|| format!("{}_{at}", category.replace(' ', "-")));
        let choices: Vec<String> = self.options.iter().flatten().map(|o| o.trim().to_string()).collect();
        options(&choices)?;
        let script = script(self.script)?;
        let text = match (self.question.as_deref().map(str::trim), script.first()) {
            (Some(""), _) => return Err("`question` is empty".into()),
            (Some(text), _) => text.to_string(),
            (None, Some(first)) => first.user.clone(),
            (None, None) => return Err("there is no `question`".into()),
        };
        let target = match choices.len() {
            0 => open(self.answer, self.answer_index, self.target)?,
            _ => right(self.answer.as_deref(), self.answer_index, self.target, choices.len())?.map(Target::Choice),
        };
        let opening = opening(self.system, self.opening)?;
        let metadata = self.metadata.unwrap_or_default();
        let fixed_choices = self.fixed_choices.unwrap_or(false);
        if fixed_choices && choices.is_empty() {
            return Err("`fixed_choices` says that the options keep their order, and there are no `options`".into());
        }
        let item = Item { id, category, text, choices, target, fixed_choices, script, opening, metadata };
        item.fault().map_or(Ok(item), Err)
    }
}

fn script(script: Option<Vec<Said>>) -> Result<Vec<ScriptTurn>, String> {
    let Some(script) = script else { return Ok(vec![]) };
    if script.is_empty() {
        return Err("`script` is empty; leave it out".into());
    }
    let turn = |(i, said): (usize, Said)| {
        let turn = match said {
            Said::Text(user) => ScriptTurn { user: user.trim().into(), reply: None },
            Said::Turn(turn) => ScriptTurn { user: turn.user.trim().into(), reply: turn.reply },
        };
        let blank = |t: &str| t.trim().is_empty();
        match blank(&turn.user) || turn.reply.as_deref().is_some_and(blank) {
            true => Err(format!("message {} of `script` is empty", i + 1)),
            false => Ok(turn),
        }
    };
    script.into_iter().enumerate().map(turn).collect()
}

fn opening(system: Option<String>, opening: Option<Vec<ChatMessage>>) -> Result<Vec<ChatMessage>, String> {
    let out = match (system, opening) {
        (Some(_), Some(_)) => {
            return Err("`system` and `opening` are both given; an opening may begin with the role `system`".into());
        }
        (Some(text), None) => vec![ChatMessage::system(text)],
        (None, opening) => opening.unwrap_or_default(),
    };
    match out.iter().position(|m| m.content.trim().is_empty()) {
        Some(i) => Err(format!("message {} of the opening is empty", i + 1)),
        None => Ok(out),
    }
}

/// Checks that options can be told apart.
fn options(options: &[String]) -> Result<(), String> {
    let n = options.len();
    if n != 0 && !(2..=26).contains(&n) {
        let (option, are) = if n == 1 { ("option", "is") } else { ("options", "are") };
        return Err(format!("there {are} {n} {option}; there must be 2 to 26, or none"));
    }
    for (i, option) in options.iter().enumerate() {
        let letter = Item::letter(i);
        if option.is_empty() {
            return Err(format!("option {letter} is empty; leave it out or write it"));
        }
        if let Some(j) = options[..i].iter().position(|o| o == option) {
            let first = Item::letter(j);
            return Err(format!("options {first} and {letter} read the same ({option:?}): an answer could be either"));
        }
    }
    Ok(())
}

/// The target of an item without options.
fn open(
    answer: Option<String>,
    index: Option<i64>,
    target: Option<Option<Accepted>>,
) -> Result<Option<Target>, String> {
    if let Some(key) = answer.map(|_| "answer").or(index.map(|_| "answer_index")) {
        return Err(format!(
            "`{key}` names an option, and there are no `options`; texts that count as right are `target`"
        ));
    }
    let Some(texts) = target.flatten().map(Accepted::texts) else { return Ok(None) };
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err("`target` holds an empty text; leave it out if nothing is right".into());
    }
    Ok(Some(Target::Text(texts)))
}

/// The index of the right one among `n` options; `None` if the row says that none is.
fn right(
    answer: Option<&str>,
    index: Option<i64>,
    target: Option<Option<Accepted>>,
    n: usize,
) -> Result<Option<usize>, String> {
    let last = Item::letter(n - 1);
    let none_right = match target {
        Some(Some(_)) => {
            return Err(format!("`target` belongs to rows without `options`; `answer` is a letter from A to {last}"));
        }
        Some(None) => true,
        None => false,
    };
    let letter = match answer.map(str::trim) {
        None => None,
        Some(a) => match a.as_bytes() {
            [c @ b'A'..=b'Z'] if ((c - b'A') as usize) < n => Some((c - b'A') as usize),
            _ => return Err(format!("`answer` is {a:?}; it must be a letter from A to {last}")),
        },
    };
    let index = match index {
        None => None,
        Some(i) => match usize::try_from(i).ok().filter(|i| *i < n) {
            Some(i) => Some(i),
            None => return Err(format!("`answer_index` is {i}; it must be from 0, the first option, to {}", n - 1)),
        },
    };
    match (letter, index) {
        (Some(a), Some(i)) if a != i => {
            let (a, given) = (Item::letter(a), Item::letter(i));
            Err(format!("`answer` is {a}, but `answer_index` {i} is {given}: mend one or leave it out"))
        }
        (None, None) if none_right => Ok(None),
        (None, None) => Err(format!(
            "there is no `answer`, a letter from A to {last}, nor `answer_index`; `\"target\": null` says that none is right"
        )),
        (a, i) => Ok(a.or(i)),
    }
}
