//! `steering`: the dose-response of an outcome, against random and shuffled directions.
use crate::arms::{ArmName, Kind, of_hook};
use crate::effects::{Arm, Where, effect, items, replies, unshared};
use crate::locked::{Expect, FEWEST_CONTROLS, FEWEST_GROUPS, Question, ask};
use crate::{figure, headline, report};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Foreseen, GradeSection, Needs, Outcome, PluginConfig, PluginEntry,
    Result, RunReader, Says, TurnRow, off_letters, plural, unread,
};
use friction_stats::{cite, percent, signed};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Tells what steering did to an outcome such as accuracy: its change at each dose, paired by turn, beside random directions
/// and directions of shuffled labels, and one verdict over the doses. It reads the arms of a hook `steer`.
///
/// The outcome is averaged over samples first, and groups are the units of all intervals and tests. Turns without the
/// outcome, and turns that only one of two compared conversations has, are left out, and counted in a warning.
///
/// It writes:
/// - the tables `doses` and `controls`: the tested direction at each dose, and beside its controls;
/// - the table `arms`: a row for each arm, with the change (in points of a share, else in the outcome's unit), its interval,
///   answers that became right or wrong (turns in which another outcome rose or fell), replies that changed, and side
///   effects (parsed replies, tokens, repetition, perplexity of the neutral text);
/// - the figure `doses`: the change by dose, with the controls;
/// - the values `doses`, `controls`, `test` (the one question: `points` or `change`, interval, p by sign flips and by rank),
///   `verdict` and `best`, and `perplexity_untouched` with a neutral text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Steering {
    /// The number of a turn whose change is told: `score`, `log_odds` (of the right choice, in nats), `answered`,
    /// `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or `metric.<name>`.
    #[serde(default)]
    outcome: Outcome,
    /// The turns whose answers steering should change: levels of factors, such as `{ completion = "interrupt" }`.
    /// Default: all.
    #[serde(default, rename = "where")]
    only: Where,
    /// What full restoration is: the outcome of untouched turns with these levels, such as
    /// `{ completion = "complete" }`. Default: none; no share restored is told then.
    #[serde(default)]
    against: Where,
    /// Name of the hook whose arms are read. Default: the only one that has arms. Needed where several have; of crossed
    /// arms, those that are this hook's alone are read.
    #[serde(default)]
    hook: Option<String>,
    /// First turn that enters, from 1. Default: 2, which leaves out the first turn, the one that precedes any treatment; of
    /// conversations of one turn 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    first_turn: Option<u32>,
    /// What the outcome does as the dose grows, named before the run: the verdict's one question. Default: none; the
    /// verdict cannot be told then. Of a direction that says how much something harms, accuracy `falls` as the dose
    /// grows, also where doses below 0 take it away.
    #[serde(default)]
    expect: Option<Expect>,
    /// The dose that leaves things as they are: 0 for `add`, `remove` and a range `clamp`; for `set`, and for a feature
    /// that is clamped to the dose, the value that the activations have untouched, in units of the dose. Doses above it
    /// push up, doses below it push down.
    #[serde(default)]
    zero: f32,
    /// Smallest change of interest, in points of a share or in the outcome's unit. A smaller change reaches no verdict, and
    /// one that is surely smaller is told as such. Default: 1 point of a share; 0 of another outcome, of which no change is
    /// then too small.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    smallest: Option<f64>,
    /// What is tested: `direction`, or a control by its name, such as `random-03`, which is then compared with the
    /// other random ones. Change it to check that the test finds nothing in a direction that means nothing.
    #[serde(default = "direction")]
    #[schemars(example = &"random-03")]
    tested: String,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
    /// How the manifest has replies graded.
    #[serde(skip)]
    grade: Option<GradeSection>,
}
fn level() -> f64 {
    0.95
}
fn direction() -> String {
    Kind::Direction.to_string()
}

impl PluginConfig for Steering {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        let (most, range) = match self.outcome.is_share() {
            true => (100.0, "`smallest` is from 0 to 100 points"),
            false => (f64::MAX, "`smallest` is a finite change, 0 or more"),
        };
        faults.when(!(0.0..=most).contains(&self.smallest()), "smallest", range);
        faults.when(!self.zero.is_finite(), "zero", "`zero` is a finite dose");
        faults.when(self.first_turn == Some(0), "first_turn", "`first_turn` counts from 1");
        let same = !self.against.is_empty() && self.against == self.only;
        faults.when(same, "against", "`against` equals `where`: there would be nothing to restore");
        faults.take(self.kind());
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(Self { grade: cx.grade.clone(), ..self.clone() }))
    }
}

impl Analyzer for Steering {
    fn needs(&self) -> Needs {
        let filter = |levels: &Where| Filter { levels: levels.clone(), compared: vec![] };
        Needs {
            outcomes: vec![self.outcome.clone()],
            first_turn: self.first_turn,
            filters: [("where", &self.only), ("against", &self.against)]
                .into_iter()
                .map(|(key, levels)| (key.to_string(), filter(levels)))
                .collect(),
            arms: true,
            hook: Some(self.hook.clone().unwrap_or_default()),
            arm: Some(self.tested.clone()),
            ..Needs::default()
        }
    }

    fn settled(&self) -> Map<String, Value> {
        let default = Self { smallest: None, ..self.clone() };
        [("smallest".to_string(), json!(default.smallest()))].into_iter().collect()
    }

    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let mut lacks = vec![];
        if self.expect.is_none() {
            lacks.push(format!(
                "the verdict cannot be told without `expect`: say whether {} `rises` or `falls` as the dose grows",
                match self.outcome.graded(self.grade.as_ref(), &[]) {
                    Outcome::Score => "accuracy".into(),
                    outcome => format!("the {}", outcome.label()),
                }
            ));
        }
        if study.groups < FEWEST_GROUPS {
            lacks.push(format!(
                "the verdict cannot be told with {} groups: at least {FEWEST_GROUPS} are needed",
                study.groups
            ));
        }
        let names: BTreeSet<&str> = study.arms.iter().flat_map(|a| a.iter()).map(|a| a.name.as_str()).collect();
        if let (Ok(arms), Ok(tested), true) = (of_hook(&names, self.hook.as_deref()), self.kind(), study.arms.is_some())
        {
            let random = arms.values().map(|a| a.kind).filter(|k| matches!(k, Kind::Random(_)) && *k != tested);
            let n = random.collect::<BTreeSet<_>>().len();
            if n < FEWEST_CONTROLS {
                lacks.push(format!("the verdict cannot be told with {n} random directions: at least {FEWEST_CONTROLS} are needed (`random` of the hook `steer`)"));
            }
        }
        lacks
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let turns = run.turns();
        let names: BTreeSet<&str> = turns.iter().map(|t| t.arm.as_str()).collect();
        // The control is the untouched arm of the conditions that were steered.
        let named = of_hook(&names, self.hook.as_deref())?;
        let steered: BTreeSet<&str> =
            turns.iter().filter(|t| named.contains_key(t.arm.as_str())).map(|t| t.condition.as_str()).collect();
        let (outcome, first) = (&self.outcome.graded_in(self.grade.as_ref(), turns), self.first(turns));
        let mut control = items(turns, "", first, &self.only);
        control.retain(|(_, condition, _), _| steered.contains(condition));
        let mut arms: Vec<Arm> = vec![];
        let mut read: Vec<&TurnRow> = control.values().flatten().copied().collect();
        let mut lost = 0;
        for (arm, name) in named {
            let rows = items(turns, arm, first, &self.only);
            lost += unshared(&rows, &control);
            read.extend(rows.values().flatten());
            if let Some(effect) = effect(&rows, &control, outcome, self.level) {
                arms.push(Arm { name, effect, replies: replies(&rows, outcome) });
            }
        }
        arms.sort_by(|a, b| a.name.kind.cmp(&b.name.kind).then(a.name.dose.total_cmp(&b.name.dose)));
        let tested = self.kind()?;
        if !arms.iter().any(|a| a.name.kind == tested) {
            return Err(Error::other(format!(
                "the run has no arm of `{tested}` with at least two groups whose turns have the outcome `{outcome}`: add a hook `steer`, or name another in `tested`"
            )));
        }
        let before = replies(&control, outcome);
        let whole = (!self.against.is_empty()).then(|| replies(&items(turns, "", first, &self.against), outcome).mean);
        let at = |w: &Where| w.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join(", ");
        out.section("Doses");
        let only = if self.only.is_empty() { String::new() } else { format!(" where {}", at(&self.only)) };
        let and = if *outcome == Outcome::Score { "and in" } else { "and" };
        let whole_at =
            whole.map_or(String::new(), |w| format!(", {and} {} where {}", self.amount(w), at(&self.against)));
        out.say(match outcome {
            Outcome::Score => format!(
                "Asked: does steering change the answers{only}? Untouched they are right in {}{whole_at}",
                self.amount(before.mean)
            ),
            _ => format!(
                "Asked: does steering change the {}{only}? Untouched its mean is {}{whole_at}",
                outcome.label(),
                self.amount(before.mean)
            ),
        });
        let without = read.iter().filter(|t| t.outcome(outcome).is_none()).count();
        outcome.left_out(without, read.len()).into_iter().for_each(|w| out.warn(w));
        if lost > 0 {
            out.warn(format!(
                "{} that only the steered or only the untouched conversation has: left out, so that the turns that are compared may be a selection",
                plural(lost, "turn")
            ));
        }
        if let (Outcome::LogOdds, Some(why)) = (outcome, off_letters(read.iter().copied())) {
            out.warn(why);
        }
        let around = report::Around { outcome, tested, level: self.level, before: &before, whole };
        report::doses(&around, &arms, out);
        report::controls(&around, &arms, out);
        let question = Question {
            outcome,
            tested,
            expect: self.expect,
            zero: self.zero,
            smallest: self.smallest(),
            level: self.level,
            seed: run.seed(),
        };
        let mut answer = ask(&question, &arms)?;
        // Replies without a readable answer count as wrong in every arm, so there may be nothing to compare.
        let silent = unread(turns.iter().filter(|t| t.turn >= first && t.has(&self.only)));
        // A search that finds nothing has read its reply.
        let reads = *outcome == Outcome::Score && !self.grade.as_ref().is_some_and(GradeSection::searches);
        if let Some(why) = silent.filter(|_| reads) {
            answer.says = Says::CannotBeTold;
            answer.why = "no answer could be read".into();
            out.warn(why);
        }
        out.section("Verdict");
        headline::tell(&question, &answer, &arms, &at(&self.only), out);
        report::verdict(&question, &answer, out);
        out.section("Arms");
        let method = format!(
            "change of {} paired by turn, with Student's {} interval over groups",
            outcome.label(),
            percent(self.level)
        );
        out.table(report::table(outcome, &arms)).method(method.as_str()).citation(cite::STUDENT);
        let about = figure::About {
            outcome,
            tested,
            zero: self.zero,
            answers: control.len(),
            first_turn: first,
            only: &at(&self.only),
            level: self.level,
        };
        out.figure(figure::doses(&about, &arms)?).method(method).citation(cite::STUDENT);
        Ok(())
    }
}

impl Steering {
    /// The first turn that is read.
    fn first(&self, turns: &[TurnRow]) -> u32 {
        let one = turns.iter().all(|t| t.turn == 1);
        self.first_turn.unwrap_or(if one { 1 } else { 2 })
    }

    /// The smallest change of interest.
    fn smallest(&self) -> f64 {
        self.smallest.unwrap_or(if self.outcome.is_share() { 1.0 } else { 0.0 })
    }

    /// A mean of the outcome, as it is shown, with its unit.
    fn amount(&self, mean: f64) -> String {
        let (o, digits) = (&self.outcome, usize::from(self.outcome.digits()));
        match o.shown_unit() {
            "%" => format!("{mean:.digits$} %"),
            "" => signed(mean, digits),
            unit => format!("{} {unit}", signed(mean, digits)),
        }
    }

    /// The kind of arm that `tested` names.
    fn kind(&self) -> Result<Kind> {
        // Parsed as the name of an arm, `kind@dose`.
        format!("{}@0", self.tested).parse::<ArmName>().map(|a| a.kind).map_err(|()| {
            let what = format!("`tested` = {:?} is neither `direction` nor a control such as `random-03`", self.tested);
            Error::at("tested", what)
        })
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Steering>("steering", "Dose-response of an outcome, against control directions", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What lacks, told before a run whose replies are graded so.
    fn lacks(grade: &str) -> Vec<String> {
        let context = r#"{"base": ".", "seed": 0, "model": {"source": "path:x"}, "backend": {}, "grade": GRADE}"#;
        let cx: BuildContext = serde_json::from_str(&context.replace("GRADE", grade)).unwrap();
        let steering: Steering = serde_json::from_str("{}").unwrap();
        steering.build(&cx).unwrap().foresee(&Foreseen { groups: 40, arms: None, readings: None })
    }

    #[test]
    fn the_smallest_change_that_is_not_set_is_told_to_the_lock() {
        let settled = |options: &str| serde_json::from_str::<Steering>(options).unwrap().settled();
        assert_eq!(settled("{}")["smallest"], 1.0);
        assert_eq!(settled(r#"{"smallest": 3}"#)["smallest"], 1.0);
        assert_eq!(settled(r#"{"outcome": "log_odds"}"#)["smallest"], 0.0);
    }

    #[test]
    fn a_score_that_says_what_was_found_is_no_accuracy() {
        let told = |what: &str| {
            vec![format!(
                "the verdict cannot be told without `expect`: say whether {what} `rises` or `falls` as the dose grows"
            )]
        };
        assert_eq!(lacks(r#"{"kind": "contains", "texts": ["sorry"]}"#), told("the share of replies that match"));
        assert_eq!(lacks(r#"{"kind": "choice"}"#), told("accuracy"));
        assert_eq!(lacks("null"), told("accuracy"));
    }
}
