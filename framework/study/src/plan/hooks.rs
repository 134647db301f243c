//! Builds a study's hooks.
use crate::idle;
use crate::planned::PlannedHook;
use crate::wrong::Wrong;
use friction_core::manifest::Path as KeyPath;
use friction_core::{BuildContext, HookProgram, ModelSpec};
use std::collections::BTreeSet;

/// Builds the hooks and joins their programs, for a model of this shape.
pub(super) fn joined(
    spec: &ModelSpec,
    cx: &BuildContext,
    wrong: &mut Wrong,
) -> Option<(HookProgram, Vec<PlannedHook>)> {
    let (mut programs, mut hooks) = (Vec::<(String, HookProgram)>::new(), vec![]);
    let mut whole = true;
    for hook in &wrong.manifest.hooks {
        let part = (hook.build)(cx).and_then(|h| {
            let p = h.program(spec)?;
            Ok((h, p))
        });
        // A site that the model lacks is reported at the option that names it.
        let fits = |p: &HookProgram, wrong: &mut Wrong| {
            let sites = p.all_taps().map(|t| t.site).chain(p.edits.iter().map(|e| e.site));
            let lacking: BTreeSet<_> = sites.filter(|s| spec.width(*s).is_err()).collect();
            for site in &lacking {
                wrong.plugin(&hook.speaks_of(&site.to_string()), spec.width(*site));
            }
            lacking.is_empty() && wrong.plugin(&hook.path, p.validate(spec)).is_some()
        };
        match wrong.built(hook, part).filter(|(_, p)| fits(p, wrong)) {
            Some((plugin, p)) => {
                idle::program(wrong.manifest, hook, &p, &mut wrong.issues, &mut wrong.warnings);
                if p.neutral.is_some() && programs.iter().any(|(_, q)| q.neutral.is_some()) {
                    let message = "another hook has a `neutral` text already, and a conversation ends in one";
                    wrong.issues.push(hook.key("neutral"), message, Some("leave one of them out".into()));
                }
                hooks.push(PlannedHook { name: hook.name.clone(), taps: p.all_taps().cloned().collect(), plugin });
                programs.push((hook.name.clone(), p));
            }
            None => whole = false,
        }
    }
    let arms = KeyPath::default().key("study").key("arms");
    if wrong.manifest.study.arms.is_some() && programs.iter().filter(|(_, p)| !p.arms.is_empty()).count() < 2 {
        let message = "`arms` does nothing: fewer than two hooks have arms";
        wrong.warnings.push(arms.clone(), message, None);
    }
    let program = wrong.keep(&arms, friction_core::arms::join(programs, wrong.manifest.study.arms))?;
    wrong.keep(&KeyPath::default().key("hook"), program.validate(spec))?;
    whole.then_some((program, hooks))
}
