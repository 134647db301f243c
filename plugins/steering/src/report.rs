//! Writes what was found: the doses of the tested direction, its controls, the verdict and the table of all arms.
use crate::arms::Kind;
use crate::effects::{Arm, Replies};
use crate::locked::{Answer, Expect, Question, listed};
use friction_core::{Column, Findings, Outcome, Says, Table, Verdict, plural};
use friction_stats::calibration::{ACCURACY_ALONE, NULL_STUDIES, Rates};
use friction_stats::{Interval, bounds, cite, mean_t, p_words, percent, signed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const RATES: Rates = Rates::new(include_str!("../../../experiments/calibration/rates.tsv"));

/// What the tested direction is told beside.
pub struct Around<'a> {
    /// The number whose change is told.
    pub outcome: &'a Outcome,
    /// The kind of arm that is tested.
    pub tested: Kind,
    /// Level of the intervals.
    pub level: f64,
    /// Properties of the untouched replies.
    pub before: &'a Replies,
    /// Mean of the outcome that full restoration would give, as it is shown.
    pub whole: Option<f64>,
}

/// What a change is called, turns in which it rose, and in which it fell: answers are mended and broken.
fn names(outcome: &Outcome) -> [&'static str; 3] {
    let change = if outcome.is_share() { "points" } else { "change" };
    match outcome {
        Outcome::Score => [change, "mended", "broken"],
        _ => [change, "rose", "fell"],
    }
}

/// The unit of changes, in words: `points of accuracy`.
fn unit(outcome: &Outcome) -> String {
    let unit = Some(outcome.difference_unit()).filter(|u| !u.is_empty()).unwrap_or("units");
    format!("{unit} of {}", outcome.label())
}

/// Reports the tested direction at each dose, with what else changed in the replies.
pub fn doses(around: &Around, arms: &[Arm], out: &mut Findings) {
    let Around { outcome, tested, level, before, whole } = around;
    let ([change, rose, fell], digits) = (names(outcome), outcome.digits());
    let gap = whole.map(|w| w - before.mean).filter(|g| g.abs() > 1e-9);
    let own: Vec<&Arm> = arms.iter().filter(|a| a.name.kind == *tested).collect();
    let share = |a: &Arm| gap.map(|g| a.effect.change.estimate / g);
    let values = own.iter().map(|a| {
        let (e, r) = (&a.effect, &a.replies);
        json!({
            "dose": a.name.dose, change: e.change.estimate, "low": e.change.low, "high": e.change.high, "restored": share(a),
            rose: e.rose, fell: e.fell, "changed": e.changed, "sign_rate": e.rose as f64 / (e.rose + e.fell).max(1) as f64,
            "parsed": r.parsed, "reply_tokens": r.tokens, "met_limit": r.cut, "repetition": r.repetition, "perplexity": r.perplexity,
        })
    });
    out.value("doses", values.collect::<Vec<Value>>());
    // The first row is the untouched control.
    let of = |name: &str, f: &dyn Fn(&Arm) -> f64| {
        Column::number(name, std::iter::once(f64::NAN).chain(own.iter().map(|a| f(a))))
    };
    let reply = |name: &str, f: &dyn Fn(&Replies) -> f64| {
        Column::number(name, std::iter::once(f(before)).chain(own.iter().map(|a| f(&a.replies))))
    };
    let doses = std::iter::once("untouched".to_string()).chain(own.iter().map(|a| a.name.dose.to_string()));
    let turns = match outcome {
        Outcome::Score => "mended, broken: answers that became right, or wrong",
        _ => "rose, fell: turns in which it did",
    };
    let caption = format!(
        "Change in {}; {turns}; changed: replies whose text differs; repeats: word triples that occurred earlier in the reply",
        unit(outcome)
    );
    let own_unit = if outcome.is_share() { "" } else { outcome.unit() };
    let mut table = Table::new("doses", caption)
        .column(Column::text("dose", doses))
        .column(of(change, &|a| a.effect.change.estimate).unit(own_unit).digits(digits))
        .column(of("low", &|a| a.effect.change.low).digits(digits))
        .column(of("high", &|a| a.effect.change.high).digits(digits));
    if gap.is_some() {
        table = table.column(of("restored", &|a| 100.0 * share(a).unwrap_or(f64::NAN)).unit("%").digits(0));
    }
    table = table
        .column(of(rose, &|a| a.effect.rose as f64).digits(0))
        .column(of(fell, &|a| a.effect.fell as f64).digits(0))
        .column(of("changed", &|a| 100.0 * a.effect.changed).unit("%").digits(1));
    // Without a target no answer is read.
    if before.parsed.is_finite() {
        table = table.column(reply("parsed", &|r| 100.0 * r.parsed).title("answer read").unit("%").digits(1));
    }
    table = table
        .column(reply("reply_tokens", &|r| r.tokens).title("tokens").digits(1))
        .column(reply("repetition", &|r| 100.0 * r.repetition).title("repeats").unit("%").digits(1));
    if let Some(p) = before.perplexity {
        table = table.column(reply("perplexity", &|r| r.perplexity.unwrap_or(f64::NAN)).digits(2));
        out.value("perplexity_untouched", p);
    }
    let neutral = if before.perplexity.is_some() {
        "; perplexity of the neutral text at the end of each conversation"
    } else {
        ""
    };
    let groups = own.iter().map(|a| a.effect.groups.len()).max().unwrap_or(0);
    out.table(table)
        .over(groups, "group")
        .method(format!(
            "paired by turn with the untouched arm; Student's {} interval over groups{neutral}",
            percent(*level)
        ))
        .citation(cite::STUDENT);
}

/// The tested direction beside one kind of controls at a dose.
struct Beside {
    dose: f32,
    word: &'static str,
    directions: usize,
    own: Interval,
    mean: Interval,
    largest: f64,
    as_large: usize,
}

/// Reports the tested direction beside the controls, at each dose with controls.
pub fn controls(around: &Around, arms: &[Arm], out: &mut Findings) {
    let found = beside(around, arms);
    if found.is_empty() {
        out.warn("the run has no control directions: any push of that size may change the answers as much");
    } else {
        let number = |name: &str, f: fn(&Beside) -> f64| {
            Column::number(name, found.iter().map(f)).digits(around.outcome.digits())
        };
        let [change, ..] = names(around.outcome);
        let unit = unit(around.outcome);
        let caption = format!(
            "The tested direction beside its controls at a dose, in {unit}; largest: the largest change of a control in absolute value; as large: controls with at least the direction's change"
        );
        let table = Table::new("controls", caption)
            .column(Column::text("dose", found.iter().map(|b| b.dose.to_string())))
            .column(Column::text("control", found.iter().map(|b| b.word)))
            .column(Column::count("directions", found.iter().map(|b| b.directions as i64)))
            .column(number(change, |b| b.own.estimate).title(around.tested.to_string()))
            .column(number(&format!("control_{change}"), |b| b.mean.estimate).title("mean control"))
            .column(number("control_low", |b| b.mean.low).title("low"))
            .column(number("control_high", |b| b.mean.high).title("high"))
            .column(number("control_largest", |b| b.largest).title("largest"))
            .column(Column::count("as_large", found.iter().map(|b| b.as_large as i64)));
        let method = format!(
            "for each group the mean over the controls, then Student's {} interval over groups",
            percent(around.level)
        );
        out.table(table).unit(unit).method(method).citation(cite::STUDENT);
    }
    if found.iter().any(|b| b.word == "shuffled-label" && b.as_large > 0) {
        out.say("Directions of shuffled labels lie along whatever varies most; where that is the direction itself they move answers too: the random directions are the test");
    }
    let [change, ..] = names(around.outcome);
    let mean = format!("control_{change}");
    let values = found.iter().map(|b| {
        json!({
            "dose": b.dose, "control": b.word, "directions": b.directions, change: b.own.estimate, "low": b.own.low, "high": b.own.high,
            mean.as_str(): b.mean.estimate, "control_low": b.mean.low, "control_high": b.mean.high, "control_largest": b.largest,
            "as_large": b.as_large,
        })
    });
    out.value("controls", values.collect::<Vec<Value>>());
}

fn beside(around: &Around, arms: &[Arm]) -> Vec<Beside> {
    let tested = around.tested;
    let mut found = vec![];
    let control = |k: Kind| k != tested && k != Kind::Direction;
    let doses: BTreeMap<u32, f32> =
        arms.iter().filter(|a| control(a.name.kind)).map(|a| (a.name.dose.to_bits(), a.name.dose)).collect();
    for dose in doses.into_values() {
        let at = |f: &dyn Fn(Kind) -> bool| -> Vec<&Arm> {
            arms.iter().filter(|a| a.name.dose == dose && f(a.name.kind)).collect()
        };
        let Some(direction) = at(&|k| k == tested).first().copied() else { continue };
        let own = direction.effect.change;
        for (word, controls) in [
            ("random", at(&|k| control(k) && matches!(k, Kind::Random(_)))),
            ("shuffled-label", at(&|k| control(k) && matches!(k, Kind::Shuffled(_)))),
        ] {
            if controls.is_empty() {
                continue;
            }
            let sizes: Vec<f64> = controls.iter().map(|a| a.effect.change.estimate.abs()).collect();
            // For each group the mean over the controls, then the mean over groups.
            let mut by: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
            controls.iter().flat_map(|a| &a.effect.groups).for_each(|(g, v)| by.entry(*g).or_default().push(*v));
            let means: Vec<f64> = by.values().map(|v| v.iter().sum::<f64>() / v.len() as f64).collect();
            let Ok(mean) = mean_t(&means, around.level) else { continue };
            found.push(Beside {
                dose,
                word,
                directions: controls.len(),
                own,
                mean,
                largest: sizes.iter().copied().fold(0.0, f64::max),
                as_large: sizes.iter().filter(|s| **s >= own.estimate.abs()).count(),
            });
        }
    }
    found
}

/// Reports the question that was fixed before the run, and its answer.
pub fn verdict(q: &Question, a: &Answer, out: &mut Findings) {
    let word = match q.expect {
        Some(Expect::Rises) => "rises",
        Some(Expect::Falls) => "falls",
        None => "changes",
    };
    let claim = format!("{} {word} as the dose along `{}` grows", q.outcome.label(), q.tested);
    let [change, ..] = names(q.outcome);
    let (unit, digits) = (q.outcome.difference_unit(), usize::from(q.outcome.digits()));
    let space = if unit.is_empty() { "" } else { " " };
    let mut verdict = Verdict::new("Best", claim, a.says).because(a.why.as_str());
    if let (Some(found), Some(rank), Some(p)) = (&a.change, a.p_rank, a.p) {
        let largest = a.controls.iter().copied().fold(0.0, f64::max);
        verdict = verdict.because(format!(
            "{}{space}{unit} {} ({}); {} by sign flips of groups, {} by rank among {} random directions, whose largest change is {largest:.digits$} in absolute value; overall {}",
            signed(found.estimate, digits),
            if q.expect.is_some() { "in the expected direction" } else { "upwards" },
            bounds(found.low, found.high, digits),
            p_words(found.p),
            p_words(rank),
            a.controls.len(),
            p_words(p),
        ));
    }
    // Answers at random tell what the test does of itself.
    let errs = [("coin", "test", "p"), ("coin", "verdict", "verdict")];
    let rates = match q.outcome {
        Outcome::Score => RATES.sentence(NULL_STUDIES, "steering", &errs, None),
        _ => Some(ACCURACY_ALONE.into()),
    };
    let block = out.verdict(rates.into_iter().fold(verdict, Verdict::because));
    block
        .method(format!(
            "asked once, over all doses at which the random directions ran ({}): a group's value is the mean change over doses, with the sign that is expected at each; p is the larger one of exact or drawn sign flips of groups and of the rank of the absolute mean among the random directions' at the same doses",
            listed(&a.doses)
        ))
        .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::PERMUTATION));
    match q.expect {
        Some(_) => block.confirmatory(),
        None => block.exploratory(),
    };
    if let Some(found) = &a.change {
        block.over(found.n, "group");
    }
    out.value(
        "test",
        json!({
            "tested": q.tested.to_string(), "outcome": q.outcome, "unit": unit, "expect": q.expect, "zero": q.zero,
            "smallest": q.smallest, "doses": a.doses, "left_out": a.left_out, change: a.change.map(|p| p.estimate),
            "low": a.change.map(|p| p.low), "high": a.change.map(|p| p.high), "n": a.change.map(|p| p.n),
            "p_flips": a.change.map(|p| p.p),
            "p_rank": a.p_rank, "p": a.p, "controls": a.controls.len(),
            "control_largest": a.controls.iter().copied().reduce(f64::max),
        }),
    );
    out.value("verdict", json!({"level": "Best", "says": a.says.to_string(), "why": a.why}));
    out.value("best", a.says == Says::Reached);
}

/// All arms as a table. Shares are from 0 to 1.
pub fn table(outcome: &Outcome, arms: &[Arm]) -> Table {
    let [change, rose, fell] = names(outcome);
    let mean = if *outcome == Outcome::Score { "accuracy" } else { "mean" };
    let scale = outcome.scale();
    let number = |name: &str, f: fn(&Arm) -> f64| Column::number(name, arms.iter().map(f));
    let count = |name: &str, f: fn(&Arm) -> usize| Column::count(name, arms.iter().map(|a| f(a) as i64));
    let caption = format!(
        "{} beside the untouched control: change in {}, and shares from 0 to 1",
        plural(arms.len(), "arm"),
        unit(outcome)
    );
    Table::new("arms", caption)
        .stored()
        .column(Column::text("arm", arms.iter().map(|a| a.name.to_string())))
        .column(number("dose", |a| f64::from(a.name.dose)))
        .column(number(change, |a| a.effect.change.estimate))
        .column(number("low", |a| a.effect.change.low))
        .column(number("high", |a| a.effect.change.high))
        .column(count(rose, |a| a.effect.rose))
        .column(count(fell, |a| a.effect.fell))
        .column(number("changed", |a| a.effect.changed))
        .column(Column::number(mean, arms.iter().map(|a| a.replies.mean / scale)))
        .column(number("parsed", |a| a.replies.parsed))
        .column(number("reply_tokens", |a| a.replies.tokens))
        .column(number("met_limit", |a| a.replies.cut))
        .column(number("repetition", |a| a.replies.repetition))
        .column(number("perplexity", |a| a.replies.perplexity.unwrap_or(f64::NAN)))
}
