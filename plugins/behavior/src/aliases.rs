//! Effects that a contrast cannot be told apart from, because the conditions are a fraction of all combinations.
use crate::values::Factor;
use friction_core::TurnRow;
use std::collections::{BTreeMap, BTreeSet};

/// Most factors of an effect that is looked at.
const ORDER: usize = 3;
/// Most effects that are listed.
const LISTED: usize = 6;

/// The effects whose sign is that of the contrast's effect in every condition, or the opposite one in every condition: the
/// aliases of the product of `factors`, those of the fewest factors first. Of aliases of three factors none is listed where
/// shorter ones are. An effect is a product of factors of two levels (Box, Hunter and Hunter 2005, chapter 6).
///
/// `turns` are those that are compared, in the manifest's order. Empty if a factor of the contrast has another number of
/// levels.
pub fn aliases(factors: &[String], turns: &[&TurnRow]) -> Vec<String> {
    let designs: BTreeMap<&str, &TurnRow> = turns.iter().map(|t| (t.condition.as_str(), *t)).collect();
    let names: BTreeSet<&String> = turns.iter().flat_map(|t| t.factors.keys()).collect();
    // For each factor of two levels, which conditions have the second.
    let signs: Vec<(&str, Vec<bool>)> = names
        .into_iter()
        .filter_map(|name| {
            let levels = Factor::Named(name.clone()).levels(turns);
            let [_, second] = &levels[..] else { return None };
            let high = designs.values().map(|t| t.factors.get(name).map(|l| l == second)).collect::<Option<_>>()?;
            Some((name.as_str(), high))
        })
        .collect();
    let own: Option<Vec<usize>> = factors.iter().map(|f| signs.iter().position(|(name, _)| name == f)).collect();
    let Some(mut own) = own else { return vec![] };
    own.sort_unstable();
    let product = |of: &[usize]| -> Vec<bool> {
        (0..designs.len()).map(|c| of.iter().fold(false, |sign, f| sign ^ signs[*f].1[c])).collect()
    };
    let sign = product(&own);
    let same = |of: &[usize]| {
        let other = product(of);
        other == sign || other.iter().zip(&sign).all(|(a, b)| a != b)
    };
    let mut found: Vec<Vec<usize>> =
        subsets(signs.len(), ORDER).into_iter().filter(|of| *of != own && same(of)).collect();
    let least = found.iter().map(Vec::len).min().unwrap_or(0);
    found.retain(|of| of.len() <= least.max(2));
    let word = |of: &Vec<usize>| of.iter().map(|f| signs[*f].0).collect::<Vec<_>>().join(" × ");
    found.iter().take(LISTED).map(word).collect()
}

/// All sets of 1 to `most` of the numbers below `n`, smaller sets first, each sorted.
fn subsets(n: usize, most: usize) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = vec![];
    let mut last: Vec<Vec<usize>> = vec![vec![]];
    for _ in 0..most {
        let longer = |set: &Vec<usize>| {
            let set = set.clone();
            (set.last().map_or(0, |l| l + 1)..n).map(move |next| [set.as_slice(), &[next]].concat())
        };
        last = last.iter().flat_map(longer).collect();
        out.extend(last.iter().cloned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn of each cell; a cell is a level of each factor A, B, …: `-` or `+`.
    fn rows(cells: &[&str]) -> Vec<TurnRow> {
        let factors = |cell: &str| ('A'..).zip(cell.chars()).map(|(f, l)| (f.to_string(), l.to_string())).collect();
        let row = |cell: &&str| TurnRow { condition: cell.to_string(), factors: factors(cell), ..TurnRow::default() };
        cells.iter().map(row).collect()
    }

    fn of(contrast: &[&str], cells: &[&str]) -> Vec<String> {
        let rows = rows(cells);
        aliases(&contrast.iter().map(|f| f.to_string()).collect::<Vec<_>>(), &rows.iter().collect::<Vec<_>>())
    }

    #[test]
    fn aliases_are_those_of_the_textbook() {
        // Montgomery, Design and Analysis of Experiments: the half of 2³ with I = ABC, and that with I = -ABC.
        for half in [["--+", "-+-", "+--", "+++"], ["---", "-++", "+-+", "++-"]] {
            assert_eq!(of(&["A"], &half), ["B × C"]);
            assert_eq!(of(&["A", "B"], &half), ["C"]);
            assert_eq!(of(&["B", "A"], &half), ["C"]);
        }
        // Resolution IV, D = ABC: a main effect has an alias of three factors, and interactions of two come in pairs.
        let four = ["----", "--++", "-+-+", "-++-", "+--+", "+-+-", "++--", "++++"];
        assert_eq!(of(&["A"], &four), ["B × C × D"]);
        assert_eq!(of(&["A", "B"], &four), ["C × D"]);
        // Resolution III, D = AB and E = AC.
        let five = ["---++", "--++-", "-+--+", "-++--", "+----", "+-+-+", "++-+-", "+++++"];
        assert_eq!(of(&["A"], &five), ["B × D", "C × E"]);
        assert_eq!(of(&["D"], &five), ["A × B"]);
        // A full design has none, and neither has a factor of three levels.
        assert!(of(&["A"], &["--", "-+", "+-", "++"]).is_empty());
        assert!(of(&["A"], &["--", "0+", "+-"]).is_empty());
    }
}
