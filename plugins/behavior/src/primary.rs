//! The primary contrast: the one question that is named before the run.
use crate::contrast::{Contrast, Measure, Tested, contrast};
use crate::levels::About;
use crate::values::{Course, Differences, Factor, differences, reference};
use friction_core::{Column, Estimate, Findings, Outcome, Table, TurnRow, plural};
use friction_stats::{cite, holm, percent};
use serde_json::{Value, json};

/// Most estimates of contrasts; the table has all.
const ESTIMATES: usize = 4;

/// What the contrast is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Primary {
    /// `a`: the outcome at the levels of a factor.
    Level(String),
    /// `a × turn`: the outcome's slope on turns.
    Turn(String),
    /// `a × b`: the difference between the levels of one factor, at the levels of another.
    Cross(String, String),
}

impl Primary {
    /// Reads the option; `None` if it has none of the forms.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('×').flat_map(|part| part.split(" x ")).map(str::trim).collect();
        match parts[..] {
            [a] if !a.is_empty() && a != "turn" => Some(Self::Level(a.into())),
            [a, "turn"] if !a.is_empty() && a != "turn" => Some(Self::Turn(a.into())),
            [a, b] if ![a, b].contains(&"") && a != "turn" && a != b => Some(Self::Cross(a.into(), b.into())),
            _ => None,
        }
    }
    /// The factors that it compares.
    pub fn factors(&self) -> Vec<String> {
        match self {
            Self::Level(a) | Self::Turn(a) => vec![a.clone()],
            Self::Cross(a, b) => vec![a.clone(), b.clone()],
        }
    }
    /// How it is written.
    pub fn words(&self) -> String {
        match self {
            Self::Level(a) => a.clone(),
            Self::Turn(a) => format!("{a} × turn"),
            Self::Cross(a, b) => format!("{a} × {b}"),
        }
    }
    fn measure(&self) -> Measure {
        if matches!(self, Self::Turn(_)) { Measure::Slope } else { Measure::Mean }
    }
    /// Unit of the estimate.
    fn unit(&self, outcome: &Outcome) -> String {
        match (self, outcome.difference_unit()) {
            (Self::Turn(_), "") => "per turn".into(),
            (Self::Turn(_), unit) => format!("{unit}/turn"),
            (_, unit) => unit.into(),
        }
    }
    fn digits(&self, outcome: &Outcome) -> u8 {
        if matches!(self, Self::Turn(_)) { (outcome.digits() + 1).min(3) } else { outcome.digits() }
    }
    /// The question about two levels, short or with the factor named twice.
    fn asked(&self, outcome: &Outcome, a: &str, b: &str, short: bool) -> String {
        let what = outcome.label();
        match (self, outcome) {
            (Self::Turn(f), Outcome::Score) if short => format!("Does accuracy fall faster if {f} = {b} than if {a}?"),
            (Self::Turn(f), Outcome::Score) => {
                format!("Does accuracy fall faster with turns under {f} = {b} than under {f} = {a}?")
            }
            (Self::Turn(f), _) => {
                format!("Does the {what} change otherwise with turns if {f} = {b} than if {f} = {a}?")
            }
            (Self::Level(f), _) => format!("Does the {what} differ between {f} = {b} and {f} = {a}?"),
            (Self::Cross(f, g), _) => {
                format!("Does the difference of {what} between {f} = {b} and {f} = {a} depend on {g}?")
            }
        }
    }
    /// The question about more than two levels.
    fn of_several(&self, outcome: &Outcome, a: &str) -> String {
        let what = outcome.label();
        match self {
            Self::Turn(f) => format!("Does the {what} change otherwise with turns than if {f} = {a}?"),
            Self::Level(f) | Self::Cross(f, _) => format!("At which {f} does the {what} differ from {f} = {a}?"),
        }
    }
    /// What is computed, as another would compute it.
    fn method(&self, outcome: &Outcome, turns: &str, level: f64, exact: bool) -> String {
        let value = if *outcome == Outcome::Score { "right (1 or 0)".into() } else { outcome.label() };
        let what = match self {
            Self::Turn(_) => format!(
                "difference of the least-squares slopes of {value} on the turn, in pairs of conversations that agree in every other factor, {turns}"
            ),
            Self::Level(_) => format!(
                "difference of the mean {value} in pairs of conversations that agree in every other factor, {turns} that both have"
            ),
            Self::Cross(f, g) => format!(
                "difference between the levels of {g} of the differences between the levels of {f}, each of the mean {value} in conversations that agree in every other factor, {turns} that all have"
            ),
        };
        format!(
            "{what}; mean over a group's pairs; {}sign flips with one sign per group, inverted for the {} interval",
            if exact { "exact " } else { "" },
            percent(level)
        )
    }
}

/// One level beside the reference.
struct Beside {
    level: String,
    what: String,
    found: Option<Contrast>,
}

/// Writes the contrast. `turns` are all that the run has, in the manifest's order; `courses` are those that are compared.
///
/// Within a group, conversations that agree in every other factor form a pair: the same items in the same order, one
/// conversation at each level. A group's value is the mean over its pairs. The p-value and the interval come from sign
/// flips with one sign per group, because the pairs of a group share its items. Of more than two levels each is compared
/// with the reference, and p-values are Holm's.
pub fn tell(primary: &Primary, turns: &[&TurnRow], courses: &[Course], about: &About, out: &mut Findings) {
    let factors = primary.factors();
    let levels: Vec<Vec<String>> = factors.iter().map(|f| Factor::Named(f.clone()).levels(turns)).collect();
    if let Some((f, l)) = factors.iter().zip(&levels).find(|(_, l)| l.len() < 2) {
        out.warn(format!("the primary contrast needs two levels of `{f}`; the run has {}", l.len()));
        return untold(primary, about.outcome, out);
    }
    let factor = Factor::Named(factors[0].clone());
    let Some(first) = reference(&levels[0], about.reference).map(String::from) else { return };
    let others: Vec<&String> = levels[0].iter().filter(|l| **l != first).collect();
    if let Primary::Cross(_, second) = primary
        && levels.iter().any(|l| l.len() != 2)
    {
        out.warn(format!("`{} × {second}` needs two levels of each factor", factor.name()));
        return untold(primary, about.outcome, out);
    }
    let unit = about.outcome.scale();
    let (mut rows, mut lone, mut short, mut why) = (vec![], 0, 0, None);
    for level in others {
        let Differences { mut all, lone: left, .. } = differences(courses, &factor, &first, level);
        lone += left;
        let mut what = format!("{level} - {first}");
        if let Primary::Cross(_, second) = primary {
            let second = Factor::Named(second.clone());
            let Some(a) = reference(&levels[1], about.reference) else { return };
            let b = levels[1].iter().find(|l| *l != a).map_or("", String::as_str);
            let crossed = differences(&all, &second, a, b);
            lone += crossed.lone;
            all = crossed.all;
            what = format!("({what}): {b} - {a}");
        }
        let Tested { contrast: found, short: few } = contrast(&all, primary.measure(), unit, about.level, about.seed);
        short += few;
        why = why.or(found.as_ref().err().cloned());
        rows.push(Beside { level: level.clone(), what, found: found.ok() });
    }
    if lone > 0 {
        let whose = factors.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(" and ");
        out.warn(format!(
            "left out of the primary contrast: {}, which have no single partner at the other level of {whose}",
            plural(lone, "pair")
        ));
    }
    if short > 0 {
        let least = if primary.measure() == Measure::Slope { "two turns" } else { "one turn" };
        out.warn(format!("left out of the primary contrast: {} without {least} in common", plural(short, "pair")));
    }
    let question = match &rows[..] {
        [one] => primary.asked(about.outcome, &first, &one.level, false),
        _ => primary.of_several(about.outcome, &first),
    };
    if let (Some(e), true) = (why, rows.iter().all(|r| r.found.is_none())) {
        let least = if primary.measure() == Measure::Slope { "at least two turns" } else { "turns" };
        out.warn(format!(
            "the primary contrast ({question}) cannot be told: {e} (groups with {least}, {})",
            about.turns
        ));
        return untold(primary, about.outcome, out);
    }
    for row in rows.iter().filter(|r| r.found.is_none()) {
        out.warn(format!("{} cannot be told: fewer than two groups have both", row.what));
    }
    match &rows[..] {
        [one] => {
            out.ask(primary.asked(about.outcome, &first, &one.level, true));
            two(primary, &question, &first, one, about, out);
        }
        _ => {
            out.ask(question.clone());
            several(primary, &question, &first, &rows, about, out);
        }
    }
}

/// Writes the contrast of two levels.
fn two(primary: &Primary, question: &str, first: &str, row: &Beside, about: &About, out: &mut Findings) {
    let Some(c) = &row.found else { return };
    out.say(format!(
        "Primary: {question} {} in {}, of which {} differ",
        plural(c.pairs, "pair"),
        plural(c.flips.n, "group"),
        c.informative
    ));
    estimate(primary, row, c, c.flips.p, about, out);
    let factors = primary.factors();
    let mut value = json!({
        "factor": factors[0], "levels": [first, row.level], "outcome": about.outcome, "unit": primary.unit(about.outcome),
        "estimate": c.flips.estimate, "low": c.flips.low, "high": c.flips.high, "level": about.level, "p": c.flips.p,
        "groups": c.flips.n, "informative_groups": c.informative, "pairs": c.pairs,
    });
    if matches!(primary, Primary::Turn(_)) && about.outcome.is_share() {
        value["points_per_turn"] = json!(c.flips.estimate);
    }
    if let Some(second) = factors.get(1) {
        value["across"] = json!(second);
    }
    out.value("primary", value);
}

fn estimate(primary: &Primary, row: &Beside, c: &Contrast, p: f64, about: &About, out: &mut Findings) {
    let e = Estimate::new(row.what.as_str(), primary.unit(about.outcome), c.flips.estimate);
    let e = e.interval(c.flips.low, c.flips.high, about.level).over(c.flips.n, "group").p(p).null(0.0);
    out.add(e.digits(primary.digits(about.outcome)))
        .method(primary.method(about.outcome, about.turns, about.level, c.exact))
        .citation(cite::SIGN_FLIPS)
        .confirmatory();
}

/// Writes the contrasts of several levels with the reference: a table of all, and estimates of the first.
fn several(primary: &Primary, question: &str, first: &str, rows: &[Beside], about: &About, out: &mut Findings) {
    let found: Vec<(&Beside, &Contrast)> = rows.iter().filter_map(|r| Some((r, r.found.as_ref()?))).collect();
    let adjusted = holm(&found.iter().map(|(_, c)| c.flips.p).collect::<Vec<_>>());
    out.say(format!("Primary: {question} {} are compared with it", plural(found.len(), "level")));
    for ((row, c), p) in found.iter().zip(&adjusted).take(ESTIMATES) {
        estimate(primary, row, c, *p, about, out);
    }
    let unit = primary.unit(about.outcome);
    let number = |name: &str, f: &dyn Fn(&Contrast) -> f64| {
        let of = |v: f64| if v.is_finite() { v } else { f64::NAN };
        Column::number(name, found.iter().map(|(_, c)| of(f(c)))).digits(primary.digits(about.outcome))
    };
    let what = match primary {
        Primary::Turn(_) => {
            format!("Slope of {} with turns at each level, minus that at {first}", about.outcome.label())
        }
        _ => format!("Mean {} at each level, minus that at {first}", about.outcome.label()),
    };
    let table = Table::new("primary", what)
        .column(Column::text("level", found.iter().map(|(r, _)| r.level.as_str())))
        .column(Column::count("n", found.iter().map(|(_, c)| c.flips.n as i64)))
        .column(number("difference", &|c| c.flips.estimate).unit(unit.as_str()))
        .column(number("low", &|c| c.flips.low).unit(unit.as_str()))
        .column(number("high", &|c| c.flips.high).unit(unit.as_str()))
        .column(number("p", &|c| c.flips.p).digits(4))
        .column(Column::number("p_holm", adjusted.iter().copied()).title("Holm's p").digits(4));
    let groups = found.iter().map(|(_, c)| c.flips.n).max().unwrap_or(0);
    let exact = found.iter().all(|(_, c)| c.exact);
    let method = primary.method(about.outcome, about.turns, about.level, exact);
    out.table(table)
        .over(groups, "group")
        .method(format!("{method}; estimates have Holm's p over the levels"))
        .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::HOLM))
        .confirmatory();
    if found.len() > ESTIMATES {
        out.say("The table `primary` has all levels, the first of which are listed at the end");
    }
    let contrasts = found.iter().zip(&adjusted).map(|((r, c), p)| {
        json!({
            "level": r.level, "estimate": c.flips.estimate, "low": c.flips.low, "high": c.flips.high, "p": c.flips.p,
            "p_holm": p, "groups": c.flips.n, "informative_groups": c.informative, "pairs": c.pairs,
        })
    });
    out.value(
        "primary",
        json!({
            "factor": primary.factors()[0], "reference": first, "outcome": about.outcome, "unit": unit,
            "level": about.level, "contrasts": contrasts.collect::<Vec<Value>>(),
        }),
    );
}

/// Writes the estimate's row if the contrast cannot be computed.
pub fn untold(primary: &Primary, outcome: &Outcome, out: &mut Findings) {
    let what = match (primary, outcome) {
        (Primary::Turn(f), Outcome::Score) => {
            out.ask(format!("Does accuracy fall faster at one level of {f} than at the other?"));
            "difference of slopes"
        }
        (Primary::Turn(f), _) => {
            out.ask(format!("Does the {} change otherwise with turns at one level of {f}?", outcome.label()));
            "difference of slopes"
        }
        _ => {
            out.ask(format!("Does the {} differ between levels of {}?", outcome.label(), primary.words()));
            "difference of means"
        }
    };
    out.add(Estimate::untold(what, primary.unit(outcome)).says("cannot be told")).confirmatory();
}

#[cfg(test)]
mod tests;
