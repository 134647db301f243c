//! Activations to train on: from the taps of a run, or from a corpus that a model reads.
use burn::tensor::{DType, Tensor};
use friction_checkpoint::Checkpoint;
use friction_core::manifest::BackendKind;
use friction_core::{ConversationId, Error, Position, Result, RunReader, Site};
use friction_model::cache::CacheShape;
use friction_model::model::floats;
use friction_model::{Model, Probe, Segment, Step};
use std::collections::BTreeSet;

/// Training and held-out activations, row-major `[tokens, width]`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tokens {
    /// Activations to train on.
    pub learnt: Vec<f32>,
    /// Held-out activations, for evaluation.
    pub held: Vec<f32>,
    /// Width of a row.
    pub width: usize,
}

/// The tapped activations of a run's unedited arm at one site and position, of all samples; every fifth group is held
/// out. `bos` says whether prompts begin with BOS, which is left out, because its norm is an outlier; so are turns without a
/// token there, and padding.
///
/// # Errors
/// When they were not tapped, their widths differ, a number is not finite, or the run has fewer than five groups with
/// tokens.
pub fn of_run(run: &dyn RunReader, site: Site, position: Position, bos: bool) -> Result<Tokens> {
    let mut out = Tokens::default();
    let conversations: BTreeSet<ConversationId> =
        run.turns().iter().filter(|t| t.arm.is_empty()).map(|t| t.conversation()).collect();
    for conversation in conversations {
        let group = conversation.group;
        let tap = run
            .tap(conversation, site, position)?
            .ok_or_else(|| Error::other(format!("the run holds no tap of `{site}` at `{position}`")))?;
        if tap.shape[2] == 0 || (out.width != 0 && out.width != tap.shape[2]) {
            return Err(Error::other(format!(
                "the run's taps of `{site}` are {} wide in group {group} and {} before it: they are broken",
                tap.shape[2], out.width
            )));
        }
        out.width = tap.shape[2];
        let to = if group % 5 == 4 { &mut out.held } else { &mut out.learnt };
        for turn in 1..=tap.shape[0] as u32 {
            let broken = || Error::other(format!("the tap of `{site}` in group {group} ends before turn {turn}"));
            let tokens = tap.tokens(turn).ok_or_else(broken)?;
            if tokens.iter().any(|row| !row.iter().all(|v| v.is_finite())) {
                let ConversationId { condition, sample, .. } = conversation;
                return Err(Error::other(format!(
                    "the activations at `{site}` are not finite in turn {turn} of group {group}, condition `{condition}`, sample {sample}"
                )));
            }
            let skipped = usize::from(bos && position == Position::All && turn == 1);
            tokens.into_iter().skip(skipped).for_each(|row| to.extend_from_slice(row));
        }
    }
    if out.width == 0 {
        return Err(Error::other("the run has no untouched conversation: training reads those alone"));
    }
    if out.learnt.is_empty() || out.held.is_empty() {
        return Err(Error::other(format!(
            "training needs 5 groups or more that have a token at `{position}`: every fifth is held out"
        )));
    }
    Ok(out)
}

/// A probe that collects one site of every token except the first ones.
struct Reader {
    site: Site,
    /// Number of tokens that are left out: 1 with BOS, else 0.
    first: usize,
    rows: Vec<f32>,
}

impl Probe for Reader {
    fn wants(&self, site: Site) -> bool {
        site == self.site
    }
    fn at(&mut self, _: Site, x: Tensor<2>) -> Tensor<2> {
        let width = x.dims()[1];
        self.rows.extend(&floats(&x.clone().into_data())[self.first * width..]);
        x
    }
}

/// Settings for reading a corpus.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Site whose activations are collected.
    pub site: Site,
    /// Longest prefix of a text that is read, in tokens, BOS included; at least 2 with BOS, else 1.
    pub context: usize,
    /// Number of collected tokens after which reading stops.
    pub limit: usize,
    /// Backend that the model runs on.
    pub backend: BackendKind,
    /// Index of the device.
    pub device: usize,
}

/// The activations of texts, each read on its own, after BOS where the model has one; every fifth text is held out.
/// `progress` is called with the tokens read of each text.
///
/// # Errors
/// When the model lacks the site, its weights cannot be read, the context is too short, or there are fewer than five
/// texts.
pub fn of_corpus(
    checkpoint: &Checkpoint,
    texts: &[String],
    r: &Reading,
    progress: &mut dyn FnMut(u64),
) -> Result<Tokens> {
    let first = usize::from(checkpoint.arch.bos.is_some());
    if r.context <= first {
        return Err(Error::config(format!(
            "a context of {} tokens holds none that is read: it must be {} or more",
            r.context,
            first + 1
        )));
    }
    let width = checkpoint.arch.spec(&checkpoint.source.to_string()).width(r.site)?;
    let tokenizer = checkpoint.tokenizer().map_err(Error::other)?;
    let device = friction_model::device::open(r.backend, r.device).map_err(Error::other)?;
    let weights = checkpoint.open().map_err(Error::other)?;
    let model =
        Model::load(&checkpoint.arch, weights.as_ref(), &device, DType::F32, &mut |_| {}).map_err(Error::other)?;
    let mut out = Tokens { width, ..Tokens::default() };
    for (i, text) in texts.iter().enumerate() {
        let mut ids: Vec<u32> = checkpoint.arch.bos.into_iter().collect();
        ids.extend(tokenizer.encode(text).map_err(Error::other)?);
        ids.truncate(r.context);
        let n = ids.len();
        if n <= first {
            continue;
        }
        let mut cache = model.cache(CacheShape::new(&model.arch, 1, n, n));
        let step = Step { ids, segments: vec![Segment { slot: 0, start: 0, len: n }], logits: vec![] };
        let mut reader = Reader { site: r.site, first, rows: vec![] };
        model.forward(&step, &mut cache, &mut reader).map_err(Error::other)?;
        progress((n - first) as u64);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::{TapArray, TurnRow};

    /// Five groups of two samples and two turns: one token in the first turn and two in the second, padded. Each number
    /// says group, sample, turn and token. `reply` has no token in the first turn of the second sample.
    struct Run(Vec<TurnRow>);

    impl RunReader for Run {
        fn name(&self) -> &str {
            "memory"
        }
        fn seed(&self) -> u64 {
            1
        }
        fn turns(&self) -> &[TurnRow] {
            &self.0
        }
        fn tap(&self, of: ConversationId, _: Site, position: Position) -> Result<Option<TapArray>> {
            let at = (1000 * of.group + 100 * of.sample) as f32;
            let first = if position == Position::ReplyAll && of.sample == 1 { f32::NAN } else { at + 10.0 };
            Ok(Some(TapArray { shape: [2, 2, 1], data: vec![first, f32::NAN, at + 20.0, at + 21.0] }))
        }
        fn findings(&self, _: &str) -> Option<serde_json::Value> {
            None
        }
    }

    fn run(groups: u32, arm: &str) -> Run {
        let turn = |group, sample, turn| TurnRow { group, sample, turn, arm: arm.into(), ..TurnRow::default() };
        Run((0..groups)
            .flat_map(|g| (0..2).flat_map(move |s| [(g, s, 1), (g, s, 2)]))
            .map(|(g, s, t)| turn(g, s, t))
            .collect())
    }

    #[test]
    fn all_samples_are_read_without_padding_and_without_the_bos_of_each() {
        let of = |position| of_run(&run(5, ""), Site::Embed, position, true).unwrap();
        let all = of(Position::All);
        assert_eq!(all.held, [4020.0, 4021.0, 4120.0, 4121.0]);
        assert_eq!((all.learnt.len(), all.width), (16, 1));
        // Without BOS the first token is one as any.
        let plain = of_run(&run(5, ""), Site::Embed, Position::All, false).unwrap();
        assert_eq!(plain.held, [4010.0, 4020.0, 4021.0, 4110.0, 4120.0, 4121.0]);
        assert_eq!(of(Position::ReplyAll).held, [4010.0, 4020.0, 4021.0, 4120.0, 4121.0]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let e = |run: Run| of_run(&run, Site::Embed, Position::PromptEnd, true).unwrap_err().to_string();
        assert!(e(run(4, "")).contains("5 groups or more that have a token at `prompt-end`"));
        assert!(e(run(5, "on")).contains("no untouched conversation"));
    }
}
