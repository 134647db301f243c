//! Failures outside the program: closed pipes, full disks, paths that are not UTF-8, damaged weights.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, errors, friction, text, world};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

/// Runs the program with standard output on a pipe, which is closed after some bytes or lines.
fn closed(
    dir: &Path,
    args: &[&str],
    read: impl FnOnce(&mut BufReader<std::process::ChildStdout>),
) -> (ExitStatus, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_friction"))
        .current_dir(dir)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    read(&mut out);
    drop(out);
    let mut err = vec![];
    child.stderr.take().unwrap().read_to_end(&mut err).unwrap();
    (child.wait().unwrap(), errors(&err))
}

fn line(out: &mut BufReader<std::process::ChildStdout>) {
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(!first.is_empty());
}

#[test]
fn a_closed_pipe_ends_printing_and_never_the_work() {
    for reads in [line as fn(&mut BufReader<std::process::ChildStdout>), |_| {}] {
        let w = world(MANIFEST);
        let (status, err) = closed(w.path(), &["run", "m.toml"], reads);
        assert_eq!((status.code(), err.as_str()), (Some(0), ""));
        let again = friction(w.path(), &["--json", "run", "m.toml"]);
        let told: Value = serde_json::from_slice(&again.stdout).unwrap();
        assert_eq!(
            (told["run"]["report"]["groups"].as_u64(), told["run"]["report"]["resumed"].as_u64()),
            (Some(0), Some(2))
        );
        assert!(w.path().join("runs/tiny/analysis/behavior/findings.json").exists());
    }
    let w = world(MANIFEST);
    for args in [
        &["plugins"][..],
        &["plugins", "schema"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["check", "m.toml"],
    ] {
        let (status, err) = closed(w.path(), args, |_| {});
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
    assert!(friction(w.path(), &["run", "m.toml"]).status.success());
    let (status, err) = closed(w.path(), &["--json", "analyze", "runs/tiny"], |out| {
        out.read_exact(&mut [0; 10]).unwrap();
    });
    assert_eq!((status.code(), err.as_str()), (Some(0), ""));
    // A command that fails has exit code 1 even if nobody reads its output.
    let (status, err) = closed(w.path(), &["run", "m.toml", "--set", "study.seed=9"], |_| {});
    assert!(status.code() == Some(1) && err.contains("study.seed"), "{err}");
}

/// Runs the program with standard output on a full disk.
#[cfg(target_os = "linux")]
fn full(dir: &Path, args: &[&str]) -> (Option<i32>, String) {
    let disk = File::options().write(true).open("/dev/full").unwrap();
    let o = Command::new(env!("CARGO_BIN_EXE_friction")).current_dir(dir).args(args).stdout(disk).output().unwrap();
    (o.status.code(), text(&o))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error_once_the_work_is_done() {
    let w = world(MANIFEST);
    let (code, err) = full(w.path(), &["run", "m.toml"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("standard output cannot be written: No space left on device"), "{err}");
    let again = friction(w.path(), &["--json", "run", "m.toml"]);
    let told: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(told["run"]["report"]["resumed"].as_u64(), Some(2));
    for args in [
        &["--json", "run", "m.toml"][..],
        &["--help"],
        &["--version"],
        &["plugins"],
        &["--json", "analyze", "runs/tiny"],
    ] {
        let (code, err) = full(w.path(), args);
        assert!(code == Some(1) && err.contains("No space left"), "{args:?}: {err}");
    }
    // A usage error keeps its exit code.
    assert_eq!(full(w.path(), &["run", "nowhere.toml"]).0, Some(2));
    // If standard error cannot be written either, the exit code still tells.
    let disk = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_friction"));
    let o = command.current_dir(w.path()).args(["run", "nowhere.toml"]).stderr(disk).output().unwrap();
    assert_eq!(o.status.code(), Some(2));
}

/// A text as bytes, one per character: `"\u{ff}"` is the byte 0xFF, which is not UTF-8.
#[cfg(target_os = "linux")]
fn odd(text: &str) -> std::ffi::OsString {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(text.chars().map(|c| c as u8).collect())
}

#[cfg(target_os = "linux")]
#[test]
fn paths_need_not_be_utf8() {
    let w = world(MANIFEST);
    let dir = w.path().join(odd("caf\u{e9}"));
    std::fs::create_dir(&dir).unwrap();
    for file in ["m.toml", "q.jsonl", "model"] {
        std::fs::rename(w.path().join(file), dir.join(file)).unwrap();
    }
    std::fs::rename(dir.join("m.toml"), dir.join(odd("m\u{ff}.toml"))).unwrap();
    let go = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_friction"));
        // Environment variables that are not UTF-8 must not matter.
        command.env("FRICTION_ODD", odd("\u{ff}")).env("HF_HOME", dir.join(odd("\u{fe}")));
        let o = command.current_dir(&dir).args(args.iter().map(|a| odd(a))).output().unwrap();
        let said = text(&o);
        assert!(!said.contains("panicked"), "{said}");
        (o.status.code(), said, o.stdout)
    };
    let (m, run) = ("m\u{ff}.toml", "runs/\u{fd}");
    for args in [
        &["check", m][..],
        &["--json", "check", m],
        &["run", m, "--out", run],
        &["--json", "run", m, "--out", run],
        &["analyze", run],
        &["--json", "analyze", run],
        &[
            "--json",
            "model",
            "init",
            "new\u{fc}",
            "--shape",
            "model/config.json",
            "--tokenizer",
            "model/tokenizer.json",
        ],
        &["--json", "trace", "--model", "path:model", "--ids", "2,40", "--out", "t\u{fb}.safetensors"],
        &["--json", "plugins", "--manifest", m],
        &["--json", "new", "condition", "mine", "--dir", "mine\u{fa}"],
    ] {
        let (code, said, out) = go(args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        if args[0] == "--json" {
            let _: Value = serde_json::from_slice(&out).unwrap();
        }
    }
    // The run is found again, and its JSON holds the paths, although the folder's name is not UTF-8.
    let told: Value = serde_json::from_slice(&go(&["--json", "run", m, "--out", run]).2).unwrap();
    assert_eq!(told["run"]["report"]["resumed"].as_u64(), Some(2));
    // Arguments that must be text are refused.
    for args in [
        &["run", "nowhere\u{ff}.toml"][..],
        &["run", m, "--set", "study.name=\u{ff}"],
        &["trace", "--model", "path:\u{ff}", "--ids", "2", "--out", "x"],
        &["\u{ff}"],
    ] {
        let (code, said, _) = go(args);
        assert_eq!(code, Some(2), "{args:?}: {said}");
    }
}

/// Sets the first number of a tensor to NaN.
fn damage(file: &Path, tensor: &str) {
    let mut bytes = std::fs::read(file).unwrap();
    let (at, width) = {
        let st = SafeTensors::deserialize(&bytes).unwrap();
        let view = st.tensor(tensor).unwrap();
        let n: usize = view.shape().iter().product();
        (view.data().as_ptr() as usize - bytes.as_ptr() as usize, view.data().len() / n)
    };
    // All exponent bits set makes a NaN; in little-endian order they are in the last bytes of a number.
    bytes[at..at + width].fill(0xFF);
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn a_damaged_weight_ends_the_run_with_its_layer() {
    for (manifest, part) in [
        (MANIFEST.to_string(), "NaN at `resid_post.3`, `prompt-end`, turn 1 of group 0, condition `plain`"),
        (
            MANIFEST.replace("[[hook]]\nplugin = \"residual\"\nsites = [\"resid_post.3\"]\n", ""),
            "the logits of reply token 1 are not finite, turn 1 of group 0, condition `plain`",
        ),
    ] {
        let w = world(&manifest);
        damage(&w.path().join("model/model.safetensors"), "model.layers.3.mlp.down_proj.weight");
        let o = friction(w.path(), &["run", "m.toml"]);
        assert_eq!(o.status.code(), Some(1), "{}", text(&o));
        for part in [part, "`mlp_out.3` of token 0", "weights are damaged", "Finished groups are kept"] {
            assert!(text(&o).contains(part), "{part}: {}", text(&o));
        }
        assert_eq!(std::fs::read_dir(w.path().join("runs/tiny/groups")).unwrap().count(), 0);
    }
}

#[test]
fn a_push_beyond_what_a_float_holds_names_its_edit() {
    let w = world(MANIFEST);
    let direction: Vec<u8> = (0..32).flat_map(|_| 2f32.to_le_bytes()).collect();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![32], &direction).unwrap();
    safetensors::serialize_to_file([("resid_post.2/push", view)], None, &w.path().join("d.safetensors")).unwrap();
    let steer = "[[hook]]\nplugin = \"steer\"\nfile = \"d.safetensors\"\ndirection = \"resid_post.2/push\"\ndoses = [3e38]\nrandom = 0\n";
    std::fs::write(w.path().join("m.toml"), format!("{MANIFEST}{steer}")).unwrap();
    let o = friction(w.path(), &["run", "m.toml"]);
    assert_eq!(o.status.code(), Some(1), "{}", text(&o));
    for part in ["`resid_post.2`", "`direction` of strength 3e38: lower its dose"] {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
}

/// Values that are listed twice are refused before the run, even if written in two ways.
#[test]
fn what_is_listed_twice_is_refused_before_the_run() {
    let analyzers = r#"
[[analyzer]]
plugin = "linear-probe"
target = "volume"
sites = ["resid_post.3"]
[[analyzer]]
plugin = "logit-lens"
sites = ["resid_post.3"]
"#;
    let w = world(&format!("{MANIFEST}{analyzers}"));
    for (set, part) in [
        ("hook.0.sites=[\"resid_post.3\", \"resid_post.03\"]", "`resid_post.3` is listed twice"),
        ("hook.0.positions=[\"prompt-end\", \"prompt-end\"]", "`prompt-end` is listed twice"),
        ("analyzer.1.sites=[\"resid_post.3\", \"resid_post.3\"]", "`resid_post.3` is listed twice"),
        ("analyzer.1.sites=[\"resid_post.3\", \"resid_post.003\"]", "`resid_post.3` is listed twice"),
        ("analyzer.1.folds_by=[\"group\", \"group\"]", "`folds_by` names each of its keys once"),
        ("analyzer.2.sites=[\"resid_post.3\", \"resid_post.3\"]", "`resid_post.3` is listed twice"),
        ("condition.1.user=[\"Go. {question}\", \"Go. {question}\"]", "is listed twice"),
        ("topics.topics=[\"law\", \"law\"]", "`law` is listed twice"),
        ("condition.1.name=plain", "are called `plain`"),
        ("analyzer.2.name=behavior", "are called `behavior`"),
    ] {
        let o = friction(w.path(), &["run", "m.toml", "--set", set]);
        assert!(o.status.code() == Some(2) && text(&o).contains(part), "{set}: {}", text(&o));
        assert!(!w.path().join("runs").exists(), "{set}");
    }
}
