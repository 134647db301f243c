//! What is done to a row before an autoencoder reads it, and undone behind its reconstruction.

/// Normalisation of a row by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Normalize {
    /// None.
    #[default]
    None,
    /// The row is brought to the norm √d (SAELens' `constant_norm_rescale`).
    ConstantNorm,
    /// The row is centred and divided by its standard deviation (of n − 1) + 1e-5 (SAELens' `layer_norm`).
    LayerNorm,
}

/// What SAELens adds to a standard deviation.
const EPSILON: f32 = 1e-5;

impl Normalize {
    /// What is taken from a row, by what the rest is multiplied, and by what a reconstruction is multiplied
    /// before the first is added again.
    fn of(self, row: &[f32]) -> (f32, f32, f32) {
        let n = row.len() as f64;
        match self {
            Self::None => (0.0, 1.0, 1.0),
            Self::ConstantNorm => {
                let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                // Zeros have no norm: they stay what they are.
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

    /// Normalises a row.
    pub fn apply(self, row: &mut [f32]) {
        if self != Self::None {
            let (shift, by, _) = self.of(row);
            row.iter_mut().for_each(|v| *v = (*v - shift) * by);
        }
    }

    /// Brings the reconstruction of a normalised `row` back to the row's own scale.
    pub fn undo(self, row: &[f32], reconstructed: &mut [f32]) {
        if self != Self::None {
            let (shift, _, by) = self.of(row);
            reconstructed.iter_mut().for_each(|v| *v = *v * by + shift);
        }
    }
}
