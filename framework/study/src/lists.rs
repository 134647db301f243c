//! The question list of every group. Lists are drawn when they are asked for, so that memory hardly grows with the
//! number of groups.
use friction_core::{Category, Dataset, Error, PlanContext, Question, Result, Topics, plural, seed};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::rc::Rc;

/// One turn of a group. It is the same in every condition.
#[derive(Debug, Clone)]
pub struct PlannedTurn {
    /// Name of the question's category.
    pub topic: String,
    /// The question that is asked.
    pub question: Question,
    /// The text with which the user asks the question.
    pub prompt: String,
}

/// Number of groups that are drawn at once.
const CHUNK: usize = 512;

/// Number of longest groups that are remembered.
const LONGEST: usize = 64;

/// A category's questions, shuffled once for the study.
struct Deck {
    order: Vec<u32>,
    /// For each question, a number that stands for its id.
    ids: Vec<u32>,
    /// For each question, a number that stands for its text.
    texts: Vec<u32>,
}

/// Position in each category's deck.
type Places = Vec<u32>;
/// Indices of a turn's category and of its question.
type Pick = (u32, u32);
/// The picks of a chunk's groups, `[groups][turns]`.
type Picks = Rc<Vec<Vec<Pick>>>;

/// Where the topics of a group come from.
enum Order {
    /// From the plugin, one chunk of groups at a time.
    Asked(Box<dyn Topics>),
    /// Categories `[groups × turns]`, which the plugin chose for all groups at once.
    Held(Vec<u32>),
}

/// Which plugin made drawing fail.
pub(crate) enum Fault {
    /// The topics plugin.
    Topics(Error),
    /// The dataset.
    Dataset(Error),
}

/// The question lists of all groups. Each question is of its turn's category. No id and no text occurs twice in a
/// group, and no question twice in the study until its category is used up. Equal seeds give equal lists.
pub struct Lists {
    cx: PlanContext,
    categories: Vec<Category>,
    decks: Vec<Deck>,
    /// Number of different ids, and of different texts.
    numbers: (usize, usize),
    order: Order,
    /// Positions in the decks before each chunk.
    marks: Vec<Places>,
    longest: Vec<usize>,
    held: RefCell<Option<(usize, Picks)>>,
}

/// For each number of an id or a text, the group that asked it last. `group` is the current one, from 1.
struct Asked {
    ids: Vec<u32>,
    texts: Vec<u32>,
    group: u32,
}

impl Lists {
    /// Draws every list once to check that it can be drawn, and stores where each chunk begins.
    pub(crate) fn new(
        dataset: &dyn Dataset,
        topics: Box<dyn Topics>,
        cx: PlanContext,
    ) -> std::result::Result<Self, Fault> {
        let categories = dataset.categories().to_vec();
        let order = match topics.choose_groups(&categories, &cx, 0..cx.groups.min(1)).map_err(Fault::Topics)? {
            Some(_) => Order::Asked(topics),
            None => {
                let all = topics.choose(&categories, &cx).map_err(Fault::Topics)?.order;
                shaped(&all, cx.groups, cx.turns).map_err(Fault::Topics)?;
                Order::Held(all.into_iter().flatten().map(|c| u32::try_from(c).unwrap_or(u32::MAX)).collect())
            }
        };
        let mut lists = Self {
            decks: vec![],
            numbers: (0, 0),
            order,
            marks: vec![],
            longest: vec![],
            held: RefCell::new(None),
            categories,
            cx,
        };
        lists.shuffle(dataset);
        lists.walk(dataset)?;
        Ok(lists)
    }

    fn shuffle(&mut self, dataset: &dyn Dataset) {
        let (mut ids, mut texts) = (HashMap::new(), HashMap::new());
        for category in &self.categories {
            let all = dataset.questions(category);
            let start = seed::derive(&[&self.cx.seed.to_le_bytes(), b"questions", category.name.as_bytes()]);
            self.decks.push(Deck {
                order: seed::permutation(all.len(), start).into_iter().map(|i| i as u32).collect(),
                ids: all.iter().map(|q| number(&mut ids, &q.id)).collect(),
                texts: all.iter().map(|q| number(&mut texts, &q.text)).collect(),
            });
        }
        self.numbers = (ids.len(), texts.len());
    }

    /// Draws all groups once.
    fn walk(&mut self, dataset: &dyn Dataset) -> std::result::Result<(), Fault> {
        // The bytes of the prompts approximate how long a group is.
        let bytes = |c: &Category| -> Result<Vec<u32>> {
            dataset.questions(c).iter().map(|q| Ok(dataset.prompt(q)?.len() as u32)).collect()
        };
        let weights = match self.cx.groups > LONGEST {
            true => self.categories.iter().map(bytes).collect::<Result<Vec<_>>>().map_err(Fault::Dataset)?,
            false => vec![],
        };
        let mut places = vec![0; self.decks.len()];
        let mut asked = self.nothing();
        let mut longest: BinaryHeap<Reverse<(u64, Reverse<usize>)>> = BinaryHeap::new();
        for chunk in 0..self.cx.groups.div_ceil(CHUNK) {
            self.marks.push(places.clone());
            for (i, topics) in self.topics(chunk).map_err(Fault::Topics)?.iter().enumerate() {
                let picks = self.draw(topics, &mut places, &mut asked).map_err(Fault::Dataset)?;
                if !weights.is_empty() {
                    let weight = picks.iter().map(|(c, q)| u64::from(weights[*c as usize][*q as usize])).sum();
                    longest.push(Reverse((weight, Reverse(chunk * CHUNK + i))));
                    if longest.len() > LONGEST {
                        longest.pop();
                    }
                }
            }
        }
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

    /// Categories of a chunk's groups, `[groups][turns]`.
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

    /// Draws a group's questions.
    fn draw(&self, topics: &[usize], places: &mut Places, asked: &mut Asked) -> Result<Vec<Pick>> {
        asked.group += 1;
        let mut out = Vec::with_capacity(topics.len());
        for c in topics {
            let deck = self
                .decks
                .get(*c)
                .ok_or_else(|| Error::config(format!("topic {c} is not a category of the dataset")))?;
            let (all, name) = (deck.order.len() as u32, &self.categories[*c].name);
            if all == 0 {
                return Err(Error::config(format!("category `{name}` has no questions")));
            }
            let mut tries = 0;
            let question = loop {
                let q = deck.order[places[*c] as usize];
                places[*c] = (places[*c] + 1) % all;
                tries += 1;
                let (id, text) = (deck.ids[q as usize] as usize, deck.texts[q as usize] as usize);
                if asked.ids[id] != asked.group && asked.texts[text] != asked.group {
                    (asked.ids[id], asked.texts[text]) = (asked.group, asked.group);
                    break q;
                }
                if tries > all {
                    return Err(Error::config(format!(
                        "category `{name}` has too few questions for a group that visits it again"
                    )));
                }
            };
            out.push((*c as u32, question));
        }
        Ok(out)
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

    /// Number of groups.
    pub fn groups(&self) -> usize {
        self.cx.groups
    }

    /// Indices of the groups that ask the most text, sorted; empty if there are few groups.
    pub(crate) fn longest(&self) -> &[usize] {
        &self.longest
    }

    /// The question list of a group.
    ///
    /// # Errors
    /// If there is no such group, or a plugin fails.
    pub fn group(&self, dataset: &dyn Dataset, group: usize) -> Result<Rc<[PlannedTurn]>> {
        let picks = if group < self.cx.groups { self.picks(group / CHUNK)? } else { Rc::default() };
        let Some(row) = picks.get(group % CHUNK) else {
            return Err(Error::other(format!("there is no group {group}: the study has {}", self.cx.groups)));
        };
        let turn = |(c, q): &Pick| -> Result<PlannedTurn> {
            let category = &self.categories[*c as usize];
            let question = dataset.questions(category)[*q as usize].clone();
            Ok(PlannedTurn { topic: category.name.clone(), prompt: dataset.prompt(&question)?, question })
        };
        row.iter().map(turn).collect()
    }
}

/// The number that stands for a text: the same for equal texts, another for others.
fn number<'a>(known: &mut HashMap<&'a str, u32>, text: &'a str) -> u32 {
    let next = known.len() as u32;
    *known.entry(text).or_insert(next)
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
        "the topics plugin must choose {} for each of {}; it chose for {}, turns {lengths:?}",
        plural(turns, "turn"),
        plural(groups, "group"),
        plural(rows.len(), "group")
    )))
}

#[cfg(test)]
mod tests;
