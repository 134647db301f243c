//! Replies that end by themselves, are given, or are broken off with their run.
use crate::compare::{identical, same};
use crate::program::program;
use crate::talks::{Talk, apart, says, scripts};
use crate::world::{hold, on_every_model, options, texts, whole, worlds};
use friction_checkpoint::ChatMessage;
use friction_core::ReplayTokens;
use friction_engine::{Engine, Error, Finish, Flow, Progress, TurnOutcome};
use friction_model::cache::CacheShape;
use friction_model::{NoProbe, Segment, Step};
use proptest::prelude::*;

/// On a GPU steps are in flight when a run is stopped, or ends by an error: they end before their buffers go.
#[test]
fn after_a_run_that_was_stopped_the_next_is_whole() {
    let w = &worlds()[0];
    let talk = |strength| Talk { strength, ..says(&["hello there", "more"]) };
    let all = [vec![talk(0.0)], vec![talk(1.5)]];
    let o = options(2, true, 16, 0.0);
    let whole = hold(w, &all, o.clone());
    for most in 2..6 {
        let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), o.clone()).unwrap();
        let stop = |p: &Progress| if p.steps < most { Flow::Continue } else { Flow::Stop };
        let stopped = engine.run(scripts(&all).0, |_| Ok(()), stop);
        assert!(matches!(stopped, Err(Error::Stopped)), "after {most} steps");
    }
    identical(&whole, &hold(w, &all, o));
}

#[test]
fn a_chat_prompt_has_one_bos() {
    let (tokenizer, template) = texts();
    let text = template
        .render(&[ChatMessage::user("hi"), ChatMessage::assistant("yo"), ChatMessage::user("a<bos>b")])
        .unwrap();
    let ids = tokenizer.encode(&text).unwrap();
    assert_eq!(ids.iter().filter(|i| **i == 2).count(), 1);
    assert_eq!(ids[0], 2);
}

/// Ids that end a reply are no part of it, and some replies are drawn that end before they are as long as they may be.
#[test]
fn every_end_id_stops() {
    let mut early = 0;
    for w in worlds() {
        let all: Vec<Vec<Talk>> = (0..4).map(|seed| vec![Talk { seed, ..says(&["x", "y"]) }]).collect();
        let outcomes = hold(&w, &all, options(4, true, 16, 1.0));
        for o in outcomes.iter().flatten() {
            assert!(o.ids.iter().all(|id| !w.model.arch.eos.contains(id)), "{}: {o:?}", w.name);
            assert_eq!(o.finish == Finish::Stop, o.ids.len() < 9, "{}: {o:?}", w.name);
            early += usize::from(o.finish == Finish::Stop);
        }
    }
    assert!(early > 0);
}

#[test]
fn a_forced_reply_has_the_models_own_probabilities() {
    let text = "a longer reply than any that is generated, and it goes on ".repeat(2);
    for w in worlds() {
        let said = w.tokenizer.encode(&text).unwrap();
        assert!(said.len() > 100, "more than one step scores");
        let talk = |forced: Vec<Option<String>>, strength| Talk { forced, strength, ..says(&["tell me", "and then"]) };
        let given = vec![Some(text.clone())];
        let both = [vec![talk(given.clone(), 0.0), talk(given, 1.5), talk(vec![], 0.0)]];
        let got = hold(&w, &both, options(3, true, 5, 0.0));
        assert!(got[2][0].forced.is_empty() && got[0][1].forced.is_empty());
        assert_eq!((&got[0][0].ids, got[0][0].finish), (&said, Finish::Replay));
        // The conversation continues after it.
        assert_eq!((got[0].len(), got[0][0].forced.len()), (2, said.len()));
        assert_ne!(got[0][0].forced, got[1][0].forced, "{}: edits reach what is said", w.name);
        let turns = [ChatMessage::user("tell me")];
        let mut ids = w.tokenizer.encode(&w.template.render(&turns).unwrap()).unwrap();
        let prompt = ids.len();
        ids.extend(&said);
        let n = ids.len();
        let mut cache = w.model.cache(CacheShape::new(&w.model.arch, 1, n, n));
        let step =
            Step { ids, segments: vec![Segment { slot: 0, start: 0, len: n }], logits: (prompt - 1..n - 1).collect() };
        let logits = w.model.forward(&step, &mut cache, &mut NoProbe).unwrap().unwrap().into_data();
        let rows: Vec<f32> = logits.iter::<f32>().collect();
        for ((row, id), got) in rows.chunks(w.model.arch.vocab).zip(&said).zip(&got[0][0].forced) {
            let want = friction_engine::sampling::log_probs(row, &[*id])[0];
            assert!((want - got).abs() < 1e-4, "{}: {want} {got}", w.name);
        }
    }
}

/// The tokens of a model's own replies, given to it, are read as they were generated: many in a step, and one a step.
#[test]
fn a_models_own_tokens_are_read_as_they_were_generated() {
    on_every_model(|w, talks, t| {
        for strength in [Some(0.0), None] {
            let talks: Vec<Talk> =
                talks.iter().map(|t| Talk { strength: strength.unwrap_or(t.strength), ..t.clone() }).collect();
            let said = whole(w, &apart(&talks), options(6, true, 16, t));
            for stepwise in [false, true] {
                let given = |(talk, turns): (&Talk, &Vec<TurnOutcome>)| {
                    let tokens = |o: &TurnOutcome| {
                        Some(ReplayTokens { ids: o.ids.clone(), stopped: o.finish == Finish::Stop, stepwise })
                    };
                    let forced = turns.iter().map(|o| Some(o.text.clone())).collect();
                    vec![Talk { forced, tokens: turns.iter().map(tokens).collect(), ..talk.clone() }]
                };
                let units: Vec<Vec<Talk>> = talks.iter().zip(&said.turns).map(given).collect();
                let read = whole(w, &units, options(6, true, 16, t));
                prop_assert!(read.turns.iter().flatten().all(|o| o.finish == Finish::Replay));
                prop_assert!(read.turns.iter().flatten().all(|o| o.forced.len() == o.ids.len()));
                // Without what only one of the two has.
                let both = [&said.turns, &read.turns].map(|all| -> Vec<Vec<TurnOutcome>> {
                    let plain = |o: &TurnOutcome| TurnOutcome { finish: Finish::Replay, forced: vec![], ..o.clone() };
                    all.iter().map(|turns| turns.iter().map(plain).collect()).collect()
                });
                let texts = |all: &[Vec<TurnOutcome>]| all.iter().flatten().map(|o| o.text.clone()).collect::<Vec<_>>();
                prop_assert_eq!(texts(&both[0]), texts(&both[1]));
                // Edits of several tokens at once may round otherwise than those of one.
                let equal = if strength.is_some() { identical } else { same };
                equal(&both[0], &both[1]);
                equal(&said.asides, &read.asides);
            }
        }
        Ok(())
    });
}

/// Tokens that the model does not have are refused, and those that spell another text are read all the same.
#[test]
fn given_tokens_are_the_reply_and_the_given_text_its_words() {
    let w = &worlds()[0];
    let read = |ids: Vec<u32>| {
        let tokens = vec![Some(ReplayTokens { ids, ..ReplayTokens::default() })];
        let talk = Talk { forced: vec![Some("so".into())], tokens, ..says(&["tell me"]) };
        let engine = Engine::new(&w.model, &w.tokenizer, &w.template, &program(), options(2, true, 16, 0.0)).unwrap();
        let (units, logs, _) = scripts(&[vec![talk]]);
        engine.run(units, |_| Ok(()), |_| Flow::Continue).map(|_| logs[0].borrow()[0].clone())
    };
    let ids = w.tokenizer.encode("other").unwrap();
    let told = read(ids.clone()).unwrap();
    assert_eq!((told.ids, told.text.as_str(), told.forced.len()), (ids.clone(), "so", ids.len()));
    let vocab = w.model.arch.vocab;
    let Err(Error::Given { what, .. }) = read(vec![vocab as u32]) else { panic!("a token that there is not is read") };
    assert!(what.contains(&format!("the model has {vocab} tokens")), "{what}");
}
