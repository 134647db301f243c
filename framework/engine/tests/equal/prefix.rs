//! What the cache holds of a conversation equals what is computed from nothing: prefixes that are kept, rolled back after
//! a cut, lost by a ring, or taken over from another conversation's opening.
use crate::compare::same;
use crate::talks::{Talk, apart, says};
use crate::world::{on_every_model, options, whole, worlds};
use friction_checkpoint::ChatMessage;
use proptest::prelude::*;
use std::slice::from_ref;

#[test]
fn reuse_and_roll_back_equal_recomputation() {
    on_every_model(|w, talks, t| {
        let units = apart(&talks);
        let reused = whole(w, &units, options(4, true, 16, t));
        let anew = whole(w, &units, options(4, false, 16, t));
        prop_assert!(anew.turns.iter().chain(&anew.asides).flatten().all(|o| o.reused_tokens == 0));
        let chunks = whole(w, &units, options(4, true, 5, t));
        for other in [anew, chunks] {
            same(&reused.turns, &other.turns);
            same(&reused.asides, &other.asides);
        }
        Ok(())
    });
}

/// A conversation longer than the rings of layers with a window, which goes back to its beginning in the last turn.
#[test]
fn what_a_ring_has_lost_is_computed_again() {
    let long =
        ["begin", "go on", "and then", "once more"].map(|m| format!("{m} {}", "with all there is to it ".repeat(4)));
    for w in worlds() {
        let (name, arch) = (&w.name, &w.model.arch);
        let talk = Talk { forgets: vec![0, 0, 0, 3], ..says(&long.each_ref().map(String::as_str)) };
        let units = [vec![talk.clone()], vec![Talk { seed: 2, strength: 1.5, ..talk }]];
        let reused = whole(&w, &units, options(2, true, 16, 1.0)).turns;
        same(&reused, &whole(&w, &units, options(2, false, 16, 1.0)).turns);
        let shape = options(2, true, 16, 1.0).cache(arch);
        for turns in &reused {
            let taken = [&turns[2], &turns[3]].map(|o| o.reused_tokens);
            assert!(arch.window().is_none() || turns[2].prompt_tokens > shape.ring, "{name}: the rings wrap");
            assert!(taken[0] > 100, "{name}: {taken:?}");
            // The two beginnings have a few tokens in common, which rings no longer hold.
            assert_eq!(taken[1] == 0, arch.window().is_some(), "{name}: {taken:?}");
        }
    }
}

/// A turn that reads none of the exchanges before it, among turns that do.
#[test]
fn a_turn_without_history_reads_as_the_first_and_the_next_reads_all_again() {
    let long = ["begin", "go on", "and then"].map(|m| format!("{m} {}", "with all there is to it ".repeat(2)));
    for w in worlds() {
        let talk = Talk {
            alone: vec![false, true],
            asides: vec!["how so".into()],
            ..says(&long.each_ref().map(String::as_str))
        };
        let alone = Talk { messages: vec![long[1].clone()], ..talk.clone() };
        let told = |talk: &Talk, reuse| whole(&w, &[vec![talk.clone()]], options(1, reuse, 16, 0.0));
        let (reused, anew) = (told(&talk, true), told(&talk, false));
        same(&reused.turns, &anew.turns);
        same(&reused.asides, &anew.asides);
        // It is the first turn of a conversation of its own, its aside included.
        let own = told(&Talk { alone: vec![], ..alone }, false);
        assert_eq!(
            (&anew.turns[0][1].ids, anew.turns[0][1].prompt_tokens),
            (&own.turns[0][0].ids, own.turns[0][0].prompt_tokens)
        );
        assert_eq!(anew.asides[0][1].prompt_tokens, own.asides[0][0].prompt_tokens);
        assert!(anew.turns[0][2].prompt_tokens > 2 * anew.turns[0][1].prompt_tokens, "{}", w.name);
    }
}

#[test]
fn openings_are_computed_once_and_change_nothing() {
    on_every_model(|w, talks, t| {
        let opening = vec![
            ChatMessage::system("be brief and say what you think of it"),
            ChatMessage::user("one and one"),
            ChatMessage::assistant("it is two, and that is all there is to say"),
        ];
        let unit: Vec<Talk> =
            talks.into_iter().map(|t| Talk { opening: opening.clone(), strength: 0.0, ..t }).collect();
        let together = whole(w, from_ref(&unit), options(6, true, 16, t));
        let own = whole(w, &apart(&unit), options(6, true, 16, t));
        same(&together.turns, &own.turns);
        let progress = together.progress;
        prop_assert_eq!(progress.forked_openings + progress.forked_turns, unit.len() as u64 - 1);
        prop_assert!(together.turns.iter().skip(1).all(|c| c[0].reused_tokens > 32));
        Ok(())
    });
}
