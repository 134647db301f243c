//! Forks and asides leave conversations as if they had not been.
use crate::compare::identical;
use crate::talks::{Talk, apart};
use crate::world::{hold, on_every_model, options, whole};
use proptest::prelude::*;
use std::slice::from_ref;

#[test]
fn asides_leave_a_conversation_as_it_was() {
    on_every_model(|w, talks, t| {
        let with = apart(&talks);
        let without: Vec<Vec<Talk>> = talks.into_iter().map(|t| vec![Talk { asides: vec![], ..t }]).collect();
        let asked = whole(w, &with, options(6, true, 16, t));
        let plain = whole(w, &without, options(6, true, 16, t));
        identical(&asked.turns, &plain.turns);
        for (talk, (turns, asides)) in with.iter().flatten().zip(asked.turns.iter().zip(&asked.asides)) {
            prop_assert_eq!(asides.len(), talk.asides.len() * turns.len());
        }
        prop_assert!(plain.asides.iter().all(Vec::is_empty));
        Ok(())
    });
}

#[test]
fn forks_equal_conversations_of_their_own() {
    on_every_model(|w, mut unit, t| {
        // One first message, then each its own: what conditions of a group do.
        let first = unit[0].messages[0].clone();
        for (i, t) in unit.iter_mut().enumerate() {
            t.messages[0].clone_from(&first);
            t.messages.push(format!("and {i}?"));
            (t.strength, t.seed, t.ends) = (0.0, 1, 9);
            (t.opening, t.prefill, t.forced) = (vec![], String::new(), vec![]);
        }
        let forked = hold(w, from_ref(&unit), options(6, true, 16, t));
        let own = hold(w, &apart(&unit), options(6, true, 16, t));
        identical(&forked, &own);
        prop_assert!(forked.iter().skip(1).all(|c| c[0].reused_tokens == c[0].prompt_tokens));
        Ok(())
    });
}
