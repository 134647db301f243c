//! What an analyzer needs of the hook whose readings it divides by what all turns say: every turn has them.
use super::Check;
use friction_core::manifest::to_json;
use friction_core::{Factors, has_levels};
use serde_json::Value;

impl Check<'_> {
    /// Checks that the hook's options `factor`, `first_turn` and `where`, as far as it has them, leave out no turn that the
    /// analyzer reads.
    pub(super) fn read_by(&mut self) {
        let (manifest, needs) = (self.produced.manifest, self.needs);
        let Some(name) = needs.read_by.as_deref() else { return };
        // One that the manifest lacks is reported with the outcome.
        let Some(hook) = manifest.hooks.iter().find(|h| h.name == name) else { return };
        let set = |key: &str| hook.table.get(key).map(to_json).or_else(|| hook.defaults.get(key).cloned());
        let who = self.reader.who();
        if let Some(Value::String(factor)) = set("factor")
            && let Some(own) = needs.pairs.first()
            && !needs.pairs.contains(&factor)
        {
            let message =
                format!("{who} compares the levels of `{own}`, and the hook `{name}` pairs those of `{factor}`");
            let help = format!("set `factor = \"{factor}\"` here, or `factor = \"{own}\"` in the hook");
            self.issues.push(self.option("factor"), message, Some(help));
            return;
        }
        if let (Some(own), Some(first)) = (needs.first_turn, set("first_turn").and_then(|v| v.as_u64()))
            && u64::from(own) < first
        {
            let message = format!(
                "{who} reads turns from {own} on, and the hook `{name}` those from {first} on: the turns before have none of its readings"
            );
            let help = format!("set `first_turn = {first}` or more here, or `first_turn = {own}` in the hook");
            self.issues.push(self.option("first_turn"), message, Some(help));
        }
        let only: Factors = set("where").and_then(|v| serde_json::from_value(v).ok()).unwrap_or_default();
        let reads = |f: &Factors| self.looks_at(f) && needs.pairs.iter().all(|factor| f.contains_key(factor));
        // A hook whose `where` selects nothing is refused by itself.
        let all = || manifest.conditions.iter();
        let some = all().any(|c| has_levels(&c.factors, &only));
        let left = all().find(|c| some && reads(&c.factors) && !has_levels(&c.factors, &only));
        if let Some(left) = left {
            let nothing = Factors::new();
            let own = needs.filters.get("where").map_or(&nothing, |f| &f.levels);
            let (own, wanted, condition) = (inline(own), inline(&only), &left.chosen.name);
            let message = format!(
                "{who} reads the condition `{condition}` (`where` is {own}), which the hook `{name}` leaves out (its `where` is {wanted})"
            );
            let help = format!("set `where = {wanted}` here, or `where = {own}` in the hook");
            self.issues.push(self.option("where"), message, Some(help));
        }
    }
}

/// Levels of factors as they are written in a manifest.
fn inline(levels: &Factors) -> String {
    let all: Vec<String> = levels.iter().map(|(factor, level)| format!("{factor} = {level:?}")).collect();
    if all.is_empty() { "{}".into() } else { format!("{{ {} }}", all.join(", ")) }
}
