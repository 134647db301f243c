//! Writes what was found: the doses of the tested direction, its controls, the verdict and the table of all arms.
use crate::arms::Kind;
use crate::effects::Replies;
use crate::locked::{Answer, Expect, Question, listed};
use crate::response::Arm;
use friction_core::{Column, Findings, Says, Table, Verdict, plural};
use friction_stats::{Interval, bounds, cite, mean_t, p_words, percent, signed};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the tested direction is told beside.
pub struct Around<'a> {
    /// The kind of arm that is tested.
    pub tested: Kind,
    /// Level of the intervals.
    pub level: f64,
    /// Properties of the untouched replies.
    pub before: &'a Replies,
    /// Accuracy that full restoration would give, 0 to 1.
    pub whole: Option<f64>,
}

/// Reports the tested direction at each dose, with what else changed in the replies.
pub fn doses(around: &Around, arms: &[Arm], out: &mut Findings) {
    let Around { tested, level, before, whole } = around;
    let gap = whole.map(|w| 100.0 * (w - before.accuracy)).filter(|g| g.abs() > 1e-9);
    let own: Vec<&Arm> = arms.iter().filter(|a| a.name.kind == *tested).collect();
    let share = |a: &Arm| gap.map(|g| a.effect.points.estimate / g);
    let values = own.iter().map(|a| {
        let (e, r) = (&a.effect, &a.replies);
        json!({
            "dose": a.name.dose, "points": e.points.estimate, "low": e.points.low, "high": e.points.high, "restored": share(a),
            "mended": e.mended, "broken": e.broken, "changed": e.changed, "sign_rate": e.mended as f64 / (e.mended + e.broken).max(1) as f64,
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
    let mut table = Table::new(
        "doses",
        "Points: change of accuracy; mended, broken: answers that became right, or wrong; changed: replies whose text differs; repeats: word triples that occurred earlier in the reply",
    )
    .column(Column::text("dose", doses))
    .column(of("points", &|a| a.effect.points.estimate).digits(1))
    .column(of("low", &|a| a.effect.points.low).digits(1))
    .column(of("high", &|a| a.effect.points.high).digits(1));
    if gap.is_some() {
        table = table.column(of("restored", &|a| 100.0 * share(a).unwrap_or(f64::NAN)).unit("%").digits(0));
    }
    table = table
        .column(of("mended", &|a| a.effect.mended as f64).digits(0))
        .column(of("broken", &|a| a.effect.broken as f64).digits(0))
        .column(of("changed", &|a| 100.0 * a.effect.changed).unit("%").digits(1))
        .column(reply("parsed", &|r| 100.0 * r.parsed).title("answer read").unit("%").digits(1))
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
            "paired by question with the untouched arm; Student's {} interval over groups{neutral}",
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
        let number = |name: &str, f: fn(&Beside) -> f64| Column::number(name, found.iter().map(f)).digits(1);
        let table = Table::new(
            "controls",
            "The tested direction beside its controls at a dose, in points of accuracy; largest: the largest change of a control in absolute value; as large: controls with at least the direction's change",
        )
        .column(Column::text("dose", found.iter().map(|b| b.dose.to_string())))
        .column(Column::text("control", found.iter().map(|b| b.word)))
        .column(Column::count("directions", found.iter().map(|b| b.directions as i64)))
        .column(number("points", |b| b.own.estimate).title(around.tested.to_string()))
        .column(number("control_points", |b| b.mean.estimate).title("mean control"))
        .column(number("control_low", |b| b.mean.low).title("low"))
        .column(number("control_high", |b| b.mean.high).title("high"))
        .column(number("control_largest", |b| b.largest).title("largest"))
        .column(Column::count("as_large", found.iter().map(|b| b.as_large as i64)));
        let method = format!(
            "for each group the mean over the controls, then Student's {} interval over groups",
            percent(around.level)
        );
        out.table(table).unit("points of accuracy").method(method).citation(cite::STUDENT);
    }
    if found.iter().any(|b| b.word == "shuffled-label" && b.as_large > 0) {
        out.say("Directions of shuffled labels lie along whatever varies most; where that is the direction itself they move answers too: the random directions are the test");
    }
    let values = found.iter().map(|b| {
        json!({
            "dose": b.dose, "control": b.word, "directions": b.directions, "points": b.own.estimate, "low": b.own.low, "high": b.own.high,
            "control_points": b.mean.estimate, "control_low": b.mean.low, "control_high": b.mean.high, "control_largest": b.largest,
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
        let own = direction.effect.points;
        for (word, controls) in [
            ("random", at(&|k| control(k) && matches!(k, Kind::Random(_)))),
            ("shuffled-label", at(&|k| control(k) && matches!(k, Kind::Shuffled(_)))),
        ] {
            if controls.is_empty() {
                continue;
            }
            let sizes: Vec<f64> = controls.iter().map(|a| a.effect.points.estimate.abs()).collect();
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
    let claim = format!("accuracy {word} as the dose along `{}` grows", q.tested);
    let mut verdict = Verdict::new("Best", claim, a.says).because(a.why.as_str());
    if let (Some(points), Some(rank), Some(p)) = (&a.points, a.p_rank, a.p) {
        let largest = a.controls.iter().copied().fold(0.0, f64::max);
        verdict = verdict.because(format!(
            "{} points {} ({}); {} by sign flips of groups, {} by rank among {} random directions, whose largest change is {largest:.1} in absolute value; overall {}",
            signed(points.estimate, 1),
            if q.expect.is_some() { "in the expected direction" } else { "upwards" },
            bounds(points.low, points.high, 1),
            p_words(points.p),
            p_words(rank),
            a.controls.len(),
            p_words(p),
        ));
    }
    let block = out.verdict(verdict);
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
    if let Some(points) = &a.points {
        block.over(points.n, "group");
    }
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

/// All arms as a table.
pub fn table(arms: &[Arm]) -> Table {
    let number = |name: &str, f: fn(&Arm) -> f64| Column::number(name, arms.iter().map(f));
    let count = |name: &str, f: fn(&Arm) -> usize| Column::count(name, arms.iter().map(|a| f(a) as i64));
    let caption = format!(
        "{} beside the untouched control: change in points of accuracy, and shares from 0 to 1",
        plural(arms.len(), "arm")
    );
    Table::new("arms", caption)
        .stored()
        .column(Column::text("arm", arms.iter().map(|a| a.name.to_string())))
        .column(number("dose", |a| f64::from(a.name.dose)))
        .column(number("points", |a| a.effect.points.estimate))
        .column(number("low", |a| a.effect.points.low))
        .column(number("high", |a| a.effect.points.high))
        .column(count("mended", |a| a.effect.mended))
        .column(count("broken", |a| a.effect.broken))
        .column(number("changed", |a| a.effect.changed))
        .column(number("accuracy", |a| a.replies.accuracy))
        .column(number("parsed", |a| a.replies.parsed))
        .column(number("reply_tokens", |a| a.replies.tokens))
        .column(number("met_limit", |a| a.replies.cut))
        .column(number("repetition", |a| a.replies.repetition))
        .column(number("perplexity", |a| a.replies.perplexity.unwrap_or(f64::NAN)))
}
