//! `steer`: arms of doses along a direction, and the controls that give them a meaning.
use crate::arms::{ArmName, Kind};
use crate::file::{self, Direction};
use friction_core::program::EditAt;
use friction_core::{
    Arm, BuildContext, Edit, EditOp, Error, Hook, HookProgram, ModelSpec, PluginConfig, PluginEntry, Result, Site,
};
use friction_stats::Rng;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Tokens that are changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum At {
    All,
    Prompt,
    Reply,
    PromptEnd,
}

/// What a dose of 1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Unit {
    /// The vector as the file holds it: of a difference of means, the whole difference.
    Vector,
    /// The mean norm of the activations at the site.
    Norm,
}

/// What a dose does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Op {
    /// Adds dose × unit along the direction.
    Add,
    /// Takes dose × the projection on the direction away: 1 removes it.
    Remove,
}

/// Options of `steer`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Steer {
    /// A safetensors file of directions, relative to the manifest.
    file: PathBuf,
    /// The direction's name in it: `<site>/<kind>`, such as `resid_post.17/mean-difference`.
    direction: String,
    /// Where it is applied. Default: the site in its name.
    #[serde(default)]
    site: Option<Site>,
    /// `all`, `prompt`, `reply` (`prompt-end` and what follows) or `prompt-end` alone. Default `all`.
    #[serde(default = "all")]
    at: At,
    /// First and last turn, from 1. Default all.
    #[serde(default)]
    turns: Option<(usize, usize)>,
    /// `add` or `remove`. Default `add`.
    #[serde(default = "add")]
    op: Op,
    /// What a dose of 1 is: `vector` or `norm`. Default `vector`.
    #[serde(default = "vector")]
    unit: Unit,
    /// Conditions that are steered: levels of factors, such as `{ completion = "interrupt" }`. Default
    /// all. All are run untouched.
    #[serde(default, rename = "where")]
    only: BTreeMap<String, String>,
    /// Doses, one arm each. Give both signs; 0 is always there, as the untouched control.
    doses: Vec<f32>,
    /// Doses at which the controls are run, some of `doses`. Default: the first.
    #[serde(default)]
    control_doses: Option<Vec<f32>>,
    /// Random directions of the same length, orthogonal to the direction. Default 20.
    #[serde(default = "twenty")]
    random: usize,
    /// Directions of shuffled labels from the same file, brought to the same length. Default: all there
    /// are.
    #[serde(default)]
    shuffled: Option<usize>,
}
fn all() -> At {
    At::All
}
fn add() -> Op {
    Op::Add
}
fn vector() -> Unit {
    Unit::Vector
}
fn twenty() -> usize {
    20
}

impl PluginConfig for Steer {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::config(what));
        if self.doses.is_empty() || self.doses.iter().any(|d| *d == 0.0 || !d.is_finite()) {
            return wrong("`doses` must list numbers other than 0; the untouched control is always there".into());
        }
        if let Some(d) = self.control_doses.iter().flatten().find(|d| !self.doses.contains(d)) {
            return wrong(format!(
                "`control_doses` names {d}, which is none of `doses`: nothing could be compared there"
            ));
        }
        if self.turns.is_some_and(|(first, last)| first == 0 || last < first) {
            return wrong("`turns` is [first, last], from 1".into());
        }
        if self.site.is_none() && self.direction.split('/').next().is_none_or(|s| s.parse::<Site>().is_err()) {
            return wrong(format!("`direction` = {:?} names no site before its `/`: set `site`", self.direction));
        }
        Ok(())
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let direction = file::read(&cx.base.join(&self.file), &self.direction)?;
        if self.unit == Unit::Norm && direction.norm.is_none() {
            return Err(Error::config(format!(
                "{} does not say the norm of the activations: use `unit = \"vector\"`",
                self.file.display()
            )));
        }
        Ok(Box::new(Steering { options: self.clone(), direction, seed: cx.seed }))
    }
}

struct Steering {
    options: Steer,
    direction: Direction,
    seed: u64,
}

fn norm(v: &[f32]) -> f32 {
    v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32
}

fn scaled(v: &[f32], to: f32) -> Vec<f32> {
    let n = norm(v);
    v.iter().map(|x| x * to / n).collect()
}

/// A normal vector with its part along `v` taken away, of `v`'s length.
fn orthogonal(v: &[f32], seed: u64, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed ^ (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let r: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
    let square: f64 = v.iter().map(|x| f64::from(*x).powi(2)).sum();
    let along: f64 = r.iter().zip(v).map(|(a, b)| a * f64::from(*b)).sum::<f64>() / square;
    let rest: Vec<f32> = r.iter().zip(v).map(|(a, b)| (a - along * f64::from(*b)) as f32).collect();
    scaled(&rest, norm(v))
}

impl Hook for Steering {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let o = &self.options;
        let site = match o.site {
            Some(s) => s,
            None => o.direction.split('/').next().unwrap_or_default().parse().map_err(Error::config)?,
        };
        let width = model.width(site)?;
        if self.direction.vector.len() != width || width < 2 {
            return Err(Error::config(format!(
                "`{}` of {} is {} wide, but `{site}` of {} is {width} wide: it belongs to another model",
                o.direction,
                o.file.display(),
                self.direction.vector.len(),
                model.name
            )));
        }
        let length = match o.unit {
            Unit::Vector => norm(&self.direction.vector),
            Unit::Norm => self.direction.norm.unwrap_or(1.0),
        };
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::config(format!("`{}` of {} is zero or not finite", o.direction, o.file.display())));
        }
        let unit = scaled(&self.direction.vector, length);
        let mut along: Vec<(Kind, Vec<f32>)> = vec![(Kind::Direction, unit.clone())];
        along.extend((0..o.random).map(|n| (Kind::Random(n), orthogonal(&unit, self.seed, n))));
        let shuffled = o.shuffled.unwrap_or(usize::MAX);
        along.extend(
            self.direction
                .shuffled
                .iter()
                .take(shuffled)
                .enumerate()
                .map(|(n, v)| (Kind::Shuffled(n), scaled(v, length))),
        );
        let mut program = HookProgram { arms: vec![Arm::default()], ..HookProgram::default() };
        for (kind, vector) in along {
            let doses = match (kind, &o.control_doses) {
                (Kind::Direction, _) => o.doses.clone(),
                (_, Some(d)) => d.clone(),
                (_, None) => o.doses[..1].to_vec(),
            };
            let name = kind.to_string();
            program.arms.extend(doses.into_iter().map(|dose| Arm {
                name: ArmName { kind, dose }.to_string(),
                strengths: [(name.clone(), dose)].into(),
                only: o.only.clone(),
            }));
            program.edits.push(Edit {
                name,
                site,
                at: match o.at {
                    At::All => EditAt::All,
                    At::Prompt => EditAt::Prompt,
                    At::Reply => EditAt::Reply,
                    At::PromptEnd => EditAt::PromptEnd,
                },
                turns: o.turns,
                op: match o.op {
                    Op::Add => EditOp::Add(vector),
                    Op::Remove => EditOp::Remove(vector),
                },
            });
        }
        Ok(program)
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Steer>("steer", "Arms of doses along a direction, with random and shuffled controls", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn random_directions_are_orthogonal_and_as_long() {
        let v: Vec<f32> = (0..64).map(|i| (i as f32 * 0.3).sin() + 1.0).collect();
        for n in 0..20 {
            let r = orthogonal(&v, 7, n);
            let dot: f32 = r.iter().zip(&v).map(|(a, b)| a * b).sum();
            assert!(dot.abs() < 1e-3 * norm(&v) * norm(&v), "{dot}");
            assert!((norm(&r) / norm(&v) - 1.0).abs() < 1e-5);
            assert_ne!(r, orthogonal(&v, 7, n + 1));
        }
    }
}
