//! What is refused before a run, and forks with the conversations of the group.
#![allow(clippy::unwrap_used)]
use super::forks::{activation, context, factors, given, locked, options};
use super::{LAST, SITE};
use crate::arms::Arm;
use crate::options::Patch;
use friction_core::{
    BuildContext, ChatMessage, Coming, Factors, Hook, Peer, PluginConfig, Position, Result, Site, Spoken, Tap, TapView,
};
use serde_json::{Value, json};
use std::path::Path;

const CELLS: [(&str, &str); 4] = [("complete", "a"), ("complete", "b"), ("interrupt", "a"), ("interrupt", "b")];

/// A turn of the design.
struct Planned {
    group: usize,
    condition: String,
    factors: Factors,
    table: Value,
    opening: Vec<ChatMessage>,
    turn: usize,
    item: String,
    user: String,
    history: &'static str,
    prefill: String,
    given: bool,
    unlike: Vec<String>,
}

/// What is changed of a turn.
type Change<'a> = &'a dyn Fn(&mut Planned);

/// The design of the stored run: two groups of two turns.
struct Design(Vec<Planned>);

impl Design {
    fn new(turns: usize) -> Self {
        let mut all = vec![];
        for group in 0..2 {
            for (completion, tone) in CELLS {
                for turn in 1..=turns {
                    let (item, condition) = (format!("{group}-{turn}"), format!("{completion}-{tone}"));
                    all.push(Planned {
                        group,
                        factors: factors(completion, tone),
                        table: table(&condition),
                        opening: vec![],
                        turn,
                        user: format!("ask {item}"),
                        history: "",
                        prefill: "(".into(),
                        given: false,
                        unlike: vec![],
                        item,
                        condition,
                    });
                }
            }
        }
        Self(all)
    }

    fn told(&self, hook: &mut dyn Hook, given: bool) -> Result<Vec<String>> {
        let of = |p: &'_ usize| {
            let p = &self.0[*p];
            Coming {
                group: p.group,
                condition: &p.condition,
                factors: &p.factors,
                table: &p.table,
                ends_on: None,
                opening: &p.opening,
                turn: p.turn,
                item: &p.item,
                user: Some(&p.user),
                history: p.history,
                prefill: Some(&p.prefill),
                given: given || p.given,
                unlike: &p.unlike,
            }
        };
        let all: Vec<usize> = (0..self.0.len()).collect();
        hook.foresee(&all.iter().map(of).collect::<Vec<Coming>>())
    }
}

/// A condition's table: interrupted replies are cut.
fn table(name: &str) -> Value {
    let mut out = json!({"name": name, "plugin": "template", "user": "ask {question}"});
    if name.starts_with("interrupt") {
        out["keep"] = json!({"tokens": 3, "marker": "..."});
    }
    out
}

/// The study of `context`, with changes at pointers.
fn changed(dir: &Path, change: &[(&str, Value)]) -> BuildContext {
    let mut cx = json!(context(dir, 4));
    cx["generation"] = json!({"max_new_tokens": 8});
    for (at, value) in change {
        let (table, key) = at.rsplit_once('/').unwrap();
        *cx.pointer_mut(table).unwrap().as_object_mut().unwrap().entry(key).or_insert(Value::Null) = value.clone();
    }
    serde_json::from_value(cx).unwrap()
}

fn lock() -> Value {
    json!({
        "study": {"name": "first", "seed": 5},
        "model": {"source": "path:model", "dtype": "f32", "quantize": "none"},
        "generation": {"max_new_tokens": 8, "temperature": 0.0, "top_p": 1.0},
        "conditions": CELLS.map(|(completion, tone)| json!({"table": table(&format!("{completion}-{tone}"))})),
    })
}

#[test]
fn another_conversation_than_the_stored_one_is_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    locked(&dir.path().join("first"), Position::PromptEnd, &lock(), |_, _| {});
    let told = |more: &str, change: &[(&str, Value)], given: bool, design: &Design| {
        let mut hook = options(more).build(&changed(dir.path(), change)).unwrap();
        super::told(design.told(hook.as_mut(), given))
    };
    let same = Design::new(2);
    let seed = ("/seed", json!(6));
    assert_eq!(told("", &[], false, &same), "");
    // Another seed that asks the same is no other conversation, unless replies are drawn.
    assert_eq!(told("", std::slice::from_ref(&seed), false, &same), "");
    let drawn = [seed.clone(), ("/generation/temperature", json!(1.0))];
    let e = told("", &drawn, false, &same);
    assert!(e.contains("drawn by the seed 6") && e.contains("set `study.seed = 5`"), "{e}");
    assert!(e.contains("`generation.temperature` is 1.0 in this study, and 0.0 in"), "{e}");
    assert_eq!(told("", &drawn, true, &same), "", "replies that are given are not drawn");
    let mut other = Design::new(2);
    other.0[3].item = "1-1".into();
    let e = told("", std::slice::from_ref(&seed), true, &other);
    assert!(e.contains("turn 2 of group 0, condition `complete-b` asks the item `1-1`"), "{e}");
    assert!(e.contains("set `study.seed = 5`"), "{e}");
    assert_eq!(told("where = { tone = \"a\" }", &[], false, &other), "", "`where` leaves it out");
    let mut other = Design::new(2);
    other.0[0].user = "please".into();
    let e = told("", &[], true, &other);
    assert!(e.contains("the user's message of turn 1 of group 0") && e.contains("[topics]"), "{e}");

    for (change, what) in [
        (("/model/dtype", json!("bf16")), "set `model.dtype = \"f32\"`"),
        (("/model/quantize", json!("q8")), "set `model.quantize = \"none\"`"),
        (("/model/template_args", json!({"think": true})), "leave `model.template_args` out"),
        (("/generation/stop", json!(["x"])), "leave `generation.stop` out"),
        (("/generation/max_new_tokens", json!(3)), "set `generation.max_new_tokens = 8`"),
    ] {
        let e = told("", std::slice::from_ref(&change), false, &same);
        assert!(e.contains(what) && e.contains("plugin `replay`"), "{change:?}: {e}");
        assert_eq!(told("", &[change], true, &same), "", "replies that are given are the same words");
    }
    // What changes no word: a limit that no reply meets, and how tokens are drawn where none is.
    let harmless = [("/generation/max_new_tokens", json!(4)), ("/generation/top_p", json!(0.5))];
    assert_eq!(told("", &harmless, false, &same), "");

    for (more, change, design, what) in [
        ("first_turn = 3", vec![], Design::new(2), "`first_turn` is 3, and the conversations have 2 turns"),
        ("", vec![], Design::new(3), "set `study.turns = 2` or lower"),
        ("", vec![("/study/samples", json!(2))], Design::new(2), "no conversation of group 0, sample 1"),
    ] {
        let e = told(more, &change, true, &design);
        assert!(e.contains(what), "{more}: {e}");
    }
}

/// What no message of the user's shows: what stands before turn 1, what the history keeps, what opens a reply.
#[test]
fn a_condition_that_is_declared_otherwise_is_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    locked(&dir.path().join("first"), Position::PromptEnd, &lock(), |_, _| {});
    let told = |more: &str, name: &str, change: Change| {
        let mut design = Design::new(2);
        design.0.iter_mut().filter(|p| p.condition == name).for_each(change);
        let mut hook = options(more).build(&changed(dir.path(), &[])).unwrap();
        super::told(design.told(hook.as_mut(), false))
    };
    let brief = |p: &mut Planned| p.opening = vec![ChatMessage::system("Be brief.")];
    let system = |p: &mut Planned| {
        brief(p);
        p.table["system"] = json!("Be brief.");
    };
    let keep = |p: &mut Planned| p.table["keep"] = json!({"tokens": 5});
    let alone = |p: &mut Planned| p.history = "none";
    let option = |p: &mut Planned| {
        alone(p);
        p.table["history"] = json!("none");
    };
    let prefill = |p: &mut Planned| p.prefill = "A".into();
    let cases: [(&str, Change, &[&str]); 6] = [
        ("complete-a", &brief, &["before turn 1 of condition `complete-a` stands \"Be brief.\"", "it was nothing"]),
        ("complete-a", &system, &["`system` of the condition `complete-a` is \"Be brief.\"", "leave `system` out"]),
        (
            "interrupt-b",
            &keep,
            &[
                "`keep` of the condition `interrupt-b` is { tokens = 5 } in this study",
                "set `keep = { tokens = 3, marker = \"...\" }` in this condition",
            ],
        ),
        ("complete-b", &alone, &["turn 1 of condition `complete-b` reads no exchange before it"]),
        ("complete-b", &option, &["`history` of the condition `complete-b` is \"none\"", "leave `history` out"]),
        ("interrupt-a", &prefill, &["turn 1 of condition `interrupt-a` is opened by \"A\"", "it was by \"(\""]),
    ];
    for (name, change, parts) in cases {
        let e = told("", name, change);
        assert!(parts.iter().all(|part| e.contains(part)) && e.contains("first"), "{name}: {e}");
        assert_eq!(e.lines().count(), 1, "told once: {e}");
    }
    // A placebo gives and does not receive; a conversation that is neither may be another.
    let only = "where = { tone = \"a\" }";
    let e = told(&format!("{only}\nplacebo = \"tone\""), "interrupt-b", &keep);
    assert!(e.contains("`keep` of the condition `interrupt-b`"), "{e}");
    assert_eq!(told(only, "interrupt-b", &keep), "");
}

/// A hook that takes the conversations of the group.
fn grouped(dir: &Path, more: &str) -> Box<dyn Hook> {
    let text = format!("sites = [\"resid_post.0\"]\nfactor = \"completion\"\n{more}");
    let options: Patch = toml::from_str(&text).unwrap();
    options.check().unwrap();
    options.build(&context(dir, 2)).unwrap()
}

type Taps = Vec<(Tap, Vec<Vec<f32>>)>;

/// What a conversation of group 1 reads in turn 2.
fn taps(completion: &str, tone: &str) -> Taps {
    let position = Position::PromptEnd;
    let of = |site: Site| (Tap { site, position }, vec![activation(site, 1, completion, tone, 2, 1)]);
    [SITE, Site::Embed, LAST].map(of).to_vec()
}

fn views(taps: &Taps) -> Vec<TapView<'_>> {
    taps.iter().map(|(tap, rows)| TapView { tap, rows }).collect()
}

/// The forks of the first of the conversations, which are those of group 1 in turn 2.
fn forks(hook: &dyn Hook, all: &[(&str, &str, Taps)]) -> Result<Vec<friction_core::Fork>> {
    let levels: Vec<Factors> = all.iter().map(|(completion, tone, _)| factors(completion, tone)).collect();
    let turn = |i: usize| Spoken {
        group: 1,
        condition: "any",
        arm: "",
        sample: 0,
        factors: &levels[i],
        turn: 2,
        reply: "yes",
    };
    let peer = |i: usize| Peer { turn: turn(i), taps: views(&all[i].2) };
    let peers: Vec<Peer> = (1..all.len()).map(peer).collect();
    hook.forks(&turn(0), &views(&all[0].2), &peers)
}

#[test]
fn the_conversations_of_the_group_give_to_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut hook = grouped(dir.path(), "where = { tone = \"a\" }\nplacebo = \"tone\"");
    assert!(hook.reads_group());
    Design::new(2).told(hook.as_mut(), false).unwrap();
    let of = |cells: &[(&'static str, &'static str)]| -> Vec<(&str, &str, Taps)> {
        cells.iter().map(|(c, t)| (*c, *t, taps(c, t))).collect()
    };
    let asked = forks(hook.as_ref(), &of(&CELLS)).unwrap();
    let at = |site, completion, tone| activation(site, 1, completion, tone, 2, 1);
    assert_eq!(given(&asked, Arm::Own, SITE).unwrap(), at(SITE, "complete", "a"));
    assert_eq!(given(&asked, Arm::Partner, SITE).unwrap(), at(SITE, "interrupt", "a"));
    assert_eq!(given(&asked, Arm::Placebo, SITE).unwrap(), at(SITE, "complete", "b"));
    assert_eq!(given(&asked, Arm::TestEmbed, Site::Embed).unwrap(), [1.0, 2.0]);
    assert_eq!(given(&asked, Arm::TestLast, LAST).unwrap(), at(LAST, "interrupt", "a"));
    assert_eq!(asked.len(), 5, "no state, no controls, no subspace: {asked:?}");
    // A partner that has ended gives nothing, a placebo that has ended no placebo.
    assert!(forks(hook.as_ref(), &of(&[CELLS[0], CELLS[1], CELLS[3]])).unwrap().is_empty());
    let asked = forks(hook.as_ref(), &of(&[CELLS[0], CELLS[2]])).unwrap();
    assert!(given(&asked, Arm::Placebo, SITE).is_none() && asked.len() == 4);
    assert!(forks(hook.as_ref(), &of(&[CELLS[1], CELLS[3]])).unwrap().is_empty(), "`where` leaves it out");
    // Tokens that differ.
    let mut all = of(&CELLS);
    all[2].2[1].1[0][1] = 7.0;
    let e = forks(hook.as_ref(), &all).unwrap_err().to_string();
    assert!(e.contains("turn 2 of group 1") && e.contains("end in 0 tokens that are the same"), "{e}");
}

#[test]
fn a_design_without_partners_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let told = |more: &str, design: &Design| super::told(design.told(grouped(dir.path(), more).as_mut(), false));
    let all = Design::new(2);
    assert_eq!(told("", &all), "");
    let without = |name: &str| Design(Design::new(2).0.into_iter().filter(|c| c.condition != name).collect());
    for (more, design, why) in [
        (
            "where = { tone = \"c\" }",
            &all,
            "no conversation of this study has `tone = c`; there are the levels `a`, `b`",
        ),
        ("where = { foo = \"z\" }", &all, "`where` names `foo`: no conversation of this study has such a factor"),
        ("where = { foo = \"z\" }", &all, "there are the factors `completion`, `tone`"),
        ("placebo = \"mood\"", &all, "has no placebo"),
        ("placebo = \"sample\"", &all, "differs from it in `sample` alone"),
        ("first_turn = 5", &all, "`first_turn` is 5, and the conversations have 2 turns"),
        ("", &without("interrupt-b"), "condition `complete-b` has no partner that differs in `completion` alone"),
    ] {
        assert!(told(more, design).contains(why), "{more}: {}", told(more, design));
    }
    let mut other = Design::new(2);
    other.0[5].item = "another".into();
    assert!(told("", &other).contains("do not ask the same items in turn"), "{}", told("", &other));
}

/// A tail may be as long as prompts are known to end alike, and no longer.
#[test]
fn a_tail_that_partners_do_not_share_is_refused_before_a_token() {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let told = |more: &str, change: Change| {
        let mut design = Design::new(2);
        design.0.iter_mut().for_each(change);
        super::told(design.told(grouped(dir.path(), more).as_mut(), false))
    };
    let interrupts = |p: &Planned| p.factors["completion"] == "interrupt";
    let greets = |p: &mut Planned| {
        let greeting = if interrupts(p) { "Never mind." } else { "Okay, thanks." };
        // In turn 2 of group 1 the fewest tokens are the same.
        let item = if (p.group, p.turn) == (1, 2) { "" } else { "please say, " };
        p.user = format!("{greeting} {item}{}", p.user);
    };
    let tail = |n: usize| format!("position = \"prompt-tail:{n}\"");
    let e = told(&tail(90), &greets);
    assert!(e.contains("turn 2 of group 1, `completion` at `complete` and `interrupt`, end in"), "{e}");
    assert!(e.contains("and the last 90 are replaced"), "{e}");
    let most = e.split("set `position = \"prompt-tail:").nth(1).unwrap().split('"').next().unwrap();
    let most: usize = most.parse().unwrap();
    assert!((4..90).contains(&most), "{e}");
    assert_eq!(told(&tail(most), &greets), "");
    assert!(told(&tail(most + 1), &greets).contains("turn 2 of group 1"));
    // Where partners say the same, what stands before it is not known, but in turn 1.
    assert_eq!(told(&tail(90), &|_| ()), "");
    let e = told(&format!("{}\nfirst_turn = 1", tail(90)), &|_| ());
    assert!(e.contains("turn 1 of group 0, condition `complete-a` has"), "{e}");
    assert!(e.contains("tokens in its prompt, and the last 90 are replaced"), "{e}");
    // The last token alone is that of a prefill.
    let opens = |p: &mut Planned| {
        let prefill = if interrupts(p) { "(" } else { "A" };
        p.prefill = prefill.to_string();
    };
    let e = told("", &opens);
    assert!(e.contains("end in 0 tokens that are the same, and the last 1 are replaced"), "{e}");
}

#[test]
fn partners_whose_replies_were_decoded_otherwise_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let told = |change: Change| {
        let mut design = Design::new(2);
        design.0.iter_mut().for_each(change);
        super::told(design.told(grouped(dir.path(), "").as_mut(), false))
    };
    let hotter = |p: &mut Planned| p.unlike = vec!["`temperature` is 0.0 and was 1.0".into()];
    let interrupts = |p: &Planned| p.factors["completion"] == "interrupt";
    let e = told(&|p| {
        p.given = interrupts(p);
        hotter(p);
    });
    assert!(e.contains("turn 1 of group 0 of `complete-a` and of its partner `interrupt-a`"), "{e}");
    assert!(e.contains("`temperature` is 0.0 and was 1.0 in the run"), "{e}");
    // Both read replies of such a run, or they were decoded alike, or no turn reads the one that differs.
    let both = |p: &mut Planned| {
        p.given = true;
        hotter(p);
    };
    assert_eq!(told(&both), "");
    assert_eq!(told(&|p| p.given = interrupts(p)), "");
    let last = |p: &mut Planned| {
        p.given = p.turn == 1 || interrupts(p);
        hotter(p);
    };
    assert_eq!(told(&last), "");
}
