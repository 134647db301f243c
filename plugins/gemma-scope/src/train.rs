//! `sae-train`: a TopK autoencoder of a run's own activations, for models that have none published.
//! It is written in SAELens' format and read by `gemma-scope` from there.
use crate::sae::{Activation, Parameters, Sae, quality};
use burn::module::{Module, Param};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{DType, Device, Tensor, TensorData, activation};
use friction_core::findings::Column;
use friction_core::manifest::BackendKind;
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site, Table,
};
use friction_stats::Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;

/// Options of `sae-train`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SaeTrain {
    /// What is reconstructed: a tapped site.
    site: Site,
    /// Which tokens, each by itself. Default `all`.
    #[serde(default = "all")]
    position: Position,
    /// Features. Default 512.
    #[serde(default = "width")]
    width: usize,
    /// Active features of a token. Default 16.
    #[serde(default = "sixteen")]
    k: usize,
    /// Steps of Adam. Default 2000.
    #[serde(default = "steps")]
    steps: usize,
    /// Tokens of a step. Default 256.
    #[serde(default = "batch")]
    batch: usize,
    /// Largest learning rate; it falls to nothing in a cosine. Default 0.002.
    #[serde(default = "rate")]
    rate: f64,
}
fn all() -> Position {
    Position::All
}
fn width() -> usize {
    512
}
fn sixteen() -> usize {
    16
}
fn steps() -> usize {
    2000
}
fn batch() -> usize {
    256
}
fn rate() -> f64 {
    2e-3
}

impl PluginConfig for SaeTrain {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        if self.k == 0 || self.k > self.width || self.steps == 0 || self.batch == 0 || self.rate <= 0.0 {
            return Err(Error::config("`k` is 1 to `width`; `steps`, `batch` and `rate` are above 0"));
        }
        Ok(())
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Analyzer for SaeTrain {
    fn needs(&self) -> Needs {
        Needs { taps: vec![(self.site, self.position)], factors: vec![] }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let (learnt, held, d) = self.tokens(run)?;
        let device = friction_model::device::open(BackendKind::Cpu, 0).map_err(Error::other)?;
        let (parameters, curve) = self.train(&learnt, d, run.seed(), &device)?;
        out.files.push(("sae_weights.safetensors".into(), weights(&parameters, d)?));
        let config = json!({
            "architecture": "topk", "d_in": d, "d_sae": self.width, "k": self.k, "dtype": "float32",
            "apply_b_dec_to_input": true, "normalize_activations": "none", "rescale_acts_by_decoder_norm": false,
            "metadata": {"hook_name": hook(self.site), "model_name": run.name(), "site": self.site, "position": self.position,
                "tokens": learnt.len() / d, "steps": self.steps, "batch": self.batch, "rate": self.rate, "seed": run.seed()},
        });
        out.files.push(("cfg.json".into(), format!("{config:#}\n").into_bytes()));
        let sae = Sae::new(parameters, &device)?;
        for (part, x) in [("learnt", &learnt), ("held_out", &held)] {
            let f = sae.encode(x);
            let q = quality(&f, &sae.decode(&f, x), x, sae.width());
            out.say(format!(
                "{} tokens of `{}` {}: variance unexplained (FVU) {:.3}, {:.1} active a token (L0), {:.1} % never active",
                f.len(), self.site, if part == "learnt" { "learnt from" } else { "of groups held out" }, q.fvu, q.l0, 100.0 * q.dead
            ));
            out.value(part, json!({"tokens": f.len(), "fvu": q.fvu, "l0": q.l0, "dead": q.dead}));
        }
        out.tables.push(Table {
            name: "curve".into(),
            columns: vec![
                ("step".into(), Column::Count(curve.iter().map(|c| c.0 as i64).collect())),
                ("fvu".into(), Column::Number(curve.iter().map(|c| c.1).collect())),
            ],
        });
        Ok(())
    }
}

/// TransformerLens' name of a site, which SAELens and `gemma-scope` read.
fn hook(site: Site) -> String {
    match site {
        Site::ResidPre(l) => format!("blocks.{l}.hook_resid_pre"),
        Site::ResidPost(l) => format!("blocks.{l}.hook_resid_post"),
        Site::AttnOut(l) => format!("blocks.{l}.attn.hook_z"),
        Site::MlpOut(l) => format!("blocks.{l}.hook_mlp_out"),
        other => other.to_string(),
    }
}

fn weights(p: &Parameters, d: usize) -> Result<Vec<u8>> {
    let n = p.b_enc.len();
    let all = [
        ("W_enc", vec![d, n], &p.w_enc),
        ("b_enc", vec![n], &p.b_enc),
        ("W_dec", vec![n, d], &p.w_dec),
        ("b_dec", vec![d], &p.b_dec),
    ];
    let bytes: Vec<Vec<u8>> = all.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = all
        .iter()
        .zip(&bytes)
        .map(|((n, s, _), b)| {
            Ok((*n, TensorView::new(Dtype::F32, s.clone(), b).map_err(|e| Error::other(e.to_string()))?))
        })
        .collect::<Result<Vec<_>>>()?;
    safetensors::serialize(views, None).map_err(|e| Error::other(e.to_string()))
}

#[derive(Module, Debug)]
struct Net {
    w_enc: Param<Tensor<2>>,
    b_enc: Param<Tensor<2>>,
    w_dec: Param<Tensor<2>>,
    b_dec: Param<Tensor<2>>,
}

impl Net {
    fn reconstruct(&self, x: Tensor<2>, k: usize) -> Tensor<2> {
        let pre = (x - self.b_dec.val()).matmul(self.w_enc.val()) + self.b_enc.val();
        // Below the k-th largest of its row nothing passes.
        let least = pre.clone().detach().topk(k, 1).min_dim(1);
        let off = pre.clone().detach().lower(least.expand(pre.dims()));
        let on = activation::relu(pre).mask_fill(off, 0.0);
        on.matmul(self.w_dec.val()) + self.b_dec.val()
    }
}

impl SaeTrain {
    /// Tokens of the untouched arm, row-major: of four groups in five, of the fifth; their width.
    fn tokens(&self, run: &dyn RunReader) -> Result<(Vec<f32>, Vec<f32>, usize)> {
        let (mut learnt, mut held, mut d) = (vec![], vec![], 0);
        let conversations: BTreeSet<(u32, &str)> =
            run.turns().iter().filter(|t| t.arm.is_empty()).map(|t| (t.group, t.condition.as_str())).collect();
        for (group, condition) in conversations {
            let tap = run.tap(group, condition, "", self.site, self.position)?.ok_or_else(|| {
                Error::other(format!("the run holds no tap of `{}` at `{}`", self.site, self.position))
            })?;
            let [_, _, width] = tap.shape;
            d = width;
            let to = if group % 5 == 4 { &mut held } else { &mut learnt };
            for (i, token) in tap.data.chunks(width).enumerate() {
                let bos = self.position == Position::All && i == 0;
                if !bos && token.iter().all(|v| v.is_finite()) {
                    to.extend_from_slice(token);
                }
            }
        }
        if learnt.is_empty() || held.is_empty() {
            return Err(Error::other("training needs 5 groups or more: every fifth is held out"));
        }
        Ok((learnt, held, d))
    }

    /// Adam on ‖x − x̂‖², on activations centred and brought to unit variance; the scale is folded back.
    fn train(&self, x: &[f32], d: usize, seed: u64, device: &Device) -> Result<(Parameters, Vec<(usize, f64)>)> {
        let n = x.len() / d;
        let mut mean = vec![0.0f64; d];
        x.chunks(d).for_each(|r| mean.iter_mut().zip(r).for_each(|(m, v)| *m += f64::from(*v) / n as f64));
        let square: f64 = x.chunks(d).flat_map(|r| r.iter().zip(&mean).map(|(v, m)| (f64::from(*v) - m).powi(2))).sum();
        let scale = (square / x.len() as f64).sqrt().max(f64::MIN_POSITIVE);
        let device = device.clone().autodiff();
        let mut rng = Rng::new(seed);
        let up = |v: Vec<f32>, r: usize, c: usize| {
            Param::from_tensor(Tensor::<2>::from_data(TensorData::new(v, [r, c]), (&device, DType::F32)))
        };
        // Random unit rows; the encoder starts as the decoder's transpose.
        let w = self.width;
        let mut dec: Vec<f32> = (0..w * d).map(|_| rng.normal() as f32).collect();
        for row in dec.chunks_mut(d) {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter_mut().for_each(|v| *v /= norm);
        }
        let enc: Vec<f32> = (0..d * w).map(|i| dec[(i % w) * d + i / w]).collect();
        let mut net = Net {
            w_enc: up(enc, d, w),
            b_enc: up(vec![0.0; w], 1, w),
            w_dec: up(dec, w, d),
            b_dec: up(vec![0.0; d], 1, d),
        };
        let mut adam = AdamConfig::new().init();
        let mut curve = vec![];
        for step in 0..self.steps {
            let rows: Vec<f32> = (0..self.batch)
                .flat_map(|_| {
                    let i = rng.below(n);
                    x[i * d..][..d]
                        .iter()
                        .zip(&mean)
                        .map(|(v, m)| ((f64::from(*v) - m) / scale) as f32)
                        .collect::<Vec<_>>()
                })
                .collect();
            let batch = Tensor::<2>::from_data(TensorData::new(rows, [self.batch, d]), (&device, DType::F32));
            let off = net.reconstruct(batch.clone(), self.k) - batch;
            let loss = (off.clone() * off).mean();
            let grads = GradientsParams::from_grads(loss.backward(), &net);
            let warm = ((step + 1) as f64 / 50.0).min(1.0);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / self.steps as f64).cos());
            net = adam.step(self.rate * warm * cosine, net, grads);
            if (step + 1) % 50 == 0 {
                curve.push((step + 1, loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN)));
            }
        }
        let read = |p: &Param<Tensor<2>>| -> Vec<f32> { p.val().inner().into_data().iter::<f32>().collect() };
        let s = scale as f32;
        let parameters = Parameters {
            w_enc: read(&net.w_enc),
            b_enc: read(&net.b_enc).into_iter().map(|v| v * s).collect(),
            w_dec: read(&net.w_dec),
            b_dec: read(&net.b_dec).into_iter().zip(&mean).map(|(v, m)| v * s + *m as f32).collect(),
            skip: None,
            activation: Activation::TopK(self.k),
            centred: true,
        };
        Ok((parameters, curve))
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<SaeTrain>("sae-train", "Trains a TopK autoencoder on a run's activations", env!("CARGO_PKG_VERSION"))
}
