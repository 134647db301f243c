//! Forks of a turn that hooks ask for, in which activations are replaced.
use crate::Plan;
use crate::planned::PlannedHook;
use friction_core::arms::qualified;
use friction_core::program::is_name;
use friction_core::{Error, Fork, Item, Result, TurnRow};
use friction_engine::{Doses, Request};
use std::sync::Arc;

/// A fork that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Name of its reading: `<hook>.<name>`.
    pub name: String,
    /// Edits that are applied, by index in the plan's program, with their vectors.
    given: Vec<(usize, Arc<[f32]>)>,
}

impl Asked {
    /// Checks what a hook asks for.
    ///
    /// # Errors
    /// If its name is none, or it names an edit that the hook's program lacks or that takes no vectors.
    pub fn new(plan: &Plan, hook: &PlannedHook, fork: Fork) -> Result<Self> {
        let wrong = |what: String| Error::config(format!("hook `{}` asks for a fork {:?}{what}", hook.name, fork.name));
        if !is_name(&fork.name) {
            return Err(wrong("; names are letters, digits, `-` and `_`".into()));
        }
        let edits = &plan.program.edits;
        let mut given = vec![];
        for (name, vectors) in &fork.given {
            // If several hooks have edits, the hook's name stands before each.
            let full = qualified(&hook.name, name);
            let own = edits.iter().position(|e| e.name == full);
            let Some(at) = own.or_else(|| edits.iter().position(|e| e.name == *name)) else {
                return Err(wrong(format!(" with the edit `{name}`, which its program lacks")));
            };
            if !edits[at].op.takes_vectors() {
                return Err(wrong(format!(" with the edit `{name}`, which takes no vectors")));
            }
            given.push((at, vectors.clone()));
        }
        Ok(Self { name: format!("{}.{}", hook.name, fork.name), given })
    }

    /// The request of the fork of a turn. `doses` is what edits do in the turn itself.
    pub fn request(&self, row: &TurnRow, mut doses: Doses) -> Request {
        for (edit, vectors) in &self.given {
            let len = doses.strengths.len().max(edit + 1);
            doses.strengths.resize(len, 0.0);
            doses.given.resize(len, None);
            doses.strengths[*edit] = 1.0;
            doses.given[*edit] = Some(vectors.clone());
        }
        let choices = (0..row.choices as usize).map(|i| Item::letter(i).to_string()).collect();
        Request { choices, fork: true, again: true, doses, ..Request::default() }
    }
}
