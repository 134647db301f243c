//! A contrast in words: the question, the estimand, the unit and the method.
use friction_core::manifest::{Direction, contrast_unit};
use friction_core::{Contrast, Outcome};
use friction_stats::percent;

/// A contrast of an outcome.
#[derive(Debug, Clone, Copy)]
pub struct Wording<'a> {
    pub contrast: &'a Contrast,
    pub outcome: &'a Outcome,
    /// Whether the levels of a trend are numbers.
    pub numbers: bool,
    /// What the lock expects of it; `None` where it does not name it.
    pub expects: Option<Direction>,
}

/// The levels that a contrast compares.
#[derive(Debug, Clone, Default)]
pub struct Sides {
    /// The levels of the first factor, `a` and `b`: b minus a. Of a trend the lowest and the highest.
    pub first: [String; 2],
    /// Those of the second.
    pub second: [String; 2],
}

impl Wording<'_> {
    /// Unit of the estimate.
    pub fn unit(&self) -> String {
        contrast_unit(self.contrast, self.outcome, self.numbers)
    }

    /// Digits after the decimal point.
    pub fn digits(&self) -> u8 {
        let finer = u8::from(self.contrast.by_turn()) + u8::from(self.contrast.is_trend());
        (self.outcome.digits() + finer).min(3)
    }

    /// The question about two levels, short or with the factor named twice.
    pub fn asked(&self, sides: &Sides, short: bool) -> String {
        let (f, what, turn) = (self.contrast.first(), self.outcome.label(), self.contrast.by_turn());
        let [a, b] = &sides.first;
        match (self.contrast.second(), turn, self.outcome) {
            _ if self.contrast.is_trend() && turn => {
                format!("Does the trend of the {what} over {f}, from {a} to {b}, change with turns?")
            }
            _ if self.contrast.is_trend() => format!("Does the {what} rise or fall with {f}, from {a} to {b}?"),
            (Some(g), true, _) => {
                format!(
                    "Does the difference of how the {what} changes with turns between {f} = {b} and {f} = {a} depend on {g}?"
                )
            }
            (Some(g), false, _) => {
                format!("Does the difference of {what} between {f} = {b} and {f} = {a} depend on {g}?")
            }
            (None, true, Outcome::Score) if short => {
                format!("Does accuracy {} if {f} = {b} than if {a}?", self.moves())
            }
            (None, true, Outcome::Score) => {
                format!("Does accuracy {} with turns under {f} = {b} than under {f} = {a}?", self.moves())
            }
            (None, true, _) => format!("Does the {what} {} with turns if {f} = {b} than if {f} = {a}?", self.moves()),
            (None, false, _) => match self.differs() {
                Some(side) => format!("Is the {what} {side} at {f} = {b} than at {f} = {a}?"),
                None => format!("Does the {what} differ between {f} = {b} and {f} = {a}?"),
            },
        }
    }

    /// How a slope is expected to differ.
    fn moves(&self) -> &'static str {
        match (self.expects, self.outcome) {
            (Some(Direction::Falls), _) | (None, Outcome::Score) => "fall faster",
            (Some(Direction::Rises), _) => "rise faster",
            (Some(Direction::Either) | None, _) => "change otherwise",
        }
    }

    /// How a mean is expected to differ from another.
    fn differs(&self) -> Option<&'static str> {
        match self.expects? {
            Direction::Falls => Some("lower"),
            Direction::Rises => Some("higher"),
            Direction::Either => None,
        }
    }

    /// The question about more than two levels.
    pub fn of_several(&self, a: &str) -> String {
        let (f, what) = (self.contrast.first(), self.outcome.label());
        match self.contrast.by_turn() {
            true => format!("Does the {what} {} with turns than if {f} = {a}?", self.moves()),
            false => match self.differs() {
                Some(side) => format!("At which {f} is the {what} {side} than at {f} = {a}?"),
                None => format!("At which {f} does the {what} differ from {f} = {a}?"),
            },
        }
    }

    /// The question where nothing can be computed.
    pub fn untold(&self) -> String {
        let (f, what) = (self.contrast.first(), self.outcome.label());
        let plain = self.contrast.second().is_none() && !self.contrast.is_trend();
        match (plain && self.contrast.by_turn(), self.outcome) {
            (true, Outcome::Score) => format!("Does accuracy {} at one level of {f} than at the other?", self.moves()),
            (true, _) => format!("Does the {what} change otherwise with turns at one level of {f}?"),
            (false, _) => format!("Does the {what} differ between levels of {}?", self.contrast),
        }
    }

    /// What is measured at a level: `mean accuracy`, `slope of accuracy with turns`.
    pub fn measured(&self) -> String {
        let what = self.outcome.label();
        if self.contrast.by_turn() { format!("slope of {what} with turns") } else { format!("mean {what}") }
    }

    /// What is estimated, as a noun: `slope of accuracy with turns at completion = interrupt minus that at complete`.
    pub fn estimand(&self, sides: &Sides) -> String {
        let (f, what) = (self.contrast.first(), self.outcome.label());
        let [a, b] = &sides.first;
        let measure = self.measured();
        let on = if self.numbers { "on the numbers of" } else { "over the levels of" };
        match (self.contrast.second(), self.contrast.by_turn()) {
            _ if self.contrast.is_trend() && self.contrast.by_turn() => {
                format!("change with turns of the slope of {what} {on} {f}, from {a} to {b}")
            }
            _ if self.contrast.is_trend() => format!("slope of {measure} {on} {f}, from {a} to {b}"),
            (Some(g), _) => {
                let [c, d] = &sides.second;
                format!("difference of the {measure}, {f} = {b} minus {a}, at {g} = {d} minus that at {c}")
            }
            (None, _) => format!("{measure} at {f} = {b} minus that at {a}"),
        }
    }

    /// What is computed, as another would compute it. `averaged`: over the conditions of a fraction.
    pub fn method(&self, turns: &str, level: f64, exact: bool, averaged: bool) -> String {
        let value = if *self.outcome == Outcome::Score { "right (1 or 0)".into() } else { self.outcome.label() };
        let among = match averaged {
            true => {
                "in averages over the conditions at each level, in which the levels of every other factor occur equally often"
            }
            false => "in conversations that agree in every other factor",
        };
        let (f, turn) = (self.contrast.first(), self.contrast.by_turn());
        let what = match self.contrast.second() {
            _ if self.contrast.is_trend() => {
                let score = if self.numbers { "number that names the level" } else { "score of the level" };
                let then = if turn { ", and its least-squares slope on the turn" } else { ", mean over turns" };
                format!(
                    "least-squares slope of {value} on the {score} of {f} at each turn, {among}{then}, {turns} that all have"
                )
            }
            Some(g) if turn => format!(
                "difference between the levels of {g} of the differences between the levels of {f}, each of the least-squares slopes of {value} on the turn, {among}, {turns} that all have"
            ),
            Some(g) => format!(
                "difference between the levels of {g} of the differences between the levels of {f}, each of the mean {value}, {among}, {turns} that all have"
            ),
            None if turn => {
                format!("difference of the least-squares slopes of {value} on the turn, in pairs, {among}, {turns}")
            }
            None => format!("difference of the mean {value}, in pairs, {among}, {turns} that both have"),
        };
        format!(
            "{what}; mean over a group's pairs; {}sign flips with one sign per group, inverted for the {} interval",
            if exact { "exact " } else { "" },
            percent(level)
        )
    }
}
