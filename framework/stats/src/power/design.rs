//! The design whose power is asked for: cells, turns, and what is assumed of the outcomes.
use crate::Error;
use crate::slope::{centred, scale};

/// What is compared of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Its mean over turns. Effects are in points.
    Mean,
    /// Its least-squares slope on the turn. Effects are in points per turn.
    Slope,
}

/// One condition of the contrast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cell {
    /// Whether the contrast adds it (the compared level) or subtracts it (the reference).
    pub added: bool,
    /// Whether the effect is in it. Moved cells are added; their number is that of the pairs whose mean the contrast is.
    pub moved: bool,
    /// Change of its accuracy with each turn, in points, whatever the effect is.
    pub drift: f64,
}

/// A contrast within groups, and what is assumed of the outcomes. The [module](super) says what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Design {
    /// The conditions of the contrast; as many are added as are subtracted.
    pub cells: Vec<Cell>,
    /// What is compared of a conversation.
    pub measure: Measure,
    /// First and last turn that are compared, from 1.
    pub turns: (u32, u32),
    /// Conversations of each condition in a group; they are averaged.
    pub samples: usize,
    /// Accuracy at turn 1 without drift and effect, from 0 to 1.
    pub base: f64,
    /// Correlation of two conditions' outcomes on one item, where both accuracies are `base`; from 0 to below 1.
    pub correlation: f64,
    /// The same of two samples of one condition; not below `correlation`.
    pub sample_correlation: f64,
    /// Whether the effect raises the accuracy of the moved cells; otherwise it lowers it.
    pub rises: bool,
    /// Whether all conditions of a group ask its items.
    pub paired: bool,
    /// Two-sided size of the test.
    pub alpha: f64,
}

/// Accuracies nearer to 0 and 1 than this cannot be simulated.
const EDGE: f64 = 1e-6;
/// Correlations from here on make two variables one.
const ONE: f64 = 0.99;

impl Design {
    /// A contrast of `pairs` of conditions, the second level of each falling against the first, with the assumptions of
    /// a study of hard questions: accuracy 0.32, correlation 0.5, no drift, one sample, 0.05 two-sided.
    pub fn pairs(pairs: usize, measure: Measure, turns: (u32, u32)) -> Self {
        let cell = |added| Cell { added, moved: added, drift: 0.0 };
        Self {
            cells: (0..pairs).flat_map(|_| [cell(false), cell(true)]).collect(),
            measure,
            turns,
            samples: 1,
            base: 0.32,
            correlation: 0.5,
            sample_correlation: 0.5,
            rises: false,
            paired: true,
            alpha: 0.05,
        }
    }

    /// Accuracy of a cell at turn `t` with an effect in points (per turn, for a slope).
    pub fn accuracy(&self, cell: &Cell, t: u32, effect: f64) -> f64 {
        let later = f64::from(t.max(1) - 1);
        let size = match self.measure {
            Measure::Mean => effect,
            Measure::Slope => effect * later,
        };
        let moved = match (cell.moved, self.rises) {
            (false, _) => 0.0,
            (true, true) => size,
            (true, false) => -size,
        };
        self.base + (cell.drift * later + moved) / 100.0
    }

    /// The whole-numbered weights of the compared turns, and what their weighted sum is divided by.
    pub(super) fn weights(&self) -> (Vec<i64>, f64) {
        let n = (self.turns.1 + 1).saturating_sub(self.turns.0) as usize;
        match self.measure {
            Measure::Mean => (vec![1; n], n as f64),
            Measure::Slope => (centred(n), scale(n)),
        }
    }

    /// Number of pairs whose mean the contrast is.
    pub(super) fn moved(&self) -> usize {
        self.cells.iter().filter(|c| c.moved).count()
    }

    /// The largest effect whose accuracies stay between `floor` and 1 − `floor`.
    pub(super) fn largest(&self, floor: f64) -> f64 {
        let turns = self.turns.0..=self.turns.1;
        let moved = self.cells.iter().filter(|c| c.moved);
        let room = moved.flat_map(|c| turns.clone().map(move |t| (c, t))).filter_map(|(c, t)| {
            let (still, per) = (self.accuracy(c, t, 0.0), self.accuracy(c, t, 1.0));
            let edge = if self.rises { 1.0 - floor } else { floor };
            (per != still).then(|| (edge - still) / (per - still))
        });
        room.fold(f64::INFINITY, f64::min).max(0.0)
    }

    /// Refuses what cannot be simulated.
    ///
    /// # Errors
    /// A sentence about the first assumption that makes no sense.
    pub fn check(&self, effect: f64) -> Result<(), Error> {
        let wrong = |text: String| Err(Error::Value(text));
        let (first, last) = self.turns;
        let least = if self.measure == Measure::Slope { 2 } else { 1 };
        let added = self.cells.iter().filter(|c| c.added).count();
        if self.moved() == 0 || 2 * added != self.cells.len() || self.cells.iter().any(|c| c.moved && !c.added) {
            return wrong("a contrast adds as many conditions as it subtracts, and the effect is in added ones".into());
        }
        if first < 1 || last + 1 < first + least {
            return wrong(format!("a contrast of turns {first} to {last} needs {least} or more of them"));
        }
        if !(self.base > 0.0 && self.base < 1.0) {
            return wrong(format!("the base accuracy is {}: it lies between 0 and 1, as in 0.32", self.base));
        }
        if !(0.0..ONE).contains(&self.correlation) {
            return wrong(format!("the correlation of outcomes is {}: it is from 0 to below {ONE}", self.correlation));
        }
        if !(self.correlation..ONE).contains(&self.sample_correlation) {
            return wrong(format!(
                "the correlation of samples is {}: it is from {}, that of conditions, to below {ONE}",
                self.sample_correlation, self.correlation
            ));
        }
        if self.samples == 0 || !(self.alpha > 0.0 && self.alpha < 0.5) {
            return wrong("a test needs a sample, and a size above 0 and below 0.5".into());
        }
        if !(effect.is_finite() && effect >= 0.0) {
            return wrong(format!("an effect is a number of points from 0, not {effect}"));
        }
        let drift: f64 = self.cells.iter().map(|c| if c.added { c.drift } else { -c.drift }).sum();
        if !drift.is_finite() || drift.abs() > 1e-9 {
            return wrong(format!(
                "the drifts alone change the contrast by {drift:+} points per turn: give the conditions of a pair equal ones, because the effect is what is asked about"
            ));
        }
        if !self.paired && self.moved() != added {
            return wrong("without pairing two levels are compared, not a difference of differences".into());
        }
        for cell in &self.cells {
            for t in first..=last {
                let inside = |p: f64| (EDGE..=1.0 - EDGE).contains(&p);
                let (still, p) = (self.accuracy(cell, t, 0.0), self.accuracy(cell, t, effect));
                let base = 100.0 * self.base;
                if !inside(still) && cell.drift != 0.0 {
                    return wrong(format!(
                        "a drift of {:+} points per turn alone takes a base accuracy of {base:.0} % to {:.1} % at turn {t}: take less drift, or another base",
                        cell.drift,
                        100.0 * still
                    ));
                }
                if !inside(p) {
                    return wrong(format!(
                        "an effect of {effect} {} from a base accuracy of {base:.0} % gives {:.1} % at turn {t}: take smaller effects, another base or less drift",
                        self.unit(),
                        100.0 * p
                    ));
                }
            }
        }
        Ok(())
    }

    /// Unit of effects.
    pub fn unit(&self) -> &'static str {
        match self.measure {
            Measure::Mean => "points",
            Measure::Slope => "points per turn",
        }
    }
}
