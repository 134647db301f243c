//! Latin squares in which each symbol follows each other symbol equally often (Williams 1949, Aust. J. Sci. Res. A 2).
//!
//! Row i of the square of n symbols is 0, 1, n − 1, 2, n − 2, … plus i, modulo n. Where n is even, the differences of
//! neighbours are all different, so that each ordered pair of symbols stands once in the square. Where n is odd, each
//! pair stands twice in the square and its mirror image together.
use friction_core::seed;

/// Draws of an order that avoids a symbol twice running before it is constructed. One draw in three succeeds at least.
const TRIES: u64 = 64;

/// The symbol at a column of row 0.
fn zigzag(n: usize, column: usize) -> usize {
    if column.is_multiple_of(2) { (n - column / 2) % n } else { column.div_ceil(2) }
}

/// The square of `n` consecutive groups. Its rows go to the groups in a drawn order and its symbols stand for the topics
/// in a drawn order, the same in a square and its mirror image. Where there are more than `n` turns, another square,
/// drawn so that no topic stands twice running, follows it.
pub(crate) struct Block {
    n: usize,
    turns: usize,
    mirrored: bool,
    /// By round, the topic of each symbol.
    topics: Vec<Vec<usize>>,
    /// By round, the row of each group.
    rows: Vec<Vec<usize>>,
}

impl Block {
    /// Draws square number `at` of the study, from 0, for `n` topics, at least 1.
    pub fn new(n: usize, turns: usize, study: u64, at: u64) -> Self {
        let odd = !n.is_multiple_of(2);
        // A square and its mirror image share the symbols' meaning, or else their pairs would not add up.
        let (mirrored, pair) = if odd { (at % 2 == 1, at / 2) } else { (false, at) };
        let mut block = Self { n, turns, mirrored, topics: vec![], rows: vec![] };
        let draw = |what: &[u8], at: u64, round: u64, attempt: u64| {
            let parts = [study, at, round, attempt].map(u64::to_le_bytes);
            seed::permutation(n, seed::derive(&[b"balanced", what, &parts[0], &parts[1], &parts[2], &parts[3]]))
        };
        for round in 0..turns.div_ceil(n) as u64 {
            block.topics.push(draw(b"topics", pair, round, 0));
            let rows = (0..TRIES).map(|attempt| draw(b"rows", at, round, attempt)).find(|rows| block.follows(rows));
            let rows = rows.unwrap_or_else(|| block.following());
            block.rows.push(rows);
        }
        block
    }

    /// The topic at a column of a row of a round's square.
    fn cell(&self, round: usize, row: usize, column: usize) -> usize {
        let column = if self.mirrored { self.n - 1 - column } else { column };
        self.topics[round][(zigzag(self.n, column) + row) % self.n]
    }

    /// The topic with which each group of the block ends the last whole round; `None` before the first.
    fn ends(&self) -> Option<Vec<usize>> {
        let round = self.rows.len().checked_sub(1)?;
        Some(self.rows[round].iter().map(|row| self.cell(round, *row, self.n - 1)).collect())
    }

    /// Whether no group begins a round of these rows with the topic that ended its last one. One topic alone must follow
    /// itself.
    fn follows(&self, rows: &[usize]) -> bool {
        let Some(ends) = self.ends().filter(|_| self.n > 1) else { return true };
        rows.iter().zip(ends).all(|(row, end)| self.cell(self.rows.len(), *row, 0) != end)
    }

    /// Rows of which each begins with the topic behind the one that ended the group's last round. Topics at both places
    /// are all different, so each row is taken once.
    fn following(&self) -> Vec<usize> {
        let round = self.rows.len();
        let mut starting = vec![0; self.n];
        (0..self.n).for_each(|row| starting[self.cell(round, row, 0)] = row);
        self.ends().unwrap_or_default().iter().map(|end| starting[(end + 1) % self.n]).collect()
    }

    /// The topics of the block's group number `place`, from 0 to below `n`.
    pub fn row(&self, place: usize) -> Vec<usize> {
        (0..self.turns)
            .map(|turn| (turn / self.n, turn % self.n))
            .map(|(r, c)| self.cell(r, self.rows[r][place], c))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeMap;

    /// Rows of whole squares.
    fn rows(n: usize, turns: usize, seed: u64, squares: u64) -> Vec<Vec<usize>> {
        (0..squares).flat_map(|at| (0..n).map(|p| Block::new(n, turns, seed, at).row(p)).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn row_0_is_williams() {
        assert_eq!((0..6).map(|c| zigzag(6, c)).collect::<Vec<_>>(), [0, 1, 5, 2, 4, 3]);
        assert_eq!((0..5).map(|c| zigzag(5, c)).collect::<Vec<_>>(), [0, 1, 4, 2, 3]);
    }

    #[test]
    fn each_topic_follows_each_other_equally_often() {
        for n in 2..=15 {
            let squares = 1 + n as u64 % 2;
            for seed in 0..4 {
                let mut pairs: BTreeMap<(usize, usize), u64> = BTreeMap::new();
                for row in rows(n, n, seed, squares) {
                    row.windows(2).for_each(|w| *pairs.entry((w[0], w[1])).or_default() += 1);
                }
                assert_eq!(pairs.len(), n * (n - 1), "{n}");
                assert!(pairs.values().all(|k| *k == squares), "{n}: {pairs:?}");
            }
        }
    }

    #[test]
    fn what_is_constructed_avoids_a_topic_twice_running() {
        for n in 2..=9 {
            for at in 0..6 {
                let mut block = Block::new(n, n, 5, at);
                block.topics.push(seed::permutation(n, at + 100));
                let rows = block.following();
                let mut sorted = rows.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..n).collect::<Vec<_>>());
                assert!(block.follows(&rows));
            }
        }
    }
}
