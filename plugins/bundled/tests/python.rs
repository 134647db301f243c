//! Plugins in Python, each in a process of its own: the scaffolds, what they may do, and that they do what other ways do.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::process::{entry, ok, python, starting, turns, with_condition};
use common::{MANIFEST, friction, root, text, world};
use friction_core::{Position, RunReader, Site, TurnRow};
use friction_store::StoredRun;
use std::path::Path;

#[test]
fn each_scaffold_runs_its_study() {
    if !python() {
        return;
    }
    let w = tempfile::tempdir().unwrap();
    for kind in ["condition", "dataset", "topics", "hook", "analyzer"] {
        let name = format!("my-{kind}");
        ok(&friction(w.path(), &["new", kind, &name, "--python"]));
        let dir = w.path().join(&name);
        let o = friction(&dir, &["--json", "run", "study.toml"]);
        ok(&o);
        let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
        assert_eq!(json["run"]["report"]["turns"], 32, "{kind}");
        let stored = turns(&dir.join(format!("runs/{name}")));
        match kind {
            "condition" => {
                let other: Vec<&TurnRow> = stored.iter().filter(|t| t.condition == "other" && t.turn < 4).collect();
                assert!(other.iter().any(|t| t.user.starts_with("Wait. ")));
                assert!(other.iter().any(|t| t.kept.ends_with("...") && t.removed_tokens > 0));
                let kept = |t: &&&TurnRow| t.removed_tokens > 0;
                assert!(other.iter().filter(kept).all(|t| t.reply_tokens - t.removed_tokens == 3));
            }
            "dataset" => {
                assert!(stored.iter().all(|t| t.user.contains("What is") && t.choices == 4 && t.metrics["words"] > 0.0))
            }
            "topics" => assert!(stored.iter().all(|t| t.topic == stored[0].topic || t.group > 0)),
            "hook" => assert!(stored.iter().all(|t| t.readings["my-hook.norm"] > 0.0)),
            _ => {
                let o = friction(&dir, &["--json", "analyze", "runs/my-analyzer"]);
                ok(&o);
                let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
                let mean = json["analyzers"]["my-analyzer"]["values"]["interrupt"].as_f64().unwrap();
                let of: Vec<f64> =
                    stored.iter().filter(|t| t.condition == "other").map(|t| f64::from(t.reply_tokens)).collect();
                assert!((mean - of.iter().sum::<f64>() / of.len() as f64).abs() < 1e-9);
                assert!(dir.join("runs/my-analyzer/analysis/my-analyzer/lengths.parquet").is_file());
            }
        }
        // A wrong option is told at its place, before the run, with what is right.
        let study = std::fs::read_to_string(dir.join("study.toml")).unwrap();
        let wrong = study.replace(&format!("plugin = \"{name}\""), &format!("plugin = \"{name}\"\nsight = 3"));
        std::fs::write(dir.join("wrong.toml"), wrong).unwrap();
        let o = friction(&dir, &["check", "wrong.toml"]);
        assert_eq!(o.status.code(), Some(2), "{}", text(&o));
        assert!(text(&o).contains("unknown key `sight`") && text(&o).contains("the options are:"), "{}", text(&o));
        let o = friction(&dir, &["plugins", "show", &name, "--manifest", "study.toml"]);
        assert!(text(&o).contains(&format!("{kind} `{name}` 0.1.0 (python3 {name}.py)")), "{}", text(&o));
    }
    let both = friction(w.path(), &["new", "condition", "other", "--python", "--dylib"]);
    assert_eq!(both.status.code(), Some(2), "{}", text(&both));
}

/// The draws of friction's `template`, and a condition that uses them.
const IMPATIENT: &str = r#"
import base64, json, math, os, sys, traceback
from array import array

def derive(*parts):
    h, mask = 0xcbf29ce484222325, (1 << 64) - 1
    for part in parts:
        for b in part + len(part).to_bytes(8, "little"):
            h = ((h ^ b) * 0x100000001b3) & mask
    h = ((h ^ (h >> 30)) * 0xbf58476d1ce4e5b9) & mask
    h = ((h ^ (h >> 27)) * 0x94d049bb133111eb) & mask
    return h ^ (h >> 31)

class Plugin:
    KIND, NAME, VERSION, SUMMARY = "condition", "impatient", "1", "Hurries"
    OPTIONS = {"properties": {"patience": {"type": "integer", "minimum": 1}}, "required": ["patience"]}
    WORDS = ["Faster, please. ", "Hurry up. "]

    def __init__(self, options, context):
        self.patience = options["patience"]

    def ask(self, turn):
        if turn["turn"] == 1:
            return {"text": turn["prompt"]}
        numbers = [turn[k].to_bytes(8, "little") for k in ("seed", "group", "turn")]
        phrase = derive(b"phrase", *numbers) % 2
        return {"text": self.WORDS[phrase] + turn["prompt"], "phrase": phrase}

    def keep(self, request):
        reply = request["reply"]
        removed = len(reply["ids"]) - self.patience
        if removed <= 0:
            return {"text": reply["text"]}
        return {"text": host("decode", ids=reply["ids"][:self.patience]).rstrip() + " -", "removed_tokens": removed}

"#;

/// The part of a scaffold that speaks to the host.
fn border(dir: &Path) -> String {
    ok(&friction(dir, &["new", "condition", "any", "--python", "--dir", "any"]));
    let text = std::fs::read_to_string(dir.join("any/any.py")).unwrap();
    let at = text.find("# -----").unwrap();
    text[at..].into()
}

#[test]
fn a_condition_in_python_gives_the_run_of_a_table() {
    if !python() {
        return;
    }
    let larger = |m: &str| m.replace("groups = 2", "groups = 6").replace("turns = 3", "turns = 5");
    let table = "plugin = \"template\"\nuser = [\"Faster, please. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }";
    let w = world(&larger(&with_condition(table)));
    ok(&friction(w.path(), &["run", "m.toml", "--out", "table"]));
    let file = w.path().join("impatient.py");
    std::fs::write(&file, format!("{IMPATIENT}{}", border(w.path()))).unwrap();
    let own = |more: &str| {
        let m = larger(&with_condition("plugin = \"impatient\"\npatience = 2"));
        starting(&m, &[entry(w.path(), "impatient.py", &[], more)])
    };
    std::fs::write(w.path().join("p.toml"), own("")).unwrap();
    ok(&friction(w.path(), &["run", "p.toml", "--out", "process"]));
    let expected = turns(&w.path().join("table"));
    assert!(expected.iter().any(|t| t.kept.ends_with(" -")) && expected.iter().any(|t| t.phrase == Some(1)));
    assert!(turns(&w.path().join("process")) == expected);
    // The lock records what ran.
    let lock = std::fs::read_to_string(w.path().join("process/lock.json")).unwrap();
    let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let process = &lock["conditions"][1]["process"];
    assert_eq!(process["command"], serde_json::json!(["python3", "impatient.py"]));
    assert_eq!(process["sha256"]["impatient.py"], friction_dylib::digest(&file).unwrap());
    // Another limit is the same study; another file is not started, and once pinned it is another study.
    std::fs::write(w.path().join("p.toml"), own(", timeout_s = 30")).unwrap();
    ok(&friction(w.path(), &["run", "p.toml", "--out", "process"]));
    std::fs::write(&file, std::fs::read_to_string(&file).unwrap() + "# changed\n").unwrap();
    let o = friction(w.path(), &["run", "p.toml", "--out", "process"]);
    assert_eq!(o.status.code(), Some(2));
    assert!(text(&o).contains("as pinned: the file has changed"), "{}", text(&o));
    for told in ["pinned", "unchanged"] {
        let o = friction(w.path(), &["plugins", "pin", "p.toml"]);
        assert!(o.status.success() && text(&o).starts_with(told), "{}", text(&o));
    }
    let o = friction(w.path(), &["run", "p.toml", "--out", "process"]);
    assert!(text(&o).contains("conditions[1].process.sha256"), "{}", text(&o));
    let o = friction(w.path(), &["run", "p.toml", "--out", "wrong", "--set", "condition.1.patience=0"]);
    assert!(text(&o).contains("`patience` must be at least 1"), "{}", text(&o));
    assert!(!w.path().join("wrong").exists());
}

/// A condition that listens, and a dataset of open items that are fetched one by one.
const LISTENS: &str = r#"
import base64, json, math, os, sys, traceback
from array import array

class Listens:
    KIND, NAME, VERSION, SUMMARY, OPTIONS = "condition", "listens", "1", "Listens", {}
    def __init__(self, options, context):
        pass
    def bounds(self, _):
        return {"reads_history": True}
    def rounds(self, item):
        return 4 if item["id"] == "a_0" else 1
    def opening(self, request):
        return request["given"] + [{"role": "user", "content": "Say yes."}, {"role": "assistant", "content": "yes"}]
    def ask(self, turn):
        if turn["turn"] == 1:
            return {"text": turn["prompt"]}
        last = turn["history"][-1]
        if turn["turn"] == 2:
            said = f"{last['reply']}|{last['grade']['score']}|{turn['round']} of {turn['rounds']}|{turn['item']['metadata']['n']}"
            return {"text": said, "prefill": "("}
        told = {"told": f"{len(turn['history'])} turns before. "}
        return {"text": "And?", "replay": "I see.", "history": told} if turn["turn"] == 3 else None

class Open:
    KIND, NAME, VERSION, SUMMARY, OPTIONS = "dataset", "open", "1", "Open", {}
    def __init__(self, options, context):
        pass
    def categories(self, _):
        return [{"name": "a", "items": 3}]
    def item(self, place):
        n = place["index"]
        return {"id": f"a_{n}", "category": place["category"], "text": f"Tell me {n}.", "metadata": {"n": n}}
    def ordered(self, _):
        return True
    def opening(self, items):
        return [{"role": "system", "content": f"{len(items)} item follows."}]
    def prompt(self, item):
        return item["text"]
    def grade(self, request):
        return {"score": None, "metrics": {"length": len(request["reply"]), "nothing": float("nan")}}
    def fingerprint(self, _):
        return "open-1"

"#;

#[test]
fn a_condition_in_python_listens() {
    if !python() {
        return;
    }
    let w = world(MANIFEST);
    let both = border(w.path()).replace("serve(Plugin)", "serve(Listens, Open)");
    std::fs::write(w.path().join("both.py"), format!("{LISTENS}{both}")).unwrap();
    let m = "[study]\nname = \"tiny\"\ngroups = 3\nitems = 1\nturns = 6\n[model]\nsource = \"path:model\"\n[generation]\nmax_new_tokens = 5\n[dataset]\nplugin = \"open\"\n[[condition]]\nname = \"listens\"\nplugin = \"listens\"\n";
    std::fs::write(w.path().join("m.toml"), starting(m, &[entry(w.path(), "both.py", &[], "")])).unwrap();
    ok(&friction(w.path(), &["run", "m.toml", "--out", "run"]));
    let all = turns(&w.path().join("run"));
    let of = |group: u32| all.iter().filter(move |t| t.group == group).collect::<Vec<_>>();
    assert_eq!([0, 1, 2].map(|g| of(g).len()), [3, 1, 1], "the conversation ends before turn 4");
    for g in 0..3 {
        assert_eq!((&*of(g)[0].item_id, &*of(g)[0].user), (&*format!("a_{g}"), &*format!("Tell me {g}.")));
    }
    let [first, second, third] = of(0)[..] else { unreachable!() };
    assert_eq!(second.user, format!("{}|None|2 of 4|0", first.reply));
    assert_eq!((&*second.prefill, second.reply.starts_with('(')), ("(", true));
    assert_eq!((&*third.reply, &*third.finish_reason), ("I see.", "replay"));
    assert_eq!((&*third.user, &*third.history, &*second.history), ("2 turns before. And?", "told", ""));
    assert!(first.score.is_none() && first.metrics["length"] == first.reply.chars().count() as f64);
    assert!(!first.metrics.contains_key("nothing"), "{:?}", first.metrics);
    assert!(first.metadata.contains("\"n\":0"), "{}", first.metadata);
    // What is wrong with an item or a grade is an error, and no guess.
    for (from, to, part) in [
        ("\"text\": f\"Tell me {n}.\"", "\"text\": \"x\", \"answer\": 0", "an item with the unknown key `answer`"),
        ("\"text\": f\"Tell me {n}.\"", "\"text\": \"x\", \"target\": 3", "has the target 3, but 0 choices"),
        ("return 4 if item", "return 0 if item", "gives the item `a_0` no turn: `rounds` is at least 1"),
        ("\"score\": None", "\"correct\": True", "unknown field `correct`"),
        ("\"prefill\": \"(\"", "\"prefil\": \"(\"", "unknown field `prefil`"),
        ("\"role\": \"system\"", "\"role\": \"boss\"", "unknown variant `boss`"),
        ("def fingerprint", "def finger", "lacks the method `fingerprint`"),
    ] {
        assert!(LISTENS.contains(from), "{from}");
        std::fs::write(w.path().join("both.py"), format!("{}{both}", LISTENS.replace(from, to))).unwrap();
        std::fs::write(w.path().join("m.toml"), starting(m, &[entry(w.path(), "both.py", &[], "")])).unwrap();
        let o = friction(w.path(), &["run", "m.toml", "--out", "wrong"]);
        assert!(!o.status.success() && text(&o).contains(part), "{to}: {}", text(&o));
    }
}

/// A hook and an analyzer that read taps.
const TAPS: &str = r#"
import base64, json, math, os, sys, traceback
from array import array

class Norms:
    KIND, NAME, VERSION, SUMMARY, OPTIONS = "hook", "norms", "1", "Norms", {}
    def __init__(self, options, context):
        pass
    def program(self, model):
        return {"taps": [{"site": "resid_post.1", "position": "reply:2"}]}
    def read(self, turn, taps):
        width, data = taps[0]["width"], taps[0]["data"]
        rows = [data[i * width:(i + 1) * width] for i in range(taps[0]["rows"])]
        return {f"norm-{p}": math.sqrt(sum(x * x for x in row)) for p, row in enumerate(rows)}

class Means:
    KIND, NAME, VERSION, SUMMARY, OPTIONS = "analyzer", "means", "1", "Means", {}
    def __init__(self, options, context):
        pass
    def needs(self, _):
        return {"taps": [["resid_post.3", "prompt-end"]]}
    def analyze(self, _):
        print("printed by the analyzer")
        run, total = host("run"), 0.0
        for t in run["turns"]:
            if t["turn"] == 1:
                where = {k: t[k] for k in ("group", "condition", "arm")}
                tap = host("tap", **where, site="resid_post.3", position="prompt-end")
                total += sum(floats(tap["data"]))
        none = host("tap", group=0, condition="plain", site="resid_post.2", position="all")
        return {
            "summary": [f"{len(run['turns'])} turns of {run['name']}"],
            "values": {"sum": total, "none": none is None, "earlier": host("findings", analyzer="means") is not None,
                       "nothing": host("decode", ids=[1]) is None},
            "files": [["bytes.bin", base64.b64encode(bytes([1, 2, 255])).decode()]],
        }

Plugin = Norms
"#;

#[test]
fn python_reads_taps_and_the_run() {
    if !python() {
        return;
    }
    let w = world(MANIFEST);
    let both = border(w.path()).replace("serve(Plugin)", "serve(Norms, Means)");
    std::fs::write(w.path().join("taps.py"), format!("{TAPS}{both}")).unwrap();
    let m = MANIFEST.replace("[[analyzer]]", "[[hook]]\nplugin = \"norms\"\nname = \"n\"\n[[hook]]\nplugin = \"residual\"\nname = \"r\"\nsites = [\"resid_post.1\"]\npositions = [\"reply:2\"]\n[[analyzer]]\nplugin = \"means\"\n[[analyzer]]");
    std::fs::write(w.path().join("m.toml"), starting(&m, &[entry(w.path(), "taps.py", &[], "")])).unwrap();
    let o = friction(w.path(), &["--json", "run", "m.toml"]);
    ok(&o);
    let run = w.path().join("runs/tiny");
    let stored = StoredRun::open(&run).unwrap();
    let (mut seen, mut sum) = (0, 0.0);
    for t in stored.turns() {
        let tap = stored.tap(t.conversation(), Site::ResidPost(1), Position::Reply(2)).unwrap().unwrap();
        let [_, positions, width] = tap.shape;
        for p in 0..positions {
            let at = ((t.turn as usize - 1) * positions + p) * width;
            let norm = tap.data[at..at + width].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            match t.readings.get(&format!("n.norm-{p}")) {
                Some(read) => assert!((read - norm).abs() < 1e-9 * norm, "{read} {norm}"),
                None => assert!(norm.is_nan(), "{t:?}"),
            }
            seen += 1;
        }
        if t.turn == 1 {
            let tap = stored.tap(t.conversation(), Site::ResidPost(3), Position::PromptEnd).unwrap().unwrap();
            sum += tap.data.iter().take(tap.shape[2]).map(|x| f64::from(*x)).sum::<f64>();
        }
    }
    assert_eq!(seen, 2 * 2 * 3 * 2);
    let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    let means = &json["analyzers"]["means"];
    assert_eq!(means["blocks"][0]["text"], "12 turns of tiny");
    let values = &means["values"];
    assert!(values["sum"].is_number() && sum.is_finite());
    assert_eq!((&values["none"], &values["earlier"], &values["nothing"]), (&true.into(), &false.into(), &true.into()));
    assert_eq!(std::fs::read(run.join("analysis/means/bytes.bin")).unwrap(), [1, 2, 255]);
    // What it prints is a note, and the run directory alone is enough to analyse again.
    let err = String::from_utf8_lossy(&o.stderr);
    assert!(err.contains("note: python3 taps.py wrote to standard error: printed by the analyzer"), "{err}");
    let again = friction(Path::new("/"), &["--json", "analyze", run.to_str().unwrap()]);
    ok(&again);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["analyzers"]["means"]["values"]["earlier"], true);
}

/// The page's example is a whole plugin: it runs as it stands.
#[test]
fn the_guides_example_runs() {
    if !python() {
        return;
    }
    let page = std::fs::read_to_string(root().join("framework/guide/extend/process.md")).unwrap();
    let block = |language: &str| {
        let mark = format!("```{language}\n");
        page.split_once(&mark).and_then(|(_, rest)| rest.split_once("```")).map(|(code, _)| code.to_string()).unwrap()
    };
    let w = world(MANIFEST);
    std::fs::write(w.path().join("mine.py"), block("python")).unwrap();
    let m = with_condition("plugin = \"sigh\"\nsound = \"*sighs* \"");
    std::fs::write(w.path().join("p.toml"), m.replace("[model]", &format!("{}\n[model]", block("toml")))).unwrap();
    let o = friction(w.path(), &["check", "p.toml"]);
    assert!(text(&o).contains("is not in `sha256`"), "{}", text(&o));
    ok(&friction(w.path(), &["plugins", "pin", "p.toml"]));
    ok(&friction(w.path(), &["run", "p.toml", "--out", "run"]));
    let other = turns(&w.path().join("run"));
    assert!(other.iter().any(|t| t.turn > 1 && t.user.starts_with("*sighs* ")));
}
