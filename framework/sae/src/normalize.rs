//! Normalisation of input rows, undone on the reconstruction.

/// How each row is normalised, independently of other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    /// No normalisation.
    #[default]
    None,
    /// Scales the row to norm √d (SAELens' `constant_norm_rescale`).
    ConstantNorm,
    /// Centres the row and divides it by its standard deviation (with n − 1) plus 1e-5 (SAELens' `layer_norm`).
    LayerNorm,
}

/// ε that SAELens adds to a standard deviation.
const EPSILON: f32 = 1e-5;

impl Normalize {
    /// Three numbers for a row: the shift subtracted from it, the factor applied to the rest, and the factor applied
    /// to a reconstruction before the shift is added back.
    fn of(self, row: &[f32]) -> (f32, f32, f32) {
        let n = row.len() as f64;
        match self {
            Self::None => (0.0, 1.0, 1.0),
            Self::ConstantNorm => {
                let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                // A row of zeros has no norm and stays zero.
                if norm > 0.0 { (0.0, (n.sqrt() / norm) as f32, (norm / n.sqrt()) as f32) } else { (0.0, 1.0, 0.0) }
            }
            Self::LayerNorm => {
                let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
                let square: f64 = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
                let deviation = (square / (n - 1.0).max(1.0)).sqrt() as f32;
                (mean as f32, 1.0 / (deviation + EPSILON), deviation)
            }
        }
    }

    /// Normalises a row in place.
    pub fn apply(self, row: &mut [f32]) {
        if self != Self::None {
            let (shift, by, _) = self.of(row);
            row.iter_mut().for_each(|v| *v = (*v - shift) * by);
        }
    }

    /// Scales the reconstruction of a normalised `row` back, in place.
    pub fn undo(self, row: &[f32], reconstructed: &mut [f32]) {
        if self != Self::None {
            let (shift, _, by) = self.of(row);
            reconstructed.iter_mut().for_each(|v| *v = *v * by + shift);
        }
    }
}
