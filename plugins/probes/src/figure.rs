//! The figure of the probes' quality by site, beside the baselines and control tasks.
use crate::report::{Line, Report};
use crate::target::Target;
use friction_core::{Figure, Outcome, Result, plural};
use friction_draw::{Axis, COLOURS, Frame, Look, Marker, name, numbered};
use friction_stats::{Link, percent};
use std::collections::BTreeSet;

/// The lowest value on the axis, because R² of a useless probe has no lower bound.
const LOWEST: f64 = -0.5;

/// The probes' quality by site and that of the baselines, with intervals, and the control tasks.
///
/// # Errors
/// When it cannot be drawn.
pub fn layers(r: &Report, lines: &[Line], baselines: &[Line]) -> Result<Figure> {
    let about = About {
        target: r.target,
        classes: &r.rows.classes,
        link: r.design.link,
        level: r.options.level,
        place: format!("at {}, from turn {} on", r.options.position, r.options.first_turn),
        groups: r.rows.rows.iter().map(|r| r.turn.group).collect::<BTreeSet<_>>().len(),
        rows: r.y.len(),
    };
    draw(&about, lines, baselines)
}

/// Texts of the figure.
struct About<'a> {
    target: &'a Target,
    classes: &'a [String],
    link: Link,
    level: f64,
    place: String,
    groups: usize,
    rows: usize,
}

fn draw(about: &About, lines: &[Line], baselines: &[Line]) -> Result<Figure> {
    let (measure, nothing, known) = match about.link {
        Link::Logistic => ("AUC", 0.5, "chance"),
        Link::Softmax(k) => ("balanced accuracy", 1.0 / k.max(1) as f64, "chance"),
        Link::Linear => ("R²", 0.0, "no better than the mean"),
    };
    let quality = format!("{measure} of held-out rows ({}: {known})", (nothing * 100.0).round() / 100.0);
    let title = match about.target {
        Target::Factor(factor) => format!("Can {} be read out of the activations?", name(factor)),
        Target::Interruptions => "Can the number of interruptions be read out of the activations?".into(),
        Target::Outcome(Outcome::Score) if !about.classes.is_empty() => {
            "Can it be read out whether the next answer is right?".into()
        }
        Target::Outcome(_) => {
            format!("Can {} be read out of the activations?", name(&about.target.asked(about.classes)))
        }
    };
    let sites: Vec<&str> = lines.iter().map(|l| l.name.as_str()).collect();
    // Points are joined by a line only if all sites are layers of one kind.
    let layers = numbered(&sites);
    let (label, mut names) = match &layers {
        Some((stem, numbers)) => (format!("layer of {stem}"), numbers.clone()),
        None => ("site".to_string(), sites.iter().map(ToString::to_string).collect()),
    };
    names.extend(baselines.iter().map(|b| b.name.clone()));
    let label = if baselines.is_empty() { label } else { format!("{label}; right of the line: baselines") };
    let all = || lines.iter().chain(baselines);
    let ends = all().flat_map(|l| [l.quality.low, l.quality.high, l.quality.estimate, l.control]);
    let below = ends.clone().any(|v| v.is_finite() && v < LOWEST);
    let x = Axis::names(&label, &names);
    let y = Axis::numbers(&quality, ends.map(|v| v.max(LOWEST)).chain([nothing]));
    let probe = if layers.is_some() { Look::series(0) } else { Look::series(0).unjoined() };
    let baseline = Look::points(COLOURS[1], Marker::Square);
    let control = Look::points(COLOURS[6], Marker::Cross);
    let mut frame = Frame::new("layers", &title, x, y)
        .key("probe", probe)
        .say(format!(
            "Circles: {measure} of linear probes {}, on rows of groups that they did not learn from; {}, {} in all.",
            about.place,
            plural(about.groups, "group"),
            plural(about.rows, "row")
        ))
        .say(format!(
            "Bars: {} intervals over groups (Student's t, delete-a-group jackknife, allowing for training rows that folds \
             share; Wilson's where every row is told apart).",
            percent(about.level)
        ));
    if !baselines.is_empty() {
        frame = frame.key("baseline", baseline).say("Squares: the same from features that need no layer of the model.");
    }
    if all().any(|l| l.control.is_finite()) {
        frame = frame
            .key("control task", control)
            .say("Crosses: control task, a random label for each topic, without interval.");
    }
    let boundless = |l: &Line| match about.link {
        Link::Linear => !l.quality.low.is_finite(),
        _ => l.quality.low <= 0.0 && l.quality.high >= 1.0,
    };
    if all().any(boundless) {
        frame = frame.say("A bar over the whole scale, or none: too few groups for an interval.");
    }
    if below {
        frame = frame.say(format!("Values below {LOWEST} are drawn at {LOWEST}."));
    }
    frame = frame.key(known, Look::reference());
    frame.draw(|plot| {
        plot.across(Look::reference(), nothing)?;
        if !baselines.is_empty() {
            plot.upright(
                Look { dash: Some(friction_draw::Dash::Long), ..Look::reference() },
                lines.len() as f64 - 0.5,
            )?;
        }
        for (look, from, of) in [(probe, 0, lines), (baseline, lines.len(), baselines)] {
            let at = |i: usize| (from + i) as f64;
            // Shifted sideways, so that the interval's bar does not hide it.
            let crosses: Vec<(f64, f64)> = of.iter().enumerate().map(|(i, l)| (at(i) + 0.18, l.control)).collect();
            plot.series(control, &crosses)?;
            let bars: Vec<(f64, f64, f64)> =
                of.iter().enumerate().map(|(i, l)| (at(i), l.quality.low, l.quality.high)).collect();
            plot.intervals(look, &bars)?;
            let points: Vec<(f64, f64)> = of.iter().enumerate().map(|(i, l)| (at(i), l.quality.estimate)).collect();
            plot.series(look, &points)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_draw::faults;
    use friction_stats::Interval;

    fn line(name: String, estimate: f64, low: f64, control: f64) -> Line {
        let quality = Interval { estimate, low, high: estimate + 0.04 };
        Line { name, quality, mean_difference: 0.5, control, p: None, c: 1.0 }
    }

    fn drawn(target: &str, link: Link, sites: &[String], low: f64, level: f64) -> Figure {
        let target = Target::new(target, &"metric.<b>".parse().unwrap());
        let classes = ["wrong", "right"].map(String::from);
        let place = "at prompt-end, from turn 2 on".to_string();
        let about = About { target: &target, classes: &classes, link, level, place, groups: 40, rows: 1760 };
        let control = |i: usize| if i.is_multiple_of(3) { f64::NAN } else { 0.48 };
        let lines: Vec<Line> =
            sites.iter().enumerate().map(|(i, s)| line(s.clone(), 0.6 + 0.005 * i as f64, low, control(i))).collect();
        let baselines = ["words of the message", "lengths", "embed"].map(|n| line(n.into(), 0.55, 0.5, 0.5));
        draw(&about, &lines, &baselines).unwrap()
    }

    #[test]
    fn the_caption_tells_level_method_and_n() {
        let sites = ["resid_post.0", "attn_out.1", "resid_post.3"].map(String::from);
        let f = drawn("completion", Link::Logistic, &sites, 0.5, 0.9);
        for told in ["90 % intervals over groups (Student's t, ", "40 groups, 1760 rows in all", "AUC of linear probes"]
        {
            assert!(f.caption.contains(told), "{told}: {}", f.caption);
        }
        assert!(!f.caption.contains("95 %") && !f.caption.contains("drawn at"));
        assert!(f.svg.contains("Can completion be read out"));
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn any_factor_many_layers_and_infinite_intervals_fit() {
        let sites: Vec<String> = (0..62).map(|i| format!("resid_post.{i}")).collect();
        for (target, link, low) in [
            ("<script>alert('x')</script>", Link::Logistic, 0.2),
            (&*"long_".repeat(60), Link::Softmax(3), 0.1),
            ("interruptions", Link::Linear, f64::NEG_INFINITY),
            ("correct", Link::Linear, -3.0),
            ("outcome", Link::Linear, 0.1),
        ] {
            let f = drawn(target, link, &sites, low, 0.95);
            assert_eq!(faults(&f).unwrap(), Vec::<String>::new(), "{target}");
            assert!(!f.svg.contains("<script"));
            assert_eq!(f.caption.contains("drawn at -0.5"), low == -3.0);
            assert_eq!(f.caption.contains("too few groups"), !low.is_finite());
        }
    }
}
