//! How the conditions of a design can be compared.
use crate::Factors;
use std::collections::{BTreeMap, BTreeSet};

/// Whether conditions are a fraction of a factorial in which the levels of `compared` can only be averaged: no two
/// conditions (of two factors: no four, one of each combination) differ in these factors alone, but every combination of their levels has equally many conditions, in
/// which each level of every other factor occurs equally often. The other factors' own effects then cancel in a difference
/// of averages (Box, Hunter and Hunter 1978, Statistics for Experimenters).
///
/// `false` where there are such pairs, which are compared instead; where two conditions have equal factors; and where a
/// factor changes together with `compared`.
pub fn is_fraction<'a>(conditions: impl IntoIterator<Item = &'a Factors>, compared: &[String]) -> bool {
    let split = |f: &'a Factors| -> (Vec<&'a str>, BTreeMap<&'a str, &'a str>) {
        let own = compared.iter().map(|c| f.get(c).map_or("", String::as_str)).collect();
        let others = f.iter().filter(|(k, _)| !compared.contains(k)).map(|(k, v)| (k.as_str(), v.as_str())).collect();
        (own, others)
    };
    let mut cells: BTreeMap<Vec<&str>, Vec<BTreeMap<&str, &str>>> = BTreeMap::new();
    for f in conditions {
        let (own, others) = split(f);
        cells.entry(own).or_default().push(others);
    }
    let levels = |i: usize| cells.keys().map(|own| own[i]).collect::<BTreeSet<_>>().len();
    let whole = cells.len() > 1 && cells.len() == (0..compared.len()).map(levels).product::<usize>();
    // Conditions of one cell that agree in every other factor are twins.
    let twins = cells.values().any(|cell| cell.iter().enumerate().any(|(i, a)| cell[..i].contains(a)));
    // Of one factor, two such conditions at different levels are a pair; of two crossed ones, all cells make a square.
    let side_by_side = if compared.len() == 1 { 2 } else { cells.len() };
    let in_cells = |a: &BTreeMap<&str, &str>| cells.values().filter(|cell| cell.contains(a)).count();
    let alone = !twins && cells.values().flatten().all(|a| in_cells(a) < side_by_side);
    let counts = |cell: &[BTreeMap<&str, &str>]| {
        let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
        for (k, v) in cell.iter().flatten() {
            *counts.entry((k.to_string(), v.to_string())).or_default() += 1;
        }
        (cell.len(), counts)
    };
    let mut of = cells.values().map(|cell| counts(cell));
    let first = of.next();
    whole && alone && of.all(|c| Some(c) == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Conditions with the factors a, b, c, …, from texts such as `-+-`.
    fn design(cells: &[&str]) -> Vec<Factors> {
        let one = |cell: &&str| ('a'..).zip(cell.chars()).map(|(f, l)| (f.to_string(), l.to_string())).collect();
        cells.iter().map(one).collect()
    }

    fn fraction(cells: &[&str], compared: &[&str]) -> bool {
        let compared: Vec<String> = compared.iter().map(|c| c.to_string()).collect();
        is_fraction(&design(cells), &compared)
    }

    #[test]
    fn only_what_is_balanced_and_has_no_pairs_is_averaged() {
        // I = ABC, the half of 2³ of resolution III.
        let half = ["--+", "-+-", "+--", "+++"];
        assert!(fraction(&half, &["a"]) && fraction(&half, &["c"]));
        // A × B is C there: it cannot be told from C.
        assert!(!fraction(&half, &["a", "b"]));
        // I = ABCD, of resolution IV: A × B is C × D, but clear of C and D.
        let iv = ["----", "--++", "-+-+", "-++-", "+--+", "+-+-", "++--", "++++"];
        assert!(fraction(&iv, &["a"]) && fraction(&iv, &["a", "b"]));
        // A Latin square.
        assert!(fraction(&["000", "011", "022", "101", "112", "120", "202", "210", "221"], &["a"]));
        // A full factorial has pairs; a factor that changes with another has neither.
        assert!(!fraction(&["--", "-+", "+-", "++"], &["a"]));
        assert!(!fraction(&["--", "++"], &["a"]));
        // A cell is missing, a cell is there twice, one level alone.
        assert!(!fraction(&half[..3], &["a"]));
        assert!(!fraction(&["--+", "--+", "-+-", "-+-", "+--", "+--", "+++", "+++"], &["a"]));
        assert!(!fraction(&["--", "-+"], &["a"]));
    }
}
