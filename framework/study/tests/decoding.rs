//! What a manifest says about chat template and decoding: settled with the checkpoint, checked before a run, recorded.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_conditions as _;
use friction_core::manifest::Manifest;
use friction_core::{RunReader, TurnRow};
use friction_engine::{Sampling, StopStrings};
use friction_questions as _;
use friction_store::StoredRun;
use friction_study::lock::lock;
use friction_study::manifest::resolved;
use friction_study::{Plan, Quiet, Result, run};
use friction_topics as _;
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;

const MANIFEST: &str = r#"
[study]
name = "t"
groups = 2
turns = 2
[model]
source = "path:model"
[dataset]
plugin = "questions"
path = "q.jsonl"
[topics]
plugin = "fixed"
repeat = true
[[condition]]
name = "bare"
plugin = "template"
user = "{question}"
"#;

fn world(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    friction_checkpoint::testing::checkpoint(&dir.path().join("model"), 5).unwrap();
    let line = |i: usize| {
        format!("{{\"question\": \"{i}?\", \"options\": [\"x\", \"y\"], \"answer\": \"B\", \"category\": \"law\"}}\n")
    };
    std::fs::write(dir.path().join("q.jsonl"), (0..6).map(line).collect::<String>()).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn plan(base: &Path, set: &[&str]) -> Result<Plan> {
    let set: Vec<String> = set.iter().map(ToString::to_string).collect();
    Plan::new(Manifest::parse("m.toml", MANIFEST, &set).unwrap(), base)
}

/// What is wrong with a study.
fn told(base: &Path, set: &[&str]) -> String {
    plan(base, set).err().unwrap().to_string()
}

fn locked(plan: &Plan) -> Value {
    lock(plan, &plan.checkpoint.identity().unwrap(), Path::new("runs/t")).unwrap()
}

#[test]
fn arguments_that_the_template_does_not_read_are_refused() {
    let thinks = "{% for m in messages %}{{ m.content }}{% endfor %}{{ enable_thinking }}{{ effort | default('') }}";
    let w = world(&[("mine.jinja", thinks)]);
    let mine = "model.chat_template=\"mine.jinja\"";
    let args = |args: &str| format!("model.template_args={args}");
    let p = plan(w.path(), &[mine, &args("{ enable_thinking = false }")]).unwrap();
    assert!(p.template.render(&[friction_checkpoint::ChatMessage::user("Hi")]).unwrap().ends_with("HiFalse"));
    let e = told(w.path(), &[mine, &args("{ enable_thinkin = false, efort = 'low' }")]);
    for part in [
        "no argument `enable_thinkin`",
        "did you mean `enable_thinking`?",
        "no argument `efort`",
        "did you mean `effort`?",
    ] {
        assert!(e.contains(part), "{part}\n{e}");
    }
    let e = told(w.path(), &[&args("{ enable_thinking = false }")]);
    assert!(e.contains("no argument `enable_thinking`") && e.contains("it reads no arguments at all"), "{e}");
}

#[test]
fn a_template_is_tried_before_a_run() {
    let never = "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('one turn only') }}{% endif %}{{ m.content }}{% endfor %}";
    let dated = "{% for m in messages %}{{ m.content }}{% endfor %}{{ strftime_now('%d.%m.') }}";
    let forgets = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}";
    let w = world(&[("never.jinja", never), ("dated.jinja", dated), ("forgets.jinja", forgets)]);
    let never = "model.chat_template=\"never.jinja\"";
    let e = told(w.path(), &[never]);
    assert!(e.contains("chat_template") && e.contains("one turn only"), "{e}");
    plan(w.path(), &[never, "study.turns=1"]).unwrap();
    // A date is given, not looked up.
    let dated = "model.chat_template=\"dated.jinja\"";
    let e = told(w.path(), &[dated]);
    assert!(e.contains("template_date") && e.contains("would have other prompts tomorrow"), "{e}");
    let date = "model.template_date=\"2026-07-26\"";
    let p = plan(w.path(), &[dated, date]).unwrap();
    assert!(p.template.render(&[friction_checkpoint::ChatMessage::user("Hi")]).unwrap().ends_with("Hi26.07."));
    assert!(p.warnings.is_empty(), "{:?}", p.warnings);
    let p = plan(w.path(), &[date]).unwrap();
    assert!(p.warnings[0].contains("`template_date` does nothing"), "{:?}", p.warnings);
    assert!(told(w.path(), &[dated, "model.template_date=\"today\""]).contains("\"today\" is no date"));
    // A template that removes what the manifest wants to keep.
    let forgets = "model.chat_template=\"forgets.jinja\"";
    let p = plan(w.path(), &[forgets, "generation.thinking=\"keep\""]).unwrap();
    assert!(p.warnings[0].contains("`thinking = \"keep\"` does nothing"), "{:?}", p.warnings);
    assert!(plan(w.path(), &[forgets]).unwrap().warnings.is_empty());
    let e = told(w.path(), &["model.chat_template=\"chatml\""]);
    assert!(e.contains("the tokenizer has no `<|im_start|>`"), "{e}");
}

#[test]
fn the_checkpoints_sampling_is_taken_where_it_is_asked_for() {
    let config = r#"{"do_sample": true, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05}"#;
    let w = world(&[("model/generation_config.json", config)]);
    let sampling = |set: &[&str]| plan(w.path(), set).unwrap().engine.sampling;
    assert_eq!(sampling(&[]), Sampling::GREEDY);
    let defaults = "generation.defaults=true";
    assert_eq!(sampling(&[defaults]), Sampling { temperature: 0.7, top_p: 0.8, top_k: Some(20) });
    let own = sampling(&[defaults, "generation.top_p=1", "generation.temperature=0.2"]);
    assert_eq!(own, Sampling { temperature: 0.2, top_p: 1.0, top_k: Some(20) });
    assert_eq!(sampling(&[defaults, "generation.temperature=0"]), Sampling::GREEDY);
    let p = plan(w.path(), &[defaults]).unwrap();
    assert_eq!(p.warnings.len(), 1);
    assert!(p.warnings[0].contains("repetition_penalty = 1.05, which is not applied"), "{:?}", p.warnings);
    // What needs a temperature finds the checkpoint's.
    let samples = [defaults, "study.samples=2", "study.draws=\"paired\""];
    assert_eq!(plan(w.path(), &samples).unwrap().members.len(), 2);
    assert!(told(w.path(), &[defaults, "generation.temperature=0", "study.samples=2"]).contains("word for word"));
    // What is recorded is what was taken, and gives the same again, without the checkpoint's file too.
    let written = resolved(&p.manifest).unwrap();
    let again = Manifest::parse("m.toml", &written, &[]).unwrap();
    assert_eq!(again.generation, p.manifest.generation);
    assert_eq!(
        (again.generation.temperature, again.generation.top_k, again.generation.defaults),
        (0.7, Some(20), true)
    );
    let want = json!({"max_new_tokens": 256, "temperature": 0.7, "top_p": 0.8, "top_k": 20, "defaults": true});
    assert_eq!(locked(&p)["generation"], want);
    assert_eq!(Plan::new(again, w.path()).unwrap().engine.sampling, p.engine.sampling);
    // A checkpoint that decodes greedily, and one that does not say.
    std::fs::write(w.path().join("model/generation_config.json"), r#"{"top_k": 20}"#).unwrap();
    assert_eq!(sampling(&[defaults]), Sampling::GREEDY);
    let p = plan(w.path(), &[defaults, "generation.top_p=0.5"]).unwrap();
    assert!(p.warnings[0].contains("`top_p` does nothing at `temperature = 0`"), "{:?}", p.warnings);
    std::fs::remove_file(w.path().join("model/generation_config.json")).unwrap();
    assert!(told(w.path(), &[defaults]).contains("the checkpoint has no generation_config.json"));
}

/// A template that opens a thought, a model that does not end it, and a prefill that does.
#[test]
fn a_thought_is_neither_graded_nor_kept() {
    let opens = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: <think>\n";
    let w = world(&[("opens.jinja", opens)]);
    let rows = |set: &[&str], prefill: &str| -> Vec<TurnRow> {
        let text = MANIFEST.replace("user = ", &format!("prefill = {prefill:?}\nuser = "));
        let text = if prefill.is_empty() { MANIFEST } else { &text };
        let all = ["model.chat_template=\"opens.jinja\"", "generation.max_new_tokens=6", "study.groups=1"];
        let set: Vec<String> = all.iter().chain(set).map(ToString::to_string).collect();
        let plan = Rc::new(Plan::new(Manifest::parse("m.toml", text, &set).unwrap(), w.path()).unwrap());
        let out = tempfile::tempdir().unwrap();
        run(&plan, &out.path().join("t"), &mut Quiet).unwrap();
        StoredRun::open(&out.path().join("t")).unwrap().turns().to_vec()
    };
    let inside = rows(&[], "");
    assert_eq!(inside.len(), 2);
    assert!(!inside[0].reply.is_empty() && inside[0].kept.is_empty() && inside[0].answer.is_none(), "{inside:?}");
    let kept = rows(&["generation.thinking=\"keep\""], "");
    assert_eq!(kept[0].kept, format!("<think>{}", kept[0].reply));
    assert!(kept[1].prompt_tokens > inside[1].prompt_tokens && kept[0].answer.is_none());
    let closed = rows(&[], "hm</think>\n\nThe answer is (B).");
    assert_eq!((closed[0].answer.as_deref(), closed[0].score), (Some("B"), Some(1.0)), "{closed:?}");
    assert!(closed[0].reply.starts_with("hm</think>\n\nThe answer is (B)."), "{closed:?}");
    let shown = closed[0].reply.strip_prefix("hm</think>\n\n").unwrap();
    assert_eq!(closed[0].kept, shown);
}

#[test]
fn what_changes_replies_is_in_the_lock() {
    let w = world(&[("mine.jinja", "{{ messages[-1].content }}{{ a }}")]);
    let before = locked(&plan(w.path(), &["study.turns=1"]).unwrap());
    for key in ["chat_template", "template_args", "template_date"] {
        assert!(before["model"].get(key).is_none(), "{key}");
    }
    assert_eq!(before["generation"], json!({"max_new_tokens": 256, "temperature": 0.0, "top_p": 1.0}));
    let set =
        ["study.turns=1", "generation.stop=[\"Q:\"]", "generation.thinking=\"keep\"", "model.chat_template=\"none\""];
    let none = plan(w.path(), &set).unwrap();
    assert_eq!(none.engine.stop, StopStrings::new(["Q:".to_string()]));
    let lock = locked(&none);
    assert_eq!(lock["model"]["chat_template"], "none");
    assert_eq!((&lock["generation"]["stop"], &lock["generation"]["thinking"]), (&json!(["Q:"]), &json!("keep")));
    assert_ne!(lock["model"]["sha256"]["chat_template"], before["model"]["sha256"]["chat_template"]);
    assert_eq!(lock["model"]["sha256"]["weights"], before["model"]["sha256"]["weights"]);
    let mine = ["study.turns=1", "model.chat_template=\"mine.jinja\"", "model.template_args={ a = [1, 'b'] }"];
    let lock = locked(&plan(w.path(), &mine).unwrap());
    assert_eq!(lock["model"]["template_args"], json!({"a": [1, "b"]}));
    assert!(plan(w.path(), &["generation.top_k=4", "generation.temperature=1"]).is_ok());
    let many = plan(w.path(), &["generation.top_k=4000", "generation.temperature=1"]).unwrap();
    assert!(many.warnings[0].contains("`top_k = 4000` does nothing"), "{:?}", many.warnings);
}

/// As Qwen 3's and SmolLM3's templates: the model thinks unless `enable_thinking` is false.
#[test]
fn a_template_that_thinks_by_default_is_asked_not_to() {
    let thinks = "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking is undefined or enable_thinking %}<think>\n{% endif %}";
    let asked = "{% for m in messages %}{{ m.content }}{% endfor %}{% if enable_thinking is defined and enable_thinking %}<think>\n{% endif %}";
    let w = world(&[("thinks.jinja", thinks), ("asked.jinja", asked)]);
    let mine = "model.chat_template=\"thinks.jinja\"";
    let p = plan(w.path(), &[mine]).unwrap();
    assert_eq!(p.template.opens_thought(), None);
    assert!(p.notes[0].contains("`model.template_args = { enable_thinking = false }` is used"), "{:?}", p.notes);
    assert_eq!(locked(&p)["model"]["template_args"], json!({"enable_thinking": false}));
    // What is recorded gives the same again, with nothing to tell.
    let again = Manifest::parse("m.toml", &resolved(&p.manifest).unwrap(), &[]).unwrap();
    let again = Plan::new(again, w.path()).unwrap();
    assert_eq!((again.template.opens_thought(), again.notes.len()), (None, 0));
    assert_eq!(locked(&again), locked(&p));
    let p = plan(w.path(), &[mine, "model.template_args={ enable_thinking = true }"]).unwrap();
    assert_eq!((p.template.opens_thought(), p.notes.len()), (Some("<think>\n"), 0));
    let e = told(w.path(), &[mine, "model.template_args={ enable_thinking = 'no' }"]);
    assert!(e.contains("`enable_thinking` is \"no\""), "{e}");
    // One that lets the model think only where it is asked to is asked nothing.
    let p = plan(w.path(), &["model.chat_template=\"asked.jinja\""]).unwrap();
    assert!(p.notes.is_empty() && p.manifest.model.template_args.is_empty());
}
