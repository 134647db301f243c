//! `projection`: how far a turn's activations lie along directions, as one number for each.
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Error, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Position, Readings, Result, Site,
    Spoken, Tap, TapView,
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Measures how far each turn's activations lie along directions: the projection x·u on each direction divided by its
/// norm, in units of the activations. It changes nothing, and stores these numbers alone, not the activations.
///
/// It writes the column `reading_<hook>.<direction>` in each turn, such as
/// `reading_projection.resid_post-9-mean-difference`: the direction's name with `-` for every character other than
/// letters, digits, `-` and `_`. Analyzers take it as `outcome = "reading.projection.resid_post-9-mean-difference"`. A
/// turn without a token at the position, such as an empty reply, has no number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = friction_core::serde_json::json!({"file": "directions.safetensors", "directions": ["resid_post.9/mean-difference"]}))]
struct Projection {
    /// A safetensors file of directions, such as `linear-probe` writes, relative to the manifest.
    file: PathBuf,
    /// Names of directions in `file`: `<site>/<kind>`, such as `resid_post.9/mean-difference`. Default: all that the file
    /// has, without those of shuffled labels.
    #[serde(default)]
    directions: Vec<String>,
    /// Where the activations are read. Default: the site in each direction's name. Needed for directions whose names have
    /// none.
    #[serde(default)]
    site: Option<Site>,
    /// The token that is read, or the mean over several: `prompt-end`, `reply-mean`, `reply-end` or `user-mean`.
    #[serde(default = "reply_mean")]
    position: Position,
}
fn reply_mean() -> Position {
    Position::ReplyMean
}

/// A direction and where it is read.
#[derive(Debug, Clone, PartialEq)]
struct Along {
    /// Name of the reading.
    reading: String,
    site: Site,
    /// The direction divided by its norm.
    unit: Vec<f64>,
}

/// The name of a direction as one of a reading.
fn reading(direction: &str) -> String {
    direction.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect()
}

impl PluginConfig for Projection {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        let many = matches!(self.position, Position::Reply(_) | Position::ReplyAll | Position::All);
        let one = format!(
            "`{}` is several tokens, and a turn gets one number: take `reply-mean`, `reply-end`, `prompt-end` or `user-mean`",
            self.position
        );
        faults.when(many, "position", one);
        if let Some(name) = twice(&self.directions) {
            faults.when(true, "directions", format!("{name:?} is listed twice"));
        }
        let logits = "`logits` have no directions: their values are tokens";
        faults.when(self.site == Some(Site::Logits), "site", logits);
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        Ok(Box::new(self.opened(&cx.base)?))
    }
}

impl Projection {
    /// Reads the directions. A relative path is relative to `base`.
    fn opened(&self, base: &Path) -> Result<Projecting> {
        let path = base.join(&self.file);
        let names = match self.directions.is_empty() {
            true => friction_directions::names(&path).map_err(|e| e.under("file"))?,
            false => self.directions.clone(),
        };
        let (mut along, mut taken) = (vec![], BTreeSet::new());
        for name in names {
            let vector = friction_directions::read(&path, &name)?.vector;
            let norm = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let own = || name.split('/').next().and_then(|s| s.parse().ok());
            let Some(site) = self.site.or_else(own).filter(|s| *s != Site::Logits) else {
                let what = format!("the direction {name:?} names no site of activations before its `/`: set `site`");
                return Err(Error::at("directions", what));
            };
            let reading = reading(&name);
            if !taken.insert(reading.clone()) {
                let what =
                    format!("two directions would be read out as `{reading}`: leave {name:?} out of `directions`");
                return Err(Error::at("directions", what));
            }
            along.push(Along { reading, site, unit: vector.iter().map(|x| f64::from(*x) / norm).collect() });
        }
        Ok(Projecting { position: self.position, file: path.display().to_string(), along })
    }
}

struct Projecting {
    position: Position,
    /// Path of the file, for messages.
    file: String,
    along: Vec<Along>,
}

impl Hook for Projecting {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        for a in &self.along {
            let (own, width) = (a.unit.len(), model.width(a.site)?);
            if own != width {
                return Err(Error::config(format!(
                    "a direction of {} (`{}`) is {own} wide, but `{}` of {} is {width} wide: it belongs to another model",
                    self.file, a.reading, a.site, model.name
                )));
            }
        }
        let sites: BTreeSet<Site> = self.along.iter().map(|a| a.site).collect();
        let tap = |site| Tap { site, position: self.position };
        Ok(HookProgram {
            unstored: sites.into_iter().map(tap).collect(),
            readings: self.along.iter().map(|a| a.reading.clone()).collect(),
            ..HookProgram::default()
        })
    }

    fn fingerprint(&self) -> Option<String> {
        let mut sha = Sha256::new();
        for a in &self.along {
            sha.update(format!("{}\0{}\0{}\0", a.reading, a.site, a.unit.len()));
            a.unit.iter().for_each(|x| sha.update(x.to_le_bytes()));
        }
        Some(format!("{:x}", sha.finalize()))
    }

    fn read(&self, _: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let row = |site| taps.iter().find(|t| t.tap.site == site).and_then(|t| t.rows.first());
        let number = |a: &Along| {
            let x = row(a.site)?;
            let p: f64 = x.iter().zip(&a.unit).map(|(x, u)| f64::from(*x) * u).sum();
            // NaN stands for a turn that has no such token.
            (!p.is_nan()).then(|| (a.reading.clone(), p))
        };
        Ok(self.along.iter().filter_map(number).collect())
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Projection>("projection", "Each turn's activations along directions, as readings", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    /// Writes a file of directions.
    fn file(dir: &Path, named: &[(&str, &[f32])]) {
        let bytes: Vec<Vec<u8>> = named.iter().map(|(_, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
        let views = named
            .iter()
            .zip(&bytes)
            .map(|((name, v), b)| (name.to_string(), TensorView::new(Dtype::F32, vec![v.len()], b).unwrap()));
        std::fs::write(dir.join("d.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    }

    fn built(dir: &Path, more: &str) -> Result<Projecting> {
        let options: Projection = toml::from_str(&format!("file = \"d.safetensors\"\n{more}")).unwrap();
        options.validate()?;
        options.opened(dir)
    }

    fn model() -> ModelSpec {
        ModelSpec { name: "tiny".into(), layers: 3, hidden: 2, attn_width: 4, vocab: 9, parameters: 1 }
    }

    fn spoken(factors: &friction_core::Factors) -> Spoken<'_> {
        Spoken { group: 0, condition: "c", arm: "", sample: 0, factors, turn: 1, reply: "" }
    }

    #[test]
    fn turns_are_read_along_every_direction_and_nothing_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let all: [(&str, &[f32]); 4] = [
            ("resid_post.1/mean-difference", &[3.0, 4.0]),
            ("resid_post.1/ridge", &[0.0, -2.0]),
            ("attn_out.0/mean-difference", &[0.0, 0.0, 0.0, 5.0]),
            ("resid_post.1/shuffled-0", &[1.0, 1.0]),
        ];
        file(dir.path(), &all);
        let hook = built(dir.path(), "").unwrap();
        let program = hook.program(&model()).unwrap();
        program.validate(&model()).unwrap();
        assert!(program.taps.is_empty());
        let names = ["attn_out-0-mean-difference", "resid_post-1-mean-difference", "resid_post-1-ridge"];
        assert_eq!(program.readings, names);
        let rows = [vec![vec![10.0, 5.0]], vec![vec![1.0, 2.0, 3.0, 4.0]]];
        let taps: Vec<TapView> = program
            .all_taps()
            .map(|tap| TapView { tap, rows: if tap.site == Site::ResidPost(1) { &rows[0] } else { &rows[1] } })
            .collect();
        assert_eq!(taps.len(), 2, "one for each site");
        let factors = Default::default();
        let read = hook.read(&spoken(&factors), &taps).unwrap();
        assert_eq!(names.map(|n| (read[n] * 1e9).round() / 1e9), [4.0, 10.0, -5.0]);
        // An empty reply has no mean.
        let none = [vec![f32::NAN; 4]];
        let taps: Vec<TapView> = taps.iter().map(|t| TapView { tap: t.tap, rows: &none }).collect();
        assert!(hook.read(&spoken(&factors), &taps).unwrap().is_empty());
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        file(dir.path(), &[("resid_post.1/a.b", &[3.0, 4.0]), ("resid_post.1/a-b", &[3.0, 4.0]), ("mine", &[1.0; 3])]);
        let told = |more: &str| built(dir.path(), more).err().map_or_else(String::new, |e| e.to_string());
        assert!(told("").contains("\"mine\" names no site"), "{}", told(""));
        assert!(told("site = \"resid_post.1\"").contains("read out as `resid_post-1-a-b`"));
        assert!(told("position = \"reply\"").contains("several tokens"));
        assert!(told("directions = [\"gone\"]").contains("holds no f32 vector `gone`"));
        assert!(told("directions = [\"mine\", \"mine\"]").contains("listed twice"));
        let hook = built(dir.path(), "directions = [\"mine\"]\nsite = \"embed\"").unwrap();
        let e = hook.program(&model()).unwrap_err().to_string();
        assert!(e.contains("3 wide") && e.contains("`embed` of tiny is 2 wide"), "{e}");
    }
}
