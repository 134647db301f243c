//! Orders are permutations that spread right answers over the letters, and shifts move each choice to each place.
#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::Category;
use friction_core::Grade;
use friction_core::choice::{Bank, grade};
use friction_core::manifest::NamingOthers;
use friction_core::{ScriptTurn, TurnRow};
use proptest::prelude::*;
use std::collections::BTreeSet;

const BALANCED: OptionsSection =
    OptionsSection { options: OptionOrder::Balanced, options_naming_others: None, option_shifts: 1 };

fn item(id: usize, n: usize, right: usize) -> Item {
    let choices = (0..n).map(|i| format!("text {i} of {id}")).collect();
    Item {
        id: format!("q_{id}"),
        text: "Which?".into(),
        choices,
        target: Some(Target::Choice(right)),
        ..Item::default()
    }
}
fn with(choices: &[&str], right: usize) -> Item {
    let choices = choices.iter().map(|c| c.to_string()).collect();
    Item { choices, target: Some(Target::Choice(right)), ..item(0, 0, 0) }
}
fn is_permutation(order: &[u32], n: usize) -> bool {
    order.len() == n && order.iter().collect::<BTreeSet<_>>().len() == n && order.iter().all(|i| (*i as usize) < n)
}
/// How often each letter is the right one, among items of `n` choices that were shown in these orders.
fn letters(items: &[Item], orders: &[Vec<u32>], n: usize) -> Vec<usize> {
    let mut out = vec![0; n];
    for (item, order) in items.iter().zip(orders).filter(|(i, _)| i.choices.len() == n) {
        out[item.reordered(order).unwrap().right().unwrap()] += 1;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]
    #[test]
    fn orders_are_permutations_and_right_letters_even_in_a_group(
        seed in any::<u64>(), group in 0usize..5000, sizes in prop::collection::vec((2usize..11, 0usize..10), 1..30)
    ) {
        let items: Vec<Item> = sizes.iter().enumerate().map(|(i, (n, right))| item(i, *n, right % n)).collect();
        let found = orders(&BALANCED, seed, group, &items);
        // Whoever asks gets the same: conditions, arms, samples, shards, a resumed run.
        prop_assert_eq!(&found, &orders(&BALANCED, seed, group, &items));
        for (given, order) in items.iter().zip(&found) {
            let n = given.choices.len();
            prop_assert!(is_permutation(order, n), "{order:?}");
            // A graded letter leads back to the choice that the dataset has.
            let shown = given.reordered(order).unwrap();
            let letter = shown.target_letter().unwrap();
            prop_assert_eq!(grade(&shown, &letter.to_string()).score, Some(1.0));
            prop_assert_eq!(order[(letter as u8 - b'A') as usize] as usize, given.right().unwrap());
            prop_assert_eq!(&shown.choices[shown.right().unwrap()], &given.choices[given.right().unwrap()]);
            prop_assert_eq!(shown.reordered(&inverse(order)).unwrap(), given.clone());
        }
        for n in 2..11 {
            let count = letters(&items, &found, n);
            let (least, most) = (count.iter().min().unwrap(), count.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{n} choices: {count:?}");
        }
    }

    #[test]
    fn at_each_place_every_letter_comes_once_in_as_many_groups(seed in any::<u64>(), n in 2usize..11, block in 0usize..50, places in 1usize..25) {
        // The file's own right answers all stand at A.
        let items: Vec<Item> = (0..places).map(|i| item(i, n, 0)).collect();
        let all: Vec<Vec<Vec<u32>>> = (block * n..(block + 1) * n).map(|g| orders(&BALANCED, seed, g, &items)).collect();
        for place in 0..places {
            let at: BTreeSet<usize> =
                all.iter().map(|o| items[place].reordered(&o[place]).unwrap().right().unwrap()).collect();
            prop_assert_eq!(at.len(), n, "place {}", place);
        }
    }

    #[test]
    fn shifts_move_each_choice_to_each_place_once(n in 2usize..27, k in 2usize..27, right in 0usize..26) {
        let it = item(0, n, right % n);
        let found = shifts(&it, k);
        prop_assert_eq!(found.len(), k.min(n) - 1);
        let mut places: BTreeSet<usize> = [it.right().unwrap()].into();
        for order in &found {
            prop_assert!(is_permutation(order, n));
            // Cyclic: every choice keeps its neighbour.
            prop_assert!((0..n).all(|i| order[(i + 1) % n] == (order[i] + 1) % n as u32));
            places.insert(it.reordered(order).unwrap().right().unwrap());
        }
        prop_assert_eq!(places.len(), k.min(n));
    }
}

#[test]
fn other_seeds_and_groups_have_other_orders_and_as_given_has_none() {
    let items: Vec<Item> = (0..12).map(|i| item(i, 10, i % 10)).collect();
    let of = |seed, group| orders(&BALANCED, seed, group, &items);
    assert_ne!(of(1, 0), of(2, 0));
    assert_ne!(of(1, 0), of(1, 1));
    assert_eq!(orders(&OptionsSection::default(), 1, 0, &items), vec![Vec::<u32>::new(); 12]);
    // The other choices are shuffled too: right answers aside, neighbours part.
    let order = of(1, 0)[0].clone();
    assert!(order.windows(2).any(|w| w[1] != (w[0] + 1) % 10));
}

#[test]
fn choices_that_name_others_stay_and_the_rest_moves() {
    let whole = with(&["x", "none of the above", "y", "z", "all of the above"], 2);
    let (mut seen, mut rights) = (BTreeSet::new(), BTreeSet::new());
    for group in 0..200 {
        let order = orders(&BALANCED, 5, group, std::slice::from_ref(&whole)).remove(0);
        assert!(is_permutation(&order, 5) && order[1] == 1 && order[4] == 4, "{order:?}");
        rights.insert(whole.reordered(&order).unwrap().right().unwrap());
        seen.insert(order);
    }
    assert_eq!((seen.len(), rights), (6, [0, 2, 3].into()));
    let single = with(&["x", "y", "z", "A and C"], 0);
    assert_eq!(orders(&BALANCED, 5, 0, std::slice::from_ref(&single)), [Vec::<u32>::new()]);
    assert!(shifts(&single, 4).is_empty());
    // The right choice is one of three that move, or one that does not.
    let found = shifts(&whole, 5);
    assert_eq!(found, [[3, 1, 0, 2, 4], [2, 1, 3, 0, 4]]);
    assert!(shifts(&Item { target: Some(Target::Choice(4)), ..whole }, 5).is_empty());
}

#[test]
fn items_without_choices_or_with_a_script_keep_their_order() {
    let open = Item { target: None, ..item(0, 0, 0) };
    let unanswered = Item { target: None, ..item(1, 6, 0) };
    let script = vec![ScriptTurn { user: "A. x, B. y?".into(), reply: None }];
    let scripted = Item { script, ..item(2, 2, 0) };
    let found = orders(&BALANCED, 1, 0, &[open, unanswered.clone(), scripted.clone()]);
    assert!(found[0].is_empty() && found[2].is_empty() && is_permutation(&found[1], 6));
    // Nothing is right, so nothing has log-odds.
    assert!(shifts(&unanswered, 3).is_empty() && shifts(&scripted, 2).is_empty());
}

#[test]
fn keys_that_would_do_nothing_are_refused_and_the_rest_is_counted() {
    let count = |items: &[Item]| {
        let mut out = Count::default();
        for i in items {
            out.add(i);
        }
        out
    };
    let left = OptionsSection { options_naming_others: Some(NamingOthers::LeftOut), ..BALANCED };
    let whole = with(&["x", "y", "none of these"], 0);
    let single = with(&["x", "y", "A and B"], 0);
    let script = vec![ScriptTurn { user: "?".into(), reply: None }];
    let all = count(&[item(0, 4, 1), whole.clone(), single.clone(), Item { script, ..item(1, 2, 0) }, Item::default()]);
    assert_eq!(all, Count { items: 4, moves: 2, whole: 1, single: 1, scripted: 1, fixed: 0, most: 4 });
    assert!(all.check(&BALANCED).is_ok() && all.check(&left).is_ok());
    let told = all.notes(&BALANCED).join("; ");
    assert!(
        told.starts_with("in 2 of 4 items with choices") && told.contains("1 of 4 items with choices have a script")
    );
    assert!(all.notes(&left)[0].starts_with("2 of 4 items with choices are left out"));
    assert!(all.notes(&OptionsSection::default()).is_empty());
    let refused = |items: &[Item], s: &OptionsSection| count(items).check(s).unwrap_err().to_string();
    assert!(refused(&[], &BALANCED).contains("has no items with choices"));
    assert!(refused(std::slice::from_ref(&single), &BALANCED).contains("in every item a choice speaks of others"));
    // More shifts than choices would be asked as fewer.
    let shifted = |option_shifts| OptionsSection { option_shifts, ..OptionsSection::default() };
    assert!(
        refused(&[item(0, 4, 1), whole.clone()], &shifted(5)).contains("no item has more than 4 choices that move")
    );
    assert!(count(&[item(0, 4, 1), whole.clone()]).check(&shifted(4)).is_ok());
    // With both left alone, "none of these" still lets two move; left out, nothing is there to move.
    assert!(count(std::slice::from_ref(&whole)).check(&BALANCED).is_ok());
    assert!(refused(&[whole], &left).contains("no choices can be moved"));
    assert!(count(&[single]).check(&OptionsSection::default()).is_ok());
}

#[test]
fn items_whose_order_carries_meaning_keep_it() {
    let fixed = Item { text: "Which one stands third?".into(), fixed_choices: true, ..item(0, 5, 2) };
    let free = item(1, 5, 2);
    let items = [fixed.clone(), free.clone()];
    for group in 0..20 {
        let found = orders(&BALANCED, 7, group, &items);
        assert!(found[0].is_empty() && is_permutation(&found[1], 5));
    }
    assert!(shifts(&fixed, 5).is_empty());
    let count = |items: &[Item]| {
        let mut out = Count::default();
        items.iter().for_each(|i| assert!(!out.add(i)));
        out
    };
    let both = count(&items);
    assert_eq!(both, Count { items: 2, moves: 1, fixed: 1, most: 5, ..Count::default() });
    let left = OptionsSection { options_naming_others: Some(NamingOthers::LeftOut), ..BALANCED };
    assert!(both.check(&BALANCED).is_ok() && both.check(&left).is_ok());
    assert!(both.notes(&BALANCED)[0].starts_with("1 of 2 items with choices keep their order"));
    let all = count(&[fixed.clone(), fixed.clone()]);
    for section in [&BALANCED, &left, &OptionsSection { option_shifts: 3, ..OptionsSection::default() }] {
        let told = all.check(section).unwrap_err().to_string();
        assert!(told.contains("no choices can be moved") && told.contains("carries meaning"), "{told}");
    }
    assert!(all.check(&OptionsSection::default()).is_ok());
    let single = with(&["x", "y", "A and B"], 0);
    let mut mixed = count(&[fixed]);
    assert!(mixed.add(&single));
    assert!(mixed.check(&BALANCED).unwrap_err().to_string().contains("or an order that carries meaning"));
}

/// A dataset that goes by ids, whatever the item that it is given.
struct Stubborn {
    bank: Bank,
    prompts: bool,
}
impl Stubborn {
    fn own(&self, item: &Item) -> Item {
        self.bank.items["c"].iter().find(|i| i.id == item.id).unwrap().clone()
    }
}
impl Dataset for Stubborn {
    fn categories(&self) -> &[Category] {
        self.bank.categories()
    }
    fn item(&self, c: &Category, index: usize) -> Result<Item> {
        self.bank.item(c, index)
    }
    fn prompt(&self, item: &Item) -> Result<String> {
        self.bank.prompt(&if self.prompts { self.own(item) } else { item.clone() })
    }
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        self.bank.grade(&self.own(item), reply)
    }
    fn fingerprint(&self) -> String {
        "stubborn".into()
    }
}

#[test]
fn datasets_that_go_by_an_order_of_their_own_are_refused() {
    let bank = || Bank::new([("c".to_string(), (0..9).map(|i| item(i, 4, 1)).collect())].into(), "f".into());
    let told = |d: &dyn Dataset| {
        let items = bank().items["c"].clone();
        let orders = orders(&BALANCED, 3, 0, &items);
        let plan = |(given, order): (&Item, Vec<u32>)| {
            let item = given.reordered(&order).unwrap();
            PlannedItem { topic: "c".into(), prompt: d.prompt(&item).unwrap(), item, order }
        };
        let group: Vec<PlannedItem> = items.iter().zip(orders).map(plan).collect();
        obeyed(d, None, &[group]).map_err(|e| e.to_string())
    };
    assert_eq!(told(&bank()), Ok(()));
    assert!(
        told(&Stubborn { bank: bank(), prompts: true }).unwrap_err().contains("writes choices in an order of its own")
    );
    assert!(
        told(&Stubborn { bank: bank(), prompts: false }).unwrap_err().contains("grades choices in an order of its")
    );
}

#[test]
fn a_row_tells_where_its_letters_stood() {
    let given = item(0, 4, 2);
    let order = orders(&BALANCED, 8, 3, std::slice::from_ref(&given)).remove(0);
    let shown = given.reordered(&order).unwrap();
    let row = TurnRow { choice_order: order, target: shown.target_text(), choices: 4, ..TurnRow::default() };
    assert_eq!(row.choice_order[row.target_choice().unwrap()], 2);
}
