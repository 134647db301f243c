//! Which layers attend globally, and the window of the others.
use super::reader::Reader;
use crate::Result;
use serde_json::Value;

/// Largest accepted number of layers.
const MOST: usize = 4096;
/// Default pattern: every sixth layer attends globally.
const EVERY: usize = 6;

/// Per layer, whether it attends globally: from `layer_types`, or `sliding_window_pattern`, or the default.
///
/// # Errors
/// When two keys disagree or a layer type is not known.
pub(super) fn global(r: &Reader) -> Result<Vec<bool>> {
    let layers = r.size("num_hidden_layers", 26)?;
    if layers > MOST {
        return Err(r.err(format!("{} = {layers} is out of range", r.name("num_hidden_layers"))));
    }
    let every = |n: usize| -> Vec<bool> { (0..layers).map(|i| (i + 1).is_multiple_of(n)).collect() };
    let pattern = r.whole("sliding_window_pattern")?;
    // transformers writes this key itself and never reads it. It is used only to detect a contradiction.
    let echo = r.whole("_sliding_window_pattern")?;
    let contradicts = |key: &str, n: usize, what: &str| {
        Err(r.err(format!("{} = {n} contradicts {what}; correct one of them", r.name(key))))
    };
    let Some(types) = r.present("layer_types") else {
        let n = pattern.unwrap_or(EVERY);
        return match echo {
            Some(e) if every(e) != every(n) => {
                contradicts("_sliding_window_pattern", e, &format!("`sliding_window_pattern`, which is {n}"))
            }
            _ => Ok(every(n)),
        };
    };
    let name = r.name("layer_types");
    let Value::Array(types) = types else { return Err(r.err(format!("{name} must be a list"))) };
    if types.len() != layers {
        return Err(r.err(format!("{name} has {} entries for {layers} layers", types.len())));
    }
    let global = types
        .iter()
        .map(|t| match t.as_str() {
            Some("full_attention") => Ok(true),
            Some("sliding_attention") => Ok(false),
            _ => Err(r.err(format!("unknown layer type {t} in {name}"))),
        })
        .collect::<Result<Vec<_>>>()?;
    match pattern {
        Some(n) if every(n) != global => contradicts("sliding_window_pattern", n, &name),
        _ => Ok(global),
    }
}

/// Window of the sliding layers, in keys.
///
/// # Errors
/// When it is null although a layer slides, or out of range.
pub(super) fn window(r: &Reader, global: &[bool]) -> Result<usize> {
    const DEFAULT: usize = 4096;
    if r.map.get("sliding_window") == Some(&Value::Null) && global.iter().all(|g| *g) {
        return Ok(DEFAULT);
    }
    r.size("sliding_window", DEFAULT)
}
