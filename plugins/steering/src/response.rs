//! `steering`: the dose-response of accuracy, against random and shuffled directions.
use crate::arms::{ArmName, Kind, of_hook};
use crate::effects::{Effect, Replies, Where, effect, items, replies};
use crate::locked::{Expect, FEWEST_CONTROLS, FEWEST_GROUPS, Question, ask};
use crate::{figure, headline, report};
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Foreseen, Needs, PluginConfig, PluginEntry, Result, RunReader,
    Says, unread,
};
use friction_stats::{cite, percent};
use serde::Deserialize;
use std::collections::BTreeSet;

/// Tells what steering did to the answers: the change of accuracy at each dose, paired by question, beside random
/// directions and directions of shuffled labels, and one verdict over the doses. It reads the arms of a hook `steer`.
///
/// It writes:
/// - the tables `doses` and `controls`: the tested direction at each dose, and beside its controls;
/// - the table `arms`: a row for each arm, with the change in points of accuracy, its interval, answers that became right or
///   wrong, replies that changed, and side effects (parsed replies, tokens, repetition, perplexity of the neutral text);
/// - the figure `doses`: the change by dose, with the controls;
/// - the values `doses`, `controls`, `test` (the one question: points, interval, p by sign flips and by rank), `verdict` and
///   `best`, and `perplexity_untouched` with a neutral text.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Steering {
    /// The turns whose answers steering should change: levels of factors, such as `{ completion = "interrupt" }`.
    /// Default: all.
    #[serde(default, rename = "where")]
    only: Where,
    /// What full restoration is: the accuracy of untouched turns with these levels, such as
    /// `{ completion = "complete" }`. Default: none; no share restored is told then.
    #[serde(default)]
    against: Where,
    /// Name of the hook whose arms are read. Default: the only one that has arms. Needed where several have; of crossed
    /// arms, those that are this hook's alone are read.
    #[serde(default)]
    hook: Option<String>,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    first_turn: u32,
    /// What accuracy does as the dose grows, named before the run: the verdict's one question. Default: none; the
    /// verdict cannot be told then. Of a direction that says how much something harms, accuracy `falls` as the dose
    /// grows, also where doses below 0 take it away.
    #[serde(default)]
    expect: Option<Expect>,
    /// The dose that leaves things as they are: 0 for `add`, `remove` and a range `clamp`; for `set`, and for a feature
    /// that is clamped to the dose, the value that the activations have untouched, in units of the dose. Doses above it
    /// push up, doses below it push down.
    #[serde(default)]
    zero: f32,
    /// Smallest change of interest, in points of accuracy. A smaller change reaches no verdict, and one that is surely
    /// smaller is told as such.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 100.0))]
    smallest: f64,
    /// What is tested: `direction`, or a control by its name, such as `random-03`, which is then compared with the
    /// other random ones. Change it to check that the test finds nothing in a direction that means nothing.
    #[serde(default = "direction")]
    #[schemars(example = &"random-03")]
    tested: String,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
}
fn two() -> u32 {
    2
}
fn level() -> f64 {
    0.95
}
fn one() -> f64 {
    1.0
}
fn direction() -> String {
    Kind::Direction.to_string()
}

impl PluginConfig for Steering {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.when(!(0.0..=100.0).contains(&self.smallest), "smallest", "`smallest` is from 0 to 100 points");
        faults.when(!self.zero.is_finite(), "zero", "`zero` is a finite dose");
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        let same = !self.against.is_empty() && self.against == self.only;
        faults.when(same, "against", "`against` equals `where`: there would be nothing to restore");
        faults.take(self.kind());
        faults.end()
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

/// One arm's results.
pub struct Arm {
    /// The direction and the dose.
    pub name: ArmName,
    /// The change of the answers where the analyzer looks (`where`).
    pub effect: Effect,
    /// Properties of all its replies there.
    pub replies: Replies,
}

impl Analyzer for Steering {
    fn needs(&self) -> Needs {
        let filter = |levels: &Where| Filter { levels: levels.clone(), compared: vec![] };
        Needs {
            first_turn: Some(self.first_turn),
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

    fn foresee(&self, study: &Foreseen) -> Vec<String> {
        let mut lacks = vec![];
        if self.expect.is_none() {
            lacks.push("the verdict cannot be told without `expect`: say whether accuracy `rises` or `falls` as the dose grows".into());
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
        let mut control = items(turns, "", self.first_turn, &self.only);
        control.retain(|(_, condition, _), _| steered.contains(condition));
        let mut arms: Vec<Arm> = vec![];
        for (arm, name) in named {
            let rows = items(turns, arm, self.first_turn, &self.only);
            if let Some(effect) = effect(&rows, &control, self.level) {
                arms.push(Arm { name, effect, replies: replies(&rows) });
            }
        }
        arms.sort_by(|a, b| a.name.kind.cmp(&b.name.kind).then(a.name.dose.total_cmp(&b.name.dose)));
        let tested = self.kind()?;
        if !arms.iter().any(|a| a.name.kind == tested) {
            return Err(Error::other(format!(
                "the run has no arm of `{tested}` with at least two groups: add a hook `steer`, or name another in `tested`"
            )));
        }
        let before = replies(&control);
        let whole =
            (!self.against.is_empty()).then(|| replies(&items(turns, "", self.first_turn, &self.against)).accuracy);
        let at = |w: &Where| w.iter().map(|(k, v)| format!("{k} = {v}")).collect::<Vec<_>>().join(", ");
        out.section("Doses");
        out.say(format!(
            "Asked: does steering change the answers{}? Untouched they are right in {:.1} %{}",
            if self.only.is_empty() { String::new() } else { format!(" where {}", at(&self.only)) },
            100.0 * before.accuracy,
            whole.map_or(String::new(), |w| format!(", and in {:.1} % where {}", 100.0 * w, at(&self.against)))
        ));
        let around = report::Around { tested, level: self.level, before: &before, whole };
        report::doses(&around, &arms, out);
        report::controls(&around, &arms, out);
        let question = Question {
            tested,
            expect: self.expect,
            zero: self.zero,
            smallest: self.smallest,
            level: self.level,
            seed: run.seed(),
        };
        let mut answer = ask(&question, &arms)?;
        // Replies without a readable answer count as wrong in every arm, so there may be nothing to compare.
        if let Some(why) = unread(turns.iter().filter(|t| t.turn >= self.first_turn && t.has(&self.only))) {
            answer.says = Says::CannotBeTold;
            answer.why = "no answer could be read".into();
            out.warn(why);
        }
        out.section("Verdict");
        headline::tell(&question, &answer, &arms, &at(&self.only), out);
        report::verdict(&question, &answer, out);
        out.section("Arms");
        let method = format!(
            "change of accuracy paired by question, with Student's {} interval over groups",
            percent(self.level)
        );
        out.table(report::table(&arms)).method(method.as_str()).citation(cite::STUDENT);
        let about = figure::About {
            tested,
            zero: self.zero,
            answers: control.len(),
            first_turn: self.first_turn,
            only: &at(&self.only),
            level: self.level,
        };
        out.figure(figure::doses(&about, &arms)?).method(method).citation(cite::STUDENT);
        Ok(())
    }
}

impl Steering {
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
    PluginEntry::analyzer::<Steering>("steering", "Dose-response of the answers, against control directions", env!("CARGO_PKG_VERSION"))
}
