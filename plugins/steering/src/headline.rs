//! The rows of `steering` in the table that `run` prints at its end.
use crate::arms::Kind;
use crate::effects::Arm;
use crate::locked::{Answer, Expect, Question};
use friction_core::{Estimate, Findings, Outcome, plural};
use friction_stats::{cite, percent};

/// Writes the question, the verdict over all tested doses, the largest random direction, the largest direction of
/// shuffled labels, and the strongest dose below and above the one that changes nothing. `only` says which turns are
/// read; empty for all.
pub fn tell(q: &Question, a: &Answer, arms: &[Arm], only: &str, out: &mut Findings) {
    let (does, change) = match q.expect {
        Some(Expect::Rises) => ("rise", "expected change"),
        Some(Expect::Falls) => ("fall", "expected change"),
        None => ("change", "change upwards"),
    };
    let what = match q.outcome {
        Outcome::Score => "accuracy".into(),
        other => format!("the {}", other.label()),
    };
    let (unit, digits) = (q.outcome.difference_unit(), q.outcome.digits());
    let change = match &a.doses[..] {
        [] => change.to_string(),
        [dose] => format!("{change}, dose {dose}"),
        doses => format!("{change}, {}", plural(doses.len(), "dose")),
    };
    let tested = if q.tested == Kind::Direction { String::new() } else { format!(" along {}", q.tested) };
    let only = if only.is_empty() { String::new() } else { format!(", where {only}") };
    out.ask(format!("Does {what} {does} as the dose grows{tested}{only}?"));
    let all = match &a.change {
        Some(p) => Estimate::new(change, unit, p.estimate).interval(p.low, p.high, q.level).over(p.n, "group"),
        None => Estimate::untold(change, unit),
    };
    let all = out.add(Estimate { p: a.p, ..all.null(0.0).digits(digits).says(a.says.to_string()) });
    all.method(format!(
        "mean over doses of the change of {}, with the sign that is expected at each; sign flips of groups",
        q.outcome.label()
    ))
    .citation(cite::SIGN_FLIPS);
    if q.expect.is_some() {
        all.confirmatory();
    }
    if let Some(largest) = a.controls.iter().copied().reduce(f64::max) {
        let groups = a.change.as_ref().map_or(0, |p| p.n);
        let what = format!("largest of {} random", a.controls.len());
        out.estimate(Estimate::new(what, unit, largest).over(groups, "group").digits(digits));
    }
    let shuffled = |arm: &&Arm| matches!(arm.name.kind, Kind::Shuffled(_)) && a.doses.contains(&arm.name.dose);
    let sizes: Vec<f64> = arms.iter().filter(shuffled).map(|arm| arm.effect.change.estimate.abs()).collect();
    if let Some(largest) = sizes.iter().copied().reduce(f64::max) {
        let groups = a.change.as_ref().map_or(0, |p| p.n);
        let what = format!("largest |change| of {} shuffled", sizes.len());
        out.estimate(Estimate::new(what, unit, largest).over(groups, "group").digits(digits));
    }
    let own = || arms.iter().filter(|arm| arm.name.kind == q.tested);
    let below = own().filter(|arm| arm.name.dose < q.zero).min_by(|x, y| x.name.dose.total_cmp(&y.name.dose));
    let above = own().filter(|arm| arm.name.dose > q.zero).max_by(|x, y| x.name.dose.total_cmp(&y.name.dose));
    // If one dose was tested alone, the first row has it already.
    for arm in below.into_iter().chain(above).filter(|arm| a.doses != [arm.name.dose]) {
        let p = &arm.effect.change;
        let e = Estimate::new(format!("dose {}", arm.name.dose), unit, p.estimate);
        let e = e.interval(p.low, p.high, q.level).over(arm.effect.groups.len(), "group");
        out.add(e.null(0.0).digits(digits))
            .method(format!("paired by turn; Student's {} interval over groups", percent(q.level)))
            .citation(cite::STUDENT);
    }
}
