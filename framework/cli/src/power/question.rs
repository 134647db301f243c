//! The question whose size is planned: which conditions the primary contrast adds and which it subtracts.
use friction_core::manifest::{Direction, Manifest, PrimarySection};
use friction_core::{ComparedTurns, Factors, Outcome, other_factors};
use friction_stats::power::{Cell, Design, Measure};
use std::collections::BTreeMap;

/// A primary contrast as a design that can be simulated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// How it is written: `completion × turn`.
    pub words: String,
    /// The levels: "`interrupt` against `complete`".
    pub levels: String,
    /// Number of pairs of conditions in a group.
    pub pairs: usize,
    /// Number of levels that are compared with the reference; one of them is simulated.
    pub comparisons: usize,
    /// The conditions of `design.cells`: indices into the manifest's.
    pub cells: Vec<usize>,
    /// The design, with the usual assumptions.
    pub design: Design,
}

/// Two-sided size of the primary test; of several comparisons, of all together.
const ALPHA: f64 = 0.05;

/// What a primary contrast compares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comparison {
    /// How it is written, such as `completion × turn`.
    pub words: String,
    /// The factors whose levels are compared: one, or two for a difference of differences.
    pub factors: Vec<String>,
    /// Whether slopes of the outcome on the turn are compared, not means.
    pub by_turn: bool,
    /// The number of a turn that is compared: a share, or it cannot be simulated.
    pub outcome: Outcome,
    /// First turn that is compared, from 1.
    pub first_turn: u32,
    /// Whether of each conversation the last turn alone is compared.
    pub last_turn: bool,
    /// The level with which others are compared, if it is named.
    pub reference: Option<String>,
    /// Whether the compared level is expected to be above the reference, and not below it.
    pub rises: bool,
}

impl From<&PrimarySection> for Comparison {
    fn from(p: &PrimarySection) -> Self {
        Self {
            words: p.contrast.to_string(),
            factors: p.contrast.factors().to_vec(),
            by_turn: p.contrast.by_turn(),
            outcome: p.outcome.clone(),
            first_turn: p.first_turn.unwrap_or_else(|| p.contrast.first_turn()),
            last_turn: p.turns == ComparedTurns::Last,
            reference: p.reference.clone(),
            rises: p.direction == Direction::Rises,
        }
    }
}

/// The primary contrast, or why it cannot be simulated, whatever the number of turns is.
pub(crate) fn possible(m: &Manifest) -> Result<&PrimarySection, String> {
    let Some(primary) = &m.primary else {
        return Err("the manifest names no primary contrast: add a table `[primary]`".into());
    };
    if primary.contrast.is_trend() {
        return Err(format!("`{}` is a trend, and what is simulated is a difference between levels", primary.contrast));
    }
    shares(&primary.contrast.to_string(), &primary.outcome)?;
    Ok(primary)
}

/// Refuses outcomes that are no shares.
fn shares(words: &str, outcome: &Outcome) -> Result<(), String> {
    match outcome.is_share() {
        true => Ok(()),
        false => {
            let label = outcome.label();
            Err(format!("`{words}` compares {label}, and what is simulated is right and wrong replies"))
        }
    }
}

/// The question of the manifest's primary contrast, or why there is none. `turns` is the number of turns of a
/// conversation.
pub(crate) fn of_manifest(m: &Manifest, turns: usize) -> Result<Question, String> {
    let primary = possible(m)?;
    let compared = |f: &Factors| {
        primary.levels.iter().all(|(factor, levels)| f.get(factor).is_none_or(|level| levels.contains(level)))
    };
    // A condition that is not compared keeps its place, without factors.
    let none = Factors::new();
    let all = m.conditions.iter().map(|c| if compared(&c.factors) { &c.factors } else { &none });
    of(&all.collect::<Vec<_>>(), &Comparison::from(primary), turns as u32, m.study.samples)
}

/// A comparison over conditions with these factors.
pub(crate) fn of(conditions: &[&Factors], c: &Comparison, turns: u32, samples: usize) -> Result<Question, String> {
    shares(&c.words, &c.outcome)?;
    let first = if c.last_turn { turns } else { c.first_turn.max(1) };
    if first > turns || c.by_turn && first == turns {
        return Err(format!("`{}` compares turns from {first} on, and conversations have {turns}", c.words));
    }
    let (cells, comparisons, levels) = match &c.factors[..] {
        [factor] => simple(conditions, factor, c)?,
        [one, other] => crossed(conditions, one, other, c)?,
        _ => return Err(format!("`{}` compares no factor", c.words)),
    };
    let measure = if c.by_turn { Measure::Slope } else { Measure::Mean };
    let pairs = cells.iter().filter(|(_, cell)| cell.moved).count();
    let (cells, design): (Vec<usize>, Vec<Cell>) = cells.into_iter().unzip();
    let design = Design {
        cells: design,
        samples,
        alpha: ALPHA / comparisons as f64,
        rises: c.rises,
        ..Design::pairs(0, measure, (first, turns))
    };
    Ok(Question { words: c.words.clone(), levels, pairs, comparisons, cells, design })
}

/// A condition's index and its part in the contrast.
type Part = (usize, Cell);

fn part(condition: usize, added: bool, moved: bool) -> Part {
    (condition, Cell { added, moved, drift: 0.0 })
}

/// The level with which others are compared, and those: the named one; else of two levels the first in the alphabet, of
/// more that of the first condition.
fn reference(conditions: &[&Factors], factor: &str, wanted: Option<&str>) -> Result<(String, Vec<String>), String> {
    let mut levels: Vec<&String> = vec![];
    for level in conditions.iter().filter_map(|f| f.get(factor)) {
        if !levels.contains(&level) {
            levels.push(level);
        }
    }
    let first = if levels.len() == 2 { levels.iter().min() } else { levels.first() };
    let named = levels.iter().find(|l| Some(l.as_str()) == wanted);
    let Some(reference) = named.or(first).filter(|_| levels.len() > 1) else {
        return Err(format!("the conditions carry fewer than two levels of factor `{factor}`"));
    };
    let others = levels.iter().filter(|l| *l != reference).map(|l| l.to_string()).collect();
    Ok((reference.to_string(), others))
}

/// Conditions that agree in all factors but these, with their levels of these.
fn alike<'a>(conditions: &[&'a Factors], but: &[&str]) -> BTreeMap<Factors, Vec<(Vec<&'a str>, usize)>> {
    let mut out: BTreeMap<Factors, Vec<(Vec<&str>, usize)>> = BTreeMap::new();
    for (i, factors) in conditions.iter().enumerate() {
        let own = but.iter().map(|f| factors.get(*f).map_or("", String::as_str)).collect();
        out.entry(other_factors(factors, but)).or_default().push((own, i));
    }
    out
}

/// The one condition of a cell with these levels.
fn alone(cell: &[(Vec<&str>, usize)], levels: &[&str]) -> Option<usize> {
    let mut with = cell.iter().filter(|(own, _)| own == levels).map(|(_, i)| *i);
    with.next().filter(|_| with.next().is_none())
}

/// One level against the reference, in each pair of conditions that agree in every other factor. Of several levels, the
/// one with the fewest pairs.
fn simple(conditions: &[&Factors], factor: &str, c: &Comparison) -> Result<(Vec<Part>, usize, String), String> {
    let (a, others) = reference(conditions, factor, c.reference.as_deref())?;
    let cells = alike(conditions, &[factor]);
    let pairs = |b: &str| -> Vec<Part> {
        let both = cells.values().filter_map(|cell| Some((alone(cell, &[a.as_str()])?, alone(cell, &[b])?)));
        both.flat_map(|(x, y)| [part(x, false, false), part(y, true, true)]).collect()
    };
    let paired: Vec<(&String, Vec<Part>)> =
        others.iter().map(|b| (b, pairs(b))).filter(|(_, pairs)| !pairs.is_empty()).collect();
    let comparisons = paired.len();
    match paired.into_iter().min_by_key(|(_, pairs)| pairs.len()) {
        Some((b, pairs)) => Ok((pairs, comparisons, format!("`{b}` against `{a}`"))),
        None => Err(format!("no two conditions differ in `{factor}` alone")),
    }
}

/// The difference of differences of two factors, in each four conditions that agree in every other factor.
fn crossed(
    conditions: &[&Factors],
    one: &str,
    other: &str,
    c: &Comparison,
) -> Result<(Vec<Part>, usize, String), String> {
    let wanted = c.reference.as_deref();
    let ((a, b), (x, y)) = (reference(conditions, one, wanted)?, reference(conditions, other, wanted)?);
    let ([b], [y]) = (&b[..], &y[..]) else {
        return Err(format!("`{}` compares two levels of each factor, and there are more", c.words));
    };
    let cells = alike(conditions, &[one, other]);
    let fours = cells.values().filter_map(|cell| {
        let at = |p: &str, q: &str| alone(cell, &[p, q]);
        Some([
            part(at(b, y)?, true, true),
            part(at(&a, &x)?, true, false),
            part(at(&a, y)?, false, false),
            part(at(b, &x)?, false, false),
        ])
    });
    let parts: Vec<Part> = fours.flatten().collect();
    if parts.is_empty() {
        return Err(format!("no four conditions differ in `{one}` and `{other}` alone"));
    }
    Ok((parts, 1, format!("`{b}` against `{a}`, at `{y}` against `{x}`")))
}

/// Sets drifts: a number for all conditions, or `<condition>=<number>` for one, which replaces that of all.
pub(crate) fn drift(question: &mut Question, names: &[&str], drifts: &[String]) -> Result<(), String> {
    let mut all: BTreeMap<Option<usize>, f64> = BTreeMap::new();
    for text in drifts {
        let (name, number) = text.rsplit_once('=').map_or((None, text.as_str()), |(n, v)| (Some(n), v));
        let Some(points) = number.trim().parse().ok().filter(|v: &f64| v.is_finite()) else {
            return Err(format!("--drift {text}: write points per turn, as in -0.2, or CONDITION=-0.2"));
        };
        let known = |name| names.iter().position(|n| *n == name);
        let at = match name.map(|name| (name, known(name))) {
            None => None,
            Some((name, None)) => {
                let known = names.join(", ");
                return Err(format!("--drift {text}: there is no condition `{name}`; there are {known}"));
            }
            Some((name, Some(at))) if !question.cells.contains(&at) => {
                return Err(format!("--drift {text}: the contrast does not read the condition `{name}`"));
            }
            Some((_, at)) => at,
        };
        if all.insert(at, points).is_some() {
            return Err(format!("--drift {text}: it is given twice"));
        }
    }
    for (condition, cell) in question.cells.iter().zip(&mut question.design.cells) {
        let points = all.get(&Some(*condition)).or_else(|| all.get(&None));
        cell.drift = points.copied().unwrap_or(cell.drift);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
