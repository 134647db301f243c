//! The figure of the lens by site.
use crate::line::Line;
use crate::options::LogitLens;
use friction_core::{Figure, Result, TurnRow, plural};
use friction_draw::{Axis, Frame, Look, name, numbered};
use friction_stats::percent;
use std::collections::{BTreeMap, BTreeSet};

/// How often the right letter is the likeliest, by site, a series for each level; `turns` are those that were read.
///
/// # Errors
/// When it cannot be drawn.
pub fn sites(lines: &[Line], turns: &[&TurnRow], o: &LogitLens) -> Result<Figure> {
    let mut places: Vec<String> = vec![];
    let mut levels: BTreeMap<&str, Vec<(usize, &Line)>> = BTreeMap::new();
    for l in lines {
        let site = l.site.to_string();
        let at = places.iter().position(|p| *p == site).unwrap_or(places.len());
        if at == places.len() {
            places.push(site);
        }
        levels.entry(&l.level).or_default().push((at, l));
    }
    let groups = turns.iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
    let guessed = 100.0 * turns.iter().map(|t| 1.0 / f64::from(t.choices.max(1))).sum::<f64>() / turns.len() as f64;
    let bar = |l: &Line| (l.right.low.max(0.0), l.right.high.min(100.0));
    let ends = lines.iter().flat_map(|l| [bar(l).0, bar(l).1, l.right.estimate]);
    // Points are joined by a line only if all sites are layers of one kind.
    let layers = numbered(&places);
    let x = match &layers {
        Some((stem, numbers)) => Axis::names(&format!("layer of {stem}"), numbers),
        None => Axis::names("site", &places),
    };
    let mut frame = Frame::new(
        "sites",
        "At which layer is the right answer the likeliest?",
        x,
        Axis::numbers("right letter is the likeliest, % of turns", ends.chain([guessed])),
    )
    .say(format!(
        "Points: share of turns in which the likeliest of the answer letters, read from the residual stream at \
         prompt-end, is the right one; {}, {} from turn {} on.",
        plural(groups, "group"),
        plural(turns.len(), "answer"),
        o.first_turn
    ))
    .say(format!("Bars: {} Student's t intervals over groups.", percent(o.level)));
    if lines.iter().any(|l| !l.right.low.is_finite()) {
        frame = frame.say("Points without a bar: one group has no interval.");
    }
    if let Some(factor) = &o.factor {
        frame = frame.heading(&name(factor));
    }
    if levels.len() > 1 {
        frame = frame.say("Points of one site stand side by side so that all are seen.");
    }
    let look = |i: usize| if layers.is_some() { Look::series(i) } else { Look::series(i).unjoined() };
    for (i, level) in levels.keys().enumerate() {
        let all = if o.factor.is_some() { *level } else { "all turns" };
        frame = frame.key(all, look(i));
    }
    frame = frame.key(&format!("guessing ({guessed:.0} %)"), Look::reference());
    let (n, apart) = (levels.len() as f64, (0.6 / levels.len().max(1) as f64).min(0.13));
    frame.draw(|plot| {
        plot.across(Look::reference(), guessed)?;
        for (i, of) in levels.values().enumerate() {
            let x = |at: usize| at as f64 + apart * (i as f64 - (n - 1.0) / 2.0);
            let bars: Vec<(f64, f64, f64)> = of
                .iter()
                .filter(|(_, l)| l.right.low.is_finite())
                .map(|(at, l)| (x(*at), bar(l).0, bar(l).1))
                .collect();
            plot.intervals(look(i), &bars)?;
            let points: Vec<(f64, f64)> = of.iter().map(|(at, l)| (x(*at), l.right.estimate)).collect();
            plot.series(look(i), &points)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::Site;
    use friction_draw::faults;
    use friction_stats::Interval;

    fn drawn(places: &[Site], levels: &[&str], level: f64) -> Figure {
        let rows: Vec<TurnRow> =
            (0..12).map(|i| TurnRow { group: i / 3, turn: 2 + i % 3, choices: 4, ..TurnRow::default() }).collect();
        let options = serde_json::json!({"sites": places, "factor": "completion", "level": level});
        let lines: Vec<Line> = places
            .iter()
            .enumerate()
            .flat_map(|(i, site)| {
                levels.iter().enumerate().map(move |(k, level)| {
                    let estimate = 25.0 + (10 * i + 5 * k) as f64 % 70.0;
                    Line {
                        site: *site,
                        level: level.to_string(),
                        right: Interval { estimate, low: estimate - 30.0, high: estimate + 12.0 },
                        groups: 4,
                        same: 0.0,
                        log: 0.0,
                    }
                })
            })
            .collect();
        let options: LogitLens = serde_json::from_value(options).unwrap();
        sites(&lines, &rows.iter().collect::<Vec<_>>(), &options).unwrap()
    }

    #[test]
    fn the_caption_tells_level_method_and_n() {
        let f = drawn(&[Site::ResidPost(0), Site::ResidPost(3)], &["complete", "interrupt"], 0.9);
        assert!(f.caption.contains("90 % Student's t intervals over groups"), "{}", f.caption);
        assert!(f.caption.contains("4 groups, 12 answers from turn 2 on"), "{}", f.caption);
        assert!(f.svg.contains("layer of resid_post") && f.svg.contains("guessing (25 %)"));
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn many_placesand_long_levels_fit() {
        let sites: Vec<Site> = [Site::Embed].into_iter().chain((0..48).map(Site::ResidPost)).collect();
        let f = drawn(&sites, &["<script>", &"long ".repeat(50), &"x".repeat(300)], 0.95);
        assert_eq!(faults(&f).unwrap(), Vec::<String>::new());
        assert!(!f.svg.contains("<script"));
    }
}
