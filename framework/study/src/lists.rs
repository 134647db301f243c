//! The question list of every group: drawn when it is asked for, so that a study of a million groups needs no more
//! memory than one of ten.
use friction_core::{Category, Dataset, Error, PlanContext, Question, Result, Topics, seed};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::rc::Rc;

/// One turn of a group: the same in every condition.
#[derive(Debug, Clone)]
pub struct PlannedTurn {
    /// Category name.
    pub topic: String,
    /// The question.
    pub question: Question,
    /// As the user asks it.
    pub prompt: String,
}

/// Groups that are drawn at once.
const CHUNK: usize = 512;

/// Longest groups that are remembered.
const LONGEST: usize = 64;

/// A category's questions, shuffled once for the study.
struct Deck {
    order: Vec<u32>,
    /// Of each question a number that its id, and one that its text, alone has.
    ids: Vec<u32>,
    texts: Vec<u32>,
}

/// Where each category's deck stands.
type Places = Vec<u32>;
/// A turn's category and question.
type Pick = (u32, u32);
/// The picks of a chunk's groups, `[groups][turns]`.
type Picks = Rc<Vec<Vec<Pick>>>;

/// Where the topics of a group come from.
enum Order {
    /// From the plugin, some groups at a time.
    Asked(Box<dyn Topics>),
    /// `[groups × turns]`: the plugin chooses for all groups at once.
    Held(Vec<u32>),
}

/// What is wrong with a plan.
pub(crate) enum Fault {
    /// The topics plugin's fault.
    Topics(Error),
    /// The dataset's.
    Dataset(Error),
}

/// The question lists of all groups: from each turn's category, none twice in a group, and none twice in the study
/// until a category is used up. Equal seeds give equal lists.
pub struct Lists {
    cx: PlanContext,
    categories: Vec<Category>,
    decks: Vec<Deck>,
    /// Numbers of ids and texts.
    numbers: (usize, usize),
    order: Order,
    /// Where the decks stand before each chunk.
    marks: Vec<Places>,
    longest: Vec<usize>,
    held: RefCell<Option<(usize, Picks)>>,
}

/// What a group has asked already: the group that asked it last, by number.
struct Asked {
    ids: Vec<u32>,
    texts: Vec<u32>,
    group: u32,
}

impl Lists {
    /// Draws every list once, to know that it can be drawn; keeps where each chunk begins.
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

    /// Goes through all groups.
    fn walk(&mut self, dataset: &dyn Dataset) -> std::result::Result<(), Fault> {
        // Bytes of what is asked stand for how long a group is.
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

    /// Groups of a chunk.
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

    /// The groups that ask the most text, in order; none where there are few groups.
    pub(crate) fn longest(&self) -> &[usize] {
        &self.longest
    }

    /// The list of a group.
    ///
    /// # Errors
    /// When there is no such group, or a plugin fails.
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

/// The number that a text alone has.
fn number<'a>(known: &mut HashMap<&'a str, u32>, text: &'a str) -> u32 {
    let next = known.len() as u32;
    *known.entry(text).or_insert(next)
}

/// Refuses rows of another number or length.
fn shaped(rows: &[Vec<usize>], groups: usize, turns: usize) -> Result<()> {
    if rows.len() == groups && rows.iter().all(|row| row.len() == turns) {
        return Ok(());
    }
    let mut lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    lengths.dedup();
    Err(Error::config(format!(
        "the topics plugin must choose {turns} turns for each of {groups} groups; it chose for {} groups, turns {lengths:?}",
        rows.len()
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::TopicPlan;
    use friction_core::choice::Bank;
    use std::collections::BTreeMap;

    /// Categories of 7, 40 and 3 questions; two of them share a text.
    fn bank() -> Bank {
        let mut all: BTreeMap<String, Vec<Question>> = BTreeMap::new();
        for (name, n) in [("art", 7), ("law", 40), ("math", 3)] {
            let of = |i: usize| {
                let text = if i == 1 { "the same?".into() } else { format!("{name} {i}?") };
                let options = vec!["x".into(), "y".into()];
                Question { id: format!("{name}_{i}"), category: name.into(), text, options, answer: 0 }
            };
            all.insert(name.into(), (0..n).map(of).collect());
        }
        Bank::new(all, "test".into())
    }

    /// Topics by group and turn; told all at once, or some groups at a time.
    struct Round {
        some: bool,
    }
    impl Round {
        fn rows(&self, n: usize, cx: &PlanContext, groups: Range<usize>) -> TopicPlan {
            let topic = |g: usize, t: usize| {
                seed::derive(&[&cx.seed.to_le_bytes(), &g.to_le_bytes(), &t.to_le_bytes()]) as usize % n
            };
            TopicPlan { order: groups.map(|g| (0..cx.turns).map(|t| topic(g, t)).collect()).collect() }
        }
    }
    impl Topics for Round {
        fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
            Ok(self.rows(categories.len(), cx, 0..cx.groups))
        }
        fn choose_groups(&self, all: &[Category], cx: &PlanContext, groups: Range<usize>) -> Result<Option<TopicPlan>> {
            Ok(self.some.then(|| self.rows(all.len(), cx, groups)))
        }
    }

    /// The lists as they were drawn before: all groups one after the other, questions compared as texts.
    fn at_once(dataset: &dyn Dataset, order: &[Vec<usize>], cx: &PlanContext) -> Vec<Vec<String>> {
        let categories = dataset.categories();
        let mut decks: BTreeMap<usize, (Vec<usize>, usize)> = BTreeMap::new();
        let mut out = vec![];
        for topics in order {
            let mut group: Vec<Question> = vec![];
            for c in topics {
                let all = dataset.questions(&categories[*c]);
                let start = seed::derive(&[&cx.seed.to_le_bytes(), b"questions", categories[*c].name.as_bytes()]);
                let deck = decks.entry(*c).or_insert_with(|| (seed::permutation(all.len(), start), 0));
                loop {
                    let q = &all[deck.0[deck.1 % all.len()]];
                    deck.1 += 1;
                    if !group.iter().any(|t| t.id == q.id || t.text == q.text) {
                        group.push(q.clone());
                        break;
                    }
                }
            }
            out.push(group.into_iter().map(|q| q.id).collect());
        }
        out
    }

    fn ids(lists: &Lists, dataset: &dyn Dataset, group: usize) -> Vec<String> {
        lists.group(dataset, group).unwrap().iter().map(|t| t.question.id.clone()).collect()
    }

    fn new(some: bool, cx: &PlanContext) -> std::result::Result<Lists, String> {
        Lists::new(&bank(), Box::new(Round { some }), cx.clone()).map_err(|f| match f {
            Fault::Topics(e) | Fault::Dataset(e) => e.to_string(),
        })
    }

    #[test]
    fn lists_drawn_on_demand_are_those_drawn_at_once() {
        let bank = bank();
        for (seed, groups, turns) in [(0, 1, 2), (3, 40, 3), (9, CHUNK, 2), (4, 2 * CHUNK + 17, 3)] {
            let cx = PlanContext { seed, groups, turns };
            let expected = at_once(&bank, &Round { some: false }.rows(3, &cx, 0..groups).order, &cx);
            for some in [false, true] {
                let lists = new(some, &cx).unwrap();
                // In any order, and twice.
                for group in seed::permutation(groups, 5).into_iter().chain([0, groups - 1]) {
                    assert_eq!(ids(&lists, &bank, group), expected[group], "group {group} of {groups}");
                }
                assert!(lists.group(&bank, groups).is_err());
            }
        }
    }

    #[test]
    fn the_longest_groups_are_known() {
        let bank = bank();
        let cx = PlanContext { seed: 1, groups: 3000, turns: 3 };
        let lists = new(true, &cx).unwrap();
        let bytes = |g: usize| lists.group(&bank, g).unwrap().iter().map(|t| t.prompt.len()).sum::<usize>();
        let all: Vec<usize> = (0..3000).map(bytes).collect();
        assert_eq!(lists.longest().iter().map(|g| all[*g]).max(), all.iter().max().copied());
        assert_eq!(lists.longest().len(), LONGEST);
    }

    #[test]
    fn what_cannot_be_drawn_is_told_before_a_run() {
        // Four turns of a category with three questions, in some group of many.
        let e = new(true, &PlanContext { seed: 2, groups: 2000, turns: 6 }).err().unwrap();
        assert!(e.contains("category `math` has too few questions"), "{e}");
        struct Short;
        impl Topics for Short {
            fn choose(&self, _: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
                Ok(TopicPlan { order: vec![vec![9; cx.turns]; cx.groups - usize::from(cx.seed == 1)] })
            }
        }
        for (seed, part) in [(1, "it chose for 3 groups, turns [2]"), (0, "topic 9 is not a category")] {
            let cx = PlanContext { seed, groups: 4, turns: 2 };
            let e = match Lists::new(&bank(), Box::new(Short), cx) {
                Err(Fault::Topics(e) | Fault::Dataset(e)) => e.to_string(),
                Ok(_) => panic!("planned"),
            };
            assert!(e.contains(part), "{e}");
        }
    }

    #[test]
    fn a_million_groups_take_no_memory_of_a_million_groups() {
        let began = std::time::Instant::now();
        let lists = new(true, &PlanContext { seed: 5, groups: 1_000_000, turns: 3 }).unwrap();
        let spent = began.elapsed();
        assert!(spent.as_secs() < 20, "{spent:?}: in a release build it is below 1 s");
        // What stays of a million groups: where some two thousand chunks begin.
        let kept: usize = lists.marks.iter().map(|m| 4 * m.len()).sum();
        assert!(kept < 100_000 && lists.held.borrow().is_none(), "{kept}");
        ids(&lists, &bank(), 999_999);
        assert_eq!(lists.held.borrow().as_ref().unwrap().1.len(), 1_000_000 - 1_000_000 / CHUNK * CHUNK);
    }
}
