//! Joins the programs of several hooks into one, and makes the arms of a study from theirs.
//!
//! If only one hook has edits or arms, they keep the names that it gave them. If several have, each edit and each arm
//! is renamed to `<hook>:<name>`, so that those of different hooks never share a name by accident.
use crate::program::{Arm, HookProgram};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the arms of several hooks mean together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ArmDesign {
    /// Each hook's arms by themselves, with the other hooks' edits off; there is one untouched control for all.
    Listed,
    /// Every arm of a hook with every arm of the others, and by itself where the others have an untouched control.
    Crossed,
}

/// Joins the names of arms that are crossed.
const AND: &str = " + ";

/// Largest number of arms that crossing may make.
const MOST: usize = 10_000;

/// The name of an edit or arm with its hook's: `<hook>:<name>`.
pub fn qualified(hook: &str, name: &str) -> String {
    format!("{hook}:{name}")
}

/// Splits the name of an arm into hook and own name. `None` if it has no hook in it, because only one hook has arms, or
/// if it is a combination of several hooks' arms.
pub fn split(arm: &str) -> Option<(&str, &str)> {
    if arm.contains(AND) { None } else { arm.split_once(':') }
}

/// Joins the programs of hooks, each given with its hook's name, into one. A tap that several hooks declare is kept
/// once, and stored if one of them stores it. Readings are called `<hook>.<name>`, as in a turn's row. If several declare
/// a neutral text, the first is kept.
///
/// # Errors
/// If several hooks have arms and `design` is `None`, or crossing them makes more than 10 000 arms, or an arm that no
/// condition could run.
pub fn join(programs: Vec<(String, HookProgram)>, design: Option<ArmDesign>) -> Result<HookProgram, String> {
    let several = programs.iter().filter(|(_, p)| !p.edits.is_empty() || !p.arms.is_empty()).count() > 1;
    let mut out = HookProgram::default();
    let mut hooks: Vec<(String, Vec<Arm>)> = vec![];
    for (hook, mut program) in programs {
        if several {
            qualify(&hook, &mut program);
        }
        for (taps, own) in [(&mut out.taps, program.taps), (&mut out.unstored, program.unstored)] {
            for tap in own {
                if !taps.contains(&tap) {
                    taps.push(tap);
                }
            }
        }
        out.readings.extend(program.readings.iter().map(|name| format!("{hook}.{name}")));
        out.edits.extend(program.edits);
        out.neutral = out.neutral.take().or(program.neutral);
        if !program.arms.is_empty() {
            hooks.push((hook, program.arms));
        }
    }
    out.unstored.retain(|tap| !out.taps.contains(tap));
    out.arms = match (hooks.len(), design) {
        (0 | 1, _) => hooks.into_iter().flat_map(|(_, arms)| arms).collect(),
        (_, Some(ArmDesign::Listed)) => listed(hooks),
        (_, Some(ArmDesign::Crossed)) => crossed(&hooks)?,
        (_, None) => {
            let names: Vec<String> = hooks.iter().map(|(hook, _)| format!("`{hook}`")).collect();
            return Err(format!(
                "the hooks {} have arms each: set `study.arms` to \"listed\" (each hook's arms by themselves) or \
                 \"crossed\" (every combination)",
                names.join(" and ")
            ));
        }
    };
    Ok(out)
}

/// Puts the hook's name before the names of its edits and arms. The untouched control keeps its empty name.
fn qualify(hook: &str, program: &mut HookProgram) {
    program.edits.iter_mut().for_each(|e| e.name = qualified(hook, &e.name));
    for arm in &mut program.arms {
        if !arm.name.is_empty() {
            arm.name = qualified(hook, &arm.name);
        }
        arm.strengths = std::mem::take(&mut arm.strengths).into_iter().map(|(n, s)| (qualified(hook, &n), s)).collect();
    }
}

/// One untouched control, if any hook has one, then each hook's arms.
fn listed(hooks: Vec<(String, Vec<Arm>)>) -> Vec<Arm> {
    let mut out: Vec<Arm> = vec![];
    for arm in hooks.into_iter().flat_map(|(_, arms)| arms) {
        match out.iter_mut().find(|a| a.name.is_empty() && arm.name.is_empty()) {
            // Controls that run with different conditions become one that runs with all.
            Some(control) if control.only != arm.only => control.only.clear(),
            Some(_) => {}
            None => out.push(arm),
        }
    }
    out.sort_by_key(|arm| !arm.name.is_empty());
    out
}

fn crossed(hooks: &[(String, Vec<Arm>)]) -> Result<Vec<Arm>, String> {
    let all = hooks.iter().try_fold(1usize, |n, (_, arms)| n.checked_mul(arms.len()));
    if all.is_none_or(|n| n > MOST) {
        let sizes: Vec<String> = hooks.iter().map(|(hook, arms)| format!("{} of `{hook}`", arms.len())).collect();
        return Err(format!(
            "crossed, the arms ({}) are more than {MOST}: set fewer `random` and `shuffled` directions, or \
             `study.arms = \"listed\"`",
            sizes.join(", ")
        ));
    }
    let mut out = vec![Arm::default()];
    for (_, arms) in hooks {
        let pairs = out.iter().flat_map(|a| arms.iter().map(move |b| (a, b)));
        out = pairs.map(|(a, b)| both(a, b)).collect::<Result<_, _>>()?;
    }
    Ok(out)
}

/// Combines two arms. Fails if no condition could run both.
fn both(a: &Arm, b: &Arm) -> Result<Arm, String> {
    if let Some((factor, level)) = a.only.iter().find(|(k, v)| b.only.get(*k).is_some_and(|w| w != *v)) {
        return Err(format!(
            "crossed, `{}` would run where `{factor} = {level}` and `{}` where `{factor} = {}`, which is nowhere: \
             set `study.arms = \"listed\"`, or the same `where`",
            a.name, b.name, b.only[factor]
        ));
    }
    let names: Vec<&str> = [a, b].map(|arm| arm.name.as_str()).into_iter().filter(|n| !n.is_empty()).collect();
    let mut arm = Arm { name: names.join(AND), ..a.clone() };
    arm.strengths.extend(b.strengths.clone());
    arm.only.extend(b.only.clone());
    Ok(arm)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::program::{Edit, EditAt, EditOp, faults};
    use crate::{Position, Site, Tap};

    /// A control and an arm for each dose, as `steer` makes them.
    fn steer(doses: &[f32]) -> HookProgram {
        let op = EditOp::Add(vec![1.0]);
        let edit =
            Edit { name: "direction".into(), site: Site::ResidPost(1), at: EditAt::All, turns: None, gate: None, op };
        let arm = |d: &f32| Arm {
            name: format!("direction@{d}"),
            strengths: [("direction".into(), *d)].into(),
            ..Arm::default()
        };
        let arms = [Arm::default()].into_iter().chain(doses.iter().map(arm)).collect();
        let taps = vec![Tap { site: Site::ResidPost(1), position: Position::PromptEnd }];
        HookProgram { taps, edits: vec![edit], arms, ..HookProgram::default() }
    }

    fn two(design: Option<ArmDesign>) -> Result<HookProgram, String> {
        join(
            vec![
                ("a".into(), steer(&[4.0])),
                ("read".into(), HookProgram::default()),
                ("b".into(), steer(&[4.0, 8.0])),
            ],
            design,
        )
    }

    fn told(program: &HookProgram) -> Vec<String> {
        let strengths = |a: &Arm| a.strengths.iter().map(|(n, s)| format!("{n}={s}")).collect::<Vec<_>>().join(",");
        program.arms.iter().map(|a| format!("{} ({})", a.name, strengths(a))).collect()
    }

    #[test]
    fn one_hook_keeps_its_names() {
        let alone = join(vec![("read".into(), HookProgram::default()), ("a".into(), steer(&[4.0]))], None).unwrap();
        assert_eq!(told(&alone), [" ()", "direction@4 (direction=4)"]);
        assert_eq!(alone.edits[0].name, "direction");
        assert_eq!(split("direction@4"), None);
        // With one hook, the design makes no difference.
        let crossed = join(vec![("a".into(), steer(&[4.0]))], Some(ArmDesign::Crossed)).unwrap();
        assert_eq!(told(&crossed), told(&alone));
    }

    #[test]
    fn several_hooks_never_add_up_by_chance() {
        assert!(two(None).unwrap_err().contains("\"listed\"") && two(None).unwrap_err().contains("\"crossed\""));
        let listed = two(Some(ArmDesign::Listed)).unwrap();
        let want =
            [" ()", "a:direction@4 (a:direction=4)", "b:direction@4 (b:direction=4)", "b:direction@8 (b:direction=8)"];
        assert_eq!(told(&listed), want);
        assert_eq!(listed.taps.len(), 1);
        assert!(faults(&listed).is_none());
        assert_eq!(split("b:direction@8"), Some(("b", "direction@8")));
    }

    #[test]
    fn a_tap_is_stored_if_one_hook_stores_it() {
        let tap = |l| Tap { site: Site::ResidPost(l), position: Position::ReplyAll };
        let reads = |unstored: Vec<Tap>| HookProgram { unstored, readings: vec!["x".into()], ..HookProgram::default() };
        let stores = HookProgram { taps: vec![tap(1)], ..HookProgram::default() };
        let all =
            vec![("a".into(), reads(vec![tap(1), tap(2)])), ("b".into(), stores), ("c".into(), reads(vec![tap(2)]))];
        let joined = join(all, None).unwrap();
        assert_eq!((joined.taps, joined.unstored), (vec![tap(1)], vec![tap(2)]));
        assert_eq!(joined.readings, ["a.x", "c.x"]);
    }

    #[test]
    fn crossed_arms_are_every_combination() {
        let crossed = two(Some(ArmDesign::Crossed)).unwrap();
        let want = [
            " ()",
            "b:direction@4 (b:direction=4)",
            "b:direction@8 (b:direction=8)",
            "a:direction@4 (a:direction=4)",
            "a:direction@4 + b:direction@4 (a:direction=4,b:direction=4)",
            "a:direction@4 + b:direction@8 (a:direction=4,b:direction=8)",
        ];
        assert_eq!(told(&crossed), want);
        assert!(faults(&crossed).is_none());
        assert_eq!(split("a:direction@4 + b:direction@4"), None);
    }

    #[test]
    fn arms_that_meet_nowhere_and_too_many_are_refused() {
        let only = |level: &str| {
            let mut p = steer(&[4.0]);
            p.arms[1].only = [("tone".to_string(), level.to_string())].into();
            p
        };
        let apart = vec![("a".into(), only("blunt")), ("b".into(), only("kind"))];
        let e = join(apart.clone(), Some(ArmDesign::Crossed)).unwrap_err();
        assert!(e.contains("`tone = blunt`") && e.contains("kind"), "{e}");
        assert_eq!(join(apart, Some(ArmDesign::Listed)).unwrap().arms.len(), 3);
        let doses: Vec<f32> = (1..200).map(|d| d as f32).collect();
        let many = vec![("a".into(), steer(&doses)), ("b".into(), steer(&doses))];
        assert!(join(many, Some(ArmDesign::Crossed)).unwrap_err().contains("200 of `a`"));
    }

    #[test]
    fn names_that_stand_twice_are_refused() {
        let mut p = steer(&[4.0, 4.0]);
        assert!(faults(&p).unwrap().contains("two arms are called `direction@4`"));
        p.arms.pop();
        p.edits.push(p.edits[0].clone());
        assert!(faults(&p).is_none(), "one push in two places");
        p.arms[1].strengths.insert("direction".into(), f32::INFINITY);
        assert!(faults(&p).unwrap().contains("inf"));
        p.arms[1].strengths.clear();
        p.arms[0].strengths.insert("direction".into(), 1.0);
        assert!(faults(&p).unwrap().contains("control"));
    }
}
