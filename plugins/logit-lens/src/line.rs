//! The results of the lens for one site and one level of a factor, over its turns.
use friction_core::Site;
use friction_stats::{Interval, mean_t};
use std::collections::BTreeMap;

/// One turn, seen through the lens at one site.
pub struct Seen {
    /// The turn's group.
    pub group: u32,
    /// Index of the turn's level of the factor; `None` if it has no level of it.
    pub level: Option<usize>,
    /// Whether the likeliest letter is the right one.
    pub right: bool,
    /// Whether it is the answer given.
    pub same: bool,
    /// Log-probability of the right letter, normalised over the question's letters.
    pub log: f64,
}

/// The results for one site and one level.
pub struct Line {
    /// The site that the lens reads.
    pub site: Site,
    /// The factor's level; `all` without a factor.
    pub level: String,
    /// Percentage of turns in which the likeliest letter is the right one.
    pub right: Interval,
    /// Number of groups that the interval is over.
    pub groups: usize,
    /// Percentage of turns in which the likeliest letter is the given answer.
    pub same: f64,
    /// Mean log-probability of the right letter, normalised over the question's letters.
    pub log: f64,
}

/// The results of a site and a level over the turns that were seen; `None` without turns.
pub fn line(site: Site, level: &str, seen: Vec<&Seen>, confidence: f64) -> Option<Line> {
    let mut groups: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for s in &seen {
        let g = groups.entry(s.group).or_default();
        *g = (g.0 + f64::from(u8::from(s.right)), g.1 + 1.0);
    }
    let means: Vec<f64> = groups.values().map(|(r, n)| 100.0 * r / n).collect();
    let right = mean_t(&means, confidence).unwrap_or(Interval {
        estimate: means.first().copied().unwrap_or(f64::NAN),
        low: f64::NAN,
        high: f64::NAN,
    });
    let n = seen.len() as f64;
    (n > 0.0).then(|| Line {
        site,
        level: level.into(),
        right,
        groups: means.len(),
        same: 100.0 * seen.iter().filter(|s| s.same).count() as f64 / n,
        log: seen.iter().map(|s| s.log).sum::<f64>() / n,
    })
}
