//! The items of every group. Lists are drawn when they are asked for, so that memory hardly grows with the number of
//! groups.
mod deck;
mod reuse;

pub use reuse::Reuse;

use crate::options::{Count, orders};
use deck::{Asked, Deck, number};
use friction_core::manifest::OptionsSection;
use friction_core::{Balance, Category, Dataset, Error, Item, PlanContext, Result, Topics, plural, seed};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::rc::Rc;

/// One item of a group. It is the same in every condition.
#[derive(Debug, Clone)]
pub struct PlannedItem {
    /// Name of the item's category.
    pub topic: String,
    /// The item that is asked, with its choices in the order in which they are shown.
    pub item: Item,
    /// For each choice as shown, its index in the dataset's order; empty if they are shown as the dataset has them.
    pub order: Vec<u32>,
    /// The text with which the dataset asks an item without a script.
    pub prompt: String,
}

impl PlannedItem {
    /// What the dataset asks in a round, from 1: the script's message, or the prompt; empty after the script.
    pub fn said(&self, round: usize) -> &str {
        match self.item.script.as_slice() {
            [] => &self.prompt,
            script => script.get(round - 1).map_or("", |turn| &turn.user),
        }
    }
}

/// Number of groups that are drawn at once.
const CHUNK: usize = 512;

/// Most groups whose topics are remembered as they were drawn.
const ORDERS: usize = 4096;

/// Number of longest groups that are remembered.
const LONGEST: usize = 64;

/// Position in each category's deck.
type Places = Vec<u32>;
/// Indices of an item's category and of the item in it.
type Pick = (u32, u32);
/// The picks of a chunk's groups, `[groups][items]`.
type Picks = Rc<Vec<Vec<Pick>>>;

/// Where the topics of a group come from.
enum Order {
    /// From the plugin, one chunk of groups at a time.
    Asked(Box<dyn Topics>),
    /// Categories `[groups × items]`, which the plugin chose for all groups at once.
    Held(Vec<u32>),
}

/// Which plugin made drawing fail.
pub(crate) enum Fault {
    /// The topics plugin.
    Topics(Error),
    /// The dataset: an item could not be read, or there are too few.
    Dataset(Error),
}

/// The items of all groups. Each item is of its place's category. No id and no text occurs twice in a group, and no item
/// twice in the study until its category is used up. Equal seeds give equal lists.
pub struct Lists {
    cx: PlanContext,
    /// How choices are shown.
    options: OptionsSection,
    /// What the items are to the order of choices.
    count: Count,
    categories: Vec<Category>,
    decks: Vec<Deck>,
    /// Number of different ids, and of different texts.
    numbers: (usize, usize),
    order: Order,
    /// What the plugin says of its choice.
    notes: Vec<String>,
    /// What identifies the choice beside options and data.
    fingerprint: Option<String>,
    balance: Balance,
    /// Categories of the first groups' items, `[groups][items]`, as they were drawn.
    first: Vec<Vec<usize>>,
    /// Positions in the decks before each chunk.
    marks: Vec<Places>,
    longest: Vec<usize>,
    /// Number of different lists of items.
    different: usize,
    reuse: Reuse,
    held: RefCell<Option<(usize, Picks)>>,
}

impl Lists {
    /// Draws every list once to check that it can be drawn, and stores where each chunk begins.
    pub(crate) fn new(
        dataset: &dyn Dataset,
        topics: Option<Box<dyn Topics>>,
        cx: PlanContext,
        options: &OptionsSection,
    ) -> std::result::Result<Self, Fault> {
        let categories = dataset.categories().to_vec();
        let (mut notes, mut fingerprint) = (vec![], None);
        let order = match topics {
            None => Order::Held(vec![0; cx.groups * cx.turns]),
            Some(mut topics) => {
                topics.prepare(dataset, &cx).map_err(Fault::Topics)?;
                (notes, fingerprint) = (topics.notes(&categories, &cx), topics.fingerprint());
                Self::order(topics, &categories, &cx)?
            }
        };
        let mut lists = Self {
            decks: vec![],
            numbers: (0, 0),
            order,
            notes,
            fingerprint,
            balance: Balance::default(),
            first: vec![],
            marks: vec![],
            longest: vec![],
            different: 0,
            reuse: Reuse::default(),
            held: RefCell::new(None),
            categories,
            cx,
            options: options.clone(),
            count: Count::default(),
        };
        lists.shuffle(dataset).and_then(|()| lists.count.check(options)).map_err(Fault::Dataset)?;
        lists.walk(dataset)?;
        Ok(lists)
    }

    fn order(topics: Box<dyn Topics>, categories: &[Category], cx: &PlanContext) -> std::result::Result<Order, Fault> {
        Ok(match topics.choose_groups(categories, cx, 0..cx.groups.min(1)).map_err(Fault::Topics)? {
            Some(_) => Order::Asked(topics),
            None => {
                let all = topics.choose(categories, cx).map_err(Fault::Topics)?.order;
                shaped(&all, cx.groups, cx.turns).map_err(Fault::Topics)?;
                Order::Held(all.into_iter().flatten().map(|c| u32::try_from(c).unwrap_or(u32::MAX)).collect())
            }
        })
    }

    fn shuffle(&mut self, dataset: &dyn Dataset) -> Result<()> {
        let (mut ids, mut texts) = (HashMap::new(), HashMap::new());
        for category in &self.categories {
            let start = seed::derive(&[&self.cx.seed.to_le_bytes(), b"questions", category.name.as_bytes()]);
            let all = u32::try_from(category.items).map_err(|_| {
                Error::config(format!(
                    "category `{}` has {} items; there may be 4 billion",
                    category.name, category.items
                ))
            })?;
            let order = match dataset.ordered() {
                true => (0..all).collect(),
                false => seed::permutation(category.items, start).into_iter().map(|i| i as u32).collect(),
            };
            let mut deck = Deck { order, ids: vec![], texts: vec![] };
            let mut left_out = BTreeSet::new();
            for i in 0..category.items {
                let item = dataset.item(category, i)?;
                if let Some(fault) = item.fault() {
                    return Err(Error::config(format!("item `{}` {fault}", item.id)));
                }
                if self.options.moves() && self.count.add(&item) && self.options.leaves_out() {
                    left_out.insert(i as u32);
                }
                deck.ids.push(number(&mut ids, item.id.as_bytes()));
                // Items with equal texts are told apart by their scripts.
                let script: Vec<u8> = item.script.iter().flat_map(|t| [b"\0", t.user.as_bytes()].concat()).collect();
                deck.texts.push(number(&mut texts, &[item.text.as_bytes(), &script].concat()));
            }
            deck.order.retain(|i| !left_out.contains(i));
            self.decks.push(deck);
        }
        self.numbers = (ids.len(), texts.len());
        Ok(())
    }

    /// Draws all groups once.
    fn walk(&mut self, dataset: &dyn Dataset) -> std::result::Result<(), Fault> {
        // The bytes of the prompts approximate how long a group is.
        let bytes = |c: &Category| -> Result<Vec<u32>> {
            (0..c.items).map(|i| weight(dataset, &dataset.item(c, i)?)).collect()
        };
        let weights = match self.cx.groups > LONGEST {
            true => self.categories.iter().map(bytes).collect::<Result<Vec<_>>>().map_err(Fault::Dataset)?,
            false => vec![],
        };
        let mut places = vec![0; self.decks.len()];
        let mut asked = self.nothing();
        let mut longest: BinaryHeap<Reverse<(u64, Reverse<usize>)>> = BinaryHeap::new();
        let (hasher, mut different) = (RandomState::new(), HashSet::new());
        // For each number of an id, how many groups asked it.
        let mut groups = vec![0; self.numbers.0];
        for chunk in 0..self.cx.groups.div_ceil(CHUNK) {
            self.marks.push(places.clone());
            for (i, topics) in self.topics(chunk).map_err(Fault::Topics)?.iter().enumerate() {
                self.balance.add(topics);
                if self.first.len() < ORDERS {
                    self.first.push(topics.clone());
                }
                let picks = self.draw(topics, &mut places, &mut asked).map_err(Fault::Dataset)?;
                different.insert(hasher.hash_one(&picks));
                for (c, q) in &picks {
                    groups[self.decks[*c as usize].ids[*q as usize] as usize] += 1;
                }
                if !weights.is_empty() {
                    let weight = picks.iter().map(|(c, q)| u64::from(weights[*c as usize][*q as usize])).sum();
                    longest.push(Reverse((weight, Reverse(chunk * CHUNK + i))));
                    if longest.len() > LONGEST {
                        longest.pop();
                    }
                }
            }
        }
        self.different = different.len();
        self.reuse = Reuse::of(&groups);
        self.longest = longest.into_iter().map(|Reverse((_, Reverse(group)))| group).collect();
        self.longest.sort_unstable();
        Ok(())
    }

    fn nothing(&self) -> Asked {
        Asked { ids: vec![0; self.numbers.0], texts: vec![0; self.numbers.1], group: 0 }
    }

    /// The groups of a chunk.
    fn range(&self, chunk: usize) -> Range<usize> {
        chunk * CHUNK..((chunk + 1) * CHUNK).min(self.cx.groups)
    }

    /// Categories of a chunk's groups, `[groups][items]`.
    fn topics(&self, chunk: usize) -> Result<Vec<Vec<usize>>> {
        let range = self.range(chunk);
        match &self.order {
            Order::Held(all) => {
                let rows = all[range.start * self.cx.turns..range.end * self.cx.turns].chunks(self.cx.turns.max(1));
                Ok(rows.map(|row| row.iter().map(|c| *c as usize).collect()).collect())
            }
            Order::Asked(plugin) => {
                let plan = plugin.choose_groups(&self.categories, &self.cx, range.clone())?;
                let rows = plan.map(|p| p.order).unwrap_or_default();
                shaped(&rows, range.len(), self.cx.turns)?;
                Ok(rows)
            }
        }
    }

    /// Draws a group's items.
    fn draw(&self, topics: &[usize], places: &mut Places, asked: &mut Asked) -> Result<Vec<Pick>> {
        asked.group += 1;
        let mut out = Vec::with_capacity(topics.len());
        for c in topics {
            let deck = self
                .decks
                .get(*c)
                .ok_or_else(|| Error::config(format!("topic {c} is not a category of the dataset")))?;
            let name = &self.categories[*c].name;
            if deck.order.is_empty() {
                return Err(self.none(name));
            }
            let Some(question) = deck.draw(&mut places[*c], asked) else {
                let times = topics.iter().filter(|t| *t == c).count();
                return Err(deck.few(name, times, self.categories.len()));
            };
            out.push((*c as u32, question));
        }
        Ok(out)
    }

    /// The error of a category without items to ask.
    fn none(&self, name: &str) -> Error {
        let (left, help) = match self.options.leaves_out() {
            true => (" that are not left out", "leave it out of `[topics]`, or leave out `options_naming_others`"),
            false => ("", "leave it out of `[topics]`, or give it items"),
        };
        Error::config(format!("category `{name}` has no items{left}")).help(help)
    }

    fn picks(&self, chunk: usize) -> Result<Picks> {
        if let Some((held, picks)) = self.held.borrow().as_ref()
            && *held == chunk
        {
            return Ok(picks.clone());
        }
        let (mut places, mut asked) = (self.marks[chunk].clone(), self.nothing());
        let rows = self.topics(chunk)?;
        let rows = rows.iter().map(|row| self.draw(row, &mut places, &mut asked)).collect::<Result<Vec<_>>>()?;
        let picks = Rc::new(rows);
        *self.held.borrow_mut() = Some((chunk, picks.clone()));
        Ok(picks)
    }

    /// Number of different lists of items. Groups with the same list in the same order repeat each other.
    pub fn different(&self) -> usize {
        self.different
    }

    /// How many items more than one group asks.
    pub fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.cx.groups
    }

    /// What a reader must know of the choice of topics and of the order of choices. Each is a sentence without its full stop.
    pub fn notes(&self) -> Vec<String> {
        [self.notes.clone(), self.count.notes(&self.options)].concat()
    }

    /// What identifies the choice of topics, beside the options and the data.
    pub fn fingerprint(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    /// How often each topic stands at each turn, over all groups. Topics are indices into the dataset's categories.
    pub fn balance(&self) -> &Balance {
        &self.balance
    }

    /// Categories of the first groups' items, `[groups][items]`, of 4,096 groups at most.
    pub(crate) fn orders(&self) -> &[Vec<usize>] {
        &self.first
    }

    /// Indices of the groups that ask the most text, sorted; empty if there are few groups.
    pub(crate) fn longest(&self) -> &[usize] {
        &self.longest
    }

    /// The items of a group.
    ///
    /// # Errors
    /// If there is no such group, or a plugin fails.
    pub fn group(&self, dataset: &dyn Dataset, group: usize) -> Result<Rc<[PlannedItem]>> {
        let picks = if group < self.cx.groups { self.picks(group / CHUNK)? } else { Rc::default() };
        let Some(row) = picks.get(group % CHUNK) else {
            return Err(Error::other(format!("there is no group {group}: the study has {}", self.cx.groups)));
        };
        let given = |(c, q): &Pick| dataset.item(&self.categories[*c as usize], *q as usize);
        let items = row.iter().map(given).collect::<Result<Vec<Item>>>()?;
        let orders = orders(&self.options, self.cx.seed, group, &items);
        let turn = |((pick, item), order): ((&Pick, Item), Vec<u32>)| -> Result<PlannedItem> {
            let item = item.reordered(&order).unwrap_or(item);
            let topic = self.categories[pick.0 as usize].name.clone();
            Ok(PlannedItem { topic, prompt: dataset.prompt(&item)?, item, order })
        };
        row.iter().zip(items).zip(orders).map(turn).collect()
    }
}

/// The bytes of what an item asks.
fn weight(dataset: &dyn Dataset, item: &Item) -> Result<u32> {
    let said = item.script.iter().map(|t| t.user.len() + t.reply.as_ref().map_or(0, String::len));
    let bytes = if item.script.is_empty() { dataset.prompt(item)?.len() } else { said.sum() };
    Ok(bytes as u32)
}

/// Fails if the number of rows is not `groups`, or if a row is not `turns` long.
fn shaped(rows: &[Vec<usize>], groups: usize, turns: usize) -> Result<()> {
    if rows.len() == groups && rows.iter().all(|row| row.len() == turns) {
        return Ok(());
    }
    let mut lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    Err(Error::config(format!(
        "the topics plugin must choose {} for each of {}; it chose for {}, items {lengths:?}",
        plural(turns, "item"),
        plural(groups, "group"),
        plural(rows.len(), "group")
    )))
}

#[cfg(test)]
mod tests;
