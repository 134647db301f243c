//! `[primary]`: the one contrast that is named before the run.
use crate::contrast::{by_numbers, reference, scores};
use crate::issues::{Issues, Path};
use crate::{ComparedTurns, Contrast, Needs, Outcome, brief};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The one contrast that the study is about, with what is expected of it. The run's lock records it before the first
/// token.
///
/// What an analyzer finds of this contrast is *confirmatory*, and it gives a verdict: reached, not reached or cannot be
/// told. What departs from it, in the contrast, the outcome, the turns or the level of reference, is *exploratory*, and so
/// is every contrast of a study without this table.
///
/// *Reached*: the 95 % interval lies beyond 0 in the direction that is expected, and the estimate is at least `smallest`.
/// *Not reached*: the 90 % interval lies within `smallest` of 0, or the 95 % interval lies wholly on the other side of 0.
/// *Cannot be told*: everything else, fewer than 8 groups, an unfinished run, and a guard that fails, which is named. That p
/// is above 0.05 never means "not reached".
///
/// The guards, all printed with their values: at most 5 % of a condition's replies end at the limit of their length; the
/// estimate keeps its sign if answers that could not be read count as right, in log-odds, and without any one topic; it
/// survives a correction for each condition's preference for letters; of log-odds, the letters have half of the
/// probability in the median turn, and the sign stays if values are clipped at ±12 nats and in ranks; and of slopes over
/// turns, replies to equal first prompts are equal, no cell's accuracy surely lies beyond chance + 5 to 95 %, and turns do not
/// ask one topic each. With greedy replies no group repeats another's. Of slopes, the level that is compared with `reference` has a
/// slope in the expected direction itself where the verdict would be *reached*: otherwise it diverges without degradation (of
/// `rises`: without improvement).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"contrast": "completion × turn", "direction": "falls", "smallest": 0.5}))]
pub struct PrimarySection {
    /// What is compared. `"completion × turn"` (or `"completion x turn"`): the slope of the outcome on the turn, between
    /// levels of the factor `completion`. `"completion"`: its mean. `"completion × tone"`: the difference between two
    /// levels of one factor, between the two levels of another; `"completion × tone × turn"`: the same of slopes.
    /// `"trend(politeness)"`: the slope of the mean over ordered levels; `"trend(politeness) × turn"`: how that slope
    /// changes with each turn.
    pub contrast: Contrast,
    /// The number of a turn that is compared: `score`, `log_odds` (of the right choice, in nats), `answered`,
    /// `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or `metric.<name>`.
    #[serde(default)]
    pub outcome: Outcome,
    /// The sign that is expected of the estimate, which is a level minus `reference`, or a slope over levels.
    #[serde(default)]
    pub direction: Direction,
    /// The smallest effect of interest, in the unit in which the estimate is shown: points for shares (0 to 100), nats
    /// for `log_odds`; of a contrast `… × turn` per turn; of a trend per step from one level to the next, or, where all
    /// levels are numbers, per unit of these. Default: 0.5 (points per turn)
    /// for the outcome `score` of a contrast `<factor> × turn` or `<factor> × <factor> × turn`; otherwise it must be
    /// given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub smallest: Option<f64>,
    /// First turn that is compared, from 1. Default: 2 for a contrast `… × turn`, whose first turn precedes any treatment;
    /// otherwise 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub first_turn: Option<u32>,
    /// Which turns of a conversation are compared between levels: `all`, of which those count that both of two
    /// conversations have, or the `last` of each, where conversations end at different turns.
    #[serde(default, skip_serializing_if = "ComparedTurns::is_all")]
    pub turns: ComparedTurns,
    /// The level with which the other levels of its factor are compared: the estimate is each of them minus this one. Default:
    /// of two levels the first in the alphabet, of more that of the first condition; `friction check` says which, and the lock
    /// holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The levels that are compared, by factor; conditions with other levels of these factors, such as extra controls,
    /// are left out. Of a trend, their order is that of the scores 0, 1, 2, …, unless all are numbers. Default: the levels
    /// that the `[[factor]]` tables list; of factors without such a table all levels, in the order of the conditions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(example = serde_json::json!({"politeness": ["rude", "plain", "polite"]}))]
    pub levels: BTreeMap<String, Vec<String>>,
    /// What a reply counts as whose answer cannot be read, though its item has a right one.
    #[serde(default)]
    pub unparsed: Unparsed,
}

/// The sign that is expected of an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The estimate is below 0.
    Falls,
    /// The estimate is above 0.
    Rises,
    /// The estimate is on either side of 0.
    #[default]
    Either,
}

impl Direction {
    /// −1 for `falls`, 1 for `rises`; `None` for `either`.
    pub fn sign(self) -> Option<f64> {
        match self {
            Self::Falls => Some(-1.0),
            Self::Rises => Some(1.0),
            Self::Either => None,
        }
    }
    /// What the estimate is if the effect is there: `is below 0`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Falls => "is below 0",
            Self::Rises => "is above 0",
            Self::Either => "differs from 0",
        }
    }
}

/// How replies count whose answer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unparsed {
    /// As a wrong answer: their score is 0.
    #[default]
    Wrong,
}

impl PrimarySection {
    /// Unit of the estimate and of `smallest`: `points/turn`, `nats/level`, `points/unit of shots`, `per turn`.
    pub fn unit(&self) -> String {
        let levels = self.levels.get(self.contrast.first());
        unit(&self.contrast, &self.outcome, levels.is_some_and(|levels| by_numbers(levels)))
    }

    /// What it needs of a study.
    pub fn needs(&self) -> Needs {
        let factors = self.contrast.factors().to_vec();
        Needs {
            outcomes: vec![self.outcome.clone()],
            first_turn: self.turns.is_all().then(|| self.first_turn.unwrap_or(self.contrast.first_turn())),
            reference: self.reference.clone().map(|level| (level, factors)),
            ..self.contrast.needs()
        }
    }

    /// What is subtracted from what: `interrupt minus complete`; of a trend, the levels with their scores, in the order of
    /// these. `None` where the levels are not known.
    pub fn compared(&self) -> Option<String> {
        let levels = self.levels.get(self.contrast.first()).filter(|levels| levels.len() > 1)?;
        if self.contrast.is_trend() {
            let mut scored: Vec<(f64, &String)> = scores(levels).into_iter().zip(levels).collect();
            scored.sort_by(|a, b| a.0.total_cmp(&b.0));
            if by_numbers(levels) {
                let names: Vec<&str> = scored.iter().map(|(_, l)| l.as_str()).collect();
                return Some(format!("over the numbers {}", names.join(", ")));
            }
            let each: Vec<String> = scored.iter().map(|(score, l)| format!("{l} = {score}")).collect();
            return Some(format!("over {}", each.join(", ")));
        }
        let sides = |levels: &[String]| -> Option<(String, String)> {
            let a = reference(levels, self.reference.as_deref())?.to_string();
            let others: Vec<&str> = levels.iter().map(String::as_str).filter(|l| *l != a).collect();
            let each = if others.len() > 1 { "each of " } else { "" };
            Some((format!("{each}{}", others.join(", ")), a))
        };
        let (b, a) = sides(levels)?;
        let first = format!("{b} minus {a}");
        match self.contrast.second() {
            None => Some(first),
            Some(factor) => {
                let (d, c) = sides(self.levels.get(factor).filter(|levels| levels.len() > 1)?)?;
                Some(format!("{first}, at {d} minus at {c}"))
            }
        }
    }

    /// In one line: `completion × turn of score, interrupt minus complete: is below 0 by at least 0.5 points/turn; turns from 2
    /// on`.
    pub fn words(&self) -> String {
        let unit = self.unit();
        let size = self.smallest.map(|s| format!(" by at least {} {unit}", brief(s))).unwrap_or_default();
        let turns = match (self.turns, self.first_turn) {
            (ComparedTurns::Last, _) => "; the last turn of each conversation".into(),
            (_, Some(first)) if first > 1 => format!("; turns from {first} on"),
            _ => String::new(),
        };
        let (compared, reference) = match (self.compared(), &self.reference) {
            (Some(compared), _) => (format!(", {compared}"), String::new()),
            (None, Some(r)) => (String::new(), format!("; compared with {r}")),
            (None, None) => Default::default(),
        };
        format!(
            "{} of {}{compared}: {}{}{turns}{reference}",
            self.contrast,
            self.outcome,
            self.direction.words(),
            size.trim_end()
        )
    }

    /// Fills in the defaults that do not depend on the conditions, so that the lock holds them, and checks all values.
    pub(crate) fn settle(&mut self, path: &Path, issues: &mut Issues) {
        self.fill();
        self.check(path, issues);
    }

    fn fill(&mut self) {
        if self.turns.is_all() && self.first_turn.is_none() {
            self.first_turn = Some(self.contrast.first_turn());
        }
        let known = self.outcome == Outcome::Score && self.contrast.by_turn() && !self.contrast.is_trend();
        if known && self.smallest.is_none() {
            self.smallest = Some(0.5);
        }
    }

    fn check(&self, path: &Path, issues: &mut Issues) {
        match self.smallest {
            None => {
                let message = format!("`smallest` is missing: the smallest effect of interest, in {}", self.unit());
                let help = "a verdict needs it: without it no result could ever say that there is no effect";
                issues.push(path.clone(), message, Some(help.into()));
            }
            Some(s) if !(s > 0.0 && s.is_finite()) => {
                issues.push(path.key("smallest"), "`smallest` must be above 0", None);
            }
            // A share lies between 0 and 100 points, and its slope between -100 and 100; differences may be twice as large.
            Some(s) if self.outcome.is_share() && s > 400.0 => {
                let message = format!("`smallest = {}` is larger than any difference of shares, in points", brief(s));
                issues.push(path.key("smallest"), message, Some("a share is from 0 to 100 points".into()));
            }
            Some(_) => {}
        }
        if self.first_turn == Some(0) {
            issues.push(path.key("first_turn"), "`first_turn` counts from 1", None);
        }
        if !self.turns.is_all() {
            if self.first_turn.is_some() {
                let message = "`first_turn` does nothing: of each conversation the last turn is compared";
                issues.push(path.key("first_turn"), message, None);
            }
            if self.contrast.by_turn() {
                let message =
                    "`turns = \"last\"` leaves one turn of each conversation, in which nothing can change with turns";
                issues.push(path.key("turns"), message, None);
            }
        }
        if self.contrast.is_trend() && self.reference.is_some() {
            let message = "`reference` does nothing: a trend compares no level with another";
            issues.push(path.key("reference"), message, None);
        }
        for (factor, levels) in &self.levels {
            let at = path.key("levels").key(factor);
            if let Some(twice) = levels.iter().enumerate().find_map(|(i, l)| levels[..i].contains(l).then_some(l)) {
                issues.push(at.clone(), format!("`{twice}` is listed twice"), None);
            }
            let least = if self.contrast.factors().contains(factor) { 2 } else { 1 };
            if levels.len() < least {
                let message = format!("`levels.{factor}` lists {}: {least} are needed", levels.len());
                issues.push(at, message, None);
            }
        }
    }
}

/// Unit of the estimate of a contrast of an outcome. `numbers`: whether the levels of a trend are numbers
/// ([`by_numbers`]).
pub fn unit(contrast: &Contrast, outcome: &Outcome, numbers: bool) -> String {
    let step = if numbers { format!("unit of {}", contrast.first()) } else { "level".into() };
    let each: Vec<String> = [(contrast.is_trend(), step), (contrast.by_turn(), "turn".into())]
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, w)| w)
        .collect();
    match (outcome.difference_unit(), each.is_empty()) {
        (unit, true) => unit.into(),
        ("", false) => format!("per {}", each.join(" and ")),
        (unit, false) => format!("{unit}/{}", each.join("/")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> (PrimarySection, Vec<String>) {
        let mut primary: PrimarySection = toml::from_str(text).unwrap();
        let mut issues = Issues::default();
        primary.settle(&Path::default(), &mut issues);
        (primary, issues.0.iter().map(|i| format!("{}: {}", i.path, i.message)).collect())
    }

    #[test]
    fn what_is_left_out_is_filled_in_for_the_lock() {
        let (p, wrong) = read("contrast = \"completion × turn\"\ndirection = \"falls\"");
        assert!(wrong.is_empty(), "{wrong:?}");
        let lock = serde_json::to_value(&p).unwrap();
        let want = serde_json::json!({"contrast": "completion × turn", "outcome": "score", "direction": "falls",
            "smallest": 0.5, "first_turn": 2, "unparsed": "wrong"});
        assert_eq!(lock, want);
        assert_eq!(p.words(), "completion × turn of score: is below 0 by at least 0.5 points/turn; turns from 2 on");
        let (p, _) = read("contrast = \"tone\"\noutcome = \"log_odds\"\nsmallest = 0.2\nturns = \"last\"");
        assert_eq!((p.first_turn, p.unit().as_str(), p.needs().first_turn), (None, "nats", None));
        let (p, _) = read("contrast = \"trend(tone) × turn\"\nsmallest = 0.1");
        assert_eq!(p.unit(), "points/level/turn");
        let (p, _) = read("contrast = \"trend(tone) × turn\"\noutcome = \"aside.mood\"\nsmallest = 0.1");
        assert_eq!(p.unit(), "per level and turn");
        // Levels that are numbers are not steps: 4 to 8 shots are four units.
        let (p, _) = read("contrast = \"trend(shots)\"\nsmallest = 0.1\nlevels.shots = [\"0\", \"4\", \"8\"]");
        assert_eq!(p.unit(), "points/unit of shots");
        assert_eq!(
            p.words(),
            "trend(shots) of score, over the numbers 0, 4, 8: differs from 0 by at least 0.1 points/unit of shots"
        );
        let (p, _) = read("contrast = \"tone\"\nsmallest = 50");
        assert!(p.words().ends_with("by at least 50 points"), "{}", p.words());
        let (p, _) = read("contrast = \"tone\"\noutcome = \"log_odds\"\nsmallest = 1e300");
        assert!(p.words().ends_with("by at least 1e300 nats"), "{}", p.words());
    }

    #[test]
    fn what_is_subtracted_is_told() {
        for (text, told) in [
            ("contrast = \"c\"\nlevels.c = [\"whole\", \"cut\"]", Some("whole minus cut")),
            ("contrast = \"c\"\nreference = \"whole\"\nlevels.c = [\"whole\", \"cut\"]", Some("cut minus whole")),
            ("contrast = \"c × turn\"\nlevels.c = [\"no\", \"b\", \"a\"]", Some("each of b, a minus no")),
            (
                "contrast = \"c × t\"\nlevels.c = [\"x\", \"y\"]\nlevels.t = [\"q\", \"p\"]",
                Some("y minus x, at q minus at p"),
            ),
            ("contrast = \"trend(n)\"\nlevels.n = [\"1\", \"10\", \"3\"]", Some("over the numbers 1, 3, 10")),
            (
                "contrast = \"trend(n)\"\nlevels.n = [\"rude\", \"plain\", \"kind\"]",
                Some("over rude = 0, plain = 1, kind = 2"),
            ),
            ("contrast = \"c\"", None),
        ] {
            let (p, _) = read(&format!("smallest = 1\n{text}"));
            assert_eq!(p.compared().as_deref(), told, "{text}");
            assert!(told.is_none_or(|told| p.words().contains(told)), "{}", p.words());
        }
    }

    #[test]
    fn what_does_nothing_or_leaves_no_verdict_is_refused() {
        for (text, told) in [
            ("contrast = \"tone\"", ": `smallest` is missing: the smallest effect of interest, in points"),
            ("contrast = \"trend(tone) × turn\"", ": `smallest` is missing"),
            ("contrast = \"tone × turn\"\nsmallest = 0.0", "smallest: `smallest` must be above 0"),
            (
                "contrast = \"tone × turn\"\nsmallest = 1e300",
                "smallest: `smallest = 1e300` is larger than any difference",
            ),
            ("contrast = \"tone × turn\"\nsmallest = nan", "smallest: `smallest` must be above 0"),
            ("contrast = \"tone × turn\"\nfirst_turn = 0", "first_turn: `first_turn` counts from 1"),
            ("contrast = \"tone × turn\"\nturns = \"last\"", "turns: `turns = \"last\"` leaves one turn"),
            (
                "contrast = \"tone\"\nsmallest = 1\nturns = \"last\"\nfirst_turn = 2",
                "first_turn: `first_turn` does nothing",
            ),
            ("contrast = \"trend(tone)\"\nsmallest = 1\nreference = \"a\"", "reference: `reference` does nothing"),
            ("contrast = \"tone\"\nsmallest = 1\nlevels.tone = [\"a\", \"a\"]", "levels.tone: `a` is listed twice"),
            (
                "contrast = \"tone\"\nsmallest = 1\nlevels.tone = [\"a\"]",
                "levels.tone: `levels.tone` lists 1: 2 are needed",
            ),
        ] {
            let (_, wrong) = read(text);
            assert!(wrong.len() == 1 && wrong[0].starts_with(told), "{text}: {wrong:?}");
        }
        assert!(toml::from_str::<PrimarySection>("contrast = \"tone\"\nunparsed = \"right\"").is_err());
    }
}
