//! Embeddings of texts by a sentence-transformers checkpoint of the BERT family (Devlin et al. 2019, arXiv 1810.04805;
//! Reimers & Gurevych 2019, arXiv 1908.10084), on the processor: the text's tokens through the encoder, the mean of the
//! last layer's outputs over the tokens, and the division by its length where the checkpoint says so.
mod config;
mod files;
mod network;
#[cfg(test)]
pub(crate) mod tests;
mod text;

use config::{BertConfig, Modules};
use files::Files;
use friction_core::{Error, Result};
use network::Bert;
use std::path::Path;
use text::Encoder;

/// Most tokens, padding included, that are computed at once. They bound the memory: a layer's attention takes
/// `heads` × 4 bytes for each pair of tokens of a text.
const TOKENS: usize = 4096;

/// A checkpoint of sentence-transformers, loaded.
pub(crate) struct SentenceModel {
    bert: Bert,
    encoder: Encoder,
    normalize: bool,
    /// SHA-256, in hexadecimal, of the files that were read.
    pub sha256: String,
}

impl SentenceModel {
    /// Loads a checkpoint: `hf:owner/name` from the hub, or `path:folder`, relative to `base`.
    ///
    /// # Errors
    /// At the keys `model` and `revision`: if the files cannot be had, are malformed, or describe something that is not
    /// computed here, which the message names.
    pub fn open(source: &str, revision: Option<&str>, base: &Path) -> Result<Self> {
        let mut files = Files::of(source, revision, base)?;
        Self::read(&mut files).map_err(|e| match e.under("model") {
            // Errors of the hub begin with the source already.
            e if e.to_string().starts_with(source) => e,
            e => e.within(source),
        })
    }

    fn read(files: &mut Files) -> Result<Self> {
        let modules = Modules::read(files)?;
        let config = BertConfig::read(files, &modules)?;
        let encoder = Encoder::read(files, &modules, &config)?;
        let bert = Bert::load(files.weights(&modules.folder)?.as_ref(), &config)?;
        Ok(Self { bert, encoder, normalize: modules.normalize, sha256: files.sha256() })
    }

    /// The embedding of each text.
    ///
    /// # Errors
    /// If a text cannot be tokenised, or its embedding is not finite.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let ids = texts.iter().map(|t| self.encoder.encode(t)).collect::<Result<Vec<_>>>()?;
        // Texts of like length are computed together, so that there is little padding.
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(ids[*i].len()));
        let mut out = vec![vec![]; ids.len()];
        let mut rest = order.as_slice();
        while let Some(first) = rest.first() {
            let (now, later) = rest.split_at((TOKENS / ids[*first].len()).clamp(1, rest.len()));
            let batch: Vec<&[u32]> = now.iter().map(|i| ids[*i].as_slice()).collect();
            for (i, mut vector) in now.iter().zip(self.bert.means(&batch)?) {
                if vector.iter().any(|x| !x.is_finite()) {
                    return Err(Error::other(format!("the embedding of {:?} is not finite", texts[*i])));
                }
                if self.normalize {
                    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
                    vector.iter_mut().for_each(|x| *x /= length);
                }
                out[*i] = vector;
            }
            rest = later;
        }
        Ok(out)
    }
}
