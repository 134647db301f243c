//! What an analyzer needs of the conditions' factors: levels, pairs that differ in one alone, a reference, filters.
use super::Check;
use friction_core::contrast::is_fraction;
use friction_core::manifest::{ConditionChoice, nearest, suggestion};
use friction_core::{Factors, Filter, has_levels, other_factors};
use std::collections::{BTreeMap, BTreeSet};

/// Help for a factor that no condition has.
fn unknown(factor: &str, known: &BTreeSet<&str>) -> String {
    let there = match known.is_empty() {
        true => "the conditions have no `factors`".to_string(),
        false => format!("there are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    };
    let meant = match factor.contains('*') {
        true => {
            let crossed = factor.split('*').map(str::trim).collect::<Vec<_>>().join(" × ");
            Some(format!("factors are crossed by ×: write `{crossed}`"))
        }
        false => nearest(factor, known.iter().copied()).map(|n| format!("did you mean `{n}`?")),
    };
    meant.map_or(there.clone(), |meant| format!("{meant} ({there})"))
}

impl<'a> Check<'a> {
    /// The conditions that are compared.
    pub(super) fn compared(&self) -> Vec<&'a ConditionChoice> {
        self.produced.manifest.conditions.iter().filter(|c| self.reader.compares(&c.factors)).collect()
    }

    /// The levels of a factor among the conditions that are compared, sorted.
    pub(super) fn levels(&self, factor: &str) -> BTreeSet<&'a str> {
        self.compared().into_iter().filter_map(|c| c.factors.get(factor)).map(String::as_str).collect()
    }
}

impl Check<'_> {
    /// Whether the filter `where` selects a condition with these factors.
    pub(super) fn looks_at(&self, factors: &Factors) -> bool {
        self.needs.filters.get("where").is_none_or(|f| has_levels(factors, &f.levels))
    }

    /// Checks that the conditions carry as many levels of each factor as are compared.
    pub(super) fn factors(&mut self) {
        let known: BTreeSet<&str> =
            self.produced.manifest.conditions.iter().flat_map(|c| c.factors.keys().map(String::as_str)).collect();
        let named: BTreeSet<&String> = self.needs.factors.iter().chain(self.needs.levels.keys()).collect();
        let who = self.reader.who();
        for factor in named {
            let levels = self.levels(factor);
            let all = levels.iter().copied().collect::<Vec<_>>().join(", ");
            let (message, help) = match (levels.len(), self.needs.levels.get(factor)) {
                _ if !known.contains(factor.as_str()) => (
                    format!("{who} compares levels of factor `{factor}`, but no condition has such a factor"),
                    Some(unknown(factor, &known)),
                ),
                (n @ 0..=1, _) => {
                    (format!("{who} compares levels of factor `{factor}`, but the conditions carry {n} of it"), None)
                }
                (n, Some(most)) if n != *most => (
                    format!("{who} compares {most} levels of factor `{factor}`, but the conditions carry {n}: {all}"),
                    Some(format!(
                        "leave conditions out until {most} are left, or give another factor to what else they differ in"
                    )),
                ),
                _ => continue,
            };
            self.issues.push(self.reader.speaks_of(factor), message, help);
        }
    }

    /// Checks that there are conditions that differ in `factor` alone. Warns of conditions without such a partner,
    /// which are left out.
    pub(super) fn pairs(&mut self, factor: &str) {
        if self.levels(factor).len() < 2 {
            return;
        }
        let conditions = self.compared();
        let mut cells: BTreeMap<Factors, Vec<(&str, &str)>> = BTreeMap::new();
        for c in &conditions {
            let level = c.factors.get(factor).map_or("", String::as_str);
            cells.entry(other_factors(&c.factors, &[factor])).or_default().push((level, &c.chosen.name));
        }
        // A condition is compared if it has its level alone in its cell, and another level is there that one has alone.
        let paired = |cell: &[(&str, &str)], level: &str| {
            let once = |l: &str| cell.iter().filter(|(other, _)| *other == l).count() == 1;
            once(level) && cell.iter().any(|(other, _)| *other != level && once(other))
        };
        let alone: Vec<&str> = cells
            .values()
            .flat_map(|cell| cell.iter().filter(|(l, _)| !paired(cell, l)).map(|(_, name)| *name))
            .collect();
        if alone.is_empty() || is_fraction(conditions.iter().map(|c| &c.factors), &[factor.to_string()]) {
            return;
        }
        let names = alone.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let twins = cells.values().flat_map(|c| {
            c.iter().enumerate().flat_map(|(i, a)| c[..i].iter().filter(|b| b.0 == a.0).map(move |b| (b.1, a.1)))
        });
        let why = match twins.into_iter().next() {
            Some((a, b)) => format!("`{a}` and `{b}` have the same levels of all factors"),
            None => confounded(factor, conditions.iter().map(|c| (c.chosen.name.as_str(), &c.factors))),
        };
        let help = "give every combination of the other factors one condition at each level of it".to_string();
        if alone.len() == conditions.len() {
            let message =
                format!("no two conditions differ in `{factor}` alone, so its levels cannot be compared: {why}");
            self.issues.push(self.reader.speaks_of(factor), message, Some(help));
        } else {
            let what = format!("{names}: no single partner that differs in `{factor}` alone");
            self.left_out(factor, what, &why, help);
        }
    }

    /// Refuses conditions that the primary contrast would leave out; warns of those that another would.
    pub(super) fn left_out(&mut self, factor: &str, what: String, why: &str, help: String) {
        let path = self.reader.speaks_of(factor);
        if self.reader.is_strict() {
            let help = format!("{help}, or leave these conditions out of the contrast with `levels`");
            self.issues.push(path, format!("{what} ({why})"), Some(help));
        } else {
            let message = format!("{what}; left out of what compares its levels ({why})");
            self.warnings.push(path, message, Some(help));
        }
    }

    /// Checks that the level that others are compared with exists.
    pub(super) fn reference(&mut self) {
        let Some((level, factors)) = &self.needs.reference else { return };
        let conditions = self.compared();
        let counts = |factor: &String| factors.is_empty() || factors.contains(factor);
        let of = conditions.iter().flat_map(|c| c.factors.iter().filter(|(f, _)| counts(f)).map(|(_, l)| l.as_str()));
        let names = conditions.iter().map(|c| c.chosen.name.as_str()).filter(|_| factors.is_empty());
        let known: BTreeSet<&str> = of.chain(names).collect();
        if !known.contains(level.as_str()) {
            let whose = match factors.as_slice() {
                [] => "no factor".to_string(),
                all => {
                    format!("no condition's {}", all.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(" or "))
                }
            };
            let all = known.iter().copied().collect::<Vec<_>>().join(", ");
            let help = suggestion(level, known.iter().copied()).or(Some(format!("there are {all}")));
            self.issues.push(self.option("reference"), format!("{whose} has the level `{level}`"), help);
        }
    }

    /// Checks that a filter chooses conditions, and leaves what is compared something to compare.
    pub(super) fn filter(&mut self, key: &str, filter: &Filter) {
        let conditions = &self.produced.manifest.conditions;
        let chosen: Vec<_> = conditions.iter().filter(|c| has_levels(&c.factors, &filter.levels)).collect();
        let path = self.option(key);
        if chosen.is_empty() {
            for (factor, level) in &filter.levels {
                let levels = self.levels(factor);
                if levels.contains(level.as_str()) {
                    continue;
                }
                let (what, help) = if levels.is_empty() {
                    let known: BTreeSet<&str> =
                        conditions.iter().flat_map(|c| c.factors.keys().map(String::as_str)).collect();
                    (format!("no condition has a factor `{factor}`"), suggestion(factor, known.iter().copied()))
                } else {
                    let what = format!("no condition has `{factor} = {level}`");
                    (what, suggestion(level, levels.iter().copied()))
                };
                self.issues.push(path.key(factor), format!("`{key}` holds for no condition: {what}"), help);
                return;
            }
            self.issues.push(path, format!("`{key}` holds for no condition: none has all of these levels"), None);
            return;
        }
        if chosen.len() == conditions.len() && !filter.levels.is_empty() && self.reader.sets(key) {
            let message = format!("`{key}` holds for every condition: it leaves none out");
            self.warnings.push(path.clone(), message, None);
        }
        for factor in &filter.compared {
            let left: BTreeSet<_> = chosen.iter().filter_map(|c| c.factors.get(factor)).collect();
            if self.levels(factor).len() > 1 && left.len() < 2 {
                let level = left.first().map_or("none", |l| l.as_str());
                let message = format!("where `{key}` holds, `{factor}` is {level} alone: there is nothing to compare");
                self.issues.push(path.clone(), message, None);
            }
        }
    }
}

/// Names two conditions that differ in `factor` and in another factor too.
pub(super) fn confounded<'a>(factor: &str, all: impl Iterator<Item = (&'a str, &'a Factors)> + Clone) -> String {
    for (i, (a, x)) in all.clone().enumerate() {
        for (b, y) in all.clone().skip(i + 1).filter(|(_, y)| x.get(factor) != y.get(factor)) {
            let too: Vec<String> =
                x.iter().filter(|(k, v)| *k != factor && y.get(*k) != Some(v)).map(|(k, _)| format!("`{k}`")).collect();
            if !too.is_empty() {
                return format!("`{a}` and `{b}` differ in {} too", too.join(" and "));
            }
        }
    }
    "its levels have other conditions".into()
}
