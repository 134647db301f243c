//! RoPE parameters, in both styles of transformers: flat keys (version 4) or `rope_parameters` (version 5), by layer type
//! where layers differ. Where a file has both they must agree.
use super::{Reader, above};
use crate::Result;
use crate::arch::{RopeParameters, Scaling};
use serde_json::{Map, Value};
use std::fmt;

/// The values that one table gives; `None` where it gives none.
#[derive(Default)]
struct Said {
    theta: Option<f64>,
    scaling: Option<Scaling>,
}

/// A scaling in an error message: the factor of those that are one number.
struct Told(Scaling);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scaling::Default => write!(f, "1"),
            Scaling::Linear(factor) => write!(f, "{factor}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// RoPE of a family whose layers are alike. `theta` is its default base.
///
/// # Errors
/// When a scaling type is not computed here, or two keys disagree.
pub(crate) fn uniform(r: &Reader, theta: f64) -> Result<RopeParameters> {
    let flat = Said { theta: r.above("rope_theta")?, scaling: None };
    let of = |key: &str| -> Result<(String, Said)> {
        let said = r.present(key).map(|v| said(r, key, v)).transpose()?;
        Ok((key.to_string(), said.unwrap_or_default()))
    };
    merged(r, &[of("rope_parameters")?, of("rope_scaling")?, ("rope_theta".into(), flat)], theta)
}

/// RoPE of full, then of sliding layers, of a family whose layers differ. `theta` holds the default bases. What is flat is
/// said of full layers, and the base of both where `local`, the key of the base of sliding layers, is `None`.
///
/// # Errors
/// As [`uniform`].
pub(crate) fn by_kind(r: &Reader, theta: [f64; 2], local: Option<&str>) -> Result<[RopeParameters; 2]> {
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
            "{} is not known: this family has `full_attention` and `sliding_attention` there, each a table",
            r.name(&format!("rope_parameters.{key}"))
        )));
    }
    let table = |kind: &str| -> Result<(String, Said)> {
        let name = format!("rope_parameters.{kind}");
        let v = tables.and_then(|t| t.get(kind)).filter(|v| !v.is_null());
        let said = v.map(|v| said(r, &name, v)).transpose()?.unwrap_or_default();
        Ok((name, said))
    };
    let flat = |key: &str| -> Result<(String, Said)> { Ok((key.into(), Said { theta: r.above(key)?, scaling: None })) };
    let scaling = r.present("rope_scaling").map(|v| said(r, "rope_scaling", v)).transpose()?.unwrap_or_default();
    let full = [table(kinds[0])?, ("rope_scaling".into(), scaling), flat("rope_theta")?];
    let sliding = [table(kinds[1])?, flat(local.unwrap_or("rope_theta"))?];
    Ok([merged(r, &full, theta[0])?, merged(r, &sliding, theta[1])?])
}

fn merged(r: &Reader, all: &[(String, Said)], theta: f64) -> Result<RopeParameters> {
    let thetas = all.iter().map(|(n, s)| (n, s.theta));
    let scalings = all.iter().map(|(n, s)| (n, s.scaling.map(Told)));
    Ok(RopeParameters {
        theta: agreed(r, "θ", thetas, |a, b| a == b)?.unwrap_or(theta),
        scaling: agreed(r, "the factor", scalings, |a, b| a.0 == b.0)?.map_or(Scaling::Default, |t| t.0),
    })
}

/// The common value of all sources that give one; `None` where none does.
fn agreed<'a, T: fmt::Display>(
    r: &Reader,
    what: &str,
    all: impl Iterator<Item = (&'a String, Option<T>)>,
    same: impl Fn(&T, &T) -> bool,
) -> Result<Option<T>> {
    let mut found: Option<(&String, T)> = None;
    for (name, value) in all.filter_map(|(n, v)| v.map(|v| (n, v))) {
        match &found {
            Some((first, v)) if !same(v, &value) => {
                let (first, second) = (r.name(first), r.name(name));
                return Err(r.err(format!("{first} and {second} disagree on {what}: {v} and {value}; remove one")));
            }
            Some(_) => {}
            None => found = Some((name, value)),
        }
    }
    Ok(found.map(|(_, v)| v))
}

/// One table of RoPE parameters.
struct Table<'a> {
    r: &'a Reader<'a>,
    name: &'a str,
    map: &'a Map<String, Value>,
}

impl Table<'_> {
    fn at(&self, key: &str) -> String {
        self.r.name(&format!("{}.{key}", self.name))
    }

    fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|v| !v.is_null())
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        let wrong = |m: String| self.r.err(format!("{} {m}", self.at(key)));
        self.present(key).map(|v| above(v).map_err(wrong)).transpose()
    }

    fn needed(&self, kind: &str, key: &str) -> Result<f64> {
        let missing = || self.r.err(format!("{} is missing, and `{kind}` scaling needs it", self.at(key)));
        self.number(key)?.ok_or_else(missing)
    }

    /// Context length of pretraining: the outer key first, as in transformers; else the table's; else the model's.
    fn original(&self) -> Result<f64> {
        const KEY: &str = "original_max_position_embeddings";
        let outer = if self.name.contains('.') { None } else { self.r.above(KEY)? };
        let own = outer.or(self.number(KEY)?).or(self.r.above("max_position_embeddings")?);
        own.ok_or_else(|| self.r.err(format!("{} is missing", self.at(KEY))))
    }

    /// The type of scaling, under either of its keys.
    fn kind(&self) -> Result<Option<&str>> {
        const KNOWN: [&str; 4] = ["default", "linear", "llama3", "yarn"];
        let mut kind: Option<&str> = None;
        for key in ["rope_type", "type"] {
            let Some(v) = self.present(key) else { continue };
            match v.as_str().filter(|k| KNOWN.contains(k)) {
                Some(k) if kind.is_none_or(|other| other == k) => kind = Some(k),
                Some(_) => return Err(self.r.err(format!("{} and {} disagree", self.at("rope_type"), self.at(key)))),
                None => {
                    return Err(self.r.err(format!(
                        "{} is {v}; friction computes `default`, `linear`, `llama3` and `yarn` RoPE, and no other",
                        self.at(key)
                    )));
                }
            }
        }
        Ok(kind)
    }

    /// Refuses keys that the type does not read and that could mean something.
    fn known(&self, kind: Option<&str>) -> Result<()> {
        let own: &[&str] = match kind {
            Some("llama3") => &["low_freq_factor", "high_freq_factor"],
            Some("yarn") => &["attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"],
            _ => &[],
        };
        for (key, v) in self.map.iter().filter(|(_, v)| !v.is_null()) {
            let read = match key.as_str() {
                // `default` and `linear` do not use the original context length.
                "rope_type" | "type" | "factor" | "rope_theta" | "original_max_position_embeddings" => true,
                "partial_rotary_factor" | "attention_factor" if v.as_f64() == Some(1.0) => true,
                key => own.contains(&key),
            };
            if !read {
                let kind = kind.unwrap_or("default");
                return Err(self.r.err(format!("{} = {v} is not computed with `{kind}` RoPE", self.at(key))));
            }
        }
        Ok(())
    }

    fn scaling(&self) -> Result<Option<Scaling>> {
        let kind = self.kind()?;
        self.known(kind)?;
        Ok(match (kind, self.number("factor")?) {
            (Some("linear"), _) => Some(Scaling::Linear(self.needed("linear", "factor")?)),
            (Some(k @ "llama3"), _) => Some(Scaling::Llama3 {
                factor: self.needed(k, "factor")?,
                low: self.needed(k, "low_freq_factor")?,
                high: self.needed(k, "high_freq_factor")?,
                original: self.original()?,
            }),
            (Some("yarn"), factor) => Some(self.yarn(factor)?),
            (_, Some(f)) if f != 1.0 => {
                let names = [self.at("factor"), self.at("rope_type")];
                return Err(self.r.err(format!("{} = {f}, but {} is not `linear`", names[0], names[1])));
            }
            (Some(_), _) | (None, Some(_)) => Some(Scaling::Default),
            (None, None) => None,
        })
    }

    /// YaRN with the defaults of transformers.
    fn yarn(&self, factor: Option<f64>) -> Result<Scaling> {
        let original = self.original()?;
        let factor = match factor {
            Some(factor) => factor,
            None => self.r.number("max_position_embeddings", original)? / original,
        };
        let of = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let attention = match (self.number("attention_factor")?, self.number("mscale")?, self.number("mscale_all_dim")?)
        {
            (Some(given), ..) => given,
            (None, Some(scale), Some(all)) => of(scale) / of(all),
            (None, ..) => of(1.0),
        };
        let truncate = match self.present("truncate") {
            None => true,
            Some(Value::Bool(truncate)) => *truncate,
            Some(v) => return Err(self.r.err(format!("{} must be true or false, not {v}", self.at("truncate")))),
        };
        Ok(Scaling::Yarn {
            factor,
            beta_fast: self.number("beta_fast")?.unwrap_or(32.0),
            beta_slow: self.number("beta_slow")?.unwrap_or(1.0),
            original,
            attention,
            truncate,
        })
    }
}

/// Reads one table of RoPE parameters and refuses what is not computed.
fn said(r: &Reader, name: &str, v: &Value) -> Result<Said> {
    let map = v.as_object().ok_or_else(|| r.err(format!("{} must be a table, not {v}", r.name(name))))?;
    let table = Table { r, name, map };
    Ok(Said { theta: table.number("rope_theta")?, scaling: table.scaling()? })
}
