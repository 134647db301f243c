//! The figure: power by groups, a curve for each effect.
use super::{Args, Question, assumptions, needed, size, written};
use crate::error::{CliError, Result};
use friction_core::{Figure, plural};
use friction_draw::{Axis, Frame, Look};
use friction_stats::percent;
use friction_stats::power::{Curve, Design, Point};
use std::path::{Path, PathBuf};

/// Curves end at the first point with so much power: beyond it nothing is seen.
const ALL: f64 = 0.997;
/// Half the width of a 95 % interval in standard errors.
const Z: f64 = 1.96;

/// Draws the figure and writes it into a folder, as SVG and PNG.
pub(super) fn write(dir: &Path, q: &Question, args: &Args, curves: &[Curve]) -> Result<Vec<PathBuf>> {
    let figure = drawn(q, &q.design, args, curves)?;
    std::fs::create_dir_all(dir).map_err(|e| CliError::Failed(format!("{}: {e}", dir.display()).into()))?;
    let file = |end: &str, bytes: &[u8]| written(dir, &format!("{}.{end}", figure.name), bytes);
    Ok(vec![file("svg", figure.svg.as_bytes())?, file("png", &figure.png)?])
}

fn drawn(q: &Question, d: &Design, args: &Args, curves: &[Curve]) -> Result<Figure> {
    let shown: Vec<&[Point]> = curves.iter().map(|c| rising(&c.points)).collect();
    let groups = shown.iter().flat_map(|points| points.iter().map(|p| p.groups as f64));
    let design = if d.paired { "paired within groups" } else { "without pairing" };
    let samples = if d.samples > 1 { format!(", {} a condition", plural(d.samples, "sample")) } else { String::new() };
    let mut frame = Frame::new(
        "power",
        "How many groups see an effect?",
        Axis::numbers("groups", groups.chain([0.0])),
        Axis::numbers("power, %", [0.0, 100.0]),
    )
    .heading("effect: groups needed")
    .say(format!("Contrast {}: {}, turns {} to {}, {design}{samples}.", q.words, q.levels, d.turns.0, d.turns.1))
    .say(format!("Assumed: {}.", assumptions(d)))
    .say(format!(
        "Points: share of {} that are significant, two-sided at {}; bars: 95 % intervals.",
        plural(args.simulations, "simulated study"),
        size(d)
    ));
    for (i, c) in curves.iter().enumerate() {
        frame = frame.key(&format!("{} {}: {}", c.effect, d.unit(), needed(c, args.power)), Look::series(i));
    }
    let goal = 100.0 * args.power;
    frame = frame.key(&format!("{} power", percent(args.power)), Look::reference());
    let drawn = frame.draw(|plot| {
        plot.across(Look::reference(), goal)?;
        for (i, points) in shown.iter().enumerate() {
            let bar = |p: &Point| {
                let (power, half) = (100.0 * p.power(), 100.0 * Z * p.error());
                (p.groups as f64, (power - half).max(0.0), (power + half).min(100.0))
            };
            plot.intervals(Look::series(i), &points.iter().map(bar).collect::<Vec<_>>())?;
        }
        for (i, points) in shown.iter().enumerate() {
            let points: Vec<(f64, f64)> = points.iter().map(|p| (p.groups as f64, 100.0 * p.power())).collect();
            plot.series(Look::series(i), &points)?;
        }
        Ok(())
    })?;
    Ok(drawn)
}

/// The points up to the first that is as good as certain.
fn rising(points: &[Point]) -> &[Point] {
    let end = points.iter().position(|p| p.power() >= ALL).map_or(points.len(), |i| i + 1);
    &points[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::grid;
    use super::*;
    use clap::Parser;
    use friction_stats::power::{Measure, curve};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn nothing_overlaps_and_the_caption_says_what_was_assumed() {
        let line = ["power", "m.toml", "--effects", "1,2", "--simulations", "60", "--drift", "-0.1"];
        let args = Line::parse_from(line).args;
        let design = args.assumed(Design::pairs(2, Measure::Slope, (2, 14)));
        let words = "completion × turn".to_string();
        let levels = "`interrupt` against `complete`".to_string();
        let q = Question { words, levels, pairs: 2, comparisons: 1, cells: vec![0, 1, 2, 3], design };
        let of = |e: f64| curve(&q.design, e, &grid(70.0), 0.8, 60, 1).unwrap();
        let f = drawn(&q, &q.design, &args, &[of(1.0), of(2.0)]).unwrap();
        assert_eq!(friction_draw::faults(&f).unwrap(), Vec::<String>::new());
        for part in ["`interrupt` against `complete`, turns 2 to 14", "32 % right at turn 1", "60 simulated studies"] {
            assert!(f.caption.contains(part), "{}", f.caption);
        }
        // Without an effect no number of groups reaches the power.
        let none = curve(&q.design, 0.0, &[8, 40], 0.8, 60, 1).unwrap();
        let f = drawn(&q, &q.design, &args, std::slice::from_ref(&none)).unwrap();
        assert_eq!(friction_draw::faults(&f).unwrap(), Vec::<String>::new());
        assert_eq!(needed(&none, 0.8), "not reached with 40 groups");
        assert!(f.svg.contains("reached"), "{}", f.svg);
        // A curve ends where its power does.
        let full = |groups: usize, found| Point { groups, studies: 100, found };
        let points = [full(8, 40), full(16, 100), full(32, 100)];
        assert_eq!(rising(&points).len(), 2);
    }

    #[test]
    fn the_grid_goes_from_the_least_to_the_most() {
        let all = grid(200.0);
        assert_eq!((all[0], all[all.len() - 1]), (8, 200));
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(grid(8.0), [8]);
    }
}
