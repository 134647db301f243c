//! `steering`: the dose-response of accuracy, against random and shuffled directions.
use crate::arms::{ArmName, Kind};
use crate::effects::{Effect, Replies, Where, effect, items, replies};
use crate::figure;
use friction_core::findings::Column;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Result, RunReader, Table,
};
use friction_stats::{mean_t, p_words, permutation_p};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Options of `steering`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Steering {
    /// The turns whose answers steering should change: levels of factors, such as
    /// `{ completion = "interrupt" }`. Default all.
    #[serde(default, rename = "where")]
    only: Where,
    /// What full restoration is: the control arm's turns with these levels, such as
    /// `{ completion = "complete" }`. Without it no share is told.
    #[serde(default)]
    against: Where,
    /// First turn that enters. Default 2.
    #[serde(default = "two")]
    first_turn: u32,
    /// Level of the intervals. Default 0.95.
    #[serde(default = "level")]
    level: f64,
}
fn two() -> u32 {
    2
}
fn level() -> f64 {
    0.95
}

impl PluginConfig for Steering {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        if (0.5..1.0).contains(&self.level) {
            Ok(())
        } else {
            Err(Error::config("`level` must be from 0.5 to below 1"))
        }
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

/// One arm's outcome.
pub struct Arm {
    /// Along what, how much.
    pub name: ArmName,
    /// Where the manifest looks.
    pub effect: Effect,
    /// All its replies there.
    pub replies: Replies,
}

impl Analyzer for Steering {
    fn needs(&self) -> Needs {
        let factors = self.only.keys().chain(self.against.keys()).cloned().collect::<BTreeSet<_>>();
        Needs { taps: vec![], factors: factors.into_iter().collect() }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let turns = run.turns();
        let names: BTreeSet<&str> = turns.iter().map(|t| t.arm.as_str()).collect();
        // The untouched control of the conditions that were steered.
        let steered: BTreeSet<&str> =
            turns.iter().filter(|t| !t.arm.is_empty()).map(|t| t.condition.as_str()).collect();
        let mut control = items(turns, "", self.first_turn, &self.only);
        control.retain(|(_, condition, _), _| steered.contains(condition));
        let mut arms: Vec<Arm> = vec![];
        for name in names.iter().filter_map(|n| n.parse::<ArmName>().ok()) {
            let rows = items(turns, &name.to_string(), self.first_turn, &self.only);
            if let Some(effect) = effect(&rows, &control, self.level) {
                arms.push(Arm { name, effect, replies: replies(&rows) });
            }
        }
        arms.sort_by(|a, b| a.name.kind.cmp(&b.name.kind).then(a.name.dose.total_cmp(&b.name.dose)));
        if !arms.iter().any(|a| a.name.kind == Kind::Direction) {
            return Err(Error::other("the run has no steered arms over two groups or more: add a hook `steer`"));
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
        self.doses(&arms, &before, whole, out);
        self.controls(&arms, out);
        out.tables.push(table(&arms));
        out.figures.push(figure::doses(&arms)?);
        Ok(())
    }
}

impl Steering {
    fn doses(&self, arms: &[Arm], before: &Replies, whole: Option<f64>, out: &mut Findings) {
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
        for a in arms.iter().filter(|a| a.name.kind == Kind::Direction) {
            let (e, r) = (&a.effect, &a.replies);
            let gap = whole.map(|w| 100.0 * (w - before.accuracy)).filter(|g| g.abs() > 1e-9);
            let share = gap.map(|g| e.points.estimate / g);
            out.say(format!(
                "  {:>8} {:>+8.1} {:>18} {:>9} {:>8} {:>7} {:>6.1} % {}",
                a.name.dose,
                e.points.estimate,
                format!("{:+.1} to {:+.1}", e.points.low, e.points.high),
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
        out.say("  points: change of accuracy, paired by question; mended, broken: answers that became right, wrong; changed: replies of another text; repeats: word triples said before");
        if let Some(p) = before.perplexity {
            out.say("  perplexity: of the neutral text that each conversation is made to say at its end");
            out.value("perplexity_untouched", p);
        }
        out.value("doses", doses);
    }

    /// The direction beside its controls, at each dose where there are any.
    fn controls(&self, arms: &[Arm], out: &mut Findings) {
        let mut found = vec![];
        let doses: BTreeMap<u32, f32> = arms
            .iter()
            .filter(|a| a.name.kind != Kind::Direction)
            .map(|a| (a.name.dose.to_bits(), a.name.dose))
            .collect();
        for dose in doses.into_values() {
            let at = |f: &dyn Fn(Kind) -> bool| -> Vec<&Arm> {
                arms.iter().filter(|a| a.name.dose == dose && f(a.name.kind)).collect()
            };
            let Some(direction) = at(&|k| k == Kind::Direction).first().copied() else { continue };
            let e = direction.effect.points;
            for (word, controls) in [
                ("random", at(&|k| matches!(k, Kind::Random(_)))),
                ("shuffled-label", at(&|k| matches!(k, Kind::Shuffled(_)))),
            ] {
                if controls.is_empty() {
                    continue;
                }
                let sizes: Vec<f64> = controls.iter().map(|a| a.effect.points.estimate.abs()).collect();
                let p = permutation_p(e.estimate.abs(), &sizes);
                // Each group's mean over the controls, then over groups.
                let mut by: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
                controls.iter().flat_map(|a| &a.effect.groups).for_each(|(g, v)| by.entry(*g).or_default().push(*v));
                let means: Vec<f64> = by.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
                let Ok(i) = mean_t(&means, self.level) else { continue };
                let largest = sizes.iter().copied().fold(0.0, f64::max);
                out.say(format!(
                    "Found at dose {dose}: the direction {:+.1} points ({:+.1} to {:+.1}); {} {word} directions {:+.1} on average ({:+.1} to {:+.1}), the largest {largest:.1}; {}",
                    e.estimate, e.low, e.high, controls.len(), i.estimate, i.low, i.high, p_words(p)
                ));
                let apart = e.low > i.high || e.high < i.low;
                found.push(json!({
                    "dose": dose, "control": word, "directions": controls.len(), "points": e.estimate, "low": e.low, "high": e.high,
                    "control_points": i.estimate, "control_low": i.low, "control_high": i.high, "control_largest": largest,
                    "p": p, "intervals_apart": apart,
                }));
            }
        }
        if found.is_empty() {
            out.warn("the run has no control directions: a change of the answers may come from any push of that size");
        }
        let changed = found.iter().any(|f| {
            f["control"] == "random" && f["intervals_apart"] == true && f["p"].as_f64().is_some_and(|p| p <= 0.05)
        });
        out.say(if changed {
            "Verdict, Best: reached. Changing what the direction says changes the answers, and random directions do not."
        } else {
            "Verdict, Best: not reached. The direction does not change the answers more than random directions do."
        });
        out.value("controls", found);
        out.value("best", changed);
    }
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
