//! What a contrast tests: a level beside the reference, or a trend over levels.
use crate::contrast::{Contrast as Found, Measure};
use crate::question::Question;
use crate::values::{Course, Differences, Factor, differences, reference, trend};
use crate::wording::Sides;
use friction_core::contrast::scores;

/// One level beside the reference, or a trend.
pub struct Beside {
    /// The level; empty for a trend.
    pub level: String,
    /// What is subtracted from what, such as `interrupt - complete`.
    pub what: String,
    /// The levels that are subtracted, for sentences.
    pub sides: Sides,
    /// What is tested, by turn.
    pub differences: Vec<Course>,
    /// The test of `differences`; `None` before it, and where fewer than two groups have both.
    pub found: Option<Found>,
}

impl Question {
    /// What is tested of a group: the slope of its differences on the turn, or their mean.
    pub fn measure(&self) -> Measure {
        if self.contrast.by_turn() { Measure::Slope } else { Measure::Mean }
    }

    /// What is tested: each other level of the first factor beside `first`, or a trend over all. Each with the number of
    /// pairs that are none.
    pub fn beside(&self, courses: &[Course], levels: &[Vec<String>], first: &str) -> Vec<(Beside, usize)> {
        let factor = Factor::Named(self.contrast.first().into());
        if self.contrast.is_trend() {
            let all = &levels[0];
            let scored = scores(all);
            let Differences { all: differences, lone, .. } = trend(courses, &factor, all, &scored);
            // Numbers have their own order, whichever the manifest lists them in.
            let mut ordered: Vec<(f64, &String)> = scored.into_iter().zip(all).collect();
            ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
            let name = |at: Option<&(f64, &String)>| at.map_or_else(String::new, |(_, level)| (*level).clone());
            let ends = [name(ordered.first()), name(ordered.last())];
            let sides = Sides { first: ends, ..Sides::default() };
            let what = format!("trend over {}", self.contrast.first());
            return vec![(Beside { level: String::new(), what, sides, differences, found: None }, lone)];
        }
        let mut out = vec![];
        for level in levels[0].iter().filter(|l| *l != first) {
            let Differences { all: mut own, mut lone, .. } = differences(courses, &factor, first, level);
            let mut what = format!("{level} - {first}");
            let mut sides = Sides { first: [first.into(), level.clone()], ..Sides::default() };
            if let (Some(second), Some(of)) = (self.contrast.second(), levels.get(1)) {
                let a = reference(of, self.reference.as_deref()).unwrap_or_default();
                let b = of.iter().find(|l| *l != a).map_or("", String::as_str);
                let crossed = differences(&own, &Factor::Named(second.into()), a, b);
                lone += crossed.lone;
                own = crossed.all;
                what = format!("({what}): {b} - {a}");
                sides.second = [a.into(), b.into()];
            }
            out.push((Beside { level: level.clone(), what, sides, differences: own, found: None }, lone));
        }
        out
    }
}
