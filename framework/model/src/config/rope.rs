//! RoPE parameters of global and of sliding layers, in both styles of transformers: flat keys (version 4) or
//! `rope_parameters` by layer type (version 5). Where a file has both they must agree.
use super::reader::{Reader, above};
use crate::Result;
use serde_json::Value;

/// RoPE base θ and the linear factor by which positions are divided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frequencies {
    pub theta: f64,
    pub factor: f64,
}

/// The values that one table gives; `None` where it gives none.
#[derive(Default)]
struct Said {
    theta: Option<f64>,
    factor: Option<f64>,
}

/// RoPE parameters of global, then of sliding layers.
///
/// # Errors
/// When a scaling type is not computed here, or two keys disagree.
pub(super) fn read(r: &Reader) -> Result<[Frequencies; 2]> {
    let tables = match r.present("rope_parameters") {
        None => None,
        Some(Value::Object(tables)) => Some(tables),
        Some(_) => return Err(r.err(format!("{} must be a table", r.name("rope_parameters")))),
    };
    let kinds = ["full_attention", "sliding_attention"];
    if let Some((key, _)) =
        tables.iter().flat_map(|t| t.iter()).find(|(k, v)| !kinds.contains(&k.as_str()) && !v.is_null())
    {
        return Err(r.err(format!(
            "{} is not known: a Gemma 3 has `full_attention` and `sliding_attention` there, each a table",
            r.name(&format!("rope_parameters.{key}"))
        )));
    }
    let table = |kind: &str| -> Result<(String, Said)> {
        let name = format!("rope_parameters.{kind}");
        let v = tables.and_then(|t| t.get(kind)).filter(|v| !v.is_null());
        let said = v.map(|v| said(r, &name, v)).transpose()?.unwrap_or_default();
        Ok((name, said))
    };
    let flat = |key: &str| -> Result<(String, Said)> { Ok((key.into(), Said { theta: r.above(key)?, factor: None })) };
    let scaling = r.present("rope_scaling").map(|v| said(r, "rope_scaling", v)).transpose()?.unwrap_or_default();
    let global = [table(kinds[0])?, ("rope_scaling".into(), scaling), flat("rope_theta")?];
    let sliding = [table(kinds[1])?, flat("rope_local_base_freq")?];
    let of = |all: &[(String, Said)], theta: f64| -> Result<Frequencies> {
        Ok(Frequencies {
            theta: agreed(r, "θ", all.iter().map(|(n, s)| (n, s.theta)))?.unwrap_or(theta),
            factor: agreed(r, "the factor", all.iter().map(|(n, s)| (n, s.factor)))?.unwrap_or(1.0),
        })
    };
    Ok([of(&global, 1e6)?, of(&sliding, 1e4)?])
}

/// The common value of all sources that give one; `None` where none does.
fn agreed<'a>(r: &Reader, what: &str, all: impl Iterator<Item = (&'a String, Option<f64>)>) -> Result<Option<f64>> {
    let mut found: Option<(&String, f64)> = None;
    for (name, value) in all.filter_map(|(n, v)| v.map(|v| (n, v))) {
        match found {
            Some((first, v)) if v != value => {
                let (first, second) = (r.name(first), r.name(name));
                return Err(r.err(format!("{first} and {second} disagree on {what}: {v} and {value}; remove one")));
            }
            Some(_) => {}
            None => found = Some((name, value)),
        }
    }
    Ok(found.map(|(_, v)| v))
}

/// Reads one table of RoPE parameters and refuses what is not computed.
fn said(r: &Reader, name: &str, v: &Value) -> Result<Said> {
    let at = |key: &str| r.name(&format!("{name}.{key}"));
    let table = v.as_object().ok_or_else(|| r.err(format!("{} must be a table, not {v}", r.name(name))))?;
    let present = |key: &str| table.get(key).filter(|v| !v.is_null());
    let mut kind: Option<&str> = None;
    for key in ["rope_type", "type"] {
        let Some(v) = present(key) else { continue };
        match v.as_str() {
            Some("default" | "linear") if kind.is_none_or(|k| Some(k) == v.as_str()) => kind = v.as_str(),
            Some("default" | "linear") => return Err(r.err(format!("{} and {} disagree", at("rope_type"), at(key)))),
            _ => {
                return Err(r.err(format!(
                    "{} is {v}; friction computes `default` and `linear` RoPE for a Gemma 3, and no other",
                    at(key)
                )));
            }
        }
    }
    let number = |key: &str| -> Result<Option<f64>> {
        present(key).map(|v| above(v).map_err(|m| r.err(format!("{} {m}", at(key))))).transpose()
    };
    for (key, v) in table.iter().filter(|(_, v)| !v.is_null()) {
        let means_nothing = match key.as_str() {
            // Neither `default` nor `linear` uses the original context length.
            "rope_type" | "type" | "factor" | "rope_theta" | "original_max_position_embeddings" => true,
            "partial_rotary_factor" | "attention_factor" => v.as_f64() == Some(1.0),
            _ => false,
        };
        if !means_nothing {
            return Err(r.err(format!("{} = {v} is not computed for a Gemma 3", at(key))));
        }
    }
    let factor = match (kind, number("factor")?) {
        (Some("linear"), None) => {
            return Err(r.err(format!("{} is missing, and `linear` scaling needs it", at("factor"))));
        }
        (Some("linear"), Some(f)) => Some(f),
        (_, Some(f)) if f != 1.0 => {
            return Err(r.err(format!("{} = {f}, but {} is not `linear`", at("factor"), at("rope_type"))));
        }
        (Some(_), _) | (None, Some(_)) => Some(1.0),
        (None, None) => None,
    };
    Ok(Said { theta: number("rope_theta")?, factor })
}
