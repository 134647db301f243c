//! The figure of the dose-response, with the controls.
use crate::arms::Kind;
use crate::effects::Arm;
use friction_core::{Figure, Outcome, Result, plural};
use friction_draw::{Axis, COLOURS, Frame, Look, Marker, shortened};
use friction_stats::percent;
use std::collections::BTreeSet;

/// What the figure's texts say besides the arms.
pub struct About<'a> {
    /// The number whose change is drawn.
    pub outcome: &'a Outcome,
    /// The kind of arm that is tested.
    pub tested: Kind,
    /// The dose that changes nothing.
    pub zero: f32,
    /// Number of turns in the untouched arm with which each arm is compared.
    pub answers: usize,
    /// First turn that is read.
    pub first_turn: u32,
    /// The turns that are read, as `factor = level` separated by commas; empty for all.
    pub only: &'a str,
    /// Level of the intervals.
    pub level: f64,
}

/// Change of the outcome by dose: the tested arms with intervals, the controls as points.
///
/// # Errors
/// When it cannot be drawn.
pub fn doses(about: &About, arms: &[Arm]) -> Result<Figure> {
    let own: Vec<&Arm> = arms.iter().filter(|a| a.name.kind == about.tested).collect();
    let of = |f: fn(Kind) -> bool| -> Vec<&Arm> {
        arms.iter().filter(|a| a.name.kind != about.tested && f(a.name.kind)).collect()
    };
    let random = of(|k| matches!(k, Kind::Random(_)));
    let shuffled = of(|k| matches!(k, Kind::Shuffled(_)));
    let zero = f64::from(about.zero);
    let dose = |a: &Arm| f64::from(a.name.dose);
    let shown = || own.iter().chain(&random).chain(&shuffled);
    let groups = own.iter().map(|a| a.effect.groups.len()).max().unwrap_or(0);
    let doses: Vec<f64> = shown().map(|a| dose(a)).chain([zero]).collect();
    let range = doses.iter().fold(f64::MIN, |a, b| a.max(*b)) - doses.iter().fold(f64::MAX, |a, b| a.min(*b));
    // Controls are drawn in strips to the right of their dose.
    let strip = |of: &[&Arm], from: f64| -> Vec<(f64, f64)> {
        let mut seen: Vec<(u32, usize)> = vec![];
        of.iter()
            .map(|a| {
                let at = seen.iter().position(|s| s.0 == a.name.dose.to_bits()).unwrap_or(seen.len());
                if at == seen.len() {
                    seen.push((a.name.dose.to_bits(), 0));
                }
                let i = seen[at].1;
                seen[at].1 += 1;
                (dose(a) + range * (from + 0.0045 * (i % 10) as f64), a.effect.change.estimate)
            })
            .collect()
    };
    let (crosses, triangles) = (strip(&random, 0.016), strip(&shuffled, 0.075));
    let label = about.outcome.label();
    let unit = match about.outcome.difference_unit() {
        "" => String::new(),
        "points" => ", percentage points".into(),
        unit => format!(", {unit}"),
    };
    let (title, replies) = match about.outcome {
        Outcome::Score => ("Does steering change how many answers are right?".into(), "answer"),
        _ => (format!("Does steering change the {label}?"), "turn"),
    };
    let mut frame = Frame::new(
        "doses",
        &title,
        Axis::numbers(
            &format!("dose, in the unit of the steering hook ({}: untouched)", about.zero),
            doses.iter().copied().chain(crosses.iter().chain(&triangles).map(|p| p.0)),
        ),
        Axis::numbers(
            &format!("change of {label}{unit}"),
            own.iter()
                .flat_map(|a| [a.effect.change.low, a.effect.change.high])
                .chain(crosses.iter().chain(&triangles).map(|p| p.1))
                .chain([0.0]),
        ),
    )
    .say(format!(
        "Points: change of {label} against the untouched arm, paired by turn; {}, n = {} an arm, turns from {} on{}.",
        plural(groups, "group"),
        plural(about.answers, replies),
        about.first_turn,
        if about.only.is_empty() { String::new() } else { format!(" where {}", shortened(about.only, 60.0)) }
    ))
    .say(format!("Bars: {} Student's t intervals over groups.", percent(about.level)));
    let main = Look::series(0);
    let cross = Look::points(COLOURS[1], Marker::Cross);
    let triangle = Look::points(COLOURS[2], Marker::Triangle);
    frame = frame.key(&about.tested.to_string(), main);
    let many = |of: &[&Arm]| of.iter().map(|a| a.name.kind).collect::<BTreeSet<_>>().len();
    let mut beside = vec![];
    if !random.is_empty() {
        frame = frame.key("random directions", cross);
        beside.push(format!("{} given a push of the same size (crosses)", plural(many(&random), "random direction")));
    }
    if !shuffled.is_empty() {
        frame = frame.key("directions of shuffled labels", triangle);
        beside.push(format!("{} learnt from shuffled labels (triangles)", plural(many(&shuffled), "direction")));
    }
    if !beside.is_empty() {
        frame = frame.say(format!("To the right of their dose: {}.", beside.join(", ")));
    }
    frame = frame.key("no change", Look::reference());
    frame.draw(|plot| {
        plot.across(Look::reference(), 0.0)?;
        plot.series(cross, &crosses)?;
        plot.series(triangle, &triangles)?;
        let bars: Vec<(f64, f64, f64)> =
            own.iter().map(|a| (dose(a), a.effect.change.low, a.effect.change.high)).collect();
        plot.intervals(main, &bars)?;
        let mut curve: Vec<(f64, f64)> =
            own.iter().map(|a| (dose(a), a.effect.change.estimate)).chain([(zero, 0.0)]).collect();
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
        plot.series(main, &curve)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::arms::ArmName;
    use crate::effects::{Effect, Replies};
    use friction_draw::faults;
    use friction_stats::Interval;

    fn arm(kind: Kind, dose: f32, estimate: f64) -> Arm {
        let change = Interval { estimate, low: estimate - 6.0, high: estimate + 6.0 };
        let groups = (0..8).map(|g| (g, estimate)).collect();
        Arm {
            name: ArmName { kind, dose },
            effect: Effect { change, groups, rose: 0, fell: 0, changed: 0.0 },
            replies: Replies { mean: 50.0, parsed: 1.0, tokens: 7.0, cut: 0.0, repetition: 0.0, perplexity: None },
        }
    }

    fn drawn(zero: f32, level: f64, only: &str, controls: usize) -> Figure {
        of(&Outcome::Score, zero, level, only, controls)
    }

    fn of(outcome: &Outcome, zero: f32, level: f64, only: &str, controls: usize) -> Figure {
        let mut arms: Vec<Arm> =
            [-8.0, -4.0, 4.0].iter().map(|d| arm(Kind::Direction, *d, f64::from(-3.0 * d))).collect();
        for i in 0..controls {
            arms.push(arm(Kind::Random(i), -8.0, (i % 7) as f64 - 3.0));
            arms.push(arm(Kind::Shuffled(i), 4.0, (i % 5) as f64 - 2.0));
        }
        let about = About { outcome, tested: Kind::Direction, zero, answers: 88, first_turn: 2, only, level };
        doses(&about, &arms).unwrap()
    }

    #[test]
    fn the_caption_tells_level_method_n_and_controls() {
        let f = drawn(0.0, 0.9, "completion = interrupt", 20);
        for told in [
            "90 % Student's t intervals over groups",
            "8 groups, n = 88 answers an arm, turns from 2 on where completion = interrupt",
            "20 random directions",
            "20 directions learnt from shuffled labels",
        ] {
            assert!(f.caption.contains(told), "{told}: {}", f.caption);
        }
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
        let alone = drawn(0.0, 0.95, "", 0);
        assert!(!alone.caption.contains("random") && !alone.svg.contains("shuffled"));
        assert_eq!(faults(&alone).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn log_odds_are_drawn_in_nats() {
        let f = of(&Outcome::LogOdds, 0.0, 0.95, "", 3);
        assert!(f.svg.contains("change of log-odds of the right choice, nats"), "{}", f.caption);
        assert!(f.caption.contains("n = 88 turns an arm") && !f.caption.contains("accuracy"), "{}", f.caption);
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn untouched_is_where_the_manifest_says() {
        let f = drawn(12.0, 0.95, &"<script>".repeat(30), 1);
        assert!(f.svg.contains("(12: untouched)") && !f.svg.contains("<script"));
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
    }
}
