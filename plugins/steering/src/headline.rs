//! The rows of `steering` in the table that `run` prints at its end.
use crate::arms::Kind;
use crate::locked::{Answer, Expect, Question};
use crate::response::Arm;
use friction_core::{Estimate, Findings, plural};
use friction_stats::{cite, percent};

const UNIT: &str = "points";

/// Writes the question, the verdict over all tested doses, the largest random direction, the largest direction of
/// shuffled labels, and the strongest dose below and above the one that changes nothing. `only` says which turns are
/// read; empty for all.
pub fn tell(q: &Question, a: &Answer, arms: &[Arm], only: &str, out: &mut Findings) {
    let (question, change) = match q.expect {
        Some(Expect::Rises) => ("Does accuracy rise as the dose grows", "expected change"),
        Some(Expect::Falls) => ("Does accuracy fall as the dose grows", "expected change"),
        None => ("Does accuracy change as the dose grows", "change upwards"),
    };
    let change = match &a.doses[..] {
        [] => change.to_string(),
        [dose] => format!("{change}, dose {dose}"),
        doses => format!("{change}, {}", plural(doses.len(), "dose")),
    };
    let tested = if q.tested == Kind::Direction { String::new() } else { format!(" along {}", q.tested) };
    let only = if only.is_empty() { String::new() } else { format!(", where {only}") };
    out.ask(format!("{question}{tested}{only}?"));
    let all = match &a.points {
        Some(p) => Estimate::new(change, UNIT, p.estimate).interval(p.low, p.high, q.level).over(p.n, "group"),
        None => Estimate::untold(change, UNIT),
    };
    let all = out.add(Estimate { p: a.p, ..all.null(0.0).digits(1).says(a.says.to_string()) });
    all.method(
        "mean over doses of the change of accuracy, with the sign that is expected at each; sign flips of groups",
    )
    .citation(cite::SIGN_FLIPS);
    if q.expect.is_some() {
        all.confirmatory();
    }
    if let Some(largest) = a.controls.iter().copied().reduce(f64::max) {
        let groups = a.points.as_ref().map_or(0, |p| p.n);
        let what = format!("largest of {} random", a.controls.len());
        out.estimate(Estimate::new(what, UNIT, largest).over(groups, "group").digits(1));
    }
    let shuffled = |arm: &&Arm| matches!(arm.name.kind, Kind::Shuffled(_)) && a.doses.contains(&arm.name.dose);
    let sizes: Vec<f64> = arms.iter().filter(shuffled).map(|arm| arm.effect.points.estimate.abs()).collect();
    if let Some(largest) = sizes.iter().copied().reduce(f64::max) {
        let groups = a.points.as_ref().map_or(0, |p| p.n);
        let what = format!("largest |change| of {} shuffled", sizes.len());
        out.estimate(Estimate::new(what, UNIT, largest).over(groups, "group").digits(1));
    }
    let own = || arms.iter().filter(|arm| arm.name.kind == q.tested);
    let below = own().filter(|arm| arm.name.dose < q.zero).min_by(|x, y| x.name.dose.total_cmp(&y.name.dose));
    let above = own().filter(|arm| arm.name.dose > q.zero).max_by(|x, y| x.name.dose.total_cmp(&y.name.dose));
    // If one dose was tested alone, the first row has it already.
    for arm in below.into_iter().chain(above).filter(|arm| a.doses != [arm.name.dose]) {
        let p = &arm.effect.points;
        let e = Estimate::new(format!("dose {}", arm.name.dose), UNIT, p.estimate);
        let e = e.interval(p.low, p.high, q.level).over(arm.effect.groups.len(), "group");
        out.add(e.null(0.0).digits(1))
            .method(format!("paired by question; Student's {} interval over groups", percent(q.level)))
            .citation(cite::STUDENT);
    }
}
