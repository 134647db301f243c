//! The slope of each side of a difference of slopes, and the difference of their levels.
//!
//! A difference of slopes is below 0 where one side falls, and also where the other rises. Only the first says that the
//! outcome degrades. So the verdict asks for the own slope of the side that is expected to change; and since a condition may
//! lower an outcome from its first treated turn on without lowering it further, the shift of the level stands beside the slope.
use crate::contrast::{Measure, contrast};
use crate::guards::Guard;
use crate::levels::About;
use crate::question::Question;
use crate::values::{Course, Factor, pairs};
use crate::verdict::Judged;
use friction_core::manifest::Direction;
use friction_core::{Says, plural};
use friction_stats::{Flips, bounds, signed};
use serde_json::{Value, json};

/// Level of the intervals: that of the verdict.
const LEVEL: f64 = 0.95;

/// The slopes of the two sides of a contrast, and how far apart their levels are.
#[derive(Debug, Clone)]
pub struct OwnSlopes {
    /// The factor and its two levels: the reference, and the one whose slope is compared with it.
    factor: String,
    levels: [String; 2],
    /// Their slopes: means over groups of the mean over a group's pairs.
    slopes: [Flips; 2],
    /// Mean over turns of the difference between the levels.
    shift: Flips,
    /// Units of slopes and of the shift, and digits of both.
    units: [String; 2],
    digits: [usize; 2],
}

impl OwnSlopes {
    /// The slopes of the levels `a` and `b`, of which the contrast is b minus a, on the turns that both of a pair have.
    /// `differences` are those that the contrast tests. `None` of other contrasts than `<factor> × turn`, and where they
    /// cannot be computed.
    pub fn of(
        question: &Question,
        courses: &[Course],
        [a, b]: &[String; 2],
        differences: &[Course],
        about: &About,
    ) -> Option<Self> {
        let c = &question.contrast;
        if !c.by_turn() || c.is_trend() || c.second().is_some() {
            return None;
        }
        let factor = Factor::Named(c.first().into());
        let (all, _) = pairs(courses, &factor, a, b);
        let on_shared = |own: &Course, other: &Course| -> Course {
            let shared = own.turns.iter().filter(|(turn, _)| other.turns.contains_key(*turn));
            Course { turns: shared.map(|(turn, v)| (*turn, *v)).collect(), ..own.clone() }
        };
        let scale = about.outcome.scale();
        let tested = |courses: &[Course], measure: Measure| -> Option<Flips> {
            contrast(courses, measure, scale, LEVEL, about.seed).contrast.ok().map(|c| c.flips)
        };
        let first: Vec<Course> = all.iter().map(|(x, y)| on_shared(x, y)).collect();
        let second: Vec<Course> = all.iter().map(|(x, y)| on_shared(y, x)).collect();
        // A pair with a single turn in common has no slope, and is in none of the three.
        let whole: Vec<Course> = differences.iter().filter(|d| d.turns.len() > 1).cloned().collect();
        let wording = question.wording(about.outcome);
        Some(Self {
            factor: c.first().into(),
            levels: [a.clone(), b.clone()],
            slopes: [tested(&first, Measure::Slope)?, tested(&second, Measure::Slope)?],
            shift: tested(&whole, Measure::Mean)?,
            units: [wording.unit(), about.outcome.difference_unit().into()],
            digits: [usize::from(wording.digits()), usize::from(about.outcome.digits())],
        })
    }

    fn told(&self, f: &Flips, at: usize) -> String {
        let (unit, digits) = (&self.units[at], self.digits[at]);
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        format!("{}{unit} (95 % interval {})", signed(f.estimate, digits), bounds(f.low, f.high, digits))
    }

    /// The guard of a verdict about a contrast that is expected to fall or to rise: where it would be `reached`, the own slope
    /// of the level that is compared with the reference goes the same way. `None` without an expected direction.
    pub fn guard(&self, direction: Direction, reached: bool) -> Option<Guard> {
        let sign = direction.sign()?;
        let (side, without) = if sign < 0.0 { ("below", "degradation") } else { ("above", "improvement") };
        let slope = &self.slopes[1];
        let goes = sign * slope.estimate > 0.0;
        let holds = goes || !reached;
        let (f, b, value) = (&self.factor, &self.levels[1], self.told(slope, 0));
        let told = match (goes, holds) {
            (_, false) => {
                format!("diverges without {without}: the own slope at {f} = {b} is {value}, and must be {side} 0")
            }
            (true, true) => format!("own slope: at {f} = {b} it is {value}, and must be {side} 0"),
            (false, true) => format!(
                "own slope: at {f} = {b} it is {value}, and must be {side} 0 where the contrast would be reached, which it is not"
            ),
        };
        Some(Guard { name: "own slope", told, holds })
    }

    /// Sentences for the verdict, without a full stop.
    pub fn sentences(&self) -> Vec<String> {
        let [a, b] = &self.levels;
        let [x, y] = [0, 1].map(|i| self.told(&self.slopes[i], 0));
        let groups = plural(self.shift.n, "group");
        vec![
            format!("own slopes: {y} at {} = {b}, {x} at {a}", self.factor),
            format!(
                "level shift, beside the slope: mean over the compared turns at {b} minus that at {a} is {}, n = {groups}",
                self.told(&self.shift, 1)
            ),
        ]
    }

    /// Adds `own_slopes` and `level_shift` to the value `primary`. Unbounded intervals have null.
    pub fn add_to(&self, value: &mut Value) {
        let slope = |i: usize| {
            let f = &self.slopes[i];
            json!({"at": self.levels[i], "slope": f.estimate, "low": f.low, "high": f.high, "groups": f.n})
        };
        value["own_slopes"] = json!([slope(1), slope(0)]);
        let s = &self.shift;
        value["level_shift"] =
            json!({"estimate": s.estimate, "unit": self.units[1], "low": s.low, "high": s.high, "groups": s.n});
    }
}

/// Of several levels: one that would be reached although its own slope does not go the expected way cannot be told; the others
/// stay as they are. `own` holds the slopes of each level in the order of `judged.each`.
pub fn diverging(judged: &mut Judged, own: &[Option<&OwnSlopes>], direction: Direction) {
    for (says, own) in judged.each.iter_mut().zip(own) {
        let guard = own.and_then(|own| own.guard(direction, *says == Says::Reached));
        if let Some(fails) = guard.filter(|g| !g.holds) {
            *says = Says::CannotBeTold;
            judged.why.push(fails.told);
        }
    }
    if judged.says == Says::Reached && !judged.each.contains(&Says::Reached) {
        judged.says = Says::CannotBeTold;
    }
}
