//! Plugins in a process of their own: the scaffolds in Python, what is refused before a process is started, and
//! processes that break the rules.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, friction, root, text, world};
use friction_core::{Position, RunReader, Site, TurnRow};
use friction_store::StoredRun;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Whether Python can be started; says that the test is skipped if not.
fn python() -> bool {
    let there = Command::new("python3").arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        eprintln!("SKIPPED: there is no python3");
    }
    there
}

/// An entry of `plugins.process` for a Python file of the manifest's folder, pinned.
fn entry(dir: &Path, file: &str, arguments: &[&str], more: &str) -> String {
    let hash = friction_dylib::digest(&dir.join(file)).unwrap();
    let words: Vec<String> = ["python3", file].iter().chain(arguments).map(|a| format!("{a:?}")).collect();
    format!("{{ command = [{}], sha256 = {{ {file:?} = \"{hash}\" }}{more} }}", words.join(", "))
}

/// A manifest that starts these processes.
fn starting(manifest: &str, entries: &[String]) -> String {
    manifest.replace("[model]", &format!("[plugins]\nprocess = [{}]\n[model]", entries.join(", ")))
}

/// `MANIFEST` with another second condition.
fn with_condition(own: &str) -> String {
    let table = "plugin = \"template\"\nuser = [\"Faster. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }";
    assert!(MANIFEST.contains(table));
    MANIFEST.replace(table, own)
}

fn ok(o: &Output) {
    assert!(o.status.success(), "{}", text(o));
}

/// Everything in a run except timings.
fn turns(dir: &Path) -> Vec<TurnRow> {
    StoredRun::open(dir).unwrap().turns().iter().map(|t| TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect()
}

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
        assert_eq!(json["report"]["turns"], 32, "{kind}");
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
                let mean = json["findings"][0]["values"]["interrupt"].as_f64().unwrap();
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
    let means = &json["findings"][0];
    assert_eq!(means["summary"][0], "12 turns of tiny");
    let values = &means["values"];
    assert!(values["sum"].is_number() && sum.is_finite());
    assert_eq!((&values["none"], &values["earlier"], &values["nothing"]), (&true.into(), &false.into(), &true.into()));
    assert_eq!(std::fs::read(run.join("analysis/means/bytes.bin")).unwrap(), [1, 2, 255]);
    // What it prints is a note and an entry of the log, and the run directory alone is enough to analyse again.
    let log = std::fs::read_to_string(run.join("log.jsonl")).unwrap();
    assert!(log.contains("python3 taps.py wrote to standard error: printed by the analyzer"), "{log}");
    let err = String::from_utf8_lossy(&o.stderr);
    assert!(err.contains("note: python3 taps.py wrote to standard error: printed by the analyzer"), "{err}");
    let again = friction(Path::new("/"), &["--json", "analyze", run.to_str().unwrap()]);
    ok(&again);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["findings"][0]["values"]["earlier"], true);
}

#[test]
fn nothing_is_started_that_is_not_pinned() {
    let w = world(MANIFEST);
    let mark = w.path().join("started");
    let script = "#!/bin/sh\ntouch started\nexit 1\n";
    for name in ["mine.sh", "other.sh"] {
        std::fs::write(w.path().join(name), script).unwrap();
    }
    let hash = friction_dylib::digest(&w.path().join("mine.sh")).unwrap();
    let refused = |entry: &str, part: &str| {
        std::fs::write(w.path().join("p.toml"), starting(MANIFEST, &[entry.to_string()])).unwrap();
        let o = friction(w.path(), &["check", "p.toml"]);
        assert_eq!(o.status.code(), Some(2), "{entry}: {}", text(&o));
        assert!(text(&o).contains(part), "{entry}: {}", text(&o));
        assert!(!mark.exists(), "{entry} was started");
    };
    let pin = "friction plugins pin MANIFEST";
    let absolute = w.path().join("mine.sh");
    let zeros = "0".repeat(64);
    refused("{ command = [\"sh\", \"mine.sh\"] }", pin);
    refused(&format!("{{ command = [\"sh\", {absolute:?}] }}"), pin);
    refused("{ command = [\"./mine.sh\"] }", pin);
    refused("{ command = [\"/bin/sh\", \"-c\", \"touch started\"] }", "/bin/sh");
    refused(
        &format!("{{ command = [\"sh\", \"mine.sh\"], sha256 = {{ \"mine.sh\" = \"{zeros}\" }} }}"),
        "as pinned: the file has changed",
    );
    refused(
        &format!("{{ command = [\"sh\", \"mine.sh\", \"other.sh\"], sha256 = {{ \"mine.sh\" = \"{hash}\" }} }}"),
        "other.sh",
    );
    refused(
        &format!(
            "{{ command = [\"sh\", \"mine.sh\"], sha256 = {{ \"mine.sh\" = \"{hash}\", \"gone.sh\" = \"{hash}\" }} }}"
        ),
        "gone.sh",
    );
    refused("{ command = [\"sh\", \"-c\", \"touch started\"] }", "names no file, and `sha256` pins none");
    refused("{ command = [] }", "`command` is empty");
    refused(
        &format!("{{ command = [\"sh\", \"mine.sh\"], sha256 = {{ \"mine.sh\" = \"{hash}\" }}, timeout_s = 0 }}"),
        "`timeout_s` must be from 1 to 86400",
    );
    refused(
        &format!("{{ command = [\"no-such-program\", \"mine.sh\"], sha256 = {{ \"mine.sh\" = \"{hash}\" }} }}"),
        "cannot be started",
    );
    // `./mine.sh` and `mine.sh` are one file. This one is started.
    let entry = format!("{{ command = [\"sh\", \"./mine.sh\"], sha256 = {{ \"mine.sh\" = \"{hash}\" }} }}");
    std::fs::write(w.path().join("p.toml"), starting(MANIFEST, &[entry])).unwrap();
    let o = friction(w.path(), &["check", "p.toml"]);
    assert!(text(&o).contains("its process has ended (exit status 1)") && mark.exists(), "{}", text(&o));
    // Pins are written in every way that TOML writes lists of tables, and comments stay.
    let table = "# kept\n[[plugins.process]]\ncommand = [\"sh\", \"mine.sh\"] # here\n[plugins.process.sha256]\n\"other.sh\" = \"\"\n[model]";
    std::fs::write(w.path().join("p.toml"), MANIFEST.replace("[model]", table)).unwrap();
    ok(&friction(w.path(), &["plugins", "pin", "p.toml"]));
    let pinned = std::fs::read_to_string(w.path().join("p.toml")).unwrap();
    assert!(pinned.contains("# kept") && pinned.contains("# here"), "{pinned}");
    let pinned: toml::Table = toml::from_str(&pinned).unwrap();
    let pins = &pinned["plugins"]["process"][0]["sha256"];
    assert_eq!((pins["mine.sh"].as_str(), pins["other.sh"].as_str()), (Some(&*hash), Some(&*hash)));
}

struct Hostile(tempfile::TempDir);

impl Hostile {
    fn new() -> Option<Self> {
        python().then(|| {
            let w = world(MANIFEST);
            let source = root().join("plugins/bundled/tests/processes/hostile.py");
            std::fs::copy(source, w.path().join("hostile.py")).unwrap();
            Self(w)
        })
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs a command on `WAY.toml`, whose process goes that way.
    fn run(&self, way: &str, limit: u64, command: &[&str]) -> Output {
        let entry = entry(self.path(), "hostile.py", &[way], &format!(", timeout_s = {limit}"));
        let m = with_condition("plugin = \"hostile\"").replace("groups = 2", "groups = 4");
        let m = starting(&m, &[entry]).replace("[model]", "[backend]\nbatch = 2\n[model]");
        let m = format!("{m}\n[[analyzer]]\nplugin = \"hostile\"\n");
        std::fs::write(self.path().join(format!("{way}.toml")), m).unwrap();
        friction(self.path(), command)
    }
}

#[test]
fn broken_processes_are_told_of() {
    let Some(h) = Hostile::new() else { return };
    let began = Instant::now();
    for (way, limit, part) in [
        ("JUNK", 60, "wrote a line that is no JSON"),
        ("EMPTY", 60, "wrote a line that is no JSON"),
        ("NOT_UTF8", 60, "wrote a line that is no JSON"),
        ("NAN", 60, "wrote a line that is no JSON"),
        ("DEEP", 60, "recursion limit exceeded"),
        ("NO_OBJECT", 60, "wrote a line that is no object"),
        ("OTHER_ID", 60, "answered another request than 1"),
        ("NO_ID", 60, "answered another request than 1"),
        ("NO_ANSWER", 60, "answered with none of `ok`, `error`"),
        ("TWO_ANSWERS", 60, "or with several"),
        ("ERROR_TYPE", 60, "answered with none of `ok`, `error`"),
        ("UNKNOWN", 60, "does not know `list`"),
        ("NEWER", 60, "speaks version \"99\" of the border"),
        ("NO_VERSION", 60, "speaks version"),
        ("LIST_TYPE", 60, "what is no list of plugins"),
        ("LIST_NAME", 60, "names are letters, digits"),
        ("LIST_TWICE", 60, "a second condition plugin called `x`"),
        ("SILENT", 2, "gave no whole line within 2 s"),
        ("HALF", 2, "gave no whole line within 2 s"),
        ("HALF_END", 60, "its output ended in the middle of a line: \"{\\\"id\\\":1"),
        ("LEAVES", 60, "(exit status 3); the last line of its standard error is: no such tokenizer\\u{1b}[31m"),
        ("DIES", 60, "its process has ended (signal 9"),
        ("CLOSES", 60, "closed its standard output"),
        ("ENDLESS_LINE", 60, "wrote a line of more than 268435456 bytes: \"xxx"),
        ("FLOODS", 60, "answered another request than 1"),
        ("QUESTIONS", 2, "gave no whole line within 2 s"),
        ("DEAF", 3, "gave no whole line within 3 s"),
        ("CHILD", 3, "gave no whole line within 3 s"),
        ("BUILD_ERROR", 60, "there is no file `words.txt`\\u{1b}[2J"),
        ("ASK_TYPE", 60, "`ask` answered with what cannot be read (invalid type: integer `7`"),
        ("ASK_HANGS", 4, "`ask`: gave no whole line within 4 s"),
        ("ASK_LEAVES", 60, "(exit status 9); the last line of its standard error is: KeyError: 'lost'"),
    ] {
        let o = h.run(way, limit, &["run", &format!("{way}.toml"), "--out", way]);
        assert!(matches!(o.status.code(), Some(1 | 2)), "{way}: {:?} {}", o.status, text(&o));
        assert!(text(&o).contains(part), "{way}: {}", text(&o));
        assert!(text(&o).contains(&format!("python3 hostile.py {way}")), "{way} is named: {}", text(&o));
        assert!(!h.path().join(way).join("groups/0000").exists(), "{way}");
        let printed = [o.stdout.as_slice(), o.stderr.as_slice()].concat();
        assert!(!printed.windows(2).any(|b| b == b"\x1b["), "{way}: control characters are shown, not obeyed");
    }
    assert!(began.elapsed() < Duration::from_secs(240), "{:?}", began.elapsed());
    // The child that one of them left behind was ended too.
    #[cfg(target_os = "linux")]
    {
        let pid = std::fs::read_to_string(h.path().join("child.pid")).unwrap();
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}

#[test]
fn a_process_inherits_no_secrets() {
    let Some(h) = Hostile::new() else { return };
    h.run("ENVIRONMENT", 60, &["--version"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_friction"));
    command.current_dir(h.path()).args(["check", "ENVIRONMENT.toml"]);
    let o = command.env("HF_TOKEN", "hf_secret").env("LANG", "C.UTF-8").env("PYTHONPATH", "/nowhere").output().unwrap();
    let told = text(&o);
    assert!(told.contains("LANG=C.UTF-8") && told.contains("PATH="), "{told}");
    assert!(!told.contains("hf_secret") && !told.contains("PYTHONPATH"), "{told}");
    let here = h.path().canonicalize().unwrap();
    assert!(told.replace(' ', "").contains(&format!("in{}", here.display())), "{told}");
}

#[test]
fn what_a_process_prints_and_finds_is_escaped() {
    let Some(h) = Hostile::new() else { return };
    let o = h.run("PRINTS", 60, &["run", "PRINTS.toml", "--out", "prints"]);
    ok(&o);
    let err = String::from_utf8_lossy(&o.stderr);
    assert!(err.contains("python3 hostile.py PRINTS wrote to standard error: asking\\u{1b}[31m"), "{err}");
    let log = std::fs::read_to_string(h.path().join("prints/log.jsonl")).unwrap();
    assert!(log.lines().any(|l| l.contains("\"event\":\"printed\"") && l.contains("asking\\\\u{1b}[31m")), "{log}");
    assert!(!String::from_utf8_lossy(&o.stdout).contains('\x1b'), "{}", text(&o));
    // An analyzer cannot write outside its folder.
    let o = h.run("FILES", 60, &["run", "FILES.toml", "--out", "files"]);
    assert!(text(&o).contains("\"../../escaped\" names no file"), "{}", text(&o));
    assert!(!h.path().join("escaped").exists() && !h.path().join("files/escaped").exists());
    assert!(h.path().join("files/groups/0003/turns.parquet").is_file(), "what was computed stays");
}

#[test]
fn an_error_in_the_middle_loses_no_finished_group() {
    let Some(h) = Hostile::new() else { return };
    let o = h.run("KEEP_LATE", 60, &["run", "KEEP_LATE.toml", "--out", "late"]);
    assert!(!o.status.success());
    assert!(text(&o).contains("condition `hostile`: `keep`: lost in group 2"), "{}", text(&o));
    let there = |g: &str| h.path().join("late/groups").join(g).join("turns.parquet").is_file();
    assert!(there("0000") && there("0001") && !there("0002"));
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
