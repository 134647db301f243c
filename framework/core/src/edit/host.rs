//! What edits do to a row, on the host and in f64. Devices are tested against it, and plugins may test theirs with it.
use super::{Autoencoder, EditOp, Encoder, Readout};

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

impl Readout {
    /// The number that is read from a row `x`, `[width]`.
    pub fn of(&self, x: &[f32]) -> f64 {
        match self {
            Self::Linear { vector, bias, threshold } => {
                let p = dot(x, vector) + f64::from(*bias);
                if threshold.is_none_or(|t| p > f64::from(t)) { p } else { 0.0 }
            }
            Self::TopK { encoder, feature, k } => {
                let all = encoder.of(x);
                let own = all.get(*feature).copied().unwrap_or(0.0);
                let larger = all.iter().filter(|p| **p > own).count();
                if own > 0.0 && larger < *k { own } else { 0.0 }
            }
        }
    }
}

impl Encoder {
    fn of(&self, x: &[f32]) -> Vec<f64> {
        let mut all: Vec<f64> = self.bias.iter().map(|b| f64::from(*b)).collect();
        for (x, row) in x.iter().zip(self.weights.chunks(self.bias.len().max(1))) {
            all.iter_mut().zip(row).for_each(|(p, w)| *p += f64::from(*x) * f64::from(*w));
        }
        all
    }
}

impl Autoencoder {
    /// The reconstruction of a row `x`, `[width]`.
    pub fn of(&self, x: &[f32]) -> Vec<f64> {
        let mut on = self.encoder.of(x);
        on.iter_mut().zip(&self.least).filter(|(p, least)| **p <= f64::from(**least)).for_each(|(p, _)| *p = 0.0);
        if let Some(k) = self.k.filter(|k| *k < on.len()) {
            let mut sorted = on.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            on.iter_mut().filter(|p| **p < sorted[k - 1]).for_each(|p| *p = 0.0);
        }
        let mut out: Vec<f64> = self.decoder_bias.iter().map(|b| f64::from(*b)).collect();
        for (p, row) in on.iter().zip(self.decoder.chunks(out.len().max(1))) {
            out.iter_mut().zip(row).for_each(|(o, w)| *o += p * f64::from(*w));
        }
        out
    }
}

impl EditOp {
    /// The row `x`, `[width]`, changed with strength `s`. `given` is the conversation's own vector, for
    /// [`EditOp::Given`] and [`EditOp::Replace`]. `None` for [`EditOp::Custom`].
    pub fn on_host(&self, x: &[f32], s: f32, given: Option<&[f32]>) -> Option<Vec<f32>> {
        let push = |read: &Readout, along: &[f32], min: Option<f32>, max: Option<f32>| -> Vec<f64> {
            let r = read.of(x);
            let low = min.map_or(r, |min| r.max(f64::from(min)));
            let to = max.map_or(low, |max| low.min(f64::from(max)));
            along.iter().map(|v| (to - r) * f64::from(*v)).collect()
        };
        // A range along a direction is one of its unit vector.
        let unit = |v: &[f32], min: f32, max: f32| {
            let read = Readout::projection(v);
            let Readout::Linear { vector, .. } = &read else { return vec![] };
            push(&read, vector, Some(min), Some(max))
        };
        let moved: Vec<f64> = match self {
            EditOp::Add(v) => v.iter().map(|v| f64::from(*v)).collect(),
            EditOp::Remove(v) => unit(v, 0.0, 0.0),
            EditOp::Project { direction, value } => unit(direction, *value, *value),
            EditOp::Clamp { direction, min, max } => unit(direction, *min, *max),
            EditOp::Push { read, along, min, max } => push(read, along, *min, *max),
            EditOp::Reconstruct(a) => a.of(x).iter().zip(x).map(|(r, x)| r - f64::from(*x)).collect(),
            EditOp::Given { .. } => match given {
                Some(v) => v.iter().map(|v| f64::from(*v)).collect(),
                None => vec![0.0; x.len()],
            },
            EditOp::Replace { .. } => match given {
                Some(v) if s == 1.0 => return Some(v.to_vec()),
                Some(v) => v.iter().zip(x).map(|(v, x)| f64::from(*v) - f64::from(*x)).collect(),
                None => vec![0.0; x.len()],
            },
            #[cfg(feature = "tensors")]
            EditOp::Custom { .. } => return None,
        };
        Some(x.iter().zip(moved).map(|(x, m)| (f64::from(*x) + f64::from(s) * m) as f32).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    #[test]
    fn ranges_bring_what_is_read_to_their_ends() {
        let u = [0.6f32, 0.8];
        let op = |min, max| EditOp::Push { read: Readout::projection(&[3.0, 4.0]), along: u.to_vec(), min, max };
        // x·u = 5.
        let x = [3.0f32, 4.0];
        let read = |op: &EditOp, s| dot(&op.on_host(&x, s, None).unwrap(), &u);
        for (min, max, s, want) in [
            (Some(2.0), Some(2.0), 1.0, 2.0),
            (Some(2.0), Some(2.0), 0.5, 3.5),
            (None, Some(4.0), 1.0, 4.0),
            (None, Some(6.0), 1.0, 5.0),
            (Some(7.0), None, 1.0, 7.0),
            (Some(-1.0), Some(9.0), 1.0, 5.0),
            (Some(0.0), Some(0.0), 1.0, 0.0),
        ] {
            let got = read(&op(min, max), s);
            assert!((got - want).abs() < 1e-5, "{min:?} {max:?} {s}: {got}, want {want}");
        }
        let old = EditOp::Clamp { direction: vec![30.0, 40.0], min: -1.0, max: 4.0 };
        assert!((read(&old, 1.0) - 4.0).abs() < 1e-5);
    }

    #[test]
    fn features_are_read_as_their_activation_functions_say() {
        let linear = |threshold| Readout::Linear { vector: vec![1.0, 0.0], bias: -1.0, threshold };
        for (threshold, x, want) in [
            (None, 0.5, -0.5),
            (Some(0.0), 0.5, 0.0),
            (Some(0.0), 1.5, 0.5),
            (Some(1.0), 2.0, 0.0),
            (Some(1.0), 2.5, 1.5),
        ] {
            assert_eq!(linear(threshold).of(&[x, 9.0]), want, "{threshold:?} {x}");
        }
        // Three features read 2, 1 and −3.
        let encoder = Arc::new(Encoder { weights: vec![2.0, 1.0, -3.0], bias: vec![0.0; 3] });
        let top = |feature, k| Readout::TopK { encoder: encoder.clone(), feature, k }.of(&[1.0]);
        assert_eq!([top(0, 1), top(1, 1), top(1, 2), top(2, 3)], [2.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn a_reconstruction_has_the_features_that_are_active() {
        let a = |k| Autoencoder {
            encoder: Encoder { weights: vec![2.0, 1.0, -3.0], bias: vec![0.0; 3] },
            least: vec![0.0, 0.5, 0.0],
            k,
            decoder: vec![10.0, 1.0, 100.0],
            decoder_bias: vec![0.25],
        };
        assert_eq!(a(None).of(&[1.0]), [21.25]);
        assert_eq!(a(None).of(&[0.5]), [10.25], "a feature at its threshold is off");
        assert_eq!(a(Some(1)).of(&[1.0]), [20.25]);
    }
}
