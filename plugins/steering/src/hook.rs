//! `steer`: one arm for each dose along a direction, and arms of control directions.
use crate::arms::{ArmName, Kind};
use crate::edits::{Part, norm, orthogonal, scaled};
use crate::options::{Op, Range, Sites, Steer, Unit};
use friction_core::seed::derive;
use friction_core::{
    Arm, BuildContext, Edit, Error, Hook, HookProgram, ModelSpec, NeutralText, PluginConfig, PluginEntry, Readout,
    Result, Site,
};
use friction_directions::Direction;
use friction_sae::{Source, edit};
use std::path::Path;

impl PluginConfig for Steer {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let directions = match (&self.sae, self.feature, &self.file, &self.direction) {
            (Some(source), Some(feature), ..) => vec![self.of_feature(source, feature, cx)?],
            (_, _, Some(file), Some(names)) => {
                let path = cx.base.join(file);
                let mut all = vec![];
                for name in names.all() {
                    all.extend(self.of_file(&path, name, cx.seed, all.is_empty())?);
                }
                all
            }
            _ => return Err(Error::config("give `file` and `direction`, or `sae` and `feature`")),
        };
        Ok(Box::new(Steering { options: self.clone(), directions }))
    }
}

/// A direction, read from its file.
struct Found {
    site: Site,
    direction: Direction,
    /// Where it comes from, for messages.
    from: String,
    /// The autoencoder's feature, if it is one's decoder and its activation is read.
    feature: Option<Readout>,
    /// Seed of its random directions.
    seed: u64,
}

impl Steer {
    /// The decoder of a feature.
    fn of_feature(&self, source: &Source, feature: usize, cx: &BuildContext) -> Result<Found> {
        let found = source.find(&cx.base)?;
        let site = self.site.as_ref().and_then(|s| s.all().first().copied());
        let (reads, writes) = found.sites(site)?;
        if reads != writes {
            let file = found.tensors.display();
            let what = format!(
                "{file} is a transcoder: it reads `{reads}` and writes `{writes}`; `steer` needs an autoencoder"
            );
            return Err(Error::at("sae", what));
        }
        let loaded = found.load()?;
        found.fits(&loaded, cx).map_err(|e| e.under("sae"))?;
        let p = loaded.parameters;
        let vector = p.feature(feature)?.decoder;
        let read = (self.op() == Op::Clamp || self.if_active).then(|| edit::feature(&p, feature)).transpose()?;
        Ok(Found {
            site: reads,
            direction: Direction { vector, norm: None, shuffled: vec![] },
            from: format!("feature {feature} of {}", found.tensors.display()),
            feature: read,
            seed: cx.seed,
        })
    }

    /// A direction of a file, at each of its sites. `first` says whether it is the first that is listed.
    fn of_file(&self, path: &Path, name: &str, seed: u64, first: bool) -> Result<Vec<Found>> {
        let direction = friction_directions::read(path, name)?;
        if self.unit == Some(Unit::Norm) && direction.norm.is_none() {
            let what = format!("{} does not say the norm of the activations: use `unit = \"vector\"`", path.display());
            return Err(Error::at("unit", what));
        }
        let held = direction.shuffled.len();
        if let Some(n) = self.shuffled.filter(|n| *n > held) {
            let what = format!("`shuffled = {n}`, but {} holds {held} directions of shuffled labels", path.display());
            return Err(Error::at("shuffled", what));
        }
        let sites = match self.site.as_ref().map(Sites::all) {
            Some(sites) => sites.to_vec(),
            None => vec![name.split('/').next().unwrap_or_default().parse().map_err(Error::config)?],
        };
        // One direction has the same controls wherever it is applied; each further direction has its own.
        let seed = if first { seed } else { derive(&[&seed.to_le_bytes(), name.as_bytes()]) };
        let at = |site| Found {
            site,
            direction: direction.clone(),
            from: format!("`{name}` of {}", path.display()),
            feature: None,
            seed,
        };
        Ok(sites.into_iter().map(at).collect())
    }
}

struct Steering {
    options: Steer,
    /// What each arm changes together.
    directions: Vec<Found>,
}

impl Steering {
    /// The direction `i` in the units that the options ask for.
    fn part(&self, i: usize, model: &ModelSpec) -> Result<Part> {
        let (o, found) = (&self.options, &self.directions[i]);
        let (site, width) = (found.site, model.width(found.site)?);
        let vector = &found.direction.vector;
        if vector.len() != width || width < 2 {
            return Err(Error::config(format!(
                "{} is {} wide, but `{site}` of {} is {width} wide: it belongs to another model",
                found.from,
                vector.len(),
                model.name
            )));
        }
        let length = match o.unit {
            Some(Unit::Norm) => found.direction.norm.unwrap_or(1.0),
            _ => norm(vector),
        };
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::config(format!("{} is zero or not finite", found.from)));
        }
        // Projections count as they are, unless a unit is set.
        let factor = if o.unit.is_some() { length } else { 1.0 };
        let range = o.clamp.as_ref().and_then(|ranges| ranges.of(i));
        Ok(Part {
            site,
            unit: scaled(vector, length),
            shuffled: found.direction.shuffled.iter().map(|v| scaled(v, length)).collect(),
            feature: found.feature.clone(),
            range: range.map(|r| Range { min: r.min.map(|b| b * factor), max: r.max.map(|b| b * factor) }),
            seed: found.seed,
        })
    }
}

impl Hook for Steering {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let o = &self.options;
        let parts = (0..self.directions.len()).map(|i| self.part(i, model)).collect::<Result<Vec<_>>>()?;
        // As many controls of shuffled labels as all directions have.
        let held = parts.iter().map(|p| p.shuffled.len()).min().unwrap_or(0);
        let shuffled = o.shuffled.unwrap_or(held).min(held);
        let kinds = [Kind::Direction]
            .into_iter()
            .chain((0..o.random).map(Kind::Random))
            .chain((0..shuffled).map(Kind::Shuffled));
        let neutral = o.neutral.as_ref().map(|n| NeutralText { user: n.user.clone(), reply: n.reply.clone() });
        let mut program = HookProgram { arms: vec![Arm::default()], neutral, ..HookProgram::default() };
        let all = o.doses();
        for kind in kinds {
            let doses = match (kind, &o.control_doses) {
                (Kind::Direction, _) => &all[..],
                (_, Some(d)) => &d[..],
                (_, None) => &all[..1],
            };
            for (n, dose) in doses.iter().copied().enumerate() {
                let arm = ArmName { kind, dose }.to_string();
                // Doses that are strengths share one edit, at each site; the others have one each.
                let name = if o.by_strength() { kind.to_string() } else { arm.clone() };
                let mut strength = 1.0;
                for part in &parts {
                    let vector = match kind {
                        Kind::Direction => part.unit.clone(),
                        Kind::Random(n) => orthogonal(&part.unit, part.seed, n),
                        Kind::Shuffled(n) => part.shuffled[n].clone(),
                    };
                    let (op, s) = part.edit(o.op(), vector, dose);
                    strength = s;
                    if n == 0 || !o.by_strength() {
                        let gate = part.feature.clone().filter(|_| o.if_active);
                        let (name, site, at) = (name.clone(), part.site, o.at.into());
                        program.edits.push(Edit { name, site, at, turns: o.turns, gate, op });
                    }
                }
                program.arms.push(Arm { name: arm, strengths: [(name, strength)].into(), only: o.only.clone() });
            }
        }
        Ok(program)
    }
}

friction_core::inventory::submit! {
    PluginEntry::hook::<Steer>("steer", "Arms of doses along a direction, with random and shuffled controls", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::EditOp;

    fn model() -> ModelSpec {
        ModelSpec { name: "tiny".into(), layers: 3, hidden: 4, attn_width: 8, vocab: 9, parameters: 1 }
    }

    fn program(text: &str, directions: &[(Site, Vec<f32>, usize)]) -> HookProgram {
        let options: Steer = toml::from_str(text).unwrap();
        options.validate().unwrap();
        let found = |(i, (site, vector, shuffled)): (usize, &(Site, Vec<f32>, usize))| Found {
            site: *site,
            direction: Direction {
                vector: vector.clone(),
                norm: Some(10.0),
                shuffled: (0..*shuffled).map(|n| vec![1.0 + n as f32, 1.0, 0.0, 0.0]).collect(),
            },
            from: "x".into(),
            feature: None,
            seed: i as u64,
        };
        let directions = directions.iter().enumerate().map(found).collect();
        let program = Steering { options, directions }.program(&model()).unwrap();
        program.validate(&model()).unwrap();
        assert!(program.edits.iter().all(|e| e.op.is_data()), "every edit is data");
        program
    }

    fn arms(p: &HookProgram) -> Vec<&str> {
        p.arms.iter().map(|a| a.name.as_str()).collect()
    }

    #[test]
    fn several_directions_are_one_arm() {
        let text =
            "file = \"x\"\ndirection = [\"resid_post.0/d\", \"resid_post.2/d\"]\nrandom = 1\ndoses = [-1.0, 2.0]";
        let directions =
            [(Site::ResidPost(0), vec![3.0, 0.0, 4.0, 0.0], 2), (Site::ResidPost(2), vec![0.0, 2.0, 0.0, 0.0], 1)];
        let p = program(text, &directions);
        assert_eq!(arms(&p), ["", "direction@-1", "direction@2", "random-00@-1", "shuffled-0@-1"]);
        let places: Vec<(&str, Site)> = p.edits.iter().map(|e| (e.name.as_str(), e.site)).collect();
        let both = |name| [(name, Site::ResidPost(0)), (name, Site::ResidPost(2))];
        assert_eq!(places, [both("direction"), both("random-00"), both("shuffled-0")].concat());
        assert_eq!(p.arms[2].strengths, [("direction".to_string(), 2.0)].into());
        // Each direction has its own length and its own controls.
        let pushed = |e: &Edit| e.op.on_host(&[0.0; 4], 1.0, None).unwrap();
        assert_eq!([0, 1, 2, 3].map(|i| norm(&pushed(&p.edits[i])).round()), [5.0, 2.0, 5.0, 2.0]);
        assert_ne!(scaled(&pushed(&p.edits[2]), 1.0), scaled(&pushed(&p.edits[3]), 1.0));
    }

    #[test]
    fn a_range_is_one_arm_whose_bounds_have_the_unit_that_is_set() {
        let at = |site| (site, vec![3.0, 0.0, 4.0, 0.0], 0);
        let base = "file = \"x\"\ndirection = \"resid_post.1/d\"\nrandom = 1\nclamp = { max = 2.0 }\n";
        let highest = |more: &str| {
            let p = program(&format!("{base}{more}"), &[at(Site::ResidPost(1))]);
            assert_eq!(arms(&p), ["", "direction@1", "random-00@1"]);
            match p.edits[0].op {
                EditOp::Push { max, min: None, .. } => max.unwrap(),
                ref other => panic!("{other:?}"),
            }
        };
        assert_eq!([highest(""), highest("unit = \"vector\""), highest("unit = \"norm\"")], [2.0, 10.0, 20.0]);
        let two = "file = \"x\"\ndirection = \"d\"\nsite = [\"resid_post.0\", \"mlp_out.1\"]\nrandom = 1\nclamp = [{ max = 2.0 }, { min = 1.0 }]";
        let p = program(two, &[at(Site::ResidPost(0)), at(Site::MlpOut(1))]);
        let bounds = |e: &Edit| match &e.op {
            EditOp::Push { min, max, .. } => (*min, *max),
            other => panic!("{other:?}"),
        };
        assert_eq!((bounds(&p.edits[0]), bounds(&p.edits[1])), ((None, Some(2.0)), (Some(1.0), None)));
    }

    #[test]
    fn doses_that_are_values_have_an_edit_each() {
        let text = "file = \"x\"\ndirection = \"resid_post.1/d\"\nop = \"set\"\nrandom = 1\ndoses = [0.0, 1.0]\ncontrol_doses = [1.0]";
        let p = program(text, &[(Site::ResidPost(1), vec![3.0, 0.0, 4.0, 0.0], 0)]);
        assert_eq!(arms(&p), ["", "direction@0", "direction@1", "random-00@1"]);
        let names: Vec<&str> = p.edits.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["direction@0", "direction@1", "random-00@1"]);
        assert!(p.arms[1..].iter().all(|a| a.strengths[&a.name] == 1.0));
    }
}
