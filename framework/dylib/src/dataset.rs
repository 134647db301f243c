//! Datasets across the border.
use crate::before;
use crate::heard::start;
use crate::offer::Offer;
use crate::remote::Remote;
use friction_core::{Category, ChatMessage, Dataset, Grade, Item, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// A dataset of the other side. Its items are fetched when it is built, if it gives them whole; otherwise one by one.
pub(crate) struct RemoteDataset {
    remote: Remote,
    categories: Vec<Category>,
    /// The items of each category; `None` if they are fetched one by one.
    items: Option<Vec<Vec<Item>>>,
    ordered: bool,
    fingerprint: String,
    /// The other side has no method `opening`.
    no_opening: AtomicBool,
}

/// A grade from version 3 on; `score` is null where nothing was graded.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    score: Option<f64>,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default)]
    others: BTreeMap<String, Option<String>>,
    /// A number that JSON cannot hold is null, and is left out.
    #[serde(default)]
    metrics: BTreeMap<String, Option<f64>>,
}

impl From<Told> for Grade {
    fn from(t: Told) -> Self {
        let metrics = t.metrics.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Self { score: t.score, answer: t.answer, others: t.others, metrics }
    }
}

impl RemoteDataset {
    pub fn wrap(remote: Remote) -> Result<Self> {
        let before = remote.version() <= before::LAST;
        let mut categories: Vec<Category> = if before {
            let all: Vec<before::Subject> = remote.call("categories", &Value::Null)?;
            all.into_iter().map(Category::from).collect()
        } else {
            remote.call("categories", &Value::Null)?
        };
        let mut names = BTreeSet::new();
        if let Some(c) = categories.iter().find(|c| !names.insert(c.name.as_str())) {
            return Err(remote.wrong(&format!("has two categories called `{}`", c.name)));
        }
        let ordered = if before { None } else { remote.maybe("ordered", &Value::Null, Offer::default())? };
        let fingerprint = remote.call("fingerprint", &Value::Null)?;
        let items = whole(&remote, &categories)?;
        for (c, items) in categories.iter_mut().zip(items.iter().flatten()) {
            c.items = items.len();
        }
        let (ordered, no_opening) = (ordered.unwrap_or(false), AtomicBool::new(before));
        Ok(Self { remote, categories, items, ordered, fingerprint, no_opening })
    }

    fn shown(&self, item: &Item) -> Value {
        if self.remote.version() <= before::LAST { before::question(item) } else { json!(item) }
    }
}

/// All items by category, if the other side gives them so; `None` if it gives them one by one.
fn whole(remote: &Remote, categories: &[Category]) -> Result<Option<Vec<Vec<Item>>>> {
    let (mut out, mut ids) = (vec![], BTreeSet::new());
    for c in categories {
        let all: Vec<Item> = if remote.version() <= before::LAST {
            let all: Vec<before::Question> = remote.call("questions", &c.name)?;
            all.into_iter().map(Item::from).collect()
        } else {
            let all: Option<Vec<Value>> = remote.maybe("items", &c.name, Offer::default())?;
            let Some(all) = all else { return Ok(None) };
            all.into_iter().map(|item| read(remote, item)).collect::<Result<_>>()?
        };
        for item in &all {
            sound(remote, item)?;
            if !ids.insert(item.id.clone()) {
                return Err(remote.wrong(&format!("gave the item `{}`, which occurs twice", item.id)));
            }
        }
        out.push(all);
    }
    Ok(Some(out))
}

/// Reads an item. A key that items do not have is refused: it would be ignored.
fn read(remote: &Remote, item: Value) -> Result<Item> {
    const KEYS: [&str; 9] =
        ["id", "category", "text", "choices", "target", "fixed_choices", "script", "opening", "metadata"];
    if let Some(key) = item.as_object().and_then(|i| i.keys().find(|k| !KEYS.contains(&k.as_str()))) {
        let keys = KEYS.join(", ");
        return Err(remote.wrong(&format!("gave an item with the unknown key `{key}`; an item has {keys}")));
    }
    let shown = start(item.to_string().as_bytes());
    let item =
        serde_json::from_value(item).map_err(|e| remote.wrong(&format!("gave what is no item ({e}): {shown}")))?;
    sound(remote, &item)?;
    Ok(item)
}

fn sound(remote: &Remote, item: &Item) -> Result<()> {
    item.fault().map_or(Ok(()), |why| Err(remote.wrong(&format!("gave the item `{}`, which {why}", item.id))))
}

impl Dataset for RemoteDataset {
    fn categories(&self) -> &[Category] {
        &self.categories
    }

    fn item(&self, category: &Category, index: usize) -> Result<Item> {
        let Some(items) = &self.items else {
            let item = self.remote.call("item", &json!({"category": category.name, "index": index}))?;
            return read(&self.remote, item);
        };
        let at = self.categories.iter().position(|c| c.name == category.name);
        let found = at.and_then(|i| items.get(i)?.get(index));
        found.cloned().ok_or_else(|| self.remote.wrong(&format!("has no item {index} in `{}`", category.name)))
    }

    fn prompt(&self, item: &Item) -> Result<String> {
        self.remote.call("prompt", &self.shown(item))
    }

    fn opening(&self, items: &[Item]) -> Result<Vec<ChatMessage>> {
        let told = if self.no_opening.load(Ordering::Relaxed) {
            None
        } else {
            self.remote.maybe("opening", &items, Offer::default())?
        };
        Ok(told.unwrap_or_else(|| {
            self.no_opening.store(true, Ordering::Relaxed);
            items.first().map(|i| i.opening.clone()).unwrap_or_default()
        }))
    }

    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        if self.remote.version() <= before::LAST {
            let request = json!({"question": before::question(item), "reply": reply});
            return self.remote.call::<before::Mark>("grade", &request).map(Grade::from);
        }
        self.remote.call::<Told>("grade", &json!({"item": item, "reply": reply})).map(Grade::from)
    }

    fn ordered(&self) -> bool {
        self.ordered
    }

    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}
