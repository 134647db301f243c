//! `[[factor]]` tables become conditions. This is done on the values of the manifest, before conditions are read, so
//! that everything after it sees `[[condition]]` tables alone; faults of these are told at the factor's level.
mod cells;
mod fraction;

pub(super) use cells::origin;

use super::Source;
use crate::deserialize::deserialize;
use crate::issues::{Issues, Path};
use crate::sections::{DesignSection, FactorSection, TextOrList};
use crate::suggestion::suggestion;
use crate::{Factors, contrast::TURN, has_levels};
use cells::{Factor, Joined, clashes, name, named, placed, product};
use fraction::Fraction;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Most conditions that are made of factors.
const MOST: usize = 10_000;
/// Keys of a condition that are made of the factors.
const MADE: [&str; 3] = ["name", "factors", "same_as"];

/// What became of the `[[factor]]` tables.
#[derive(Debug, Default)]
pub(super) struct Factorial {
    /// The levels of each factor, in order.
    pub levels: BTreeMap<String, Vec<String>>,
    /// What a reader must know of the design.
    pub notes: Vec<String>,
}

/// Puts conditions in the place of `[[factor]]` and `[design]`, before those that are listed by hand. `None` if there are
/// no such tables, or they are wrong.
pub(super) fn expand(source: &mut Source, issues: &mut Issues) -> Option<Factorial> {
    let root = Path::default();
    let before = issues.0.len();
    let Some(tables) = source.value.get("factor") else {
        if source.value.contains_key("design") {
            let help = "add `[[factor]]` tables, or leave it out";
            issues.push(root.key("design"), "`[design]` does nothing: there is no `[[factor]]`", Some(help.into()));
        }
        return None;
    };
    let factors = factors(tables, &root.key("factor"), issues);
    let design = Design::read(source.value.get("design"), issues);
    if issues.0.len() > before {
        return None;
    }
    let size = factors.iter().try_fold(1usize, |n, f| n.checked_mul(f.levels.len())).filter(|n| *n <= MOST);
    if size.is_none() {
        issues.push(root.key("factor"), format!("the factors have more than {MOST} combinations"), None);
        return None;
    }
    let fraction = match Fraction::read(&design.fraction, &factors) {
        Ok(fraction) => fraction,
        Err((message, help)) => {
            issues.push(design.path.key("fraction"), message, help);
            return None;
        }
    };
    let mut cells = product(&factors);
    cells.retain(|c| fraction.keeps(c));
    design.choose(&mut cells, &factors, issues);
    design.pattern(&factors, issues);
    for clash in clashes(&cells, &factors) {
        let [(a, x), (b, y)] = [clash.first, clash.second];
        let level = |f: usize, l: usize| format!("`{}` of `{}`", factors[f].levels[l].0, factors[f].name);
        let message = format!("the levels {} and {} both set `{}`, and differ", level(a, x), level(b, y), clash.option);
        let path = Path(factors[b].at(y).0.into_iter().chain(clash.option.0).collect());
        let help = "let one factor set it, or leave the combination out with `design.except`";
        issues.push(path, message, Some(help.into()));
    }
    let gives = |cell: &[usize]| factors.iter().zip(cell).any(|(f, l)| f.levels[*l].1.contains_key("plugin"));
    if !design.base.contains_key("plugin") && !cells.iter().all(|c| gives(c)) {
        let help = "add `[design]` with `plugin = \"…\"`, which all of them share";
        issues.push(root.key("factor"), "the conditions made of `[[factor]]` name no plugin", Some(help.into()));
    }
    if issues.0.len() > before {
        return None;
    }
    put(source, &cells, &factors, &design);
    let levels = factors.iter().map(|f| (f.name.clone(), f.levels.iter().map(|l| l.0.clone()).collect())).collect();
    Some(Factorial { levels, notes: fraction.notes(&factors) })
}

/// Writes the conditions into the values, in the place of the tables that they are made of.
fn put(source: &mut Source, cells: &[Vec<usize>], factors: &[Factor], design: &Design) {
    let (mut conditions, mut origins) = (vec![], vec![]);
    for cell in cells {
        let levels = named(cell, factors);
        let mut joined = Joined::default();
        joined.add(&design.base, &design.path);
        let at: Vec<Path> = factors.iter().zip(cell).map(|(f, l)| f.at(*l)).collect();
        for ((f, l), at) in factors.iter().zip(cell).zip(&at) {
            joined.add(&f.levels[*l].1, at);
        }
        let called = Value::String(name(design.name.as_deref(), &levels, factors));
        let mut table: Table = [("name".to_string(), called)].into_iter().collect();
        table.extend(joined.table.clone());
        let text = |(k, v): (String, String)| (k, Value::String(v));
        let mut own = match table.get("factors") {
            Some(Value::Table(shared)) => shared.clone(),
            _ => Table::new(),
        };
        own.extend(levels.into_iter().map(text));
        table.insert("factors".into(), Value::Table(own));
        if design.name.is_some() {
            joined.origins.push((Path::default().key("name"), design.path.key("name")));
        }
        // A fault of the condition as a whole is told at its level of the last factor, which changes fastest.
        let whole = at.last().cloned().unwrap_or_default();
        let of_levels = factors.iter().zip(at).map(|(f, at)| (f.name.clone(), at)).collect();
        origins.extend(placed(conditions.len(), &joined, &whole, &of_levels));
        conditions.push(Value::Table(table));
    }
    let made = conditions.len();
    let listed = Path::default().key("condition");
    match source.value.get("condition") {
        Some(Value::Array(by_hand)) => {
            origins.extend((0..by_hand.len()).map(|i| (listed.index(made + i), listed.index(i))));
            conditions.extend(by_hand.iter().cloned());
        }
        // It is no list, which is told when conditions are read.
        Some(_) => return,
        None => {}
    }
    let rest = std::mem::take(&mut source.value);
    for (key, value) in rest {
        match key.as_str() {
            "factor" => drop(source.value.insert("condition".into(), Value::Array(std::mem::take(&mut conditions)))),
            "design" | "condition" => {}
            _ => drop(source.value.insert(key, value)),
        }
    }
    source.origins = origins;
}

/// Reads the `[[factor]]` tables.
fn factors(tables: &Value, path: &Path, issues: &mut Issues) -> Vec<Factor> {
    let Some(all) = tables.as_array().filter(|all| all.iter().all(Value::is_table)) else {
        issues.push(path.clone(), "`factor` must be a list of tables", Some("write `[[factor]]`".into()));
        return vec![];
    };
    let mut out: Vec<Factor> = vec![];
    for (i, table) in all.iter().enumerate() {
        let at = path.index(i);
        let Some(read) = deserialize::<FactorSection>(table.clone(), &at, issues) else { continue };
        if read.name.trim().is_empty() || read.name == TURN || read.name.contains(['{', '}', '(', ')', '×']) {
            let message =
                format!("{:?} is no name of a factor: contrasts and patterns could not speak of it", read.name);
            issues.push(at.key("name"), message, None);
        }
        if out.iter().any(|f| f.name == read.name) {
            issues.push(at.key("name"), format!("two factors are called `{}`", read.name), None);
        }
        if read.levels.len() < 2 {
            let message = format!("the factor `{}` needs two levels; it has {}", read.name, read.levels.len());
            issues.push(at.key("levels"), message, None);
        }
        let mut levels = vec![];
        for (level, options) in read.levels {
            let at = at.key("levels").key(&level);
            let Value::Table(options) = options else {
                let help = "write `{}` where the level changes nothing";
                issues.push(at, "a level is a table of options", Some(help.into()));
                continue;
            };
            if let Some(key) = MADE.iter().find(|k| options.contains_key(**k)) {
                let message = format!("a level cannot give `{key}`, which its conditions have of their own");
                issues.push(at.key(*key), message, None);
            }
            if !level.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                let message = "levels make the names of conditions: they are letters, digits, `-` and `_`";
                issues.push(at, message, None);
            }
            levels.push((level, options));
        }
        out.push(Factor { name: read.name, path: at, levels });
    }
    out
}

/// The table `[design]`.
#[derive(Debug, Default)]
struct Design {
    path: Path,
    /// Options that all conditions share, `plugin` among them.
    base: Table,
    name: Option<String>,
    fraction: Vec<String>,
    except: Vec<Factors>,
    only: Option<Vec<Factors>>,
}

impl Design {
    fn read(table: Option<&Value>, issues: &mut Issues) -> Self {
        let path = Path::default().key("design");
        let table = match table {
            None => return Self { path, ..Self::default() },
            Some(Value::Table(table)) => table,
            Some(_) => {
                issues.push(path, "`design` must be a table", Some("write `[design]`".into()));
                return Self::default();
            }
        };
        let of_design = |key: &String| ["name", "fraction", "except", "only"].contains(&key.as_str());
        let part = |own: bool| -> Table {
            table.iter().filter(|(k, _)| of_design(k) == own).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let Some(read) = deserialize::<DesignSection>(Value::Table(part(true)), &path, issues) else {
            return Self::default();
        };
        let base = part(false);
        if base.contains_key("same_as") {
            issues.push(path.key("same_as"), "`same_as` names one condition, and these are many", None);
        }
        let fraction = match read.fraction {
            None => vec![],
            Some(TextOrList::Text(text)) => vec![text],
            Some(TextOrList::List(all)) => all,
        };
        Self { path, base, name: read.name, fraction, except: read.except.unwrap_or_default(), only: read.only }
    }

    /// Leaves out the cells that `except` and `only` leave out.
    fn choose(&self, cells: &mut Vec<Vec<usize>>, factors: &[Factor], issues: &mut Issues) {
        let entries = [("except", self.except.as_slice()), ("only", self.only.as_deref().unwrap_or_default())];
        for (key, list) in entries {
            for (i, entry) in list.iter().enumerate() {
                let at = self.path.key(key).index(i);
                let wrong = entry.iter().find_map(|(factor, level)| {
                    let known = factors.iter().find(|f| f.name == *factor);
                    let names = || factors.iter().map(|f| f.name.as_str());
                    let Some(known) = known else {
                        return Some((at.key(factor), format!("`{factor}` is no factor"), suggestion(factor, names())));
                    };
                    let levels = || known.levels.iter().map(|(l, _)| l.as_str());
                    let none = levels().all(|l| l != level);
                    none.then(|| {
                        (at.key(factor), format!("`{factor}` has no level `{level}`"), suggestion(level, levels()))
                    })
                });
                if let Some((path, message, help)) = wrong {
                    issues.push(path, message, help);
                } else if !cells.iter().any(|c| has_levels(&named(c, factors), entry)) {
                    issues.push(at, "no combination that is left has these levels", None);
                }
            }
        }
        let in_list = |cell: &[usize], list: &[Factors]| list.iter().any(|e| has_levels(&named(cell, factors), e));
        cells.retain(|c| !in_list(c, &self.except) && self.only.as_ref().is_none_or(|only| in_list(c, only)));
        for (i, f) in factors.iter().enumerate() {
            for l in (0..f.levels.len()).filter(|l| cells.iter().all(|c| c[i] != *l)) {
                let message = format!("no combination is left with `{} = {}`", f.name, f.levels[l].0);
                issues.push(f.at(l), message, Some("leave the level out, or keep a combination with it".into()));
            }
        }
    }

    /// Checks that names tell all conditions apart.
    fn pattern(&self, factors: &[Factor], issues: &mut Issues) {
        let Some(pattern) = &self.name else { return };
        let written: Vec<&str> = pattern.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0)).collect();
        let at = self.path.key("name");
        if let Some(other) = written.iter().find(|w| factors.iter().all(|f| f.name != **w)) {
            let help = suggestion(other, factors.iter().map(|f| f.name.as_str()));
            issues.push(at.clone(), format!("`{{{other}}}` is no factor"), help);
        }
        if let Some(f) = factors.iter().find(|f| !written.contains(&f.name.as_str())) {
            let message = format!("the names do not tell the levels of `{}` apart", f.name);
            issues.push(at, message, Some(format!("put `{{{}}}` into it", f.name)));
        }
    }
}

#[cfg(test)]
mod tests;
