//! A run's turns as rows of features: one row per conversation and turn.
use crate::target::Target;
use friction_core::{ConversationId, Error, Outcome, Position, Result, RunReader, Site, TapArray, TurnRow, plural};
use friction_stats::Matrix;
use std::collections::{BTreeMap, BTreeSet};

/// One turn of a conversation.
#[derive(Debug, Clone)]
pub struct Row {
    /// The stored turn.
    pub turn: TurnRow,
    /// The target's value: class index or number.
    pub y: f64,
}

/// Which turns become rows.
#[derive(Debug, Clone, Copy)]
pub struct Choice<'a> {
    /// What is read out.
    pub target: &'a Target,
    /// First turn that enters, from 1.
    pub first_turn: u32,
    /// Levels of factors that a turn must have.
    pub only: &'a BTreeMap<String, String>,
    /// Tokens that are read.
    pub position: Position,
}

/// The rows, with the names of their classes; no names for a number.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The rows in the order of the run's turns.
    pub rows: Vec<Row>,
    /// Names of the classes 0, 1, …: the levels in alphabetical order.
    pub classes: Vec<String>,
    /// Sentences about turns that were left out.
    pub left_out: Vec<String>,
}

impl Rows {
    /// The rows of the untouched arm that `choice` names.
    ///
    /// # Errors
    /// When no turn has the levels of `only`, a factor has fewer than two levels, or no turn has the outcome.
    pub fn read(run: &dyn RunReader, choice: &Choice) -> Result<Self> {
        let turns = of_arm(run, choice, "");
        if turns.is_empty() {
            return Err(Error::other(match run.turns().iter().any(|t| t.arm.is_empty()) {
                true => format!("no turn of the run has {:?}", choice.only),
                false => "the run has no untouched conversation: the probe learns from those alone".into(),
            }));
        }
        let classes: Vec<String> = match choice.target {
            Target::Factor(name) => {
                let levels: BTreeSet<&String> = turns.iter().filter_map(|t| t.factors.get(name)).collect();
                if levels.len() < 2 {
                    return Err(Error::other(format!("a probe of `{name}` needs at least 2 levels of that factor")));
                }
                levels.into_iter().cloned().collect()
            }
            Target::Outcome(outcome) => {
                let entered = turns.iter().filter(|t| t.turn >= choice.first_turn);
                let values: Vec<f64> = entered.filter_map(|t| t.outcome(outcome)).collect();
                if values.is_empty() {
                    return Err(Error::other(format!(
                        "no turn from {} on has the outcome `{outcome}`: there is nothing to read out",
                        choice.first_turn
                    )));
                }
                if yes_or_no(outcome, &values) { outcome_classes(outcome) } else { vec![] }
            }
            Target::Interruptions => vec![],
        };
        Ok(rows(&turns, choice, classes))
    }

    /// The rows of another arm, with these rows' classes; the arm may run in conditions of one level only.
    pub fn of_arm(&self, run: &dyn RunReader, choice: &Choice, arm: &str) -> Self {
        rows(&of_arm(run, choice, arm), choice, self.classes.clone())
    }

    /// The target of each row.
    pub fn y(&self) -> Vec<f64> {
        self.rows.iter().map(|r| r.y).collect()
    }

    /// Activations of the rows at a site, `[rows, width]`: the mean over the position's tokens. `None` if a
    /// conversation was not tapped there.
    pub fn features(&self, run: &dyn RunReader, site: Site, position: Position) -> Result<Option<Matrix>> {
        // Rows of a conversation follow each other, and one conversation's activations may be large.
        let mut open: Option<(ConversationId, TapArray)> = None;
        let mut out = Matrix::default();
        for Row { turn: t, .. } in &self.rows {
            let of = t.conversation();
            if open.as_ref().is_none_or(|(id, _)| *id != of) {
                let Some(tap) = run.tap(of, site, position)? else { return Ok(None) };
                open = Some((of, tap));
            }
            let Some((_, tap)) = &open else { continue };
            let place = || {
                let sample = if t.sample > 0 { format!(", sample {}", t.sample) } else { String::new() };
                format!("turn {} of group {}, condition `{}`{sample}", t.turn, t.group, t.condition)
            };
            let Some(tokens) = tap.tokens(t.turn) else {
                let stored = plural(tap.shape[0], "turn");
                return Err(Error::other(format!("the tap of `{site}` holds {stored}, without {}", place())));
            };
            if tokens.is_empty() || tokens.iter().any(|row| !row.iter().all(|v| v.is_finite())) {
                return Err(Error::other(format!(
                    "NaN at `{site}`, `{position}`, {}: the model's numbers were not finite there",
                    place()
                )));
            }
            let mut sum = vec![0.0; tokens[0].len()];
            tokens.iter().for_each(|row| sum.iter_mut().zip(*row).for_each(|(s, v)| *s += f64::from(*v)));
            out.cols = sum.len();
            out.data.extend(sum.into_iter().map(|s| s / tokens.len() as f64));
        }
        Ok(Some(out))
    }
}

fn of_arm<'a>(run: &'a dyn RunReader, choice: &Choice, arm: &str) -> Vec<&'a TurnRow> {
    run.turns().iter().filter(|t| t.arm == arm && t.has(choice.only)).collect()
}

/// Whether the values are classes: 0 or 1 alone, of an outcome that may be a yes or no.
fn yes_or_no(outcome: &Outcome, values: &[f64]) -> bool {
    !matches!(outcome, Outcome::LogOdds | Outcome::LogOddsShifted | Outcome::ReplyTokens)
        && values.iter().all(|v| *v == 0.0 || *v == 1.0)
}

fn outcome_classes(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Score => ["wrong", "right"],
        Outcome::Match => ["no match", "a match"],
        Outcome::Answered => ["no answer", "an answer"],
        _ => ["0", "1"],
    }
    .map(String::from)
    .to_vec()
}

/// Turns as rows. The target is a class of `classes` or a number; turns that have none, and turns without a token at the
/// position, are left out.
fn rows(turns: &[&TurnRow], choice: &Choice, classes: Vec<String>) -> Rows {
    let mut behind: BTreeMap<ConversationId, u32> = BTreeMap::new();
    let mut out = vec![];
    let (mut entered, mut valueless, mut empty) = (0, 0, 0);
    for t in turns {
        let cut = behind.entry(t.conversation()).or_default();
        let y = match choice.target {
            Target::Factor(name) => {
                let level = t.factors.get(name);
                classes.iter().position(|c| Some(c) == level).map(|i| i as f64)
            }
            Target::Interruptions => Some(f64::from(*cut)),
            Target::Outcome(outcome) => {
                let value = t.outcome(outcome);
                if classes.is_empty() { value } else { value.map(|v| f64::from(u8::from(v >= 0.5))) }
            }
        };
        *cut += u32::from(t.removed_tokens > 0);
        if t.turn < choice.first_turn {
            continue;
        }
        entered += 1;
        match y {
            None => valueless += 1,
            Some(_) if !t.has_token(choice.position) => empty += 1,
            Some(y) => out.push(Row { turn: (*t).clone(), y }),
        }
    }
    let mut left_out = vec![];
    if let Target::Outcome(outcome) = choice.target {
        left_out.extend(outcome.left_out(valueless, entered));
    }
    if empty > 0 {
        let (all, at) = (plural(entered, "turn"), choice.position);
        left_out
            .push(format!("{empty} of {all} have no token at `{at}`, because the reply is empty, and are left out"));
    }
    Rows { rows: out, classes, left_out }
}
