//! What an analyzer needs of the arms that hooks bring.
use super::Check;
use friction_core::HookProgram;
use std::collections::BTreeSet;

impl Check<'_> {
    /// Checks that there are arms beside the untouched one, and that one runs with the conditions looked at.
    pub(super) fn arms(&mut self) {
        let Some(program) = self.produced.program.filter(|_| self.needs.arms) else { return };
        let conditions = &self.produced.manifest.conditions;
        let mut steered = program.arms.iter().filter(|a| !a.strengths.is_empty()).peekable();
        let path = self.option("arms");
        if steered.peek().is_none() {
            let help = Some("add a `[[hook]]` with `plugin = \"steer\"`".into());
            self.issues.push(path, "this analyzer reads arms beside the untouched one, but no hook brings any", help);
        } else if !steered.any(|a| conditions.iter().any(|c| self.looks_at(&c.factors) && a.runs_with(&c.factors))) {
            let message = "no arm runs with the conditions that `where` chooses";
            self.issues.push(self.option("where"), message, Some("compare it with the `where` of the hook".into()));
        }
        self.hook(program);
    }

    /// Checks that there is one hook whose arms are read.
    fn hook(&mut self, program: &HookProgram) {
        let Some(wanted) = self.needs.hook.as_deref() else { return };
        let mut hooks: BTreeSet<&str> =
            program.arms.iter().filter_map(|a| friction_core::arms::split(&a.name)).map(|(hook, _)| hook).collect();
        if hooks.is_empty() {
            // If only one hook has arms, their names do not begin with the hook's.
            hooks.extend(self.produced.manifest.hooks.iter().map(|h| h.name.as_str()));
            if wanted.is_empty() {
                return;
            }
        }
        let names = hooks.iter().map(|h| format!("`{h}`")).collect::<Vec<_>>().join(", ");
        if wanted.is_empty() && hooks.len() > 1 {
            let help = Some("name one of them in `hook`; a second analyzer may read another".into());
            self.issues.push(self.option("hook"), format!("the hooks {names} have arms: which are read?"), help);
        } else if !wanted.is_empty() && !hooks.contains(wanted) {
            let help = Some(format!("there are {names}"));
            self.issues.push(self.option("hook"), format!("no hook `{wanted}` has arms"), help);
        }
    }

    /// Checks that the arm that is named exists, in any hook and at any dose.
    pub(super) fn arm(&mut self) {
        let (Some(program), Some(wanted)) = (self.produced.program, self.needs.arm.as_deref()) else { return };
        let name = |full: &str| {
            let own = friction_core::arms::split(full).map_or(full, |(_, own)| own);
            own.split('@').next().unwrap_or(own).to_string()
        };
        let known: BTreeSet<String> =
            program.arms.iter().filter(|a| !a.strengths.is_empty()).map(|a| name(&a.name)).collect();
        if !known.is_empty() && !known.contains(wanted) {
            let all = known.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let path = self.reader.speaks_of(wanted);
            self.issues.push(path, format!("no hook brings an arm `{wanted}`"), Some(format!("there are {all}")));
        }
    }
}
