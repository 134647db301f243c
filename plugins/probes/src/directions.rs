//! Writes directions as files: `<site>/<kind>` in safetensors, with their origin in the header, and formats of other
//! tools.
use crate::fit::{Probe, mean_difference};
use crate::rows::Rows;
use friction_core::{Error, Findings, Position, Result, Site};
use friction_directions::ControlVector;
use friction_stats::{Link, Matrix};
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::HashMap;

/// What the directions are learnt from.
pub struct Source<'a> {
    /// The study's name.
    pub study: &'a str,
    /// The study's seed.
    pub seed: u64,
    /// The rows, with the names of their classes.
    pub rows: &'a Rows,
    /// The target of each row: class index or number.
    pub y: &'a [f64],
    /// Name of the target.
    pub target: &'a str,
    /// Position of the tokens that were read.
    pub position: Position,
    /// Kind of the probes.
    pub link: Link,
    /// Copies of the targets in random order, for directions without meaning (steering's controls).
    pub shuffled: &'a [Vec<f64>],
}

/// Writes `directions.safetensors`, learnt from all rows. Its tensors are `<site>/logistic` (or `<site>/ridge` for
/// numbers) at the C given for each site, `<site>/mean-difference`, and `<site>/shuffled-N`, the difference of means of
/// shuffled targets. They are f32 `[width]` in units of the activations (the scaling is undone), and point from the
/// first class to the second, or towards larger numbers. With more than two classes there is no single direction: the
/// tensors are `<site>/mean-difference/<class>`, from the mean of all other rows to the class's, and the shuffled ones are
/// those of the first class. The header's `about` is JSON: for each tensor its mean
/// projection by class, and the mean norm of the activations at its site.
///
/// The difference of means at sites `resid_post.L` is also written as `resid_post.L.mean-difference.lm-eval.pt` (for
/// one steered model each, hookpoint `layers.L`) and, except for L = 0, into `mean-difference.repeng.gguf` (one control
/// vector of all layers). The findings say what is left out.
///
/// # Errors
/// When a fit over all rows does not converge.
pub fn write(s: &Source, layers: &[(Site, Matrix)], c: &[f64], out: &mut Findings) -> Result<()> {
    let all: Vec<usize> = (0..s.y.len()).collect();
    let kind = if s.link == Link::Linear { "ridge" } else { "logistic" };
    let mut tensors: Vec<(String, Vec<f64>)> = vec![];
    let mut about = serde_json::Map::new();
    for ((site, x), c) in layers.iter().zip(c) {
        let norm =
            all.iter().map(|i| x.row(*i).iter().map(|v| v * v).sum::<f64>().sqrt()).sum::<f64>() / all.len() as f64;
        let mut add = |kind: &str, v: Vec<f64>, c: Option<f64>| {
            let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            let along = |i: usize| x.row(i).iter().zip(&v).map(|(a, b)| a * b).sum::<f64>() / length;
            let by_class: Vec<f64> = (0..s.rows.classes.len())
                .map(|class| {
                    let of: Vec<usize> = all.iter().copied().filter(|i| s.y[*i] as usize == class).collect();
                    of.iter().map(|i| along(*i)).sum::<f64>() / of.len().max(1) as f64
                })
                .collect();
            about.insert(
                format!("{site}/{kind}"),
                json!({"site": site, "norm": norm, "c": c, "length": length, "projection_by_class": by_class}),
            );
            tensors.push((format!("{site}/{kind}"), v));
        };
        if s.rows.classes.len() > 2 {
            let against_rest = |y: &[f64], class: usize| -> Vec<f64> {
                mean_difference(
                    x,
                    &y.iter().map(|v| f64::from(u8::from(*v as usize == class))).collect::<Vec<_>>(),
                    &all,
                )
            };
            for (class, name) in s.rows.classes.iter().enumerate() {
                add(&format!("mean-difference/{name}"), against_rest(s.y, class), None);
            }
            for (n, y) in s.shuffled.iter().enumerate() {
                add(&format!("shuffled-{n}"), against_rest(y, 0), None);
            }
        } else {
            let probe = Probe::learn(x, s.y, s.link, *c, 1e-8).map_err(|e| Error::other(format!("{site}: {e}")))?;
            add(kind, probe.direction(), Some(*c));
            add("mean-difference", mean_difference(x, s.y, &all), None);
            for (n, y) in s.shuffled.iter().enumerate() {
                add(&format!("shuffled-{n}"), mean_difference(x, y, &all), None);
            }
        }
    }
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, v)| v.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((n, v), b)| {
            Ok((n.clone(), TensorView::new(Dtype::F32, vec![v.len()], b).map_err(|e| Error::other(e.to_string()))?))
        })
        .collect::<Result<Vec<_>>>()?;
    let about = json!({
        "study": s.study, "seed": s.seed, "target": s.target, "classes": s.rows.classes,
        "position": s.position, "rows": s.y.len(), "directions": about,
    });
    let header = HashMap::from([("about".to_string(), about.to_string())]);
    let own = safetensors::serialize(views, Some(header)).map_err(|e| Error::other(e.to_string()))?;
    out.file("directions.safetensors", own);
    let mut control = vec![];
    for (name, v) in &tensors {
        let Some((site, "mean-difference")) = name.split_once('/') else { continue };
        let Ok(Site::ResidPost(layer)) = site.parse() else { continue };
        let v: Vec<f32> = v.iter().map(|x| *x as f32).collect();
        let steered = friction_directions::steered(&format!("layers.{layer}"), &v, 1.0)?;
        out.file(format!("{site}.mean-difference.lm-eval.pt"), steered);
        control.push((layer, v));
    }
    if !control.is_empty() {
        tell(friction_directions::control_vector("gemma3", &control)?, out);
    }
    Ok(())
}

const CONTROL: &str = "mean-difference.repeng.gguf";

/// Adds a control vector to the files, and says which layers it lacks.
fn tell(vector: ControlVector, out: &mut Findings) {
    let ControlVector { file, layers, left_out } = vector;
    out.value("control_vector", json!({"layers": layers, "left_out": left_out}));
    let sites: Vec<String> = left_out.iter().map(|l| format!("`{}`", Site::ResidPost(*l))).collect();
    let reason = "layers of a control vector count from 1, and llama.cpp refuses a file with `direction.0`";
    match (&file, sites.is_empty()) {
        (Some(_), true) => {}
        (Some(_), false) => out.say(format!("`{CONTROL}` leaves {} out: {reason}", sites.join(", "))),
        (None, _) => {
            out.say(format!("`{CONTROL}` is not written, because it would hold {} only: {reason}", sites.join(", ")))
        }
    }
    out.files.extend(file.map(|bytes| (CONTROL.to_string(), bytes)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(layers: &[usize]) -> Findings {
        let mut out = Findings::default();
        let directions: Vec<(usize, Vec<f32>)> = layers.iter().map(|l| (*l, vec![1.0, *l as f32])).collect();
        tell(friction_directions::control_vector("gemma3", &directions).unwrap(), &mut out);
        out
    }

    #[test]
    fn what_a_control_vector_cannot_hold_is_said() {
        let out = told(&[0, 3]);
        assert_eq!(out.values["control_vector"], json!({"layers": [3], "left_out": [0]}));
        let said = |out: &Findings| out.texts().next().cloned().unwrap_or_default();
        assert!(said(&out).starts_with("`mean-difference.repeng.gguf` leaves `resid_post.0` out"), "{}", said(&out));
        assert_eq!(out.files.len(), 1);
        let out = told(&[0]);
        assert!(out.files.is_empty());
        assert!(said(&out).starts_with("`mean-difference.repeng.gguf` is not written"), "{}", said(&out));
        let out = told(&[1, 3]);
        assert!(out.blocks.is_empty() && out.files.len() == 1);
    }
}
