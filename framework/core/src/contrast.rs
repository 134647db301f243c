//! Contrasts: what a study compares, written in its factors.
mod design;
mod levels;

pub use design::is_fraction;
pub use levels::{by_numbers, reference, scores};

use crate::Needs;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

/// What is compared between levels of factors. A manifest writes it as text; ` x ` may stand for `×`.
///
/// | text | value of a group, of which the mean over groups is tested |
/// |---|---|
/// | `tone` | the outcome's mean at one level of `tone` minus that at another |
/// | `tone × turn` | the outcome's least-squares slope on the turn at one level minus that at another |
/// | `completion × tone` | the difference of the means between the levels of `completion`, at one level of `tone` minus that at the other |
/// | `completion × tone × turn` | the same of the slopes: the slope of the difference of the differences |
/// | `trend(politeness)` | the least-squares slope of the mean on the score of the level ([`scores`]) |
/// | `trend(politeness) × turn` | the least-squares slope on the turn of what `trend(politeness)` is at each turn |
///
/// ```
/// use friction_core::Contrast;
/// let c: Contrast = "completion x tone x turn".parse().unwrap();
/// assert_eq!((c.to_string().as_str(), c.factors().len(), c.by_turn()), ("completion × tone × turn", 2, true));
/// assert!("turn × tone".parse::<Contrast>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contrast {
    factors: Vec<String>,
    trend: bool,
    turn: bool,
}

/// The word that stands for the number of the turn. No factor may have this name in a contrast.
pub const TURN: &str = "turn";

/// The forms, as messages list them.
const FORMS: &str = "`<factor> × turn`, `<factor>`, `<factor> × <factor>`, `<factor> × <factor> × turn`, `trend(<factor>)` and `trend(<factor>) × turn`";

impl Contrast {
    /// The factors that are compared: one, or two that are crossed.
    pub fn factors(&self) -> &[String] {
        &self.factors
    }
    /// The first factor, whose levels are subtracted first.
    pub fn first(&self) -> &str {
        self.factors.first().map_or("", String::as_str)
    }
    /// The second factor, on which the difference between levels of the first may depend.
    pub fn second(&self) -> Option<&str> {
        self.factors.get(1).map(String::as_str)
    }
    /// Whether slopes on the turn are compared, and not means over turns.
    pub fn by_turn(&self) -> bool {
        self.turn
    }
    /// Whether it is a slope on the levels' scores, and not a difference between two levels.
    pub fn is_trend(&self) -> bool {
        self.trend
    }
    /// The first turn that is compared if nothing else is said: 2 of slopes, because the first turn precedes any treatment;
    /// otherwise 1.
    pub fn first_turn(&self) -> u32 {
        if self.turn { 2 } else { 1 }
    }
    /// What it needs of a study's conditions and turns.
    pub fn needs(&self) -> Needs {
        let factors = self.factors.clone();
        // A difference of differences is of two levels of each factor; a trend needs all levels side by side.
        let (two, whole) = (factors.len() > 1, factors.len() > 1 || self.trend);
        Needs {
            levels: factors.iter().filter(|_| two).map(|f| (f.clone(), 2)).collect(),
            turns: if self.turn { 2 } else { 1 },
            pairs: if whole { vec![] } else { factors.clone() },
            crossed: if whole { factors.clone() } else { vec![] },
            factors,
            ..Needs::default()
        }
    }
}

impl FromStr for Contrast {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut terms: Vec<&str> = text.split('×').flat_map(|part| part.split(" x ")).map(str::trim).collect();
        let turn = terms.len() > 1 && terms.last() == Some(&TURN);
        if turn {
            terms.pop();
        }
        let inside = |term: &str| Some(term.strip_prefix("trend(")?.strip_suffix(')')?.trim().to_string());
        let (trend, factors) = match terms[..] {
            [one] => inside(one).map_or((false, vec![one.to_string()]), |f| (true, vec![f])),
            [a, b] if a != b => (false, vec![a.to_string(), b.to_string()]),
            _ => (false, vec![]),
        };
        let named = |f: &String| !f.is_empty() && f != TURN && !f.contains(['(', ')']);
        if factors.is_empty() || !factors.iter().all(named) {
            return Err(format!("{text:?} is none of {FORMS}, as in \"completion × turn\""));
        }
        Ok(Self { factors, trend, turn })
    }
}

impl fmt::Display for Contrast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.trend {
            true => write!(f, "trend({})", self.first())?,
            false => f.write_str(&self.factors.join(" × "))?,
        }
        if self.turn { write!(f, " × {TURN}") } else { Ok(()) }
    }
}

impl Serialize for Contrast {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Contrast {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Contrast {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Contrast".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "description": format!("What is compared, written in factors: {FORMS}")})
    }
}

/// Which turns of a conversation are compared between levels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ComparedTurns {
    /// All turns that two compared conversations share.
    #[default]
    All,
    /// The last turn of each conversation, whichever it is.
    Last,
}

impl ComparedTurns {
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::All
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn its_forms_are_read_and_written() {
        let of = |text: &str| {
            let c: Contrast = text.parse().unwrap();
            (c.to_string(), c.factors().join(" "), c.is_trend(), c.by_turn())
        };
        let is = |text: &str, factors: &str, trend, turn| (text.to_string(), factors.to_string(), trend, turn);
        assert_eq!(of("completion × turn"), is("completion × turn", "completion", false, true));
        assert_eq!(of("completion x turn"), is("completion × turn", "completion", false, true));
        assert_eq!(of("max x min"), is("max × min", "max min", false, false));
        assert_eq!(of(" telling "), is("telling", "telling", false, false));
        assert_eq!(of("completion × tone x turn"), is("completion × tone × turn", "completion tone", false, true));
        assert_eq!(of("trend( politeness )"), is("trend(politeness)", "politeness", true, false));
        assert_eq!(of("trend(politeness) × turn"), is("trend(politeness) × turn", "politeness", true, true));
        for wrong in [
            "",
            "turn",
            "× turn",
            "a ×",
            "a × a",
            "turn × a",
            "turn × turn",
            "a × b × c",
            "a × b × c × turn",
            "a × turn × turn",
            "trend()",
            "trend(turn)",
            "trend(a) × b",
            "trend(a",
            "a × trend(b)",
            "a × a × turn",
        ] {
            let told = wrong.parse::<Contrast>().unwrap_err();
            assert!(told.contains("is none of `<factor> × turn`"), "{wrong}: {told}");
        }
    }

    #[test]
    fn what_it_needs_follows_from_its_form() {
        let of = |text: &str| text.parse::<Contrast>().unwrap().needs();
        let slope = of("a × turn");
        assert_eq!((slope.turns, slope.pairs.len(), slope.crossed.len(), slope.levels.len()), (2, 1, 0, 0));
        let three = of("a × b × turn");
        assert_eq!((three.turns, three.crossed.join(" "), three.levels.len()), (2, "a b".into(), 2));
        let trend = of("trend(a)");
        assert_eq!(
            (trend.turns, trend.pairs.len(), trend.crossed.join(" "), trend.levels.len()),
            (1, 0, "a".into(), 0)
        );
    }
}
