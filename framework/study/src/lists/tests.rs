//! Lists drawn on demand equal lists drawn at once.
#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::choice::Bank;
use friction_core::{Target, TopicPlan};
use std::collections::BTreeMap;

/// Categories of 7, 40 and 3 questions; two of them share a text.
fn bank() -> Bank {
    let mut all: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for (name, n) in [("art", 7), ("law", 40), ("math", 3)] {
        let of = |i: usize| {
            let text = if i == 1 { "the same?".into() } else { format!("{name} {i}?") };
            let (id, category, choices) = (format!("{name}_{i}"), name.into(), vec!["x".into(), "y".into()]);
            Item { id, category, text, choices, target: Some(Target::Choice(0)), ..Item::default() }
        };
        all.insert(name.into(), (0..n).map(of).collect());
    }
    Bank::new(all, "test".into())
}

/// Topics by group and turn, given all at once or some groups at a time.
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

/// A simple reference: draws all groups one after the other and compares items as texts.
fn at_once(dataset: &dyn Dataset, order: &[Vec<usize>], cx: &PlanContext) -> Vec<Vec<String>> {
    let categories = dataset.categories();
    let mut decks: BTreeMap<usize, (Vec<usize>, usize)> = BTreeMap::new();
    let mut out = vec![];
    for topics in order {
        let mut group: Vec<Item> = vec![];
        for c in topics {
            let all: Vec<Item> = (0..categories[*c].items).map(|i| dataset.item(&categories[*c], i).unwrap()).collect();
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
    lists.group(dataset, group).unwrap().iter().map(|t| t.item.id.clone()).collect()
}

fn new(some: bool, cx: &PlanContext) -> std::result::Result<Lists, String> {
    Lists::new(&bank(), Some(Box::new(Round { some })), cx.clone(), &OptionsSection::default()).map_err(|f| match f {
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
    assert!(e.contains("category `math` has too few items"), "{e}");
    let few = Lists::new(
        &bank(),
        Some(Box::new(Round { some: true })),
        PlanContext { seed: 2, groups: 2000, turns: 6 },
        &OptionsSection::default(),
    );
    let Err(Fault::Dataset(Error::Key { key, help: Some(help), .. })) = few else { panic!("planned") };
    assert!(key.is_empty() && help.contains("it has 3 items") && help.contains("lower `turns`"), "{help}");
    assert!(help.contains("let `[topics]` ask more categories"), "{help}");
    struct Short;
    impl Topics for Short {
        fn choose(&self, _: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
            Ok(TopicPlan { order: vec![vec![9; cx.turns]; cx.groups - usize::from(cx.seed == 1)] })
        }
    }
    for (seed, part) in [(1, "it chose for 3 groups, items [2]"), (0, "topic 9 is not a category")] {
        let cx = PlanContext { seed, groups: 4, turns: 2 };
        let e = match Lists::new(&bank(), Some(Box::new(Short)), cx, &OptionsSection::default()) {
            Err(Fault::Topics(e) | Fault::Dataset(e)) => e.to_string(),
            Ok(_) => panic!("planned"),
        };
        assert!(e.contains(part), "{e}");
    }
}

#[test]
fn items_that_several_groups_ask_are_counted() {
    // 40 questions of one category for 2 and for 30 groups of 3.
    struct Law;
    impl Topics for Law {
        fn choose(&self, _: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
            Ok(TopicPlan { order: vec![vec![1; cx.turns]; cx.groups] })
        }
    }
    let of = |groups| {
        let cx = PlanContext { seed: 1, groups, turns: 3 };
        let lists = Lists::new(&bank(), Some(Box::new(Law)), cx, &OptionsSection::default()).map_err(|_| ()).unwrap();
        lists.reuse()
    };
    assert_eq!(of(2), Reuse { asked: 6, reused: 0, least: 1, most: 1 });
    // 90 places over 40 questions: ten of them three times, the others twice.
    assert_eq!(of(30), Reuse { asked: 40, reused: 40, least: 2, most: 3 });
    assert_eq!(of(14), Reuse { asked: 40, reused: 2, least: 1, most: 2 });
}

#[test]
fn a_million_groups_take_no_memory_of_a_million_groups() {
    let began = std::time::Instant::now();
    let lists = new(true, &PlanContext { seed: 5, groups: 1_000_000, turns: 3 }).unwrap();
    let spent = began.elapsed();
    assert!(spent.as_secs() < 20, "{spent:?}: in a release build it is below 1 s");
    // What is kept of a million groups: where about two thousand chunks begin.
    let kept: usize = lists.marks.iter().map(|m| 4 * m.len()).sum();
    assert!(kept < 100_000 && lists.held.borrow().is_none(), "{kept}");
    ids(&lists, &bank(), 999_999);
    assert_eq!(lists.held.borrow().as_ref().unwrap().1.len(), 1_000_000 - 1_000_000 / CHUNK * CHUNK);
}

/// Stays with the category that is named in the first item of the first one.
struct Told(Option<usize>);
impl Topics for Told {
    fn prepare(&mut self, dataset: &dyn Dataset, _: &PlanContext) -> Result<()> {
        let first = dataset.item(&dataset.categories()[0], 0)?;
        self.0 = dataset.categories().iter().position(|c| first.text.starts_with(&c.name));
        Ok(())
    }
    fn choose(&self, _: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        let at = self.0.ok_or_else(|| Error::other("not prepared"))?;
        Ok(TopicPlan { order: vec![vec![at; cx.turns]; cx.groups] })
    }
    fn notes(&self, all: &[Category], cx: &PlanContext) -> Vec<String> {
        self.0.map(|at| format!("{} in {} groups", all[at].name, cx.groups)).into_iter().collect()
    }
    fn fingerprint(&self) -> Option<String> {
        self.0.map(|at| at.to_string())
    }
}

#[test]
fn topics_read_the_data_and_tell_what_they_chose() {
    let cx = PlanContext { seed: 0, groups: 4, turns: 2 };
    let lists = Lists::new(&bank(), Some(Box::new(Told(None))), cx.clone(), &OptionsSection::default())
        .map_err(|_| ())
        .unwrap();
    assert_eq!((lists.notes(), lists.fingerprint()), (vec!["art in 4 groups".to_string()], Some("0")));
    assert_eq!((lists.balance().count(0, 1), lists.balance().groups(), lists.balance().topics().len()), (4, 4, 1));
    let cx = PlanContext { groups: CHUNK + 3, turns: 3, ..cx };
    let lists = new(true, &cx).unwrap();
    assert_eq!((lists.notes().len(), lists.fingerprint()), (0, None));
    assert_eq!(*lists.balance(), Round { some: true }.rows(3, &cx, 0..cx.groups).balance());
}
