//! A conversation's results are the same alone and beside any others, in any slot.
use crate::compare::{identical, same};
use crate::talks::{Talk, apart, says};
use crate::world::{hold, on_every_model, options, whole, worlds};
use friction_engine::TurnOutcome;
use std::slice::from_ref;

#[test]
fn neighbours_change_no_bit() {
    on_every_model(|w, talks, t| {
        let units = apart(&talks);
        let together = whole(w, &units, options(6, true, 16, t));
        let few = whole(w, &units, options(2, true, 16, t));
        identical(&together.turns, &few.turns);
        same(&together.asides, &few.asides);
        let turned: Vec<Vec<Talk>> = units.iter().rev().cloned().collect();
        let mut turned = hold(w, &turned, options(6, true, 16, t));
        turned.reverse();
        identical(&together.turns, &turned);
        let each = |slots| -> Vec<Vec<TurnOutcome>> {
            units.iter().flat_map(|u| hold(w, from_ref(u), options(slots, true, 16, t))).collect()
        };
        identical(&together.turns, &each(2));
        // A single slot takes another code path, for one row: tokens are equal, activations equal up to rounding.
        same(&together.turns, &each(1));
        Ok(())
    });
}

#[test]
fn strength_zero_touches_nothing_and_others_steer() {
    for w in worlds() {
        let talk = |strength| Talk { strength, ..says(&["hello there", "more"]) };
        let alone = hold(&w, &[vec![talk(0.0)]], options(3, true, 16, 0.0));
        let mixed = hold(&w, &[vec![talk(0.0)], vec![talk(3.0)], vec![talk(-3.0)]], options(3, true, 16, 0.0));
        identical(&alone, &mixed[..1]);
        let row = |o: &TurnOutcome| o.taps[0].rows[0].clone();
        assert_ne!(row(&mixed[0][0]), row(&mixed[1][0]), "{}", w.name);
        assert_ne!(row(&mixed[1][0]), row(&mixed[2][0]), "{}", w.name);
    }
}
