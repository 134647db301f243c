//! Checks edits against the width of their site. Each error is a clause that continues "the edit `x` …".
use super::{Autoencoder, EditOp, Encoder, Readout};

impl EditOp {
    /// Checks the operation against the width of its site.
    ///
    /// # Errors
    /// A clause that continues "the edit `x` …", such as "has a direction that is zero or not finite".
    pub fn check(&self, width: usize) -> Result<(), String> {
        match self {
            EditOp::Add(v) | EditOp::Remove(v) => direction(v, width),
            EditOp::Project { direction: v, value } => {
                direction(v, width)?;
                range(Some(*value), None)
            }
            EditOp::Clamp { direction: v, min, max } => {
                direction(v, width)?;
                range(Some(*min), Some(*max))
            }
            EditOp::Push { read, along, min, max } => {
                read.check(width)?;
                direction(along, width)?;
                match (min, max) {
                    (None, None) => Err("has neither `min` nor `max`: it would do nothing".into()),
                    _ => range(*min, *max),
                }
            }
            EditOp::Reconstruct(a) => a.check(width),
            EditOp::Given { width: own } | EditOp::Replace { width: own, .. } => match *own == width {
                true => Ok(()),
                false => wide("takes vectors", *own, width),
            },
            #[cfg(feature = "tensors")]
            EditOp::Custom { .. } => Ok(()),
        }
    }
}

impl Readout {
    /// Checks the readout against the width of its site.
    ///
    /// # Errors
    /// A clause that continues "the edit `x` …".
    pub fn check(&self, width: usize) -> Result<(), String> {
        match self {
            Self::Linear { vector, bias, threshold } => {
                direction(vector, width)?;
                finite(&[*bias, threshold.unwrap_or(0.0)])
            }
            Self::TopK { encoder, feature, k } => {
                let features = encoder.check(width)?;
                if *feature >= features {
                    return Err(format!("reads feature {feature} of an autoencoder that has {features}"));
                }
                few(*k, features)
            }
        }
    }
}

impl Encoder {
    /// Checks the shapes, and returns the number of features.
    fn check(&self, width: usize) -> Result<usize, String> {
        let features = self.bias.len();
        if features == 0 || self.weights.len() != features * width {
            return wide("has an encoder", self.weights.len().checked_div(features).unwrap_or(0), width);
        }
        finite(&self.weights)?;
        finite(&self.bias)?;
        Ok(features)
    }
}

impl Autoencoder {
    fn check(&self, width: usize) -> Result<(), String> {
        let features = self.encoder.check(width)?;
        if self.decoder.len() != features * width || self.decoder_bias.len() != width || self.least.len() != features {
            return Err(format!("has an autoencoder whose parts do not fit {features} features of width {width}"));
        }
        finite(&self.decoder)?;
        finite(&self.decoder_bias)?;
        if self.least.iter().any(|t| !t.is_finite() || *t < 0.0) {
            return Err("has an autoencoder with a threshold below 0 or not finite".into());
        }
        self.k.map_or(Ok(()), |k| few(k, features))
    }
}

fn few(k: usize, features: usize) -> Result<(), String> {
    match (1..=features).contains(&k) {
        true => Ok(()),
        false => Err(format!("has an autoencoder of {features} features that keeps {k}: it must be 1 to {features}")),
    }
}

fn wide<T>(has: &str, own: usize, width: usize) -> Result<T, String> {
    Err(format!("{has} of width {own}, but its site is {width} wide"))
}

/// Checks a vector that an edit reads or pushes along.
fn direction(v: &[f32], width: usize) -> Result<(), String> {
    if v.len() != width {
        return wide("has a direction", v.len(), width);
    }
    let square: f32 = v.iter().map(|x| x * x).sum();
    match square.is_finite() && square > 0.0 {
        true => Ok(()),
        false => Err("has a direction that is zero or not finite".into()),
    }
}

fn finite(v: &[f32]) -> Result<(), String> {
    match v.iter().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err("has numbers that are not finite".into()),
    }
}

fn range(min: Option<f32>, max: Option<f32>) -> Result<(), String> {
    finite(&[min.unwrap_or(0.0), max.unwrap_or(0.0)])?;
    match (min, max) {
        (Some(min), Some(max)) if min > max => Err(format!("has a lowest value {min} above its highest, {max}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::Arc;

    fn push(min: Option<f32>, max: Option<f32>) -> EditOp {
        EditOp::Push { read: Readout::projection(&[3.0, 4.0]), along: vec![1.0, 0.0], min, max }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let of = |op: EditOp| op.check(2).unwrap_err();
        assert!(of(EditOp::Add(vec![1.0; 3])).contains("width 3, but its site is 2 wide"));
        assert!(of(EditOp::Remove(vec![0.0; 2])).contains("zero or not finite"));
        assert!(of(EditOp::Clamp { direction: vec![1.0; 2], min: 2.0, max: 1.0 }).contains("above its highest"));
        assert!(of(EditOp::Project { direction: vec![1.0; 2], value: f32::NAN }).contains("not finite"));
        assert!(of(push(None, None)).contains("neither"));
        assert!(of(push(Some(f32::INFINITY), None)).contains("not finite"));
        assert!(of(EditOp::Given { width: 4 }).contains("vectors of width 4"));
        assert!(of(EditOp::Replace { width: 1, digest: String::new() }).contains("vectors of width 1"));
        for fits in [push(Some(1.0), Some(1.0)), push(None, Some(-3.0)), EditOp::Given { width: 2 }] {
            fits.check(2).unwrap();
        }
    }

    #[test]
    fn autoencoders_fit_their_site_and_themselves() {
        let encoder = || Encoder { weights: vec![1.0; 6], bias: vec![0.0; 3] };
        let top = |feature, k| Readout::TopK { encoder: Arc::new(encoder()), feature, k };
        top(2, 3).check(2).unwrap();
        assert!(top(3, 1).check(2).unwrap_err().contains("feature 3"));
        assert!(top(0, 4).check(2).unwrap_err().contains("keeps 4"));
        assert!(top(0, 1).check(4).unwrap_err().contains("encoder of width 2, but its site is 4 wide"));
        let whole = || Autoencoder {
            encoder: encoder(),
            least: vec![0.0; 3],
            k: None,
            decoder: vec![1.0; 6],
            decoder_bias: vec![0.0; 2],
        };
        let check = |a: Autoencoder| EditOp::Reconstruct(Arc::new(a)).check(2);
        check(whole()).unwrap();
        assert!(check(Autoencoder { least: vec![-1.0; 3], ..whole() }).unwrap_err().contains("threshold"));
        assert!(check(Autoencoder { k: Some(0), ..whole() }).unwrap_err().contains("keeps 0"));
        assert!(check(Autoencoder { decoder: vec![1.0; 5], ..whole() }).unwrap_err().contains("do not fit"));
    }
}
