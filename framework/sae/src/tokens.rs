//! Activations token by token: a run's, or a corpus's.
use burn::tensor::{DType, Tensor};
use friction_core::manifest::BackendKind;
use friction_core::{Error, Position, Result, RunReader, Site};
use friction_model::cache::CacheShape;
use friction_model::model::floats;
use friction_model::{Checkpoint, Gemma3, Probe, Segment, Step};
use std::collections::BTreeSet;

/// What is learnt from and what is held out: rows, row-major.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens {
    /// Rows to learn from.
    pub learnt: Vec<f32>,
    /// Rows held out.
    pub held: Vec<f32>,
    /// Their width.
    pub width: usize,
}

/// Tokens of the untouched arm: of four groups in five, and of the fifth, which is held out. No
/// autoencoder reads BOS, whose norm is far out.
///
/// # Errors
/// When they were not tapped, or the run has fewer than five groups.
pub fn of_run(run: &dyn RunReader, site: Site, position: Position) -> Result<Tokens> {
    let mut out = Tokens::default();
    let conversations: BTreeSet<(u32, &str)> =
        run.turns().iter().filter(|t| t.arm.is_empty()).map(|t| (t.group, t.condition.as_str())).collect();
    for (group, condition) in conversations {
        let tap = run
            .tap(group, condition, "", site, position)?
            .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{position}`")))?;
        if tap.shape[2] == 0 || (out.width != 0 && out.width != tap.shape[2]) {
            return Err(Error::other(format!(
                "the run's taps of `{site}` are {} wide in group {group} and {} before it: they are broken",
                tap.shape[2], out.width
            )));
        }
        out.width = tap.shape[2];
        let to = if group % 5 == 4 { &mut out.held } else { &mut out.learnt };
        for (i, token) in tap.data.chunks(out.width).enumerate() {
            let bos = position == Position::All && i == 0;
            if !bos && token.iter().all(|v| v.is_finite()) {
                to.extend_from_slice(token);
            }
        }
    }
    if out.learnt.is_empty() || out.held.is_empty() {
        return Err(Error::other("training needs 5 groups or more: every fifth is held out"));
    }
    Ok(out)
}

/// Reads one site of every token but the first, BOS.
struct Reader {
    site: Site,
    rows: Vec<f32>,
}

impl Probe for Reader {
    fn wants(&self, site: Site) -> bool {
        site == self.site
    }
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        let width = x.dims()[1];
        self.rows.extend(&floats(&x.clone().into_data())[width..]);
        x
    }
}

/// How a corpus is read.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// What is read.
    pub site: Site,
    /// Tokens of a text that are read at most.
    pub context: usize,
    /// Tokens in all.
    pub limit: usize,
    /// Device.
    pub backend: BackendKind,
    /// Its index.
    pub device: usize,
}

/// Tokens of texts, each by itself behind BOS; every fifth text is held out.
///
/// # Errors
/// When the model lacks the site, its weights cannot be read, or there are fewer than five texts.
pub fn of_corpus(
    checkpoint: &Checkpoint,
    texts: &[String],
    r: &Reading,
    progress: &mut dyn FnMut(u64),
) -> Result<Tokens> {
    if r.context < 2 {
        return Err(Error::config(format!(
            "a context of {} tokens holds none but BOS, which is not read: it must be 2 or more",
            r.context
        )));
    }
    let width = checkpoint.config.spec(&checkpoint.source.to_string()).width(r.site)?;
    let tokenizer = checkpoint.tokenizer().map_err(Error::other)?;
    let device = friction_model::device::open(r.backend, r.device).map_err(Error::other)?;
    let weights = checkpoint.open().map_err(Error::other)?;
    let model =
        Gemma3::load(&checkpoint.config, weights.as_ref(), &device, DType::F32, &mut |_| {}).map_err(Error::other)?;
    let mut out = Tokens { width, ..Tokens::default() };
    for (i, text) in texts.iter().enumerate() {
        let mut ids = vec![checkpoint.config.bos];
        ids.extend(tokenizer.encode(text).map_err(Error::other)?);
        ids.truncate(r.context);
        let n = ids.len();
        if n < 2 {
            continue;
        }
        let mut cache = model.cache(CacheShape::new(&model.config, 1, n, n));
        let step = Step { ids, segments: vec![Segment { slot: 0, start: 0, len: n }], logits: vec![] };
        let mut reader = Reader { site: r.site, rows: vec![] };
        model.forward(&step, &mut cache, &mut reader).map_err(Error::other)?;
        progress(n as u64 - 1);
        if i % 5 == 4 { &mut out.held } else { &mut out.learnt }.extend(reader.rows);
        if (out.learnt.len() + out.held.len()) / width >= r.limit {
            break;
        }
    }
    if out.learnt.is_empty() || out.held.is_empty() {
        return Err(Error::other("training needs 5 texts or more: every fifth is held out"));
    }
    Ok(out)
}
