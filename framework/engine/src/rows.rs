//! Rows of logits that the host looks at: to draw from them, to score given tokens, or to find what is not finite.
use crate::finite;
use crate::sampling::Sampling;
use burn::tensor::Tensor;
use friction_model::model::floats;
use std::thread;

/// Largest number of rows that one copy from the device brings. The copy has to be waited for, so few large ones are
/// faster than many small ones; this many rows of a vocabulary of 262,144 take 64 MiB.
pub(crate) const COPIED: usize = 64;

/// The random number that a row's token is drawn with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    /// Seed of the turn.
    pub seed: u64,
    /// Index of the token in the reply, from 0.
    pub index: usize,
}

/// A row of logits on the host.
pub(crate) struct Row {
    /// The logits, one for each token of the vocabulary.
    pub logits: Vec<f32>,
    /// The token that was drawn from them; `None` where none was asked for, or where the logits give no probabilities.
    pub drawn: Option<u32>,
}

/// Copies rows of `logits`, `[rows, vocabulary]`, to the host in one go, and draws a token from each that has a
/// [`Draw`]. `wanted` holds indices of rows, ascending.
pub(crate) fn read(logits: &Tensor<2>, wanted: &[(usize, Option<Draw>)], sampling: Sampling) -> Vec<Row> {
    let (Some((first, _)), Some((last, _))) = (wanted.first(), wanted.last()) else { return vec![] };
    let rows = if last - first + 1 == wanted.len() {
        logits.clone().narrow(0, *first, wanted.len())
    } else {
        let at: Vec<i32> = wanted.iter().map(|(row, _)| *row as i32).collect();
        logits.clone().select(0, Tensor::from_ints(at.as_slice(), &logits.device()))
    };
    let width = rows.dims()[1];
    let values = floats(&rows.into_data());
    let mut out: Vec<Row> = values.chunks(width).map(|row| Row { logits: row.to_vec(), drawn: None }).collect();
    let draw = |row: &mut Row, draw: Option<Draw>| {
        let draw = draw.filter(|_| finite::proper(&row.logits));
        row.drawn = draw.map(|Draw { seed, index }| sampling.draw(&row.logits, seed, index));
    };
    let threads = thread::available_parallelism().map_or(1, usize::from).min(out.len());
    if sampling.greedy() || threads == 1 {
        out.iter_mut().zip(wanted).for_each(|(row, (_, d))| draw(row, *d));
        return out;
    }
    let share = out.len().div_ceil(threads);
    thread::scope(|scope| {
        for (rows, wanted) in out.chunks_mut(share).zip(wanted.chunks(share)) {
            scope.spawn(move || rows.iter_mut().zip(wanted).for_each(|(row, (_, d))| draw(row, *d)));
        }
    });
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Rows together, apart and alone give the logits and the token that the row itself gives.
    #[test]
    fn each_row_is_its_own() {
        let (rows, width) = (11, 300);
        let values: Vec<f32> = (0..rows * width).map(|i| ((i * 7919 % 1009) as f32 / 100.0).sin() * 6.0).collect();
        let device = Default::default();
        let logits = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([rows, width]);
        let sampling = Sampling { temperature: 0.9, top_p: 0.9, top_k: None };
        let all: Vec<usize> = (0..rows).collect();
        for picked in [&all[..], &[3], &[0, 4, 5, 10], &[]] {
            let draw = |row: usize| (row != 4).then_some(Draw { seed: row as u64, index: 3 });
            let wanted: Vec<_> = picked.iter().map(|row| (*row, draw(*row))).collect();
            let got = read(&logits, &wanted, sampling);
            assert_eq!(got.len(), picked.len());
            for (row, got) in picked.iter().zip(got) {
                let own = &values[row * width..(row + 1) * width];
                assert_eq!(got.logits, own);
                assert_eq!(got.drawn, draw(*row).map(|d| sampling.draw(own, d.seed, d.index)), "row {row}");
            }
        }
    }

    /// No token comes out of a row that gives no probabilities.
    #[test]
    fn nothing_is_drawn_from_nan() {
        let device = Default::default();
        let logits = Tensor::<2>::from_floats([[0.0, f32::NAN, 1.0], [0.0, 2.0, 1.0]], &device);
        let draw = Some(Draw { seed: 1, index: 0 });
        let got = read(&logits, &[(0, draw), (1, draw)], Sampling { temperature: 1.0, ..Sampling::GREEDY });
        assert!(got[0].drawn.is_none() && got[1].drawn.is_some());
    }
}
