//! Plugins in a process: what is refused before one is started, and processes that break the rules.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::process::{entry, ok, python, starting, with_condition};
use common::{MANIFEST, friction, root, text, world};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

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
        ("ASK_HANGS", 4, "gave no whole line within 4 s"),
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
