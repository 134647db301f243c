//! What a contrast needs whose factors are compared together: every combination of their levels, side by side.
use super::factors::confounded;
use super::{Check, Reader};
use friction_core::contrast::is_fraction;
use friction_core::manifest::suggestion;
use friction_core::other_factors;
use std::collections::{BTreeMap, BTreeSet};

impl Check<'_> {
    /// Checks that there are conditions at every combination of the crossed factors' levels which agree in every other
    /// factor.
    pub(super) fn crossed(&mut self) {
        let factors = &self.needs.crossed;
        let levels: Vec<BTreeSet<&str>> = factors.iter().map(|f| self.levels(f)).collect();
        let wrong =
            |(f, l): (&String, &BTreeSet<&str>)| l.len() < 2 || self.needs.levels.get(f).is_some_and(|n| l.len() != *n);
        // These are reported already.
        if factors.is_empty() || factors.iter().zip(&levels).any(wrong) {
            return;
        }
        let cells = levels.iter().fold(vec![vec![]], |cells: Vec<Vec<&str>>, levels| {
            cells.iter().flat_map(|c| levels.iter().map(move |l| [&c[..], &[*l]].concat())).collect()
        });
        let conditions = self.compared();
        let names: Vec<&str> = factors.iter().map(String::as_str).collect();
        let mut sets: BTreeMap<_, Vec<(Vec<&str>, &str)>> = BTreeMap::new();
        for c in &conditions {
            let own = names.iter().map(|f| c.factors.get(*f).map_or("", String::as_str)).collect();
            sets.entry(other_factors(&c.factors, &names)).or_default().push((own, &c.chosen.name));
        }
        let all = names.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(" and ");
        let empty = cells.iter().find(|cell| sets.values().flatten().all(|(own, _)| own != *cell));
        if let Some(cell) = empty {
            let levels: Vec<String> = names.iter().zip(cell).map(|(f, l)| format!("`{f} = {l}`")).collect();
            let message = format!("no condition has {}: this cell of the contrast is empty", levels.join(" and "));
            let help = format!("add a condition that has them, or compare other factors than {all}");
            self.issues.push(self.reader.speaks_of(names[0]), message, Some(help));
            return;
        }
        let once = |set: &[(Vec<&str>, &str)], cell: &Vec<&str>| set.iter().filter(|(own, _)| own == cell).count() == 1;
        let whole = |set: &Vec<(Vec<&str>, &str)>| cells.iter().all(|cell| once(set, cell));
        let alone: Vec<&str> =
            sets.values().filter(|set| !whole(set)).flat_map(|set| set.iter().map(|(_, name)| *name)).collect();
        if alone.is_empty() || is_fraction(conditions.iter().map(|c| &c.factors), factors) {
            return;
        }
        let twins = sets.values().flat_map(|set| {
            set.iter().enumerate().flat_map(|(i, a)| set[..i].iter().filter(|b| b.0 == a.0).map(move |b| (b.1, a.1)))
        });
        let why = match twins.into_iter().next() {
            Some((a, b)) => format!("`{a}` and `{b}` have the same levels of all factors"),
            None => confounded(names[0], conditions.iter().map(|c| (c.chosen.name.as_str(), &c.factors))),
        };
        let help = format!("give every combination of the other factors one condition at each combination of {all}");
        if alone.len() == conditions.len() {
            let message = format!("no conditions at all levels of {all} agree in every other factor: {why}");
            self.issues.push(self.reader.speaks_of(names[0]), message, Some(help));
        } else {
            let lone = alone.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            let what = format!("{lone}: not beside conditions at all other levels of {all}");
            let first = names[0].to_string();
            self.left_out(&first, what, &why, help);
        }
    }

    /// Checks that conditions have the levels that `[primary]` lists.
    pub(super) fn listed(&mut self) {
        let Reader::Primary(primary, _) = self.reader else { return };
        let conditions = &self.produced.manifest.conditions;
        for (factor, levels) in &primary.levels {
            let path = self.reader.path().key("levels").key(factor);
            let known: BTreeSet<&str> =
                conditions.iter().filter_map(|c| c.factors.get(factor)).map(String::as_str).collect();
            if known.is_empty() {
                let names: BTreeSet<&str> =
                    conditions.iter().flat_map(|c| c.factors.keys().map(String::as_str)).collect();
                let help = suggestion(factor, names.iter().copied());
                self.issues.push(path, format!("no condition has a factor `{factor}`"), help);
            } else if let Some(level) = levels.iter().find(|l| !known.contains(l.as_str())) {
                let help = suggestion(level, known.iter().copied());
                self.issues.push(path, format!("no condition has `{factor} = {level}`"), help);
            }
        }
    }
}
