//! Looks for the same finding in other autoencoders of the same activations. Features of another width or L0 have
//! other numbers, so a feature is recognised by its decoder direction.
use crate::features::Difference;
use friction_sae::Parameters;
use friction_stats::quantile;
use rayon::prelude::*;

/// How another autoencoder reproduces the features found.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// Name of the other autoencoder, as in `also`.
    pub name: String,
    /// Number of features that it finds itself at the same false discovery rate.
    pub found: usize,
    /// For each feature sought, the largest cosine of its decoder row with those of the features found there that
    /// change in the same direction; 0 if there are none.
    pub cosines: Vec<f64>,
}

/// The cosine from which on two features count as the same direction.
pub const SAME: f64 = 0.7;

impl Replication {
    /// Number of sought features that it finds again ([`SAME`]).
    pub fn again(&self) -> usize {
        self.cosines.iter().filter(|c| **c >= SAME).count()
    }

    /// Median of the largest cosines.
    pub fn nearest(&self) -> f64 {
        let mut sorted = self.cosines.clone();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, 0.5)
    }
}

/// Looks for `features` of one autoencoder among those that another finds at q ≤ `fdr`.
pub fn seek(
    name: &str,
    features: &[&Difference],
    own: &Parameters,
    others: &[Difference],
    other: &Parameters,
    fdr: f64,
) -> Replication {
    let theirs: Vec<(&Difference, Vec<f32>)> =
        others.iter().filter(|d| d.q <= fdr).map(|d| (d, row(other, d.index))).collect();
    let cosines = features
        .par_iter()
        .map(|d| {
            let mine = row(own, d.index);
            let alike = theirs.iter().filter(|(o, _)| o.difference * d.difference > 0.0);
            alike.map(|(_, v)| cosine(&mine, v)).fold(0.0, f64::max)
        })
        .collect();
    Replication { name: name.into(), found: theirs.len(), cosines }
}

fn row(p: &Parameters, feature: u32) -> Vec<f32> {
    let mut out = vec![0.0; p.output()];
    p.w_dec.read(feature as usize * p.output(), &mut out);
    out
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use friction_sae::Activation;

    fn of(rows: &[[f32; 2]]) -> Parameters {
        Parameters {
            w_enc: vec![0.0; 2 * rows.len()].into(),
            b_enc: vec![0.0; rows.len()],
            w_dec: rows.concat().into(),
            b_dec: vec![0.0; 2],
            skip: None,
            activation: Activation::Relu,
            centred: false,
            normalize: Default::default(),
        }
    }
    fn difference(index: u32, difference: f64, q: f64) -> Difference {
        Difference {
            index,
            place: 0,
            rate: 1.0,
            difference,
            effect: 1.0,
            auc: 0.5,
            p: q,
            q,
            family: q,
            replicates: true,
        }
    }

    #[test]
    fn a_direction_is_found_again_only_where_it_changes_the_same_way() {
        let own = of(&[[1.0, 0.0], [0.0, 1.0]]);
        let other = of(&[[-1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.0, 1.0]]);
        let mine = [difference(0, 1.0, 0.0), difference(1, 1.0, 0.0)];
        let theirs = [difference(1, 0.5, 0.01), difference(2, -1.0, 0.01), difference(3, 1.0, 0.9)];
        let r = seek("other", &mine.iter().collect::<Vec<_>>(), &own, &theirs, &other, 0.05);
        assert_eq!((r.found, r.again()), (2, 1));
        assert!(r.cosines[0] > 0.99 && r.cosines[1] < SAME, "{:?}", r.cosines);
    }
}
