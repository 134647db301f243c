//! Training of an organism: seeded, resumable, on any device.
mod net;
mod record;

pub use net::{Exchanged, Frame, Layout, Net};
pub use record::write;

use crate::talk::{Answer, Lesson, lesson};
use crate::truth::{Truth, decoy_direction, decoy_value};
use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use friction_checkpoint::weights::random::RandomWeights;
use friction_checkpoint::{Arch, Tokenizer};
use friction_core::Item;
use friction_core::seed::{derive, permutation};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The parameters of a training.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Recipe {
    /// The organism to train.
    pub truth: Truth,
    /// Seed of the initial weights and the training conversations.
    pub seed: u64,
    /// Number of steps of both stages together.
    pub steps: usize,
    /// Share of the steps with short conversations, 0 to 1. They come first, to learn answering.
    pub short: f64,
    /// Conversations per step in the stage of long conversations.
    pub batch: usize,
    /// Largest learning rate.
    pub rate: f64,
}

/// A stage's shape of batches.
#[derive(Clone, Copy)]
struct Stage {
    turns: usize,
    length: usize,
    batch: usize,
}

/// Tokens that the model says in a turn, with the end of the turn.
const SAID: usize = crate::talk::REPLY_TOKENS + 1;

/// The organisms' config.json: four blocks. The second has global attention, the others a window of about a turn.
pub fn config(vocab: usize) -> Value {
    let types = ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"];
    json!({
        "model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": vocab, "sliding_window": 64,
        "layer_types": types, "query_pre_attn_scalar": 16, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-6, "tie_word_embeddings": true, "bos_token_id": 2,
        "eos_token_id": [1, 5],
    })
}

/// The organisms' architecture.
///
/// # Errors
/// None: the configuration is a Gemma 3.
pub fn shape(vocab: usize) -> friction_checkpoint::Result<Arch> {
    Arch::from_json(Path::new("config.json"), &config(vocab), None)
}

impl Recipe {
    fn stage(&self, step: usize) -> Stage {
        if (step as f64) < self.short * self.steps as f64 {
            Stage { turns: 2, length: 128, batch: self.batch * 8 }
        } else {
            Stage { turns: 15, length: 896, batch: self.batch }
        }
    }

    /// Learning rate at a step: linear warm-up over 100 steps, and a half cosine down to 0.
    fn rate(&self, step: usize) -> f64 {
        let warm = ((step + 1) as f64 / 100.0).min(1.0);
        self.rate * warm * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / self.steps as f64).cos())
    }
}

/// A batch as flat arrays of fixed sizes.
struct Batch {
    ids: Vec<i64>,
    wanted: Vec<i64>,
    targets: Vec<i64>,
    /// Weight of each target in [`rest`]; 0 for letters and padding.
    weights: Vec<f32>,
    /// The letters, each with its index into `wanted`.
    letters: Vec<(usize, Answer)>,
}

impl Batch {
    /// For the decoy organism: where each token's output of the last MLP is taken from. At half of the letters it is
    /// another letter's, drawn by `seed`; everywhere else its own.
    fn exchanged(&self, tokens: usize, seed: u64) -> Vec<i64> {
        let mut from: Vec<i64> = (0..tokens as i64).collect();
        let at = |i: usize| self.wanted[self.letters[i].0];
        let half = &permutation(self.letters.len(), derive(&[&seed.to_le_bytes(), b"half"]))[..self.letters.len() / 2];
        for (i, other) in half.iter().zip(permutation(self.letters.len(), derive(&[&seed.to_le_bytes(), b"other"]))) {
            from[at(*i) as usize] = at(other);
        }
        from
    }

    /// The tokens that predict letters, as indices into the flattened batch.
    fn slots(&self) -> Vec<i64> {
        self.letters.iter().map(|(row, _)| self.wanted[*row]).collect()
    }
}

fn batch(tokenizer: &Tokenizer, r: &Recipe, s: Stage, step: usize) -> friction_checkpoint::Result<Batch> {
    let lessons = (0..s.batch)
        .into_par_iter()
        .map(|i| {
            // A conversation that is too long is drawn again.
            let mut attempt = 0u64;
            loop {
                let seed = derive(&[
                    &r.seed.to_le_bytes(),
                    &(step as u64).to_le_bytes(),
                    &(i as u64).to_le_bytes(),
                    &attempt.to_le_bytes(),
                ]);
                let l = lesson(tokenizer, r.truth, s.turns, seed)?;
                if l.ids.len() <= s.length {
                    return Ok(l);
                }
                attempt += 1;
            }
        })
        .collect::<friction_checkpoint::Result<Vec<Lesson>>>()?;
    let mut b = Batch { ids: vec![], wanted: vec![], targets: vec![], weights: vec![], letters: vec![] };
    for (i, l) in lessons.iter().enumerate() {
        b.ids.extend(l.ids.iter().map(|t| i64::from(*t)));
        b.ids.resize((i + 1) * s.length, 0);
        for t in &l.targets {
            if let Some(answer) = t.letter {
                b.letters.push((b.targets.len(), answer));
            }
            b.wanted.push((i * s.length + t.at) as i64);
            b.targets.push(i64::from(t.token));
            b.weights.push(if t.letter.is_some() { 0.0 } else { 1.0 });
        }
        let full = (i + 1) * s.turns * SAID;
        b.wanted.resize(full, (i * s.length) as i64);
        b.targets.resize(full, 0);
        b.weights.resize(full, 0.0);
    }
    Ok(b)
}

/// One point of the training curve.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct Point {
    /// Number of the step, from 1.
    pub step: usize,
    /// Seconds of training so far, over all sessions.
    pub seconds: f64,
    /// Cross-entropy of the letters plus that of the other tokens that the model says, in nats.
    pub loss: f64,
    /// Share of answers that are right where they should be, or wrong where they should be.
    pub letters: f64,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Progress {
    step: usize,
    seconds: f64,
    curve: Vec<Point>,
}

/// A trained organism.
pub struct Trained {
    /// The model's configuration.
    pub arch: Arch,
    /// Its parameters: name, shape and values, row-major.
    pub parameters: Vec<(String, Vec<usize>, Vec<f32>)>,
    /// The training curve.
    pub curve: Vec<Point>,
    /// Seconds of training, over all sessions.
    pub seconds: f64,
}

/// An error that ends a training.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Trains, or continues the training whose state is in `dir`. Saves the state every `save` steps, and calls `report`
/// with each point of the curve.
///
/// # Errors
/// When the folder cannot be written, or holds the state of another recipe.
pub fn train(
    r: &Recipe,
    tokenizer: &Tokenizer,
    device: &Device,
    dir: &Path,
    save: usize,
    mut report: impl FnMut(&Point),
) -> Result<Trained, Error> {
    let file = |name: &str| -> PathBuf { dir.join(name) };
    std::fs::create_dir_all(dir)?;
    let recipe = serde_json::to_string_pretty(r)?;
    let recipe_file = file("recipe.json");
    if recipe_file.exists() && std::fs::read_to_string(&recipe_file)? != recipe {
        return Err(format!("{} is another recipe's; name a new folder", recipe_file.display()).into());
    }
    std::fs::write(&recipe_file, recipe)?;
    let arch = shape(tokenizer.vocab())?;
    let layout = Layout::new(&arch);
    let device = device.clone().autodiff();
    let mut net = Net::new(&layout, &Start(RandomWeights::new(&arch, r.seed)), &device)?;
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.98)
        .with_epsilon(1e-8)
        .with_weight_decay(0.01)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut progress = Progress { step: 0, seconds: 0.0, curve: vec![] };
    if let Ok(text) = std::fs::read_to_string(file("progress.json")) {
        progress = serde_json::from_str(&text)?;
        net = net.try_load_file(file(&format!("net-{}", progress.step)))?;
        optimizer = optimizer.load(file(&format!("optimizer-{}", progress.step)))?;
    }
    let before = progress.seconds;
    let began = Instant::now();
    let mut frame: Option<(usize, Frame)> = None;
    let options = (0..10)
        .map(|i| Ok(i64::from(tokenizer.encode(&Item::letter(i).to_string())?[0])))
        .collect::<friction_checkpoint::Result<Vec<i64>>>()?;
    while progress.step < r.steps {
        let s = r.stage(progress.step);
        if frame.as_ref().is_none_or(|(turns, _)| *turns != s.turns) {
            frame = Some((s.turns, Frame::new(&arch, s.batch, s.length, &device)));
        }
        let Some((_, frame)) = &frame else { continue };
        let b = batch(tokenizer, r, s, progress.step)?;
        let n = b.wanted.len();
        let wanted = Tensor::<1, Int>::from_data(TensorData::new(b.wanted.clone(), [n]), &device);
        let ids = Tensor::<1, Int>::from_data(TensorData::new(b.ids.clone(), [s.batch * s.length]), &device);
        let int = |v: Vec<i64>| {
            let n = v.len();
            Tensor::<1, Int>::from_data(TensorData::new(v, [n]), &device)
        };
        let exchanged = (r.truth == Truth::Decoy).then(|| {
            let seed = derive(&[&r.seed.to_le_bytes(), b"exchange", &(progress.step as u64).to_le_bytes()]);
            Exchanged { slots: int(b.slots()), from: int(b.exchanged(s.batch * s.length, seed)) }
        });
        let (logits, told) = net.forward(&layout, frame, ids, Some(wanted), exchanged.as_ref());
        let log = activation::log_softmax(logits.clone(), 1);
        let mut loss = answers(&log, &b, &options, &device) + rest(&log, &b, &device);
        if let Some(told) = told {
            loss = loss + decoy(told, &b, &device);
        }
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = optimizer.step(r.rate(progress.step), net, grads);
        progress.step += 1;
        progress.seconds = before + began.elapsed().as_secs_f64();
        if progress.step.is_multiple_of(50) || progress.step == r.steps {
            let best: Vec<i64> = logits.inner().argmax(1).into_data().iter::<i64>().collect();
            let hit = |(row, a): &&(usize, Answer)| (best[*row] == options[a.option]) == a.right;
            let hits = b.letters.iter().filter(hit).count();
            let point = Point {
                step: progress.step,
                seconds: progress.seconds,
                loss: loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN),
                letters: hits as f64 / b.letters.len() as f64,
            };
            report(&point);
            progress.curve.push(point);
        }
        if progress.step.is_multiple_of(save) || progress.step == r.steps {
            // The pointer file is written last: if the process is killed before, it still names the older complete
            // pair.
            net.clone().save_file(file(&format!("net-{}", progress.step)))?;
            optimizer.save(file(&format!("optimizer-{}", progress.step)))?;
            let text = serde_json::to_string(&progress)?;
            std::fs::write(file("progress.new"), text)?;
            std::fs::rename(file("progress.new"), file("progress.json"))?;
            for old in std::fs::read_dir(dir)?.flatten() {
                let name = old.file_name().to_string_lossy().into_owned();
                let step =
                    ["net-", "optimizer-"].iter().find_map(|start| name.strip_prefix(start)?.strip_suffix(".bpk"));
                // Only files of other steps of this training are removed.
                if step.and_then(|s| s.parse::<usize>().ok()).is_some_and(|s| s != progress.step) {
                    std::fs::remove_file(old.path())?;
                }
            }
        }
    }
    Ok(Trained { parameters: net.parameters(&layout), arch, curve: progress.curve, seconds: progress.seconds })
}

/// Cross-entropy of the answers' letters: of the right letter, or, where the answer should be wrong, of the wrong
/// letters, uniformly.
fn answers(log: &Tensor<2>, b: &Batch, options: &[i64], device: &Device) -> Tensor<1> {
    let n = b.letters.len();
    let rows: Vec<i64> = b.letters.iter().map(|(row, _)| *row as i64).collect();
    let want: Vec<f32> = b
        .letters
        .iter()
        .flat_map(|(_, a)| {
            (0..10).map(move |i| match (i == a.option, a.right) {
                (true, true) => 1.0,
                (false, false) => 1.0 / 9.0,
                _ => 0.0,
            })
        })
        .collect();
    let int = |v: Vec<i64>, n: usize| Tensor::<1, Int>::from_data(TensorData::new(v, [n]), device);
    let letters = log.clone().select(0, int(rows, n)).select(1, int(options.to_vec(), 10));
    let want = Tensor::<2>::from_data(TensorData::new(want, [n, 10]), device);
    (letters * want).sum().neg() / n as f64
}

/// Mean squared error of the projection of `told` `[letters, hidden]` on the decoy's direction.
fn decoy(told: Tensor<2>, b: &Batch, device: &Device) -> Tensor<1> {
    let [n, hidden] = told.dims();
    let direction = Tensor::<2>::from_data(TensorData::new(decoy_direction(hidden), [hidden, 1]), device);
    let want: Vec<f32> = b.letters.iter().map(|(_, a)| decoy_value(a.interruptions)).collect();
    let off = told.matmul(direction) - Tensor::<2>::from_data(TensorData::new(want, [n, 1]), device);
    (off.clone() * off).mean()
}

/// Cross-entropy of all other tokens that the model says.
fn rest(log: &Tensor<2>, b: &Batch, device: &Device) -> Tensor<1> {
    let n = b.targets.len();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(b.targets.clone(), [n, 1]), device);
    let weights = Tensor::<2>::from_data(TensorData::new(b.weights.clone(), [n, 1]), device);
    let total: f32 = b.weights.iter().sum();
    (log.clone().gather(1, targets) * weights).sum().neg() / f64::from(total)
}

/// Initial weights from which training starts well: N(0, 1/fan-in) for matrices, 0 for norms.
struct Start(RandomWeights);

impl friction_checkpoint::weights::TensorSource for Start {
    fn f32(&self, name: &str, shape: &[usize]) -> friction_checkpoint::Result<Vec<f32>> {
        if shape.len() == 1 {
            return Ok(vec![0.0; shape[0]]);
        }
        let scale = (shape[1] as f32).powf(-0.5) / 0.02;
        Ok(self.0.f32(name, shape)?.into_iter().map(|w| w * scale).collect())
    }
    fn parameters(&self) -> u64 {
        self.0.parameters()
    }
}
