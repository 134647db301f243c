//! `steer`: one arm for each dose along a direction, and arms of control directions.
use crate::arms::{ArmName, Kind};
use crate::options::{At, Op, Steer, Unit};
use burn::tensor::Tensor;
use friction_core::program::EditAt;
use friction_core::seed::derive;
use friction_core::{
    Arm, BuildContext, Edit, EditOp, Error, Hook, HookProgram, ModelSpec, NeutralText, PluginConfig, PluginEntry,
    Result, Site,
};
use friction_directions::Direction;
use friction_sae::clamp::{Read, Upload, activation, projection};
use friction_stats::Rng;
use std::sync::Arc;

impl PluginConfig for Steer {
    type Output = dyn Hook;
    fn validate(&self) -> Result<()> {
        self.check()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Hook>> {
        let steering = |direction, site, from, read| {
            Box::new(Steering { options: self.clone(), direction, site, from, read, seed: cx.seed })
        };
        if let (Some(source), Some(feature)) = (&self.sae, self.feature) {
            let found = source.find(&cx.base)?;
            let (reads, writes) = found.sites(self.site)?;
            if reads != writes {
                let file = found.tensors.display();
                let what = format!(
                    "{file} is a transcoder: it reads `{reads}` and writes `{writes}`; `steer` needs an autoencoder"
                );
                return Err(Error::at("sae", what));
            }
            let p = found.load()?.parameters;
            let vector = p.feature(feature)?.decoder;
            let read = (self.op == Op::Clamp).then(|| activation(&p, feature)).transpose()?;
            let direction = Direction { vector, norm: None, shuffled: vec![] };
            return Ok(steering(direction, reads, format!("feature {feature} of {}", found.tensors.display()), read));
        }
        let (Some(path), Some(name)) = (&self.file, &self.direction) else {
            return Err(Error::config("give `file` and `direction`, or `sae` and `feature`"));
        };
        let direction = friction_directions::read(&cx.base.join(path), name)?;
        if self.unit == Unit::Norm && direction.norm.is_none() {
            let what = format!("{} does not say the norm of the activations: use `unit = \"vector\"`", path.display());
            return Err(Error::at("unit", what));
        }
        let held = direction.shuffled.len();
        if let Some(n) = self.shuffled.filter(|n| *n > held) {
            let what = format!("`shuffled = {n}`, but {} holds {held} directions of shuffled labels", path.display());
            return Err(Error::at("shuffled", what));
        }
        let site = match self.site {
            Some(s) => s,
            None => name.split('/').next().unwrap_or_default().parse().map_err(Error::config)?,
        };
        Ok(steering(direction, site, format!("`{name}` of {}", path.display()), None))
    }
}

struct Steering {
    options: Steer,
    direction: Direction,
    site: Site,
    /// Where the direction comes from, for messages.
    from: String,
    /// Reads the feature's activation, for `clamp`.
    read: Option<Read>,
    seed: u64,
}

fn norm(v: &[f32]) -> f32 {
    v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32
}

fn scaled(v: &[f32], to: f32) -> Vec<f32> {
    let n = norm(v);
    v.iter().map(|x| x * to / n).collect()
}

/// A random direction orthogonal to `v` and of `v`'s length.
fn orthogonal(v: &[f32], seed: u64, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(seed ^ (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let r: Vec<f64> = v.iter().map(|_| rng.normal()).collect();
    let square: f64 = v.iter().map(|x| f64::from(*x).powi(2)).sum();
    let along: f64 = r.iter().zip(v).map(|(a, b)| a * f64::from(*b)).sum::<f64>() / square;
    let rest: Vec<f32> = r.iter().zip(v).map(|(a, b)| (a - along * f64::from(*b)) as f32).collect();
    scaled(&rest, norm(v))
}

/// The edit x + s·(value − read(x))·along: it brings the reading of each row to `value` by a push along a direction,
/// which need not be the direction that is read.
fn toward(read: Read, value: f32, along: Vec<f32>, digest: String) -> EditOp {
    let along = Upload::new(along, 1);
    let run = move |x: Tensor<2>, s: Tensor<2>| {
        let push = s * (read(&x).neg() + value);
        let along = along.on(&x.device());
        x + push * along
    };
    EditOp::Custom { run: Arc::new(run), digest }
}

impl Steering {
    /// The edit for one direction and dose, and the strength with which it is applied.
    fn edit(&self, unit: &[f32], vector: Vec<f32>, dose: f32) -> (EditOp, f32) {
        let length = norm(unit);
        let along = scaled(&vector, 1.0);
        let bytes: Vec<u8> = unit.iter().chain(&vector).flat_map(|v| v.to_le_bytes()).collect();
        let digest = || format!("{:016x}", derive(&[&bytes, &dose.to_le_bytes(), self.from.as_bytes()]));
        match (self.options.op, &self.read) {
            (Op::Add, _) => (EditOp::Add(vector), dose),
            // A control is pushed along itself by as much as the direction would be.
            (Op::Remove, _) => (toward(projection(scaled(unit, 1.0)), 0.0, along, digest()), dose),
            (Op::Set, _) => (toward(projection(scaled(unit, 1.0)), dose * length, along, digest()), 1.0),
            (Op::Clamp, Some(read)) => (toward(read.clone(), dose, vector, digest()), 1.0),
            // Not reached: `build` gives every clamp a reading.
            (Op::Clamp, None) => (EditOp::Add(vector), 0.0),
        }
    }
}

impl Hook for Steering {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        let o = &self.options;
        let site = self.site;
        let width = model.width(site)?;
        if self.direction.vector.len() != width || width < 2 {
            return Err(Error::config(format!(
                "{} is {} wide, but `{site}` of {} is {width} wide: it belongs to another model",
                self.from,
                self.direction.vector.len(),
                model.name
            )));
        }
        let length = match o.unit {
            Unit::Vector => norm(&self.direction.vector),
            Unit::Norm => self.direction.norm.unwrap_or(1.0),
        };
        if !(length > 0.0 && length.is_finite()) {
            return Err(Error::config(format!("{} is zero or not finite", self.from)));
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
        let neutral = o.neutral.as_ref().map(|n| NeutralText { user: n.user.clone(), reply: n.reply.clone() });
        let mut program = HookProgram { arms: vec![Arm::default()], neutral, ..HookProgram::default() };
        let at = match o.at {
            At::All => EditAt::All,
            At::Prompt => EditAt::Prompt,
            At::Reply => EditAt::Reply,
            At::PromptEnd => EditAt::PromptEnd,
        };
        // `set` and `clamp` need one edit for each dose; `add` and `remove` need one, with doses as strengths.
        let one = matches!(o.op, Op::Add | Op::Remove);
        for (kind, vector) in along {
            let doses = match (kind, &o.control_doses) {
                (Kind::Direction, _) => o.doses.clone(),
                (_, Some(d)) => d.clone(),
                (_, None) => o.doses[..1].to_vec(),
            };
            for (n, dose) in doses.into_iter().enumerate() {
                let arm = ArmName { kind, dose }.to_string();
                let name = if one { kind.to_string() } else { arm.clone() };
                let (op, strength) = self.edit(&unit, vector.clone(), dose);
                program.arms.push(Arm {
                    name: arm,
                    strengths: [(name.clone(), strength)].into(),
                    only: o.only.clone(),
                });
                if !one || n == 0 {
                    program.edits.push(Edit { name, site, at, turns: o.turns, op });
                }
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
    use burn::tensor::{DType, Device, TensorData};

    fn steering(op: &str, doses: &str) -> Steering {
        let text = format!("file = \"x\"\ndirection = \"resid_post.1/d\"\nop = \"{op}\"\ndoses = {doses}");
        let options: Steer = toml::from_str(&text).unwrap();
        options.validate().unwrap();
        let direction = Direction { vector: vec![3.0, 0.0, 4.0, 0.0], norm: None, shuffled: vec![] };
        Steering { options, direction, site: Site::ResidPost(1), from: "x".into(), read: None, seed: 3 }
    }

    /// Applies an edit to two rows.
    fn moved(edit: &(EditOp, f32)) -> (Vec<f32>, Vec<f32>) {
        let rows = vec![1.0f32, 2.0, -1.0, 0.5, 4.0, 0.0, 2.0, -3.0];
        let device = Device::flex();
        let x = Tensor::<2>::from_data(TensorData::new(rows.clone(), [2, 4]), (&device, DType::F32));
        let s = Tensor::<2>::from_data(TensorData::new(vec![edit.1; 2], [2, 1]), (&device, DType::F32));
        let EditOp::Custom { run, .. } = &edit.0 else { panic!("{:?}", edit.0) };
        (rows, run(x, s).into_data().iter::<f32>().collect())
    }

    #[test]
    fn set_and_remove_move_the_projection_and_controls_get_the_same_push() {
        let along = |row: &[f32], u: &[f32]| row.iter().zip(u).map(|(a, b)| a * b).sum::<f32>();
        // The direction is (0.6, 0, 0.8, 0) times 5: a dose of 1 is a push of length 5.
        let u = [0.6, 0.0, 0.8, 0.0];
        for (op, dose, want) in [("set", 2.0, [10.0, 10.0]), ("set", 0.0, [0.0, 0.0]), ("remove", 0.5, [-0.1, 2.0])] {
            let s = steering(op, &format!("[{dose:.1}]"));
            let unit = s.direction.vector.clone();
            let (before, after) = moved(&s.edit(&unit, unit.clone(), dose));
            let control = orthogonal(&unit, 3, 0);
            let (_, other) = moved(&s.edit(&unit, control.clone(), dose));
            for i in 0..2 {
                let row = |v: &[f32]| v[i * 4..][..4].to_vec();
                assert!((along(&row(&after), &u) - want[i]).abs() < 1e-5, "{op} {dose}: {after:?}");
                let push = |v: &[f32]| norm(&row(v).iter().zip(row(&before)).map(|(a, b)| a - b).collect::<Vec<_>>());
                assert!((push(&after) - push(&other)).abs() < 1e-4, "{op} {dose}: {other:?}");
                // The push goes along the control only: the projection on the direction does not change.
                assert!((along(&row(&other), &u) - along(&row(&before), &u)).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn digests_tell_edits_apart() {
        let s = steering("set", "[1.0, 2.0]");
        let unit = s.direction.vector.clone();
        let digest = |v: &[f32], dose| match s.edit(&unit, v.to_vec(), dose).0 {
            EditOp::Custom { digest, .. } => digest,
            other => panic!("{other:?}"),
        };
        assert_ne!(digest(&unit, 1.0), digest(&unit, 2.0));
        assert_ne!(digest(&unit, 1.0), digest(&orthogonal(&unit, 1, 1), 1.0));
        assert_eq!(digest(&unit, 1.0), digest(&unit, 1.0));
    }

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
