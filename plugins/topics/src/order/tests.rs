//! What holds for every order, and that draws of before are those of now.
#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

const ALL: [Order; 3] = [Order::Shuffled, Order::Balanced, Order::Fixed];

fn cx(seed: u64, groups: usize, turns: usize) -> PlanContext {
    PlanContext { seed, groups, turns }
}

/// The order of `fixed` before topics were kept from following themselves.
fn before(n: usize, cx: &PlanContext, group: u64) -> Vec<usize> {
    let round = |round: u64| {
        let drawn = seed::derive(&[b"topics", &cx.seed.to_le_bytes(), &group.to_le_bytes(), &round.to_le_bytes()]);
        seed::permutation(n, drawn)
    };
    (0..).flat_map(round).take(cx.turns).collect()
}

proptest! {
    #[test]
    fn rows_are_those_of_all_groups(
        seed: u64, groups in 1usize..60, n in 1usize..9, turns in 1usize..25, from in 0usize..60, wide in 0usize..60,
    ) {
        let (cx, chosen) = (cx(seed, groups, turns), (0..n).map(|i| 3 * i + 1).collect::<Vec<_>>());
        let (from, to) = (from.min(groups), (from + wide).min(groups));
        for order in ALL {
            let all = order.rows(&chosen, &cx, 0..groups);
            prop_assert_eq!(&all, &order.rows(&chosen, &cx, 0..groups));
            prop_assert_eq!(&all.order[from..to], &order.rows(&chosen, &cx, from..to).order[..]);
            prop_assert_eq!(order.balance(&chosen, &cx), all.balance());
            for row in &all.order {
                prop_assert_eq!(row.len(), turns);
                prop_assert!(n == 1 || row.windows(2).all(|w| w[0] != w[1]), "{:?}: {:?}", order, row);
                // Each round visits every topic.
                for round in row.chunks_exact(n) {
                    let mut sorted = round.to_vec();
                    sorted.sort_unstable();
                    prop_assert_eq!(&sorted, &chosen);
                }
            }
        }
    }

    #[test]
    fn balanced_counts_are_equal_or_differ_by_one(seed: u64, blocks in 0usize..5, rest in 0usize..12, n in 1usize..12, turns in 1usize..30) {
        let groups = blocks * n + rest % n;
        let (cx, chosen) = (cx(seed, groups, turns), (0..n).collect::<Vec<_>>());
        let balance = Order::Balanced.balance(&chosen, &cx);
        let (low, high) = ((groups / n) as u64, groups.div_ceil(n) as u64);
        for topic in 0..n {
            for turn in 0..turns {
                prop_assert!((low..=high).contains(&balance.count(topic, turn)));
            }
        }
        prop_assert!(balance.even());
        if groups > 0 && groups % n == 0 && n > 1 && turns > 1 {
            prop_assert!(balance.association().unwrap() < 1e-6);
        }
    }

    #[test]
    fn draws_of_before_change_only_where_a_topic_followed_itself(seed: u64, group in 0u64..1000, n in 1usize..8, turns in 1usize..30) {
        let cx = cx(seed, 1000, turns);
        let (old, new) = (before(n, &cx, group), shuffled(n, &cx, group as usize));
        if n == 1 || old.windows(2).all(|w| w[0] != w[1]) {
            prop_assert_eq!(old, new);
        } else {
            prop_assert_ne!(old, new);
        }
    }
}

/// Numbers of a program in Python that draws as [`seed`] documents, as versions before this one did.
#[test]
fn shuffled_orders_are_the_documented_draws() {
    let cx = cx(11, 8, 10);
    let rows = Order::Shuffled.rows(&[0, 1, 2, 3], &cx, 0..8).order;
    for (group, row) in WITHOUT_REPEATS {
        assert_eq!(rows[group], row);
    }
}

#[test]
fn other_seeds_and_groups_have_other_orders() {
    let chosen: Vec<usize> = (0..8).collect();
    for order in [Order::Shuffled, Order::Balanced] {
        let rows = order.rows(&chosen, &cx(1, 400, 8), 0..400).order;
        let mut distinct = rows.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 380, "{order:?}: {}", distinct.len());
        assert_ne!(rows, order.rows(&chosen, &cx(2, 400, 8), 0..400).order);
    }
}

/// A topic is drawn at each turn about equally often also where nothing balances it, and every other topic follows it.
#[test]
fn a_round_that_may_not_begin_with_the_last_topic_is_drawn_evenly() {
    let (n, groups) = (4, 40_000);
    let rows = Order::Shuffled.rows(&[0, 1, 2, 3], &cx(6, groups, 5), 0..groups).order;
    let mut pairs = vec![0u64; n * n];
    rows.iter().for_each(|row| pairs[row[3] * n + row[4]] += 1);
    // 12 pairs of 3,333 each; the standard deviation of a count is 55.
    for (i, count) in pairs.iter().enumerate() {
        let expected = if i % (n + 1) == 0 { 0.0 } else { groups as f64 / 12.0 };
        assert!((*count as f64 - expected).abs() < 5.0 * 55.0, "{pairs:?}");
        assert!(i % (n + 1) != 0 || *count == 0);
    }
}

#[test]
fn a_million_groups_take_a_second() {
    let (cx, chosen) = (cx(5, 1_000_000, 14), (0..14).collect::<Vec<_>>());
    let began = std::time::Instant::now();
    let balance = Order::Balanced.balance(&chosen, &cx);
    let spent = began.elapsed();
    assert_eq!((balance.least(), balance.most()), (71_428, 71_429));
    assert!(spent.as_secs() < 20, "{spent:?}: in a release build it is below 2 s");
}

const WITHOUT_REPEATS: [(usize, [usize; 10]); 4] = [
    (0, [2, 0, 1, 3, 1, 0, 2, 3, 0, 3]),
    (3, [0, 3, 2, 1, 2, 1, 0, 3, 1, 0]),
    (4, [0, 1, 2, 3, 0, 3, 2, 1, 2, 0]),
    (5, [0, 1, 2, 3, 2, 0, 3, 1, 2, 1]),
];
