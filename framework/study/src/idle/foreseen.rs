//! Tells hooks what will be said.
use super::{Design, Words};
use crate::planned::{PlannedCondition, PlannedHook};
use crate::rehearsal::{MadeUp, opening};
use crate::wrong::Wrong;
use friction_core::manifest::to_json;
use friction_core::{Bounds, Coming};
use serde_json::Value;

impl Design<'_> {
    /// Tells hooks what will be said. A condition that fails says nothing here; its error is reported elsewhere.
    pub fn foreseen(&self, hooks: &mut [PlannedHook], wrong: &mut Wrong) {
        let Some((ids, text)) = self.replies.first().filter(|_| !hooks.is_empty()) else { return };
        let made_up = MadeUp { text, ids, codec: &Words, score: None, forgiving: true };
        let (m, seed) = (self.manifest, self.manifest.study.seed);
        let table = |t: &toml::Table| to_json(&toml::Value::Table(t.clone()));
        let tables: Vec<Value> = m.conditions.iter().map(|c| table(&c.chosen.table)).collect();
        let bounds: Vec<Bounds> = self.conditions.iter().map(|c| c.plugin.bounds()).collect();
        let unlike = |c: &PlannedCondition| c.plugin.replies().map_or_else(Vec::new, |given| given.unlike);
        let unlike: Vec<Vec<String>> = self.conditions.iter().map(unlike).collect();
        let mut held = vec![];
        for (group, list) in self.groups.iter().enumerate() {
            for (i, c) in self.conditions.iter().enumerate() {
                let (course, at) = (self.course(c, list), (seed, group));
                let before = opening(self.dataset, c.plugin.as_ref(), at, list).unwrap_or_default();
                let turns = made_up.hold(c, &course, at, list).unwrap_or_default();
                held.push((group, list, (i, c), course, before, turns));
            }
        }
        let mut coming = vec![];
        for (group, list, (i, c), course, before, turns) in &held {
            let (Some(table), Some(bounds), Some(unlike)) = (tables.get(*i), bounds.get(*i), unlike.get(*i)) else {
                continue;
            };
            let listens = bounds.reads_history;
            for (turn, said) in turns.iter().enumerate() {
                let ask = &said.ask;
                let plain = !listens && ask.history.is_kept() && ask.filler.is_none();
                coming.push(Coming {
                    group: *group,
                    condition: &c.name,
                    factors: &c.factors,
                    table,
                    ends_on: bounds.ends_on.as_deref(),
                    opening: before,
                    turn: turn + 1,
                    item: course.item(list, turn).map_or("", |p| &p.item.id),
                    user: plain.then_some(ask.text.as_str()),
                    history: ask.history.word(),
                    prefill: (!listens).then(|| ask.prefill.as_deref().unwrap_or("")),
                    given: ask.replay.is_some(),
                    unlike,
                });
            }
        }
        for (hook, chosen) in hooks.iter_mut().zip(&m.hooks) {
            let warnings = wrong.built(chosen, hook.plugin.foresee(&coming)).unwrap_or_default();
            warnings.into_iter().for_each(|w| wrong.warnings.push(chosen.path.clone(), w, None));
        }
    }
}
