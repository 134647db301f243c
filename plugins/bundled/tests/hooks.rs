//! Hooks that measure and cap: what is read along directions is what is stored, capped arms stay below their cap, several
//! sites are one arm, and every token of a reply is stored where a manifest asks for it.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{friction, root, text};
use friction_core::{ConversationId, Position, RunReader, Site, TapArray, TurnRow};
use friction_store::StoredRun;
use std::path::Path;

const STUDY: &str = r#"
study = { name = "NAME", seed = 3, groups = 4, turns = 3 }
model = { source = "bundled:organism" }
generation = { max_new_tokens = 8 }
dataset = { plugin = "organism" }
topics = { plugin = "fixed" }
[[condition]]
name = "interrupt"
plugin = "template"
user = "Okay. Now: {topic}.\n\n{question}"
keep = { tokens = 3, marker = "..." }
factors = { completion = "interrupt" }
"#;

const PROJECTION: &str = r#"
[[hook]]
plugin = "projection"
file = "FILE"
directions = ["attn_out.1/mean-difference", "resid_post.2/mean-difference"]
position = "prompt-end"
"#;

const READING: &str = "projection.attn_out-1-mean-difference";

fn planted() -> String {
    root().join("experiments/organism/planted.safetensors").display().to_string()
}

/// A direction of the file.
fn direction(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(planted()).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let number = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
    file.tensor(name).unwrap().data().chunks(4).map(number).collect()
}

fn write(dir: &Path, name: &str, hooks: &str) {
    let manifest = STUDY.replace("NAME", name) + &hooks.replace("FILE", &planted());
    std::fs::write(dir.join(format!("{name}.toml")), manifest).unwrap();
}

fn ran(dir: &Path, name: &str, hooks: &str) -> StoredRun {
    write(dir, name, hooks);
    let o = friction(dir, &["run", &format!("{name}.toml")]);
    assert!(o.status.success(), "{}", text(&o));
    StoredRun::open(&dir.join("runs").join(name)).unwrap()
}

fn tap(run: &StoredRun, group: u32, arm: &str, site: Site, position: Position) -> Option<TapArray> {
    run.tap(ConversationId { group, condition: "interrupt", arm, sample: 0 }, site, position).unwrap()
}

#[test]
fn what_is_read_along_a_direction_is_what_is_stored_and_a_cap_holds_it() {
    let dir = tempfile::tempdir().unwrap();
    let residual = "[[hook]]\nplugin = \"residual\"\nsites = [\"attn_out.1\"]\n";
    let read = ran(dir.path(), "read", &format!("{PROJECTION}{residual}"));
    let v = direction("attn_out.1/mean-difference");
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let mut readings = vec![];
    for row in read.turns() {
        let stored = tap(&read, row.group, "", Site::AttnOut(1), Position::PromptEnd).unwrap();
        let x = &stored.data[(row.turn as usize - 1) * v.len()..][..v.len()];
        let want = x.iter().zip(&v).map(|(x, v)| f64::from(*x) * f64::from(*v)).sum::<f64>() / norm;
        assert!((row.readings[READING] - want).abs() < 1e-4, "{} {want}", row.readings[READING]);
        assert!(row.readings.contains_key("projection.resid_post-2-mean-difference"));
        readings.push(want);
    }
    // The site that is only read is not stored.
    assert!(tap(&read, 0, "", Site::ResidPost(2), Position::PromptEnd).is_none());

    readings.sort_by(f64::total_cmp);
    let cap = readings[readings.len() / 2];
    assert!(readings[readings.len() - 1] > cap + 0.05, "there is something to cap: {readings:?}");
    let steer = format!(
        "[[hook]]\nplugin = \"steer\"\nfile = \"FILE\"\ndirection = \"attn_out.1/mean-difference\"\nat = \"prompt-end\"\n\
         random = 1\nshuffled = 0\nclamp = {{ max = {cap} }}\n"
    );
    let capped = ran(dir.path(), "capped", &format!("{PROJECTION}{steer}"));
    let of = |arm: &str| -> Vec<&TurnRow> { capped.turns().iter().filter(|r| r.arm == arm).collect() };
    let (untouched, held) = (of(""), of("direction@1"));
    assert_eq!((untouched.len(), held.len(), of("random-00@1").len()), (12, 12, 12));
    assert!(held.iter().all(|r| r.readings[READING] <= cap + 1e-4));
    // The first turns have the same prompts: those below the cap are left as they are.
    for (free, held) in untouched.iter().zip(&held).filter(|(r, _)| r.turn == 1) {
        let (free, held) = (free.readings[READING], held.readings[READING]);
        assert!((held - free.min(cap)).abs() < 1e-4, "{free} {held}");
    }
    let none = (1..3).flat_map(|l| (0..4).map(move |g| (g, Site::ResidPost(l))));
    assert!(none.into_iter().all(|(g, site)| tap(&capped, g, "", site, Position::PromptEnd).is_none()));
}

#[test]
fn a_reading_that_no_hook_gives_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let analyzer = "[[analyzer]]\nplugin = \"behavior\"\noutcome = \"reading.projection.attn_out-1-mean\"\n";
    write(dir.path(), "m", &format!("{PROJECTION}{analyzer}"));
    let o = friction(dir.path(), &["check", "m.toml"]);
    let told = text(&o);
    assert_eq!(o.status.code(), Some(2), "{told}");
    assert!(told.contains("the hook `projection` reads out no") && told.contains(READING), "{told}");
    write(dir.path(), "m", &PROJECTION.replace("attn_out.1/mean", "attn_out.1/nothing"));
    let o = friction(dir.path(), &["check", "m.toml"]);
    assert!(o.status.code() == Some(2) && text(&o).contains("holds no f32 vector"), "{}", text(&o));
}

#[test]
fn several_sites_are_one_arm() {
    let dir = tempfile::tempdir().unwrap();
    let hooks = |directions: &str| {
        format!(
            "[[hook]]\nplugin = \"residual\"\nsites = [\"attn_out.1\", \"resid_post.2\"]\n[[hook]]\nplugin = \"steer\"\n\
             file = \"FILE\"\ndirection = {directions}\nat = \"prompt-end\"\ndoses = [4.0]\nrandom = 0\nshuffled = 0\n"
        )
    };
    let one = ran(dir.path(), "one", &hooks("\"attn_out.1/mean-difference\""));
    let both = ran(dir.path(), "both", &hooks("[\"attn_out.1/mean-difference\", \"resid_post.2/mean-difference\"]"));
    let arm = |run, site| tap(run, 0, "direction@4", site, Position::PromptEnd).unwrap();
    let (a, b) = (arm(&one, Site::AttnOut(1)), arm(&both, Site::AttnOut(1)));
    assert_eq!(a.data[..a.shape[2]], b.data[..b.shape[2]], "the first site is moved alike");
    let (a, b) = (arm(&one, Site::ResidPost(2)), arm(&both, Site::ResidPost(2)));
    for ((a, b), v) in a.data.iter().zip(&b.data).zip(direction("resid_post.2/mean-difference")) {
        assert!((b - a - 4.0 * v).abs() < 1e-4, "{a} {b} {v}");
    }
}

#[test]
fn every_token_of_a_reply_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let hook = "[[hook]]\nplugin = \"residual\"\nsites = [\"resid_post.2\"]\npositions = [\"reply\", \"reply-mean\"]\n";
    let run = ran(dir.path(), "reply", hook);
    for group in 0..4 {
        let stored = tap(&run, group, "", Site::ResidPost(2), Position::ReplyAll).unwrap();
        let mean = tap(&run, group, "", Site::ResidPost(2), Position::ReplyMean).unwrap();
        let [_, positions, width] = stored.shape;
        let turns: Vec<&TurnRow> = run.turns().iter().filter(|r| r.group == group).collect();
        let longest = turns.iter().map(|r| r.reply_tokens as usize).max().unwrap();
        assert_eq!(positions, longest.max(1));
        for (t, row) in turns.iter().enumerate() {
            let rows: Vec<&[f32]> = stored.data[t * positions * width..][..positions * width].chunks(width).collect();
            let tokens = row.reply_tokens as usize;
            assert!(rows[..tokens].iter().flat_map(|r| r.iter()).all(|x| x.is_finite()));
            assert!(rows[tokens..].iter().flat_map(|r| r.iter()).all(|x| x.is_nan()), "the rest is padding");
            if tokens > 0 {
                let sum: f32 = rows[..tokens].iter().map(|r| r[5]).sum();
                assert!((sum / tokens as f32 - mean.data[t * width + 5]).abs() < 1e-4);
            }
        }
    }
}
