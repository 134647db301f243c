//! The figure of shares by site.
use crate::effects::Effect;
use crate::mediation::Mediation;
use crate::report::Found;
use friction_core::{Figure, Result, plural};
use friction_draw::{Axis, COLOURS, Frame, Look, Marker, numbered};
use friction_stats::{Interval, percent};

/// Shares beyond these are drawn at them.
const RANGE: (f64, f64) = (-0.5, 1.5);

/// Shares of the total effect by site: the partner's activations in both directions, the state, the placebo and the
/// controls.
///
/// # Errors
/// When it cannot be drawn.
pub fn sites(o: &Mediation, f: &Found) -> Result<Figure> {
    let names: Vec<String> = f.units.sites.iter().map(ToString::to_string).collect();
    let shown: Vec<&str> = names.iter().map(String::as_str).collect();
    let layers = numbered(&shown);
    let (label, names) = match &layers {
        Some((stem, numbers)) => (format!("layer of {stem}"), numbers.clone()),
        None => ("site, from the first layer to the last".to_string(), names.clone()),
    };
    let limited = |v: f64| 100.0 * v.clamp(RANGE.0, RANGE.1);
    let points = |d: usize, of: &dyn Fn(&Effect) -> Option<f64>| -> Vec<(f64, f64)> {
        let at = f.effects[d].iter().enumerate();
        at.map(|(i, e)| (i as f64, of(e).map_or(f64::NAN, limited))).collect()
    };
    let line = |i: usize| if layers.is_some() { Look::series(i) } else { Look::series(i).unjoined() };
    let estimate = |i: Option<Interval>| i.map(|i| i.estimate);
    let state = Look::points(COLOURS[2], Marker::Diamond);
    let placebo = Look::points(COLOURS[6], Marker::Cross);
    let control = Look::points(COLOURS[5], Marker::Triangle);
    let largest = |e: &Effect| e.controls.iter().copied().filter(|v| v.is_finite()).reduce(f64::max);
    let bars = |d: usize| -> Vec<(f64, f64, f64)> {
        let at = f.effects[d].iter().enumerate();
        at.filter_map(|(i, e)| e.partner.map(|p| (i as f64, limited(p.low), limited(p.high)))).collect()
    };
    let ends = [0, 1].into_iter().flat_map(|d| bars(d).into_iter().flat_map(|b| [b.1, b.2]));
    let ends: Vec<f64> = ends
        .chain([0, 1].into_iter().flat_map(|d| points(d, &|e| estimate(e.state)).into_iter().map(|p| p.1)))
        .collect();
    let y = Axis::numbers(
        "share of the total effect, %",
        ends.iter().copied().filter(|v| v.is_finite()).chain([0.0, 100.0]),
    );
    let title = format!("Which sites carry what {} does to the answer?", o.factor);
    let mut frame = Frame::new("sites", &title, Axis::names(&label, &names), y)
        .say(format!(
            "Circles and squares: the partner's activations in place of the recipient's own; {}, {}.",
            plural(f.totals[0].groups, "group"),
            plural(f.units.units.len(), "unit")
        ))
        .say(format!("Bars: {} Fieller intervals over groups.", percent(o.level)))
        .say("Shares of resid_post are cumulative.")
        .key(&f.names[0], line(0))
        .key(&f.names[1], line(1));
    let any = |of: &dyn Fn(&Effect) -> Option<f64>| f.effects[0].iter().any(|e| of(e).is_some());
    if any(&|e| estimate(e.state)) {
        let text =
            format!("Diamonds and triangles ({}): the state alone, and the largest of its controls.", f.names[0]);
        frame = frame.key("state", state).key("largest control", control).say(text);
    }
    if any(&|e| estimate(e.placebo)) {
        frame = frame.key("placebo", placebo).say(format!("Crosses: placebo, {}.", f.names[0]));
    }
    if f.effects.iter().flatten().all(|e| e.partner.is_none()) {
        frame = frame.say("No points: there is no total effect to share.");
    }
    frame.key("nothing", Look::reference()).draw(|plot| {
        plot.across(Look::reference(), 0.0)?;
        plot.series(placebo, &points(0, &|e| estimate(e.placebo)))?;
        plot.series(control, &points(0, &largest))?;
        plot.series(state, &points(0, &|e| estimate(e.state)))?;
        for d in [1, 0] {
            plot.intervals(line(d), &bars(d))?;
            plot.series(line(d), &points(d, &|e| estimate(e.partner)))?;
        }
        Ok(())
    })
}
