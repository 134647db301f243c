//! Outcomes: the numbers of a turn that analyzers can compare.
use crate::{GradeSection, TurnRow, plural};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

/// A number that a turn has. A manifest writes it as text: `outcome = "log_odds"`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Outcome {
    /// `score`: the grade, from 0 (wrong) to 1 (right). Replies that were not graded have none.
    #[default]
    Score,
    /// The score where it says whether something was found in the reply, not whether the reply is right. No manifest names it:
    /// [`Outcome::graded`] makes it of `score`.
    Match,
    /// `log_odds`: log-odds (nats) of the right choice among the choices, at the first token of the reply.
    LogOdds,
    /// `log_odds_shifted`: the same, averaged over cyclic shifts of the choices (`dataset.option_shifts`). Turns in which the
    /// right choice was not shifted have none.
    LogOddsShifted,
    /// `answered`: 1 if an answer could be read out of the reply, otherwise 0. Replies to open items have none.
    Answered,
    /// `reply_tokens`: length of the reply in tokens.
    ReplyTokens,
    /// `reading.<hook>.<name>`: a number that a hook computed in the turn.
    Reading(String),
    /// `aside.<name>`: what the model answered to an aside after the turn, as a number.
    Aside(String),
    /// `metric.<name>`: another number of the grade.
    Metric(String),
}

/// The forms, as messages list them.
const FORMS: [&str; 8] = [
    "score",
    "log_odds",
    "log_odds_shifted",
    "answered",
    "reply_tokens",
    "reading.<hook>.<name>",
    "aside.<name>",
    "metric.<name>",
];

impl Outcome {
    /// Unit of the values: `nats`, `tokens`; empty for a score, a share or a plain number.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::LogOdds | Self::LogOddsShifted => "nats",
            Self::ReplyTokens => "tokens",
            _ => "",
        }
    }
    /// Whether the values are shares from 0 to 1, which are shown as percent and compared in points.
    pub fn is_share(&self) -> bool {
        matches!(self, Self::Score | Self::Match | Self::Answered)
    }
    /// Unit of a difference between two values: `points` for shares, otherwise [`Self::unit`].
    pub fn difference_unit(&self) -> &'static str {
        if self.is_share() { "points" } else { self.unit() }
    }
    /// Factor from a value to the unit in which it is shown: 100 for shares, otherwise 1.
    pub fn scale(&self) -> f64 {
        if self.is_share() { 100.0 } else { 1.0 }
    }
    /// What it is called in sentences and on axes: `accuracy`, `log-odds of the right choice`.
    pub fn label(&self) -> String {
        match self {
            Self::Score => "accuracy".into(),
            Self::Match => "share of replies that match".into(),
            Self::LogOdds => "log-odds of the right choice".into(),
            Self::LogOddsShifted => "log-odds of the right choice over shifted choices".into(),
            Self::Answered => "share of replies with an answer".into(),
            Self::ReplyTokens => "length of the reply".into(),
            Self::Reading(name) => format!("reading {name}"),
            Self::Aside(name) => format!("aside {name}"),
            Self::Metric(name) => name.clone(),
        }
    }
}

impl Outcome {
    /// This outcome of turns that a manifest's `[grade]` graded: a score becomes [`Outcome::Match`] if it says whether
    /// something was found in the reply.
    #[must_use]
    pub fn graded(&self, grade: Option<&GradeSection>, turns: &[&TurnRow]) -> Self {
        let untargeted = || turns.iter().all(|t| t.target.is_none());
        match (self, grade.map(GradeSection::looks)) {
            (Self::Score, Some(looks)) if looks.unwrap_or_else(untargeted) => Self::Match,
            _ => self.clone(),
        }
    }

    /// As [`Self::graded`], of all turns of a run.
    #[must_use]
    pub fn graded_in(&self, grade: Option<&GradeSection>, turns: &[TurnRow]) -> Self {
        self.graded(grade, &turns.iter().collect::<Vec<_>>())
    }

    /// Says that turns are left out because they do not have this outcome: `without` of `of`. `None` if all have it.
    ///
    /// ```
    /// # use friction_core::Outcome;
    /// let told = Outcome::Score.left_out(2, 40);
    /// assert_eq!(told.as_deref(), Some("2 of 40 turns have no `score` and are left out"));
    /// assert_eq!(Outcome::Score.left_out(0, 40), None);
    /// ```
    pub fn left_out(&self, without: usize, of: usize) -> Option<String> {
        let (have, are) = if without == 1 { ("has", "is") } else { ("have", "are") };
        (without > 0).then(|| format!("{without} of {} {have} no `{self}` and {are} left out", plural(of, "turn")))
    }
    /// Unit in which means are shown: `%` for shares, otherwise [`Self::unit`].
    pub fn shown_unit(&self) -> &'static str {
        if self.is_share() { "%" } else { self.unit() }
    }
    /// Digits after the decimal point with which means and differences are shown.
    pub fn digits(&self) -> u8 {
        match self {
            Self::Score | Self::Match | Self::Answered | Self::ReplyTokens => 1,
            Self::LogOdds | Self::LogOddsShifted => 2,
            _ => 3,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score | Self::Match => f.write_str("score"),
            Self::LogOdds => f.write_str("log_odds"),
            Self::LogOddsShifted => f.write_str("log_odds_shifted"),
            Self::Answered => f.write_str("answered"),
            Self::ReplyTokens => f.write_str("reply_tokens"),
            Self::Reading(name) => write!(f, "reading.{name}"),
            Self::Aside(name) => write!(f, "aside.{name}"),
            Self::Metric(name) => write!(f, "metric.{name}"),
        }
    }
}

impl FromStr for Outcome {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let named = |rest: &str| !rest.is_empty() && !rest.starts_with('.') && !rest.ends_with('.');
        match s {
            "score" => return Ok(Self::Score),
            "log_odds" => return Ok(Self::LogOdds),
            "log_odds_shifted" => return Ok(Self::LogOddsShifted),
            "answered" => return Ok(Self::Answered),
            "reply_tokens" => return Ok(Self::ReplyTokens),
            _ => {}
        }
        match s.split_once('.') {
            Some(("reading", rest)) if named(rest) && rest.contains('.') => return Ok(Self::Reading(rest.into())),
            Some(("aside", rest)) if named(rest) => return Ok(Self::Aside(rest.into())),
            Some(("metric", rest)) if named(rest) => return Ok(Self::Metric(rest.into())),
            _ => {}
        }
        let near = crate::suggestion::nearest(s, FORMS.iter().copied())
            .map(|n| format!(": did you mean `{n}`?"))
            .unwrap_or_else(|| format!("; outcomes are {}", FORMS.join(", ")));
        Err(format!("unknown outcome `{s}`{near}"))
    }
}

impl Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Outcome {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Outcome {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Outcome".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "title": "Outcome", "type": "string",
            "pattern": "^(score|log_odds|log_odds_shifted|answered|reply_tokens|reading\\..+\\..+|aside\\..+|metric\\..+)$",
            "description": format!("A number that a turn has: {}", FORMS.join(", "))
        })
    }
}

impl TurnRow {
    /// The value of an outcome; `None` if the turn has none or it is not finite.
    pub fn outcome(&self, outcome: &Outcome) -> Option<f64> {
        let value = match outcome {
            Outcome::Score | Outcome::Match => self.score,
            Outcome::LogOdds => self.log_odds(),
            Outcome::LogOddsShifted => self.log_odds_shifted(),
            Outcome::Answered => self.target.as_ref().map(|_| f64::from(u8::from(self.answer.is_some()))),
            Outcome::ReplyTokens => self.measured().then(|| f64::from(self.reply_tokens)),
            Outcome::Reading(name) => self.readings.get(name).copied(),
            Outcome::Aside(name) => self.asides.get(name).and_then(|a| a.value),
            Outcome::Metric(name) => self.metrics.get(name).copied(),
        };
        value.filter(|v| v.is_finite())
    }

    /// Index of the right choice, from 0; `None` if the item has no choices or no target.
    pub fn target_choice(&self) -> Option<usize> {
        match self.target.as_deref().map(str::as_bytes) {
            Some([c @ b'A'..=b'Z']) if u32::from(c - b'A') < self.choices => Some((c - b'A') as usize),
            _ => None,
        }
    }

    /// Log-odds (nats) of the right choice at the answer slot.
    fn log_odds(&self) -> Option<f64> {
        self.log_odds_of(&self.choice_logprobs)
    }

    /// The same by other log-probabilities (nats) of the turn's choices, such as those of a fork. `None` if there is no
    /// right choice among several, or not one number for each choice.
    pub fn log_odds_of(&self, logprobs: &[f32]) -> Option<f64> {
        let all: Vec<f64> = logprobs.iter().map(|l| f64::from(*l)).collect();
        let whole = all.len() == self.choices as usize;
        log_odds(&all, self.target_choice().filter(|_| whole)?)
    }

    /// Mean of the log-odds of the right choice over the order of the turn and its shifts.
    fn log_odds_shifted(&self) -> Option<f64> {
        let (n, right) = (self.choices as usize, self.target_choice()?);
        let all: Vec<f64> = self.shifted_logprobs.iter().map(|l| f64::from(*l)).collect();
        if all.is_empty() || n == 0 || !all.len().is_multiple_of(n) {
            return None;
        }
        let shifts: Option<Vec<f64>> = all.chunks(n).map(|row| log_odds(row, right)).collect();
        let shifts = shifts?;
        Some((self.log_odds()? + shifts.iter().sum::<f64>()) / (1 + shifts.len()) as f64)
    }
}

/// Log-odds (nats) of choice `right` among log-probabilities: its own minus the log of the summed probability of the others.
/// `None` with fewer than two choices, or without the one.
///
/// ```
/// let odds = friction_core::outcome::log_odds(&[0.5f64.ln(), 0.25f64.ln()], 0).unwrap();
/// assert!((odds - 2f64.ln()).abs() < 1e-12);
/// ```
pub fn log_odds(logprobs: &[f64], right: usize) -> Option<f64> {
    let own = logprobs.get(right).filter(|_| logprobs.len() > 1)?;
    let others = || logprobs.iter().enumerate().filter(|(i, _)| *i != right).map(|(_, l)| *l);
    let most = others().fold(f64::NEG_INFINITY, f64::max);
    Some(own - (most + others().map(|l| (l - most).exp()).sum::<f64>().ln()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Aside;

    #[test]
    fn texts_come_back_and_others_are_refused() {
        let all = [
            "score",
            "log_odds",
            "log_odds_shifted",
            "answered",
            "reply_tokens",
            "reading.p.axis",
            "aside.mood",
            "metric.f1",
        ];
        for s in all {
            assert_eq!(s.parse::<Outcome>().unwrap().to_string(), s);
        }
        for s in ["scores", "reading", "reading.p", "aside.", "", "metric"] {
            let told = s.parse::<Outcome>().unwrap_err();
            assert!(told.contains("did you mean") || told.contains("outcomes are"), "{told}");
        }
    }

    #[test]
    fn log_odds_are_those_of_the_right_choice_against_the_rest() {
        let row = TurnRow {
            choices: 3,
            target: Some("B".into()),
            choice_logprobs: vec![0.2f32.ln(), 0.5f32.ln(), 0.1f32.ln()],
            ..TurnRow::default()
        };
        let odds = row.outcome(&Outcome::LogOdds).unwrap();
        assert!((odds - (0.5f64 / 0.3).ln()).abs() < 1e-6, "{odds}");
        let open = TurnRow { target: Some("B".into()), ..TurnRow::default() };
        assert_eq!(open.outcome(&Outcome::LogOdds), None);
        let partial = TurnRow { choice_logprobs: vec![], ..row.clone() };
        assert_eq!(partial.outcome(&Outcome::LogOdds), None);
        // Odds of 0.5 : 0.3, 0.2 : 0.6 and 0.4 : 0.4, by hand.
        let rows = [0.3f32, 0.2, 0.3, 0.1, 0.4, 0.3].map(f32::ln).to_vec();
        let shifted = TurnRow { shifted_logprobs: rows, ..row.clone() };
        let want = ((0.5f64 / 0.3).ln() + (0.2f64 / 0.6).ln()) / 3.0;
        let got = shifted.outcome(&Outcome::LogOddsShifted).unwrap();
        assert!((got - want).abs() < 1e-6, "{got}, not {want}");
        assert_eq!(row.outcome(&Outcome::LogOddsShifted), None);
        let torn = TurnRow { shifted_logprobs: vec![0.0; 4], ..row };
        assert_eq!(torn.outcome(&Outcome::LogOddsShifted), None);
    }

    #[test]
    fn a_turn_has_only_what_was_measured() {
        let mut row = TurnRow { reply_tokens: 7, ..TurnRow::default() };
        assert_eq!(row.outcome(&Outcome::Score), None);
        assert_eq!(row.outcome(&Outcome::Answered), None);
        assert_eq!(row.outcome(&Outcome::ReplyTokens), Some(7.0));
        let empty = TurnRow { finish_reason: "stop".into(), ..TurnRow::default() };
        assert_eq!(empty.outcome(&Outcome::ReplyTokens), Some(0.0));
        assert_eq!(TurnRow::default().outcome(&Outcome::ReplyTokens), None, "an import does not know its tokens");
        row.readings.insert("p.axis".into(), f64::NAN);
        row.asides.insert("mood".into(), Aside { value: Some(6.5), ..Aside::default() });
        assert_eq!(row.outcome(&"reading.p.axis".parse().unwrap()), None);
        assert_eq!(row.outcome(&"aside.mood".parse().unwrap()), Some(6.5));
        row.target = Some("A".into());
        assert_eq!(row.outcome(&Outcome::Answered), Some(0.0));
    }
}
