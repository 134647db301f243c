//! Checks before a run whether a manifest produces what an analyzer reads. Each fault is reported at its own key.
mod arms;
mod crossed;
mod factors;
mod hook;
mod reader;

use reader::Reader;

use crate::grading::{Metrics, Offered};
use crate::idle::Habit;
use friction_core::manifest::{Chosen, Issues, Manifest, Path, suggestion};
use friction_core::{Analyzer, Factors, HookProgram, Needs, Outcome, Tap, plural};

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
    /// Which metrics grades may have; `None` if errors of the dataset or of `[grade]` are reported already.
    pub metrics: Option<Metrics>,
}

/// Checks what an analyzer, or the primary contrast, needs against what a study produces.
struct Check<'a> {
    produced: &'a Produced<'a>,
    reader: Reader<'a>,
    needs: &'a Needs,
    issues: &'a mut Issues,
    warnings: &'a mut Issues,
}

/// Checks what the primary contrast and the analyzers need.
pub(crate) fn check(
    produced: &Produced,
    analyzers: &[(&Chosen<dyn Analyzer>, Needs)],
    issues: &mut Issues,
    warnings: &mut Issues,
) {
    let study = &produced.manifest.study;
    if let (Some(reader), Some(primary)) = (Reader::primary(produced.manifest), &produced.manifest.primary) {
        Check { produced, reader, needs: &primary.needs(), issues, warnings }.all();
        if !analyzers.iter().any(|(_, needs)| needs.primary) {
            let message = "no `[[analyzer]]` tests the primary contrast";
            let help = "add one that does, now or when the run is analysed";
            warnings.push(reader.path(), message, Some(help.into()));
        }
        if let Outcome::Metric(name) = &primary.outcome
            && study.scores.iter().any(|later| later == name)
        {
            let message = format!(
                "`{name}` is joined to the run after it was made, so that its contrast is exploratory and has no verdict"
            );
            let help = "a verdict needs an outcome that the run itself has";
            warnings.push(Path::default().key("primary").key("outcome"), message, Some(help.into()));
        }
        if study.groups < VERDICT {
            let message = format!("of {} no verdict can be told: it needs {VERDICT}", plural(study.groups, "group"));
            warnings.push(Path::default().key("study").key("groups"), message, None);
        }
    }
    for (analyzer, needs) in analyzers {
        Check { produced, reader: Reader::Analyzer(analyzer), needs, issues, warnings }.all();
    }
}

/// Fewest groups of which a verdict is given.
const VERDICT: usize = 8;

impl Check<'_> {
    /// Reports everything that the study lacks.
    fn all(mut self) {
        self.listed();
        self.outcomes();
        self.choices();
        self.taps();
        self.factors();
        self.turns();
        for factor in &self.needs.pairs {
            self.pairs(factor);
        }
        self.crossed();
        self.reference();
        for (key, filter) in &self.needs.filters {
            self.filter(key, filter);
        }
        self.groups();
        self.arms();
        self.arm();
        self.read_by();
        self.cuts();
        self.wordings();
    }

    /// The path of an option; the reader's table if the option is not set.
    fn option(&self, key: &str) -> Path {
        self.reader.option(key)
    }

    /// Checks that hooks and asides exist whose numbers are read as outcomes.
    fn outcomes(&mut self) {
        let m = self.produced.manifest;
        for outcome in &self.needs.outcomes {
            self.offered(outcome);
            if let Outcome::Metric(name) = outcome {
                self.metric(name);
            }
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

    /// Checks that grades have a metric, or that it is given after the run.
    fn metric(&mut self, name: &str) {
        let later = &self.produced.manifest.study.scores;
        let known = match &self.produced.metrics {
            Some(metrics) if !later.iter().any(|l| l == name) => metrics,
            _ => return,
        };
        let path = self.option("outcome");
        let given = "numbers that people or a judge give after the run are named in `study.scores`";
        match known {
            Metrics::Untold => {
                let message = format!(
                    "the outcome `metric.{name}` needs the metric `{name}`, and the dataset that grades replies does not say which metrics it gives: turns without it are left out"
                );
                self.warnings.push(path, message, Some(given.into()));
            }
            Metrics::Known(known) if !known.iter().any(|k| k == name) => {
                let all: Vec<String> = known.iter().chain(later).map(|m| format!("`{m}`")).collect();
                let help = match all.is_empty() {
                    true => format!("they have none; {given}"),
                    false => format!("there are {}; {given}", all.join(", ")),
                };
                let message =
                    format!("the outcome `metric.{name}` needs the metric `{name}`, which no grade of this study has");
                self.issues.push(path, message, Some(help));
            }
            Metrics::Known(_) => {}
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
            Outcome::LogOddsShifted if !offered.odds => (
                "the first items have no right choice among several",
                "log-odds are those of the right choice: give the items `options` and an `answer`, or set `outcome`",
            ),
            Outcome::LogOddsShifted if self.produced.manifest.options.option_shifts < 2 => {
                ("no choices are shifted", "set `dataset.option_shifts` to the number of choices, or less")
            }
            _ => return,
        };
        let message = format!("{} reads the outcome `{outcome}`, but {what}", self.reader.who());
        self.issues.push(self.option("outcome"), message, Some(help.into()));
    }

    /// Checks that there are items with a right choice, if the analyzer reads right choices.
    fn choices(&mut self) {
        if self.needs.choices && self.produced.offered.is_some_and(|offered| !offered.odds) {
            let message =
                "this analyzer reads right choices, but no item of the dataset has choices, one of which is right";
            let help = "leave the analyzer out, or give the items `options` and an `answer`";
            self.issues.push(self.reader.path(), message, Some(help.into()));
        }
    }

    fn taps(&mut self) {
        let Some(program) = self.produced.program else { return };
        for (site, position) in &self.needs.taps {
            let same = |t: &Tap| t.site == *site && t.position == *position;
            if !program.taps.iter().any(same) {
                let does = if program.unstored.iter().any(same) { "stores" } else { "taps" };
                self.issues.push(
                    self.reader.speaks_of(&site.to_string()),
                    format!("this analyzer reads `{site}` at `{position}`, but no hook {does} it"),
                    Some("add it to a `[[hook]]` with `plugin = \"residual\"`".into()),
                );
            }
        }
    }

    fn turns(&mut self) {
        let Some(first) = self.needs.first_turn else { return };
        let (first, least, turns) = (first.max(1), self.needs.turns.max(1), self.produced.turns);
        if first as usize + least as usize - 1 <= turns {
            return;
        }
        let given = self.reader.sets("first_turn");
        let why = if given { "" } else { " (the default of `first_turn`)" };
        let (has, who) = (plural(turns, "turn"), self.reader.who());
        let message = if least == 1 {
            format!("{who} reads turns from {first} on{why}, but the study has {has}")
        } else {
            let least = plural(least as usize, "turn");
            format!("{who} needs {least} from turn {first} on{why}, but the study has {has}")
        };
        let help = format!("raise `study.turns` to {} or more, or lower `first_turn`", first + least - 1);
        self.issues.push(self.option("first_turn"), message, Some(help));
    }

    fn groups(&mut self) {
        let (has, needs) = (self.produced.manifest.study.groups, self.needs.groups as usize);
        if has < needs {
            let help = Some(format!("set `study.groups` to {needs} or more, or leave the analyzer out"));
            self.issues.push(
                self.reader.path(),
                format!("this analyzer needs {}, the study has {has}", plural(needs, "group")),
                help,
            );
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
                self.reader.speaks_of("interruptions"),
                format!("this analyzer counts replies that were cut, but no condition{whose} cuts any"),
                Some("give one a `keep` of fewer tokens than `generation.max_new_tokens`".into()),
            );
        }
    }

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
            self.issues.push(self.reader.speaks_of("phrase"), message, Some(help));
        }
    }
}
