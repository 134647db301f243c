//! Configurations of autoencoders, and the sites that those of Gemma Scope 2 and SAELens name.
use crate::{lens, release};
use friction_core::{Error, Result, Site};
use serde_json::Value;
use std::path::Path;

/// The sites that an autoencoder reads and reconstructs, from a configuration of Gemma Scope 2 or SAELens alone.
///
/// # Errors
/// When the configuration cannot be read, or a transcoder's names no known site that it reconstructs.
pub fn sites(config: &Path) -> Result<(Option<Site>, Option<Site>)> {
    let c = read(config)?;
    let sites = if release::is(&c) { release::sites(&c) } else { lens::sites(&c) };
    sites.map_err(|what| Error::config(format!("{}: {what}", config.display())))
}

/// Largest configuration file that is read, in bytes. Those of training runs have some hundred keys.
const LONGEST: u64 = 1 << 20;

/// Reads a configuration.
///
/// # Errors
/// When it is missing, too long, or no JSON object.
pub(crate) fn read(config: &Path) -> Result<Value> {
    let wrong = |what: String| Error::config(format!("{}: {what}", config.display()));
    let length = std::fs::metadata(config).map_err(|e| wrong(e.to_string()))?.len();
    if length > LONGEST {
        return Err(wrong(format!("is {length} bytes long: no configuration of an autoencoder")));
    }
    let text = std::fs::read_to_string(config).map_err(|e| wrong(e.to_string()))?;
    let c = friction_checkpoint::json::value(&text).map_err(|e| wrong(e.to_string()))?;
    if c.is_object() { Ok(c) } else { Err(wrong("is no JSON object".into())) }
}
