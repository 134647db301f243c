//! Which contrast is tested, and whether it is the one that the run's lock names.
use crate::values::{Course, Factor, reference};
use crate::wording::Wording;
use friction_core::contrast::by_numbers;
use friction_core::manifest::PrimarySection;
use friction_core::{Block, ComparedTurns, Contrast, Factors, Outcome, TurnRow};
use std::collections::BTreeMap;

/// The contrast that is tested, and what it is tested on.
#[derive(Debug, Clone)]
pub struct Question {
    /// What is compared between levels.
    pub contrast: Contrast,
    /// The level with which others are compared, if one is named.
    pub reference: Option<String>,
    /// The levels that are compared, by factor, in order; of factors that are not listed all are.
    pub levels: BTreeMap<String, Vec<String>>,
    /// Whether the levels of a trend are numbers, so that it is a slope per unit of these.
    pub numbers: bool,
    /// Whether it is the locked contrast.
    pub standing: Standing,
}

/// How a contrast stands to the one that the run's lock names.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is that one.
    Locked(Box<PrimarySection>),
    /// It departs from that one, as these phrases say.
    Departs(Box<PrimarySection>, Vec<String>),
    /// The lock names none.
    Unlocked,
}

impl Standing {
    /// The locked contrast, if this is it.
    pub fn locked(&self) -> Option<&PrimarySection> {
        match self {
            Self::Locked(primary) => Some(primary),
            _ => None,
        }
    }

    /// The word for programs and for people.
    pub fn word(&self) -> &'static str {
        if self.locked().is_some() { "confirmatory" } else { "exploratory" }
    }

    /// Sets the status of a block.
    pub fn mark<'b>(&self, block: &'b mut Block) -> &'b mut Block {
        match self {
            Self::Locked(_) => block.confirmatory(),
            _ => block.exploratory(),
        }
    }

    /// Why it is exploratory, and what to do about it.
    pub fn sentence(&self) -> Option<String> {
        match self {
            Self::Locked(_) => None,
            Self::Departs(primary, how) => Some(format!(
                "Exploratory: this departs from the primary contrast that the run's lock names ({}): {}",
                primary.words(),
                how.join("; ")
            )),
            Self::Unlocked => Some(
                "Exploratory: the run's lock names no primary contrast; a table `[primary]` in the manifest locks it before the first token"
                    .into(),
            ),
        }
    }
}

/// What the run's lock says of the contrast.
#[derive(Debug, Clone, Copy, Default)]
pub struct Locked<'a> {
    /// The contrast, if it names one.
    pub primary: Option<&'a PrimarySection>,
    /// Why it counts as named afterwards, if it was amended then.
    pub amended: Option<&'a str>,
}

/// What is read for the contrast: which may depart from the lock too.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The number of a turn that is compared.
    pub outcome: &'a Outcome,
    /// The first turn.
    pub first_turn: u32,
    /// Whether all shared turns or the last of each conversation are compared.
    pub turns: ComparedTurns,
}

impl Question {
    /// The question of a contrast of the analyzer's own, or else of the locked one. `reference` is the analyzer's own option.
    /// `rows` are all turns of the run, in the manifest's order.
    pub fn new(
        own: Option<Contrast>,
        reference: Option<&String>,
        Locked { primary: locked, amended }: Locked,
        read: Reading,
        rows: &[&TurnRow],
    ) -> Option<Self> {
        let contrast = own.or_else(|| Some(locked?.contrast.clone()))?;
        let same = locked.filter(|p| p.contrast == contrast);
        let levels = same.map(|p| p.levels.clone()).unwrap_or_default();
        let reference = reference.or(same.and_then(|p| p.reference.as_ref())).cloned();
        let mut out = Self { contrast, reference, levels, numbers: false, standing: Standing::Unlocked };
        out.numbers = out.contrast.is_trend() && by_numbers(&out.levels_of(out.contrast.first(), rows));
        if let Some(primary) = locked {
            let mut how = out.departures(primary, read, rows);
            how.extend(amended.map(String::from));
            let primary = Box::new(primary.clone());
            out.standing = if how.is_empty() { Standing::Locked(primary) } else { Standing::Departs(primary, how) };
        }
        Some(out)
    }

    /// How it departs from the locked contrast.
    fn departures(&self, locked: &PrimarySection, read: Reading, rows: &[&TurnRow]) -> Vec<String> {
        let mut out = vec![];
        if self.contrast != locked.contrast {
            out.push(format!("the contrast is {}, not {}", self.contrast, locked.contrast));
        }
        // A score that says what was found is the score of the manifest.
        if read.outcome.to_string() != locked.outcome.to_string() {
            out.push(format!("the outcome is {}, not {}", read.outcome, locked.outcome));
        }
        let first = locked.first_turn.unwrap_or(1);
        match (read.turns, locked.turns) {
            (ComparedTurns::All, ComparedTurns::All) if read.first_turn != first => {
                out.push(format!("turns are read from {} on, not from {first}", read.first_turn));
            }
            (ComparedTurns::Last, ComparedTurns::All) => out.push("only last turns are read".into()),
            (ComparedTurns::All, ComparedTurns::Last) => out.push("more than last turns are read".into()),
            _ => {}
        }
        if self.contrast == locked.contrast && !self.contrast.is_trend() {
            for factor in self.contrast.factors() {
                let levels = self.levels_of(factor, rows);
                let of = |wanted: Option<&String>| reference(&levels, wanted.map(String::as_str)).map(String::from);
                let (now, then) = (of(self.reference.as_ref()), of(locked.reference.as_ref()));
                if let (Some(now), Some(then)) = (&now, &then)
                    && now != then
                {
                    out.push(format!("levels are compared with {now}, not with {then}"));
                }
            }
        }
        out
    }

    /// The levels of a factor that are compared, in order.
    pub fn levels_of(&self, factor: &str, rows: &[&TurnRow]) -> Vec<String> {
        let there = Factor::Named(factor.into()).levels(rows);
        match self.levels.get(factor) {
            Some(listed) => listed.iter().filter(|l| there.contains(l)).cloned().collect(),
            None => there,
        }
    }

    /// Whether a conversation with these factors is compared.
    pub fn compares(&self, factors: &Factors) -> bool {
        self.levels.iter().all(|(f, all)| factors.get(f).is_none_or(|l| all.contains(l)))
    }

    /// The turns of conversations that are compared.
    pub fn rows<'r>(&self, all: &[&'r TurnRow]) -> Vec<&'r TurnRow> {
        all.iter().copied().filter(|t| self.compares(&t.factors)).collect()
    }

    /// The conversations that are compared.
    pub fn of(&self, courses: &[Course]) -> Vec<Course> {
        courses.iter().filter(|c| self.compares(&c.factors)).cloned().collect()
    }

    /// Its words.
    pub fn wording<'a>(&'a self, outcome: &'a Outcome) -> Wording<'a> {
        let expects = self.standing.locked().map(|p| p.direction);
        Wording { contrast: &self.contrast, outcome, numbers: self.numbers, expects }
    }
}
