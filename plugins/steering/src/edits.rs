//! The edits of `steer`: what a dose along a direction is as data, for the direction itself and for its controls.
use crate::options::{Op, Range};
use friction_core::{EditOp, Readout, Site};
use friction_stats::Rng;

/// A direction at a site, as the options ask for it.
pub(crate) struct Part {
    /// Where the change is made.
    pub(crate) site: Site,
    /// The direction, as long as a dose of 1.
    pub(crate) unit: Vec<f32>,
    /// Directions of shuffled labels, as long as `unit`.
    pub(crate) shuffled: Vec<Vec<f32>>,
    /// The autoencoder's feature, if the direction is one's decoder.
    pub(crate) feature: Option<Readout>,
    /// The range that the projection or the activation is limited to, in units of the activations.
    pub(crate) range: Option<Range>,
    /// Seed of its random directions.
    pub(crate) seed: u64,
}

/// The length of a vector.
pub(crate) fn norm(v: &[f32]) -> f32 {
    v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32
}

/// A vector brought to a length.
pub(crate) fn scaled(v: &[f32], to: f32) -> Vec<f32> {
    let n = norm(v);
    v.iter().map(|x| x * to / n).collect()
}

/// A random direction orthogonal to `v` and of `v`'s length.
pub(crate) fn orthogonal(v: &[f32], seed: u64, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed ^ (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let r: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
    let square: f64 = v.iter().map(|x| f64::from(*x).powi(2)).sum();
    let along: f64 = r.iter().zip(v).map(|(a, b)| a * f64::from(*b)).sum::<f64>() / square;
    let rest: Vec<f32> = r.iter().zip(v).map(|(a, b)| (a - along * f64::from(*b)) as f32).collect();
    scaled(&rest, norm(v))
}

impl Part {
    /// The edit of a dose along `vector`, which is `unit` or a control of its length, and the strength with which it is
    /// applied. A control is pushed along itself by as much as the direction would be.
    pub(crate) fn edit(&self, op: Op, vector: Vec<f32>, dose: f32) -> (EditOp, f32) {
        let length = norm(&self.unit);
        let projection =
            |min, max| EditOp::Push { read: Readout::projection(&self.unit), along: scaled(&vector, 1.0), min, max };
        let bounds = |range: &Range| (range.min, range.max);
        match (op, &self.feature, &self.range) {
            (Op::Add, ..) => (EditOp::Add(vector), dose),
            (Op::Remove, ..) => (projection(Some(0.0), Some(0.0)), dose),
            (Op::Set, ..) => (projection(Some(dose * length), Some(dose * length)), 1.0),
            (Op::Clamp, None, range) => {
                // Without a range nothing is clamped; `Steer::check` refuses that.
                let (min, max) = range.as_ref().map(bounds).unwrap_or_default();
                (projection(min, max), dose)
            }
            (Op::Clamp, Some(feature), range) => {
                let (min, max) = range.as_ref().map_or((Some(dose), Some(dose)), bounds);
                let strength = if range.is_some() { dose } else { 1.0 };
                (EditOp::Push { read: feature.clone(), along: vector, min, max }, strength)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The direction is (0.6, 0, 0.8, 0) times 5: a dose of 1 is a push of length 5.
    fn part() -> Part {
        let unit = vec![3.0, 0.0, 4.0, 0.0];
        Part { site: Site::ResidPost(1), unit, shuffled: vec![], feature: None, range: None, seed: 3 }
    }

    const ROWS: [[f32; 4]; 2] = [[1.0, 2.0, -1.0, 0.5], [4.0, 0.0, 2.0, -3.0]];

    /// Applies an edit to the rows.
    fn moved((op, strength): &(EditOp, f32)) -> Vec<Vec<f32>> {
        ROWS.iter().map(|x| op.on_host(x, *strength, None).unwrap()).collect()
    }

    fn along(row: &[f32], u: &[f32]) -> f32 {
        row.iter().zip(u).map(|(a, b)| a * b).sum()
    }

    #[test]
    fn what_limits_a_projection_moves_it_and_controls_get_the_same_push() {
        let u = [0.6, 0.0, 0.8, 0.0];
        let range = |min, max| Some(Range { min, max });
        // The rows' projections are −0.2 and 4.
        for (op, range, dose, want) in [
            (Op::Set, None, 2.0, [10.0, 10.0]),
            (Op::Set, None, 0.0, [0.0, 0.0]),
            (Op::Remove, None, 0.5, [-0.1, 2.0]),
            (Op::Clamp, range(None, Some(1.0)), 1.0, [-0.2, 1.0]),
            (Op::Clamp, range(Some(0.5), Some(1.0)), 1.0, [0.5, 1.0]),
            (Op::Clamp, range(Some(0.5), None), 0.5, [0.15, 4.0]),
        ] {
            let part = Part { range, ..part() };
            let after = moved(&part.edit(op, part.unit.clone(), dose));
            let other = moved(&part.edit(op, orthogonal(&part.unit, 3, 0), dose));
            for (i, before) in ROWS.iter().enumerate() {
                assert!((along(&after[i], &u) - want[i]).abs() < 1e-5, "{op:?} {dose}: {after:?}");
                let push = |row: &[f32]| norm(&row.iter().zip(before).map(|(a, b)| a - b).collect::<Vec<_>>());
                assert!((push(&after[i]) - push(&other[i])).abs() < 1e-4, "{op:?} {dose}: {other:?}");
                // The push goes along the control only: the projection on the direction does not change.
                assert!((along(&other[i], &u) - along(before, &u)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn a_feature_is_set_or_limited_along_its_decoder() {
        // It reads 1 and 4 of the rows' first values, above its threshold of 2 only in the second.
        let feature = Readout::Linear { vector: vec![1.0, 0.0, 0.0, 0.0], bias: 0.0, threshold: Some(2.0) };
        let of = |range, dose| {
            let part = Part { feature: Some(feature.clone()), range, ..part() };
            moved(&part.edit(Op::Clamp, part.unit.clone(), dose))
        };
        let plus =
            |i: usize, push: f32| -> Vec<f32> { ROWS[i].iter().zip(&part().unit).map(|(x, v)| x + push * v).collect() };
        assert_eq!(of(None, 3.0), [plus(0, 3.0), plus(1, -1.0)]);
        let range = Some(Range { min: None, max: Some(3.5) });
        assert_eq!(of(range, 1.0), [plus(0, 0.0), plus(1, -0.5)]);
        assert_eq!(of(range, 0.5), [plus(0, 0.0), plus(1, -0.25)]);
    }

    #[test]
    fn numbers_tell_edits_apart() {
        let numbers = |v: &[f32], dose| {
            let mut all = vec![];
            part().edit(Op::Set, v.to_vec(), dose).0.bytes(&mut |b| all.extend_from_slice(b));
            all
        };
        let unit = part().unit;
        assert_ne!(numbers(&unit, 1.0), numbers(&unit, 2.0));
        assert_ne!(numbers(&unit, 1.0), numbers(&orthogonal(&unit, 1, 1), 1.0));
        assert_eq!(numbers(&unit, 1.0), numbers(&unit, 1.0));
    }

    #[test]
    fn random_directions_are_orthogonal_and_as_long() {
        let v: Vec<f32> = (0..64).map(|i| (i as f32 * 0.3).sin() + 1.0).collect();
        for n in 0..20 {
            let r = orthogonal(&v, 7, n);
            assert!(along(&r, &v).abs() < 1e-3 * norm(&v) * norm(&v));
            assert!((norm(&r) / norm(&v) - 1.0).abs() < 1e-5);
            assert_ne!(r, orthogonal(&v, 7, n + 1));
        }
    }
}
