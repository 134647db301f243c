//! Reads findings of this version and of those before, which libraries may still send.
use super::{Block, Body, Estimate, Figure, Findings, Table};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The keys of all versions. Versions before wrote lists by kind in place of `blocks`. A key that none wrote is an
/// error, so that a misspelt one is not lost.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Written {
    question: Option<String>,
    blocks: Vec<Block>,
    values: Map<String, Value>,
    #[serde(with = "crate::json::files")]
    files: Vec<(String, Vec<u8>)>,
    estimates: Vec<Estimate>,
    summary: Vec<String>,
    warnings: Vec<String>,
    tables: Vec<Table>,
    figures: Vec<Figure>,
}

impl From<Written> for Findings {
    fn from(w: Written) -> Self {
        let mut blocks = w.blocks;
        // In the order in which versions before showed them.
        blocks.extend(w.estimates.into_iter().map(Block::new));
        blocks.extend(w.summary.into_iter().map(|s| Block::new(Body::Text(s))));
        blocks.extend(w.tables.into_iter().map(Block::new));
        blocks.extend(w.figures.into_iter().map(Block::new));
        blocks.extend(w.warnings.into_iter().map(|s| Block::new(Body::Warning(s))));
        Self { question: w.question, blocks, values: w.values, files: w.files, section: None }
    }
}
