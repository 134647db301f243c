//! How often an analysis errs, as `experiments/calibration` measured it on studies in which the truth is known.
use std::fmt;

/// A table of measured error rates: tab-separated lines, the first of which names the columns. The first six columns are
/// `outcome`, `analysis`, `finding`, `what`, `studies` and `count`.
#[derive(Debug, Clone, Copy)]
pub struct Rates<'a> {
    table: &'a str,
}

/// What most rates were measured on.
pub const NULL_STUDIES: &str = "small studies of a model organism without an effect";

/// What is said of an outcome for which no rates were measured.
pub const ACCURACY_ALONE: &str = "error rates were measured for accuracy alone";

/// In how many of how many studies something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Number of studies in which it happened.
    pub count: u64,
    /// Number of studies.
    pub studies: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.count, self.studies)
    }
}

impl<'a> Rates<'a> {
    /// The rates of a table's text.
    pub const fn new(table: &'a str) -> Self {
        Self { table }
    }

    /// The rate of one row: `what` is `p` (at or below 0.05), `interval` (contains the truth), `verdict` (reached) or
    /// `not reached`. `None` where the table has no such row.
    pub fn of(&self, outcome: &str, analysis: &str, finding: &str, what: &str) -> Option<Count> {
        self.table.lines().skip(1).find_map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let [o, a, f, w, studies, count, ..] = cells[..] else { return None };
            let same = [o, a, f, w] == [outcome, analysis, finding, what];
            same.then(|| Some(Count { count: count.parse().ok()?, studies: studies.parse().ok()? }))?
        })
    }

    /// How often `analysis` errs, as a sentence without a full stop. `studies` says on what it was measured. Each of `without`
    /// is an outcome without an effect, a finding, and what is counted of it ([`Rates::of`]); `exactly` is an outcome with an
    /// effect of the smallest size of interest, an analysis, and a finding that should not be "not reached". Rows that the
    /// table does not have are left out; `None` if it has none of them.
    pub fn sentence(
        &self,
        studies: &str,
        analysis: &str,
        without: &[(&str, &str, &str)],
        exactly: Option<(&str, &str, &str)>,
    ) -> Option<String> {
        let mut parts: Vec<String> = without
            .iter()
            .filter_map(|(outcome, finding, what)| {
                let n = self.of(outcome, analysis, finding, what)?;
                Some(match *what {
                    "p" => format!("p ≤ 0.05 in {n}"),
                    "interval" => format!("the truth in the 95 % interval in {n}"),
                    "verdict" => format!("reached in {n}"),
                    other => format!("{other} in {n}"),
                })
            })
            .collect();
        if let Some((outcome, analysis, finding)) = exactly {
            let n = self.of(outcome, analysis, finding, "not reached");
            parts.extend(n.map(|n| format!("at exactly the smallest size of interest not reached in {n}")));
        }
        (!parts.is_empty()).then(|| format!("error rates, measured on {studies}: {}", parts.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "outcome\tanalysis\tfinding\twhat\tstudies\tcount\tpromised\n\
                         coin\tbehavior\tprimary\tp\t100\t4\t0.05\n\
                         coin\tbehavior\tverdict\tverdict\t100\t0\t0.05\n\
                         slope\tprimary-slope\tverdict\tnot reached\t1000\t41\t0.05\n\
                         broken\n";

    #[test]
    fn rows_are_found_by_all_four_names() {
        let rates = Rates::new(TABLE);
        assert_eq!(rates.of("coin", "behavior", "primary", "p"), Some(Count { count: 4, studies: 100 }));
        assert_eq!(rates.of("coin", "behavior", "primary", "interval"), None);
        assert_eq!(rates.of("outcome", "analysis", "finding", "what"), None);
    }

    #[test]
    fn a_sentence_tells_what_the_table_has() {
        let rates = Rates::new(TABLE);
        let without = [("coin", "primary", "p"), ("coin", "primary", "interval"), ("coin", "verdict", "verdict")];
        let exactly = Some(("slope", "primary-slope", "verdict"));
        assert_eq!(
            rates.sentence("studies", "behavior", &without, exactly).as_deref(),
            Some(
                "error rates, measured on studies: p ≤ 0.05 in 4 of 100, reached in 0 of 100, at exactly the smallest size of interest not reached in 41 of 1000"
            )
        );
        assert_eq!(rates.sentence("studies", "other", &without, None), None);
    }
}
