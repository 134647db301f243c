//! Which layers slide, their window, and which have RoPE.
use super::Reader;
use crate::Result;
use crate::arch::{Arch, LayerKind, RopeParameters};
use serde_json::Value;

/// Largest accepted number of layers.
pub(crate) const MOST: usize = 4096;
/// Default pattern of Gemma 3: every sixth layer attends to everything.
const EVERY: usize = 6;

/// Number of layers.
///
/// # Errors
/// When it is out of range.
pub(crate) fn count(r: &Reader, default: usize) -> Result<usize> {
    let layers = r.size("num_hidden_layers", default)?;
    if layers > MOST {
        return Err(r.err(format!("{} = {layers} is out of range", r.name("num_hidden_layers"))));
    }
    Ok(layers)
}

/// Per layer, whether it slides, from `layer_types`; `None` where the key is absent or null.
///
/// # Errors
/// When it is no list of `layers` known types.
pub(crate) fn types(r: &Reader, layers: usize) -> Result<Option<Vec<bool>>> {
    let Some(types) = r.present("layer_types") else { return Ok(None) };
    let name = r.name("layer_types");
    let Value::Array(types) = types else { return Err(r.err(format!("{name} must be a list"))) };
    if types.len() != layers {
        return Err(r.err(format!("{name} has {} entries for {layers} layers", types.len())));
    }
    let slides = types.iter().map(|t| match t.as_str() {
        Some("full_attention") => Ok(false),
        Some("sliding_attention") => Ok(true),
        _ => Err(r.err(format!("unknown layer type {t} in {name}"))),
    });
    slides.collect::<Result<Vec<_>>>().map(Some)
}

/// Per layer of a Gemma 3, whether it slides: from `layer_types`, or `sliding_window_pattern`, or the default.
///
/// # Errors
/// When two keys disagree or a layer type is not known.
pub(crate) fn by_pattern(r: &Reader, layers: usize) -> Result<Vec<bool>> {
    let every = |n: usize| -> Vec<bool> { (0..layers).map(|i| !(i + 1).is_multiple_of(n)).collect() };
    let pattern = r.whole("sliding_window_pattern")?;
    // transformers writes this key itself and never reads it. It is used only to detect a contradiction.
    let echo = r.whole("_sliding_window_pattern")?;
    let contradicts = |key: &str, n: usize, what: &str| {
        Err(r.err(format!("{} = {n} contradicts {what}; correct one of them", r.name(key))))
    };
    let Some(slides) = types(r, layers)? else {
        let n = pattern.unwrap_or(EVERY);
        return match echo {
            Some(e) if every(e) != every(n) => {
                contradicts("_sliding_window_pattern", e, &format!("`sliding_window_pattern`, which is {n}"))
            }
            _ => Ok(every(n)),
        };
    };
    match pattern {
        Some(n) if every(n) != slides => contradicts("sliding_window_pattern", n, &r.name("layer_types")),
        _ => Ok(slides),
    }
}

/// The window in keys; `None` where the key is null. `default` where it is absent.
///
/// # Errors
/// When it is out of range.
pub(crate) fn window_or_none(r: &Reader, default: Option<usize>) -> Result<Option<usize>> {
    match r.map.contains_key("sliding_window") {
        true => r.whole("sliding_window"),
        false => Ok(default),
    }
}

/// Gives layers that slide a window.
///
/// # Errors
/// When a layer slides and there is no window.
pub(crate) fn with_window(r: &Reader, arch: Arch, window: Option<usize>, slides: &[bool]) -> Result<Arch> {
    if slides.contains(&true) && window.is_none() {
        return Err(r.err(format!("a layer slides, and {} says no window", r.name("sliding_window"))));
    }
    Ok(sliding(arch, window, |l| slides[l]))
}

/// Gives the layers that `slides` names a window, and the others none.
pub(crate) fn sliding(arch: Arch, window: Option<usize>, slides: impl Fn(usize) -> bool) -> Arch {
    map_kinds(arch, |l, kind| LayerKind { window: window.filter(|_| slides(l)), ..kind })
}

/// Gives sliding layers another RoPE.
pub(crate) fn with_rope(arch: Arch, sliding: RopeParameters) -> Arch {
    map_kinds(arch, |_, kind| LayerKind { rope: if kind.window.is_some() { Some(sliding) } else { kind.rope }, ..kind })
}

/// Takes RoPE away from layers that have none.
pub(crate) fn without_rope(arch: Arch, rotates: &[bool]) -> Arch {
    map_kinds(arch, |l, kind| LayerKind { rope: kind.rope.filter(|_| rotates[l]), ..kind })
}

/// Changes the kind of each layer, given by its index; kinds that are equal are one.
fn map_kinds(arch: Arch, of: impl Fn(usize, LayerKind) -> LayerKind) -> Arch {
    let (mut kinds, mut layer_kinds): (Vec<LayerKind>, Vec<usize>) = (vec![], vec![]);
    for l in 0..arch.layers() {
        let kind = of(l, *arch.kind(l));
        let at = kinds.iter().position(|k| *k == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        layer_kinds.push(at);
    }
    Arch { kinds, layer_kinds, ..arch }
}
