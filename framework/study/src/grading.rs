//! Grades replies, and checks before a run that the table `[grade]` can grade them.
use crate::lists::PlannedItem;
use friction_core::manifest::{Issues, Manifest, Path};
use friction_core::{Dataset, Grade, Grader, Item, Result, plural};

/// Grades a reply by the table `[grade]` if there is one, and otherwise by the dataset.
///
/// # Errors
/// If the dataset fails.
pub(crate) fn grade(dataset: &dyn Dataset, grader: Option<&Grader>, item: &Item, reply: &str) -> Result<Grade> {
    match grader {
        Some(grader) => Ok(grader.grade(item, reply)),
        None => dataset.grade(item, reply),
    }
}

/// The grader of a manifest's table `[grade]`; `None` if there is no such table.
///
/// # Errors
/// If a regular expression is wrong.
pub(crate) fn grader(m: &Manifest) -> Result<Option<Grader>> {
    m.grade.as_ref().map(Grader::new).transpose()
}

/// Refuses a table `[grade]` that can grade none of the items of the first groups, and warns if it cannot grade some.
pub(crate) fn check(
    m: &Manifest,
    grader: &Grader,
    groups: &[Vec<PlannedItem>],
    issues: &mut Issues,
    warnings: &mut Issues,
) {
    let Some(section) = &m.grade else { return };
    let items = || groups.iter().flatten().map(|p| &p.item);
    let faults: Vec<(&str, String)> = items().filter_map(|i| Some((i.id.as_str(), grader.fault(i)?))).collect();
    let Some((id, fault)) = faults.first() else { return };
    let (path, kind, n) = (Path::default().key("grade").key("kind"), section.kind.word(), items().count());
    if faults.len() == n {
        let message =
            format!("`kind = \"{kind}\"` can score no reply: of the first {} `{id}` {fault}", plural(n, "item"));
        let help = "choose another kind, give the items what it compares with, or leave `[grade]` out";
        issues.push(path, message, Some(help.into()));
    } else {
        let (some, of) = (faults.len(), plural(n, "item"));
        let message = format!("`kind = \"{kind}\"` cannot score replies to {some} of the first {of}: `{id}` {fault}");
        warnings.push(path, message, None);
    }
}

/// Which metrics grades may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Metrics {
    /// Names of the metrics that a grade may have; it has no others.
    Known(Vec<String>),
    /// The dataset grades, and does not say.
    Untold,
}

impl Metrics {
    /// Those of the table `[grade]` if there is one, and otherwise of the dataset.
    pub fn of(dataset: &dyn Dataset, grader: Option<&Grader>) -> Self {
        let named = |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        grader.map(|g| named(g.metrics())).or_else(|| dataset.metrics()).map_or(Self::Untold, Self::Known)
    }
}

/// What turns about items have to offer to analyzers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offered {
    /// Whether a reply gets a score.
    pub scored: bool,
    /// Whether a choice is right, so that it has log-odds.
    pub odds: bool,
}

impl Offered {
    /// What the items of the first groups offer: whether any of them does.
    pub fn by(dataset: &dyn Dataset, grader: Option<&Grader>, groups: &[Vec<PlannedItem>]) -> Self {
        let any = |f: &dyn Fn(&Item) -> bool| groups.iter().flatten().any(|p| f(&p.item));
        // A dataset that fails here fails in the run, with its own error.
        let scored = |i: &Item| grade(dataset, grader, i, "A").map_or(true, |g| g.score.is_some());
        Self { scored: any(&scored), odds: any(&|i| i.right().is_some() && i.choices.len() > 1) }
    }
}
