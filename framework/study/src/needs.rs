//! Checks before a run whether a manifest produces what an analyzer reads. Each fault is reported at its own key.
use crate::grading::Offered;
use crate::idle::Habit;
use friction_core::manifest::{Chosen, Issues, Manifest, Path, suggestion};
use friction_core::run::has_levels;
use friction_core::{Analyzer, Factors, Filter, HookProgram, Needs, Outcome, Tap, plural};
use std::collections::{BTreeMap, BTreeSet};

/// What a study produces, as far as that is known.
pub(crate) struct Produced<'a> {
    pub manifest: &'a Manifest,
    /// The joined program of all hooks; `None` if errors of hooks are reported already.
    pub program: Option<&'a HookProgram>,
    /// What each condition does; `None` if it is not needed, or errors of conditions or questions are reported already.
    pub habits: Option<Vec<Habit>>,
    /// Turns of the longest conversation.
    pub turns: usize,
    /// What turns about the items have; `None` if errors of the dataset are reported already.
    pub offered: Option<Offered>,
}

/// Checks what an analyzer needs against what a study produces.
pub(crate) struct Check<'a> {
    pub produced: &'a Produced<'a>,
    pub analyzer: &'a Chosen<dyn Analyzer>,
    pub needs: &'a Needs,
    pub issues: &'a mut Issues,
    pub warnings: &'a mut Issues,
}

impl Check<'_> {
    /// Reports everything that the study lacks.
    pub fn all(mut self) {
        self.outcomes();
        self.choices();
        self.taps();
        self.factors();
        self.turns();
        for factor in &self.needs.pairs {
            self.pairs(factor);
        }
        self.reference();
        for (key, filter) in &self.needs.filters {
            self.filter(key, filter);
        }
        self.groups();
        self.arms();
        self.arm();
        self.cuts();
        self.wordings();
    }

    /// The levels of a factor, sorted.
    fn levels(&self, factor: &str) -> BTreeSet<&str> {
        self.produced.manifest.conditions.iter().filter_map(|c| c.factors.get(factor)).map(String::as_str).collect()
    }

    /// The path of an option; the analyzer's table if the option is not set.
    fn option(&self, key: &str) -> Path {
        if self.analyzer.table.contains_key(key) { self.analyzer.key(key) } else { self.analyzer.path.clone() }
    }

    /// Checks that hooks and asides exist whose numbers are read as outcomes.
    fn outcomes(&mut self) {
        let m = self.produced.manifest;
        for outcome in &self.needs.outcomes {
            self.offered(outcome);
            let (what, known): (&str, Vec<&str>) = match outcome {
                Outcome::Reading(_) => ("hook", m.hooks.iter().map(|h| h.name.as_str()).collect()),
                Outcome::Aside(_) => ("aside", m.asides.iter().map(|a| a.name.as_str()).collect()),
                _ => continue,
            };
            let name = match outcome {
                Outcome::Reading(name) => name.split('.').next().unwrap_or(name),
                Outcome::Aside(name) => name,
                _ => continue,
            };
            if !known.contains(&name) {
                let help = match known.is_empty() {
                    true => Some(format!("there is no `[[{what}]]`")),
                    false => suggestion(name, known.iter().copied()),
                };
                let message = format!("the outcome `{outcome}` needs the {what} `{name}`, which the manifest lacks");
                self.issues.push(self.option("outcome"), message, help);
            } else if let Outcome::Reading(full) = outcome {
                self.reading(full, name);
            }
        }
    }

    /// Checks that a hook reads out a number. Hooks that declare no names may read out any.
    fn reading(&mut self, full: &str, hook: &str) {
        let Some(program) = self.produced.program else { return };
        let of_hook = |r: &&String| r.split_once('.').is_some_and(|(name, _)| name == hook);
        let declared: Vec<&str> = program.readings.iter().filter(of_hook).map(String::as_str).collect();
        if !declared.is_empty() && !declared.contains(&full) {
            let message = format!("the hook `{hook}` reads out no `{full}`");
            self.issues.push(self.option("outcome"), message, suggestion(full, declared));
        }
    }

    /// Checks that the items give replies a score, or a right choice.
    fn offered(&mut self, outcome: &Outcome) {
        let Some(offered) = self.produced.offered else { return };
        let (what, help) = match outcome {
            Outcome::Score | Outcome::Answered if !offered.scored => (
                "no reply to the first items has a score",
                "give the items a `target`, and a table `[grade]` that compares replies with it, or set `outcome`",
            ),
            Outcome::LogOdds if !offered.odds => (
                "the first items have no right choice among several",
                "log-odds are those of the right choice: give the items `options` and an `answer`, or set `outcome`",
            ),
            _ => return,
        };
        let message = format!("this analyzer reads the outcome `{outcome}`, but {what}");
        self.issues.push(self.option("outcome"), message, Some(help.into()));
    }

    /// Checks that there are items with a right choice, if the analyzer reads right choices.
    fn choices(&mut self) {
        if self.needs.choices && self.produced.offered.is_some_and(|offered| !offered.odds) {
            let message =
                "this analyzer reads right choices, but no item of the dataset has choices, one of which is right";
            let help = "leave the analyzer out, or give the items `options` and an `answer`";
            self.issues.push(self.analyzer.path.clone(), message, Some(help.into()));
        }
    }

    fn taps(&mut self) {
        let Some(program) = self.produced.program else { return };
        for (site, position) in &self.needs.taps {
            let same = |t: &Tap| t.site == *site && t.position == *position;
            if !program.taps.iter().any(same) {
                let does = if program.unstored.iter().any(same) { "stores" } else { "taps" };
                self.issues.push(
                    self.analyzer.speaks_of(&site.to_string()),
                    format!("this analyzer reads `{site}` at `{position}`, but no hook {does} it"),
                    Some("add it to a `[[hook]]` with `plugin = \"residual\"`".into()),
                );
            }
        }
    }

    fn factors(&mut self) {
        let known: BTreeSet<&str> =
            self.produced.manifest.conditions.iter().flat_map(|c| c.factors.keys().map(String::as_str)).collect();
        let named: BTreeSet<&String> = self.needs.factors.iter().chain(self.needs.levels.keys()).collect();
        for factor in named {
            let levels = self.levels(factor);
            let all = levels.iter().copied().collect::<Vec<_>>().join(", ");
            let (message, help) = match (levels.len(), self.needs.levels.get(factor)) {
                (n @ 0..=1, _) => (
                    format!("this analyzer compares levels of factor `{factor}`, but the conditions carry {n} of it"),
                    if known.contains(factor.as_str()) { None } else { suggestion(factor, known.iter().copied()) },
                ),
                (n, Some(most)) if n != *most => (
                    format!(
                        "this analyzer compares {most} levels of factor `{factor}`, but the conditions carry {n}: {all}"
                    ),
                    Some(format!(
                        "leave conditions out until {most} are left, or give another factor to what else they differ in"
                    )),
                ),
                _ => continue,
            };
            self.issues.push(self.analyzer.speaks_of(factor), message, help);
        }
    }

    fn turns(&mut self) {
        let Some(first) = self.needs.first_turn else { return };
        let (first, least, turns) = (first.max(1), self.needs.turns.max(1), self.produced.turns);
        if first as usize + least as usize - 1 <= turns {
            return;
        }
        let given = self.analyzer.table.contains_key("first_turn");
        let why = if given { "" } else { " (the default of `first_turn`)" };
        let has = plural(turns, "turn");
        let message = if least == 1 {
            format!("this analyzer reads turns from {first} on{why}, but the study has {has}")
        } else {
            let least = plural(least as usize, "turn");
            format!("this analyzer needs {least} from turn {first} on{why}, but the study has {has}")
        };
        let help = format!("raise `study.turns` to {} or more, or lower `first_turn`", first + least - 1);
        self.issues.push(self.option("first_turn"), message, Some(help));
    }

    /// Checks that there are conditions that differ in `factor` alone. Warns of conditions without such a partner,
    /// which are left out.
    fn pairs(&mut self, factor: &str) {
        if self.levels(factor).len() < 2 {
            return;
        }
        let conditions = &self.produced.manifest.conditions;
        let others = |f: &Factors| -> Factors {
            f.iter().filter(|(k, _)| *k != factor).map(|(k, v)| (k.clone(), v.clone())).collect()
        };
        let mut cells: BTreeMap<Factors, Vec<(&str, &str)>> = BTreeMap::new();
        for c in conditions {
            let level = c.factors.get(factor).map_or("", String::as_str);
            cells.entry(others(&c.factors)).or_default().push((level, &c.chosen.name));
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
        if alone.is_empty() {
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
        let path = self.analyzer.speaks_of(factor);
        if alone.len() == conditions.len() {
            let message =
                format!("no two conditions differ in `{factor}` alone, so its levels cannot be compared: {why}");
            self.issues.push(path, message, Some(help));
        } else {
            let message = format!(
                "{names}: no single partner that differs in `{factor}` alone; left out of what compares its levels ({why})"
            );
            self.warnings.push(path, message, Some(help));
        }
    }

    /// Checks that the level that others are compared with exists.
    fn reference(&mut self) {
        let Some((level, factors)) = &self.needs.reference else { return };
        let conditions = &self.produced.manifest.conditions;
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

    fn filter(&mut self, key: &str, filter: &Filter) {
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
        if chosen.len() == conditions.len() && !filter.levels.is_empty() && self.analyzer.table.contains_key(key) {
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

    /// Whether the filter `where` selects a condition with these factors.
    fn looks_at(&self, factors: &Factors) -> bool {
        self.needs.filters.get("where").is_none_or(|f| has_levels(factors, &f.levels))
    }

    fn groups(&mut self) {
        let (has, needs) = (self.produced.manifest.study.groups, self.needs.groups as usize);
        if has < needs {
            let help = Some(format!("set `study.groups` to {needs} or more, or leave the analyzer out"));
            self.issues.push(
                self.analyzer.path.clone(),
                format!("this analyzer needs {}, the study has {has}", plural(needs, "group")),
                help,
            );
        }
    }

    /// Checks that the arm that is named exists, in any hook and at any dose.
    fn arm(&mut self) {
        let (Some(program), Some(wanted)) = (self.produced.program, self.needs.arm.as_deref()) else { return };
        let name = |full: &str| {
            let own = friction_core::arms::split(full).map_or(full, |(_, own)| own);
            own.split('@').next().unwrap_or(own).to_string()
        };
        let known: BTreeSet<String> =
            program.arms.iter().filter(|a| !a.strengths.is_empty()).map(|a| name(&a.name)).collect();
        if !known.is_empty() && !known.contains(wanted) {
            let all = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let path = self.analyzer.speaks_of(wanted);
            self.issues.push(path, format!("no hook brings an arm `{wanted}`"), Some(format!("there are {all}")));
        }
    }

    fn arms(&mut self) {
        let Some(program) = self.produced.program.filter(|_| self.needs.arms) else { return };
        let conditions = &self.produced.manifest.conditions;
        let mut steered = program.arms.iter().filter(|a| !a.strengths.is_empty()).peekable();
        let path = self.option("arms");
        if steered.peek().is_none() {
            let help = Some("add a `[[hook]]` with `plugin = \"steer\"`".into());
            self.issues.push(path, "this analyzer reads arms beside the untouched one, but no hook brings any", help);
        } else if !steered.any(|a| conditions.iter().any(|c| self.looks_at(&c.factors) && a.runs_with(&c.factors))) {
            let message = "no arm runs with the conditions that `where` chooses";
            self.issues.push(self.option("where"), message, Some("compare it with the `where` of the hook".into()));
        }
        self.hook(program);
    }

    /// Checks that there is one hook whose arms are read.
    fn hook(&mut self, program: &HookProgram) {
        let Some(wanted) = self.needs.hook.as_deref() else { return };
        let mut hooks: BTreeSet<&str> =
            program.arms.iter().filter_map(|a| friction_core::arms::split(&a.name)).map(|(hook, _)| hook).collect();
        if hooks.is_empty() {
            // If only one hook has arms, their names do not begin with the hook's.
            hooks.extend(self.produced.manifest.hooks.iter().map(|h| h.name.as_str()));
            if wanted.is_empty() {
                return;
            }
        }
        let names = hooks.iter().map(|h| format!("`{h}`")).collect::<Vec<_>>().join(", ");
        if wanted.is_empty() && hooks.len() > 1 {
            let help = Some("name one of them in `hook`; a second analyzer may read another".into());
            self.issues.push(self.option("hook"), format!("the hooks {names} have arms: which are read?"), help);
        } else if !wanted.is_empty() && !hooks.contains(wanted) {
            let help = Some(format!("there are {names}"));
            self.issues.push(self.option("hook"), format!("no hook `{wanted}` has arms"), help);
        }
    }

    fn cuts(&mut self) {
        let Some(habits) = self.produced.habits.as_ref().filter(|_| self.needs.cuts) else { return };
        let conditions = &self.produced.manifest.conditions;
        let cut = |levels: &Factors| {
            let has = |f: &Factors| self.looks_at(f) && friction_core::has_levels(f, levels);
            conditions.iter().zip(habits).any(|(c, h)| h.cuts && has(&c.factors))
        };
        let nothing = Factors::new();
        let chosen = |key: &str| self.needs.filters.get(key).map(|f| &f.levels).filter(|l| !l.is_empty());
        // The conditions that are trained on must have cut replies too.
        let without = [("where", chosen("where")), ("train_where", chosen("train_where"))]
            .into_iter()
            .find(|(_, levels)| !cut(levels.unwrap_or(&nothing)));
        if let Some((key, levels)) = without {
            let whose = if levels.is_some() { format!(" that `{key}` chooses") } else { String::new() };
            self.issues.push(
                self.analyzer.speaks_of("interruptions"),
                format!("this analyzer counts replies that were cut, but no condition{whose} cuts any"),
                Some("give one a `keep` of fewer tokens than `generation.max_new_tokens`".into()),
            );
        }
    }
}

impl Check<'_> {
    fn wordings(&mut self) {
        let Some(habits) = self.produced.habits.as_ref().filter(|_| self.needs.wordings) else { return };
        let conditions = &self.produced.manifest.conditions;
        let looked: Vec<_> = conditions.iter().zip(habits).filter(|(c, _)| self.looks_at(&c.factors)).collect();
        let said = |right: &dyn Fn(&Factors) -> bool| -> usize {
            looked.iter().filter(|(c, _)| right(&c.factors)).map(|(_, h)| h.wordings).sum()
        };
        let mut few = (said(&|_| true) < 2).then(|| "only one wording is said".to_string());
        for factor in &self.needs.factors {
            let one = self.levels(factor).into_iter().find(|l| said(&|f| f.get(factor).is_some_and(|v| v == l)) == 1);
            few = few.or_else(|| one.map(|l| format!("`{factor} = {l}` is said in one wording")));
        }
        if let Some(few) = few {
            let message = format!("this analyzer holds out wordings, but {few}: nothing would be left to learn from");
            let help = "give `user` a list of wordings, or hold out groups alone".to_string();
            self.issues.push(self.analyzer.speaks_of("phrase"), message, Some(help));
        }
    }
}

/// Names two conditions that differ in `factor` and in another factor too.
fn confounded<'a>(factor: &str, all: impl Iterator<Item = (&'a str, &'a Factors)> + Clone) -> String {
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
