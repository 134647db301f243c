//! The hook over a stored run whose activations are known.
#![allow(clippy::unwrap_used)]
use super::{LAST, SITE};
use crate::arms::{Arm, reading};
use crate::options::Patch;
use friction_core::{
    BuildContext, Factors, Fork, Hook, ModelSpec, PluginConfig, Position, Result, Site, Spoken, Tap, TapArray, TapView,
    TurnRow,
};
use friction_store::{GroupData, RunDir, TapEntry};
use serde_json::{Value, json};
use std::path::Path;

const GROUPS: u32 = 4;

pub fn factors(completion: &str, tone: &str) -> Factors {
    [("completion".to_string(), completion.to_string()), ("tone".into(), tone.into())].into()
}

/// The activations of a conversation of the stored run, `[tokens × 2]`. Interrupted ones are (1 + group/10, turn +
/// group²/7) ahead at `resid_post.0`, and (0, t) more t tokens before the last; the tone adds (0, 5) there.
pub fn activation(site: Site, group: u32, completion: &str, tone: &str, turn: u32, tokens: usize) -> Vec<f32> {
    let row = match site {
        Site::Embed => [1.0, 2.0],
        SITE => {
            let cut = if completion == "interrupt" { 1.0 } else { 0.0 };
            let b = if tone == "b" { 5.0 } else { 0.0 };
            [
                10.0 * group as f32 + cut * (1.0 + group as f32 / 10.0),
                cut * (turn as f32 + (group * group) as f32 / 7.0) + b,
            ]
        }
        _ => [f32::from(u8::from(completion == "interrupt")), group as f32],
    };
    let more = if site == SITE && completion == "interrupt" { 1.0 } else { 0.0 };
    let before = |t: usize| (tokens - 1 - t) as f32;
    (0..tokens).flat_map(|t| [row[0] - 100.0 * before(t), row[1] + more * before(t)]).collect()
}

/// Writes the run: two levels of `completion`, two of `tone`, two turns.
fn stored(dir: &Path, position: Position, change: impl Fn(&mut TapEntry, u32)) {
    locked(dir, position, &json!({"study": {"name": "first", "seed": 5}}), change);
}

/// As [`stored`], with a lock.
pub fn locked(dir: &Path, position: Position, lock: &Value, change: impl Fn(&mut TapEntry, u32)) {
    let run = RunDir::open(dir, "", lock).unwrap();
    let tokens = if let Position::PromptTail(n) = position { n } else { 1 };
    for group in 0..GROUPS {
        let mut data = GroupData::default();
        for (completion, tone) in [("complete", "a"), ("complete", "b"), ("interrupt", "a"), ("interrupt", "b")] {
            let condition = format!("{completion}-{tone}");
            for turn in 1..3 {
                data.turns.push(TurnRow {
                    group,
                    condition: condition.clone(),
                    factors: factors(completion, tone),
                    turn,
                    round: 1,
                    item_id: format!("{group}-{turn}"),
                    user: format!("ask {group}-{turn}"),
                    reply: "(yes".into(),
                    reply_tokens: 3,
                    prefill: "(".into(),
                    ..TurnRow::default()
                });
            }
            for site in [Site::Embed, SITE, LAST] {
                let of = |turn| activation(site, group, completion, tone, turn, tokens);
                let mut entry = TapEntry {
                    condition: condition.clone(),
                    arm: String::new(),
                    sample: 0,
                    site,
                    position,
                    array: TapArray { shape: [2, tokens, 2], data: [of(1), of(2)].concat() },
                };
                change(&mut entry, group);
                data.taps.push(entry);
            }
        }
        run.write_group(group as usize, &data).unwrap();
    }
}

pub fn context(dir: &Path, groups: usize) -> BuildContext {
    serde_json::from_value(json!({
        "base": dir, "seed": 5, "model": {"source": "path:model"}, "backend": {},
        "study": {"name": "second", "groups": groups, "turns": 2}
    }))
    .unwrap()
}

pub fn options(more: &str) -> Patch {
    let text = format!("run = \"first\"\nsites = [\"resid_post.0\"]\nfactor = \"completion\"\n{more}");
    let options: Patch = toml::from_str(&text).unwrap();
    options.check().unwrap();
    options
}

fn refused(dir: &Path, more: &str, groups: usize) -> String {
    options(more).build(&context(dir, groups)).err().map(|e| e.to_string()).unwrap_or_default()
}

fn model() -> ModelSpec {
    ModelSpec { name: "tiny".into(), layers: 2, hidden: 2, attn_width: 2, vocab: 9, parameters: 1 }
}

/// What the hook asks for in turn 2 of a conversation whose activations are the stored ones.
fn asked(hook: &dyn Hook, group: u32, completion: &str, tone: &str, position: Position) -> Result<(f64, Vec<Fork>)> {
    let tokens = if let Position::PromptTail(n) = position { n } else { 1 };
    let of = factors(completion, tone);
    let spoken =
        |turn| Spoken { group: group as usize, condition: "any", arm: "", sample: 0, factors: &of, turn, reply: "yes" };
    let taps: Vec<(Tap, Vec<Vec<f32>>)> = [SITE, Site::Embed, LAST]
        .map(|site| {
            let rows = activation(site, group, completion, tone, 2, tokens);
            (Tap { site, position }, rows.chunks(2).map(<[f32]>::to_vec).collect())
        })
        .to_vec();
    let views: Vec<TapView> = taps.iter().map(|(tap, rows)| TapView { tap, rows }).collect();
    assert!(
        hook.forks(&spoken(1), &views, &[])?.is_empty() && hook.read(&spoken(1), &views)?.is_empty(),
        "turn 1 does not enter"
    );
    let drift = hook.read(&spoken(2), &views)?.get("drift").copied().unwrap_or(f64::NAN);
    Ok((drift, hook.forks(&spoken(2), &views, &[])?))
}

pub fn given(forks: &[Fork], arm: Arm, site: Site) -> Option<&[f32]> {
    let fork = forks.iter().find(|f| f.name == reading(arm, site))?;
    assert!(fork.given.len() == 1 && fork.given[0].0 == site.to_string());
    Some(&fork.given[0].1)
}

fn near(a: Option<&[f32]>, b: &[f32]) -> bool {
    a.is_some_and(|a| a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5))
}

#[test]
fn forks_hold_what_their_arms_say() {
    let dir = tempfile::tempdir().unwrap();
    stored(&dir.path().join("first"), Position::PromptEnd, |_, _| {});
    let o = options("where = { tone = \"a\" }\nplacebo = \"tone\"\ncontrols = 5\nsubspace = 1");
    let hook = o.build(&context(dir.path(), 4)).unwrap();
    let program = hook.program(&model()).unwrap();
    program.validate(&model()).unwrap();
    let sites: Vec<Site> = program.edits.iter().map(|e| e.site).collect();
    assert_eq!(sites, [SITE, Site::Embed, LAST]);
    // Difference interrupt − complete in turn 2: (1 + group/10, 2 + group²/7).
    for group in 0..GROUPS {
        let others: Vec<f32> = (0..GROUPS).filter(|g| *g != group).map(|g| g as f32).collect();
        let mean = |f: fn(f32) -> f32| others.iter().map(|g| f(*g)).sum::<f32>() / 3.0;
        let mean = [mean(|g| 1.0 + g / 10.0), mean(|g| 2.0 + g * g / 7.0)];
        for (completion, partner, sign) in [("complete", "interrupt", 1.0), ("interrupt", "complete", -1.0)] {
            let (drift, forks) = asked(hook.as_ref(), group, completion, "a", Position::PromptEnd).unwrap();
            assert_eq!(drift, 0.0);
            assert!(forks.iter().all(|f| program.readings.contains(&f.name)), "{forks:?}");
            let at = |completion, tone| activation(SITE, group, completion, tone, 2, 1);
            let own = at(completion, "a");
            assert_eq!(given(&forks, Arm::Own, SITE), Some(&own[..]));
            assert_eq!(given(&forks, Arm::Partner, SITE), Some(&at(partner, "a")[..]));
            assert_eq!(given(&forks, Arm::Placebo, SITE), Some(&at(completion, "b")[..]));
            assert_eq!(given(&forks, Arm::TestEmbed, Site::Embed), Some(&[1.0, 2.0][..]));
            let last = activation(LAST, group, partner, "a", 2, 1);
            assert_eq!(given(&forks, Arm::TestLast, LAST), Some(&last[..]));
            let state = given(&forks, Arm::State, SITE);
            assert!(near(state, &[own[0] + sign * mean[0], own[1] + sign * mean[1]]), "{state:?}");
            for k in 0..5 {
                let control = given(&forks, Arm::Control(k), SITE).unwrap();
                let moved = [control[0] - own[0], control[1] - own[1]];
                let along = moved[0] * mean[0] + moved[1] * mean[1];
                let length = moved[0].hypot(moved[1]);
                assert!((length - mean[0].hypot(mean[1])).abs() < 1e-4 && along.abs() < 1e-3, "{moved:?}");
            }
            // The two parts of the difference add up to it, in groups in which the subspace was not found.
            let parts = [Arm::Subspace, Arm::Complement].map(|arm| given(&forks, arm, SITE));
            if let [Some(inside), Some(outside)] = parts {
                let partner = at(partner, "a");
                for i in 0..2 {
                    assert!((inside[i] + outside[i] - own[i] - partner[i]).abs() < 1e-4, "{inside:?} {outside:?}");
                }
            }
        }
    }
    let halves = (0..GROUPS).filter(|g| {
        let (_, forks) = asked(hook.as_ref(), *g, "complete", "a", Position::PromptEnd).unwrap();
        given(&forks, Arm::Subspace, SITE).is_some()
    });
    assert_eq!(halves.count(), 2);
    assert!(
        asked(hook.as_ref(), 0, "complete", "b", Position::PromptEnd).unwrap().1.is_empty(),
        "`where` leaves it out"
    );
}

#[test]
fn several_tokens_are_replaced_by_as_many() {
    let (dir, position) = (tempfile::tempdir().unwrap(), Position::PromptTail(3));
    stored(&dir.path().join("first"), position, |_, _| {});
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let o = options("position = \"prompt-tail:3\"\nwhere = { tone = \"a\" }\ncontrols = 2\nsubspace = 0");
    let hook = o.build(&context(dir.path(), 4)).unwrap();
    let (_, forks) = asked(hook.as_ref(), 1, "complete", "a", position).unwrap();
    assert_eq!(given(&forks, Arm::Partner, SITE).unwrap(), activation(SITE, 1, "interrupt", "a", 2, 3));
    // All three tokens are behind the user's message. Each has a mean difference of its own.
    let own = activation(SITE, 1, "complete", "a", 2, 3);
    let moved = [(1.0 + 1.2 + 1.3) / 3.0, 2.0 + (0.0 + 4.0 + 9.0) / 21.0];
    let state: Vec<f32> = (0..6).map(|i| own[i] + moved[i % 2] + [0.0, 2.0, 0.0, 1.0, 0.0, 0.0][i]).collect();
    assert!(near(given(&forks, Arm::State, SITE), &state), "{state:?}");
    // Controls are as long, and orthogonal, over the tokens together.
    let change = |arm| -> Vec<f32> { given(&forks, arm, SITE).unwrap().iter().zip(&own).map(|(x, o)| x - o).collect() };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let state = change(Arm::State);
    for k in 0..2 {
        let control = change(Arm::Control(k));
        assert!((dot(&control, &control) - dot(&state, &state)).abs() < 1e-2, "{control:?} {state:?}");
        assert!(dot(&control, &state).abs() < 1e-2, "{control:?} {state:?}");
    }
    assert!(given(&forks, Arm::Subspace, SITE).is_none() && given(&forks, Arm::Placebo, SITE).is_none());
}

/// Of more tokens than stand behind the user's message, those that belong to the question keep their own activations.
#[test]
fn the_state_moves_no_token_of_the_question() {
    let (dir, position) = (tempfile::tempdir().unwrap(), Position::PromptTail(30));
    stored(&dir.path().join("first"), position, |_, _| {});
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let o = options("position = \"prompt-tail:30\"\nwhere = { tone = \"a\" }\ncontrols = 2\nsubspace = 0");
    let cx = context(dir.path(), 4);
    let hook = o.build(&cx).unwrap();
    let (_, forks) = asked(hook.as_ref(), 1, "complete", "a", position).unwrap();
    let said = crate::talks::Said { user: "ask 1-1".into(), prefill: "(".into(), ..Default::default() };
    let tail = crate::tail::behind(&cx, [&said].into_iter()).unwrap();
    assert!((4..30).contains(&tail), "{tail}");
    for (arm, tokens) in [(Arm::Partner, 30), (Arm::State, tail), (Arm::Control(1), tail)] {
        assert_eq!(given(&forks, arm, SITE).unwrap().len(), 2 * tokens, "{arm}");
    }
}

#[test]
fn runs_that_do_not_fit_are_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    stored(&dir.path().join("first"), Position::PromptEnd, |_, _| {});
    let told = |more: &str, groups| refused(dir.path(), more, groups);
    assert_eq!(told("where = { tone = \"a\" }", 4), "");
    for (more, groups, why) in [
        ("where = { tone = \"a\" }", 5, "holds 4 groups, this study has 5"),
        ("where = { tone = \"c\" }", 4, "no conversation"),
        ("placebo = \"mood\"", 4, "no placebo"),
        ("placebo = \"sample\"", 4, "differs from it in `sample` alone"),
        ("position = \"prompt-tail:2\"", 4, "has not stored `embed` at `prompt-tail:2`"),
        ("", 2, "`state` is the mean of the other groups"),
    ] {
        assert!(told(more, groups).contains(why), "{more}: {}", told(more, groups));
    }
    let missing = options("").build(&context(&dir.path().join("elsewhere"), 4)).err().unwrap().to_string();
    assert!(missing.contains("holds no run"), "{missing}");
    // A model of another width or depth.
    let hook = options("").build(&context(dir.path(), 4)).unwrap();
    let e = hook.program(&ModelSpec { layers: 3, ..model() }).unwrap_err().to_string();
    assert!(e.contains("has not stored `resid_post.2`"), "{e}");
    let e = hook.program(&ModelSpec { hidden: 3, ..model() }).unwrap_err().to_string();
    assert!(e.contains("2 wide") && e.contains("3 in this model"), "{e}");
    // Tokens that differ between partners.
    let other = tempfile::tempdir().unwrap();
    stored(&other.path().join("first"), Position::PromptEnd, |entry, group| {
        if (group, entry.site, entry.condition.as_str()) == (2, Site::Embed, "interrupt-a") {
            entry.array.data[2] = 7.0;
        }
    });
    let e = refused(other.path(), "", 4);
    assert!(e.contains("turn 2 of group 2") && e.contains("end in 0 tokens that are the same"), "{e}");
}

#[test]
fn conversations_that_are_others_stop_the_run() {
    let dir = tempfile::tempdir().unwrap();
    stored(&dir.path().join("first"), Position::PromptEnd, |entry, group| {
        if (group, entry.site) == (1, SITE) {
            entry.array.data.iter_mut().for_each(|v| *v *= 1.2);
        }
        if (group, entry.site) == (2, SITE) {
            entry.array.data.iter_mut().for_each(|v| *v *= 1.01);
        }
    });
    let hook = options("").build(&context(dir.path(), 4)).unwrap();
    let told = |group| asked(hook.as_ref(), group, "complete", "a", Position::PromptEnd);
    let e = told(1).unwrap_err().to_string();
    assert!(e.contains("`resid_post.0` differ by"), "{e}");
    // Less is told as a reading: 0.01/1.01.
    assert!((told(2).unwrap().0 - 0.01 / 1.01).abs() < 1e-5);
    let of = factors("complete", "a");
    let other = Spoken { group: 0, condition: "x", arm: "", sample: 0, factors: &of, turn: 2, reply: "no" };
    let e = hook.read(&other, &[]).unwrap_err().to_string();
    assert!(e.contains("the reply is \"no\"") && e.contains("\"(yes\""), "{e}");
}

#[test]
fn donors_that_were_changed_or_taken_away_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    stored(&dir.path().join("first"), Position::PromptEnd, |_, _| {});
    let file = dir.path().join("first/groups/0002/taps.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let e = refused(dir.path(), "", 4);
    assert!(e.contains("0002/taps.safetensors: was changed after the run wrote it"), "{e}");
    std::fs::remove_file(&file).unwrap();
    let e = refused(dir.path(), "", 4);
    assert!(e.contains("0002/taps.safetensors: is missing, though SHA256SUMS lists it"), "{e}");
}
