//! What a dataset offers: items, with choices and a target or without, asked in one turn or over several.
use crate::{ChatMessage, Role};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A subject that items are drawn from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its name, as the dataset spells it. A condition's template inserts it as `{topic}`.
    pub name: String,
    /// Number of items in it.
    #[serde(alias = "questions")]
    pub items: usize,
}

/// What a right answer to an item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Target {
    /// Index of the right choice, from 0.
    Choice(usize),
    /// The texts that count as right. What "equal" means is up to the grader.
    Text(Vec<String>),
}

impl<'de> Deserialize<'de> for Target {
    /// Reads a whole number as [`Target::Choice`], a text or a list of texts as [`Target::Text`].
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a target is the index of a choice, a text, or a list of texts")]
        enum Read {
            Choice(usize),
            One(String),
            Several(Vec<String>),
        }
        Ok(match Read::deserialize(d)? {
            Read::Choice(i) => Self::Choice(i),
            Read::One(text) => Self::Text(vec![text]),
            Read::Several(texts) => Self::Text(texts),
        })
    }
}

/// One user message of an item's script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptTurn {
    /// What the user says.
    pub user: String,
    /// The reply that a transcript holds, for conditions that replay it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// One thing that a dataset offers. A multiple-choice question is an item with choices; an item with a script is asked
/// over several turns, one message a turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Item {
    /// Id, unique in its dataset: `<category>_<row>`.
    pub id: String,
    /// Name of its category.
    pub category: String,
    /// The question or task, without white space around it.
    pub text: String,
    /// The choices' texts, without white space around them and without padding entries such as `N/A`; empty if the item
    /// has none.
    #[serde(default, alias = "options")]
    pub choices: Vec<String>,
    /// What is right; `None` if nothing is, as of an open question.
    #[serde(default, alias = "answer")]
    pub target: Option<Target>,
    /// Whether the order of the choices carries meaning, as where the text asks which of them stands third. They are then
    /// never shown in another order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fixed_choices: bool,
    /// The user's messages, if the item is asked over several turns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub script: Vec<ScriptTurn>,
    /// Messages before the item's first turn, such as the system prompt of a transcript.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opening: Vec<ChatMessage>,
    /// Anything else that the dataset knows of the item. Conditions, graders and tables can read it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

impl Item {
    /// The letter of choice `index`: 0 is `A`, 25 is `Z`.
    pub fn letter(index: usize) -> char {
        (b'A' + (index % 26) as u8) as char
    }
    /// Index of the right choice; `None` if the item has no choices or none is right.
    pub fn right(&self) -> Option<usize> {
        match self.target {
            Some(Target::Choice(i)) => Some(i),
            _ => None,
        }
    }
    /// The letter of the right choice.
    pub fn target_letter(&self) -> Option<char> {
        self.right().map(Self::letter)
    }
    /// The target as a run stores it: the letter of the right choice, or the accepted texts joined by ` | `.
    pub fn target_text(&self) -> Option<String> {
        match self.target.as_ref()? {
            Target::Choice(i) => Some(Self::letter(*i).to_string()),
            Target::Text(texts) => Some(texts.join(" | ")),
        }
    }
    /// The item with its choices in another order: choice `i` of the result is choice `order[i]` of this one, and the target
    /// follows its choice. `None` if `order` is no permutation of the choices' indices.
    ///
    /// ```
    /// use friction_core::{Item, Target};
    /// let choices = vec!["red".into(), "green".into(), "blue".into()];
    /// let item = Item { choices, target: Some(Target::Choice(0)), ..Item::default() };
    /// let shown = item.reordered(&[2, 0, 1]).unwrap();
    /// assert_eq!((shown.choices[0].as_str(), shown.target_letter()), ("blue", Some('B')));
    /// assert_eq!(item.reordered(&[0, 0, 1]), None);
    /// ```
    pub fn reordered(&self, order: &[u32]) -> Option<Self> {
        let n = self.choices.len();
        let mut place = vec![usize::MAX; n];
        for (i, from) in order.iter().enumerate() {
            let free = place.get_mut(*from as usize).filter(|p| **p == usize::MAX)?;
            *free = i;
        }
        if order.len() != n {
            return None;
        }
        let choices = order.iter().map(|from| self.choices[*from as usize].clone()).collect();
        let target = match &self.target {
            Some(Target::Choice(right)) => Some(Target::Choice(*place.get(*right)?)),
            other => other.clone(),
        };
        Some(Self { choices, target, ..self.clone() })
    }
    /// Number of turns over which the item is asked by itself: the length of its script, or 1.
    pub fn rounds(&self) -> usize {
        self.script.len().max(1)
    }
    /// What is wrong with the item, in words that follow its id; `None` if nothing is.
    pub fn fault(&self) -> Option<String> {
        let n = self.choices.len();
        match &self.target {
            _ if self.fixed_choices && n == 0 => Some("has `fixed_choices`, but no choices".into()),
            Some(Target::Choice(i)) if *i >= n => {
                Some(format!("has the target {i}, but {n} choices; they count from 0"))
            }
            Some(Target::Text(texts)) if texts.is_empty() => Some("has a target without a text".into()),
            _ if n > 26 => Some(format!("has {n} choices; letters go to 26")),
            _ => Self::opening_fault(&self.opening),
        }
    }

    /// What is wrong with messages that stand before a first turn, in words that follow what has them. A system prompt
    /// may come first; then user and assistant take turns, and the assistant speaks last.
    pub fn opening_fault(opening: &[ChatMessage]) -> Option<String> {
        let mut user = false;
        for (i, m) in opening.iter().enumerate() {
            let n = i + 1;
            match m.role {
                Role::System if i > 0 => {
                    return Some(format!("has an opening whose message {n} is a system prompt; it comes first"));
                }
                Role::User if user => {
                    return Some(format!(
                        "has an opening whose message {n} is the user's after another one of the user"
                    ));
                }
                Role::Assistant if !user => {
                    return Some(format!("has an opening whose message {n} replies to no message of the user"));
                }
                _ => {}
            }
            user = m.role == Role::User;
        }
        user.then(|| "has an opening that ends in a message of the user; the reply to it is missing".into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn questions_of_before_are_read_as_items() {
        let q = r#"{"id": "law_1", "category": "law", "text": "Which?", "options": ["x", "y"], "answer": 1}"#;
        let item: Item = serde_json::from_str(q).unwrap();
        assert_eq!((item.right(), item.target_letter(), item.rounds()), (Some(1), Some('B'), 1));
        assert_eq!(item.target_text().as_deref(), Some("B"));
        let back: Item = serde_json::from_str(&serde_json::to_string(&item).unwrap()).unwrap();
        assert_eq!(back, item);
    }

    #[test]
    fn targets_are_a_choice_a_text_or_several() {
        let read = |t: &str| serde_json::from_str::<Target>(t).unwrap();
        assert_eq!(read("2"), Target::Choice(2));
        assert_eq!(read("\"42\""), Target::Text(vec!["42".into()]));
        assert_eq!(read("[\"a\", \"b\"]"), Target::Text(vec!["a".into(), "b".into()]));
        assert!(serde_json::from_str::<Target>("-1").is_err());
        let open = Item { id: "x".into(), ..Item::default() };
        assert_eq!((open.right(), open.target_text(), open.fault()), (None, None, None));
        let told = |roles: &[Role]| {
            let opening = roles.iter().map(|r| ChatMessage { role: *r, content: "x".into() }).collect();
            Item { opening, ..Item::default() }.fault()
        };
        use Role::{Assistant, System, User};
        for right in [&[][..], &[System], &[User, Assistant], &[System, User, Assistant, User, Assistant]] {
            assert_eq!(told(right), None, "{right:?}");
        }
        for (wrong, why) in [
            (&[Assistant][..], "message 1 replies to no message"),
            (&[User], "ends in a message of the user"),
            (&[User, User, Assistant], "message 2 is the user's after another"),
            (&[User, System, Assistant], "message 2 is a system prompt"),
            (&[System, User, Assistant, Assistant], "message 4 replies to no"),
        ] {
            assert!(told(wrong).unwrap().contains(why), "{wrong:?}");
        }
        let beyond = Item { choices: vec!["a".into()], target: Some(Target::Choice(1)), ..open };
        assert!(beyond.fault().unwrap().contains("count from 0"));
        let none = Item { fixed_choices: true, choices: vec![], target: None, ..beyond.clone() };
        assert!(none.fault().unwrap().contains("no choices"));
        // An item that does not say so is written as before.
        assert!(!serde_json::to_string(&beyond).unwrap().contains("fixed_choices"));
        let fixed = Item { fixed_choices: true, ..beyond };
        assert_eq!(serde_json::from_str::<Item>(&serde_json::to_string(&fixed).unwrap()).unwrap(), fixed);
    }
}
