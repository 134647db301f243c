//! Answers that changed between the rounds of an item: what was right at first and is not at last, and the reverse.
use friction_core::{Column, ConversationId, Findings, Table, TurnLink, TurnRow, plural};
use friction_stats::{cite, sign_flip};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most turns that are linked.
const LINKS: usize = 20;

/// Counts of one condition's items.
#[derive(Default)]
struct Counts {
    items: i64,
    broken: i64,
    mended: i64,
    right: i64,
    wrong: i64,
    /// Items whose answer is another one, right or wrong.
    changed: i64,
    /// Mended minus broken, by group.
    groups: BTreeMap<u32, i64>,
}

impl Counts {
    fn p(&self) -> f64 {
        sign_flip(&self.groups.values().copied().collect::<Vec<_>>()).p
    }
}

/// Writes the table `rounds`: of items that are asked over several rounds, the answer at the first and the last that was
/// graded. Nothing where no item has two such rounds.
pub fn tell(turns: &[&TurnRow], out: &mut Findings) {
    let mut items: BTreeMap<(ConversationId, &str), [&TurnRow; 2]> = BTreeMap::new();
    for t in turns.iter().filter(|t| t.right().is_some()) {
        let ends = items.entry((t.conversation(), &t.item_id)).or_insert([t, t]);
        if t.round < ends[0].round {
            ends[0] = t;
        }
        if t.round > ends[1].round {
            ends[1] = t;
        }
    }
    // In the manifest's order.
    let mut order: Vec<&str> = vec![];
    turns.iter().for_each(|t| {
        if !order.contains(&t.condition.as_str()) {
            order.push(&t.condition);
        }
    });
    let mut by: BTreeMap<&str, Counts> = BTreeMap::new();
    let mut links = vec![];
    for ((of, _), [first, last]) in items.iter().filter(|(_, [a, b])| a.round < b.round) {
        let c = by.entry(of.condition).or_default();
        c.items += 1;
        c.changed += i64::from(first.answer != last.answer);
        let step = match (first.right() == Some(true), last.right() == Some(true)) {
            (true, false) => {
                c.broken += 1;
                links.push(link(last));
                -1
            }
            (false, true) => {
                c.mended += 1;
                1
            }
            (true, true) => {
                c.right += 1;
                0
            }
            (false, false) => {
                c.wrong += 1;
                0
            }
        };
        *c.groups.entry(of.group).or_default() += step;
    }
    let rows: Vec<(&str, &Counts)> = order.iter().filter_map(|c| Some((*c, by.get(c)?))).collect();
    if rows.is_empty() {
        return;
    }
    let count = |name: &str, f: fn(&Counts) -> i64| Column::count(name, rows.iter().map(|(_, c)| f(c)));
    let groups = rows.iter().map(|(_, c)| c.groups.len()).max().unwrap_or(0);
    let all: i64 = rows.iter().map(|(_, c)| c.items).sum();
    let caption = format!(
        "{} asked over several rounds, by the first and the last answer that was graded; changed: the answer is another one, right or wrong",
        plural(all as usize, "item")
    );
    let table = Table::new("rounds", caption)
        .column(Column::text("condition", rows.iter().map(|(name, _)| *name)))
        .column(count("items", |c| c.items))
        .column(count("right_to_wrong", |c| c.broken))
        .column(count("wrong_to_right", |c| c.mended))
        .column(count("stayed_right", |c| c.right))
        .column(count("stayed_wrong", |c| c.wrong))
        .column(count("changed", |c| c.changed).title("answer changed"))
        .column(Column::number("p", rows.iter().map(|(_, c)| c.p())).digits(4));
    links.truncate(LINKS);
    out.section("Rounds");
    out.table(table)
        .over(groups, "group")
        .method("p: exact sign flips of each group's items that became right minus those that became wrong, one sign per group; with one item a group it is McNemar's exact test")
        .citation(format!("{}; {}", cite::MCNEMAR, cite::SIGN_FLIPS))
        .links(links);
    let told = rows.iter().map(|(name, c)| {
        json!({
            "condition": name, "items": c.items, "right_to_wrong": c.broken, "wrong_to_right": c.mended,
            "stayed_right": c.right, "stayed_wrong": c.wrong, "changed": c.changed, "p": c.p(), "groups": c.groups.len(),
        })
    });
    out.value("rounds", told.collect::<Vec<Value>>());
}

fn link(t: &TurnRow) -> TurnLink {
    let TurnRow { group, condition, arm, sample, turn, .. } = t;
    TurnLink { group: *group, condition: condition.clone(), arm: arm.clone(), sample: *sample, turn: *turn }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_stats::Rng;

    fn asked(group: u32, condition: &str, item: &str, answers: &[&str]) -> Vec<TurnRow> {
        let row = |(round, answer): (u32, &&str)| TurnRow {
            group,
            condition: condition.into(),
            item_id: item.into(),
            turn: round,
            round,
            answer: (!answer.is_empty()).then(|| answer.to_string()),
            score: Some(f64::from(u8::from(*answer == "A"))),
            ..TurnRow::default()
        };
        (1..).zip(answers).map(row).collect()
    }

    fn told(rows: &[TurnRow]) -> Findings {
        let mut out = Findings::default();
        tell(&rows.iter().collect::<Vec<_>>(), &mut out);
        out
    }

    #[test]
    fn flips_are_counted_between_the_first_and_the_last_round() {
        let rows = [
            asked(0, "doubted", "x", &["A", "A", "B"]),
            asked(0, "doubted", "y", &["B", "A"]),
            asked(1, "doubted", "x", &["A", "B", "A"]),
            asked(2, "doubted", "x", &["B", "C"]),
            asked(3, "doubted", "x", &["A", ""]),
            asked(0, "again", "x", &["A", "A"]),
            // One round is no change.
            asked(1, "again", "z", &["A"]),
        ]
        .concat();
        let out = told(&rows);
        let v = &out.values["rounds"];
        let of = |i: usize, k: &str| v[i][k].as_i64().unwrap();
        assert_eq!((v[0]["condition"].as_str(), v[1]["condition"].as_str()), (Some("doubted"), Some("again")));
        let keys = ["items", "right_to_wrong", "wrong_to_right", "stayed_right", "stayed_wrong", "changed"];
        assert_eq!(keys.map(|k| of(0, k)), [5, 2, 1, 1, 1, 4]);
        assert_eq!(keys.map(|k| of(1, k)), [1, 0, 0, 1, 0, 0]);
        // Group 0 has a change either way, so group 3 alone is informative.
        assert_eq!(v[0]["p"].as_f64(), Some(1.0));
        let block = out.blocks.iter().find(|b| !b.links.is_empty()).unwrap();
        assert_eq!(block.links.iter().map(|l| (l.group, l.turn)).collect::<Vec<_>>(), [(0, 3), (3, 2)]);
        assert!(told(&asked(0, "a", "x", &["A"])).blocks.is_empty());
    }

    #[test]
    fn with_one_item_a_group_p_is_that_of_mcnemars_exact_test() {
        let mut rows = vec![];
        for g in 0..12 {
            let answers: [&str; 2] = match g {
                0..7 => ["A", "B"],
                7..9 => ["B", "A"],
                _ => ["A", "A"],
            };
            rows.extend(asked(g, "doubted", "x", &answers));
        }
        // R: binom.test(2, 9)$p.value.
        let p = told(&rows).values["rounds"][0]["p"].as_f64().unwrap();
        assert!((p - 0.1796875).abs() < 1e-12, "{p}");
    }

    /// Items of a group change together, and without a direction. Counting items as units would reject too often.
    #[test]
    fn changes_without_a_direction_are_found_in_five_percent() {
        let mut rng = Rng::new(4);
        let (mut found, studies) = (0, 600);
        for _ in 0..studies {
            let mut rows = vec![];
            for g in 0..14 {
                let falls = rng.unit() < 0.5;
                for item in ["x", "y", "z", "w"] {
                    let answers = match rng.unit() < 0.7 {
                        true if falls => ["A", "B"],
                        true => ["B", "A"],
                        false => ["A", "A"],
                    };
                    rows.extend(asked(g, "doubted", item, &answers));
                }
            }
            found += usize::from(told(&rows).values["rounds"][0]["p"].as_f64().unwrap() <= 0.05);
        }
        // A correct test is outside these once in 10,000 times.
        assert!((12..=52).contains(&found), "{found} of {studies}");
    }
}
