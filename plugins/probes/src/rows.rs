//! A run's turns as rows of features: one row per conversation and turn.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_stats::Matrix;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What a probe reads out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
pub enum Target {
    /// A factor of the conditions.
    Factor(String),
    /// How many replies behind the turn the history holds cut: a number.
    Interruptions,
    /// Whether the answer to come is right.
    Correct,
}

impl From<String> for Target {
    fn from(s: String) -> Self {
        match s.as_str() {
            "interruptions" => Target::Interruptions,
            "correct" => Target::Correct,
            _ => Target::Factor(s),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Factor(name) => name,
            Target::Interruptions => "interruptions",
            Target::Correct => "correct",
        })
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone)]
pub struct Row {
    /// The stored turn.
    pub turn: TurnRow,
    /// Number of its conversation within the run, from 0.
    pub conversation: usize,
    /// The target's value: class index or number.
    pub y: f64,
}

/// The rows, with the names of their classes; no names for a number.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// The rows in the order of the run's turns.
    pub rows: Vec<Row>,
    /// Names of the classes 0, 1, …, in alphabetical order.
    pub classes: Vec<String>,
}

impl Rows {
    /// The rows of the untouched arm from turn `first` on whose factors have the levels of `only`.
    ///
    /// # Errors
    /// When no turn has the levels of `only`, or a factor has fewer than two levels.
    pub fn read(run: &dyn RunReader, target: &Target, first: u32, only: &BTreeMap<String, String>) -> Result<Self> {
        let turns: Vec<&TurnRow> = run.turns().iter().filter(|t| t.arm.is_empty() && t.has(only)).collect();
        if turns.is_empty() {
            return Err(Error::other(format!("no turn of the run has {only:?}")));
        }
        let classes: Vec<String> = match target {
            Target::Factor(name) => {
                let levels: BTreeSet<&String> = turns.iter().filter_map(|t| t.factors.get(name)).collect();
                if levels.len() < 2 {
                    return Err(Error::other(format!("a probe of `{name}` needs at least 2 levels of that factor")));
                }
                levels.into_iter().cloned().collect()
            }
            Target::Correct => vec!["wrong".into(), "right".into()],
            Target::Interruptions => vec![],
        };
        Ok(Self { rows: rows(&turns, target, first, &classes), classes })
    }

    /// The rows of another arm, with these rows' classes; the arm may run in conditions of one level only.
    pub fn of_arm(
        &self,
        run: &dyn RunReader,
        target: &Target,
        arm: &str,
        first: u32,
        only: &BTreeMap<String, String>,
    ) -> Self {
        let turns: Vec<&TurnRow> = run.turns().iter().filter(|t| t.arm == arm && t.has(only)).collect();
        Self { rows: rows(&turns, target, first, &self.classes), classes: self.classes.clone() }
    }

    /// The target of each row.
    pub fn y(&self) -> Vec<f64> {
        self.rows.iter().map(|r| r.y).collect()
    }

    /// Activations of the rows at a site, `[rows, width]`: the mean over the position's tokens. `None` if a
    /// conversation was not tapped there.
    pub fn features(&self, run: &dyn RunReader, site: Site, position: Position) -> Result<Option<Matrix>> {
        let mut taps: BTreeMap<usize, TapArray> = BTreeMap::new();
        let mut out = Matrix::default();
        for r in &self.rows {
            if let std::collections::btree_map::Entry::Vacant(e) = taps.entry(r.conversation) {
                let t = &r.turn;
                match run.tap(t.conversation(), site, position)? {
                    Some(a) => e.insert(a),
                    None => return Ok(None),
                };
            }
            let mean = taps.get(&r.conversation).and_then(|a| mean(a, r.turn.turn as usize - 1));
            let Some(mean) = mean else {
                let t = &r.turn;
                let turn = format!("turn {} of group {}, condition `{}`", t.turn, t.group, t.condition);
                return Err(Error::other(if t.has_token(position) {
                    format!("NaN at `{site}`, `{position}`, {turn}: the model's numbers were not finite there")
                } else {
                    format!("{turn} has no token at `{position}`: its reply is empty")
                }));
            };
            out.cols = mean.len();
            out.data.extend(mean);
        }
        Ok(Some(out))
    }
}

/// Turns as rows. The target is a class of `classes` or a number; turns of no such class are left out.
fn rows(turns: &[&TurnRow], target: &Target, first: u32, classes: &[String]) -> Vec<Row> {
    let mut conversations: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    let mut behind: BTreeMap<(u32, &str), u32> = BTreeMap::new();
    let mut out = vec![];
    for t in turns {
        let key = (t.group, t.condition.as_str());
        let next = conversations.len();
        let conversation = *conversations.entry(key).or_insert(next);
        let k = behind.entry(key).or_default();
        let y = match target {
            Target::Factor(name) => {
                let level = t.factors.get(name);
                classes.iter().position(|c| Some(c) == level).map(|i| i as f64)
            }
            Target::Interruptions => Some(f64::from(*k)),
            Target::Correct => Some(f64::from(u8::from(t.right() == Some(true)))),
        };
        *k += u32::from(t.removed_tokens > 0);
        if let Some(y) = y.filter(|_| t.turn >= first) {
            out.push(Row { turn: (*t).clone(), conversation, y });
        }
    }
    out
}

/// Mean over those positions of a turn whose values are finite.
fn mean(a: &TapArray, turn: usize) -> Option<Vec<f64>> {
    let [turns, positions, width] = a.shape;
    if turn >= turns {
        return None;
    }
    let mut sum = vec![0.0; width];
    let mut n = 0;
    for p in 0..positions {
        let row = &a.data[(turn * positions + p) * width..][..width];
        if row.iter().all(|v| v.is_finite()) {
            sum.iter_mut().zip(row).for_each(|(s, v)| *s += f64::from(*v));
            n += 1;
        }
    }
    (n > 0).then(|| sum.into_iter().map(|s| s / f64::from(n)).collect())
}
