//! `steering`: the dose-response of accuracy, against random and shuffled directions.
use crate::arms::{ArmName, Kind, of_hook};
use crate::effects::{Effect, Replies, Where, effect, items, replies};
use crate::locked::{Answer, Expect, FEWEST_CONTROLS, FEWEST_GROUPS, Question, ask, listed};
use crate::{figure, headline};
use friction_core::error::Faults;
use friction_core::findings::Column;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Filter, Findings, Foreseen, Needs, PluginConfig, PluginEntry, Result, RunReader,
    Table, plural, unread,
};
use friction_stats::{Says, bounds, mean_t, p_words, signed};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Tells what steering did to the answers: the change of accuracy at each dose, paired by question, beside random
/// directions and directions of shuffled labels, and one verdict over the doses. It reads the arms of a hook `steer`.
///
/// It writes:
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
        out.say(format!(
            "Asked: does steering change the answers{}? Untouched they are right in {:.1} %{}",
            if self.only.is_empty() { String::new() } else { format!(" where {}", at(&self.only)) },
            100.0 * before.accuracy,
            whole.map_or(String::new(), |w| format!(", and in {:.1} % where {}", 100.0 * w, at(&self.against)))
        ));
        self.doses(tested, &arms, &before, whole, out);
        self.controls(tested, &arms, out);
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
        headline::tell(&question, &answer, &arms, &at(&self.only), out);
        tell(&question, &answer, out);
        out.tables.push(table(&arms));
        let about = figure::About {
            tested,
            zero: self.zero,
            answers: control.len(),
            first_turn: self.first_turn,
            only: &at(&self.only),
            level: self.level,
        };
        out.figures.push(figure::doses(&about, &arms)?);
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

    fn doses(&self, tested: Kind, arms: &[Arm], before: &Replies, whole: Option<f64>, out: &mut Findings) {
        out.say(format!(
            "  {:>8} {:>8} {:>18} {:>9} {:>8} {:>7} {:>8} {:>8} {:>8} {:>8}{}",
            "dose",
            "points",
            "interval",
            "restored",
            "mended",
            "broken",
            "changed",
            "parsed",
            "tokens",
            "repeats",
            if before.perplexity.is_some() { " perplexity" } else { "" }
        ));
        let line = |r: &Replies| {
            let perplexity = r.perplexity.map_or(String::new(), |p| format!(" {p:>10.2}"));
            format!("{:>6.1} % {:>8.1} {:>6.1} %{perplexity}", 100.0 * r.parsed, r.tokens, 100.0 * r.repetition)
        };
        let mut doses = vec![];
        for a in arms.iter().filter(|a| a.name.kind == tested) {
            let (e, r) = (&a.effect, &a.replies);
            let gap = whole.map(|w| 100.0 * (w - before.accuracy)).filter(|g| g.abs() > 1e-9);
            let share = gap.map(|g| e.points.estimate / g);
            out.say(format!(
                "  {:>8} {:>+8.1} {:>18} {:>9} {:>8} {:>7} {:>6.1} % {}",
                a.name.dose,
                e.points.estimate,
                bounds(e.points.low, e.points.high, 1),
                share.map_or("–".into(), |s| format!("{:.0} %", 100.0 * s)),
                e.mended,
                e.broken,
                100.0 * e.changed,
                line(r)
            ));
            doses.push(json!({
                "dose": a.name.dose, "points": e.points.estimate, "low": e.points.low, "high": e.points.high, "restored": share,
                "mended": e.mended, "broken": e.broken, "changed": e.changed, "sign_rate": e.mended as f64 / (e.mended + e.broken).max(1) as f64,
                "parsed": r.parsed, "reply_tokens": r.tokens, "met_limit": r.cut, "repetition": r.repetition, "perplexity": r.perplexity,
            }));
        }
        out.say(format!("  untouched: {}", line(before).trim()));
        out.say("  points: change of accuracy, paired by question, with Student's interval over groups; mended, broken: answers that became right, or wrong; changed: replies whose text differs; repeats: word triples that occurred earlier in the reply");
        if let Some(p) = before.perplexity {
            out.say("  perplexity: of the neutral text at the end of each conversation");
            out.value("perplexity_untouched", p);
        }
        out.value("doses", doses);
    }

    /// Reports the tested direction beside the controls, at each dose with controls.
    fn controls(&self, tested: Kind, arms: &[Arm], out: &mut Findings) {
        let mut found = vec![];
        let control = |k: Kind| k != tested && k != Kind::Direction;
        let doses: BTreeMap<u32, f32> =
            arms.iter().filter(|a| control(a.name.kind)).map(|a| (a.name.dose.to_bits(), a.name.dose)).collect();
        for dose in doses.into_values() {
            let at = |f: &dyn Fn(Kind) -> bool| -> Vec<&Arm> {
                arms.iter().filter(|a| a.name.dose == dose && f(a.name.kind)).collect()
            };
            let Some(direction) = at(&|k| k == tested).first().copied() else { continue };
            let e = direction.effect.points;
            for (word, controls) in [
                ("random", at(&|k| control(k) && matches!(k, Kind::Random(_)))),
                ("shuffled-label", at(&|k| control(k) && matches!(k, Kind::Shuffled(_)))),
            ] {
                if controls.is_empty() {
                    continue;
                }
                let sizes: Vec<f64> = controls.iter().map(|a| a.effect.points.estimate.abs()).collect();
                let as_large = sizes.iter().filter(|s| **s >= e.estimate.abs()).count();
                // For each group the mean over the controls, then the mean over groups.
                let mut by: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
                controls.iter().flat_map(|a| &a.effect.groups).for_each(|(g, v)| by.entry(*g).or_default().push(*v));
                let means: Vec<f64> = by.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
                let Ok(i) = mean_t(&means, self.level) else { continue };
                let largest = sizes.iter().copied().fold(0.0, f64::max);
                out.say(format!(
                    "  at dose {dose}: `{tested}` {} points; {} {word} directions {} on average ({}), at most {largest:.1} in absolute value, {as_large} of them at least as large",
                    signed(e.estimate, 1), controls.len(), signed(i.estimate, 1), bounds(i.low, i.high, 1)
                ));
                if word == "shuffled-label" && as_large > 0 {
                    out.say("    directions of shuffled labels lie along whatever varies most; where that is the direction itself they move answers too: the random directions are the test");
                }
                found.push(json!({
                    "dose": dose, "control": word, "directions": controls.len(), "points": e.estimate, "low": e.low, "high": e.high,
                    "control_points": i.estimate, "control_low": i.low, "control_high": i.high, "control_largest": largest,
                    "as_large": as_large,
                }));
            }
        }
        if found.is_empty() {
            out.warn("the run has no control directions: any push of that size may change the answers as much");
        }
        out.value("controls", found);
    }
}

/// Reports the question that was fixed before the run, and its answer.
fn tell(q: &Question, a: &Answer, out: &mut Findings) {
    let word = match q.expect {
        Some(Expect::Rises) => "rises",
        Some(Expect::Falls) => "falls",
        None => "changes",
    };
    out.say(format!(
        "Asked once, over all doses at which the random directions ran ({}): accuracy {word} as the dose grows",
        listed(&a.doses)
    ));
    if let (Some(points), Some(rank), Some(p)) = (&a.points, a.p_rank, a.p) {
        let largest = a.controls.iter().copied().fold(0.0, f64::max);
        out.say(format!(
            "Found on {}: {} points {} ({}); {} by sign flips of groups, {} by rank among {} random directions, whose largest change is {largest:.1} in absolute value; overall {}",
            plural(points.n, "group"),
            signed(points.estimate, 1),
            if q.expect.is_some() { "in the expected direction" } else { "upwards" },
            bounds(points.low, points.high, 1),
            p_words(points.p),
            p_words(rank),
            a.controls.len(),
            p_words(p),
        ));
    }
    let mut letters = a.why.chars();
    let first = letters.next().map_or(String::new(), |c| c.to_uppercase().collect());
    out.say(format!("Verdict on steering: {}. {first}{}.", a.says, letters.as_str()));
    out.value(
        "test",
        json!({
            "tested": q.tested.to_string(), "expect": q.expect, "zero": q.zero, "smallest": q.smallest, "doses": a.doses,
            "left_out": a.left_out, "points": a.points.map(|p| p.estimate), "low": a.points.map(|p| p.low),
            "high": a.points.map(|p| p.high), "n": a.points.map(|p| p.n), "p_flips": a.points.map(|p| p.p),
            "p_rank": a.p_rank, "p": a.p, "controls": a.controls.len(),
            "control_largest": a.controls.iter().copied().reduce(f64::max),
        }),
    );
    out.value("verdict", json!({"level": "Best", "says": a.says.to_string(), "why": a.why}));
    out.value("best", a.says == Says::Reached);
}

fn table(arms: &[Arm]) -> Table {
    let number = |f: fn(&Arm) -> f64| Column::Number(arms.iter().map(f).collect());
    Table {
        name: "arms".into(),
        columns: vec![
            ("arm".into(), Column::Text(arms.iter().map(|a| a.name.to_string()).collect())),
            ("dose".into(), number(|a| f64::from(a.name.dose))),
            ("points".into(), number(|a| a.effect.points.estimate)),
            ("low".into(), number(|a| a.effect.points.low)),
            ("high".into(), number(|a| a.effect.points.high)),
            ("mended".into(), Column::Count(arms.iter().map(|a| a.effect.mended as i64).collect())),
            ("broken".into(), Column::Count(arms.iter().map(|a| a.effect.broken as i64).collect())),
            ("changed".into(), number(|a| a.effect.changed)),
            ("accuracy".into(), number(|a| a.replies.accuracy)),
            ("parsed".into(), number(|a| a.replies.parsed)),
            ("reply_tokens".into(), number(|a| a.replies.tokens)),
            ("met_limit".into(), number(|a| a.replies.cut)),
            ("repetition".into(), number(|a| a.replies.repetition)),
            ("perplexity".into(), number(|a| a.replies.perplexity.unwrap_or(f64::NAN))),
        ],
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Steering>("steering", "Dose-response of the answers, against control directions", env!("CARGO_PKG_VERSION"))
}
