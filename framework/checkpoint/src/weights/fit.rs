//! Checks a checkpoint's tensors against its configuration, and finds the unembedding.
use super::safetensors::{Entry, HEAD, SafetensorsFiles, decoder};
use crate::{Arch, Error, Result};
use rayon::prelude::*;
use std::collections::BTreeSet;

const EMBEDDING: &str = "embed_tokens.weight";

impl SafetensorsFiles {
    /// Checks these tensors against a configuration. With tied embeddings, either of `embed_tokens.weight` and
    /// `lm_head.weight` serves as both, as in transformers; untied, both are needed.
    ///
    /// # Errors
    /// When there is a tensor that the model does not use, one is missing or has another shape, or a tied head differs from
    /// the embedding.
    pub fn fit(self, c: &Arch) -> Result<Self> {
        let tensors = c.tensors();
        let fitted = self.headed(c, &tensors.iter().map(|(name, _)| name.as_str()).collect())?;
        tensors.iter().try_for_each(|(name, shape)| fitted.entry(name, shape).map(|_| ()))?;
        Ok(fitted)
    }

    /// Refuses tensors that are not among those that are read, and settles which is the unembedding.
    fn headed(mut self, c: &Arch, read: &BTreeSet<&str>) -> Result<Self> {
        if let Some((_, e)) = self.entries.iter().find(|(name, _)| !read.contains(name.as_str()) && *name != HEAD) {
            return Err(Error::format(
                &self.shards[e.shard].0,
                format!(
                    "tensor `{}` belongs to no {} of {} layers: what it changes would not be computed",
                    e.own,
                    c.family.name,
                    c.layers()
                ),
            ));
        }
        let first = self.first().to_path_buf();
        let wrong = |m: String| Err(Error::format(first, m));
        match (c.tied, self.entries.get(EMBEDDING), self.entries.get(HEAD)) {
            (false, _, None) => wrong(format!(
                "`tie_word_embeddings` is false (or not set, and false by default), but there is no `{HEAD}`; set it to true if the embedding is the unembedding"
            )),
            (true, Some(embedding), Some(head)) if !self.equal(embedding, head)? => wrong(format!(
                "`tie_word_embeddings` is true (or not set, which means true), but `{}` differs from `{}`; set it to false in config.json, or remove the tensor",
                head.own, embedding.own
            )),
            (true, Some(_), Some(_)) => {
                self.entries.remove(HEAD);
                Ok(self)
            }
            (true, None, Some(_)) => {
                if let Some(head) = self.entries.remove(HEAD) {
                    self.entries.insert(EMBEDDING.into(), head);
                }
                Ok(self)
            }
            _ => Ok(self),
        }
    }

    /// Whether two tensors hold the same numbers, whatever their dtypes.
    fn equal(&self, a: &Entry, b: &Entry) -> Result<bool> {
        if a.shape != b.shape {
            return Ok(false);
        }
        let of = |e: &Entry| -> Result<_> {
            let (path, name) = (&self.shards[e.shard].0, &e.own);
            let bytes = self.bytes(e).ok_or_else(|| Error::format(path, format!("tensor `{name}` is cut off")))?;
            let (wide, decode) = decoder(e.dtype).map_err(|m| Error::format(path, format!("tensor `{name}` {m}")))?;
            Ok((bytes, wide, decode))
        };
        let ((x, wide_x, read_x), (y, wide_y, read_y)) = (of(a)?, of(b)?);
        if a.dtype == b.dtype && x == y {
            return Ok(true);
        }
        if x.len() / wide_x != y.len() / wide_y {
            return Ok(false);
        }
        let pairs = x.par_chunks(wide_x << 16).zip(y.par_chunks(wide_y << 16));
        Ok(pairs.all(|(x, y)| {
            let mut pairs = x.chunks_exact(wide_x).zip(y.chunks_exact(wide_y));
            pairs.all(|(x, y)| read_x(x) == read_y(y))
        }))
    }
}
