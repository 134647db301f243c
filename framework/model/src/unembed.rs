//! The final norm and the unembedding without the transformer blocks: for the logit lens, direct logit attribution,
//! and the tokens that a direction promotes.
use crate::{Result, device, model::matmul};
use burn::tensor::{DType, Device, Tensor, TensorData};
use friction_checkpoint::{Checkpoint, Tokenizer};
use friction_core::BuildContext;
use friction_core::manifest::BackendKind;

/// The final norm and the unembedding matrix, in f32 on the host. [`Self::logits`] computes its products on the
/// device.
pub struct Unembedding {
    norm: Vec<f32>,
    /// `[vocab, hidden]`: the embedding where the two are tied, else `lm_head.weight`.
    table: Vec<f32>,
    hidden: usize,
    eps: f64,
    flex: bool,
    device: Device,
}

/// Rows of the unembedding that are uploaded and multiplied at once.
const CHUNK: usize = 1 << 15;

impl Unembedding {
    /// Opens the model of a study, with its tokenizer. Reads only the final norm and the unembedding.
    pub fn open(cx: &BuildContext) -> Result<(Self, Tokenizer)> {
        let checkpoint = Checkpoint::of(cx)?;
        let c = &checkpoint.arch;
        let weights = checkpoint.open()?;
        let mut norm = weights.f32("norm.weight", &[c.hidden])?;
        norm.iter_mut().for_each(|w| *w += c.norm_offset);
        let out = Self {
            norm,
            table: weights.f32(c.unembedding(), &[c.vocab, c.hidden])?,
            hidden: c.hidden,
            eps: c.eps,
            flex: cx.backend.kind == BackendKind::Cpu,
            device: device::open(cx.backend.kind, cx.backend.device)?,
        };
        Ok((out, checkpoint.tokenizer()?))
    }

    /// Width of the residual stream.
    pub fn hidden(&self) -> usize {
        self.hidden
    }
    /// Size of the vocabulary.
    pub fn vocab(&self) -> usize {
        self.table.len() / self.hidden
    }

    /// √(mean(x²) + ε) of a residual vector: the divisor of the final RMSNorm.
    pub fn rms(&self, x: &[f32]) -> f64 {
        let square: f64 = x.iter().map(|v| f64::from(*v).powi(2)).sum();
        (square / x.len() as f64 + self.eps).sqrt()
    }

    /// Logit of token `id` with a given RMS divisor: Σ x·(1 + γ)·W_U\[id\] / rms. Linear in `x` for a fixed `rms`, as
    /// direct logit attribution needs.
    pub fn logit(&self, x: &[f32], rms: f64, id: u32) -> f64 {
        let row = &self.table[id as usize * self.hidden..][..self.hidden];
        let dot = x.iter().zip(&self.norm).zip(row);
        dot.map(|((x, n), w)| f64::from(*x) * f64::from(*n) * f64::from(*w)).sum::<f64>() / rms
    }

    /// Logits of the whole vocabulary, row-major `[n, vocab]`, for residual vectors `rows` (row-major `[n, hidden]`).
    /// Each row is divided by its own RMS where `normed`, else by 1; 1 + γ is applied either way.
    pub fn logits(&self, rows: &[f32], normed: bool) -> Vec<f32> {
        let n = rows.len() / self.hidden;
        let mut x = Vec::with_capacity(rows.len());
        for row in rows.chunks(self.hidden) {
            let rms = if normed { self.rms(row) } else { 1.0 };
            x.extend(row.iter().zip(&self.norm).map(|(v, w)| (f64::from(*v) / rms) as f32 * w));
        }
        let up = |v: Vec<f32>, r: usize| {
            Tensor::<2>::from_data(TensorData::new(v, [r, self.hidden]), (&self.device, DType::F32))
        };
        let x = up(x, n);
        let vocab = self.vocab();
        let mut out = vec![0.0; n * vocab];
        for (chunk, part) in self.table.chunks(CHUNK * self.hidden).enumerate() {
            let tokens = part.len() / self.hidden;
            let product = matmul(self.flex, x.clone(), up(part.to_vec(), tokens).swap_dims(0, 1)).into_data();
            for (i, v) in product.iter::<f32>().enumerate() {
                out[i / tokens * vocab + chunk * CHUNK + i % tokens] = v;
            }
        }
        out
    }

    /// For each direction, the `count` tokens whose logits it raises most (not normed), highest first, decoded.
    pub fn speaks_for(&self, directions: &[Vec<f32>], tokenizer: &Tokenizer, count: usize) -> Vec<Vec<String>> {
        let logits = self.logits(&directions.concat(), false);
        let of = |row: &[f32]| {
            let mut ids: Vec<u32> = (0..row.len() as u32).collect();
            ids.sort_by(|a, b| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b)));
            ids.iter().take(count).map(|id| tokenizer.decode(&[*id]).unwrap_or_default()).collect()
        };
        logits.chunks(self.vocab()).map(of).collect()
    }
}
