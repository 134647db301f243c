//! The cells of a factorial: which there are, and the options that each has.
use crate::Factors;
use crate::issues::{Path, Step};
use std::collections::BTreeMap;

/// A factor of the design, with its levels in order.
#[derive(Debug, Clone)]
pub(super) struct Factor {
    /// Name of the factor.
    pub name: String,
    /// The path of its table.
    pub path: Path,
    /// Each level with the options that it gives.
    pub levels: Vec<(String, toml::Table)>,
}

impl Factor {
    /// The path of a level.
    pub fn at(&self, level: usize) -> Path {
        self.path.key("levels").key(&self.levels[level].0)
    }

    #[cfg(test)]
    pub fn of(name: &str, levels: &[&str]) -> Self {
        let levels = levels.iter().map(|l| (l.to_string(), toml::Table::new())).collect();
        Self { name: name.into(), path: Path::default().key("factor"), levels }
    }
}

/// Every combination of levels, as the index of each factor's level; the first factor changes slowest.
pub(super) fn product(factors: &[Factor]) -> Vec<Vec<usize>> {
    factors.iter().fold(vec![vec![]], |cells, f| {
        let with = |cell: &Vec<usize>, level| cell.iter().copied().chain([level]).collect();
        cells.iter().flat_map(|cell| (0..f.levels.len()).map(move |l| with(cell, l))).collect()
    })
}

/// The factors of a cell.
pub(super) fn named(cell: &[usize], factors: &[Factor]) -> Factors {
    cell.iter().zip(factors).map(|(l, f)| (f.name.clone(), f.levels[*l].0.clone())).collect()
}

/// An option that two levels of a cell set to different values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clash {
    /// Factor and level that set it first, by index.
    pub first: (usize, usize),
    /// Factor and level that set it otherwise.
    pub second: (usize, usize),
    /// The option, below the level.
    pub option: Path,
}

/// Options that levels of different factors set to different values in some cell, each pair of levels once.
pub(super) fn clashes(cells: &[Vec<usize>], factors: &[Factor]) -> Vec<Clash> {
    let mut out = vec![];
    for b in 1..factors.len() {
        for a in 0..b {
            let mut pairs: Vec<(usize, usize)> = cells.iter().map(|c| (c[a], c[b])).collect();
            pairs.sort_unstable();
            pairs.dedup();
            for (x, y) in pairs {
                let mut options = vec![];
                differing(&factors[a].levels[x].1, &factors[b].levels[y].1, &Path::default(), &mut options);
                out.extend(options.into_iter().map(|option| Clash { first: (a, x), second: (b, y), option }));
            }
        }
    }
    out
}

/// The paths at which both tables have a value, and not the same.
fn differing(a: &toml::Table, b: &toml::Table, at: &Path, out: &mut Vec<Path>) {
    for (key, x) in a {
        match (x, b.get(key)) {
            (_, None) => {}
            (toml::Value::Table(x), Some(toml::Value::Table(y))) => differing(x, y, &at.key(key), out),
            (x, Some(y)) if x == y => {}
            _ => out.push(at.key(key)),
        }
    }
}

/// A table that is put together of several, with the place in the manifest that each value comes from.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The values.
    pub table: toml::Table,
    /// Paths below the table, each with the path that the manifest has.
    pub origins: Vec<(Path, Path)>,
}

impl Joined {
    /// Adds a table's values, key by key; one that is there already is replaced, unless both are tables.
    pub fn add(&mut self, table: &toml::Table, from: &Path) {
        join(&mut self.table, table, &Path::default(), from, &mut self.origins);
    }
}

fn join(to: &mut toml::Table, table: &toml::Table, at: &Path, from: &Path, origins: &mut Vec<(Path, Path)>) {
    for (key, value) in table {
        let (at, from) = (at.key(key), from.key(key));
        match (to.get_mut(key), value) {
            (Some(toml::Value::Table(to)), toml::Value::Table(more)) => join(to, more, &at, &from, origins),
            _ => {
                to.insert(key.clone(), value.clone());
                origins.push((at, from));
            }
        }
    }
}

/// The place in the manifest of what lies at `path`: that of the longest path known, and below it the same steps. Of
/// equal ones the last counts.
pub(in crate::manifest) fn origin(path: &Path, origins: &[(Path, Path)]) -> Option<Path> {
    let known = origins.iter().filter(|(at, _)| path.0.starts_with(&at.0));
    let (at, from) = known.max_by_key(|(at, _)| at.0.len())?;
    Some(Path(from.0.iter().chain(&path.0[at.0.len()..]).cloned().collect()))
}

/// The name of a cell's condition: the pattern with levels in the place of factors, or the levels joined by `_`.
pub(super) fn name(pattern: Option<&str>, levels: &Factors, factors: &[Factor]) -> String {
    match pattern {
        Some(pattern) => levels.iter().fold(pattern.to_string(), |name, (f, l)| name.replace(&format!("{{{f}}}"), l)),
        None => {
            let all: Vec<&str> = factors.iter().filter_map(|f| levels.get(&f.name)).map(String::as_str).collect();
            all.join("_")
        }
    }
}

/// The paths of a condition of index `i`: those of a joined table, `factors` and the table itself.
pub(super) fn placed(i: usize, joined: &Joined, whole: &Path, levels: &BTreeMap<String, Path>) -> Vec<(Path, Path)> {
    let at = Path(vec![Step::Key("condition".into()), Step::Index(i)]);
    let below = |path: &Path| Path(at.0.iter().chain(&path.0).cloned().collect());
    let mut out = vec![(at.clone(), whole.clone())];
    out.extend(joined.origins.iter().map(|(path, from)| (below(path), from.clone())));
    out.extend(levels.iter().map(|(factor, from)| (at.key("factors").key(factor), from.clone())));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn factor(name: &str, levels: &str) -> Factor {
        let table: toml::Table = toml::from_str(levels).unwrap();
        let of = |(k, v): (String, toml::Value)| (k, v.as_table().unwrap().clone());
        Factor { name: name.into(), path: Path::default().key(name), levels: table.into_iter().map(of).collect() }
    }

    #[test]
    fn levels_keep_their_order_and_the_first_factor_changes_slowest() {
        let all = [factor("tone", "polite = {}\nblunt = {}"), factor("size", "z = {}\na = {}\nm = {}")];
        let names: Vec<String> = product(&all).iter().map(|c| name(None, &named(c, &all), &all)).collect();
        assert_eq!(names, ["polite_z", "polite_a", "polite_m", "blunt_z", "blunt_a", "blunt_m"]);
        assert_eq!(name(Some("{size}-{tone}"), &named(&[1, 0], &all), &all), "z-blunt");
    }

    #[test]
    fn tables_are_joined_key_by_key_and_every_value_keeps_its_place() {
        let table = |text: &str| toml::from_str::<toml::Table>(text).unwrap();
        let place = |name: &str| Path::default().key(name);
        let mut joined = Joined::default();
        joined.add(&table("user = \"a\"\nkeep = { tokens = 5 }"), &place("design"));
        joined.add(&table("keep = { marker = \"...\" }"), &place("marker"));
        joined.add(&table("user = \"b\""), &place("tone"));
        assert_eq!(joined.table, table("user = \"b\"\nkeep = { tokens = 5, marker = \"...\" }"));
        let origins = placed(3, &joined, &place("whole"), &[("tone".to_string(), place("level"))].into());
        let of = |path: &str| origin(&Path::default().below(path), &origins).map(|p| p.to_string());
        assert_eq!(of("condition.3.user.1").as_deref(), Some("tone.user.1"));
        assert_eq!(of("condition.3.keep").as_deref(), Some("design.keep"));
        assert_eq!(of("condition.3.keep.tokens").as_deref(), Some("design.keep.tokens"));
        assert_eq!(of("condition.3.keep.marker").as_deref(), Some("marker.keep.marker"));
        assert_eq!(of("condition.3.factors.tone").as_deref(), Some("level"));
        assert_eq!(of("condition.3").as_deref(), Some("whole"));
        assert_eq!(of("condition.2"), None);
    }

    #[test]
    fn levels_that_set_one_option_differently_clash() {
        let all = [
            factor("completion", "complete = {}\ninterrupt = { keep = { tokens = 5, marker = \"a\" } }"),
            factor("marker", "none = {}\ndots = { keep = { marker = \"b\", tokens = 5 } }"),
        ];
        let found = clashes(&product(&all), &all);
        let option = Path::default().below("keep.marker");
        assert_eq!(found, [Clash { first: (0, 1), second: (1, 1), option }]);
        // Not where no condition has both.
        assert!(clashes(&[vec![0, 1], vec![1, 0]], &all).is_empty());
    }
}
